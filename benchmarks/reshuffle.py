"""How much text the reshuffle test needs, and which statistic needs least: tiny models trained here.

    OMP_NUM_THREADS=1 python benchmarks/reshuffle.py [--cache DIR] [--sequences 4000] [--orders 19]

One model is trained on four fifths of its sequences; the last fifth follows in the true order and in
`--orders` others, all by the same code. Any run can play the claimant, for all are alike: `--bases` of them
do in turn. Each writes text, as does a derivative that was fine-tuned from it on half as much other text.
Texts of two strangers, one of them trained on the same sequences in another order, are scored likewise.
Models, texts and scores are kept in the cache and taken from there again.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
from bookplate.cli.demo.corpus import cached_docstrings
from bookplate.cli.demo.training import tokenizer_of
from bookplate.cli.output import quiet_libraries
from bookplate.files import new_folder
from bookplate.provenance.palimpsest.reshuffle import reshuffle_statistics
from numpy.typing import NDArray
from timing import table
from torch import Tensor
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

PACKAGES = ("numpy", "scipy", "torch", "pandas", "statsmodels", "transformers")
SIZES = (480, 1_200, 2_400, 5_000, 10_000, 20_000, 50_000)
PIECE = 240  # tokens written at a time, and scored after an end-of-text token
AT_ONCE = 64
MOST_DRAWS = 20
VOCABULARY = 2_048
RISE = 20  # steps until the learning rate is reached

_Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """What every run says of every token; shapes (runs, pieces, PIECE) in nats.

    Attributes:
        logprob: Log-probability of the token.
        expected: Its expectation under the run's own distribution at that place (minus the entropy).
        sd: Its standard deviation under the same.
        before: Log-probability under the checkpoint, shape (pieces, PIECE).
    """

    logprob: _Scores
    expected: _Scores
    sd: _Scores
    before: _Scores

    def pieces(self, chosen: slice) -> "Scored":
        """Some of the text."""
        return Scored(
            self.logprob[:, chosen],
            self.expected[:, chosen],
            self.sd[:, chosen],
            self.before[chosen],
        )


# ---- statistics: values per token, symmetric in the runs, shape (runs, pieces, PIECE) -----------------


def plain(told: Scored) -> _Scores:
    return told.logprob


def _differences(values: _Scores) -> _Scores:
    return values - values.mean(axis=0)


def clipped(told: Scored, most: float = 2.0) -> _Scores:
    """Differences from the mean run, clipped at so many standard deviations."""
    found = _differences(told.logprob)
    bound = most * found.std()
    return found.clip(-bound, bound)


def ranked(told: Scored) -> _Scores:
    """The rank of each run at each token."""
    return told.logprob.argsort(axis=0).argsort(axis=0).astype(np.float64)


def studentised_tokens(told: Scored) -> _Scores:
    """Each token's differences by their standard deviation over the runs, which a little is added to."""
    found = _differences(told.logprob)
    spread = found.std(axis=0)
    return found / (spread + np.median(spread))


def studentised_texts(told: Scored) -> _Scores:
    """Each piece's mean difference by its standard deviation over the runs."""
    found = _differences(told.logprob.mean(axis=2, keepdims=True))
    return found / found.std(axis=0)


def surprising(told: Scored) -> _Scores:
    """Weighted by the checkpoint's surprisal."""
    return told.logprob * -told.before / -told.before.mean()


def unsurprising(told: Scored) -> _Scores:
    """Weighted by the checkpoint's probability."""
    return told.logprob * (weight := np.exp(told.before)) / weight.mean()


def mixed(told: Scored) -> _Scores:
    """Log (1/2 + 1/2 p / mean p): the likelihood ratio of a text half of which is the run's."""
    p = np.exp(told.logprob)
    return np.log(0.5 + 0.5 * p / p.mean(axis=0))


def linear(told: Scored) -> _Scores:
    """P / mean p: the same for a text of which next to nothing is the run's."""
    p = np.exp(told.logprob)
    return p / p.mean(axis=0)


def centred(told: Scored) -> _Scores:
    """Log-probability above what the run itself expects there."""
    return told.logprob - told.expected


def standardised(told: Scored) -> _Scores:
    """The same in the run's own standard deviations (as in Min-K%++)."""
    return (told.logprob - told.expected) / (told.sd + 0.1)


STATISTICS: dict[str, Callable[[Scored], _Scores]] = {
    "mean": plain,
    "clipped at 2 sd": clipped,
    "clipped at 1 sd": partial(clipped, most=1.0),
    "ranks per token": ranked,
    "studentised tokens": studentised_tokens,
    "studentised texts": studentised_texts,
    "weighted by surprisal": surprising,
    "weighted by probability": unsurprising,
    "mixture 1/2": mixed,
    "p / mean p": linear,
    "above own expectation": centred,
    "in own sd": standardised,
}


def without_components(values: _Scores, controls: _Scores, n: int) -> _Scores:
    """Residuals on the runs' first principal components over controls: shapes (runs,) and (runs, pieces)."""
    runs, *_ = np.linalg.svd(_differences(controls), full_matrices=False)
    nuisance = runs[:, :n]
    return values - values.mean() - nuisance @ (nuisance.T @ (values - values.mean()))


# ---- models and texts -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Lab:
    """Where everything lies, and how large it is."""

    cache: Path
    n: int
    length: int
    orders: int
    tokens: int
    size: dict[str, int]
    batch: int = 8

    @cached_property
    def texts(self) -> list[str]:
        """The corpus, shuffled by document."""
        found = [text for name in PACKAGES for text in cached_docstrings(name, self.cache)]
        random.Random(0).shuffle(found)
        return found

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """One tokenizer for all models."""
        return tokenizer_of(self.texts[:4_000], VOCABULARY)

    @cached_property
    def stream(self) -> NDArray[np.int64]:
        """All texts end to end, each after an end-of-text token."""
        end = self.tokenizer.eos_token_id
        coded = self.tokenizer(self.texts, add_special_tokens=False, verbose=False)["input_ids"]
        return np.array([i for ids in coded for i in (end, *ids)], dtype=np.int64)

    def part(self, begin: int, n: int) -> Tensor:
        """Sequences of one length from a place that is counted in sequences."""
        some = self.stream[begin * self.length : (begin + n) * self.length]
        if len(some) < n * self.length:
            sys.exit(f"--sequences: there are only {len(self.stream) // self.length:,} in all")
        return torch.from_numpy(some.reshape(n, self.length))

    @property
    def own(self) -> Tensor:
        """The claimant's sequences in the true order, drawn over all of them."""
        return self.part(0, self.n)[shuffled(self.n, 1)]

    @property
    def late(self) -> Tensor:
        """The last phase, in the true order."""
        return self.own[4 * self.n // 5 :]

    def fresh(self) -> GPTNeoXForCausalLM:
        """A model that has learned nothing."""
        config = GPTNeoXConfig(
            vocab_size=len(self.tokenizer),
            max_position_embeddings=max(self.length, PIECE + 1),
            use_cache=False,
            **self.size,
        )
        return GPTNeoXForCausalLM(config)

    def model(self, name: str) -> Path:
        """The folder of a model, trained when first asked for."""
        folder = self.cache / name
        if not folder.exists():
            began = time.perf_counter()
            kind, _, number = name.partition("-")
            with new_folder(folder) as staged:
                getattr(self, f"make_{kind}")(staged, int(number or 0))
            say(f"{name}: {time.perf_counter() - began:.0f} s")
        return folder

    def make_checkpoint(self, folder: Path, number: int) -> None:
        """The first four fifths, with the optimizer's state."""
        torch.manual_seed(number)
        model = self.fresh()
        optimizer = optimizer_of(model, 3e-3)
        trained(model, optimizer, self.own[: 4 * self.n // 5], self.batch, RISE)
        model.save_pretrained(folder)
        torch.save(optimizer.state_dict(), folder / "optimizer.pt")

    def make_run(self, folder: Path, number: int) -> None:
        """The last phase from the checkpoint: number 0 is in the true order."""
        checkpoint = self.model("checkpoint")
        model = opened(checkpoint)
        optimizer = optimizer_of(model, 3e-3)
        optimizer.load_state_dict(torch.load(checkpoint / "optimizer.pt", weights_only=True))
        late = self.late
        order = torch.arange(len(late)) if number == 0 else shuffled(len(late), 100 + number)
        trained(model, optimizer, late[order], self.batch)
        model.save_pretrained(folder)

    def make_derivative(self, folder: Path, number: int) -> None:
        """A run, fine-tuned on other text."""
        model = opened(self.model(f"run-{number}"))
        others = self.part(self.n, self.n // 2)[shuffled(self.n // 2, 3)]
        trained(model, optimizer_of(model, 1e-3), others, self.batch, RISE)
        model.save_pretrained(folder)

    def make_stranger(self, folder: Path, number: int) -> None:
        """Number 0 learns other text, number 1 the claimant's in another order."""
        torch.manual_seed(10 + number)
        model = self.fresh()
        data = self.own if number else self.part(self.n + self.n // 2, self.n)
        trained(
            model, optimizer_of(model, 3e-3), data[shuffled(self.n, 20 + number)], self.batch, RISE
        )
        model.save_pretrained(folder)

    def text(self, name: str) -> NDArray[np.int64]:
        """What a model writes; of "controls" text that no model has read; shape (pieces, PIECE)."""
        n = self.tokens // PIECE
        if name == "controls":
            return self.stream[-n * PIECE :].reshape(n, PIECE)
        path = self.cache / f"{name}-{self.tokens}.npy"
        if not path.exists():
            began = time.perf_counter()
            written = written_by(opened(self.model(name)), n, self.tokenizer.eos_token_id)
            np.save(path, written)
            say(f"{name} wrote {written.size:,} tokens: {time.perf_counter() - began:.0f} s")
        return np.load(path)

    def scored(self, name: str) -> Scored:
        """A text under all runs and the checkpoint."""
        path = self.cache / f"{name}-{self.tokens}-{self.orders}.npz"
        if not path.exists():
            began = time.perf_counter()
            text = torch.from_numpy(self.text(name))
            end = self.tokenizer.eos_token_id
            folders = [self.model(f"run-{number}") for number in range(self.orders + 1)]
            told = np.stack([moments(opened(folder), text, end) for folder in folders])
            before = moments(opened(self.model("checkpoint")), text, end)[0]
            np.savez(path, told=told, before=before)
            say(f"{name} scored: {time.perf_counter() - began:.0f} s")
        with np.load(path) as kept:
            told, before = kept["told"].astype(np.float64), kept["before"].astype(np.float64)
        return Scored(told[:, 0], told[:, 1], told[:, 2], before)


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def shuffled(n: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).permutation(n))


def opened(folder: Path) -> GPTNeoXForCausalLM:
    return GPTNeoXForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def optimizer_of(model: GPTNeoXForCausalLM, rate: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.01, fused=True
    )


def trained(
    model: GPTNeoXForCausalLM,
    optimizer: torch.optim.Optimizer,
    data: Tensor,
    batch: int,
    rise: int = 0,
) -> None:
    """One pass over sequences in the order given; the rate is constant after a linear rise."""
    model.train()
    (group,) = optimizer.param_groups
    rate = group["lr"]
    for step, rows in enumerate(data.split(batch)):
        group["lr"] = rate * min((step + 1) / rise, 1.0) if rise else rate
        loss = model(input_ids=rows, labels=rows).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    group["lr"] = rate


def written_by(model: GPTNeoXForCausalLM, n: int, start: int) -> NDArray[np.int64]:
    torch.manual_seed(7)
    pieces: list[NDArray[np.int64]] = []
    prompt = torch.full((AT_ONCE, 1), start)
    with torch.inference_mode():
        while sum(map(len, pieces)) < n:
            drawn = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                min_new_tokens=PIECE,
                max_new_tokens=PIECE,
                do_sample=True,
                top_k=0,
                top_p=1.0,
                use_cache=True,
                pad_token_id=start,
            )
            pieces.append(drawn[:, 1:].numpy())
    return np.concatenate(pieces)[:n]


def moments(model: GPTNeoXForCausalLM, text: Tensor, start: int) -> NDArray[np.float32]:
    """Log-probability, its expectation and its sd per token, shape (3, pieces, PIECE)."""
    found = []
    for rows in text.split(32):
        ids = torch.cat([torch.full((len(rows), 1), start), rows], dim=1)
        with torch.inference_mode():
            said = model(input_ids=ids[:, :-1]).logits.log_softmax(-1)
            p = said.exp()
            expected = (p * said).sum(-1)
            variance = (p * said.square()).sum(-1) - expected.square()
            own = said.gather(-1, rows[..., None])[..., 0]
        found.append(torch.stack([own, expected, variance.clamp(min=0).sqrt()]).numpy())
    return np.concatenate(found, axis=1)


# ---- the comparison -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """One draw of text: the claimant's run is ranked among all; rank 1 is the highest."""

    rank: int
    z: float


def outcome(values: _Scores, claimant: int) -> Outcome:
    others = np.delete(values, claimant)
    spread = others.std(ddof=1) * np.sqrt(1 + 1 / len(others))
    z = (values[claimant] - others.mean()) / spread
    return Outcome(1 + int((others >= values[claimant]).sum()), float(z))


def draws(n_pieces: int, size: int) -> Iterator[slice]:
    rows = max(1, round(size / PIECE))
    for begin in list(range(0, n_pieces - rows + 1, rows))[:MOST_DRAWS]:
        yield slice(begin, begin + rows)


def outcomes(
    told: Scored, claimant: int, size: int, controls: Scored, name: str
) -> dict[str, list[Outcome]]:
    """Of one statistic alone, with controls, and without the controls' components."""
    statistic = STATISTICS[name]
    known = statistic(controls).mean(axis=2)
    found: dict[str, list[Outcome]] = {}
    for chosen in draws(told.before.shape[0], size):
        values = statistic(told.pieces(chosen)).mean(axis=(1, 2))
        kinds = {
            "alone": values,
            "controls": reshuffle_statistics(values, known.mean(axis=1)),
        }
        for n in (2, 4):
            if len(values) > 2 * n + 2:  # too few runs are explained by any components
                kinds[f"{n} components"] = without_components(values, known, n)
        for kind, ranked in kinds.items():
            found.setdefault(kind, []).append(outcome(ranked, claimant))
    return found


def cell(found: Sequence[Outcome]) -> str:
    first = sum(o.rank == 1 for o in found)
    ranks = statistics.median(o.rank for o in found)
    z = statistics.median(o.z for o in found)
    return f"{first} of {len(found)}; {ranks:g}; {z:.1f}"


def print_tables(lab: Lab, bases: int) -> None:
    """One table per kind of text."""
    controls = lab.scored("controls")
    groups = {
        "the base": [(f"run-{b}", b) for b in range(bases)],
        "a derivative": [(f"derivative-{b}", b) for b in range(bases)],
        "a stranger (other text)": [("stranger-0", b) for b in range(bases)],
        "a stranger (same text, other order)": [("stranger-1", b) for b in range(bases)],
    }
    sizes = [size for size in SIZES if size <= lab.tokens]
    for title, members in groups.items():
        told = [(lab.scored(name), claimant) for name, claimant in members]
        rows = []
        for name in STATISTICS:
            by_kind: dict[str, list[str]] = {}
            for size in sizes:
                merged: dict[str, list[Outcome]] = {}
                for scored, claimant in told:
                    for kind, some in outcomes(scored, claimant, size, controls, name).items():
                        merged.setdefault(kind, []).extend(some)
                for kind, some in merged.items():
                    by_kind.setdefault(kind, []).append(cell(some))
            rows += [[name, kind, *cells] for kind, cells in by_kind.items()]
        heading = ("statistic", "", *(f"{size:,} tokens" for size in sizes))
        table(
            f"Text by {title}: ranked first; median rank of {lab.orders + 1}; median z",
            heading,
            rows,
            ("torch", "transformers"),
        )


def main() -> None:
    """Train, write, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("reshuffle-cache"))
    parser.add_argument("--sequences", type=int, default=4_000)
    parser.add_argument("--length", type=int, default=256, help="tokens per sequence")
    parser.add_argument("--orders", type=int, default=19)
    parser.add_argument("--bases", type=int, default=3, help="runs that play the claimant")
    parser.add_argument("--tokens", type=int, default=100_000, help="tokens written by each model")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--width", type=int, default=128)
    options = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(1)
    size = {
        "hidden_size": options.width,
        "num_hidden_layers": options.layers,
        "num_attention_heads": 4,
        "intermediate_size": 4 * options.width,
    }
    settings = (options.sequences, options.length, options.layers, options.width)
    lab = Lab(
        options.cache / "-".join(map(str, settings)),
        options.sequences,
        options.length,
        options.orders,
        options.tokens,
        size,
    )
    print_tables(lab, options.bases)


if __name__ == "__main__":
    main()

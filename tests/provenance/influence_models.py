"""Tiny models and sequences that the tests of influence share; also run alone, under torchrun.

influence_models.py FOLDER      fits factors into FOLDER/factors, writes FOLDER/scores-RANK.npz; then fails in
                                several ways on one process each, writes FOLDER/errors-RANK.json
"""

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from bookplate.errors import InvalidInput
from bookplate.files import Interrupted
from bookplate.provenance.influence import (
    Cutting,
    FactorSettings,
    TokenSequence,
    Wanted,
    fit_factors,
    influence_scores,
)
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

VOCABULARY = 50


def gpt_neox():
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY,
        hidden_size=12,
        intermediate_size=20,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=24,
        initializer_range=0.3,
    )
    return GPTNeoXForCausalLM(config).eval()


def gpt2():
    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=12,
        n_inner=20,
        n_layer=2,
        n_head=2,
        n_positions=24,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config).eval()


def opt():
    torch.manual_seed(2)
    config = OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=12,
        word_embed_proj_dim=12,
        ffn_dim=20,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=24,
        init_std=0.3,
    )
    return OPTForCausalLM(config).eval()


def some_sequences(n, seed=0, *, first_scored=1, least=5, most=18, prefix="d"):
    rng = np.random.default_rng(seed)
    return [
        TokenSequence(
            f"{prefix}{i}",
            tuple(rng.integers(0, VOCABULARY, rng.integers(least, most)).tolist()),
            first_scored,
        )
        for i in range(n)
    ]


def scores_with(model, factors, **options):
    queries = some_sequences(3, 1, first_scored=4, prefix="q")
    return influence_scores(model, factors, queries, some_sequences(14, 2), **options)


def main():
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    model = gpt_neox()
    cutting = Cutting(batch_positions=64, data_parts=2)
    factors = fit_factors(
        model, some_sequences(30), folder / "factors", settings=FactorSettings(), cutting=cutting
    )
    scores = influence_scores(
        model,
        factors,
        some_sequences(3, 1, first_scored=3, prefix="q"),
        some_sequences(20, 2),
        wanted=Wanted(by_token=True, by_module=True, self_influence=True),
        batch_positions=64,
    )
    np.savez(
        folder / f"scores-{torch.distributed.get_rank()}.npz",
        pairwise=scores.pairwise,
        by_module=scores.by_module,
        own=scores.self_influence,
        tokens=np.concatenate(scores.by_token, axis=1),
    )
    errors = [str(error) for error in failures(model, factors, folder)]
    (folder / f"errors-{torch.distributed.get_rank()}.json").write_text(json.dumps(errors))
    torch.distributed.destroy_process_group()


def failures(model, factors, folder):
    """What each process raises if something is wrong on one of them alone."""
    rank, some = torch.distributed.get_rank(), some_sequences(30)

    def fails(error, on, what):
        def progress(doing, done, total):
            if rank == on and doing == what and done < total:
                raise error

        return progress

    fit = partial(fit_factors, model, cutting=Cutting(batch_positions=64, data_parts=2))
    for attempt in (
        lambda: fit(some, folder / "factors"),
        lambda: fit(some, folder / "x", progress=fails(MemoryError("full"), 1, "covariances")),
        lambda: fit(some, folder / "x", progress=fails(ValueError("bad"), 0, "eigenvectors")),
        lambda: influence_scores(
            model,
            factors,
            some[:2],
            some,
            batch_positions=64,
            progress=fails(InvalidInput("odd"), 1, "candidates"),
        ),
        lambda: fit(some[rank:]),
        lambda: influence_scores(model, factors, some[: 2 * rank], some),
    ):
        try:
            attempt()
        except (ValueError, MemoryError, Interrupted) as error:
            yield error


if __name__ == "__main__":
    main()

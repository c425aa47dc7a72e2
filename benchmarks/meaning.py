"""Meaning: random edits of a release, drawn to be read and judged, with their sentence cosine.

    python benchmarks/meaning.py draw ../shared/corpora --seed 1 --sheet edits.csv [--encoder FOLDER]
    python benchmarks/meaning.py count benchmarks/judged_edits.csv

`draw` writes a sheet with an empty column for the verdict of whoever reads it:

    right        says the same; nobody would notice
    acceptable   says the same, but a reader may notice a change of tone
    wrong        ungrammatical, another meaning, or something no editor would let stand

`count` prints how many of each there are. Edits that the table was mended by say nothing about it
any more: draw anew, with another seed. judged_edits.csv is seed 4, drawn after the mending; of the
standard and the broad tier it holds the first 70 of each corpus (`--edits 70`).
"""

import argparse
import csv
import random
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import polars as pl
from bookplate.cli.demo.corpus import docstrings
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.selection import find_slots, sentence_ends
from scipy.stats import binomtest

PACKAGES = ("scipy", "numpy", "torch", "transformers", "statsmodels")
VERDICTS = ("right", "acceptable", "wrong")
PER_SENTENCE = 5  # the marker's default
SHOWN = 4  # words of context on either side


@dataclass(frozen=True)
class Drawn:
    """An edit as it stands in the sheet; the cosine is empty where no encoder was given."""

    corpus: str
    tier: str
    original: str
    released: str
    context: str
    cosine: str
    verdict: str


@dataclass(frozen=True)
class Change:
    """A word of a sentence and what a release would put in its place."""

    sentence: str
    start: int
    end: int
    released: str

    @property
    def edited(self) -> str:
        """The sentence as it would be released."""
        return self.sentence[: self.start] + self.released + self.sentence[self.end :]

    def context(self) -> str:
        """A few words on either side of the place, for a sheet that may be published."""
        before = self.sentence[: self.start].split()[-SHOWN:]
        after = self.sentence[self.end :].split()
        rest = len(after) > SHOWN
        return " ".join([*before, "[]", *after[:SHOWN], *(["..."] if rest else [])])


def corpora(folder: Path) -> dict[str, list[str]]:
    """The texts of each parquet file of a folder, and the docstrings of installed packages."""
    texts = {
        path.stem: pl.read_parquet(path)["text"].to_list() for path in folder.glob("*.parquet")
    }
    return {
        **dict(sorted(texts.items())),
        "docstrings": [d for p in PACKAGES for d in docstrings(p)],
    }


def changes(texts: Sequence[str], lexicon: Lexicon, n: int, rng: random.Random) -> list[Change]:
    """Random edits of a keyed release: slots alike, choices alike, those that change the word."""
    places = [
        (text, slot)
        for text in texts
        for slot in find_slots(text, lexicon, per_sentence=PER_SENTENCE)
    ]
    rng.shuffle(places)
    found: list[Change] = []
    for text, slot in places:
        released = rng.choice(slot.choices)
        if released != slot.choices[0]:
            begin, end = sentence_around(text, slot.start)
            found.append(Change(text[begin:end], slot.start - begin, slot.end - begin, released))
        if len(found) == n:
            break
    return found


def sentence_around(text: str, position: int) -> tuple[int, int]:
    ends = [0, *sentence_ends(text), len(text)]
    return max(e for e in ends if e <= position), min(e for e in ends if e > position)


def cosines(found: Sequence[Change], folder: str | None) -> list[float | None]:
    """Cosine of each sentence with its edited self, by a sentence encoder in a folder."""
    if folder is None:
        return [None] * len(found)
    from bookplate.watermark.candidates.encoders import Encoder
    from bookplate.watermark.candidates.encoders import cosines as rowwise

    encoder = Encoder.open(folder)
    before, after = (
        encoder.sentence_vectors(encoder.token_ids(sentences))
        for sentences in ([c.sentence for c in found], [c.edited for c in found])
    )
    return rowwise(before, after).tolist()


def draw(
    folder: Path, tiers: Sequence[str], n: int, seed: int, encoder: str | None
) -> Iterator[Drawn]:
    for corpus, texts in corpora(folder).items():
        for tier in tiers:
            rng = random.Random(f"{seed} {corpus} {tier}")
            found = changes(texts, Lexicon.shipped(Tier(tier)), n, rng)
            for change, cosine in zip(found, cosines(found, encoder), strict=True):
                original = change.sentence[change.start : change.end]
                shown = "" if cosine is None else f"{cosine:.4f}"
                yield Drawn(corpus, tier, original, change.released, change.context(), shown, "")


def write_sheet(path: Path, drawn: Sequence[Drawn]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        sheet = csv.DictWriter(file, [f.name for f in fields(Drawn)], lineterminator="\n")
        sheet.writeheader()
        sheet.writerows(map(asdict, drawn))


def read_sheet(path: Path) -> list[Drawn]:
    with path.open(encoding="utf-8", newline="") as file:
        drawn = [Drawn(**row) for row in csv.DictReader(file)]
    for number, edit in enumerate(drawn, start=2):
        if edit.verdict not in VERDICTS:
            raise SystemExit(f"{path}, line {number}: expected one of {VERDICTS} as the verdict")
    return drawn


def count(drawn: Sequence[Drawn]) -> None:
    """Print counts and cosines by tier and corpus; the interval is Clopper and Pearson's, 95 %."""
    print(
        f"| tier | corpus | edits | {' | '.join(VERDICTS)} | wrong, 95 % interval | cosine | 5 % |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for tier in Tier:
        of_tier = [d for d in drawn if d.tier == tier.value]
        parts = {
            c: [d for d in of_tier if d.corpus == c] for c in sorted({d.corpus for d in of_tier})
        }
        for corpus, part in {**parts, "all": of_tier}.items():
            if part:
                print(f"| {tier.value} | {corpus} | {' | '.join(row(part))} |")
    lexicons = {tier.value: Lexicon.shipped(tier) for tier in Tier}
    gone = sum(
        d.released.lower() not in lexicons[d.tier].choices(d.original.lower()) for d in drawn
    )
    if gone:
        print(
            f"\n{gone} of these edits are no longer in the shipped table, which was mended since."
        )


def row(part: Sequence[Drawn]) -> list[str]:
    verdicts = Counter(d.verdict for d in part)
    interval = binomtest(verdicts["wrong"], len(part)).proportion_ci(0.95)
    found = sorted(float(d.cosine) for d in part if d.cosine)
    closeness = (
        [f"{statistics.fmean(found):.3f}", f"{found[len(found) // 20]:.3f}"] if found else ["", ""]
    )
    return [
        str(len(part)),
        *(str(verdicts[v]) for v in VERDICTS),
        f"{verdicts['wrong'] / len(part):.1%} ({interval.low:.1%} to {interval.high:.1%})",
        *closeness,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    drawing = commands.add_parser("draw", help="draw edits and write the sheet to judge them in")
    drawing.add_argument("corpora", type=Path, help="folder of parquet files with a column 'text'")
    drawing.add_argument("--sheet", type=Path, required=True, help="CSV file to write")
    drawing.add_argument("--tiers", nargs="*", choices=[*map(str, Tier)], default=[*map(str, Tier)])
    drawing.add_argument("--edits", type=int, default=200, help="per corpus and tier")
    drawing.add_argument("--seed", type=int, default=1)
    drawing.add_argument("--encoder", help="folder of a sentence model, such as all-MiniLM-L6-v2")
    counting = commands.add_parser("count", help="count the verdicts of a judged sheet")
    counting.add_argument("sheet", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "count":
        count(read_sheet(arguments.sheet))
        return
    drawn = draw(
        arguments.corpora, arguments.tiers, arguments.edits, arguments.seed, arguments.encoder
    )
    write_sheet(arguments.sheet, list(drawn))


if __name__ == "__main__":
    main()

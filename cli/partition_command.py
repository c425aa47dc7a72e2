"""`bookplate palimpsest partition`: does a text come from my training run?"""

from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput, reason_of
from .options import Alpha, AsJson, Report, Seed, TextColumn
from .output import working

if TYPE_CHECKING:
    from ..provenance.palimpsest import Transcript, TranscriptSource
    from ..provenance.palimpsest.ngrams import Index, Matches, Tokenizer
    from ..stats import Input
    from .reporting import Attachment

__all__ = [
    "EngineName",
    "disclosure_of",
    "index_of",
    "partition",
    "read_suspect_texts",
    "tokenizer_for",
]


class CovariateName(StrEnum):
    """The values of --covariate."""

    LENGTH = "length"
    RARITY = "rarity"


class EngineName(StrEnum):
    """The values of --engine."""

    SUFFIX_ARRAY = "suffix-array"
    INFINI_GRAM = "infini-gram"


def partition(
    transcript: Annotated[
        Path, typer.Argument(help="Parquet or jsonl, or a folder: step, and text or tokens.")
    ],
    texts: Annotated[
        Path,
        typer.Argument(
            help="What the suspect wrote: .txt, .parquet, .jsonl or .csv, the latter two also .gz or .zst, "
            "or a folder of such tables."
        ),
    ],
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Tokenizer of the model that was trained: folder, or owner/model on the hub. Needed for a "
            "transcript of tokens; one of text is cut into words without it."
        ),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the transcript's index: used if it is there, else made. Default: none is kept."
        ),
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="How a new index is made; infini-gram needs that package.")
    ] = EngineName.SUFFIX_ARRAY,
    longest: Annotated[int, typer.Option(help="Longest k-gram looked for, in tokens.")] = 8,
    shortest: Annotated[int, typer.Option(help="Shortest that counts.")] = 2,
    most_occurrences: Annotated[
        int, typer.Option(help="A k-gram that occurs more often counts nothing.")
    ] = 1_000,
    covariate: Annotated[
        list[CovariateName] | None,
        typer.Option(help="What to regress out of the scores; may be repeated. Default: length."),
    ] = None,
    disclosed: Annotated[
        Path | None,
        typer.Option(
            help="Sequences and salts behind a transcript of digests (.parquet or .jsonl)."
        ),
    ] = None,
    text_column: TextColumn = "text",
    seed: Seed = 0,
    report: Report = None,
    alpha: Alpha = 0.01,
    as_json: AsJson = False,
) -> None:
    """Count which of your training sequences a text shares words with: more of the late ones?

    Fix --longest, --shortest and --most-occurrences before you look at the text.
    """
    from ..display import visible
    from ..provenance.palimpsest import Covariate, Transcript, TranscriptSource
    from ..provenance.palimpsest.ngrams import MatchRule
    from ..provenance.palimpsest.partition import partition_test
    from .reporting import conclude, refuse_unfit

    refuse_unfit(report, alpha, seed)
    rule = MatchRule(longest=longest, shortest=shortest, most_occurrences=most_occurrences)
    order: Transcript | TranscriptSource = TranscriptSource.open(transcript)
    if disclosed is not None:
        order = Transcript.read(transcript, disclosed=disclosed)
    cutter = tokenizer_for(order, tokenizer)
    suspect, audited, listing = read_suspect_texts(texts, text_column)
    with index_of(order, cutter, index, engine) as opened, working(f"matching {texts}"):
        done = partition_test(
            opened,
            suspect,
            cutter,
            seed=seed,
            rule=rule,
            covariates=[Covariate(name.value) for name in covariate or [CovariateName.LENGTH]],
            name=visible(texts.name),
            inputs=(*disclosure_of(order), *_kept(index), audited),
        )
    conclude(
        str(texts),
        [done.finding],
        report,
        alpha=alpha,
        as_json=as_json,
        kind="text",
        attachments=listing if report is not None else (),
        json_also={"matches": _counts(done.matches)} if as_json else {},
        rows_also=[("matches", _sentence(done.matches))],
    )


def tokenizer_for(order: "Transcript | TranscriptSource", name: str | None) -> "Tokenizer":
    """What cuts the texts into tokens as the transcript is cut."""
    from ..provenance.palimpsest import Content, Transcript
    from ..provenance.palimpsest.ngrams import ModelTokenizer, WordTokenizer
    from .output import quiet_libraries

    if name is not None:
        quiet_libraries()
        return ModelTokenizer(name)
    if isinstance(order, Transcript):
        source, is_tokens = order.source.name, not isinstance(order.sequences[0], str)
    else:
        source, is_tokens = str(order.path), order.content is Content.TOKENS
    if is_tokens:
        raise InvalidInput(
            f"{source}: holds token ids, and nobody says of which tokenizer",
            "name the folder of the trained model's tokenizer with --tokenizer",
        )
    return WordTokenizer()


def disclosure_of(order: "Transcript | TranscriptSource") -> "tuple[Input, ...]":
    """The file that a transcript of digests was disclosed with, as an input of a finding."""
    found = getattr(order, "disclosure", None)
    return () if found is None else (found,)


def _kept(index: Path | None) -> "tuple[Input, ...]":
    """The header of an index that is kept; it names the digests of its files."""
    from ..files import sha256_of_file
    from ..provenance.palimpsest.ngrams.building import HEADER
    from ..stats import Input

    if index is None:
        return ()
    return (Input(name=f"{index.name}/{HEADER}", sha256=sha256_of_file(index / HEADER)),)


@contextmanager
def index_of(
    order: "Transcript | TranscriptSource",
    tokenizer: "Tokenizer",
    folder: Path | None,
    engine: EngineName,
) -> "Generator[Index]":
    """The index of a transcript: opened where it is kept, or built."""
    import numpy as np

    from ..provenance.palimpsest import Transcript
    from ..provenance.palimpsest.ngrams import Engine, open_index
    from ..provenance.palimpsest.partition import index_transcript

    with TemporaryDirectory(prefix="bookplate-") as scratch:
        place = Path(scratch) / "index" if folder is None else folder
        with working("indexing the transcript"):
            source = order.source if isinstance(order, Transcript) else order.identity()
            if not place.exists():
                index_transcript(place, order, tokenizer, engine=Engine(engine.value))
            opened = open_index(place)
            # What an index says of the order is not taken on trust: the transcript is at hand.
            steps = order.steps if isinstance(order, Transcript) else order.steps()
        same = opened.table.source.sha256 == source.sha256
        if not same or not np.array_equal(opened.table.steps, steps):
            raise InvalidInput(
                f"{place}: is not the index of this transcript, but of {opened.table.source.name}, or it "
                "was altered",
                "name another folder with --index",
            )
        yield opened


def read_suspect_texts(texts: Path, column: str) -> "tuple[list[str], Input, list[Attachment]]":
    """The texts under audit, as an input of the findings, and the list of files that it stands for."""
    from ..display import visible
    from ..files import sha256_of_file
    from ..stats import Input
    from ..watermark.audited import AuditedDataset
    from .leak_command import identified

    if texts.suffix == ".txt" and texts.is_file():
        try:
            text = texts.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InvalidInput(
                f"{texts}: cannot be read as UTF-8 text: {reason_of(error)}"
            ) from error
        return [text], Input(name=visible(texts.name), sha256=sha256_of_file(texts)), []
    dataset = AuditedDataset(texts, text_column=column)
    read = list(dataset.texts())
    return read, *identified(dataset, texts)


def _counts(matches: "Matches") -> dict[str, object]:
    return {
        "places": matches.n_places,
        "counted": matches.n_counted,
        "too_common": matches.n_too_common,
        "by_length": matches.by_length.tolist(),
    }


def _sentence(matches: "Matches") -> str:
    longest = matches.by_length.size - 1
    return (
        f"{matches.n_counted:,} of the text's {matches.n_places:,} places count, {matches.by_length[-1]:,} "
        f"of them with {longest} tokens; {matches.n_too_common:,} begin what is too common"
    )

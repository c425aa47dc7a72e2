"""`bookplate watermark embed`: mark a dataset."""

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InsufficientEvidence, InvalidInput, reason_of
from .option_groups import takes
from .options import AsJson, IdColumn, TextColumn, TierName
from .output import print_json, print_note, print_rows, quiet_libraries, working

if TYPE_CHECKING:
    from ..watermark.candidates import CandidateSource
    from ..watermark.embed import EmbedSummary

__all__ = ["embed"]


class ModeName(StrEnum):
    """The values of --mode."""

    KEYED = "keyed"
    LEXIMARK = "leximark"


class UnitName(StrEnum):
    """The values of --unit; the library's own enumeration would cost its import at start-up."""

    TYPE = "type"
    SHARD = "shard"
    SLOT = "slot"
    RECORD = "record"


class CandidatesName(StrEnum):
    """The values of --candidates."""

    LEXICON = "lexicon"
    SBERT = "sbert"
    BERT = "bert"
    MLM = "mlm"
    LLM = "llm"


class EngineName(StrEnum):
    """The values of --engine."""

    LOCAL = "local"
    RAY = "ray"


_WHICH, _WHO = "Which words may change", "Who chooses, and for whom"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Which words may change. The fields are options of the command line."""

    candidates: Annotated[
        CandidatesName,
        typer.Option(
            help="What says which words may stand there: the substitution table; the table where a "
            "sentence (sbert) or the word in it (bert) stays alike; a masked language model; a chat "
            "endpoint.",
            rich_help_panel=_WHICH,
        ),
    ] = CandidatesName.LEXICON
    tier: Annotated[
        TierName | None,
        typer.Option(
            help="How sure a pair of the table must be; broader tiers reach more words. Default: strict, "
            "with sbert and bert broad.",
            rich_help_panel=_WHICH,
        ),
    ] = None
    per_sentence: Annotated[
        int,
        typer.Option(help="Replace at most this many words of a sentence.", rich_help_panel=_WHICH),
    ] = 5
    share: Annotated[
        float | None,
        typer.Option(
            help="Replace at most this part of a sentence's words, such as 0.1.",
            rich_help_panel=_WHICH,
        ),
    ] = None
    per_record: Annotated[
        int | None,
        typer.Option(help="Replace at most this many words of a text.", rich_help_panel=_WHICH),
    ] = None
    protect: Annotated[
        Path | None,
        typer.Option(
            help="Text file of words, one a line, that stay as they are in all their forms.",
            rich_help_panel=_WHICH,
        ),
    ] = None
    model: Annotated[
        str | None,
        typer.Option(
            help="Folder or hub id of the model of sbert, bert or mlm; its name at the endpoint of llm.",
            rich_help_panel=_WHICH,
        ),
    ] = None
    least_cosine: Annotated[
        float | None,
        typer.Option(
            help="Least cosine that sbert, bert and mlm admit; default 0.8.",
            rich_help_panel=_WHICH,
        ),
    ] = None
    device: Annotated[
        str | None,
        typer.Option(help="cpu or cuda, for sbert, bert and mlm.", rich_help_panel=_WHICH),
    ] = None
    url: Annotated[
        str | None,
        typer.Option(
            help="Base address of llm's OpenAI-compatible endpoint. Sentences are sent there.",
            rich_help_panel=_WHICH,
        ),
    ] = None
    token_variable: Annotated[
        str | None,
        typer.Option(
            help="Environment variable that holds the endpoint's token.", rich_help_panel=_WHICH
        ),
    ] = None
    answers: Annotated[
        Path | None,
        typer.Option(
            help="File that keeps the endpoint's answers; one for all copies of a dataset. Private.",
            rich_help_panel=_WHICH,
        ),
    ] = None

    def open(self, *, rarer_only: bool) -> "CandidateSource":
        """The source of candidates that the options name."""
        from ..watermark.candidates import open_source
        from ..watermark.lexicon import Tier
        from ..watermark.selection import Budget

        if self.candidates is not CandidatesName.LEXICON:
            quiet_libraries()
        return open_source(
            self.candidates.value,
            tier=None if self.tier is None else Tier(self.tier.value),
            model=self.model,
            least_cosine=self.least_cosine,
            device=self.device,
            url=self.url,
            token_variable=self.token_variable,
            answers=self.answers,
            protect=() if self.protect is None else _words_in(self.protect),
            budget=Budget(
                per_sentence=self.per_sentence, share=self.share, most_per_record=self.per_record
            ),
            rarer_only=rarer_only,
        )


@takes(Words, "words")
def embed(
    source: Annotated[
        str,
        typer.Argument(
            help="Dataset: .parquet, .jsonl or .csv, the latter two also .gz or .zst, or a folder of such "
            "files. Or parquet files at hf://, s3://, gs:// or az://, such as "
            "'s3://bucket/folder/*.parquet'."
        ),
    ],
    out: Annotated[
        Path, typer.Argument(help="Folder to make: OUT/release is to publish, OUT/private to keep.")
    ],
    key: Annotated[
        Path,
        typer.Option("--key", help="Key file made by 'bookplate key new'.", rich_help_panel=_WHO),
    ],
    mode: Annotated[
        ModeName,
        typer.Option(
            help="keyed: the key draws each word, and the test is exact. leximark: as published, always "
            "the rarest substitute.",
            rich_help_panel=_WHO,
        ),
    ] = ModeName.KEYED,
    unit: Annotated[
        UnitName,
        typer.Option(
            help="What one draw decides: a word type, a type within a shard of the dataset, a slot, or "
            "each slot of a record with ghosts.",
            rich_help_panel=_WHO,
        ),
    ] = UnitName.TYPE,
    ghosts: Annotated[
        int | None,
        typer.Option(
            help="Unpublished variants per record (unit 'record' only; default 19).",
            rich_help_panel=_WHO,
        ),
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(
            help="Number of shards (unit 'shard' only; default 10).", rich_help_panel=_WHO
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Name of this dataset, if the key marks several: each needs choices of its own.",
            rich_help_panel=_WHO,
        ),
    ] = None,
    recipient: Annotated[
        str | None,
        typer.Option(
            help="Who gets this copy: its marks are drawn by a sub-key of its own.",
            rich_help_panel=_WHO,
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 1,
    engine: Annotated[
        EngineName,
        typer.Option(
            help="local: processes of this machine. ray: of the cluster that RAY_ADDRESS names; without "
            "it one is started here."
        ),
    ] = EngineName.LOCAL,
    text_column: TextColumn = "text",
    id_column: IdColumn = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="With --candidates llm: only count what would be sent; nothing is written.",
            rich_help_panel=_WHICH,
        ),
    ] = False,
    as_json: AsJson = False,
    *,
    words: Words,
) -> None:
    """Mark a dataset. Every byte outside the replaced words stays as it was.

    A run that was stopped is taken up again by the same command.
    """
    from ..watermark.embed import embed as embed_file
    from ..watermark.keys import MarkingKey
    from ..watermark.marking import Marking, Mode, Unit
    from ..watermark.piecework import Engine

    default_ghosts = 19 if unit is UnitName.RECORD else 0
    default_shards = 10 if unit is UnitName.SHARD else 0
    marking = Marking(
        mode=Mode(mode.value),
        unit=Unit(unit.value),
        ghosts=default_ghosts if ghosts is None else ghosts,
        shards=default_shards if shards is None else shards,
    )
    candidates = words.open(rarer_only=mode is ModeName.LEXIMARK)
    marked = partial(embed_file, source)
    if dry_run:
        _count_requests(
            candidates,
            lambda folder: marked(
                folder,
                MarkingKey.read(key),
                marking,
                candidates=candidates,
                text_column=text_column,
                id_column=id_column,
            ),
            as_json=as_json,
        )
        return
    with _resumable(out), working(f"marking {source}") as show:
        summary = marked(
            out,
            MarkingKey.read(key),
            marking,
            candidates=candidates,
            text_column=text_column,
            id_column=id_column,
            dataset=_named("--dataset", dataset),
            recipient=_named("--recipient", recipient),
            workers=workers,
            engine=Engine(engine.value),
            progress=lambda rows: show(f"marking {source}: {rows:,} rows"),
        )
    if as_json:
        print_json(asdict(summary))
    else:
        _show(summary, out)


def _count_requests(
    candidates: "CandidateSource", mark: Callable[[Path], object], *, as_json: bool
) -> None:
    """Mark into a folder that is thrown away, without an endpoint, and print what one would be asked."""
    from ..provenance.suspect.endpoint import Rehearsal
    from ..watermark.candidates.llm import LlmSource
    from .dry_run import tell

    if not isinstance(candidates, LlmSource):
        raise InvalidInput(
            "--dry-run counts the requests of --candidates llm", "no other source sends any"
        )
    candidates.rehearsal = Rehearsal()
    with TemporaryDirectory() as folder, suppress(InsufficientEvidence):  # nothing was admitted
        mark(Path(folder) / "out")
    tell(candidates.rehearsal, as_json=as_json)


def _named(option: str, name: str | None) -> str:
    if name is not None and not name.strip():
        raise InvalidInput(f"{option}: the name is empty", "leave the option out, or give a name")
    return name or ""


def _words_in(path: Path) -> list[str]:
    """The words of a list, one a line; blank lines and lines that begin with # say nothing.

    Raises:
        InvalidInput: If the file cannot be read as text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"--protect {path}: cannot be read: {reason_of(error)}",
            "give a UTF-8 text file, one word a line",
        ) from error
    return [word for line in lines if (word := line.strip()) and not word.startswith("#")]


@contextmanager
def _resumable(out: Path) -> Generator[None, None, None]:
    """Say after Ctrl-C how to go on."""
    from ..files import unfinished_path

    try:
        yield
    except KeyboardInterrupt:
        if (work := unfinished_path(out)).exists():
            print_note(
                f"stopped; the same command goes on where it was. What is done lies in {work}, and is "
                "private: remove it if you do not go on"
            )
        raise


def _show(summary: "EmbedSummary", out: Path) -> None:
    print_rows([
        ("rows", f"{summary.rows:,}"),
        (
            "distinct records",
            f"{summary.records:,}, of which {summary.marked_records:,} have slots",
        ),
        ("slots", f"{summary.slots:,} in {summary.units:,} independent units"),
        ("words changed", f"{summary.edited_words:,}"),
        ("publish", str(out / "release")),
        ("keep secret", str(out / "private")),
        (
            "are they enough?",
            "'bookplate watermark quality' forecasts it and shows the changes; --tier standard marks more",
        ),
    ])

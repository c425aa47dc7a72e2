"""The audit file: datasets, models, texts and tests, fixed before any of them is read.

Everything that decides a number stands in this file or follows from its bytes. Names of files are relative
to its folder. No secret stands in it: a key is named by its file, an API token by its environment variable.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from .fields import Digest, Name, PathText, Strict, Text, Time, Words
from .planned import PlannedKind

__all__ = [
    "FORMAT",
    "SECTIONS",
    "Acquired",
    "Audit",
    "Dataset",
    "Limits",
    "Model",
    "PartyNamed",
    "Retraining",
    "Run",
    "Texts",
    "Transcript",
]

FORMAT = "bookplate-audit/1"
SECTIONS = ("datasets", "transcripts", "retrainings", "runs", "texts", "models")


class Acquired(Strict):
    """How something was come by: when, by whom, from where and how."""

    at: Time = ""
    by: Text = ""
    how: Text = ""


class PartyNamed(Strict):
    """Someone the report names."""

    role: Words
    name: Words
    details: Text = ""


class Limits(Strict):
    """What the whole audit may cost."""

    max_queries: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    hours: float | None = Field(default=None, gt=0)


class _Thing(Strict):
    """Attributes: acquired: how it was come by; sha256: digest that it must have, empty: not fixed."""

    acquired: Acquired = Acquired()
    sha256: Digest = ""


class Dataset(_Thing):
    """A marked release; `sha256` is that of its manifest.

    Attributes:
        manifest: The private manifest.
        released: The released file or folder; default: as the release.json beside the manifest says.
        text_column: Column of the texts.
        key: Key file; with it every choice is drawn anew.
        recipient: Whose copy it is; needs the key.
        commitment: The release.json as it was published; default: in ../release/ of the manifest.
        timestamps: RFC 3161 answers over the commitment.
        published_at: When the release was published.
    """

    manifest: PathText
    released: PathText | None = None
    text_column: Words = "text"
    key: PathText | None = None
    recipient: Words | None = None
    commitment: PathText | None = None
    timestamps: tuple[PathText, ...] = ()
    published_at: Time = ""


class Transcript(_Thing):
    """A training order; `sha256` is the digest that findings name.

    Attributes:
        path: The transcript, or the folder of a sealed recording.
        disclosed: Sequences and salts behind digests.
        commitments: The commitments.json as it was published.
        timestamps: RFC 3161 answers over it.
        published_at: When it was published.
    """

    path: PathText
    disclosed: PathText | None = None
    commitments: PathText | None = None
    timestamps: tuple[PathText, ...] = ()
    published_at: Time = ""


class Retraining(_Thing):
    """Runs of one training in several orders; `sha256` is that of its job.json.

    Attributes:
        path: Folder that `palimpsest retrain` filled.
        released: The model that was released, to hold the true run against.
        device: Where the runs are asked.
    """

    path: PathText
    released: PathText | None = None
    device: Words = "auto"


class Run(_Thing):
    """A run of `influence score --all`; `sha256` is that of its run.json.

    Attributes:
        folder: The run.
        claimed: File of the claimed documents' ids, one per line.
        role: What it is to the audit.
    """

    folder: PathText
    claimed: PathText
    role: Literal["suspect", "innocent", "positive"] = "suspect"


class Texts(_Thing):
    """Texts: a dataset under suspicion, what a suspect wrote, texts held out.

    Attributes:
        path: .txt, .parquet, .jsonl or .csv, or a folder of such tables.
        text_column: Column of the texts.
        role: What they are to the audit; `material` is what tests use and do not test.
        appeared_at: When they were first seen.
    """

    path: PathText
    text_column: Words = "text"
    role: Literal["suspect", "innocent", "positive", "material"]
    appeared_at: Time = ""


class Model(_Thing):
    """A model; see the options of `watermark detect` for how it is reached.

    Attributes:
        model: Folder, owner/model on the hub, https://host/v1#model, or a .parquet of recorded answers.
        role: What it is to the audit.
        appeared_at: When it was first seen.
    """

    model: PathText
    role: Literal["suspect", "reference", "innocent", "positive"]
    device: Words = "auto"
    dtype: Literal["float32", "bfloat16", "float16", "int8"] = "float32"
    adapter: PathText | None = None
    context: int | None = Field(default=None, ge=1)
    token_variable: Words | None = None
    timeout: float = Field(default=60.0, gt=0)
    at_once: int = Field(default=4, ge=1)
    start: Text = ""
    longest: int | None = Field(default=None, ge=2)
    chat: bool = False
    appeared_at: Time = ""

    @property
    def is_endpoint(self) -> bool:
        """Whether it is reached over a network."""
        return self.model.lower().startswith(("http://", "https://"))


class Audit(Strict):
    """The whole file."""

    format: Literal["bookplate-audit/1"]
    report_id: Words
    title: Words
    subject: Text = ""
    profile: Literal["none", "frcp26", "cpr35", "crimpr19", "eu"] = "none"
    standing: Literal["draft", "final"] = "draft"
    parties: tuple[PartyNamed, ...] = ()
    instructions: Text = ""
    conflicts: Text = ""
    opinions: tuple[Text, ...] = ()
    alpha: float = Field(gt=0, lt=1)
    correction: Literal["holm"] = "holm"
    previous_statement: Digest = ""
    timestamps: tuple[PathText, ...] = ()
    budget: Limits = Limits()
    datasets: dict[Name, Dataset] = Field(default_factory=dict)
    transcripts: dict[Name, Transcript] = Field(default_factory=dict)
    retrainings: dict[Name, Retraining] = Field(default_factory=dict)
    runs: dict[Name, Run] = Field(default_factory=dict)
    texts: dict[Name, Texts] = Field(default_factory=dict)
    models: dict[Name, Model] = Field(default_factory=dict)
    tests: dict[Name, PlannedKind] = Field(min_length=1)

    def section(self, name: str) -> Mapping[str, Any]:
        """What is defined in a section, by name."""
        found: Mapping[str, Any] = getattr(self, name)
        return found

    def suspects_of(self, test: PlannedKind) -> tuple[str, ...]:
        """The suspects of a test, in the order of registration."""
        if test.suspects != "all":
            return tuple(test.suspects)
        defined = self.section(test.SUBJECTS)
        return tuple(name for name, thing in defined.items() if thing.role == "suspect")

    def normalised(self) -> dict[str, Any]:
        """The file as JSON with every default written out."""
        return self.model_dump(mode="json", by_alias=True)

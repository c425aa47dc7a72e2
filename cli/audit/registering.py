"""Registration: the SHA-256 of the audit file's bytes fixes every test, direction, threshold and seed.

Nobody chooses a seed. It is the first 53 bits of SHA-256(digest of the file, line feed, id of the test), an
integer that every reader of JSON sees alike. A seed that suits a result cannot be looked for without
registering another file, and each file that was stamped or logged shows.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...display import visible
from ...errors import InvalidInput, VerificationError
from ...provenance.bundle import layout
from ...provenance.bundle.registration import PlannedTest, Registration
from ...stats.report import AuditReport, RegisteredTest
from .lines import LARGEST, Document, Place
from .planned import PlannedKind
from .propositions import weighed_by
from .reading import read_audit
from .schema import Audit, Dataset

__all__ = [
    "PLACEHOLDER",
    "Pair",
    "Registered",
    "Role",
    "registered_for",
    "registered_in",
    "registration_of",
    "seed_of",
]

PLACEHOLDER = "FILL IN"  # of the example, for what only its user can say
Role = str  # suspect, innocent or positive
_SEED_BITS = 53  # 2**53 - 1 is the largest integer that a double, and so JavaScript, holds
_RELEASE = ("release", "release.json")  # beside the folder of the manifest


def seed_of(pre_registration: str, test: str) -> int:
    """The seed of one test, in [0, 2**53).

    Args:
        pre_registration: SHA-256 of the audit file, hexadecimal.
        test: Id of the test.
    """
    digest = hashlib.sha256(f"{pre_registration}\n{test}".encode()).digest()
    return int.from_bytes(digest[:8]) >> (64 - _SEED_BITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One test of one model, text or run.

    Attributes:
        id: `TEST.SUBJECT`; a file name on every system.
        test: Name of the test.
        planned: The test.
        subject: Name of what is tested.
        section: Under which it is defined: models, texts or runs.
        role: suspect, innocent or positive: only those of suspects are registered tests.
        seed: Of all random numbers of this test.
    """

    id: str
    test: str
    planned: PlannedKind
    subject: str
    section: str
    role: Role
    seed: int

    @property
    def references(self) -> tuple[str, ...]:
        """Models that this one is compared with: no control is its own reference."""
        return tuple(name for name in self.planned.references if name != self.subject)


@dataclass(frozen=True)
class Registered:
    """An audit file that was read, and all that follows from its bytes.

    Attributes:
        path: The file.
        data: Its bytes, as they were read.
        audit: What it says.
        document: Its values with their lines.
        warnings: What its author should look at again.
    """

    path: Path
    data: bytes
    audit: Audit
    document: Document
    warnings: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> "Registered":
        """Read an audit file.

        Raises:
            InvalidInput: If it cannot be read, or is none; see `read_audit`.
        """
        try:
            with path.open("rb") as file:
                data = file.read(LARGEST + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise InvalidInput(f"{visible(str(path))}: cannot be read: {reason}") from None
        audit, document, warnings = read_audit(data, path.name)
        return cls(path, data, audit, document, warnings)

    @cached_property
    def pre_registration(self) -> str:
        """SHA-256 of the file's bytes, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Every registered test of every suspect, in order of registration."""
        return tuple(
            self._pair(name, suspect, "suspect")
            for name, test in self.audit.tests.items()
            for suspect in self.audit.suspects_of(test)
        )

    @cached_property
    def controls(self) -> tuple[Pair, ...]:
        """The same tests of the innocent and the positive controls; they are no registered tests."""
        return tuple(
            self._pair(name, subject, role)
            for name, test in self.audit.tests.items()
            for role, subjects in (("innocent", test.innocent), ("positive", test.positive))
            for subject in subjects
        )

    @property
    def sequential_alpha(self) -> float:
        """The level that tests which stop early stop at: what Holm asks of the first of all tests."""
        return self.audit.alpha / len(self.pairs)

    def registered_tests(self) -> tuple[RegisteredTest, ...]:
        """What the report says of the registered tests, in order of registration."""
        return tuple(self._registered(pair) for pair in self.pairs)

    def resolved(self, name: str) -> Path:
        """A path of the file: relative to its folder."""
        return self.path.parent / name

    def model_address(self, name: str) -> str:
        """What opens a model: paths are relative to the file's folder, hub ids and addresses stay."""
        model = self.audit.models[name]
        if model.is_endpoint:
            return model.model
        path, mark, column = model.model.partition(".parquet#")
        local = self.resolved(f"{path}.parquet" if mark else path)
        if local.exists() or not _is_hub_id(model.model):
            return f"{local}#{column}" if mark else str(local)
        return model.model

    def commitment_of(self, dataset: str) -> Path | None:
        """The release.json that commits to a dataset, or None if there is none at hand."""
        defined: Dataset = self.audit.datasets[dataset]
        if defined.commitment is not None:
            return self.resolved(defined.commitment)
        default = self.resolved(defined.manifest).resolve().parent.parent.joinpath(*_RELEASE)
        return default if default.exists() else None

    def files(self) -> Iterator[tuple[str, Path]]:
        """Every file or folder that the audit names: where it is named, and where it lies.

        Endpoints and models on the hub are none.
        """
        audit = self.audit
        for section in ("datasets", "transcripts", "retrainings", "runs", "texts"):
            for name, thing in audit.section(section).items():
                for field in ("manifest", "path", "folder", "claimed", "released", "key"):
                    if value := getattr(thing, field, None):
                        yield f"{section}.{name}.{field}", self.resolved(value)
                for field in ("commitment", "commitments", "disclosed"):
                    if value := getattr(thing, field, None):
                        yield f"{section}.{name}.{field}", self.resolved(value)
                for stamp in getattr(thing, "timestamps", ()):
                    yield f"{section}.{name}.timestamps", self.resolved(stamp)
        for name, model in audit.models.items():
            address = self.model_address(name)
            if not model.is_endpoint and not (address == model.model and _is_hub_id(address)):
                local = address.partition(".parquet#")
                yield f"models.{name}.model", Path(f"{local[0]}.parquet" if local[1] else local[0])
            if model.adapter is not None:
                yield f"models.{name}.adapter", self.resolved(model.adapter)
        for stamp in audit.timestamps:
            yield "timestamps", self.resolved(stamp)

    def missing(self) -> list[tuple[str, Path]]:
        """Those of `files` that are not there, but for answers over the audit file itself.

        An authority gives these after the registration, and the file must not change to name them.
        """
        return [
            (where, path)
            for where, path in self.files()
            if where != "timestamps" and not path.exists()
        ]

    def placeholders(self) -> list[tuple[int, str]]:
        """What of the example was left to be filled in: line and field, in order of lines."""
        return sorted(
            (self.document.line(place), ".".join(visible(str(part)[:60]) for part in place))
            for place, text in _texts_in(self.document.data, ())
            if PLACEHOLDER in text
        )

    def _pair(self, test: str, subject: str, role: Role) -> Pair:
        planned, id_ = self.audit.tests[test], f"{test}.{subject}"
        return Pair(
            id=id_,
            test=test,
            planned=planned,
            subject=subject,
            section=planned.SUBJECTS,
            role=role,
            seed=seed_of(self.pre_registration, id_),
        )

    def _registered(self, pair: Pair) -> RegisteredTest:
        planned = pair.planned
        weighed = weighed_by(planned, pair.subject)
        return RegisteredTest(
            test=pair.id,
            kind=planned.kind,
            suspect=pair.subject,
            question=weighed.question,
            proposition=weighed.claim,
            counter_proposition=weighed.counter,
            direction=planned.DIRECTION,
            settings=self._settings(pair),
            smallest_effect=planned.smallest_effect,
            power=planned.power,
            power_source=planned.power_source,
            material=next((getattr(planned, field) for field in planned.USES), ""),
        )

    def _settings(self, pair: Pair) -> str:
        """Everything else that was fixed, defaults too, in words."""
        planned = pair.planned
        parts = []
        for field in ("dataset", "transcript", "retraining"):
            if value := getattr(planned, field, ""):
                parts.append(f"{field}: {value}")
        if hasattr(planned, "compared_with"):
            parts.append(f"references: {', '.join(pair.references) or 'none'}")
        for name, defined in type(planned).model_fields.items():
            if defined.description:
                parts.append(f"{defined.description}: {_said(getattr(planned, name))}")
        if planned.kind.endswith("sequential"):
            parts.append(f"stops at an e-value of {1 / self.sequential_alpha:g}")
        parts.append(f"seed: {pair.seed} (follows from the registration)")
        return "; ".join(parts)


def _texts_in(value: object, place: Place) -> Iterator[tuple[Place, str]]:
    """Every text of a document, with what leads to it; `read_yaml` bounds the depth."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts_in(item, (*place, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts_in(item, (*place, number))


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not set" if value is None else str(value)


def _is_hub_id(name: str) -> bool:
    """Whether `open_suspect` would look for a name on the hub."""
    return name.count("/") == 1 and not name.startswith(("/", ".", "~")) and ".parquet" not in name


def registered_in(data: bytes) -> Registered:
    """The registration in a bundle's audit file; the files that it names are not at hand.

    Raises:
        InvalidInput: If the bytes are no audit file.
    """
    audit, document, warnings = read_audit(data, "audit.yaml")
    return Registered(Path("audit.yaml"), data, audit, document, warnings)


def registered_for(
    report: AuditReport, names: Sequence[str], read: Callable[[str, int], bytes]
) -> Registered | None:
    """The registration that a report in a bundle answers; None if it answers none.

    Args:
        report: The report.
        names: All files of the bundle.
        read: Reads one of them, of at most so many bytes.

    Raises:
        VerificationError: If the bundle's audit file is none.
    """
    if report.case is None or layout.AUDIT not in names:
        return None
    try:
        return registered_in(read(layout.AUDIT, LARGEST))
    except InvalidInput as error:
        raise VerificationError(str(error)) from None


def registration_of(data: bytes) -> Registration:
    """What a verification compares a report with, from the bytes of an audit file alone.

    Needs no model, and none of the libraries that open one.

    Args:
        data: The bytes.

    Raises:
        InvalidInput: If they are no audit file.
    """
    registered = registered_in(data)
    return Registration(
        alpha=registered.audit.alpha,
        correction=registered.audit.correction,
        tests=tuple(
            PlannedTest(
                id=pair.id,
                kind=pair.planned.kind,
                suspect=pair.subject,
                alternative=pair.planned.DIRECTION,
                power=pair.planned.power,
            )
            for pair in registered.pairs
        ),
    )

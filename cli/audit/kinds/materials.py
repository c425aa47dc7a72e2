"""What the tests take: datasets, transcripts, texts and models, each opened once and held to its digest."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ....display import visible
from ....errors import VerificationError
from ....files import sha256_of_file
from ....stats import Input
from ...output import quiet_libraries
from ...partition_command import read_suspect_texts
from ...reaching import DtypeName, Reached, endpoint_of, open_model
from ...reporting import Attachment
from ..registering import Registered
from ..schema import Model
from .remembered import Remembered

if TYPE_CHECKING:
    from ....provenance.palimpsest import Transcript, TranscriptSource
    from ....provenance.suspect import Suspect
    from ....provenance.suspect.endpoint import Budget
    from ....watermark.evidence import Evidence

__all__ = ["Acquisition", "Materials", "reached"]

Acquisition = Callable[[str, Input], object]  # told of everything that is opened, once


def reached(model: Model, adapter: Path | None) -> Reached:
    """How a model of the audit file is reached."""
    return Reached(
        device=model.device,
        dtype=DtypeName(model.dtype),
        adapter=adapter,
        context=model.context,
        token_variable=model.token_variable,
        timeout=model.timeout,
        at_once=model.at_once,
        start=model.start,
        longest=model.longest,
        chat=model.chat,
    )


@dataclass(slots=True)
class Materials:
    """Everything the tests of one audit take; models stay open until they are let go.

    Attributes:
        registered: The audit.
        budget: What all endpoints together may cost.
        acquired: Told of each thing that is opened, under the name it has in the file.
    """

    registered: Registered
    budget: "Budget"
    acquired: Acquisition = lambda name, identity: None
    _evidence: "dict[str, Evidence]" = field(default_factory=dict)
    _models: "dict[str, Suspect]" = field(default_factory=dict)
    _references: "dict[str, Suspect]" = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)

    def evidence(self, name: str) -> "Evidence":
        """Manifest and texts of a dataset; of a recipient's copy where the file names one."""
        if name not in self._evidence:
            self._evidence[name] = self._read_evidence(name)
        return self._evidence[name]

    def transcript_path(self, name: str) -> Path:
        """Where a transcript lies; it was held against its published commitments, if there are any.

        Raises:
            VerificationError: If it is not the one committed to.
        """
        from ....provenance.palimpsest.recording.commitments import Commitments
        from ....provenance.palimpsest.recording.rows import transcript_commitment

        defined = self.registered.audit.transcripts[name]
        path = self.registered.resolved(defined.path)
        if defined.commitments is not None and f"sealed {name}" not in self._known:
            published = Commitments.read(self.registered.resolved(defined.commitments))
            if published.transcript is None or published.transcript != transcript_commitment(path):
                raise VerificationError(
                    f"{name}: is not the transcript that {defined.commitments} commits to",
                    "give the transcript as it was sealed, and the commitments published after training",
                )
            self._known.add(f"sealed {name}")
        return path

    def disclosed(self, name: str) -> Path | None:
        """The file of sequences and salts behind a transcript of digests."""
        given = self.registered.audit.transcripts[name].disclosed
        return None if given is None else self.registered.resolved(given)

    def opened_transcript(self, name: str, source: "Transcript | TranscriptSource") -> None:
        """Hold a transcript that was read to the digest in the file."""
        identity = source.identity() if hasattr(source, "identity") else source.source
        self._told(name, identity, self.registered.audit.transcripts[name].sha256)

    def texts(self, name: str) -> tuple[list[str], Input, list[Attachment]]:
        """Texts, what identifies them, and the list of files that this stands for."""
        defined = self.registered.audit.texts[name]
        path = self.registered.resolved(defined.path)
        texts, identity, listing = read_suspect_texts(path, defined.text_column)
        self.known_texts(name, identity)
        return texts, identity, listing

    def known_texts(self, name: str, identity: Input) -> None:
        """Hold texts that were read to the digest in the file."""
        self._told(name, identity, self.registered.audit.texts[name].sha256)

    def model(self, name: str) -> "Suspect":
        """A model, opened once."""
        if name not in self._models:
            defined = self.registered.audit.models[name]
            adapter = defined.adapter and self.registered.resolved(defined.adapter)
            how = reached(defined, adapter or None)
            quiet_libraries()
            address = self.registered.model_address(name)
            model = open_model(address, how, endpoint_of(how, self.budget), adapter=how.adapter)
            identity = getattr(model, "source", None) or model.identity
            self._told(name, identity, defined.sha256)
            self._models[name] = model
        return self._models[name]

    def reference(self, name: str) -> "Suspect":
        """A model that others are compared with: what it is asked again, it is not asked anew."""
        if name not in self._references:
            self._references[name] = Remembered(self.model(name))
        return self._references[name]

    def endpoints(self) -> dict[str, str]:
        """Digest of what each opened endpoint has told of itself, by its name."""
        models = self.registered.audit.models
        return {
            name: model.identity.sha256
            for name, model in self._models.items()
            if models[name].is_endpoint
        }

    def let_go(self, name: str) -> None:
        """Close a model that no further test needs."""
        self._models.pop(name, None)
        self._references.pop(name, None)

    def opened_runs(self, name: str, job: Input, expected: str) -> None:
        """Hold runs in several orders to the digest in the file."""
        self._told(name, job, expected)

    def file(self, name: str, path: Path, expected: str) -> Input:
        """A file of the audit, by its digest."""
        identity = Input(name=visible(path.name), sha256=sha256_of_file(path))
        self._told(name, identity, expected)
        return identity

    def _read_evidence(self, name: str) -> "Evidence":
        from ....watermark.evidence import load_evidence
        from ....watermark.keys import MarkingKey
        from ....watermark.recipients import commitments_in, copies_of

        defined = self.registered.audit.datasets[name]
        resolved = self.registered.resolved
        self.file(name, resolved(defined.manifest), defined.sha256)
        key = None if defined.key is None else MarkingKey.read(resolved(defined.key))
        published = defined.commitment and resolved(defined.commitment)
        recipient = defined.recipient
        evidence = load_evidence(
            resolved(defined.manifest),
            released=None if defined.released is None else resolved(defined.released),
            key=key,
            text_column=defined.text_column,
            commitment=None if recipient is not None else published or None,
        )
        if recipient is None or key is None:
            return evidence
        committed = commitments_in([published] if published else [])
        ((_, copy),) = copies_of(evidence, key, [recipient], committed=committed)
        return copy

    def _told(self, name: str, identity: Input, expected: str) -> None:
        if expected and identity.sha256 != expected:
            raise VerificationError(
                f"{name}: its digest is {identity.sha256}, not the {expected} that was registered",
                "bring back what was registered, or register what is there under another name",
            )
        if name not in self._known:
            self.acquired(name, identity)  # who may refuse it
            self._known.add(name)

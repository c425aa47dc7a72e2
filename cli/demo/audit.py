"""The demo's audit: a file that registers every test, run, signed, and checked as a stranger would."""

import shutil
from pathlib import Path

from ...provenance.bundle.verification import Verification, verify
from ...provenance.custody import SigningKey
from ...stats.report import AuditReport
from ..audit.assembly import assemble
from ..audit.linking import LINK_CHECKS
from ..audit.registering import Registered, registration_of
from ..audit.running import Job, run
from ..reporting import now

__all__ = ["AUDIT_FILE", "BUNDLE", "audit"]

AUDIT_FILE, BUNDLE = "AUDIT.yaml", "evidence"

_TEXT = """\
format: bookplate-audit/1
report_id: bookplate-demo
title: "Bookplate demonstration: five models, three questions"
subject: >-
  Five small language models trained for this demonstration. The claimant owns the docstrings of SciPy,
  released with a secret mark, and a model called base, whose training order was drawn at random and
  recorded. guilty was trained on the marked release; derivative was fine-tuned from base; innocent and
  stranger have nothing of the claimant's mark or order, although stranger was trained on the unmarked
  originals.
profile: none
parties:
- {role: claimant, name: The demo}
- {role: author, name: A program, details: "no expert has looked at this report"}
opinions:
- "The models are tiny and were trained minutes before the audit; larger models remember differently."
- "Key, order, release and models were made by one program on one machine, on whose word all times stand."
alpha: 0.01
datasets:
  scipy: {manifest: marked/private/manifest.parquet, key: key.json}
transcripts:
  base-order: {path: transcript.parquet}
runs:
  densities: {folder: influence/run, claimed: influence/claimed.txt}
models:
  guilty: {model: models/guilty, role: suspect, device: cpu}
  innocent: {model: models/innocent, role: suspect, device: cpu}
  base: {model: models/base, role: suspect, device: cpu}
  derivative: {model: models/derivative, role: suspect, device: cpu}
  stranger: {model: models/stranger, role: suspect, device: cpu}
  neighbour: {model: models/neighbour, role: reference, device: cpu}
tests:
  mark: {kind: watermark, dataset: scipy, references: [neighbour]}
  order: {kind: order, transcript: base-order, references: [neighbour]}
  influence: {kind: influence}
"""


def audit(folder: Path, signer: Path) -> tuple[AuditReport, Verification]:
    """Register, run, sign and verify.

    Args:
        folder: The demo's output with release, manifest, key, transcript, models and the influence run.
        signer: The private key that signs; its public half is laid into the folder.

    Returns:
        The report, and what a stranger finds who has the bundle and the public key.
    """
    path = folder / AUDIT_FILE
    path.write_text(_TEXT, encoding="utf-8")
    key = SigningKey.read(signer)
    (folder / "signer.pub").write_bytes(key.public.to_pem())
    registered = Registered.read(path)
    command = f"bookplate audit {AUDIT_FILE} --sign signer.key"
    job = Job(
        registered=registered,
        work=folder / f"{AUDIT_FILE}.work",
        log=folder / "custody.jsonl",
        who="bookplate demo",
        command=(command,),
    )
    report = assemble(
        registered,
        run(job),
        folder / BUNDLE,
        signing_key=key,
        log=job.log,
        chains=(),
        created=now(),
        who=job.who,
        command=command,
    )
    shutil.rmtree(job.work)  # what it kept is in the bundle
    return report, verify(
        folder / BUNDLE,
        keys=[key.public],
        read_registration=registration_of,
        link_checks=LINK_CHECKS,
    )

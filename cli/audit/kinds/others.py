"""Influence of claimed documents, and dataset inference."""

from ....errors import InvalidInput
from ...reporting import Attachment, accounts_of
from ..planned import InfluenceTest, MembershipTest
from ..registering import Pair
from .marks import models_of
from .materials import Materials
from .tested import Tested

__all__ = ["influence", "membership"]


def influence(pair: Pair, planned: InfluenceTest, materials: Materials) -> Tested:
    """Do claimed documents influence a behaviour more than matched controls?"""
    from ....provenance.influence.records import RECORD
    from ...influence_audit_command import audited_run

    registered = materials.registered
    defined = registered.audit.runs[pair.subject]
    folder = registered.resolved(defined.folder)
    if (folder / RECORD).exists():
        materials.file(pair.subject, folder / RECORD, defined.sha256)
    _, queries, found = audited_run(
        folder,
        registered.resolved(defined.claimed),
        seed=pair.seed,
        length_bins=planned.length_bins,
        randomised=planned.randomised,
    )
    if planned.query is not None:
        if planned.query not in queries:
            raise InvalidInput(
                f"{pair.subject}: no query {planned.query!r:.80} in it",
                f"it has {', '.join(map(repr, queries))[:200]}",
            )
        return Tested(found.findings[queries.index(planned.query)])
    return Tested(found.findings[0] if found.pooled is None else found.pooled)


def membership(pair: Pair, planned: MembershipTest, materials: Materials) -> Tested:
    """Texts under test against texts held out at random.

    Where words tell the two sets apart, the test is carried out and its assumption is said to have failed.
    """
    from ....provenance.membership import Score, dataset_inference
    from ....provenance.suspect import TokenReader
    from ....watermark.neighbours import neighbours
    from ...csv_files import csv_file

    texts, identity, listing = materials.texts(planned.texts)
    held_out, of_held_out, _ = materials.texts(planned.held_out)
    inputs = [identity, of_held_out]
    scores = None if planned.scores is None else [Score(name) for name in planned.scores]
    options: dict[str, object] = {"scores": scores, "share": planned.share}
    if planned.prefix is not None:
        shots, of_shots, _ = materials.texts(planned.prefix)
        options["prefix"] = "\n\n".join(shots)
        inputs.append(of_shots)
    if planned.frequencies is not None:
        options["frequency_texts"], of_corpus, _ = materials.texts(planned.frequencies)
        inputs.append(of_corpus)
    if planned.neighbours:
        options["neighbours"] = [
            neighbours(text, count=planned.neighbours, seed=pair.seed)
            for text in (*texts, *held_out)
        ]
    model, references = models_of(pair, materials)
    if not isinstance(model, TokenReader):
        raise InvalidInput(
            f"{pair.subject}: does not tell the probabilities of tokens",
            "membership scores need a suspect that does",
        )
    found = dataset_inference(
        texts, held_out, model, seed=pair.seed, force=True, references=references, **options
    )
    finding = found.finding.about(inputs=(*inputs, *found.finding.inputs))
    attachments = [*listing, *accounts_of((model, *references))]
    if found.scores is not None:
        frame = found.scores.frame
        attachments.append(
            Attachment(
                "membership_scores.csv",
                csv_file(frame.columns, frame.iter_rows()),
                f"Membership scores: {len(texts):,} texts under test, then {len(held_out):,} held out; a "
                "higher score speaks for membership.",
            )
        )
    return Tested(finding, tuple(attachments))

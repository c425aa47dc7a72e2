"""An audit whose scores are made up: everything but the models is real, so that no test has to train any."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
from bookplate.cli.audit.assembly import assemble
from bookplate.cli.audit.outcomes import Outcome, how_it_ended
from bookplate.cli.audit.registering import Registered
from bookplate.cli.audit.wordings import WORDINGS
from bookplate.cli.reporting import now
from bookplate.provenance.custody import SigningKey
from bookplate.provenance.custody import log as custody_log
from bookplate.provenance.palimpsest import Transcript
from bookplate.stats import Alternative, Input, spearman_test
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.detect import unit_test
from bookplate.watermark.disclosure import check_rows, write_rows_exhibit
from bookplate.watermark.embed import embed
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.marking import Marking, Unit
from bookplate.watermark.release import Release
from bookplate.watermark.scoring import UnitScores

WORDS = (
    "profitably couple slogan remembered prospering often number large quick begin start help show"
)
KEY = SigningKey.generate()
AUDIT = """\
format: bookplate-audit/1
report_id: case-7
title: Audit of two models
alpha: 0.01
parties:
- {role: claimant, name: The Owner}
datasets:
  reviews: {manifest: marked/private/manifest.parquet, key: key.json}
transcripts:
  run: {path: transcript.parquet}
models:
  guilty: {model: models/guilty, role: suspect}
  innocent: {model: models/innocent, role: suspect}
  stranger: {model: models/stranger, role: innocent}
tests:
  mark: {kind: watermark, dataset: reviews, innocent: [stranger]}
  order: {kind: order, transcript: run, suspects: [guilty, innocent], smallest_effect: a fine-tune,
    power: 0.95, power_source: earlier runs}
"""


def laid_out(folder, text=AUDIT):
    """A marked dataset, its key, a transcript and the audit file; models are named and not there."""
    rng = np.random.default_rng(1)
    words = WORDS.split()
    texts = [" ".join(rng.choice(words, 12)).capitalize() + "." for _ in range(60)]
    pl.DataFrame({"text": texts}).write_parquet(folder / "reviews.parquet")
    key = MarkingKey(bytes(range(32)), b"s" * 32)
    key.save(folder / "key.json")
    embed(
        folder / "reviews.parquet", folder / "marked", key, Marking(unit=Unit.SHARD, shards=4),
        candidates=LexiconSource(Lexicon.shipped(Tier.BROAD)),
    )  # fmt: skip
    Transcript.write(
        folder / "transcript.parquet", list(range(60)), [[i, i + 1] for i in range(60)]
    )
    (folder / "AUDIT.yaml").write_text(text)
    return Registered.read(folder / "AUDIT.yaml")


def worded(finding, pair):
    """In the words of its kind, as `query_test` and the like say it; blanks filled with something."""
    due = WORDINGS[pair.planned.kind]
    filled = [
        text.replace("token*", "token").replace("*", "whole sequences")
        for text in (*due.assumptions, *due.warnings)
    ]
    sample = getattr(pair.planned, "sample", None)
    drawn = (f"All {sample} sequences of the transcript were used.",) if sample else ()
    return finding.about(
        name=f"{due.names[0].replace('*', 'likelihood')} ({pair.test})",
        question=due.question.replace("*", pair.subject),
        null=due.nulls[finding.working.test],
        unit=due.units[0],
        assumptions=(*filled[: len(due.assumptions)], *drawn),
        warnings=(*finding.warnings, *filled[len(due.assumptions) :]),
    )


def mark_finding(folder, *, guilty, seed):
    """Made-up scores of the committed units, as the keyed test would have them."""
    marked = folder / "marked"
    rows = folder / f"rows-{seed}.jsonl.gz"
    write_rows_exhibit(marked / "private" / "manifest.parquet", rows)
    units = check_rows(rows, Release.read(marked / "release" / "release.json"))
    rows.unlink()
    rng = np.random.default_rng(4)
    names = sorted(units)
    chosen = np.array([units[n].choice for n in names])
    values = [rng.normal(size=len(units[n].choices)) for n in names]
    for value, choice in zip(values, chosen, strict=True):
        value[choice] += 3 * guilty
    scores = UnitScores(
        names=tuple(names),
        values=tuple(values),
        frequencies=tuple(-np.log(2) * np.array(units[n].least) for n in names),
        chosen=chosen,
        n_slots=np.array([units[n].n_slots for n in names]),
    )
    return unit_test(scores, (), seed=seed).named(names, [units[n].choices for n in names])


def order_finding(*, seed):
    """Made-up likelihoods of a transcript's sequences, which do not follow their order."""
    scores = np.random.default_rng(5).normal(size=60)
    return spearman_test(np.arange(60.0), scores, alternative=Alternative.GREATER, seed=seed)


def outcomes_of(registered, folder):
    """guilty is found by its mark; its order test was not run; innocent is neither."""
    seeds = {pair.id: pair.seed for pair in registered.pairs}
    findings = {
        "mark.guilty": mark_finding(folder, guilty=True, seed=seeds["mark.guilty"]),
        "mark.innocent": mark_finding(folder, guilty=False, seed=seeds["mark.innocent"]),
        "order.innocent": order_finding(seed=seeds["order.innocent"]),
    }
    (control_seed,) = (pair.seed for pair in registered.controls)
    outcomes = []
    for pair in registered.pairs:
        made = Outcome(
            test=pair.id,
            started=now(),
            finished=now(),
            finding=worded(findings[pair.id], pair) if pair.id in findings else None,
            reason="" if pair.id in findings else "The weights could not be read.",
        )
        if pair.test == "mark":
            told = Input(name="reviews", sha256="ab" * 32)
            control = mark_finding(folder, guilty=False, seed=control_seed)
            made = replace(made, controls={"stranger": control}, examined=(told,))
        outcomes.append(made)
    return outcomes


def edited(path, change):
    """Change a JSON file in place."""
    data = json.loads(path.read_bytes())
    change(data)
    path.write_bytes(json.dumps(data, sort_keys=True, separators=(",", ":")).encode() + b"\n")


def assembled(
    folder, out, *, signing_key=KEY, text=AUDIT, chains=(), change=lambda outcomes: outcomes
):
    """The bundle of an audit, with a log as `running` keeps it."""
    registered = laid_out(folder, text)
    outcomes = change(outcomes_of(registered, folder))
    audit = registered.pre_registration
    custody_log.append(folder / "log.jsonl", "registration", who="x", details={"sha256": audit})
    for outcome in outcomes:
        how = how_it_ended(reason=outcome.reason, failed_assumption=outcome.failed_assumption)
        what = f"test {outcome.test} ended: {how}"
        told = {"what": what, "test": outcome.test, "audit": audit, "outcome": "ab" * 32}
        custody_log.append(folder / "log.jsonl", "analysis", who="x", details=told)
    return assemble(
        registered,
        outcomes,
        out,
        signing_key=signing_key,
        log=folder / "log.jsonl",
        chains=chains,
        created=now(),
        who="x",
        command="bookplate audit AUDIT.yaml",
    )

"""Tests of the training order: on models, and on texts that a suspect wrote."""

from typing import TYPE_CHECKING

from ....display import visible
from ...reporting import accounts_of
from ..planned import OrderSequentialTest, OrderTest, PartitionTest, ReshuffleTest
from ..registering import Pair
from .marks import models_of, with_cost
from .materials import Materials
from .tested import Tested

if TYPE_CHECKING:
    from ....provenance.palimpsest import Transcript, Window
    from ....stats import Input

__all__ = ["order", "order_sequential", "partition", "reshuffle"]


def order(pair: Pair, planned: OrderTest, materials: Materials) -> Tested:
    """Does the likelihood of training sequences follow their order?"""
    from ....provenance.palimpsest import Covariate, QueryStatistic, query_test

    transcript, window = _read(pair, planned, materials)
    model, references = models_of(pair, materials)
    names = planned.covariates
    finding = query_test(
        transcript,
        model,
        seed=pair.seed,
        references=references,
        statistic=None if planned.statistic is None else QueryStatistic(planned.statistic),
        covariates=None if names is None else [Covariate(name) for name in names],
        window=window,
    )
    return Tested(finding, tuple(accounts_of((model, *references))))


def order_sequential(pair: Pair, planned: OrderSequentialTest, materials: Materials) -> Tested:
    """The same pair by pair, until the e-value is enough."""
    from ....provenance.palimpsest import query_sequentially

    transcript, window = _read(pair, planned, materials)
    model, references = models_of(pair, materials)
    found = query_sequentially(
        transcript,
        model,
        alpha=materials.registered.sequential_alpha,
        seed=pair.seed,
        references=references,
        window=window,
        budget=planned.budget,
    )
    cost = f"{found.n_scored:,} of {found.n_sequences:,} sequences were asked about"
    finding = with_cost(found.finding, cost, reached=found.reached)
    return Tested(finding, tuple(accounts_of((model, *references))))


def _read(
    pair: Pair, planned: OrderTest | OrderSequentialTest, materials: Materials
) -> "tuple[Transcript, Window]":
    """The transcript, or the sample of it, and the tokens that count."""
    from ....provenance.palimpsest import Sample, Sampling, Transcript, Window

    path = materials.transcript_path(planned.transcript)
    sample = None
    if planned.sample is not None:
        drawn = Sampling(planned.sampling)
        sample = Sample(size=planned.sample, sampling=drawn, seed=pair.seed)
    disclosed = materials.disclosed(planned.transcript)
    transcript = Transcript.read(path, sample, disclosed=disclosed)
    materials.opened_transcript(planned.transcript, transcript)
    return transcript, Window(planned.prefix_tokens, planned.window_tokens)


def partition(pair: Pair, planned: PartitionTest, materials: Materials) -> Tested:
    """Does a text share more words with late training sequences?"""
    from ....provenance.palimpsest import Covariate, Transcript, TranscriptSource
    from ....provenance.palimpsest.ngrams import MatchRule
    from ....provenance.palimpsest.partition import partition_test
    from ...partition_command import EngineName, disclosure_of, index_of, tokenizer_for

    path = materials.transcript_path(planned.transcript)
    disclosed = materials.disclosed(planned.transcript)
    source: Transcript | TranscriptSource = (
        TranscriptSource.open(path)
        if disclosed is None
        else Transcript.read(path, disclosed=disclosed)
    )
    materials.opened_transcript(planned.transcript, source)
    name = planned.tokenizer
    if name is not None and (local := materials.registered.resolved(name)).exists():
        name = str(local)
    cutter = tokenizer_for(source, name)
    texts, identity, listing = materials.texts(pair.subject)
    rule = MatchRule(
        longest=planned.longest,
        shortest=planned.shortest,
        most_occurrences=planned.most_occurrences,
    )
    with index_of(source, cutter, None, EngineName.SUFFIX_ARRAY) as index:
        found = partition_test(
            index,
            texts,
            cutter,
            seed=pair.seed,
            rule=rule,
            covariates=[Covariate(name) for name in planned.covariates],
            name=visible(pair.subject),
            inputs=(*disclosure_of(source), identity),
        )
    return Tested(found.finding, tuple(listing))


def reshuffle(pair: Pair, planned: ReshuffleTest, materials: Materials) -> Tested:
    """Does a text prefer the run in the true order to runs in others?"""
    from ....provenance.palimpsest import reshuffle_test
    from ....provenance.palimpsest.reshuffle import refuse_same_run
    from ....provenance.palimpsest.retraining import finished_runs
    from ...reaching import Reached
    from ...reshuffle_commands import Heard, about_the_runs, hear, names_of_runs

    registered = materials.registered
    defined = registered.audit.retrainings[planned.retraining]
    known = finished_runs(registered.resolved(defined.path))
    names = names_of_runs(known, None, None)
    released = None if defined.released is None else registered.resolved(defined.released)
    said, also = about_the_runs(known, names, released)
    materials.opened_runs(planned.retraining, known.job, defined.sha256)
    texts, identity, listing = materials.texts(pair.subject)
    innocent: list[str] = []
    controls: tuple[Input, ...] = ()
    if planned.controls is not None:
        innocent, of_controls, _ = materials.texts(planned.controls)
        controls = (of_controls,)
    heard: list[Heard] = []
    for name in names:
        heard.append(hear(name, [*texts, *innocent], Reached(device=defined.device)))
        refuse_same_run(heard)
    found = reshuffle_test(
        texts, heard[0], heard[1:], controls=innocent, name=visible(pair.subject)
    )
    finding = found.finding.about(
        inputs=(*found.finding.inputs, identity, *controls, *also),
        warnings=(*found.finding.warnings, *said),
    )
    return Tested(finding, tuple(listing))

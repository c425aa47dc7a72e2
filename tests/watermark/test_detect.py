"""Detection with made-up suspects, whose taste we know; real models are in tests/cli/test_demo.py."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput, VerificationError
from bookplate.stats import Input, adjust
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.detect import detect, detect_recipients
from bookplate.watermark.embed import embed, mark_texts
from bookplate.watermark.evidence import Evidence, load_evidence
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.manifest import digest_of
from bookplate.watermark.marking import Marking, Unit
from bookplate.watermark.scoring import score_units, unit_weights
from bookplate.watermark.tables import apply_edits
from scipy.stats import binom

BROAD = LexiconSource(Lexicon.shipped(Tier.BROAD))
BY_TYPE = Marking()
BY_RECORD = Marking(unit=Unit.RECORD, ghosts=9)
BY_SHARD = Marking(unit=Unit.SHARD, shards=3)
BY_SLOT = Marking(unit=Unit.SLOT)


def key_of(number):
    return MarkingKey(hashlib.sha256(b"key %d" % number).digest(), b"s" * 32)


def noise(*parts):
    """A number in (-1, 1) that depends on the parts alone."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8]) / 2**63 - 1


class Taste:
    """A suspect that likes some words better; by default only by a fixed whim of its own."""

    def __init__(self, name="suspect", bonus=lambda word: 0.0, whim=1.0):
        self.identity = Input(name=name, sha256=hashlib.sha256(name.encode()).hexdigest())
        self.name, self.bonus, self.whim, self.seen = name, bonus, whim, []

    def word(self, word):
        return self.whim * noise("shared", word) + 0.3 * noise(self.name, word) + self.bonus(word)

    def token_logprobs(self, sequences):
        self.seen += sequences
        return [np.array([self.word(w.strip(".,")) for w in text.split()]) for text in sequences]

    def choice_logprobs(self, texts, slots):
        self.seen += texts
        return [
            [np.array([self.word(choice) for choice in slot.choices]) for slot in places]
            for places in slots
        ]


@pytest.fixture(scope="module")
def texts(english):
    return english[:400]


def evidence_of(texts, key, marking):
    manifest = mark_texts(texts, key, marking, candidates=BROAD)
    return Evidence(manifest=manifest, originals={digest_of(text): text for text in texts})


def released_words(evidence):
    return {
        slot.released for r in evidence.manifest.records for slot in r.slots if slot.choice != 0
    }


class Memory(Taste):
    """A suspect that remembers whole texts, faintly."""

    def __init__(self, known):
        super().__init__("guilty")
        self.known = known

    def token_logprobs(self, sequences):
        scores = super().token_logprobs(sequences)
        return [s + 0.005 * (t in self.known) for s, t in zip(scores, sequences, strict=True)]


def released_texts(evidence, texts):
    by_original = evidence.manifest.by_original()
    records = [by_original[digest_of(text)] for text in texts]
    return {
        apply_edits(t, r.release_edits()) for t, r in zip(texts, records, strict=True) if r.slots
    }


def test_a_model_that_learnt_the_released_words_is_found(texts):
    evidence = evidence_of(texts, key_of(1), BY_TYPE)
    chosen = released_words(evidence)
    guilty = Taste("guilty", bonus=lambda word: 0.5 * (word in chosen))
    finding = detect(evidence, guilty, references=[Taste("reference")], seed=1)
    assert finding.log10_p < -4
    assert (finding.valid, finding.unit) == ("finite-sample", "word types")
    assert [i.name for i in finding.inputs] == ["guilty", "reference"]


def test_a_model_that_learnt_the_released_records_is_found(texts):
    evidence = evidence_of(texts, key_of(1), BY_RECORD)
    guilty = Memory(released_texts(evidence, texts))
    finding = detect(evidence, guilty, references=[Taste("reference")], seed=1)
    assert finding.log10_p < -4
    assert (finding.valid, finding.unit) == ("finite-sample", "records")


@pytest.mark.parametrize(
    ("marking", "unit"), [(BY_SHARD, "word types within a shard"), (BY_SLOT, "slots")]
)
def test_smaller_units_find_a_model_that_learnt_each_place(texts, marking, unit):
    """A bonus for the released word at its very place, as a model has that knows the text."""
    evidence = evidence_of(texts, key_of(1), marking)
    released = {
        (evidence.originals[r.record], s.start): s.released
        for r in evidence.manifest.records
        for s in r.slots
    }

    class Knows(Taste):
        def choice_logprobs(self, texts, slots):
            return [
                [
                    np.array([self.word(c) + 0.5 * (c == released[t, s.start]) for c in s.choices])
                    for s in places
                ]
                for t, places in zip(texts, slots, strict=True)
            ]

    finding = detect(evidence, Knows("guilty"), references=[Taste("reference")], seed=1)
    assert finding.log10_p < -4
    assert finding.unit == unit
    scores = score_units(evidence, Taste())
    assert finding.n == len(scores.names) > len(score_units(by_type(evidence), Taste()).names)


def by_type(evidence):
    return replace(
        evidence, manifest=replace(evidence.manifest, marking=BY_TYPE).redrawn(key_of(9))
    )


def test_of_ten_copies_the_leaked_one_is_named(texts):
    """The right one below 1e-6 as the issue asks, the others innocent; whichever copy's manifest is used."""
    names = [f"licensee {i}" for i in range(10)]
    owner = key_of(1)
    manifest = mark_texts(texts, owner, BY_TYPE, recipient=names[0], candidates=BROAD)
    evidence = Evidence(manifest=manifest, originals={digest_of(t): t for t in texts})
    leaked = replace(evidence, manifest=manifest.redrawn(owner.for_recipient(names[3])))
    chosen = released_words(leaked)
    guilty = Taste("guilty", bonus=lambda word: 1.0 * (word in chosen))
    found = dict(
        detect_recipients(
            evidence, guilty, key=owner, recipients=names, references=[Taste("reference")], seed=1
        )
    )
    adjusted = dict(zip(found, adjust(found.values(), method="holm"), strict=True))
    assert adjusted.pop(names[3]) < -6
    assert min(adjusted.values()) > -2
    assert len(guilty.seen) == len(set(guilty.seen))  # asked once for all ten


def test_by_record_each_copy_is_a_text_of_its_own(texts):
    names = ["A", "B", "C"]
    owner = key_of(1)
    evidence = evidence_of(texts, owner, BY_RECORD)
    leaked = replace(evidence, manifest=evidence.manifest.redrawn(owner.for_recipient("B")))
    guilty = Memory(released_texts(leaked, texts))
    found = dict(
        detect_recipients(
            evidence, guilty, key=owner, recipients=names, references=[Taste("reference")], seed=1
        )
    )
    assert found["B"].log10_p < -4
    assert min(found["A"].log10_p, found["C"].log10_p) > -2.5
    assert found["B"].question == "Was guilty trained on the copy that B got?"


def test_recipients_are_found_with_the_owners_key_only(texts):
    owner = key_of(1)
    manifest = mark_texts(texts[:40], owner, BY_TYPE, recipient="A", candidates=BROAD)
    evidence = Evidence(manifest=manifest, originals={digest_of(t): t for t in texts[:40]})
    with pytest.raises(VerificationError, match="recipient's own key"):
        detect_recipients(
            evidence, Taste(), key=owner.for_recipient("A"), recipients=["A", "B"], seed=1
        )
    with pytest.raises(VerificationError, match="this key did not mark"):
        detect_recipients(evidence, Taste(), key=key_of(2), recipients=["A", "B"], seed=1)
    with pytest.raises(InvalidInput, match="'A' is named twice"):
        detect_recipients(evidence, Taste(), key=owner, recipients=["A", "B", "A"], seed=1)
    with pytest.raises(InvalidInput, match="name at least one"):
        detect_recipients(evidence, Taste(), key=owner, recipients=[], seed=1)


def test_a_reference_removes_the_taste_that_models_share(texts):
    """Mean z over eight keys; shared taste is ten times the rest, so a reference should help much."""
    reference = Taste("reference", whim=3.0)
    alone, together = [], []
    for number in range(8):
        evidence = evidence_of(texts[:150], key_of(number), BY_TYPE)
        chosen = released_words(evidence)
        guilty = Taste("guilty", lambda word, chosen=chosen: 0.3 * (word in chosen), whim=3.0)
        alone.append(detect(evidence, guilty, seed=1).statistic.value)
        together.append(detect(evidence, guilty, references=[reference], seed=1).statistic.value)
    assert np.mean(together) > 2 * np.mean(alone)


@pytest.mark.parametrize(
    "marking", [BY_TYPE, BY_SHARD, BY_SLOT, BY_RECORD], ids=lambda marking: marking.unit.value
)
def test_an_innocent_model_is_seldom_accused(texts, marking):
    """Over many keys the p-values of one innocent model are uniform; fails by chance once in a million."""
    suspect, reference = Taste(), Taste("neighbour")
    base = evidence_of(texts[:40], key_of(0), marking)
    p_values = np.array([
        detect(
            replace(base, manifest=base.manifest.redrawn(key_of(k))),
            suspect,
            references=[reference],
            seed=k,
        ).p_value
        for k in range(100 if marking is BY_TYPE else 40)
    ])
    for level in (0.05, 0.2, 0.5):
        assert (p_values <= level).sum() <= binom.ppf(1 - 1e-6, p_values.size, level)
        assert (p_values >= 1 - level).sum() >= binom.ppf(1e-6, p_values.size, level)


def test_by_type_the_suspect_sees_originals_only(texts):
    """An innocent model that is shown released text would copy an earlier substitute."""
    evidence = evidence_of(texts, key_of(2), BY_TYPE)
    suspect = Taste()
    detect(evidence, suspect, seed=1)
    assert set(suspect.seen) <= set(texts)


def test_by_record_it_sees_the_released_text_and_its_ghosts(texts):
    evidence = evidence_of(texts[:30], key_of(2), BY_RECORD)
    suspect = Taste()
    detect(evidence, suspect, seed=1)
    released = released_texts(evidence, texts[:30])
    assert released <= set(suspect.seen)
    assert len(set(suspect.seen)) > 3 * len(released)


def test_unit_scores_are_means_over_slots(texts):
    evidence = evidence_of(texts, key_of(3), BY_TYPE)

    class Positional(Taste):
        def choice_logprobs(self, texts, slots):
            return [[s.start + np.arange(len(s.choices)) for s in places] for places in slots]

    scores = score_units(evidence, Positional())
    starts = {}
    for record in evidence.manifest.records:
        for slot in record.slots:
            starts.setdefault(slot.unit, []).append(slot.start)
    assert list(scores.names) == sorted(starts)
    for word, values, n in zip(scores.names, scores.values, scores.n_slots, strict=True):
        assert values[0] == pytest.approx(np.mean(starts[word]))
        assert n == len(starts[word])


def test_frequencies_are_those_of_the_table(texts):
    evidence = evidence_of(texts, key_of(3), BY_TYPE)
    scores = score_units(evidence, Taste())
    surprisals = {s.unit: s.surprisals for r in evidence.manifest.records for s in r.slots}
    for word, frequencies in zip(scores.names, scores.frequencies, strict=True):
        assert frequencies == pytest.approx(-np.log(2) * np.array(surprisals[word]))


def weights_by_definition(scores, known):
    """`unit_weights` unit by unit; what is known is regressed out by the normal equations."""
    base = [n / (n + 2) for n in scores.n_slots]
    rows, target = [], []
    for u, values in enumerate(scores.values):
        for i, value in enumerate(values):
            scale = base[u] / len(values) ** 0.5
            rows.append([scale * (k[u][i] - np.mean(k[u])) for k in known])
            target.append(scale * (value - np.mean(values)))
    a = np.array(rows)
    slopes = np.linalg.solve(a.T @ a, a.T @ np.array(target))
    variances = []
    for u, values in enumerate(scores.values):
        rest = values - np.mean(values)
        for slope, k in zip(slopes, known, strict=True):
            rest = rest - slope * (k[u] - np.mean(k[u]))
        variances.append(np.mean(rest**2))
    typical = np.average(variances, weights=base)
    return [b / (3 + v / typical) for b, v in zip(base, variances, strict=True)]


def test_weights_follow_their_definition(texts):
    evidence = evidence_of(texts, key_of(3), BY_TYPE)
    scores = score_units(evidence, Taste(whim=3.0))
    reference = score_units(evidence, Taste("reference", whim=3.0))
    for known in ([scores.frequencies], [scores.frequencies, reference.values]):
        expected = weights_by_definition(scores, known)
        assert unit_weights(scores, known) == pytest.approx(expected)


def test_weights_do_not_know_the_draw(texts):
    """Else the test would not be exact."""
    evidence = evidence_of(texts, key_of(3), BY_TYPE)
    scores = score_units(evidence, Taste())
    redrawn = replace(evidence, manifest=evidence.manifest.redrawn(key_of(4)))
    other = score_units(redrawn, Taste())
    assert not np.array_equal(scores.chosen, other.chosen)
    ours = unit_weights(scores, [scores.frequencies])
    assert np.array_equal(ours, unit_weights(other, [other.frequencies]))


def test_weights_of_units_that_say_nothing(texts):
    """A suspect that gives all words one score has no spread to compare with."""
    scores = score_units(evidence_of(texts, key_of(3), BY_TYPE), Taste(whim=0.0))
    flat = replace(scores, values=tuple(np.zeros(v.size) for v in scores.values))
    assert unit_weights(flat, []) == pytest.approx(scores.n_slots / (scores.n_slots + 2))
    assert detect(
        evidence_of(texts, key_of(3), BY_TYPE), Constant(), seed=1
    ).p_value == pytest.approx(1.0)


class Constant(Taste):
    def word(self, word):
        return -1.0


def test_taste_for_frequent_words_is_taken_out(texts):
    """Mean z over four keys of a suspect that likes frequent words, as all do, and a little the released."""
    z = []
    for number in range(4):
        evidence = evidence_of(texts[:150], key_of(number), BY_TYPE)
        bits = {
            choice: surprisal
            for r in evidence.manifest.records
            for s in r.slots
            for choice, surprisal in zip(s.choices, s.surprisals, strict=True)
        }
        chosen = released_words(evidence)
        guilty = Taste(
            "guilty", lambda w, b=bits, c=chosen: 0.3 * (w in c) - b.get(w, 0.0), whim=0.3
        )
        finding = detect(evidence, guilty, seed=1)
        z.append(finding.statistic.value)
    assert np.mean(z) > 2
    assert "after word frequency, in nats" in finding.effect.name
    other = detect(evidence, guilty, references=[Taste("reference")], seed=1)
    assert "after word frequency and 1 reference, in nats" in other.effect.name


class Deaf(Taste):
    """Gives no score of the places before a character."""

    def __init__(self, until):
        super().__init__()
        self._until = until

    def choice_logprobs(self, texts, slots):
        return [
            [
                np.full(len(s.choices), np.nan if s.start < self._until else 1.0 * i)
                for i, s in enumerate(p)
            ]
            for p in slots
        ]


def test_slots_with_nothing_before_them_are_left_out_and_counted(texts):
    evidence = evidence_of([f"Often {text}" for text in texts], key_of(3), BY_TYPE)
    first = sum(s.start == 0 for r in evidence.manifest.records for s in r.slots)
    assert first > 100
    finding = detect(evidence, Deaf(until=1), seed=1)
    assert f"{first} slots have no text before them" in " ".join(finding.warnings)


def test_a_suspect_cannot_leave_out_places_at_will(texts):
    """Which places count must not be for the other side to choose: it may know the release."""
    with pytest.raises(InvalidInput, match="gave no score of the place at character"):
        detect(evidence_of(texts, key_of(3), BY_TYPE), Deaf(until=300), seed=1)


def test_without_any_score_there_is_no_finding():
    with pytest.raises(InsufficientEvidence, match="no marked word"):
        detect(evidence_of(["Often it was."] * 2, key_of(3), BY_TYPE), Deaf(until=1), seed=1)


def test_a_reference_that_saw_the_release_is_refused(texts):
    evidence = evidence_of(texts, key_of(4), BY_TYPE)
    chosen = released_words(evidence)
    spoilt = Taste("spoilt", bonus=lambda word: 2.0 * (word in chosen), whim=0.2)
    with pytest.raises(InvalidInput, match="reference spoilt favours the released wording itself"):
        detect(evidence, Taste(), references=[spoilt], seed=1)
    assert not detect(evidence, Taste(), references=[Taste("clean")], seed=1).warnings


@pytest.fixture
def release(texts, tmp_path):
    source = tmp_path / "docs.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts[:60]))
    embed(source, tmp_path / "marked", key_of(5), BY_TYPE, candidates=BROAD)
    return tmp_path / "marked"


def manifest_of(release):
    return release / "private" / "manifest.parquet"


def test_evidence_is_read_and_checked(release):
    evidence = load_evidence(manifest_of(release), key=key_of(5))
    assert not evidence.warnings
    assert [i.name for i in evidence.inputs] == ["manifest.parquet", "release.json", "docs.jsonl"]
    for record in evidence.marked():
        assert digest_of(evidence.originals[record.record]) == record.record


def test_what_could_not_be_checked_is_said(release, tmp_path):
    assert "not drawn anew" in " ".join(load_evidence(manifest_of(release)).warnings)
    alone = tmp_path / "alone.parquet"
    alone.write_bytes(manifest_of(release).read_bytes())
    with pytest.raises(InvalidInput, match=r"no release\.json"):
        load_evidence(alone)
    evidence = load_evidence(alone, released=release / "release" / "docs.jsonl")
    assert "not held against its commitment" in " ".join(evidence.warnings)


def test_wrong_key_is_refused(release):
    with pytest.raises(VerificationError, match="this key did not mark"):
        load_evidence(manifest_of(release), key=key_of(6))


def test_release_of_another_manifest_is_refused(release, texts, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_bytes((tmp_path / "docs.jsonl").read_bytes())
    embed(other, tmp_path / "second", key_of(6), BY_TYPE, candidates=BROAD)
    (release / "release" / "release.json").write_bytes(
        (tmp_path / "second" / "release" / "release.json").read_bytes()
    )
    with pytest.raises(VerificationError, match="does not describe this manifest"):
        load_evidence(manifest_of(release))


def test_edited_text_is_refused(release):
    file = release / "release" / "docs.jsonl"
    file.write_text(file.read_text().replace(" the ", " teh ", 1))
    with pytest.raises(VerificationError, match="row 1 is not a released text"):
        load_evidence(manifest_of(release))

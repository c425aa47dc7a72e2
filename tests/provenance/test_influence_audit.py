"""Claimed documents against matched controls: false alarms, power, matching, refusals."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.provenance.influence.audit import influence_audit
from bookplate.provenance.influence.matching import by_document, strata_of
from bookplate.provenance.influence.results import InfluenceScores
from bookplate.provenance.influence.shares import share_of_positive, share_of_top
from bookplate.stats import Alternative, Finding, Validity, two_sample_test
from scipy.stats import binom, hypergeom, mannwhitneyu

QUICK = {"n_resamples": 199, "seed": 3}


def scored(queries, candidates, pairwise):
    return InfluenceScores(
        queries=tuple(queries),
        candidates=tuple(candidates),
        pairwise=np.asarray(pairwise, float),
        training_size=100,
        modules=("mlp",),
    )


def confounded(rng, n=600):
    """Claimed documents tend to be long, and influence grows with length: nothing else links them."""
    log_lengths = rng.normal(5, 1, n)
    claimed = rng.random(n) < 0.2 / (1 + np.exp(-2 * (log_lengths - 5)))
    lengths = np.exp(log_lengths)
    return lengths * (rng.standard_t(3, n) + 1), claimed, lengths


def slow_audit_p(x, claimed, lengths, strata):
    """The exact p of the audit of one stratum or more, from the module's docstring, by enumeration."""
    y = np.empty(len(x))
    for s in set(strata):
        i = [d for d in range(len(x)) if strata[d] == s]
        above = [
            sum(x[j] > x[d] for j in i) + sum(x[j] == x[d] for j in i if j != d) / 2 for d in i
        ]
        e = np.array([-np.log((k + 0.5) / len(i)) for k in above])
        line = np.polyfit(np.log(lengths[i]), e, 1)
        y[i] = e - np.polyval(line, np.log(lengths[i]))
    groups = [[d for d in range(len(x)) if strata[d] == s] for s in sorted(set(strata))]
    picks = [list(combinations(group, int(sum(claimed[d] for d in group)))) for group in groups]
    observed = y[claimed].sum()
    sums = [sum(y[d] for part in parts for d in part) for parts in product(*picks)]
    return np.mean([s >= observed - 1e-9 for s in sums])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_p_value_is_that_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    x, lengths = rng.standard_t(2, 14).round(1), rng.integers(20, 90, 14)
    sources = ["web"] * 8 + ["book"] * 6
    claimed = np.isin(np.arange(14), [0, 3, 4, 9, 12])
    audit = influence_audit(x, claimed, lengths, sources, seed=1)
    finding = audit.findings[0]
    assert finding.method == "exact"
    strata = np.array([0] * 8 + [1] * 6)
    assert finding.p_value == pytest.approx(slow_audit_p(x, claimed, lengths, strata), rel=1e-9)
    assert finding.p_value * comb(8, 3) * comb(6, 2) == pytest.approx(
        round(finding.p_value * comb(8, 3) * comb(6, 2))
    )


def test_false_alarms_where_length_drives_both_claim_and_influence():
    """5 % of 100 audits: the bound fails by chance once in 1,000. Unmatched, most would be alarms."""
    alarms = unmatched = 0
    for seed in range(100):
        x, claimed, lengths = confounded(np.random.default_rng(seed))
        audit = influence_audit(x, claimed, lengths, ["web"] * x.size, **QUICK)
        alarms += audit.findings[0].rejects(0.05)
        unmatched += mannwhitneyu(x[claimed], x[~claimed], alternative="greater").pvalue <= 0.05
    assert alarms <= binom.isf(0.001, 100, 0.05)
    assert unmatched > 50


def test_false_alarms_where_the_source_drives_both():
    alarms = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        book = rng.random(400) < 0.5
        claimed = rng.random(400) < np.where(book, 0.4, 0.05)
        x = rng.standard_t(2, 400) + 3 * book
        sources = np.where(book, "book", "web").tolist()
        audit = influence_audit(x, claimed, np.full(400, 9), sources, **QUICK)
        alarms += audit.findings[0].rejects(0.05)
    assert alarms <= binom.isf(0.001, 100, 0.05)


def test_power_for_heavy_tails():
    """Claimed documents with 1.7 times the positive influence: the audit beats the mean, as documented."""
    ours = means = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        x, claimed = rng.standard_t(1.5, 1_000), np.arange(1_000) < 100
        x[claimed & (x > 0)] *= 1.7
        lengths = rng.integers(50, 500, 1_000)
        audit = influence_audit(x, claimed, lengths, ["web"] * 1_000, **QUICK)
        ours += audit.findings[0].rejects(0.05)
        plain = two_sample_test(
            x[claimed], x[~claimed], alternative=Alternative.GREATER, seed=1, n_resamples=199
        )
        means += plain.rejects(0.05)
    assert ours >= 10
    assert ours > means


@pytest.fixture
def planted():
    """Three queries; claimed documents matter for the second."""
    rng = np.random.default_rng(4)
    x, claimed = rng.standard_t(2, (3, 900)), np.arange(900) < 90
    x[1, claimed] += 3
    return x, claimed, rng.integers(50, 500, 900), ["web"] * 900


def test_findings_are_complete_and_holm_covers_the_queries(planted):
    audit = influence_audit(*planted, queries=["a", "b", "c"], seed=5, n_resamples=999)
    assert len(audit.findings) == len(audit.top) == len(audit.positive) == 3
    for finding in (*audit.findings, audit.pooled):
        assert finding.alternative is Alternative.GREATER
        assert finding.valid is Validity.FINITE_SAMPLE
        assert finding.n == 900
        assert finding.unit == "documents (90 claimed, 810 controls)"
        assert finding.seed == 5
        assert any("Nobody drew" in text for text in finding.assumptions)
        assert "no evidence that the model was trained" in finding.warnings[0]
        assert Finding.from_dict(finding.to_dict()) == finding
    assert "query 'b'" in audit.findings[1].question
    smallest = audit.findings[1].log10_p
    assert audit.holm_log10_p[1] == pytest.approx(smallest + np.log10(3))
    assert audit.holm_log10_p[1] < -3
    assert min(audit.holm_log10_p[0], audit.holm_log10_p[2]) > -2
    assert audit.pooled.rejects(0.01)
    assert audit.findings[1].effect.low > 0


def test_a_drawn_claim_is_said_to_be_one(planted):
    audit = influence_audit(*planted, randomised=True, **QUICK)
    texts = " ".join(audit.findings[0].assumptions)
    assert "drawn at random within the strata" in texts
    assert "Nobody drew" not in texts


def test_monotone_changes_of_influence_change_nothing(planted):
    x, *rest = planted
    one = influence_audit(x[1], *rest, **QUICK)
    other = influence_audit(np.arctan(x[1]) * 7 - 2, *rest, **QUICK)
    assert one.findings[0].log10_p == other.findings[0].log10_p
    assert one.pooled is None


def test_windows_are_summed_to_documents():
    rng = np.random.default_rng(1)
    ids = [f"d{i}" for i in range(60)]
    whole = rng.normal(size=(2, 60))
    part = rng.normal(size=(2, 60))
    order = rng.permutation(120)
    candidates = np.array([*ids, *ids])[order]
    scores = scored("ab", candidates, np.concatenate((part, whole - part), axis=1)[:, order])
    names, sums = by_document(scores)
    assert names == tuple(dict.fromkeys(candidates))
    assert sums[:, [names.index(id) for id in ids]] == pytest.approx(whole)
    lengths = {id: 10 + i % 7 for i, id in enumerate(ids)}
    sources = dict.fromkeys(ids, "web")
    audit = influence_audit(scores, ids[:9], lengths, sources, **QUICK)
    assert audit.findings[0].n == 60
    claimed, tokens = [name in ids[:9] for name in names], [lengths[name] for name in names]
    plain = influence_audit(sums, claimed, tokens, ["web"] * 60, **QUICK)
    assert audit.findings[0].log10_p == pytest.approx(plain.findings[0].log10_p)


def test_strata_do_not_depend_on_the_claim_and_equal_lengths_stay_together():
    rng = np.random.default_rng(2)
    lengths = rng.integers(1, 40, 500).astype(float)
    sources = np.array(["a"] * 400 + ["b"] * 70 + ["c"] * 30)
    strata = strata_of(lengths, sources, length_bins=10)
    for source in "abc":
        of = sources == source
        assert len(set(strata[of]) & set(strata[~of])) == 0
        for length in set(lengths[of]):
            assert len(set(strata[of & (lengths == length)])) == 1
    assert [len(set(strata[sources == s])) for s in "abc"] == [10, 3, 1]


def test_what_has_no_counterpart_is_left_out_and_counted():
    rng = np.random.default_rng(3)
    sources = ["both"] * 60 + ["claimed only"] * 4 + ["controls only"] * 30
    claimed = np.array([True] * 12 + [False] * 48 + [True] * 4 + [False] * 30)
    audit = influence_audit(rng.normal(size=94), claimed, np.full(94, 5), sources, **QUICK)
    finding = audit.findings[0]
    assert finding.n == 60
    assert any(
        text.startswith("4 of 16 claimed documents have no control") for text in finding.warnings
    )
    assert any(text.startswith("30 controls have no claimed") for text in finding.warnings)


def test_lengths_that_still_differ_within_strata_are_warned_of():
    rng = np.random.default_rng(3)
    lengths = rng.integers(1, 1_000, 1_000)
    claimed = rng.random(1_000) < (lengths / 1_000) ** 2
    audit = influence_audit(
        rng.normal(size=1_000), claimed, lengths, ["web"] * 1_000, length_bins=1, **QUICK
    )
    assert any("still longer than controls" in text for text in audit.findings[0].warnings)
    even = influence_audit(
        rng.normal(size=1_000), rng.random(1_000) < 0.1, lengths, ["web"] * 1_000, **QUICK
    )
    assert not any("than controls (z" in text for text in even.findings[0].warnings)


def test_copies_are_warned_of(planted):
    x, *rest = planted
    x[:, 5] = x[:, 6] = x[:, 7]
    audit = influence_audit(x, *rest, **QUICK)
    assert any(text.startswith("2 documents have exactly") for text in audit.findings[0].warnings)
    x[:, :4] = 0  # documents without any influence need not be copies
    audit = influence_audit(x, *rest, **QUICK)
    assert any(text.startswith("2 documents have exactly") for text in audit.findings[0].warnings)


def test_all_scores_equal_say_nothing():
    audit = influence_audit(np.zeros(60), np.arange(60) < 6, np.full(60, 5), ["web"] * 60, **QUICK)
    assert audit.findings[0].log10_p == 0
    assert audit.top[0].n == 60
    assert (audit.positive[0].share.low, audit.positive[0].share.high) == (0, 1)


def test_share_of_the_top_and_its_base_rate():
    influence = np.array([9.0, 8, 7, 7, 1, 0, -1, -2])
    claimed = np.array([True, True, False, True, False, False, False, False])
    strata = np.array([0, 0, 0, 0, 1, 1, 0, 0])
    share = share_of_top("q", influence, claimed, strata, 3)
    assert share.n == 4  # a tie of the third
    assert share.share.value == pytest.approx(0.75)
    assert share.base_rate == pytest.approx(hypergeom.mean(6, 3, 4) / 4)
    assert share.share.low < 0.75 < share.share.high < 1


def test_top_share_intervals_cover():
    """Claimed with probability 0.3 each: at least 95 % in theory; 200 runs, fails once in 1,000."""
    missed = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        share = share_of_top(
            "q", rng.normal(size=300), rng.random(300) < 0.3, np.zeros(300, int), 30
        )
        missed += not share.share.low <= 0.3 <= share.share.high
    assert missed <= binom.isf(0.001, 200, 0.05)


def test_positive_share_intervals_cover():
    """Twice the influence for a tenth of the documents, exponent 4.3: documented to cover 91 to 95 %."""
    missed = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        x, claimed = rng.standard_t(3.3, 1_100), np.arange(1_100) < 100
        x[claimed] *= 2
        share = share_of_positive("q", x, claimed, np.zeros(1_100, int))
        missed += not share.share.low <= 200 / 1_200 <= share.share.high
        assert share.base_rate == pytest.approx(100 / 1_100)
    assert missed <= binom.isf(0.001, 300, 0.09)


def test_one_claimed_document_has_an_interval_that_says_so():
    share = share_of_positive("q", np.arange(9.0), np.arange(9) == 3, np.zeros(9, int))
    assert share.share.value == pytest.approx(3 / 36)
    assert (share.share.low, share.share.high) == (0, 1)


IDS = {"a": 5.0, "b": 6.0, "c": 7.0}
PLAIN = scored("q", "abc", [[1, 2, 3]])


@pytest.mark.parametrize(
    ("scores", "claimed", "lengths", "sources", "message"),
    [
        (PLAIN, ["a", "a"], IDS, dict.fromkeys("abc", "w"), "an id occurs twice"),
        (PLAIN, ["a", "x"], IDS, dict.fromkeys("abc", "w"), "1 ids were not scored, e.g. 'x'"),
        (PLAIN, "a", IDS, dict.fromkeys("abc", "w"), "expected ids"),
        (PLAIN, [True, False, True], IDS, dict.fromkeys("abc", "w"), "expected ids"),
        (PLAIN, ["a"], {"a": 5.0}, dict.fromkeys("abc", "w"), "lengths: 2 documents lack one"),
        (PLAIN, ["a"], IDS, {"a": "w"}, "sources: 2 documents lack one"),
        (PLAIN, ["a"], [1, 2, 3], ["w"] * 3, "by id"),
        (scored("q", "abc", [[1, 2]]), ["a"], IDS, dict.fromkeys("abc", "w"), "expected shape"),
        (scored("qq", "abc", [[1, 2, 3]] * 2), ["a"], IDS, dict.fromkeys("abc", "w"), "twice"),
        ([1, np.nan, 3], [True, False, False], [1, 2, 3], ["w"] * 3, "query 1'.*not finite"),
        ([1, 2, 3], [1, 0, 0], [1, 2, 3], ["w"] * 3, "truth value"),
        ([1, 2, 3], [True, False], [1, 2], ["w"] * 2, "expected shape"),
        ([1, 2, 3], [True, False, False], [1, 0, 3], ["w"] * 3, "document 1 has length 0"),
        ([1, 2, 3], [True, False, False], [1, 2], ["w"] * 3, "lengths: expected one per"),
        ([1, 2, 3], [True, False, False], [1, 2, 3], ["w", 1, "w"], "expected a string"),
        ([1, 2, 3], [True, False, False], IDS, ["w"] * 3, "array, but"),
        ([["x"]], [True], [1], ["w"], "numbers"),
    ],
)
def test_malformed_input_is_refused(scores, claimed, lengths, sources, message):
    with pytest.raises(InvalidInput, match=message):
        influence_audit(scores, claimed, lengths, sources, seed=1)


@pytest.mark.parametrize(
    ("claimed", "sources", "message"),
    [
        ([False] * 4, ["w"] * 4, "0 of 4 documents are claimed"),
        ([True] * 4, ["w"] * 4, "4 of 4 documents are claimed"),
        ([True, True, False, False], ["x", "x", "y", "y"], "no claimed document has a control"),
    ],
)
def test_nothing_to_compare_is_refused(claimed, sources, message):
    with pytest.raises(InsufficientEvidence, match=message):
        influence_audit([1.0, 2, 3, 4], claimed, [5] * 4, sources, seed=1)
    with pytest.raises((InsufficientEvidence, InvalidInput)):
        influence_audit(np.empty((1, 0)), np.empty(0, bool), [], [], seed=1)


def test_a_top_larger_than_all_is_refused(planted):
    with pytest.raises(InvalidInput, match="at most 900"):
        influence_audit(*planted, top=901, **QUICK)

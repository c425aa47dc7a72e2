r"""Is another dataset a copy of the release? Its wording is compared with the choices of the key.

Why the p-value is exact. The texts under audit are turned into numbers in two steps.

1. `alignment` finds the slots that the texts show, and counts which choice stands there. It is given
   originals, slots and choices, but not which choice was released.
2. `_scores` turns these counts into a score for each choice of each unit, again without knowing which
   choice was released: the one parameter it fits, q, is fitted with all choices of a unit alike.

If the texts were made without the release, the key is independent of them, and so of all scores. The
key draws each unit's choice uniformly and independently of the other units'. So, given all scores,
the released choices are uniform: this is the null hypothesis of `stats.choice_test`, whose
p-value then is valid whatever the texts are and however poor the alignment is. A bad
alignment costs power, never validity. Slots of one unit stand or fall together and are never counted
as several draws; nor are copies of one passage.

Notation: unit u has k choices, of which number 0 is the original word; m slots of it are shown; f_w is
the mean over these slots of the share of times that choice w was shown; q as above.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ..errors import InsufficientEvidence, InvalidInput, VerificationError
from ..stats import Effect, Finding, choice_test
from .alignment import Aligner, Alignment, BlindRecord
from .coverage import RecordCoverage, coverage_of
from .evidence import KEY_ASSUMPTION, Evidence
from .manifest import MarkedRecord
from .marking import Mode, Unit
from .scoring import words_of

__all__ = ["LeakResult", "aligner_of", "blind_records", "leak", "leak_test"]

_SLOT_NOISE = 2.0  # m slots of a unit count as much as 3 m / (m + 2) single ones
_EDITED = 0.01  # portion of shown words changed on the way, in the model behind the scores
_PORTIONS = (0.0, 0.01, 0.02, 0.05, *(q / 10 for q in range(1, 11)))  # candidates for q
_MANY_UNITS = 20_000  # from here on fewer draws; far out in the tail a bound takes their place
_LEAST_P = 1e-3  # a test that cannot get below this p-value says little
_Z95 = 1.959963984540054

_ASSUMPTIONS = (
    KEY_ASSUMPTION,
    "Passages and the words in them were found without looking at which choices were released.",
)
_AVOIDED = (
    "The texts have the released words far more rarely than chance would: copies of the release look so if "
    "their marked words were all replaced. This test looks for copies that kept them, and does not count it."
)
_OF_A_RECIPIENT = (
    "The names of all who got a copy were fixed before any was made: one that fits could be found."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakResult:
    """The outcome of the leak test, and how much of the release was found.

    Attributes:
        finding: The test.
        records: Coverage of each record of which something was found, best covered first.
        n_records: Records of the release that have slots and were looked for.
        n_texts: Texts that were searched.
        n_texts_found: Texts in which a part of some record was found.
        n_shown: Slots that were found with one of their choices.
        released: Of these, how many show the released choice; see `RecordCoverage`.
        expected: What `released` would be on average if the key were independent of the texts.
        portion: q, the portion of the shown words that seem to come from a marked copy, whoever's.
    """

    finding: Finding
    records: tuple[RecordCoverage, ...]
    n_records: int
    n_texts: int
    n_texts_found: int
    n_shown: int
    released: float
    expected: float
    portion: float


@dataclass(frozen=True, slots=True)
class _Units:
    """What the texts show of each unit, sorted by name.

    Attributes:
        names: See `Marking.unit_name`.
        shares: f, shape (k_u,), sum 1.
        chosen: The released choice.
        n_slots: m.
    """

    names: tuple[str, ...]
    shares: tuple[NDArray[np.float64], ...]
    chosen: NDArray[np.int64]
    n_slots: NDArray[np.int64]


def blind_records(evidence: Evidence) -> list[BlindRecord]:
    """The originals with their slots, without the released choices.

    Args:
        evidence: Manifest and texts.

    Returns:
        A record for each of `evidence.marked()`, in their order.

    Raises:
        InsufficientEvidence: If no record with slots is present.
    """
    records = evidence.marked()
    if not records:
        raise InsufficientEvidence(
            "no marked record is present", "are these the released texts of this manifest?"
        )
    return [_blind(record, evidence.originals[record.record]) for record in records]


def aligner_of(evidence: Evidence) -> Aligner:
    """An index of the originals that knows nothing of the released choices.

    Args:
        evidence: Manifest and texts.

    Returns:
        The index; it serves any number of datasets, and all recipients' copies of one dataset.

    Raises:
        InsufficientEvidence: If no record with slots is present.
    """
    return Aligner(blind_records(evidence))


def leak(evidence: Evidence, texts: Iterable[str], *, seed: int, name: str = "") -> LeakResult:
    """Test whether texts were copied from a release.

    Args:
        evidence: Manifest and texts of the release.
        texts: The texts under audit, in any order; read once.
        seed: Seed of the Monte-Carlo draws.
        name: What to call the texts in the question.

    Returns:
        The finding, and how much of the release was found.

    Raises:
        InsufficientEvidence: If the texts show no slot of the release.
        InvalidInput: If the release was not marked with a key.
        VerificationError: If the manifest contradicts itself.
    """
    return leak_test(evidence, aligner_of(evidence).align(texts), seed=seed, name=name)


def leak_test(
    evidence: Evidence,
    found: Alignment,
    *,
    seed: int,
    name: str = "",
    n_resamples: int | None = None,
) -> LeakResult:
    """Test whether texts that were looked up already were copied from a release.

    One alignment serves all recipients' copies of one dataset; adjust for their number with
    `stats.adjust`.

    Args:
        evidence: Manifest and texts of the release.
        found: What `aligner_of` an evidence with the same originals found in the texts.
        seed: See `leak`.
        name: See `leak`.
        n_resamples: How many Monte-Carlo draws; default: 99,999, or 9,999 for 20,000 units or more.

    Returns:
        See `leak`.

    Raises:
        InsufficientEvidence: If the texts show no slot of the release.
        InvalidInput: If the release was not marked with a key, or the alignment is one with other
            originals.
        VerificationError: If the manifest contradicts itself.
    """
    if evidence.manifest.marking.mode is not Mode.KEYED:
        raise InvalidInput(
            "this release was marked in mode 'leximark', where no key draws anything",
            "the leak test needs a release that was marked with a key (mode 'keyed')",
        )
    records = evidence.marked()
    if tuple(record.record for record in records) != found.records:
        raise InvalidInput("the alignment was made with other originals than the manifest's")
    if not any(counts.any() for counts in found.counts):
        raise InsufficientEvidence(
            f"in {found.n_texts} texts no marked word of the release was found: there is nothing to compare",
            "texts that hold no passage of the release show neither that it was copied nor that it was not",
        )
    units = _units(evidence, records, found)
    values, portion = _scores(units)
    n_units = units.chosen.size
    # By record, too, each slot was drawn on its own.
    unit = evidence.manifest.marking.unit
    unit = Unit.SLOT if unit is Unit.RECORD else unit
    draws = 99_999 if n_units < _MANY_UNITS else 9_999
    finding = (
        choice_test(
            values,
            units.chosen,
            seed=seed,
            n_resamples=draws if n_resamples is None else n_resamples,
        )
        .about(unit=unit.plural)
        .named(units.names, words_of(evidence, units.names))
    )
    coverage = coverage_of(evidence, found)
    shown = sum(c.n_shown for c in coverage)
    released, expected = (
        float(sum(getattr(c, field) for c in coverage)) for field in ("released", "expected")
    )
    agreement = _agreement(units, expected / shown)
    recipient = evidence.manifest.recipient
    copy = f" made for {recipient}" if recipient else ""
    return LeakResult(
        finding=finding.about(
            name="leak test",
            question=f"Were the texts{f' of {name}' if name else ''} copied from the marked release{copy}?",
            null="Given all that the texts show, each unit's released choice is a uniform draw from its "
            "choices, independent of the other units'.",
            effect=agreement,
            assumptions=(*_ASSUMPTIONS, _OF_A_RECIPIENT) if recipient else _ASSUMPTIONS,
            warnings=(
                *_warnings(finding, units, values, portion),
                *([_AVOIDED] if agreement.high < expected / shown / 2 else []),
                *evidence.warnings,
            ),
            inputs=evidence.inputs,
        ),
        records=coverage,
        n_records=len(records),
        n_texts=found.n_texts,
        n_texts_found=found.n_texts_found,
        n_shown=shown,
        released=released,
        expected=expected,
        portion=portion,
    )


def _blind(record: MarkedRecord, original: str) -> BlindRecord:
    ends = [0, *(slot.end for slot in record.slots)]
    starts = [*(slot.start for slot in record.slots), len(original)]
    pieces = tuple(original[a:b] for a, b in zip(ends, starts, strict=True))
    return BlindRecord(record.record, pieces, tuple(slot.choices for slot in record.slots))


def _units(evidence: Evidence, records: Sequence[MarkedRecord], found: Alignment) -> _Units:
    """The slots that are shown, gathered by what one draw of the key decided."""
    name_of = evidence.manifest.marking.unit_name
    totals: dict[str, tuple[NDArray[np.float64], int, int]] = {}
    for r, record in enumerate(records):
        counts_of = found.counts[found.first_slot[r] : found.first_slot[r + 1]]
        for index, (slot, counts) in enumerate(zip(record.slots, counts_of, strict=True)):
            if not counts.any():
                continue
            name = name_of(record.record, index, slot.unit)
            total, m, chosen = totals.get(name, (np.zeros(counts.size), 0, slot.choice))
            if chosen != slot.choice or total.size != counts.size:
                raise VerificationError(
                    f"unit '{name}' has two different choices in one manifest",
                    "the manifest was altered",
                )
            totals[name] = (total + counts / counts.sum(), m + 1, chosen)
    names = tuple(sorted(totals))
    ordered = [totals[name] for name in names]
    return _Units(
        names=names,
        shares=tuple(total / m for total, m, _ in ordered),
        chosen=np.array([chosen for _, _, chosen in ordered], dtype=np.int64),
        n_slots=np.array([m for _, m, _ in ordered], dtype=np.int64),
    )


def _scores(units: _Units) -> tuple[list[NDArray[np.float64]], float]:
    r"""Log-likelihood of what is shown, for each choice that the key could have drawn.

    .. math:: s_{uw} = \frac{3 m}{m + 2} \sum_v f_v \log\bigl[
        (1 - d) (q [v = w] + (1 - q) [v = 0]) + d / k \bigr], \quad d = 0.01

    That is: a portion q of the shown words comes from the marked copy, the rest from the unmarked
    original, and one in a hundred was changed on the way. q maximises the likelihood with the released choice
    unknown, sum_u log mean_w exp(s_uw). For a plain copy q is 1, and s is the share f_w times a
    constant. Where the unmarked original is all there is, q is 0, all choices score alike and p is 1:
    a claim cannot rest on luck there.

    The model is ours and need not be true: it decides the power of the test, not its validity.

    Args:
        units: What is shown.

    Returns:
        Scores per unit, shape (k_u,), and q.
    """
    sizes = np.array([f.size for f in units.shares])
    starts = np.cumsum(sizes) - sizes
    f = np.concatenate(units.shares)
    weight = units.n_slots * (1 + _SLOT_NOISE) / (units.n_slots + _SLOT_NOISE)
    most, portion, best = -np.inf, 0.0, f
    for q in _PORTIONS:
        values = _log_likelihoods(f, sizes, q) * np.repeat(weight, sizes)
        fit = round(float((np.logaddexp.reduceat(values, starts) - np.log(sizes)).sum()), 9)
        if fit > most:  # rounded, so that rounding does not prefer a larger q
            most, portion, best = fit, q, values
    return np.split(best, starts[1:]), portion


def _log_likelihoods(
    f: NDArray[np.float64], sizes: NDArray[np.int64], q: float
) -> NDArray[np.float64]:
    """The sum over v in `_scores`, for all choices of all units in a row, shape (sum k_u,)."""
    starts = np.cumsum(sizes) - sizes
    f_0 = f[starts]
    noise = _EDITED / sizes
    if_original = f_0 * np.log(1 - _EDITED + noise) + (1 - f_0) * np.log(noise)
    if q == 0:  # whatever was drawn, only the original is copied: exactly alike, without rounding
        return np.repeat(if_original, sizes)
    shown_w = np.log((1 - _EDITED) * q + noise)
    shown_0 = np.log((1 - _EDITED) * (1 - q) + noise)
    rest = np.repeat(f_0 * shown_0 + (1 - f_0) * np.log(noise), sizes)
    scores: NDArray[np.float64] = rest + f * np.repeat(shown_w - np.log(noise), sizes)
    scores[starts] = if_original
    return scores


def _agreement(units: _Units, chance: float) -> Effect:
    """Share of shown slots with the released word, with Wilson's interval (1927)."""
    shares = np.array([f[c] for f, c in zip(units.shares, units.chosen, strict=True)])
    m = units.n_slots.astype(np.float64)
    share = float((shares * m).sum() / m.sum())
    n = float(m.sum() ** 2 / (m**2).sum())
    centre = (share + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
    half = _Z95 * sqrt(share * (1 - share) / n + _Z95**2 / (4 * n**2)) / (1 + _Z95**2 / n)
    return Effect(
        name=f"share of the shown slots that hold the released word (by chance {chance:.3f})",
        value=share,
        low=min(max(centre - half, 0.0), share),
        high=max(min(centre + half, 1.0), share),
        confidence=0.95,
        interval=f"Wilson, with (sum m)^2 / sum m^2 = {n:.1f} units, as the slots of a unit "
        "stand or fall together",
    )


def _warnings(
    finding: Finding, units: _Units, values: Sequence[NDArray[np.float64]], portion: float
) -> list[str]:
    if portion == 0:
        return [
            "What was found shows the words of the unmarked originals, which these texts could have from "
            "elsewhere: nothing speaks for the release, and p is 1."
        ]
    least = -sum(np.log10(s.size) for s in values if np.ptp(s) > 0)
    few = [
        f"Few units of the release are shown ({finding.unit}: {units.chosen.size}): p could not have fallen "
        f"below {10**least:.2g}, whatever the texts hold."
    ]
    return [*(few if least > np.log10(_LEAST_P) else []), *finding.warnings]

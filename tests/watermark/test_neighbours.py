"""Neighbours: a few words changed, by the text and the seed alone."""

import pytest
from bookplate.errors import InvalidInput
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.neighbours import neighbours
from bookplate.watermark.selection import all_slots


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon.shipped(Tier.BROAD)


@pytest.fixture(scope="module")
def text(english, lexicon):
    """One with several words that can change."""
    return next(t for t in english if len(all_slots(t[:2_000], lexicon)) >= 6)[:2_000]


def changed(text, other):
    """Slots whose word differs, with the word that stands there."""
    slots = all_slots(text, Lexicon.shipped(Tier.BROAD))
    shift, found = 0, []
    for slot in slots:
        for choice in slot.choices:
            start = slot.start + shift
            if other.startswith(choice + text[slot.end : slot.end + 12], start):
                if choice != slot.choices[0]:
                    found.append((slot.start, choice))
                shift += len(choice) - (slot.end - slot.start)
                break
        else:
            raise AssertionError("not one of the choices")
    return found


def test_each_differs_in_one_word_of_the_table(text):
    found = neighbours(text, count=5)
    assert len(found) == len(set(found)) == 5
    assert all(len(changed(text, other)) == 1 for other in found)


def test_several_words_can_change(text):
    found = neighbours(text, count=5, words=4)
    assert found
    assert all(len(changed(text, other)) == 4 for other in found)


def test_all_there_are_if_more_are_asked_for(text, lexicon):
    possible = sum(len(slot.choices) - 1 for slot in all_slots(text, lexicon))
    assert len(neighbours(text, count=10_000)) == possible


def test_text_and_seed_decide(text):
    assert neighbours(text, count=3, seed=1) == neighbours(text, count=3, seed=1)
    assert neighbours(text, count=3, seed=1) != neighbours(text, count=3, seed=2)


def test_a_text_without_such_words_has_none():
    assert neighbours("") == neighbours("x = 1") == []


def test_another_table_may_be_used(text):
    strict = neighbours(text, count=10_000, lexicon=Lexicon.shipped(Tier.STRICT))
    assert len(strict) < len(neighbours(text, count=10_000))


@pytest.mark.parametrize("options", [{"count": 0}, {"words": 0}])
def test_less_than_one_is_refused(options):
    with pytest.raises(InvalidInput, match="at least 1"):
        neighbours("a text", **options)

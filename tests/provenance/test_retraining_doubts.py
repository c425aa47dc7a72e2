"""Orders that were not drawn at random, before anything is trained on them."""

import numpy as np
import torch
from bookplate.provenance.palimpsest.retraining import LastPhase
from bookplate.provenance.palimpsest.retraining.doubts import doubts_about, recurrence_z


def sequences(n):
    generator = np.random.default_rng(1)
    return [generator.integers(60, size=6).tolist() for _ in range(n)]


def phase_of(sequences, *epochs):
    return LastPhase(
        first_step=1,
        n_steps=len(sequences) // 2,
        per_step=2,
        sequences=tuple(map(np.array, sequences)),
        epochs=epochs or (0, len(sequences)),
    )


def test_copies_in_a_random_order_have_no_trend():
    """Mean 0 and standard deviation at most 1: copies of others take places, which narrows it."""
    generator = np.random.default_rng(1)
    which = np.concatenate([np.arange(60), np.arange(40), np.arange(20), np.arange(20)])
    found = [recurrence_z(generator.permutation(which)) for _ in range(2_000)]
    assert abs(np.mean(found)) < 0.1
    assert 0.8 < np.std(found) < 1.05
    assert recurrence_z(np.arange(30)) == 0


def test_epochs_that_the_checkpoint_does_not_tell_are_noticed():
    """Two passes over the same sequences, of which the other orders would make one."""
    generator = np.random.default_rng(1)
    rows = sequences(60)
    passes = [rows[i] for _ in range(2) for i in generator.permutation(60)]
    (doubt,) = doubts_about(phase_of(passes))
    assert "in several epochs" in doubt
    assert doubts_about(phase_of(passes, 0, 60, 120)) == []
    (doubt,) = doubts_about(phase_of([row for row in rows for _ in range(2)]))
    assert "copies stay together" in doubt


def test_doubts_leave_the_training_its_threads():
    """The statistics' kernels set their number for the whole process, and sums are rounded otherwise."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        generator = np.random.default_rng(1)
        doubts_about(phase_of([generator.integers(60, size=2 + i % 3) for i in range(100)]))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_an_order_that_follows_lengths_or_documents_is_doubted():
    generator = np.random.default_rng(1)
    by_length = [generator.integers(60, size=2 + i // 8).tolist() for i in range(200)]
    assert any("length of the sequences follows" in d for d in doubts_about(phase_of(by_length)))
    documents = []
    for _ in range(50):  # each has a vocabulary of its own, and is cut into four
        words = int(generator.integers(1, 60))
        documents += [generator.integers(words, size=12).tolist() for _ in range(4)]
    (doubt,) = doubts_about(phase_of(documents))
    assert "cut into sequences afterwards" in doubt
    shuffled = [documents[i] for i in generator.permutation(200)]
    assert doubts_about(phase_of(shuffled)) == []
    assert doubts_about(phase_of(by_length[:29])) == []  # too few to tell

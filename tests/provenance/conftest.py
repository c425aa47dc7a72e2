"""What several tests of recordings share."""

import polars as pl
import pytest
from bookplate.provenance.palimpsest import TranscriptSource
from bookplate.provenance.palimpsest.recording import seal, verify_recording


def rows_in(folder):
    """(step, tokens) of every row of a sealed recording, in order; positions are checked."""
    frame = pl.concat(list(TranscriptSource.open(folder / "private" / "transcript").frames()))
    within = frame.with_columns(n=pl.int_range(pl.len()).over("step"))
    assert within["position"].to_list() == within["n"].to_list()
    return list(zip(frame["step"].to_list(), frame["tokens"].to_list(), strict=True))


@pytest.fixture
def sealed():
    """Seals and verifies a recording; gives its rows."""

    def sealed_rows(folder, **options):
        summary = seal(folder, **options)
        assert verify_recording(folder) == summary.commitments
        found = rows_in(folder)
        assert len(found) == summary.n_sequences == summary.commitments.transcript.leaf_count
        assert sum(len(tokens) for _, tokens in found) == summary.n_tokens
        return found

    return sealed_rows

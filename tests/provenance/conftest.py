"""What several tests of recordings share, and tests of influence."""

import sys
from pathlib import Path

import polars as pl
import pytest
import torch
from bookplate.provenance.palimpsest import TranscriptSource
from bookplate.provenance.palimpsest.recording import seal, verify_recording

sys.path.insert(0, str(Path(__file__).parent))
from influence_models import gpt2, gpt_neox, opt


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


@pytest.fixture
def one_thread():
    """Torch on one thread, so that sums are rounded alike."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[gpt_neox, gpt2, opt], ids=["GPT-NeoX", "GPT-2", "OPT"])
def model(request):
    """A tiny untrained model of each architecture."""
    return request.param()

"""One thread for the small kernels of these tests: on a busy machine, waking a second one costs more."""

import numba
import pytest


@pytest.fixture(autouse=True)
def _one_thread():
    before = numba.get_num_threads()
    numba.set_num_threads(1)  # the same bits for any number: `test_kernels` shows it
    yield
    numba.set_num_threads(before)

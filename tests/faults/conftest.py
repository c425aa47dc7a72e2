"""Each case's undisturbed run, once for all tests; the seed of all random moments."""

import os
import random
import shutil

import pytest

from .cases import CASES, build
from .harness import SEED, Ground, Nursery


def pytest_configure(config):
    os.environ.setdefault(SEED, str(random.SystemRandom().randrange(10**6)))


def pytest_report_header(config):
    return f"random moments: {SEED}={os.environ[SEED]}"


@pytest.fixture(scope="session")
def nursery(tmp_path_factory):
    nursery = Nursery(tmp_path_factory.mktemp("home"))
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def server(pytestconfig, tiny_model):
    """The tiny model behind an endpoint, for the whole session."""
    plugins = pytestconfig.pluginmanager.get_plugins()
    server = next(found.ModelServer for found in plugins if hasattr(found, "ModelServer"))(
        tiny_model
    )
    yield server
    server.close()


@pytest.fixture(scope="session")
def built(tmp_path_factory, nursery, server, tiny_model, english):
    """Gives a case with the inputs that its command takes and what an undisturbed run makes of them."""
    done = {}

    def built(name):
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            done[name] = build(name, folder, nursery, server.url, tiny_model, english)
        return done[name]

    return built


@pytest.fixture(params=[case for case in CASES])
def case(request, built):
    return built(request.param)


@pytest.fixture
def ground(case, tmp_path, nursery):
    yield Ground(case, tmp_path / "ground", nursery)
    shutil.rmtree(tmp_path, ignore_errors=True)

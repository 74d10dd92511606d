"""Programs of the system that the tests talk to: skipped by name where they are missing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.orthanc import PROGRAM, OrthancServer


@pytest.fixture
def orthanc() -> Iterator[OrthancServer]:
    """An empty Orthanc that forwards to a port nobody listens on, until ``set_modality`` says otherwise."""
    if PROGRAM is None:
        pytest.skip("Orthanc is not installed")
    with OrthancServer() as server:
        yield server


@pytest.fixture
def screenshots(request: pytest.FixtureRequest) -> Path:
    """The folder where pictures for people are kept; git ignores it."""
    folder = request.config.rootpath / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder

"""One small bundle and one small site for all tests of companions."""

from pathlib import Path

import pytest
import torch

from inference.bundle.bundle import Bundle, load_bundle
from inference.companions.pieces import TrainingSite
from inference.porting.seal import seal
from tests.inference.companions.own_site import site_of, write_site
from tests.inference.conftest import copy_bundle


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Bundle:
    """Somebody's own bundle."""
    torch.set_num_threads(1)
    folder = copy_bundle(tiny_bundle, tmp_path_factory.mktemp("companions") / "own")
    seal(folder)
    return load_bundle(folder)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("data") / "site")


@pytest.fixture(scope="session")
def site(own: Bundle, data: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingSite:
    """Its cases read, for what needs no training."""
    return site_of(own, data, tmp_path_factory.mktemp("site"))

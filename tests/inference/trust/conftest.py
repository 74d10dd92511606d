"""The bundle glioma_flair under its passport for phantoms, and a phantom with a clear lesion."""

import pytest

from inference.bundle.bundle import SHIPPED, Bundle, load_bundle
from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from inference.phantom.phantom import make_phantom
from inference.reading.image import Image
from inference.reading.study import read_series
from inference.trust.warrant import Warrant
from reports.objects.phantom_study import write_study


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(SHIPPED / "glioma_flair")


@pytest.fixture(scope="module")
def warrant() -> Warrant:
    passport = load_passport(SHIPPED_PASSPORTS / "phantoms" / "glioma_flair" / "passport.json")
    return Warrant.of(passport, alpha=0.10, delta=0.10)


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return read_series(write_study(make_phantom(1), tmp_path_factory.mktemp("clear")))

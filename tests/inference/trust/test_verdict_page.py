"""The page on the verdict says what the shipped passports say, and passports what their bundles are."""

import pytest

from inference.bundle.bundle import SHIPPED, load_bundle
from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from inference.trust.versions import changed_definitions
from tests.benchmarks.verdict_figures import PAGE, written

EVERY = sorted(SHIPPED_PASSPORTS.glob("*/*/passport.json"))


def test_no_figure_of_the_page_differs_from_the_passports() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert written(page) == page


@pytest.mark.parametrize("path", EVERY, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_a_shipped_passport_is_of_the_bundle_as_it_ships_and_of_todays_definitions(path: object) -> None:
    passport = load_passport(path)
    assert passport.bundle.digest == load_bundle(SHIPPED / passport.bundle.name).identity.digest
    for budget in passport.verdict.by_budget:
        assert changed_definitions(passport.verdict, budget) == ()

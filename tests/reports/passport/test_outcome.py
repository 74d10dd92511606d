"""What commissioning came to: criteria, controls and gate in words, and when there is nothing to deploy."""

from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from inference.passport.entries import Comparison, Criterion
from inference.passport.passport import SHIPPED_PASSPORTS, Passport, load_passport
from inference.passport.rules import DECIDING, RULES
from inference.passport.verdict import NO_OUTLINES, NoVerdict
from reports.passport.outcome import outcome
from tests.reports.passport.test_passport_page import criterion, passport  # noqa: F401  a fixture

SITES = {path.parts[-3:-1]: path for path in sorted(SHIPPED_PASSPORTS.glob("*/*/passport.json"))}


@pytest.fixture
def plain(request: pytest.FixtureRequest) -> Passport:
    """The passport of three criteria passed, without a verdict."""
    made: Passport = request.getfixturevalue("passport")
    return made


def with_criteria(passport: Passport, **criteria: Criterion) -> Passport:  # noqa: F811
    entry = passport.methods["gradcam"]
    methods = {**passport.methods, "gradcam": replace(entry, criteria={**entry.criteria, **criteria})}
    return replace(passport, methods=methods)


@pytest.mark.parametrize("site", SITES, ids=" ".join)
def test_a_shipped_passport_has_something_to_deploy_but_for_the_network_that_learned_a_shortcut(
    site: tuple[str, str],
) -> None:
    made = outcome(load_passport(SITES[site]))
    shut = site == ("phantoms", "glioma_flair_unguided")
    assert made.failures == (("The gate is shut: the node shows no map.",) if shut else ())
    gate = made.lines[-1]
    assert ("SHUT; not beaten: noise (" in gate) == shut
    assert ("open; beaten: noise (" in gate) != shut


def test_the_criteria_passed_are_counted_and_the_controls_named(plain: Passport) -> None:
    against = {
        "edge": Comparison(value=0.2, ci=(0.1, 0.3), p_value=0.01),
        "centre": Comparison(value=0.1, ci=(-0.1, 0.3), p_value=0.4),
        "blank": Comparison(value=0.1, ci=None, p_value=1.0),
    }
    failed = replace(TypeAdapter(Criterion).validate_python(criterion(passed=False)), against=against)
    made = outcome(with_criteria(plain, localisation_hit_rate=failed))
    assert made.lines == (
        f"Criteria passed by gradcam: 2 of {len(DECIDING)} deciding, 2 of {len(RULES)} in all.",
        "Hit rate against the controls: not beaten: centre, blank; beaten: edge.",
    )
    assert made.failures == ()


def test_no_deciding_criterion_passed_is_a_failure(plain: Passport) -> None:
    names = ("localisation_hit_rate", "weight_randomisation_cascade", "repeatability_spearman")
    failed = TypeAdapter(Criterion).validate_python(criterion(passed=False))
    made = outcome(with_criteria(plain, **dict.fromkeys(names, failed)))
    assert made.failures == (f"0 of {len(DECIDING)} deciding criteria are passed.",)


def test_without_a_verdict_both_criteria_of_localisation_are_the_gate(plain: Passport) -> None:
    none = replace(plain, verdict=NoVerdict("Too few patients."))
    assert outcome(none).failures == ()
    assert outcome(none).lines[-1] == "There is no verdict, and no map is ever TRUSTED: Too few patients."
    shut = replace(none, chosen=replace(none.chosen, beats_every_control=False))
    assert outcome(shut).failures == (
        "The gate is shut: both criteria of localisation must clearly beat every control.",
    )


def test_where_nothing_is_outlined_the_first_line_says_so_and_it_is_a_failure(plain: Passport) -> None:
    made = outcome(replace(plain, verdict=NoVerdict(NO_OUTLINES)))
    assert made.lines[0] == NO_OUTLINES
    assert made.lines[1].startswith("Criteria passed by gradcam")
    assert made.failures == ("No case is outlined: there is no verdict.",)


def test_a_bundle_no_method_fits_is_a_failure(plain: Passport) -> None:
    nothing = replace(plain, chosen=replace(plain.chosen, method=None))
    assert outcome(nothing).failures == ("No method could be measured on this bundle.",)

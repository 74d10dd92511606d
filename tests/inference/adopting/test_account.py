"""What the page says of passports that are there: the shipped ones, and the same with something taken away."""

from dataclasses import replace

import pytest

from inference.adopting.account import AdoptionAccount, account_of
from inference.companions.data import MaskCounts
from inference.companions.report import CompanionReport
from inference.companions.settings import CompanionSettings
from inference.passport.entries import Measurement
from inference.passport.passport import SHIPPED_PASSPORTS, Passport, load_passport
from inference.passport.verdict import NO_OUTLINES, FittedVerdict, NoVerdict

PHANTOMS = SHIPPED_PASSPORTS / "phantoms"


def report(*, masked: int = 20, unmasked: tuple[str, ...] = ()) -> CompanionReport:
    """Companions that nothing is known of."""
    return CompanionReport(
        bundle="own", bundle_digest="0" * 64, masks=MaskCounts(20, 40, masked, masked, False, unmasked),
        learning_patients=16, stopping_patients=4, primary_accuracy=None, guidance=None, companions=(), left_out=(),
        written=False, settings=CompanionSettings(), libraries={}, cases=(),
    )  # fmt: skip


def said(passport: Passport, made: CompanionReport | None = None, *, alpha: float = 0.10) -> AdoptionAccount:
    return account_of(made or report(), passport, alpha=alpha, delta=0.10)


@pytest.fixture(scope="module")
def guided() -> Passport:
    return load_passport(PHANTOMS / "glioma_flair" / "passport.json")


@pytest.fixture(scope="module")
def unguided() -> Passport:
    return load_passport(PHANTOMS / "glioma_flair_unguided" / "passport.json")


def test_a_network_whose_maps_can_be_trusted_is_said_to_be_so_with_its_certificate(guided: Passport) -> None:
    account = said(guided)
    assert account.is_trusted
    assert account.first.startswith("Maps of this network can be TRUSTED here. At most 10% of TRUSTED maps miss")
    assert account.reached[0].startswith("Certified: alpha 0.1 at 90% confidence, from P = ")
    assert account.figures["share_trusted"] is not None
    assert isinstance(guided.verdict, FittedVerdict)
    fitted, judged = guided.verdict.counts.fitted, guided.verdict.counts.judged
    assert (fitted.hits, judged.hits) != (fitted.cases, judged.cases)
    assert not any("Every one of" in sentence for sentence in account.reached)


def test_a_network_that_is_right_and_points_elsewhere_is_said_to_have_learnt_something_else(unguided: Passport) -> None:
    account = said(unguided)
    assert not account.is_trusted
    assert account.first.startswith("No map of this network is TRUSTED yet")
    assert any("as a network does that learnt a shortcut" in sentence for sentence in account.missing)
    assert account.steps[0].title == "Guidance"


def test_every_map_in_its_finding_is_said_to_leave_misses_unknown(guided: Passport) -> None:
    assert isinstance(guided.verdict, FittedVerdict)
    counts = guided.verdict.counts
    perfect = replace(
        counts, fitted=replace(counts.fitted, hits=counts.fitted.cases),
        judged=replace(counts.judged, hits=counts.judged.cases),
    )  # fmt: skip
    account = said(replace(guided, verdict=replace(guided.verdict, counts=perfect)))
    every = counts.fitted.cases + counts.judged.cases
    assert any(sentence.startswith(f"Every one of {every} maps") for sentence in account.reached)


def test_a_network_no_better_than_chance_is_said_first_and_nothing_else_is_advised(guided: Passport) -> None:
    classes = {
        name: replace(figures, auc=Measurement(value=0.52, ci=(0.44, 0.6)))
        for name, figures in guided.classification.classes.items()
    }
    account = said(replace(guided, classification=replace(guided.classification, classes=classes)))
    assert account.first.startswith("This network tells the classes apart no better than chance on your cases")
    assert [step.title for step in account.steps] == ["A network that tells the classes apart"]
    assert any("AUC 0.52 [0.44, 0.60], not told from chance" in sentence for sentence in account.missing)


def test_a_class_that_nobody_annotated_or_outlined_is_named(guided: Passport) -> None:
    (known,) = guided.classification.classes
    figures = guided.classification.classes[known]
    none = replace(figures, auc=Measurement(value=None, reason="no case of this class in the split: there is no AUC"))
    classes = {**guided.classification.classes, "abscess": none, "cyst": figures}
    splits = {
        name: replace(split, labels={**split.labels, "cyst": 3}, outlined={known: split.masked})
        for name, split in guided.data.splits.items()
    }
    passport = replace(
        guided, classification=replace(guided.classification, classes=classes), data=replace(guided.data, splits=splits)
    )
    account = said(passport, report(unmasked=("cyst",)))
    assert any(sentence.startswith("abscess: nobody annotated a case of this class") for sentence in account.missing)
    assert any(sentence.startswith("cyst: none of 6 cases is outlined") for sentence in account.missing)
    assert any(
        sentence.startswith("cyst: nobody outlined one in the patients trained on") for sentence in account.missing
    )
    assert account.steps[-1].title == "Patients with abscess, cyst"


def test_without_outlines_the_first_line_says_that_nothing_is_ever_trusted(guided: Passport) -> None:
    criteria = {
        name: replace(entry, criteria={key: replace(value, value=None) for key, value in entry.criteria.items()})
        for name, entry in guided.methods.items()
    }
    account = said(replace(guided, methods=criteria, verdict=NoVerdict(NO_OUTLINES)), report(masked=0))
    assert account.first == NO_OUTLINES
    assert not account.is_deployable
    assert [step.title for step in account.steps] == ["Outline findings"]
    assert "55 patients" in account.steps[0].why


def test_an_alpha_that_is_out_of_reach_is_said_with_what_it_needs(guided: Passport) -> None:
    account = said(guided, alpha=0.01)
    assert not account.is_trusted
    assert "Alpha 0.01 cannot be certified on the" in account.first
    assert any("patients" in step.title for step in account.steps)

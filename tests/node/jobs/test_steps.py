"""The steps of a job hold a series against commissioning by its pixels and by its header."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine

from inference.bundle.bundle import SHIPPED, load_bundle
from inference.passport.acquisitions import SeenNumbers, SeenTrait, SeenWords
from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from inference.phantom.phantom import make_phantom
from inference.selection import account_for
from inference.trust.statement import Conclusion, Statement
from inference.trust.warrant import Warrant
from node.jobs.job_row import Job
from node.jobs.step_files import StepFiles
from node.jobs.steps import Steps
from node.settings.http import HttpSettings
from node.settings.inference import InferenceSettings
from node.settings.node import NodeSettings
from node.settings.settings import Settings
from reports.audit.ledger import Ledger
from reports.objects.phantom_study import write_study

pytestmark = pytest.mark.numerics
NAME = "glioma_flair"
OF_FLAIR: dict[str, SeenTrait] = {
    "inversion_recovery": SeenWords(patients=30, values={"yes": 30}),
    "echo_time_ms": SeenNumbers(patients=30, low=80, high=140),
}
OF_T1: dict[str, SeenTrait] = {
    "inversion_recovery": SeenWords(patients=30, values={"no": 30}),
    "contrast_agent": SeenWords(patients=30, values={"named": 30}),
    "echo_time_ms": SeenNumbers(patients=30, low=8, high=15),
}
JOB = Job(
    id="job", study_instance_uid="", bundle=NAME, reason=None, method=None, planes_explained=1, destinations=(),
    created_at=datetime(2026, 1, 5, tzinfo=UTC), verdicts=(), generation=1, route="flair", model="", withheld="",
    missing="",
)  # fmt: skip


@pytest.fixture(scope="module")
def stated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, SeenTrait]], Statement]:
    """Return a function that runs the steps on a healthy phantom's FLAIR under a passport with these headers."""
    home = tmp_path_factory.mktemp("home")
    bundle = load_bundle(SHIPPED / NAME)
    warrant = Warrant.of(load_passport(SHIPPED_PASSPORTS / "phantoms" / NAME / "passport.json"), alpha=0.10, delta=0.10)
    settings = Settings(
        node=NodeSettings(home=home),
        http=HttpSettings(token_file=home / "token"),
        inference=InferenceSettings(device="cpu"),
    )
    files = StepFiles(home / "jobs" / JOB.id)
    selection = account_for(write_study(make_phantom(3, lesions=0), home / "study"), bundle)
    files.keep("account", replace(selection, reading=replace(selection.reading, images=())))
    files.keep("images", selection.reading.images)

    def run(acquisition: dict[str, SeenTrait]) -> Statement:
        engine = create_engine("sqlite://")
        warrants = {NAME: replace(warrant, acquisition=acquisition)}
        steps = Steps(settings, engine, home, {NAME: bundle}, warrants, Ledger(engine, b"key"))
        for name in ("classify", "explain", "trust"):
            getattr(steps, name)(JOB)
        (statement,) = files.statements
        return statement

    return run


@pytest.mark.parametrize("acquisition", [{}, OF_FLAIR], ids=["without headers", "of FLAIR"])
def test_a_series_like_those_of_commissioning_has_nothing_found(
    stated: Callable[[dict[str, SeenTrait]], Statement], acquisition: dict[str, SeenTrait]
) -> None:
    said = stated(acquisition)
    assert (said.said, said.outside, said.reasons) == (Conclusion.NOTHING_FOUND, False, ())


def test_flair_at_a_site_commissioned_on_t1_after_contrast_has_no_statement_and_says_why(
    stated: Callable[[dict[str, SeenTrait]], Statement],
) -> None:
    said = stated(OF_T1)
    assert said.said is Conclusion.NO_STATEMENT
    assert said.outside
    assert said.reasons == (
        "Inversion recovery by Scanning Sequence (0018,0020): yes here, no in commissioning (30 patients).",
        "Contrast/Bolus Agent (0018,0010): none here, named in commissioning (30 patients).",
        "Echo Time (0018,0081): 120 ms here, 8 to 15 ms in commissioning (30 patients).",
    )

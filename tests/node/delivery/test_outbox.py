"""Each destination gets the kinds of results in its profile, and what none of them takes is not made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file
from sqlalchemy import select

from inference.analysis import Analysis
from inference.reading.account import StudyReading
from inference.selection import StudySelection
from inference.trust.verdict import Verdict
from node.jobs.job_row import Job
from node.jobs.step_files import StepFiles
from node.jobs.steps import Steps
from node.settings.settings import Settings
from node.store import JobState, deliveries, jobs, now, results
from tests.node.receiving.intake import Intake
from tests.reports.conftest import make_analysis

KINDS = {
    "plain": ["capture", "report"],
    "values": ["capture", "report", "parametric_map"],
    "everything": ["capture", "report", "parametric_map", "presentation_state", "key_objects"],
}


class StepsWithMadeUpAnalyses(Steps):
    """The last arrow of a job, whose analyses are made up."""

    verdict = Verdict.CAUTION

    def _analyses(self, _job: Job) -> tuple[Analysis, ...]:
        return (make_analysis([Path(str(get_testdata_file("MR_small.dcm")))], verdict=self.verdict),)


class Office:
    """Steps over an empty store with three destinations."""

    def __init__(self, intake: Intake, folder: Path) -> None:
        destinations = [
            {"name": name, "ae_title": "PACS", "host": "127.0.0.1", "port": 104, "objects": objects}
            for name, objects in KINDS.items()
        ]
        settings = Settings.model_validate(
            {"node": {"home": folder}, "http": {"token_file": folder / "token"}, "destinations": destinations}
        )
        self._engine = intake.engine
        self._home = folder
        self.steps = StepsWithMadeUpAnalyses(settings, intake.engine, folder, {}, {}, intake.ledger)

    def report(self, *to: str) -> list[tuple[Any, ...]]:
        """Make a job's results; give (role, destination), and keep its summary."""
        options = {"method": None, "planes_explained": 1, "destinations": list(to)}
        row = {"id": "j" * 64, "study_instance_uid": "1.2", "route": "r", "bundle": "flair", "options": options}
        with self._engine.begin() as connection:
            connection.execute(jobs.insert().values(row | {"state": JobState.RUNNING, "created_at": now()}))
        nothing_apart = StudySelection(StudyReading((), ()), ())
        StepFiles(self._home / "jobs" / ("j" * 64)).keep("account", nothing_apart)
        self.steps.report(self.steps.job("j" * 64))
        joined = deliveries.join(results, results.c.sop_instance_uid == deliveries.c.sop_instance_uid)
        with self._engine.connect() as connection:
            self.summary = connection.execute(select(jobs.c.summary)).scalar_one()
            self.made = set(connection.execute(select(results.c.role)).scalars())
            query = select(results.c.role, deliveries.c.destination).select_from(joined)
            return [tuple(one) for one in connection.execute(query)]


@pytest.fixture
def office(intake: Intake, tmp_path: Path) -> Office:
    return Office(intake, tmp_path)


@pytest.mark.parametrize("to", [["plain"], ["plain", "values"], ["plain", "everything"]])
def test_each_destination_gets_what_its_profile_names(office: Office, to: Sequence[str]) -> None:
    queued = office.report(*to)
    assert sorted(queued) == sorted((role, name) for name in to for role in KINDS[name])
    assert office.made == {role for name in to for role in KINDS[name]}
    assert office.summary["left_out"] == []


def test_what_cannot_be_made_is_said_in_the_summary(office: Office) -> None:
    office.steps.verdict = Verdict.WITHHELD
    assert ("parametric_map", "values") not in office.report("values")
    assert office.summary["left_out"] == ["No parametric map of glioma on single image: the map is withheld."]

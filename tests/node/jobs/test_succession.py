"""What takes the place of what: a study that late images opened again gets new results, and the old ones stay."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from node.jobs.job_row import Job
from node.jobs.succession import predecessors, succeed
from node.store import JobState, jobs, results
from reports.objects.results import ResultObject
from tests.node.receiving.intake import Intake

STUDY, FLAIR, T1 = "1.2.3", "1.2.3.1", "1.2.3.2"


def made(name: str) -> tuple[ResultObject, ...]:
    """A capture and a report, by a name that stands for the digests their UIDs come from."""
    number = str(int.from_bytes(name.encode(), "big"))
    return tuple(
        ResultObject(role, "1.2", f"2.25.{number}.{index}", f"2.25.{number}", Path(f"{name}-{role}"), None, "ab" * 32)  # type: ignore[arg-type]
        for index, role in enumerate(("capture", "report"))
    )


class StandInJobs:
    """Decides about one study, and writes results down as a job does."""

    def __init__(self, intake: Intake) -> None:
        self._engine = intake.engine
        self._generation = 0

    def decide(self, *, bundle: str = "flair", generation: int | None = None) -> Job:
        self._generation = self._generation + 1 if generation is None else generation
        job = Job(
            id=f"job {self._generation} {bundle}",
            study_instance_uid=STUDY,
            route="r",
            bundle=bundle,
            reason=None,
            method=None,
            planes_explained=1,
            destinations=(),
            created_at=datetime(2026, 1, 5, tzinfo=UTC),
            verdicts=(),
            generation=self._generation,
            missing="",
            withheld="",
            model="",
        )
        with self._engine.begin() as connection:
            connection.execute(
                jobs.insert().values(
                    id=job.id,
                    study_instance_uid=STUDY,
                    route="r",
                    bundle=bundle,
                    options={},
                    state=JobState.RUNNING,
                    created_at=job.created_at,
                    generation=job.generation,
                )
            )
        return job

    def write(self, job: Job, series: str | None, objects: Sequence[ResultObject]) -> list[str]:
        """Return the predecessors' UIDs."""
        with self._engine.begin() as connection:
            before = predecessors(connection, job, series)
            for item in objects:
                row = {
                    "sop_instance_uid": item.sop_instance_uid, "sop_class_uid": item.sop_class_uid,
                    "series_instance_uid": item.series_instance_uid, "job_id": job.id, "role": item.role,
                    "path": str(item.path), "sha256": item.sha256, "created_at": job.created_at,
                    "source_series_uid": series,
                }  # fmt: skip
                known = select(results).where(results.c.sop_instance_uid == item.sop_instance_uid)
                if not connection.execute(known).first():
                    connection.execute(results.insert().values(row))
            succeed(connection, job, series, objects)
        return [one.sop_instance_uid for one in before]

    def rows(self) -> dict[str, Any]:
        with self._engine.connect() as connection:
            return {row.sop_instance_uid: row for row in connection.execute(select(results))}

    def superseded(self) -> dict[str, str]:
        return {uid: row.superseded_by for uid, row in self.rows().items() if row.superseded_by}


@pytest.fixture
def office(intake: Intake) -> StandInJobs:
    return StandInJobs(intake)


def uids(objects: Sequence[ResultObject]) -> list[str]:
    return [item.sop_instance_uid for item in objects]


def test_a_later_report_names_the_earlier_one_and_supersedes_it_and_its_captures(office: StandInJobs) -> None:
    first, second, third = made("a"), made("b"), made("c")
    assert office.write(office.decide(), FLAIR, first) == []
    assert office.superseded() == {}
    assert office.write(office.decide(), FLAIR, second) == [first[1].sop_instance_uid]
    assert office.superseded() == dict.fromkeys(uids(first), second[1].sop_instance_uid)
    assert office.write(office.decide(), FLAIR, third) == [second[1].sop_instance_uid]
    assert len(office.rows()) == 6


def test_a_report_that_is_written_again_after_a_crash_names_the_same_predecessor(office: StandInJobs) -> None:
    first, second = made("a"), made("b")
    office.write(office.decide(), FLAIR, first)
    job = office.decide()
    once = office.write(job, FLAIR, second)
    before = office.rows()
    assert office.write(job, FLAIR, second) == once == [first[1].sop_instance_uid]
    assert office.rows() == before


def test_the_same_result_again_passes_to_the_later_decision_and_is_not_made_twice(office: StandInJobs) -> None:
    same = made("a")
    office.write(office.decide(), FLAIR, same)
    later = office.decide()
    office.write(later, FLAIR, same)
    assert office.superseded() == {}
    assert {row.job_id for row in office.rows().values()} == {later.id}


def test_another_series_and_another_model_are_not_superseded(office: StandInJobs) -> None:
    flair, t1, other = made("a"), made("b"), made("c")
    first = office.decide()
    office.write(first, FLAIR, flair)
    office.write(first, T1, t1)
    office.write(office.decide(bundle="tumour"), FLAIR, other)
    assert office.superseded() == {}
    assert office.write(office.decide(), T1, made("d")) == [t1[1].sop_instance_uid]
    assert set(office.superseded()) == set(uids(t1))


def test_not_analysed_is_superseded_by_an_analysis_and_the_other_way_round(office: StandInJobs) -> None:
    nothing, found, nothing_again = made("a")[1:], made("b"), made("c")[1:]
    office.write(office.decide(bundle=""), None, nothing)
    assert office.write(office.decide(), FLAIR, found) == uids(nothing)
    assert office.write(office.decide(bundle=""), None, nothing_again) == [found[1].sop_instance_uid]
    assert set(office.superseded()) == {*uids(nothing), *uids(found)}


def test_a_decision_that_was_overtaken_supersedes_nothing_and_is_itself_superseded(office: StandInJobs) -> None:
    early, late = office.decide(), office.decide()
    new, old = made("b"), made("a")
    office.write(late, FLAIR, new)
    assert office.write(early, FLAIR, old) == []
    assert office.superseded() == dict.fromkeys(uids(old), new[1].sop_instance_uid)


def test_another_study_is_never_touched(office: StandInJobs) -> None:
    office.write(office.decide(), FLAIR, made("a"))
    elsewhere = replace(office.decide(), study_instance_uid="9.9")
    assert office.write(elsewhere, FLAIR, made("b")) == []
    assert office.superseded() == {}

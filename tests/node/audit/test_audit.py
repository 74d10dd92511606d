"""The audit acts: routes are stopped and armed again, golden sets are replayed, nothing is lost meanwhile."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, insert, select

from inference.bundle.discovery import load_named
from inference.errors import Misconfigured, Refused, UnknownName
from inference.trust.verdict import Trust, Verdict
from node.audit.arming import Arming
from node.audit.audit import Audit
from node.audit.auditor import Auditor
from node.audit.constancy import Constancy
from node.jobs.installation import Installation
from node.jobs.stacks import withhold
from node.jobs.steps import Steps
from node.settings.audit import AuditSettings, RouteState
from node.settings.http import HttpSettings
from node.settings.node import NodeSettings
from node.settings.settings import Settings
from node.store import JobState, StudyState, jobs, now, studies
from reports.audit.ledger import Event, Ledger
from reports.audit.observations import Observations
from reports.audit.repeatability.pairs import pairs
from reports.audit.repeatability.replay import Level
from tests.reports.audit.years import BASELINE_DAYS, Hospital, at_day, draw_year, fill

RULE = {"name": "flair", "bundles": ["glioma_flair"], "destinations": []}


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    return Ledger(engine, b"key")


def settings_of(home: Path, **audit: object) -> Settings:
    return Settings(
        node=NodeSettings(home=home),
        http=HttpSettings(token_file=home / "token"),
        rules=(RULE,),  # type: ignore[arg-type]
        audit=AuditSettings(**audit),  # type: ignore[arg-type]
    )


def enter_study(engine: Engine, state: StudyState) -> None:
    """Enter study 1.2.3 of the route in this state."""
    row = {"study_instance_uid": "1.2.3", "state": state, "route": "flair"}
    with engine.begin() as connection:
        connection.execute(insert(studies).values(**row, first_received_at=now(), last_received_at=now()))


class Site:
    """Auditor, arming and constancy of one store, without a thread."""

    def __init__(self, home: Path, engine: Engine, ledger: Ledger, **audit: object) -> None:
        self.settings = settings_of(home, **audit)
        self.bundles = {"glioma_flair": load_named("glioma_flair")}
        self.arming = Arming(engine, ledger)
        self.constancy = Constancy(home, engine, ledger, b"key", None)
        self.audit = Audit(
            self.settings,
            lambda: self.settings.rules,
            engine,
            ledger,
            self.arming,
            self.constancy,
            Observations(engine),
            self.bundles,
            {},
        )
        self.auditor = Auditor(self.audit)

    def installations(self) -> dict[str, Installation]:
        return self.audit.installations()


def test_a_route_is_armed_until_it_is_stopped_and_a_harder_stop_stays(engine: Engine, ledger: Ledger) -> None:
    arming = Arming(engine, ledger)
    assert arming.standing("flair").state is RouteState.ARMED
    assert arming.stop("flair", RouteState.HELD, "the golden set has changed")
    assert not arming.stop("flair", RouteState.SHADOW, "an alarm")
    assert arming.standing("flair").state is RouteState.HELD
    assert [entry.event for entry in ledger.events()] == [Event.ROUTE_STOPPED]


def test_arming_takes_a_name_a_reason_and_a_passed_replay(engine: Engine, ledger: Ledger) -> None:
    arming = Arming(engine, ledger)
    with pytest.raises(UnknownName, match="is armed"):
        arming.arm("flair", "why not", by_whom="physicist", bundles={})
    arming.stop("flair", RouteState.SHADOW, "an alarm")
    with pytest.raises(Refused, match="named user, with a reason"):
        arming.arm("flair", " ", by_whom="physicist", bundles={})
    with pytest.raises(Refused, match="has not passed a replay"):
        arming.arm("flair", "looked at", by_whom="physicist", bundles={"glioma_flair": "f" * 64})


def test_a_held_study_is_decided_again_once_its_route_is_armed(engine: Engine, ledger: Ledger) -> None:
    arming = Arming(engine, ledger)
    arming.stop("flair", RouteState.HELD, "the golden set has changed")
    enter_study(engine, StudyState.HELD)
    arming.arm("flair", "accepted", by_whom="physicist", bundles={})
    with engine.connect() as connection:
        assert connection.execute(select(studies.c.state)).scalar_one() == StudyState.COMPLETE


def test_a_job_whose_bundle_was_replaced_is_taken_back_and_its_study_decided_again(
    tmp_path: Path, engine: Engine, ledger: Ledger
) -> None:
    bundle = load_named("glioma_flair")
    steps = Steps(settings_of(tmp_path), engine, tmp_path, {"glioma_flair": bundle}, {}, ledger)
    enter_study(engine, StudyState.ROUTED)
    with engine.begin() as connection:
        for number, model in enumerate((bundle.identity.digest, "0" * 64)):
            options = {"method": None, "planes_explained": 1, "destinations": [], "model": model}
            connection.execute(
                insert(jobs).values(
                    id=str(number),
                    study_instance_uid="1.2.3",
                    route="flair",
                    bundle="glioma_flair",
                    options=options,
                    state=JobState.QUEUED,
                    generation=number + 1,
                    created_at=now(),
                )
            )
    assert not steps.take_back(steps.job("0"))
    assert steps.take_back(steps.job("1"))
    with engine.connect() as connection:
        assert connection.execute(select(studies.c.state)).scalar_one() == StudyState.COMPLETE


def test_a_withheld_route_shows_no_map_and_says_why() -> None:
    shown = withhold(Trust(Verdict.TRUSTED, ("All is well.",), 0.97, ()), "hot_area: 0.08 at baseline, 0.2 now")
    assert shown.verdict is Verdict.WITHHELD
    assert shown.reasons[0].startswith("The audit withholds the maps of this route: hot_area")


@pytest.mark.slow
def test_an_accepted_installation_repeats_and_another_one_is_held_until_it_is_accepted(
    tmp_path: Path, engine: Engine, ledger: Ledger
) -> None:
    site = Site(tmp_path, engine, ledger, on_changed_replay="hold")
    name, installation = "glioma_flair", site.installations()["glioma_flair"]
    with pytest.raises(Misconfigured, match="no baseline"):
        site.constancy.replay(installation)
    site.constancy.accept(installation, by_whom="physicist")
    assert not site.constancy.is_due(installation, hours=24)
    assert site.constancy.replay(installation).level is Level.R0

    silent = site.bundles[name]
    shuffled = silent.primary(_cpu()).module.state_dict()
    head = next(key for key in reversed(shuffled) if shuffled[key].ndim > 1)
    shuffled[head].mul_(1.1)
    changed = replace(installation, options=replace(installation.options, budget_mebibytes=1024))
    assert changed.fingerprint == installation.fingerprint, "memory moves no number"
    replay = site.constancy.replay(installation)
    assert not replay.passed
    assert "maps changed" in replay.sentence or "findings of the golden set differ" in replay.sentence

    site.auditor.hold_what_changed()
    assert site.arming.standing("flair").state is RouteState.HELD
    site.constancy.accept(installation, by_whom="physicist")
    site.arming.arm("flair", "the update is meant", by_whom="physicist", bundles={name: installation.fingerprint})
    assert site.arming.standing("flair").state is RouteState.ARMED
    told = [entry.event for entry in ledger.events()]
    assert told.count(Event.ACCEPTED) == 2
    assert Event.REPLAY_FAILED in told
    assert ledger.verify() is None
    with engine.connect() as connection:
        kept = connection.execute(select(pairs.c.again, pairs.c.subject, pairs.c.spearman, pairs.c.second_trust)).all()
    assert {row.again for row in kept} == {"replay"}, "the weights changed, the bundle's digest did not"
    assert {row.spearman for row in kept[:3]} == {1.0}
    assert len(kept) >= 3 * len({row.subject for row in kept})


def test_the_design_of_the_charts_is_locked_with_the_baseline_and_does_not_follow_the_settings(
    tmp_path: Path, engine: Engine, ledger: Ledger
) -> None:
    site = Site(tmp_path, engine, ledger)
    fill(engine, *draw_year(1, Hospital(), days=60))
    site.audit.lock("flair", at_day(0), at_day(60), by_whom="physicist")
    locked = site.arming.locked("flair")
    assert locked is not None
    assert locked.design is not None
    told = ledger.events()[-1]
    assert (told.event, told.details["run_length"]) == (Event.BASELINE_LOCKED, locked.design.run_length)
    asked = settings_of(tmp_path, false_alarms_per_year=12.0)
    control = replace(site.audit, settings=asked).control("flair")
    assert control is not None
    assert control.design == locked.design
    with pytest.raises(Refused, match="No figure has 50 cases"):
        site.audit.lock("flair", at_day(60), at_day(90), by_whom="physicist")


def test_an_alarm_stops_its_route_as_set_and_only_once(tmp_path: Path, engine: Engine, ledger: Ledger) -> None:
    site = Site(tmp_path, engine, ledger, on_alarm="shadow")
    day, rows = draw_year(1, Hospital(), days=BASELINE_DAYS + 60)
    after = day >= BASELINE_DAYS + 20
    rows["hot_area"] = np.where(after, rows["hot_area"] * 1.8, rows["hot_area"])
    fill(engine, day, rows)
    site.audit.lock("flair", at_day(0), at_day(BASELINE_DAYS), by_whom="physicist")
    with engine.begin() as connection:
        from node.audit.tables import baselines

        connection.execute(baselines.update().values(armed_at=at_day(BASELINE_DAYS)))
    site.auditor.tick(0.0)
    standing = site.arming.standing("flair")
    assert standing.state is RouteState.SHADOW
    assert "hot area" in standing.reason
    alarms = [entry for entry in ledger.events() if entry.event == Event.ALARM]
    assert alarms
    site.auditor.tick(60.0 * 60.0 + 1)
    assert len([entry for entry in ledger.events() if entry.event == Event.ALARM]) == len(alarms)
    assert timedelta(0) < now() - standing.changed_at < timedelta(minutes=5)  # type: ignore[operator]


def _cpu() -> "object":
    import torch

    return torch.device("cpu")

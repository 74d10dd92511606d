"""A node without a process of its own that looks for the priors of one study."""

import time

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from sqlalchemy import select

from node.priors.fetch import Fetching
from node.priors.records import PriorRecords
from node.receiving.inbox import Inbox
from node.receiving.listener import prior_listener
from node.settings.destination import Destination
from node.settings.http import HttpSettings
from node.settings.node import NodeSettings
from node.settings.priors import PriorSettings
from node.settings.settings import Settings
from node.store import instances, jobs, studies
from node.web.priors import PriorSearch, prior_search_of
from tests.node.receiving.intake import Intake, arrival, mr_image
from tests.node.routing.test_routing import Office, rule
from tests.patience import patient, wait_until

PRESENT = generate_uid()


def image(study: str, date: str, **values: str) -> Dataset:
    made = mr_image(study, size=8)
    made.StudyDate, made.StudyTime = date, "101500"
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Ward:
    """A node with a door for priors, that asks a PACS for them; ticked by hand."""

    def __init__(
        self, intake: Intake, pacs: Destination, port: int, monkeypatch: pytest.MonkeyPatch, *, by: str = "move"
    ) -> None:
        wanted = rule(priors=2, priors_from="pacs", priors_by=by)
        settings = Settings(
            node=NodeSettings(home=intake.home, minimum_free_bytes=0),
            http=HttpSettings(token_file=intake.home / "token"),
            destinations=(pacs,),
            rules=(wanted,),
            priors=PriorSettings(port=port, longest_wait_seconds=round(patient(2), 1)),
        )
        self.intake, self.settings = intake, settings
        self.inbox = Inbox(settings.node, intake.engine, intake.ledger, intake.studies)
        self.records = PriorRecords(intake.engine, "first")
        self.fetching = Fetching(settings, self.records, self.inbox, intake.ledger)
        door = prior_listener(settings, self.inbox, intake.metrics, intake.refusals)
        assert door is not None
        self.door = door
        self.office = Office(intake, monkeypatch, wanted)
        self.office.router._priors = self.fetching

    def decide(self, seconds: float = 10) -> float:
        """Send the present study, and tick until it is decided; give how long that took."""
        self.inbox.keep(arrival(image(PRESENT, "20260601")))
        self.office.wait(seconds)
        start = time.monotonic()
        wait_until(self._is_decided, 15, "the decision")
        return time.monotonic() - start

    def _is_decided(self) -> bool:
        self.office.router.tick()
        return PRESENT in self.analysed()

    def analysed(self) -> list[str]:
        """Return the study of every job."""
        with self.intake.engine.connect() as connection:
            return list(connection.execute(select(jobs.c.study_instance_uid)).scalars())

    def told(self) -> PriorSearch:
        found = prior_search_of(self.records.of(PRESENT), self.intake.ledger.pseudonym)
        assert found is not None
        return found

    def states(self) -> dict[str, str]:
        with self.intake.engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(select(studies.c.study_instance_uid, studies.c.state))}

    def kept(self) -> set[str]:
        with self.intake.engine.connect() as connection:
            return set(connection.execute(select(instances.c.sop_instance_uid)).scalars())

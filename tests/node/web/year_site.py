"""The web side of a node that has run for a year, with real overlays and names that are markup."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import quote

import numpy as np
from scipy.ndimage import gaussian_filter
from sqlalchemy import Connection, insert, select, update

from inference.passport.passport import SHIPPED_PASSPORTS
from inference.phantom.phantom import make_phantom
from inference.trust.verdict import Verdict
from node.audit.arming import Arming
from node.audit.audit import Audit
from node.audit.constancy import Constancy
from node.audit.opinions import Opinions
from node.audit.tables import baselines, replays
from node.delivery.consignments import Consignments
from node.jobs.installation import routed_bundles, warrants_of
from node.metrics import Metrics
from node.retention.retention import Retention
from node.settings.http import HttpSettings
from node.settings.inference import InferenceSettings
from node.settings.node import NodeSettings
from node.settings.rule import Rule
from node.settings.settings import Settings
from node.store import instances, jobs, open_engine, results, sqlite_url, studies
from node.web.access.caller import Scope
from node.web.access.tokens import Tokens
from node.web.app import create_app
from node.web.audit import audit_routes
from node.web.deliveries import DeliveryDesk, delivery_routes
from node.web.keeping.page import KeepingDesk, keeping_routes
from node.web.models import model_routes
from node.web.opinions import opinion_routes
from node.web.pages import PAGES, Pages
from reports.audit.ledger import Ledger
from reports.audit.observations import Observations, observations
from reports.objects.phantom_study import write_study
from reports.objects.results import write_results
from reports.picture.layout import panel_box
from tests.node.web.year_store import HELD, KEY, SHADOWED, WATCHED, year_home
from tests.reports.conftest import make_analysis

NAME = "<img src=x onerror=alert(1)>"
"""A patient's name, and the protocol that somebody wrote it into."""
SENDER = "<img onerror=x>"
"""An AE title: the network said so."""
DRESSED = 60
"""Of the newest studies, as many as the list shows and a few more, have real overlays."""
_ROUTES = {WATCHED: "glioma_flair", SHADOWED: "glioma_flair_unguided", HELD: "brain_tumour_t1ce"}


class AcceptedConstancy(Constancy):
    """A stand-in: every bundle counts as accepted; what a golden set gives is no matter of the console."""

    def accepted(self, _bundle: str) -> bool:
        return True


class YearSite:
    """The application over a copy of the year's store, its first route with half a year of charts."""

    def __init__(self, home: Path, *, studies: int) -> None:
        shutil.copytree(year_home(studies), home, dirs_exist_ok=True)
        self.engine = open_engine(sqlite_url(home))
        self.ledger = Ledger(self.engine, KEY)
        rules = tuple(Rule(name=name, bundles=(bundle,), destinations=()) for name, bundle in _ROUTES.items())
        settings = Settings(
            node=NodeSettings(home=home),
            http=HttpSettings(token_file=home / "token"),
            inference=InferenceSettings(passport_folder=SHIPPED_PASSPORTS / "phantoms"),
            rules=rules,
        )
        bundles = routed_bundles(settings)
        self.arming = Arming(self.engine, self.ledger)
        audit = self.audit = Audit(
            settings,
            lambda: settings.rules,
            self.engine,
            self.ledger,
            self.arming,
            AcceptedConstancy(home, self.engine, self.ledger, KEY, None),
            Observations(self.engine),
            bundles,
            warrants_of(settings, bundles),
        )
        self._lock_half_a_year(audit)
        self._pass_replays(audit)
        with self.engine.begin() as connection:
            self.shown, self.withheld = self._dress(connection, home)
        desk = DeliveryDesk(Consignments(self.engine, home / "outbox"), lambda _job, _destination: 1, self.ledger)
        extra_routers = [
            partial(delivery_routes, desk, Pages("HEATPROOF")),
            partial(opinion_routes, Opinions(self.engine, self.ledger)),
            partial(audit_routes, audit, Pages("HEATPROOF")),
            partial(model_routes, audit, Pages("HEATPROOF")),
            partial(
                keeping_routes,
                KeepingDesk(settings, Retention(settings, self.engine, self.ledger), self.ledger),
                Pages("HEATPROOF"),
            ),
        ]
        metrics = Metrics(self.engine, home)
        self.application = create_app(
            self.engine, settings, metrics, self.ledger, listening=lambda: True, extra_routers=extra_routers
        )
        self.token = Tokens(self.engine).add("ada", tuple(Scope))

    def pages(self) -> dict[str, str]:
        """Return the address of every page by a name: what the header leads to, and one of each kind below."""
        header = {path.strip("/") or "first": path for path, _ in PAGES}
        return header | {
            "login": "/login",
            "glossary": "/glossary",
            "dry_run": "/rules/dry-run",
            "study": f"/studies/{self.shown}",
            "study_withheld": f"/studies/{self.withheld}",
            "model": "/models/glioma_flair",
            "model_without_passport": "/models/brain_tumour_t1ce",
            "passport": "/models/glioma_flair/passport",
            "audit_by_scanner": f"/audit?route={quote(WATCHED)}&scanner={quote('Acme · Two')}&by=scanner",
            "audit_stopped": f"/audit?route={quote(SHADOWED)}",
            "no_such_page": "/studies/none",
        }

    def _lock_half_a_year(self, audit: Audit) -> None:
        end = datetime.now(UTC)
        half = end - timedelta(days=182)
        audit.lock(WATCHED, end - timedelta(days=366), half, by_whom="ada")
        with self.engine.begin() as connection:
            connection.execute(update(baselines).where(baselines.c.route == WATCHED).values(armed_at=half))

    def _pass_replays(self, audit: Audit) -> None:
        passed = {"at": datetime.now(UTC), "level": "identical", "passed": True, "sentence": "It repeats."}
        here = [
            {**passed, "bundle": name, "fingerprint": installation.fingerprint}
            for name, installation in audit.installations().items()
            if name == _ROUTES[SHADOWED]
        ]
        with self.engine.begin() as connection:
            connection.execute(insert(replays), here)

    def _dress(self, connection: Connection, home: Path) -> tuple[str, str]:
        """Return the newest studies overlays of a phantom with a hostile name.

        Returns:
            keys of a study all of whose maps are shown, and of one with a withheld map.
        """
        overlays = _draw(home / "outbox")
        newest = select(studies.c.study_instance_uid).order_by(studies.c.first_received_at.desc()).limit(DRESSED)
        uids = list(connection.execute(newest).scalars())
        of_newest = select(jobs.c.id, jobs.c.study_instance_uid, jobs.c.summary, jobs.c.created_at).where(
            jobs.c.study_instance_uid.in_(uids), jobs.c.state == "done"
        )
        keys: dict[bool, str] = {}
        for job_id, uid, summary, created in connection.execute(of_newest).all():
            if False in keys and True not in keys:
                summary["explanations"][1]["verdict"] = Verdict.WITHHELD.value
            for one in summary["explanations"]:
                one["panel"], withheld = list(panel_box((128, 128), None)), one["verdict"] == Verdict.WITHHELD.value
                one["reasons"] = [f"As commissioned. Protocol {NAME}"]
                preview = overlays[withheld]
                capture = results.c.sop_instance_uid == one["capture"]
                connection.execute(update(results).where(capture).values(preview_path=preview))
            steps = {"read": 1.0, "classify": 2.2, "explain": 4.9, "trust": 6.5, "report": 7.8}
            times = {step: (created + timedelta(seconds=seconds)).isoformat() for step, seconds in steps.items()}
            this = update(jobs).where(jobs.c.id == job_id)
            connection.execute(this.values(summary=json.loads(json.dumps(summary)), step_times=times))
            any_withheld = any(one["verdict"] == Verdict.WITHHELD.value for one in summary["explanations"])
            keys.setdefault(any_withheld, self.ledger.pseudonym(uid))
        first = instances.c.study_instance_uid == uids[1]
        connection.execute(update(instances).where(first).values(calling_ae_title=SENDER))
        hostile = update(observations).where(observations.c.number == 1).values(protocol=f"MR · {NAME}")
        connection.execute(hostile)
        return keys[False], keys[True]


def _draw(outbox: Path) -> dict[bool, str]:
    """Write the overlay of a phantom as it is shown and as it is withheld; gives their pictures."""
    phantom = make_phantom(1)
    source = write_study(phantom, outbox / "source", patient_id="PHANTOM-0001", patient_name=NAME)
    frame = max(phantom.lesion_slices, key=lambda index: int(phantom.masks[index].sum()))
    heat = gaussian_filter(phantom.masks[frame].astype(np.float32), 6)
    drawn = {}
    for withheld in (False, True):
        verdict = Verdict.WITHHELD if withheld else Verdict.TRUSTED
        analysis = make_analysis(source, on_frame=heat / heat.max(), frame=frame, verdict=verdict, score=0.93)
        made = write_results(analysis, outbox / verdict.value, created=datetime(2026, 11, 22, tzinfo=UTC))
        preview = made[0].preview_path
        assert preview is not None
        drawn[withheld] = str(preview.relative_to(outbox))
    return drawn

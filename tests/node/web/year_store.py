"""A whole node's store after its first year: 50,000 studies, 100,000 findings, 500,000 rows of the ledger.

It is filled below ``build/`` once a day, and anew after a change of the schema; who changes it takes a copy.
"""

import fcntl
import hashlib
import hmac
import json
import shutil
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.uid import Comprehensive3DSRStorage, MRImageStorage, SecondaryCaptureImageStorage
from sqlalchemy import Connection, Engine, insert

import node.migrations
from inference.phantom.phantom import make_phantom
from node.associations.refusals import refusals
from node.audit.tables import baselines, replays, route_states
from node.jobs.summary import line_of
from node.settings.audit import RouteState
from node.store import DeliveryState, JobState, StudyState, migrate, open_engine, sqlite_url
from node.studies.numbers import accession_key
from reports.audit.ledger import GENESIS, Event
from reports.audit.observation import FIGURES
from reports.objects.phantom_study import write_study
from tests.reports.audit.years import Hospital, draw_year

BUILD = Path(__file__).parents[3] / "build" / "year"
KEY = b"key of this site"
STUDIES = 50_000
DAYS = 365
WATCHED, SHADOWED, HELD = "brain FLAIR", "brain T1", "chest X-ray"
"""Routes: the first has a baseline of its first half year, an alarm put the second in shadow, the third is held."""
STUDIES_AT_ONCE = 2000
SHADOW_DAYS = 10
Rows = defaultdict[str, list[dict[str, object]]]
"""By table."""


def year_home(studies: int = STUDIES) -> Path:
    """Return the home folder of a node (heatproof.sqlite, inbox, outbox) that has run for a year until today.

    Two findings and ten rows of the ledger to a study. Of the newest 200 some are held, unrouted, failed or under way.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    revisions = sorted(Path(node.migrations.__path__[0]).glob("versions/*.py"))
    sources = b"".join(path.read_bytes() for path in (Path(__file__), *revisions))
    now = datetime.now(UTC)  # what failed last did so six and a half days before: within a week for six hours more
    name = f"{studies}-{now:%Y%m%d}.{now.hour // 6}-{hashlib.sha256(sources).hexdigest()[:8]}"
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (BUILD / name).is_dir():
            for old in sorted(BUILD.glob(f"{studies}-*"))[:-1]:  # another worker may be copying the last one
                shutil.rmtree(old)
            making = BUILD / "making"
            shutil.rmtree(making, ignore_errors=True)
            _make(making, studies)
            making.rename(BUILD / name)
    return BUILD / name


def study_uid(number: int) -> str:
    """Return the Study Instance UID of a study, 0 the oldest."""
    return f"1.2.826.0.1.3680043.10.9.{number + 1}"


def study_key(number: int) -> str:
    """Return the key of a study: the ledger's keyed hash of its UID."""
    return _keyed(study_uid(number))


def _keyed(identifier: str) -> str:
    return hmac.new(KEY, identifier.encode(), hashlib.sha256).hexdigest()


def _make(home: Path, studies: int) -> None:
    (home / "outbox").mkdir(parents=True)
    source = write_study(make_phantom(1), home / "inbox", study_key="year")[0]
    Image.new("RGB", (812, 512), (24, 24, 28)).save(home / "outbox" / "capture.png")
    shutil.copyfile(source, home / "outbox" / "result.dcm")
    engine = open_engine(sqlite_url(home))
    migrate(engine)
    with engine.begin() as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-400000"):  # nobody minds losing it
            connection.exec_driver_sql(f"PRAGMA {pragma}")
        year = _Year(studies, str(source.relative_to(home / "inbox")))
        for begin in range(0, studies, STUDIES_AT_ONCE):
            rows: Rows = defaultdict(list)
            for number in range(begin, min(begin + STUDIES_AT_ONCE, studies)):
                year.study(rows, number)
            _write(connection, rows)
        connection.exec_driver_sql("UPDATE ledger_head SET seq = ?, digest = ?", (year.seq, year.digest))
    _tell_quality(engine, year.start)
    engine.dispose()


def _write(connection: Connection, rows: Rows) -> None:
    for table, some in rows.items():
        names, marks = ", ".join(f'"{name}"' for name in some[0]), ", ".join("?" * len(some[0]))
        values = [tuple(row.values()) for row in some]
        connection.exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)  # noqa: S608 - ours


class _Year:
    """Draws the studies in turn, and holds the end of the ledger's chain."""

    def __init__(self, studies: int, path: str) -> None:
        self.studies = studies
        self.start = datetime.now(UTC) - timedelta(days=DAYS, minutes=5)
        self.seq, self.digest = 0, GENESIS
        self._path = path
        day, figures = draw_year(7, Hospital(cases_a_day=1.4 * 2 * studies / DAYS, patients=max(studies // 3, 1)))
        kept = np.sort(np.random.default_rng(7).choice(len(day), 2 * studies, replace=False))
        self._day = day[kept].tolist()
        within = np.arange(len(kept)) - np.searchsorted(day[kept], day[kept])
        self._seconds = (86_400.0 * within / np.bincount(day[kept])[day[kept]]).tolist()
        self._figures = {name: values[kept].tolist() for name, values in figures.items()}

    def study(self, rows: Rows, number: int) -> None:
        """Add everything about one study."""
        at = self.start + timedelta(days=self._day[2 * number], seconds=self._seconds[2 * number])
        newest = self.studies - 1 - number
        state = _state(newest)
        route = _route(number, state)
        uid, job = study_uid(number), _digest("job", number)
        if number == 0:
            self._tell(rows, at, Event.STARTED, None, version="0.2.0", device="CPU, 2 threads")
        self._receive(rows, uid, at, state, route)
        if state is StudyState.ROUTED:
            failed = newest % 29 == 7 and newest < 200
            ended = JobState.FAILED if failed else JobState.DONE
            self._job(rows, number, at, job, route, ended)
            if not failed:
                self._results(
                    rows, number, at, job, shadow=route == SHADOWED and newest * 2 * SHADOW_DAYS < self.studies
                )
                self._observe(rows, number, at, job, route)
        elif state is StudyState.NOT_ROUTED:
            self._job(rows, number, at, job, "", JobState.NOT_ANALYSED)
        self._happen(rows, number, at, job, route)

    def _receive(self, rows: Rows, uid: str, at: datetime, state: StudyState, route: str) -> None:
        complete = None if state is StudyState.RECEIVING else _text(at + timedelta(seconds=15))
        reasons = {
            StudyState.ROUTED: f"rule {route!r}, series 1 of 1: Modality is MR, as wanted",
            StudyState.NOT_ROUTED: "rule 'brain FLAIR', series 1 of 1: Modality is MR, wanted CT\nno rule matches",
            StudyState.HELD: "The route is held by the audit: the golden set has changed.",
        }
        rows["studies"].append(
            {
                "study_instance_uid": uid, "state": state.value, "first_received_at": _text(at),
                "last_received_at": _text(at + timedelta(seconds=5)), "complete_at": complete,
                "proof": complete and "quiet for 10 s", "route": route or None, "reason": reasons.get(state),
                "arrivals": 2, "answers": _ANSWERS if state in reasons else "null",
            }
        )  # fmt: skip
        rows["instances"] += [
            {
                "sop_instance_uid": f"{uid}.1.{image}", "sop_class_uid": MRImageStorage,
                "transfer_syntax_uid": "1.2.840.10008.1.2.1", "series_instance_uid": f"{uid}.1",
                "study_instance_uid": uid, "sha256": _digest(uid, image), "size_bytes": 131072, "path": self._path,
                "calling_ae_title": "ORTHANC", "peer_address": "127.0.0.1", "received_at": _text(at),
                "patient": _keyed(f"PATIENT-{int(uid.rpartition('.')[2]) // 3}"),
                "accession": accession_key(_keyed, f"ACC{uid.rpartition('.')[2]}"),
            }
            for image in range(2)
        ]  # fmt: skip

    def _job(self, rows: Rows, number: int, at: datetime, job: str, route: str, state: JobState) -> None:
        reasons = {
            JobState.FAILED: "The explain step failed inside the node (RuntimeError); see its log.",
            JobState.NOT_ANALYSED: "no rule matches this study",
        }
        done = state is JobState.DONE
        rows["jobs"].append(
            {
                "id": job, "study_instance_uid": study_uid(number), "route": route,
                "bundle": "glioma_flair" if route else "", "options": _OPTIONS, "state": state.value,
                "step": "deliver" if done else "classify", "reason": reasons.get(state),
                "summary": self._summary(number) if done else "null", **(self._line(number) if done else NO_LINE),
                "created_at": _text(at + timedelta(seconds=16)), "finished_at": _text(at + timedelta(seconds=24)),
                "generation": 1,
            }
        )  # fmt: skip

    def _results(self, rows: Rows, number: int, at: datetime, job: str, *, shadow: bool) -> None:
        uid = study_uid(number)
        classes = {"1": SecondaryCaptureImageStorage, "2": SecondaryCaptureImageStorage, "3": Comprehensive3DSRStorage}
        for part, sop_class in classes.items():
            sop, capture = f"{uid}.9.{part}", part != "3"
            rows["results"].append(
                {
                    "sop_instance_uid": sop, "sop_class_uid": sop_class, "series_instance_uid": f"{uid}.9",
                    "job_id": job, "role": "capture" if capture else "report", "path": "result.dcm",
                    "preview_path": "capture.png" if capture else None, "sha256": _digest(sop),
                    "created_at": _text(at + timedelta(seconds=24)), "source_series_uid": f"{uid}.1",
                }
            )  # fmt: skip
            for destination in () if shadow else ("pacs", "archive") if number % 2 else ("pacs",):
                rows["deliveries"].append(self._delivery(number, at + timedelta(seconds=30), sop, destination))

    def _delivery(self, number: int, at: datetime, sop: str, destination: str) -> dict[str, object]:
        newest = self.studies - 1 - number
        proof, problem, state, attempts = "storage commitment", None, DeliveryState.STORED, 1
        if destination == "archive" and newest < 60:
            state, proof, attempts, problem = DeliveryState.QUEUED, "", 3, "archive does not answer."
        elif destination == "pacs" and number % 997 == 5:
            state, proof, attempts, problem = (
                DeliveryState.FAILED,
                "",
                120,
                "pacs refused the object with status 0xA700.",
            )
        elif destination == "archive" and number % 5 == 2:
            state, proof = DeliveryState.SENT, "no proof asked for"
        return {
            "sop_instance_uid": sop, "destination": destination, "state": state.value, "attempts": attempts,
            "last_error": problem, "updated_at": _text(at), "sent_at": _text(at), "proof": proof or None,
        }  # fmt: skip

    def _observe(self, rows: Rows, number: int, at: datetime, job: str, route: str) -> None:
        for part in range(2):
            row = 2 * number + part
            drawn: Mapping[str, Any] = {name: values[row] for name, values in self._figures.items()}
            rows["observations"].append(
                {
                    "job_id": job, "number": part, "at_seconds": at.timestamp(), "day": int(at.timestamp() // 86400),
                    "study": study_key(number), "patient": f"{int(drawn['patient'])}", "route": route,
                    "bundle": "glioma_flair", "model": "m" * 64, "method": "gradcam",
                    "scanner": ("Acme · One", "Acme · Two", "Umbra · Seven")[number % 3], "protocol": "MR · FLAIR",
                    "label": "glioma", "verdict": _verdict(drawn["trust"]), "map_digest": _digest(row),
                    "thumbnail": bytes(64), **{name: drawn.get(name) for name in FIGURES},
                }
            )  # fmt: skip

    def _happen(self, rows: Rows, number: int, at: datetime, job: str, route: str) -> None:
        study = study_key(number)
        sent = {"destination": "pacs", "objects": 3}
        happened: list[tuple[Event, dict[str, object]]] = [
            (Event.ROUTED, {"route": route, "bundles": "glioma_flair", "content": job, "problem": None}),
            (Event.EXPLAINED, {"job": job, "bundle": "glioma_flair", "maps": job, "verdicts": "TRUSTED", "trust": 0.9}),
            (Event.EXPLAINED, {"job": job, "bundle": "glioma_flair", "maps": job, "verdicts": "CAUTION", "trust": 0.7}),
            (Event.ANALYSED, {"job": job, "bundle": "glioma_flair", "state": "done", "verdicts": "TRUSTED, CAUTION"}),
            (Event.DELIVERY_FAILED, {**sent, "problem": "pacs does not answer."}),
            (Event.DELIVERED, {**sent, "problem": ""}),
            (Event.DELIVERED, {**sent, "destination": "archive", "problem": ""}),
            (Event.DELIVERY_PROVEN, {**sent, "proof": "storage commitment"}),
            (Event.DELIVERY_PROVEN, {**sent, "destination": "archive", "proof": "storage commitment"}),
            (Event.OPINION, {"word": "accept", "by_whom": "Ada"}),
        ]
        for seconds, (event, details) in enumerate(happened, start=16):
            self._tell(rows, at + timedelta(seconds=seconds), event, study, **details)

    def _tell(self, rows: Rows, at: datetime, event: Event, study: str | None, **details: object) -> None:
        self.seq += 1
        covered = {
            "seq": self.seq, "at": at.isoformat(timespec="microseconds"), "event": event.value, "study": study,
            "details": json.dumps(details, sort_keys=True), "previous": self.digest,
        }  # fmt: skip
        self.digest = hashlib.sha256(json.dumps(list(covered.values())).encode()).hexdigest()
        rows["ledger"].append({**covered, "digest": self.digest})

    def _line(self, number: int) -> dict[str, str | None]:
        return {**NO_LINE, **line_of(json.loads(self._summary(number)))}

    def _summary(self, number: int) -> str:
        uid, trust, probability = study_uid(number), self._figures["trust"], self._figures["probability"]
        explained = [
            {
                "label": "glioma", "probability": probability[2 * number + part], "threshold": 0.5, "frame": 10 + part,
                "planes": 24, "method": "gradcam", "seed": number, "peak": [90, 118],
                "verdict": _verdict(trust[2 * number + part]), "reasons": ["As commissioned."],
                "score": trust[2 * number + part], "localiser": "", "signals": "@", "not_measured": [],
                "capture": f"{uid}.9.{part + 1}",
            }
            for part in range(2)
        ]  # fmt: skip
        told = {
            "bundle": {"name": "glioma_flair", "version": "1.0.0", "title": "Glioma on FLAIR", "digest": "m" * 64},
            "device": "CPU, 2 threads", "nothing_found": False, "planes": 24, "left_out": [],
            "ranges": [{"label": "glioma", "first": 8, "last": 13, "peak": 10, "peak_probability": 0.97}],
            "explanations": explained,
        }  # fmt: skip
        return json.dumps(told).replace('"@"', _SIGNALS)


NO_LINE = {"finding": None, "verdicts": None}


def _state(newest: int) -> StudyState:
    if newest < 3:
        return StudyState.RECEIVING
    if newest < 200 and newest % 31 == 8:
        return StudyState.HELD
    return StudyState.NOT_ROUTED if newest % 50 == 17 else StudyState.ROUTED


def _route(number: int, state: StudyState) -> str:
    if state is StudyState.HELD:
        return HELD
    return (SHADOWED if number % 5 == 4 else WATCHED) if state is StudyState.ROUTED else ""


def _verdict(trust: float) -> str:
    return "TRUSTED" if trust > 0.8 else "CAUTION" if trust > 0.5 else "WITHHELD"


def _tell_quality(engine: Engine, start: datetime) -> None:
    """Write a baseline, a route in shadow and one that is held, a replay a day, and who was refused."""
    end = start + timedelta(days=DAYS)
    stopped = [
        (SHADOWED, RouteState.SHADOW, "hot area: 0.08 at baseline, 0.11 over the last 90 cases (cusum chart)", "audit"),
        (HELD, RouteState.HELD, "2 of 3 golden maps have changed.", "constancy test"),
    ]
    names = ("route", "state", "reason", "by_whom")
    at = end - timedelta(days=SHADOW_DAYS)
    half = start + timedelta(days=DAYS // 2)
    replayed = {"bundle": "glioma_flair", "fingerprint": "f" * 64, "level": "R0", "sentence": "Bit for bit the same."}
    refused = {
        "peer_address": "10.0.0.7", "called_ae_title": "HEATPROOF", "offers": [], "accepted": False, "result": 1,
        "source": 1, "reason": 7, "times": 4, "cure": "Call HEATPROOF.", "problem": "The called AE title is another.",
    }  # fmt: skip
    with engine.begin() as connection:
        states = [dict(zip(names, row, strict=True), changed_at=at) for row in stopped]
        connection.execute(insert(route_states), states)
        connection.execute(
            insert(baselines).values(route=WATCHED, since=start, before=half, armed_at=half, by_whom="Ada")
        )
        days = [{**replayed, "at": start + timedelta(days=day + 1), "passed": True} for day in range(DAYS)]
        connection.execute(insert(replays), days)
        peers = [
            {**refused, "id": _digest(hour), "calling_ae_title": f"CT{hour}", "at": end - timedelta(hours=hour)}
            for hour in range(0, 240, 6)
        ]
        connection.execute(insert(refusals), peers)


def _text(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(" ", "microseconds")


def _digest(*parts: object) -> str:
    return hashlib.sha256(":".join(map(str, parts)).encode()).hexdigest()


_OPTIONS = json.dumps({"method": None, "planes_explained": 2, "destinations": ["pacs", "archive"], "withheld": ""})
_CLAUSE = {"held": True, "sentence": "Modality is MR, as wanted"}
_ANSWERS = json.dumps(
    [
        {
            "name": WATCHED, "held": True, "hours": None, "missing_series": [],
            "series": [{"numbers": [1], "held": True, "clauses": [_CLAUSE]}],
        }
    ]
)  # fmt: skip
_SIGNAL = {
    "name": "replicate_spearman", "meaning": "agreement with the replicates (Spearman)", "tier": "A",
    "value": 0.71, "null": 0.22, "null_interval": [0.16, 0.29], "null_count": 40, "referenced": 0.63,
    "referenced_interval": [0.59, 0.65], "part": 0.4,
}  # fmt: skip
_SIGNALS = json.dumps([_SIGNAL] * 5)

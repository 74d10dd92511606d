"""Ground truth returned by DICOM: opinions in reports, presentation states and segmentations about overlays.

Such objects arrive like any instance and are answered as such. They are read afterwards, from the inbox, by the
auditor's thread, once for each; what one says is an opinion whose author is the returned object.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydicom import Dataset
from sqlalchemy import Connection, Engine, Row, Select, exists, select

from inference.bundle.bundle import Bundle
from inference.errors import HeatproofError, UnreadableInstance
from inference.reading.instance import read_file
from node.audit.opinions import Opinions, Overlay, explanation_of
from node.audit.tables import returned
from node.store import insert_into, instances, jobs, now, results
from reports.audit.ledger import Event, Ledger
from reports.explained import read_header
from reports.objects.returned import KINDS, MOST_BYTES, Said, Shown, read_returned

AUTHOR = "returned object"
AT_ONCE = 20
"""Objects read in one batch."""
MOST_ATTEMPTS = 3
"""Attempts at an object that crashes the process."""


class Returned:
    """Reads returned objects once; of several nodes that read one at the same time, one records it."""

    def __init__(self, engine: Engine, ledger: Ledger, files: Path, bundles: Mapping[str, Bundle]) -> None:
        """Bind to a store, to the folder of its inbox and outbox, and to the bundles whose findings are remarked on."""
        self._engine = engine
        self._ledger = ledger
        self._inbox, self._outbox = files / "inbox", files / "outbox"
        self._bundles = bundles
        self._opinions = Opinions(engine, ledger)

    def read_new(self) -> int:
        """Read the objects that have not been read, oldest first; give how many that were.

        Those of a study without an overlay wait until it has one.
        """
        with self._engine.connect() as connection:
            waiting = connection.execute(_waiting()).all()
        for row in waiting:
            self._count(row.sop_instance_uid)
            try:
                if (row.attempts or 0) >= MOST_ATTEMPTS:
                    raise UnreadableInstance(f"The node ended {MOST_ATTEMPTS} times while it read the object.")
                overlays = self._overlays(row.study_instance_uid)
                said, problem = self._read(row, overlays), ""
            except (HeatproofError, OSError) as error:
                overlays, said = {}, ()
                problem = (
                    str(error) if isinstance(error, HeatproofError) else f"It cannot be read ({type(error).__name__})."
                )
            self._keep(row, overlays, said, problem)
        return len(waiting)

    def _count(self, sop_instance_uid: str) -> None:
        """Count an attempt before the object is read."""
        with self._engine.begin() as connection:
            first = insert_into(connection, returned).values(sop_instance_uid=sop_instance_uid, attempts=1)
            again = {"attempts": returned.c.attempts + 1}
            connection.execute(first.on_conflict_do_update(index_elements=["sop_instance_uid"], set_=again))

    def _read(self, row: Row[tuple[object, ...]], overlays: Mapping[str, tuple[Overlay, Shown]]) -> tuple[Said, ...]:
        if row.size_bytes > MOST_BYTES:
            raise UnreadableInstance(f"The object is larger than {MOST_BYTES >> 20} MiB.")
        return read_returned(self._inbox / row.path, [shown for _, shown in overlays.values()])

    def _overlays(self, study_instance_uid: str) -> dict[str, tuple[Overlay, Shown]]:
        """Return the overlays of a study that are in force, by SOP Instance UID, but for those whose files are gone."""
        query = (
            select(results.c.sop_instance_uid, results.c.role, results.c.path, jobs.c.id, jobs.c.bundle, jobs.c.summary)
            .join(jobs, jobs.c.id == results.c.job_id)
            .where(jobs.c.study_instance_uid == study_instance_uid, results.c.superseded_by.is_(None))
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
            reports = {row.id: row.sop_instance_uid for row in rows if row.role == "report"}
            overlays = {}
            for row in rows:
                explanation = explanation_of(row.summary, row.sop_instance_uid)
                if row.role == "capture" and explanation:
                    overlay = Overlay(row.sop_instance_uid, study_instance_uid, explanation)
                    code = self._code(row.bundle, explanation["label"])
                    with suppress(UnreadableInstance):
                        shown = self._shown(overlay, self._outbox / row.path, reports.get(row.id, ""), code, connection)
                        overlays[row.sop_instance_uid] = (overlay, shown)
        return overlays

    def _shown(self, overlay: Overlay, capture: Path, report: str, code: str, connection: Connection) -> Shown:
        """Find the plane that an overlay explains, by what its capture was derived from (PS3.3 C.7.6.1.1.4).

        Raises:
            UnreadableInstance: capture or source is gone.
        """
        source = (read_header(capture).get("SourceImageSequence") or [Dataset()])[0]
        uid = str(source.get("ReferencedSOPInstanceUID") or "")
        path = connection.execute(select(instances.c.path).where(instances.c.sop_instance_uid == uid)).scalar()
        if path is None or not (self._inbox / path).is_file():
            raise UnreadableInstance("The source of an overlay is gone.")
        file = read_file(self._inbox / path)
        peak, explanation = overlay.explanation["peak"], overlay.explanation
        return Shown(
            overlay.sop_instance_uid,
            report,
            file.frame(int(source.get("ReferencedFrameNumber") or 1) - 1),
            (int(file.dataset.Rows), int(file.dataset.Columns)),
            (int(peak[0]), int(peak[1])),
            explanation["label"],
            code,
        )

    def _code(self, bundle: str, label: str) -> str:
        classes = self._bundles[bundle].manifest.classes if bundle in self._bundles else ()
        return next((entry.code.value for entry in classes if entry.name == label and entry.code), "")

    def _keep(
        self,
        row: Row[tuple[object, ...]],
        overlays: Mapping[str, tuple[Overlay, Shown]],
        said: tuple[Said, ...],
        problem: str,
    ) -> None:
        """Record its opinions, or the problem, unless another node has done so."""
        words = "; ".join(sorted(f"{opinion.capture}: {opinion.word}" for opinion in said))
        unread = (returned.c.sop_instance_uid == row.sop_instance_uid) & returned.c.read_at.is_(None)
        values = {"read_at": now(), "said": problem or words or "No opinion on an overlay."}
        with self._engine.begin() as connection:
            if not connection.execute(returned.update().where(unread).values(values)).rowcount:
                return
            kind = KINDS[row.sop_class_uid]
            for opinion in said:
                self._opinions.keep(
                    overlays[opinion.capture][0],
                    opinion.word,
                    by_whom=AUTHOR,
                    place=opinion.place,
                    connection=connection,
                    source=kind,
                    source_object=row.sop_instance_uid,
                )
            if problem:
                details = {"source": f"{kind} {self._ledger.pseudonym(row.sop_instance_uid)}", "problem": problem}
                self._ledger.append(
                    Event.UNREAD, study_instance_uid=row.study_instance_uid, details=details, connection=connection
                )


def _waiting() -> Select[tuple[str, str, str, str, int, int]]:
    """Select what was not read, of studies that have an overlay."""
    overlay = (
        exists()
        .where(jobs.c.study_instance_uid == instances.c.study_instance_uid)
        .where(results.c.job_id == jobs.c.id, results.c.role == "capture")
    )
    return (
        select(
            instances.c.sop_instance_uid,
            instances.c.sop_class_uid,
            instances.c.study_instance_uid,
            instances.c.path,
            instances.c.size_bytes,
            returned.c.attempts,
        )
        .outerjoin(returned, returned.c.sop_instance_uid == instances.c.sop_instance_uid)
        .where(instances.c.sop_class_uid.in_(list(KINDS)), returned.c.read_at.is_(None))
        .where(overlay)
        .order_by(instances.c.received_at, instances.c.sop_instance_uid)
        .limit(AT_ONCE)
    )

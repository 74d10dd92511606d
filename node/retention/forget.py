"""Taking out a study or a patient: every file and row, but for the ledger's, which know a study by a keyed hash."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from shutil import rmtree

from pydicom import dcmread
from sqlalchemy import ColumnElement, Engine, and_, delete, exists, func, or_, select, union

from inference.errors import DAMAGE, Refused, UnknownName
from node.home import removing
from node.retention.conditions import awaiting_proof, has_undelivered, is_open
from node.retention.removal import delete_rows, unlink
from node.settings.settings import Settings
from node.store import DeliveryState, StudyState, deliveries, instances, jobs, results, studies
from node.workflow_store import delete_workflows
from reports.audit.ledger import Event, Ledger, entries
from reports.audit.observations import observations
from reports.audit.repeatability.pairs import pairs

_UNDECIDED = (StudyState.RECEIVING, StudyState.COMPLETE)
_TAGS = ["PatientID", "StudyInstanceUID"]


@dataclass(frozen=True)
class Forgotten:
    """What was taken out, and what stays."""

    studies: tuple[str, ...]
    """Keyed hashes, as the ledger has them."""
    files: int
    stays: tuple[str, ...]
    """What still knows of it, and why, in sentences."""


class Forgetting:
    """Takes out studies of one store."""

    def __init__(self, settings: Settings, engine: Engine, ledger: Ledger) -> None:
        """Bind to a store."""
        self._settings = settings
        self._engine = engine
        self._ledger = ledger
        self._files = settings.node.files
        self._awaiting = awaiting_proof(settings)

    def study(self, study: str) -> str:
        """Return the Study Instance UID of a study that the store knows.

        Args:
            study: its Study Instance UID, or its key in the console.

        Raises:
            UnknownName: nothing of it is here.
        """
        known = union(*(select(table.c.study_instance_uid) for table in (studies, instances, jobs)))
        with self._engine.connect() as connection:
            uids = connection.execute(known).scalars().all()
        for uid in uids:
            if study in (uid, self._ledger.pseudonym(uid)):
                return uid
        raise UnknownName(
            "Nothing of this study is here.", cure="Give its Study Instance UID, or its key in the console."
        )

    def studies_of(self, patient_id: str) -> tuple[str, ...]:
        """Return the Study Instance UIDs of a patient, also those whose Patient ID was corrected since."""
        key, columns = self._ledger.pseudonym(patient_id), instances.c
        named = or_(columns.patient == key, columns.former_patients.contains(key))
        with self._engine.connect() as connection:
            uids = set(connection.execute(select(columns.study_instance_uid).where(named)).scalars())
            unhashed = connection.execute(select(columns.study_instance_uid, columns.path).where(columns.patient == ""))
            uids |= {row[0] for row in unhashed if _names(self._files / "inbox" / row[1], patient_id)}
        return tuple(sorted(uids))

    def forget(
        self, study_instance_uids: Sequence[str], patient_id: str = "", *, by_whom: str = "", force: bool = False
    ) -> Forgotten:
        """Take out studies, and what the audit and the quarantine have of the patient.

        Args:
            study_instance_uids: of the studies.
            patient_id: of the patient, where all of one is taken out; else empty.
            by_whom: who asked for it, for the ledger.
            force: also where results are not delivered, or the node is at work on the study.

        Raises:
            Refused: a study is not done with; nothing is removed.
        """
        if not force:
            self._require_done(study_instance_uids)
        with removing(self._files, waits=True):
            sent = self._destinations(study_instance_uids)
            files = sum(self._take_out(uid, by_whom) for uid in study_instance_uids)
            files += self._clear_quarantine(study_instance_uids, patient_id)
            self._clear_audit(study_instance_uids, patient_id)
        keys = tuple(self._ledger.pseudonym(uid) for uid in study_instance_uids)
        return Forgotten(keys, files, (*self._overwrite(), *self._stays(keys, sent)))

    def _require_done(self, uids: Sequence[str]) -> None:
        of_study = jobs.c.study_instance_uid.in_(uids)
        under_way = select(studies.c.state).where(
            studies.c.study_instance_uid.in_(uids),
            or_(studies.c.state.in_(_UNDECIDED), exists().where(of_study, is_open())),
        )
        undelivered = select(jobs.c.id).where(of_study, has_undelivered(self._awaiting))
        with self._engine.connect() as connection:
            if connection.execute(under_way).first():
                raise Refused(
                    "The node is at work on a study.", cure="Wait until its analysis has ended, or use --force."
                )
            if connection.execute(undelivered).first():
                raise Refused(
                    "Results of a study are not delivered.",
                    cure="See `heatproof deliveries`; --force takes them out all the same.",
                )

    def _take_out(self, uid: str, by_whom: str) -> int:
        """Delete the rows of a study in one transaction, and then its files; give how many files."""
        with self._engine.connect() as connection:
            job_ids = list(connection.execute(select(jobs.c.id).where(jobs.c.study_instance_uid == uid)).scalars())
        delete_workflows(self._settings.node, job_ids)
        with self._engine.begin() as connection:
            images = select(instances.c.path).where(instances.c.study_instance_uid == uid)
            paths = list(connection.execute(images).scalars())
            delete_rows(connection, uid)
            self._ledger.append(
                Event.FORGOTTEN,
                study_instance_uid=uid,
                details={"objects": len(paths), **({"by_whom": by_whom} if by_whom else {})},
                connection=connection,
            )
        unlink(self._files / "inbox", paths)
        folders = [self._files / kind / job_id for kind in ("outbox", "jobs") for job_id in job_ids]
        made = sum(path.is_file() for folder in folders for path in folder.rglob("*"))
        for folder in folders:
            rmtree(folder, ignore_errors=True)
        return len(paths) + made

    def _clear_quarantine(self, uids: Sequence[str], patient_id: str) -> int:
        """Remove what was refused of these studies, or of this patient; give how many files."""
        folder, removed = self._settings.node.home / "quarantine", 0
        for path in sorted(folder.glob("*.bin")) if folder.is_dir() else ():
            if _names(path, patient_id, uids):
                for file in (path, path.with_suffix(".json")):
                    removed += file.is_file()
                    file.unlink(missing_ok=True)
        return removed

    def _clear_audit(self, uids: Sequence[str], patient_id: str) -> None:
        keys = [self._ledger.pseudonym(uid) for uid in uids]
        of_patient = observations.c.patient == self._ledger.pseudonym(patient_id) if patient_id else None
        seen: ColumnElement[bool] = observations.c.study.in_(keys)
        seen = seen if of_patient is None else or_(seen, of_patient)
        with self._engine.begin() as connection:
            subjects = set(connection.execute(select(observations.c.study).where(seen)).scalars()) | set(keys)
            connection.execute(delete(pairs).where(pairs.c.subject.in_(sorted(subjects))))
            connection.execute(delete(observations).where(seen))

    def _destinations(self, uids: Sequence[str]) -> tuple[str, ...]:
        """Return the destinations that have got results of these studies."""
        of_study = and_(jobs.c.id == results.c.job_id, jobs.c.study_instance_uid.in_(uids))
        query = (
            select(deliveries.c.destination)
            .join(results, results.c.sop_instance_uid == deliveries.c.sop_instance_uid)
            .join(jobs, of_study)
            .where(deliveries.c.state.in_([DeliveryState.SENT, DeliveryState.STORED]))
            .distinct()
        )
        with self._engine.connect() as connection:
            return tuple(sorted(connection.execute(query).scalars()))

    def _overwrite(self) -> Iterable[str]:
        """Overwrite what the database has let go; give what could not be."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if connection.dialect.name != "sqlite":
                yield "PostgreSQL keeps deleted rows in its files until VACUUM FULL, and in an archive of its log."
                return
            connection.exec_driver_sql("VACUUM")
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar_one()
        if busy:
            yield "The database's log could not be emptied while others read it; it is with their next writes."

    def _stays(self, keys: Sequence[str], sent: Sequence[str]) -> Iterable[str]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(func.count()).where(entries.c.study.in_(keys))).scalar_one()
        yield (
            f"{rows} rows of the ledger, and lines of the log, name a study by a hash keyed with site.key: the chain "
            "must stay whole, and nobody without the key and the UID can tell whose they are."
        )
        if sent:
            yield f"Results were sent to {', '.join(sent)}: what is there is theirs to remove."
        yield "Backups and exports made before have what they had; golden studies of the site are files of your own."


def _names(path: Path, patient_id: str, uids: Sequence[str] = ()) -> bool:
    """Say whether a data set is of one of these studies, or of this patient; one that cannot be read is searched."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    if any(uid.encode() in content for uid in uids):
        return True
    if not patient_id:
        return False
    try:
        read = dcmread(BytesIO(content), force=True, specific_tags=_TAGS, stop_before_pixels=True)
        named = str(read.get("PatientID", ""))
    except DAMAGE:
        named = ""
    return named == patient_id or (not named and patient_id.encode() in content)

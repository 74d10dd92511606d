"""Finding a study by what people call it: its Study UID, its accession number, or its Patient ID.

The store holds keyed hashes of them alone (HMAC-SHA-256 under the site's key): a number can be tried, not read back.
"""

from collections.abc import Callable
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from sqlalchemy import Engine, select, update

from node.store import instances, studies
from node.studies.instance import is_uid

STUDIES_AT_ONCE = 200
"""Studies of an earlier release whose keyed hashes are filled in one run."""
_NUMBERS = ("PatientID", "AccessionNumber")
Pseudonym = Callable[[str], str]


def accession_key(pseudonym: Pseudonym, accession_number: str) -> str:
    """Return the keyed hash of an Accession Number (0008,0050); empty where there is none.

    It is another one than that of a Patient ID of the same characters.
    """
    return pseudonym(f"accession number {accession_number}") if accession_number else ""


class Numbers:
    """Looks numbers up, and fills the hashes that an earlier release did not keep."""

    def __init__(self, engine: Engine, pseudonym: Pseudonym, inbox: Path) -> None:
        """Bind to a store.

        Args:
            engine: the migrated store.
            pseudonym: makes keyed hashes under the site's key.
            inbox: folder that the paths of instances are relative to.
        """
        self._engine = engine
        self._pseudonym = pseudonym
        self._inbox = inbox

    def key_of(self, number: str) -> tuple[str, bool]:
        """Return the keyed hash of what was typed, and whether it is that of a study itself.

        Args:
            number: a Study Instance UID, an Accession Number or a Patient ID; blanks around it do not count.

        Returns:
            the hash of the first of the three that is here; of a number that is none of them, that of a Patient ID.
        """
        typed = number.strip()
        by_accession, by_patient = accession_key(self._pseudonym, typed), self._pseudonym(typed)
        with self._engine.connect() as connection:
            if is_uid(typed) and connection.scalar(
                select(studies.c.study_instance_uid).where(studies.c.study_instance_uid == typed)
            ):
                return by_patient, True
            known = connection.scalar(
                select(instances.c.accession).where(instances.c.accession == by_accession).limit(1)
            )
        return (by_accession if known and typed else by_patient), False

    def fill(self) -> int:
        """Fill the hashes of some studies that an earlier release received, from one file of each.

        Returns:
            how many studies were filled; 0 where all are.
        """
        query = select(instances.c.study_instance_uid).where(instances.c.accession.is_(None))
        with self._engine.connect() as connection:
            uids = list(connection.execute(query.distinct().limit(STUDIES_AT_ONCE)).scalars())
        for uid in uids:
            self._fill(uid)
        return len(uids)

    def _fill(self, study_instance_uid: str) -> None:
        of_study = instances.c.study_instance_uid == study_instance_uid
        with self._engine.connect() as connection:
            paths = list(connection.execute(select(instances.c.path).where(of_study)).scalars())
        patient, accession = next((read for path in paths if (read := self._read(self._inbox / path))), ("", ""))
        with self._engine.begin() as connection:
            connection.execute(
                update(instances)
                .where(of_study, instances.c.accession.is_(None))
                .values(accession=accession_key(self._pseudonym, accession))
            )
            if patient:
                unknown = update(instances).where(of_study, instances.c.patient == "")
                connection.execute(unknown.values(patient=self._pseudonym(patient)))

    def _read(self, path: Path) -> tuple[str, str] | None:
        """Read Patient ID and Accession Number of a file; None where it cannot be read."""
        try:
            header = dcmread(path, specific_tags=list(_NUMBERS), stop_before_pixels=True)
            patient, accession = (str(header.get(name) or "").strip() for name in _NUMBERS)
        except (OSError, InvalidDicomError, ValueError):
            return None
        return patient, accession

"""Radiologists' opinions on overlays: accept, reject or elsewhere; and their rates by verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scipy.stats import binomtest
from sqlalchemy import Connection, Engine, select

from inference.errors import Refused, UnknownName
from node.audit.tables import opinions
from node.store import insert_into, jobs, now, results
from reports.audit.ledger import Event, Ledger

WORDS = ("accept", "reject", "elsewhere")
LEAST_OPINIONS = 30
"""Smallest number of opinions for a proposal."""
MOST_PIXELS = 65_536
"""Along a side of a plane whose size is not known: more does not fit into Rows and Columns."""
Place = tuple[int, int]
"""Row and column of a pixel, from 0."""


@dataclass(frozen=True)
class Count:
    """How often maps with one verdict were accepted."""

    verdict: str
    accepted: int
    all: int
    low: float
    high: float
    """95 % interval of the share accepted (Clopper and Pearson); it counts overlays, not patients."""


@dataclass(frozen=True)
class Overlay:
    """One overlay of ours that an opinion is about."""

    sop_instance_uid: str
    study_instance_uid: str
    explanation: Mapping[str, Any]
    """As the job's summary has it; empty where it has none."""


class Opinions:
    """The table ``opinions``: one for each overlay and person; the last one counts."""

    def __init__(self, engine: Engine, ledger: Ledger) -> None:
        self._engine = engine
        self._ledger = ledger

    def give(self, overlay: str, word: str, *, by_whom: str, place: Place | None = None) -> None:
        """Record an opinion from the console.

        Args:
            overlay: its id in the addresses of the console: the job's, a hyphen, the beginning of its SHA-256.
            word: accept, reject or elsewhere.
            by_whom: a named user.
            place: row and column of the finding on the plane shown, with "elsewhere".

        Raises:
            Refused: another word, nobody is named, or the place does not lie on the plane.
            UnknownName: this node made no such overlay.
        """
        if word not in WORDS or not by_whom.strip():
            raise Refused(f"An opinion is one of {', '.join(WORDS)}, by a named user.")
        judged_overlay = self.overlay(overlay)
        rows, columns = judged_overlay.explanation.get("shape", (MOST_PIXELS, MOST_PIXELS))
        if place is not None and not (0 <= place[0] < rows and 0 <= place[1] < columns):
            raise Refused("That place does not lie on the plane.", cure="Point at the finding, or give row and column.")
        with self._engine.begin() as connection:
            self.keep(judged_overlay, word, by_whom=by_whom, place=place, connection=connection)

    def overlay(self, overlay: str) -> Overlay:
        """Find an overlay by its id in the addresses of the console.

        Raises:
            UnknownName: this node made no such overlay.
        """
        job_id, _, digest = overlay.partition("-")
        query = select(jobs.c.study_instance_uid, jobs.c.summary, results.c.sop_instance_uid, results.c.sha256).where(
            results.c.job_id == jobs.c.id, results.c.role == "capture", jobs.c.id == job_id
        )
        with self._engine.connect() as connection:
            rows = [row for row in connection.execute(query) if digest and row.sha256.startswith(digest)]
        if not rows:
            raise UnknownName("This node made no such overlay.", cure="Give the word on the page of its study.")
        uid = rows[0].sop_instance_uid
        return Overlay(uid, rows[0].study_instance_uid, explanation_of(rows[0].summary, uid))

    def keep(
        self,
        overlay: Overlay,
        word: str,
        *,
        by_whom: str,
        place: Place | None,
        connection: Connection,
        source: str = "console",
        source_object: str | None = None,
    ) -> None:
        """Record an opinion, here and in the ledger, within a transaction.

        Args:
            overlay: of which overlay.
            word: accept, reject or elsewhere.
            by_whom: the author.
            place: row and column of the finding on the plane shown; None: not given.
            connection: the transaction.
            source: console, SR, GSPS or SEG.
            source_object: SOP Instance UID of the returned object that says so; the ledger has its keyed hash.
        """
        row, column = place or (None, None)
        values = {
            "word": word, "row": row, "column": column, "source": source, "source_object": source_object, "at": now()
        }  # fmt: skip
        new = insert_into(connection, opinions).values(capture=overlay.sop_instance_uid, by_whom=by_whom, **values)
        connection.execute(new.on_conflict_do_update(index_elements=["capture", "by_whom"], set_=values))
        origin = f"{source} {self._ledger.pseudonym(source_object)}" if source_object else source
        at = {"place": f"row {row}, column {column}"} if place else {}
        self._ledger.append(
            Event.OPINION,
            study_instance_uid=overlay.study_instance_uid,
            details={"word": word, "by_whom": by_whom, "capture": overlay.sop_instance_uid, "source": origin, **at},
            connection=connection,
        )

    def counts(self) -> tuple[Count, ...]:
        """Count accepted overlays by verdict."""
        query = select(opinions.c.capture, opinions.c.word, jobs.c.summary).where(
            opinions.c.capture == results.c.sop_instance_uid, results.c.job_id == jobs.c.id
        )
        said: dict[str, list[bool]] = {}
        with self._engine.connect() as connection:
            for capture, word, summary in connection.execute(query):
                if shown := explanation_of(summary, capture):
                    said.setdefault(shown["verdict"], []).append(word == "accept")
        return tuple(_count(verdict, words) for verdict, words in sorted(said.items()))

    def proposal(self, alpha: float) -> str:
        """Propose to commission again where TRUSTED is accepted less often than promised.

        Args:
            alpha: share of TRUSTED maps that may miss.

        Returns:
            a sentence, empty where there is nothing to propose.
        """
        for count in self.counts():
            if count.verdict == "TRUSTED" and count.all >= LEAST_OPINIONS and count.high < 1 - alpha:
                return (
                    f"Radiologists accepted {count.accepted} of {count.all} TRUSTED maps "
                    f"[{count.low:.2f}, {count.high:.2f}]; "
                    f"at least {1 - alpha:.2f} was promised. Commission the bundle anew on cases of this site."
                )
        return ""


def explanation_of(summary: Mapping[str, Any] | None, capture: str) -> Mapping[str, Any]:
    """Return what a job's summary says of one overlay, by its SOP Instance UID; empty where it says nothing."""
    every = (summary or {}).get("explanations", ())
    return next((explanation for explanation in every if explanation["capture"] == capture), {})


def _count(verdict: str, words: list[bool]) -> Count:
    interval = binomtest(sum(words), len(words)).proportion_ci()
    return Count(verdict, sum(words), len(words), float(interval.low), float(interval.high))

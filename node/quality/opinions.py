"""The radiologist's word on an overlay: accepted, rejected, or elsewhere; and what it says of the words of the node."""

from dataclasses import dataclass

from scipy.stats import binomtest
from sqlalchemy import Engine, select

from inference.errors import Refused, UnknownName
from node.quality.tables import opinions
from node.store import insert_into, jobs, now, results
from reports.audit.ledger import Event, Ledger

WORDS = ("accept", "reject", "elsewhere")
LEAST_OPINIONS = 30
"""Below so many nothing is proposed."""


@dataclass(frozen=True)
class Count:
    """How often maps with one verdict were accepted."""

    verdict: str
    accepted: int
    all: int
    low: float
    high: float
    """95 % interval of the share accepted (Clopper and Pearson); it counts overlays, not patients."""


class Opinions:
    """What radiologists said, one word for each overlay and person; the last one counts."""

    def __init__(self, engine: Engine, ledger: Ledger) -> None:
        self._engine = engine
        self._ledger = ledger

    def give(
        self, overlay: str, word: str, *, by_whom: str, place: tuple[int, int] | None = None, source: str = "console"
    ) -> None:
        """Keep a word.

        Args:
            overlay: its id in the addresses of the console: the job's, a hyphen, the beginning of its SHA-256.
            word: accept, reject or elsewhere.
            by_whom: a named user.
            place: row and column of the finding on the plane shown, with "elsewhere".
            source: where it was said.

        Raises:
            Refused: another word, or nobody is named.
            UnknownName: this node made no such overlay.
        """
        if word not in WORDS or not by_whom.strip():
            raise Refused(f"An opinion is one of {', '.join(WORDS)}, by a named user.")
        with self._engine.begin() as connection:
            job_id, _, digest = overlay.partition("-")
            query = select(jobs.c.study_instance_uid, results.c.sop_instance_uid, results.c.sha256).where(
                results.c.job_id == jobs.c.id, results.c.role == "capture", jobs.c.id == job_id
            )
            found = [row for row in connection.execute(query) if digest and row.sha256.startswith(digest)]
            if not found:
                raise UnknownName("This node made no such overlay.", cure="Give the word on the page of its study.")
            row, column = place or (None, None)
            values = {"word": word, "row": row, "column": column, "source": source, "at": now()}
            new = insert_into(connection, opinions).values(capture=found[0].sop_instance_uid, by_whom=by_whom, **values)
            connection.execute(new.on_conflict_do_update(index_elements=["capture", "by_whom"], set_=values))
            self._ledger.append(
                Event.OPINION,
                study_instance_uid=found[0].study_instance_uid,
                details={"word": word, "by_whom": by_whom},
                connection=connection,
            )

    def counts(self) -> tuple[Count, ...]:
        """Count what was accepted, by the verdict that the overlay showed."""
        query = select(opinions.c.capture, opinions.c.word, jobs.c.summary).where(
            opinions.c.capture == results.c.sop_instance_uid, results.c.job_id == jobs.c.id
        )
        said: dict[str, list[bool]] = {}
        with self._engine.connect() as connection:
            for capture, word, summary in connection.execute(query):
                shown = [one["verdict"] for one in (summary or {}).get("explanations", []) if one["capture"] == capture]
                for verdict in shown:
                    said.setdefault(verdict, []).append(word == "accept")
        return tuple(_count(verdict, words) for verdict, words in sorted(said.items()))

    def proposal(self, alpha: float) -> str:
        """Say where TRUSTED is accepted less often than promised; nothing is ever re-calibrated by itself.

        Args:
            alpha: share of TRUSTED maps that may miss.

        Returns:
            a sentence, empty where there is nothing to propose.
        """
        for one in self.counts():
            if one.verdict == "TRUSTED" and one.all >= LEAST_OPINIONS and one.high < 1 - alpha:
                return (
                    f"Radiologists accepted {one.accepted} of {one.all} TRUSTED maps [{one.low:.2f}, {one.high:.2f}]; "
                    f"at least {1 - alpha:.2f} was promised. Commission the bundle anew on cases of this site."
                )
        return ""


def _count(verdict: str, words: list[bool]) -> Count:
    interval = binomtest(sum(words), len(words)).proportion_ci()
    return Count(verdict, sum(words), len(words), float(interval.low), float(interval.high))

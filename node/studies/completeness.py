"""Completeness of studies, judged twice a second, with the proof.

Time is measured by the monotonic clock from the last new image this process saw: a jump of the
system clock closes no study early or late. After a restart the quiet time begins anew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.exc import DBAPIError

from inference.errors import DAMAGE, HeatproofError
from node.rules.decide import Decision, decide
from node.settings.rule import Rule
from node.settings.settings import Settings
from node.store import StudyState
from node.studies.attempts import MOST_ATTEMPTS, Attempts
from node.studies.counting import Counting
from node.studies.performed_steps import Performed, PerformedSteps
from node.studies.studies import Snapshot, Studies


@dataclass(frozen=True)
class _Watched:
    arrivals: int
    since_seconds: float
    """On the monotonic clock."""


@dataclass(frozen=True)
class _Asked:
    """What the rules said to a study that is still open."""

    arrivals: int
    rules: tuple[Rule, ...]
    minute: datetime
    """Rules may have hours."""
    decision: Decision


class Completeness:
    """Closes studies: by proof, else by quiet time, else after the longest wait.

    What the modality says that it made (MPPS) closes a study at once, when all of it is here. Else no image may have
    come for the quiet time, and nothing may be known to be missing: of what MPPS lists, of what the sender counts, of
    the series that the rule expects, of a Patient ID that is corrected instance by instance. After the longest wait it
    is closed all the same, and what is missing is named.
    """

    def __init__(
        self,
        settings: Settings,
        studies: Studies,
        steps: PerformedSteps,
        counting: Counting,
        rules: Callable[[], tuple[Rule, ...]],
        attempts: Attempts,
    ) -> None:
        """Bind to a store.

        Args:
            settings: ``node.quiet_seconds`` and ``completeness.longest_wait_seconds``.
            studies: the studies to watch.
            steps: what modalities say that they made.
            counting: asks how many images there are.
            rules: gives the rules in force, which may name the series they expect.
            attempts: counts how often the rules were asked about a study.
        """
        self._studies = studies
        self._steps = steps
        self._counting = counting
        self._takes_steps = settings.completeness.performed_steps
        self._quiet_seconds = settings.node.quiet_seconds
        self._longest_seconds = max(settings.completeness.longest_wait_seconds, self._quiet_seconds)
        self._rules = rules
        self._attempts = attempts
        self._watched: dict[str, _Watched] = {}
        self._asked: dict[str, _Asked] = {}
        self._log = structlog.get_logger("completeness")

    @property
    def is_watching(self) -> bool:
        """Whether a study was not complete yet when last looked."""
        return bool(self._watched)

    def close(self, at: datetime, *, seconds: float) -> tuple[Snapshot, ...]:
        """Close the studies that are complete, and give all that wait for a decision.

        Args:
            at: the time, for the record.
            seconds: the monotonic clock.

        Returns:
            the studies as they stand; one that was closed before a crash is given again until it is decided.
        """
        receiving = self._studies.receiving()
        for study in receiving:
            if study.study_instance_uid not in self._watched:
                self._log.info("study_received", study_instance_uid=study.study_instance_uid)
        self._watched = {study.study_instance_uid: self._watch(study, seconds) for study in receiving}
        self._asked = {uid: asked for uid, asked in self._asked.items() if uid in self._watched}
        self._counting.forget_all_but(self._watched)
        for study in sorted(receiving, key=lambda snapshot: self._watched[snapshot.study_instance_uid].since_seconds):
            try:
                self._judge(study, at, seconds)
            except DBAPIError:
                raise
            except (*DAMAGE, HeatproofError) as error:  # one that cannot be judged stops no other
                self._give_up(study, at, seconds, type(error).__name__)
        return self._studies.waiting()

    def _watch(self, study: Snapshot, seconds: float) -> _Watched:
        known = self._watched.get(study.study_instance_uid)
        return known if known and known.arrivals == study.arrivals else _Watched(study.arrivals, seconds)

    def _judge(self, study: Snapshot, at: datetime, seconds: float) -> None:
        quiet = seconds - self._watched[study.study_instance_uid].since_seconds
        performed = self._steps.of(study.study_instance_uid) if self._takes_steps else None
        whole = performed and performed.ended and performed.listed and not performed.absent
        correction = self._studies.correction(study.study_instance_uid)
        if performed and whole and not (correction and correction.former):
            broken_off = "the modality discontinued the procedure step (MPPS)" if performed.discontinued else None
            self._close(study, at, _performed(performed), broken_off)
            return
        if quiet < self._quiet_seconds:
            return
        proofs, missing = self._evidence(study, performed, at, seconds)
        if not missing:
            proof = "; ".join([f"no image for {self._quiet_seconds:g} s (quiet time)", *proofs])
            self._close(study, at, proof)
        elif quiet >= self._longest_seconds:
            proof = "; ".join([f"no image for {self._longest_seconds:g} s (longest wait)", *proofs])
            self._close(study, at, proof, "; ".join(missing))

    def _close(self, study: Snapshot, at: datetime, proof: str, missing: str | None = None) -> None:
        if self._studies.close(study, at, proof=proof, missing=missing):
            self._log.info(
                "study_complete",
                study_instance_uid=study.study_instance_uid,
                instances=study.arrivals,
                proof=proof,
                problem=f"missing: {missing}" if missing else None,
            )

    def _give_up(self, study: Snapshot, at: datetime, seconds: float, error: str) -> None:
        """Close a study that cannot be judged after its quiet time: the router reports the problem."""
        self._log.error("not_judged", study_instance_uid=study.study_instance_uid, error=error)
        if seconds - self._watched[study.study_instance_uid].since_seconds >= self._quiet_seconds:
            missing = f"whether all of it is here could not be judged ({error})"
            self._close(study, at, f"no image for {self._quiet_seconds:g} s (quiet time)", missing)

    def _evidence(
        self, study: Snapshot, performed: Performed | None, at: datetime, seconds: float
    ) -> tuple[list[str], list[str]]:
        """Return the proof that the study is complete, and what is missing."""
        proofs, missing = self._counting.compare(self._studies, study, seconds)
        correction = self._studies.correction(study.study_instance_uid)
        of_all = correction.corrected + correction.former if correction else 0
        if correction and correction.former:
            missing.append(
                f"the corrected Patient ID (0010,0020) in {correction.former} of {of_all} instances: "
                "the study is half corrected"
            )
        elif correction:
            proofs.append(f"all {of_all} instances carry the corrected Patient ID")
        if performed is not None and not performed.ended:
            missing.append("a performed procedure step is still in progress (MPPS)")
        elif performed is not None and performed.absent:
            missing.append(f"{performed.absent} of {performed.listed} instances that MPPS lists")
        elif performed is not None:
            proofs.append(f"MPPS {' and '.join(performed.states)} lists no instance")
        rules = self._rules()
        if any(rule.expected_series for rule in rules):
            decision = self._decision(study, rules, at)
            missing += [f"a series that matches {expression!r}" for expression in decision.missing_series]
            if decision.route and decision.expected_series and not decision.missing_series:
                proofs.append(f"the {decision.expected_series} series that rule {decision.route.name!r} expects")
        return proofs, missing

    def _decision(self, study: Snapshot, rules: tuple[Rule, ...], at: datetime) -> Decision:
        """Ask the rules, once for every new image and every minute; the attempt is counted before.

        A study at which that failed too often expects nothing more: the router says so.
        """
        uid, minute = study.study_instance_uid, at.replace(second=0, microsecond=0)
        asked = self._asked.get(uid)
        if asked and (asked.arrivals, asked.minute) == (study.arrivals, minute) and asked.rules is rules:
            return asked.decision
        with self._attempts.counted(uid, StudyState.RECEIVING) as attempt:
            if attempt > MOST_ATTEMPTS:
                return Decision(None, note="Deciding about this study failed too often.")
            decision = decide(rules, self._studies.series_headers(uid), at)
            if attempt:
                self._attempts.clear(uid)
        self._asked[uid] = _Asked(study.arrivals, rules, minute, decision)
        return decision


def _performed(performed: Performed) -> str:
    return f"MPPS {' and '.join(performed.states)}: all {performed.listed} instances it lists are here"

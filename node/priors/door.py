"""The doors of the inbox: where priors come in nothing else does, and a study that is sent for itself is no prior.

Both are the inbox, with its guarantees; what comes through the door for priors opens its study as a prior, which waits
for nothing and is decided by nobody.
"""

from collections.abc import Sequence

from pydicom.uid import UID
from sqlalchemy import Connection, Engine, or_, select, update

from inference.errors import NotAsked, Refused
from node.associations.peers import Peers
from node.associations.refusals import Refusals
from node.metrics import Metrics
from node.priors.tables import PriorState, priors
from node.receiving.elements import elements_of
from node.receiving.inbox import Inbox, Outcome, Receipt
from node.receiving.inspection import Arrival
from node.receiving.listener import Listener
from node.settings.limits import STANDARD, Limits
from node.settings.node import NodeSettings
from node.settings.settings import Settings
from node.store import StudyState, insert_into, studies
from node.studies.instance import Instance
from node.studies.studies import Studies
from reports.audit.ledger import Event, Ledger

_STUDY, _PATIENT, _ISSUER = 0x0020000D, 0x00100020, 0x00100021


class PriorStudies(Studies):
    """Studies as the door for priors opens them: nobody decides about them, and what is known already stays."""

    def received(self, connection: Connection, arrived: Sequence[Instance]) -> None:
        """Open the studies of new instances as priors, in the transaction that keeps the instances."""
        rows = [
            {
                "study_instance_uid": instance.study_instance_uid,
                "state": StudyState.PRIOR,
                "first_received_at": instance.received_at,
                "last_received_at": instance.received_at,
                "arrivals": 1,
            }
            for instance in arrived
        ]
        opening = insert_into(connection, studies)
        more = {"last_received_at": opening.excluded.last_received_at, "arrivals": studies.c.arrivals + 1}
        connection.execute(opening.on_conflict_do_update(index_elements=["study_instance_uid"], set_=more), rows)


class PriorInbox(Inbox):
    """The inbox behind the door for priors: it keeps what was asked for, of the patient it was asked for."""

    def __init__(self, settings: NodeSettings, engine: Engine, ledger: Ledger, *, limits: Limits = STANDARD) -> None:
        """Bind to the store and the folder of the node's inbox."""
        super().__init__(settings, engine, ledger, PriorStudies(engine, settings.files / "inbox"), limits=limits)

    def keep(self, arrival: Arrival) -> Receipt:
        """Keep an image of a prior that is being fetched.

        Raises:
            NotAsked: it belongs to no study that is asked for now, or to another patient; nothing of it is kept.
        """
        try:
            study, patient, issuer = self._texts(arrival, _STUDY, _PATIENT, _ISSUER)
        except Refused:
            return super().keep(arrival)  # which says why it cannot be read, and sets it aside
        if not self._is_asked_for(study, patient, issuer):
            details = {"error": NotAsked.__name__, "calling_ae_title": arrival.calling_ae_title}
            self._ledger.append(Event.REFUSED, details=details)
            raise NotAsked(
                "This is no image of a prior that was asked for.", cure="Send studies to the node's own title."
            )
        return super().keep(arrival)

    def sweep(self) -> int:
        """Leave that to the front door: what is under way there has no row yet either."""
        return 0

    def _texts(self, arrival: Arrival, *tags: int) -> list[str]:
        found = elements_of(arrival.encoded, UID(arrival.transfer_syntax_uid), self._limits, wanted=frozenset(tags))
        spans = [(found[tag].start, found[tag].length) if tag in found else (0, 0) for tag in tags]
        return [arrival.encoded[start : start + length].decode("latin-1").strip(" \0") for start, length in spans]

    def _is_asked_for(self, study: str, patient: str, issuer: str) -> bool:
        key = self._ledger.pseudonym
        asked = (
            select(priors.c.issuer)
            .outerjoin(studies, studies.c.study_instance_uid == priors.c.prior_study_uid)
            .where(
                priors.c.prior_study_uid == study,
                priors.c.state == PriorState.ASKED,
                priors.c.patient == key(patient),
                or_(studies.c.state.is_(None), studies.c.state == StudyState.PRIOR),
            )
        )
        with self._engine.connect() as connection:
            issuers = connection.execute(asked).scalars().all()
        return bool(patient) and any(not one or not issuer or one == key(issuer) for one in issuers)


def open_door(settings: Settings, inbox: PriorInbox, metrics: Metrics, refusals: Refusals) -> Listener | None:
    """Give the listener for what a PACS sends by C-MOVE, with a title and a port of its own; None without a port."""
    door, tls = settings.priors, settings.tls
    if door.port is None:
        return None
    node = settings.node.model_copy(update={"ae_title": door.ae_title, "port": door.port})
    secured = tls is not None and (door.tls or tls.required)
    own_tls = tls.model_copy(update={"port": door.port, "required": True}) if tls and secured else None
    return Listener(node, inbox, metrics, refusals, peers=Peers.of(settings), tls=own_tls)


class FrontInbox(Inbox):
    """The inbox behind the node's own title: a study that is sent there is to be analysed, a prior or not."""

    def keep(self, arrival: Arrival) -> Receipt:
        """Keep what arrived; where it is here as a prior already, its study is one to decide about from now on."""
        receipt = super().keep(arrival)
        if receipt.outcome is Outcome.DUPLICATE and receipt.instance is not None:
            self._take_up(receipt.instance.study_instance_uid)
        return receipt

    def _take_up(self, study_instance_uid: str) -> None:
        is_prior = (studies.c.study_instance_uid == study_instance_uid) & (studies.c.state == StudyState.PRIOR)
        with self._engine.connect() as connection:
            if connection.execute(select(studies.c.state).where(is_prior)).first() is None:
                return
        with self._engine.begin() as connection:
            connection.execute(update(studies).where(is_prior).values(state=StudyState.RECEIVING))

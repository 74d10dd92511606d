"""The listener: C-STORE and C-ECHO service class provider (PS3.4 annex B, PS3.7 9.1.5).

It takes every storage SOP class and every common transfer syntax as sent, hands the encoded bytes to the inbox, and
answers with what the inbox says. No pixel is decoded here.
"""

import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog
from pydicom.dataset import Dataset
from pynetdicom import evt

from inference.errors import HeatproofError, UnreadableInstance
from node.associations.acceptor import Acceptor
from node.associations.comments import error_comment
from node.associations.peers import Peers
from node.associations.refusals import Refusals
from node.associations.shares import Shares
from node.metrics import Metrics
from node.receiving.contexts import Terms
from node.receiving.delegated import NodeAnswers, Sender
from node.receiving.inbox import Inbox, cure_of
from node.receiving.inspection import Arrival, Purpose
from node.receiving.receivers import Receivers
from node.settings.node import NodeSettings
from node.settings.settings import Settings
from node.settings.tls import TlsSettings
from node.store import now
from reports.objects.equipment import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


class Listener:
    """Receives instances for one AE title; ``start`` returns when associations are accepted."""

    def __init__(
        self,
        settings: NodeSettings,
        inbox: Inbox,
        metrics: Metrics,
        refusals: Refusals,
        *,
        peers: Peers | None = None,
        tls: TlsSettings | None = None,
        handlers: Sequence[tuple[Any, Any]] = (),
        purpose: Purpose = Purpose.STUDY,
        memory: Shares | None = None,
    ) -> None:
        """Bind to one inbox.

        Args:
            settings: AE title, address and port, and how many associations.
            inbox: keeps what arrives.
            metrics: count it.
            refusals: where rejected associations are written down.
            peers: who may call; anybody where left out.
            tls: port and files of DICOM over TLS.
            handlers: answer what is not C-STORE or C-ECHO, as (event of pynetdicom, function).
            purpose: what instances are sent here for.
            memory: bytes for messages that are being received, shared with other ports.
        """
        self._inbox = inbox
        self._purpose = purpose
        self._metrics = metrics
        self._log = structlog.get_logger("listener")
        terms = _terms(settings, handlers)
        answers = NodeAnswers(self._keep, dict(handlers), purpose)
        several = settings.receivers > 1 and purpose is Purpose.STUDY
        self._receivers = (
            Receivers(settings.receivers, terms, answers, log_level=settings.log_level) if several else None
        )
        self._acceptor = Acceptor(
            settings,
            terms.entity(),
            [(evt.EVT_C_STORE, self._store), *handlers],
            refusals,
            metrics,
            peers=peers or Peers(),
            tls=tls,
            memory=memory,
            further=terms.further,
            elsewhere=self._receivers,
        )

    @property
    def running(self) -> bool:
        """Whether associations are accepted."""
        return self._acceptor.running

    @property
    def port(self) -> int:
        """The DICOM port; once started, the one that the system gave where the setting was 0."""
        return self._acceptor.port

    @property
    def tls_port(self) -> int | None:
        """The port of DICOM over TLS; None where there is none."""
        return self._acceptor.tls_port

    def start(self) -> None:
        """Remove what a crash left in the inbox, then bind the ports and accept associations.

        Raises:
            OSError: a port cannot be bound.
            SettingsInvalid: certificate, key or authorities cannot be used.
        """
        if self._purpose is Purpose.STUDY:
            self._inbox.sweep()
        self._acceptor.start()
        if self._receivers is not None:
            self._receivers.start()

    def stop(self, *, grace_seconds: float = 5.0) -> None:
        """Accept nothing new, let open associations end, and abort those that have not after ``grace_seconds``."""
        self._acceptor.stop(grace_seconds=grace_seconds)
        if self._receivers is not None:
            self._receivers.stop()

    def _store(self, event: Any) -> Dataset | int:
        """Answer one C-STORE request."""
        requestor = event.assoc.requestor
        return self._keep(partial(_arrival, event, self._purpose), Sender(requestor.address, requestor.ae_title))

    def _keep(self, arriving: Callable[[], Arrival], sender: Sender) -> Dataset | int:
        """Keep what arrives, and answer; nothing that goes wrong here may end the association or lose the arrival."""
        arrival = None
        try:
            arrival = arriving()
            receipt = self._inbox.keep(arrival)
        except HeatproofError as error:
            self._metrics.instance(error.audit_outcome)
            self._log.warning(
                "instance_refused",
                error=type(error).__name__,
                status=f"{error.dimse_status:04X}",
                calling_ae_title=sender.ae_title,
                peer_address=sender.address,
                problem=str(error.args[0]),
                cure=cure_of(error),
            )
            return _answer(error.dimse_status, str(error.args[0]))
        except Exception as error:  # noqa: BLE001 - the boundary to the network: the sender must get an answer
            name = self._inbox.set_aside(arrival, error) if arrival else uuid.uuid4().hex
            self._metrics.instance("failed")
            self._log.error(
                "instance_failed",
                id=name,
                error=type(error).__name__,
                calling_ae_title=sender.ae_title,
                peer_address=sender.address,
            )
            return _answer(UnreadableInstance.dimse_status, f"Unexpected error; see {name}")
        self._metrics.instance(receipt.outcome, size_bytes=receipt.instance.size_bytes if receipt.instance else 0)
        return 0x0000


def prior_listener(
    settings: Settings, inbox: Inbox, metrics: Metrics, refusals: Refusals, memory: Shares | None = None
) -> Listener | None:
    """Return the listener of what a PACS sends by C-MOVE as priors, with an AE title and a port of its own.

    Returns:
        None where the settings name no port for priors.
    """
    priors, tls = settings.priors, settings.tls
    if priors.port is None:
        return None
    node = settings.node.model_copy(update={"ae_title": priors.ae_title, "port": priors.port})
    secured = tls is not None and (priors.tls or tls.required)
    own_tls = tls.model_copy(update={"port": priors.port, "required": True}) if tls and secured else None
    peers = Peers.of(settings)
    return Listener(node, inbox, metrics, refusals, peers=peers, tls=own_tls, purpose=Purpose.PRIOR, memory=memory)


def _terms(settings: NodeSettings, handlers: Sequence[tuple[Any, Any]]) -> Terms:
    return Terms(
        ae_title=settings.ae_title,
        implementation_class_uid=str(IMPLEMENTATION_CLASS_UID),
        implementation_version_name=IMPLEMENTATION_VERSION_NAME,
        message_bytes=settings.maximum_message_mebibytes << 20,
        takes_unknown_classes=settings.keep_unknown_classes,
        takes_performed_steps=any(event is evt.EVT_N_CREATE for event, _ in handlers),
    )


def _arrival(event: Any, purpose: Purpose) -> Arrival:
    """Take the request apart without decoding the data set.

    Raises:
        UnreadableInstance: the request came without a data set.
    """
    request = event.request
    if request.DataSet is None:
        raise UnreadableInstance("The request has no data set.")
    return Arrival(
        sop_class_uid=str(request.AffectedSOPClassUID),
        sop_instance_uid=str(request.AffectedSOPInstanceUID),
        transfer_syntax_uid=str(event.context.transfer_syntax),
        encoded=event.encoded_dataset(include_meta=False),
        calling_ae_title=event.assoc.requestor.ae_title,
        peer_address=event.assoc.requestor.address,
        received_at=now(),
        purpose=purpose,
    )


def _answer(status: int, comment: str) -> Dataset:
    """Return the status of a response; where PS3.7 9.1.1.1 allows it, with an Error Comment that says what is wrong."""
    answer = Dataset()
    answer.Status = status
    if status >= 0xA700:
        answer.ErrorComment = error_comment(comment)
    return answer

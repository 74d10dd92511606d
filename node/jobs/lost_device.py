"""What a node does when its GPU has failed: it says so, ends, and is started anew by its supervisor."""

import os
import sys
from collections.abc import Callable

import structlog
from sqlalchemy.exc import DBAPIError

from reports.audit.ledger import Event, Ledger

EX_TEMPFAIL = 75
"""Exit status of a node that ends so (sysexits.h)."""
SENTENCE = "The GPU failed while it computed ({doing}): the node ends, to be started anew and go on there."


def begin_anew(ledger: Ledger, doing: str, error: BaseException, *, end: Callable[[int], object] = os._exit) -> None:
    """End this process: no later computation on the device could succeed in it.

    Nothing is waited for, since a call to the device may never return. What is not done is done after the next start:
    a job goes on at the unfinished step, and is given up with a report when the node has ended at it too often.

    Args:
        ledger: takes an alarm.
        doing: what was being computed.
        error: what the device said; only its type is logged.
        end: ends the process by this status.
    """
    log = structlog.get_logger("device")
    log.critical("device_lost", step=doing, error=type(error).__name__)
    try:
        ledger.append(Event.ALARM, details={"route": "", "problem": SENTENCE.format(doing=doing)})
    except DBAPIError as failure:  # the store is away as well: the log has it
        log.critical("not_in_ledger", error=type(failure).__name__)
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # an exit without ceremony would leave the alarm in the buffer
        end(EX_TEMPFAIL)

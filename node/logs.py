"""Logs: one JSON object a line on standard output, with nothing in it that could name a patient.

Three gates, so that a new line of code cannot leak by accident:

* a Study Instance UID given as ``study_instance_uid`` leaves as ``study``, its keyed hash, the same one that console,
  API and ledger show;
* the last processor drops every key that is not on ``ALLOWED_KEYS``, and every value that is not a plain scalar;
* what libraries say (pynetdicom, pydicom, warnings) is reduced to who said it, where and how bad it is, and an
  exception to its class and the line it was raised at: their messages quote attribute values.

The event is a literal in the source, never built at run time.
"""

import logging
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

ALLOWED_KEYS = frozenset(
    {
        "timestamp", "level", "event",  # what and when
        "study", "job",  # keyed hash, digest
        "peer_address", "ae_title", "calling_ae_title", "port", "host", "worker", "version",  # who: machines
        "route", "bundle", "method", "device", "step", "destination",  # names out of the settings
        "state", "outcome", "verdict", "status", "error",  # words of heatproof; error is the name of a class
        "instances", "objects", "attempts", "findings", "workflows", "bytes", "seconds", "free_bytes",  # numbers
        "problem", "cure", "proof",  # sentences of ours about the settings, a peer or a study
        "logger", "where", "errno",  # a module and its line
        "id", "quarantine",  # names we made up
    }
)  # fmt: skip
LONGEST_VALUE = 200
"""Characters of one value; the rest is cut."""

StudyKey = Callable[[str], str]


def configure(
    *, study_key: StudyKey | None = None, stream: TextIO | None = None, level: int | str = logging.INFO
) -> None:
    """Send the logs of heatproof and of every library, redacted, to one stream.

    Args:
        study_key: turns a Study Instance UID into its keyed hash (the ledger's); without it the UID is dropped.
        stream: standard output when left out; colours where it is a terminal, else JSON lines.
        level: the least level of heatproof's own lines, by number or name; libraries speak from WARNING on, or at
            debug from DEBUG on, reduced all the same.
    """
    least = level if isinstance(level, int) else logging.getLevelNamesMapping()[level.upper()]
    stream = stream or sys.stdout
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            place_exception,
            _pseudonymiser(study_key),
            keep_allowed,
            structlog.dev.ConsoleRenderer() if stream.isatty() else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _redact_libraries(logging.DEBUG if least <= logging.DEBUG else logging.WARNING)


def keep_allowed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drop what is not on the allow-list; the last processor before the renderer."""
    return {key: _scalar(value) for key, value in event.items() if key in ALLOWED_KEYS}


def place_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put the class of a logged exception and the line it was raised at in the place of its text."""
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    return {**_fault(error), **event} if error is not None else event


class LibraryHandler(logging.Handler):
    """Reduces a library's record to logger, level and place: the message may quote a patient's data."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one redacted line."""
        where = {"where": f"{record.module}:{record.lineno}"}
        fault = _fault(record.exc_info[1]) if record.exc_info and record.exc_info[1] else {}
        structlog.get_logger().log(record.levelno, "a library reports", logger=record.name, **(where | fault))


def _pseudonymiser(study_key: StudyKey | None) -> Processor:
    def pseudonymise(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        uid = event.pop("study_instance_uid", None)
        if uid is not None and study_key is not None:
            event["study"] = study_key(str(uid))
        return event

    return pseudonymise


def _scalar(value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int | float):
        return value
    return value[:LONGEST_VALUE] if isinstance(value, str) else type(value).__name__


def _redact_libraries(least: int) -> None:
    handler = LibraryHandler(least)
    logging.captureWarnings(True)
    logging.root.setLevel(least)
    logging.root.handlers = [handler]
    for name in ("dbos", "pynetdicom", "pydicom", "py.warnings", "uvicorn", "uvicorn.access", "uvicorn.error"):
        library = logging.getLogger(name)
        library.setLevel(least)
        library.handlers = [handler]  # DBOS adds a console of its own where there is none
        library.propagate = False
    threading.excepthook = _thread_died


def _thread_died(dead: threading.ExceptHookArgs) -> None:
    structlog.get_logger().error("a thread died", **_fault(dead.exc_value) if dead.exc_value else {})


def _fault(error: BaseException) -> dict[str, str]:
    trace, where = error.__traceback__, ""
    while trace is not None:
        where = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
        trace = trace.tb_next
    return {"error": type(error).__name__, "where": where}

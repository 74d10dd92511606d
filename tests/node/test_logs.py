"""What the log says, and what it never says."""

import ast
import io
import json
import logging
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

import node
from node.logs import ALLOWED_KEYS, configure

CANARY = "DOE^JANE"
LIBRARIES = ("", "dbos", "pynetdicom", "pydicom", "py.warnings", "uvicorn", "uvicorn.access", "uvicorn.error")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    before = {name: (it.handlers[:], it.level, it.propagate) for name in LIBRARIES if (it := logging.getLogger(name))}
    hook = threading.excepthook
    stream = io.StringIO()
    configure(study_key=lambda uid: f"key of {len(uid)}", stream=stream)
    yield stream
    for name, (handlers, level, propagate) in before.items():
        library = logging.getLogger(name)
        library.handlers, library.propagate = handlers, propagate
        library.setLevel(level)
    logging.captureWarnings(False)
    threading.excepthook = hook
    structlog.reset_defaults()


def lines(log: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_time_level_and_event(log: io.StringIO) -> None:
    structlog.get_logger().info("study routed", route="brain FLAIR")
    (line,) = lines(log)
    assert line["event"] == "study routed"
    assert line["level"] == "info"
    assert line["route"] == "brain FLAIR"
    assert str(line["timestamp"]).endswith("Z")


def test_a_key_that_is_not_listed_never_leaves(log: io.StringIO) -> None:
    structlog.get_logger().info("received", patient_name=CANARY, patient={"name": CANARY}, instances=3)
    assert CANARY not in log.getvalue()
    assert lines(log)[0]["instances"] == 3


def test_a_data_set_under_a_listed_key_leaves_as_the_name_of_its_class(log: io.StringIO) -> None:
    structlog.get_logger().info("received", status={"PatientName": CANARY})
    assert CANARY not in log.getvalue()
    assert lines(log)[0]["status"] == "dict"


def test_a_study_uid_leaves_as_its_keyed_hash(log: io.StringIO) -> None:
    structlog.get_logger().info("study complete", study_instance_uid="1.2.3.4")
    assert lines(log)[0]["study"] == "key of 7"
    assert "1.2.3.4" not in log.getvalue()


def test_an_exception_leaves_as_its_class_and_its_line(log: io.StringIO) -> None:
    try:
        {}[CANARY]
    except KeyError:
        structlog.get_logger().exception("step failed", step="read")
    (line,) = lines(log)
    assert line["error"] == "KeyError"
    assert str(line["where"]).split(":")[0].endswith("test_logs")
    assert CANARY not in log.getvalue()


@pytest.mark.parametrize("name", ["pydicom", "pynetdicom.dul", "dbos", "sqlalchemy.engine", "uvicorn.error"])
def test_a_library_is_reduced_to_who_and_where(log: io.StringIO, name: str) -> None:
    logging.getLogger(name).warning("Invalid value for PN: %s", CANARY)
    (line,) = lines(log)
    assert line["logger"] == name
    assert line["level"] == "warning"
    assert CANARY not in log.getvalue()


def test_libraries_are_silent_below_warning(log: io.StringIO) -> None:
    for name in LIBRARIES:
        logging.getLogger(name).info("Received C-STORE for %s", CANARY)
    assert log.getvalue() == ""


def test_a_warning_does_not_quote_the_value_it_warns_of(log: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn(f"Invalid value for VR UI: {CANARY}", stacklevel=1)
    assert lines(log)[0]["logger"] == "py.warnings"
    assert CANARY not in log.getvalue()


def test_a_thread_that_dies_is_told_without_what_it_said(log: io.StringIO) -> None:
    def die() -> None:
        raise ValueError(CANARY)

    thread = threading.Thread(target=die)
    thread.start()
    thread.join()
    (line,) = lines(log)
    assert line["event"] == "a thread died"
    assert line["error"] == "ValueError"
    assert CANARY not in log.getvalue()


def test_every_log_call_of_the_node_has_a_literal_event_and_listed_keys() -> None:
    calls = 0
    for path in Path(node.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call) or not _is_log_call(call.func):
                continue
            calls += 1
            place = f"{path.name}:{call.lineno}"
            assert [type(argument) for argument in call.args] == [ast.Constant], f"{place}: the event is not a literal"
            keys = {keyword.arg for keyword in call.keywords} - {None}
            assert keys <= ALLOWED_KEYS | {"study_instance_uid"}, f"{place}: dropped by the log: {keys - ALLOWED_KEYS}"
    assert calls > 0


def test_what_several_log_calls_share_has_listed_keys_too() -> None:
    """``told`` is what a function gives to more than one call, as ``**told``."""
    shared = 0
    for path in Path(node.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text())
        unpacked = {
            ast.unparse(keyword.value)
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and _is_log_call(call.func)
            for keyword in call.keywords
            if keyword.arg is None and isinstance(keyword.value, ast.Name)
        }
        assert unpacked <= {"told"}, path.name
        for statement in ast.walk(tree) if unpacked else ():
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "told":
                assert isinstance(statement.value, ast.Dict), path.name
                keys = {ast.literal_eval(key) for key in statement.value.keys if key is not None}
                assert keys <= ALLOWED_KEYS | {"study_instance_uid"}, f"{path.name}:{statement.lineno}"
                shared += 1
    assert shared > 0


def _is_log_call(function: ast.expr) -> bool:
    levels = {"debug", "info", "warning", "error", "exception", "critical"}
    return (
        isinstance(function, ast.Attribute)
        and function.attr in levels
        and isinstance(function.value, ast.Attribute)
        and function.value.attr == "_log"
    )

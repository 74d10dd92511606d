"""What is wrong with a settings file: every problem with its key, what is wrong, and the cure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

Raw = Mapping[str, Any]


def problems_of(raw: Raw, model: type[BaseModel], error: ValidationError | None) -> tuple[str, ...]:
    """List the problems that the model reports and those between tables; empty if there are none.

    Args:
        raw: the file as read.
        model: the model it was validated by.
        error: its validation error; None where every value is valid.
    """
    single = [_sentence(detail, model) for detail in error.errors()] if error else []
    return tuple(dict.fromkeys([*single, *_names(raw), *_destinations(raw), *_asked(raw), *_priors(raw), *_ports(raw)]))


def section_in(annotation: Any) -> type[BaseModel] | None:
    """Return the table that a field of this type holds, or holds a list of."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _sentence(detail: Any, model: type[BaseModel]) -> str:
    where, key = _key(detail["loc"]), str(detail["loc"][-1]) if detail["loc"] else ""
    if detail["type"] == "extra_forbidden":
        known = _fields_at(model, detail["loc"][:-1])
        near = get_close_matches(key, known, n=1)
        cure = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(known))}"
        return f"{where}: there is no such setting; {cure}"
    if detail["type"] == "missing":
        return f"{where}: is missing; it has no default"
    if detail["type"] == "string_pattern_mismatch":
        return f"{where}: is not a valid AE title; 1 to 16 characters, without backslash or control characters"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{where}: {message[0].lower()}{message[1:]}"


def _key(location: Sequence[str | int]) -> str:
    """Write a place as in TOML: ``rules[0].when[1].matches``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "the file"


def _fields_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            model = section_in(model.model_fields[part].annotation) or model
    return list(model.model_fields)


def _tables(raw: Raw, key: str) -> list[Raw]:
    entries = raw.get(key, [])
    return [table for table in entries if isinstance(table, dict)] if isinstance(entries, list) else []


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _names(raw: Raw) -> Iterator[str]:
    for key in ("destinations", "rules"):
        for name, count in Counter(str(table.get("name")) for table in _tables(raw, key) if "name" in table).items():
            if count > 1:
                yield f"{key}: {count} are named {name!r}; give each its own name"


def _destinations(raw: Raw) -> Iterator[str]:
    known = [str(table["name"]) for table in _tables(raw, "destinations") if "name" in table]
    unrouted = raw.get("unrouted")
    users = [(f"rules[{index}]", rule) for index, rule in enumerate(_tables(raw, "rules"))]
    users += [("unrouted", unrouted)] if isinstance(unrouted, dict) else []
    for where, user in users:
        for name in _texts(user.get("destinations")):
            if name not in known:
                yield f"{where}.destinations: {_no_destination(name, known)}"
    audit = raw.get("audit")
    archive = audit.get("report_to") if isinstance(audit, dict) else None
    if isinstance(archive, str) and archive not in known:
        yield f"audit.report_to: {_no_destination(archive, known)}"


def _asked(raw: Raw) -> Iterator[str]:
    known = [str(table["name"]) for table in _tables(raw, "destinations") if "name" in table]
    completeness = raw.get("completeness")
    for index, ask in enumerate(_tables(completeness, "ask") if isinstance(completeness, dict) else []):
        name, needed = ask.get("destination"), "url" if ask.get("by") == "qido" else "host"
        asked = [table for table in _tables(raw, "destinations") if table.get("name") == name]
        if isinstance(name, str) and name not in known:
            yield f"completeness.ask[{index}].destination: {_no_destination(name, known)}"
        elif asked and needed not in asked[0]:
            yield f"completeness.ask[{index}].by: destination {name!r} has no {needed} to be asked at"


def _priors(raw: Raw) -> Iterator[str]:
    known = {str(table["name"]): table for table in _tables(raw, "destinations") if "name" in table}
    door = raw.get("priors")
    for index, rule in enumerate(_tables(raw, "rules")):
        name, by_web = rule.get("priors_from"), rule.get("priors_by") == "web"
        needed = "url" if by_web else "host"
        if not isinstance(name, str):
            continue
        if name not in known:
            yield f"rules[{index}].priors_from: {_no_destination(name, list(known))}"
        elif needed not in known[name]:
            yield f"rules[{index}].priors_by: destination {name!r} has no {needed} to be asked at"
        if not by_web and not (isinstance(door, dict) and "port" in door):
            yield f"rules[{index}].priors_by: C-MOVE needs a port for what is sent; give port under [priors]"


def _no_destination(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
    return f"there is no destination {name!r}; {cure}"


def _ports(raw: Raw) -> Iterator[str]:
    node, http, priors = raw.get("node"), raw.get("http"), raw.get("priors")
    if not (isinstance(node, dict) and isinstance(http, dict)):
        return
    dicom, web = str(node.get("port", 11112)), str(http.get("port", 8080))
    if dicom == web:
        yield f"http.port: {web} is the DICOM port too (node.port); give each its own"
    if isinstance(priors, dict) and "port" in priors and str(priors["port"]) in (dicom, web):
        yield f"priors.port: {priors['port']} is used by the node already; give priors their own"

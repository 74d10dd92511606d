"""Turns the part of a configuration that inference needs into values and plans, as MONAI's resolver would."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from inference.bundle.dialect.allowed import Target, find
from inference.bundle.dialect.components import (
    Component,
    check_arguments,
    fetched_by_default,
    given_by_node,
    overridden,
    why_overridden,
)
from inference.bundle.dialect.expression import LONGEST, parse, shown
from inference.bundle.dialect.interpreter import Call, Interpreter
from inference.bundle.dialect.objections import CannotResolve, Objections
from inference.bundle.dialect.operations import Budget, bounded
from inference.bundle.dialect.preprocessing import ReadByNode
from inference.bundle.dialect.references import REFERENCE, ConfigTree, absolute, macro_id, normalised

DEEPEST = 80
"""Values inside, and references through, each other."""

SPECIAL = ("_target_", "_disabled_", "_requires_", "_desc_", "_mode_")
UNKNOWN = type("Unknown", (), {"__repr__": lambda _: "unknown"})()
"""Stands for what was objected to, so that the rest is still looked at."""
_DISABLED = object()
_RGB = re.compile(r"\s*lambda (\w+)\s*:\s*\1\.convert\(\s*(['\"])(RGB|L)\2\s*\)\s*$")


class Resolver:
    """Resolves ids of one file; what cannot be is objected to, and the rest goes on."""

    def __init__(self, tree: ConfigTree, objections: Objections) -> None:
        self._tree = tree
        self._objections = objections
        self._budget = Budget()
        self._known: dict[str, Any] = {}
        self._active: dict[str, None] = {}
        self._exhausted = False
        self.notes: dict[str, None] = {}
        """Sentences about arguments that the node gives in place of the bundle's."""

    def resolve(self, path: str) -> Any:
        """Return the value at an id: plain values, lambdas, and components still to be built; objections are kept."""
        try:
            return self._at(path)
        except CannotResolve as error:
            self._object(path, error)
        except RecursionError:
            self._objections.add(path, CannotResolve("is nested too deeply"))
        return UNKNOWN

    def _object(self, path: str, error: CannotResolve) -> None:
        """Keep an objection; once the budget is spent, none after the first that says so."""
        if not self._exhausted:
            self._objections.add(path, error)
        self._exhausted = not self._budget.left

    def _at(self, path: str) -> Any:
        path = normalised(path)
        if path not in self._known:
            self._known[path] = self._value(self._tree.raw(path), path)
        value = self._known[path]
        return None if value is _DISABLED else value

    def _value(self, node: Any, path: str, home: str = "") -> Any:
        """Return the value of a node; UNKNOWN where something in it was objected to.

        Args:
            node: as it is written.
            path: its id.
            home: the id its relative ids start from, where that is another: of what a macro copied.
        """
        self._budget.spend(1 + len(path) // 100)
        if not isinstance(node, (dict, list, str)):
            return node
        if path in self._known:
            return self._known[path]
        if path in self._active:
            raise CannotResolve(f"refers to itself through @{path}", "Break the circle.")
        if len(self._active) >= DEEPEST:
            raise CannotResolve(f"lies more than {DEEPEST} values deep")
        self._active[path] = None
        try:
            self._known[path] = self._resolved(node, path, home or path)
        except CannotResolve as error:
            self._object(path, error)
            if self._exhausted:
                raise
            self._known[path] = UNKNOWN
        finally:
            del self._active[path]
        return self._known[path]

    def _resolved(self, node: Any, path: str, home: str) -> Any:
        if isinstance(node, str):
            return self._text(node, path, home)
        if isinstance(node, list):
            inner = [self._value(item, f"{path}::{n}", f"{home}::{n}") for n, item in enumerate(node)]
            return bounded([item for item in inner if item is not _DISABLED], self._budget)
        if isinstance(node, dict) and "_target_" in node:
            return self._component(node, path, home)
        if not isinstance(node, dict):
            return node
        mapping = {key: self._value(item, f"{path}::{key}", f"{home}::{key}") for key, item in node.items()}
        return bounded({key: item for key, item in mapping.items() if item is not _DISABLED}, self._budget)

    def _text(self, text: str, path: str, home: str) -> Any:
        if not text.startswith(("$", "%", "@")):
            return text
        if len(text) > LONGEST:
            raise CannotResolve(f"{text[:60]!r}... is longer than {LONGEST} characters", "Write the value itself.")
        text = absolute(text, home)
        if text.startswith("%"):
            return self._resolved(*self._copied(text, path))
        if text.startswith("$"):
            return self._expression(text[1:], path)
        return self._at(text[1:]) if REFERENCE.fullmatch(text) and len(text) > 1 else text

    def _copied(self, text: str, path: str) -> tuple[Any, str, str]:
        """Return what a macro copies, as it is written and through further macros; whose id it gets, and its own."""
        seen: list[str] = []
        node: Any = text
        while isinstance(node, str) and node.startswith("%"):
            self._budget.spend()
            if node in seen:
                raise CannotResolve(f"refers to itself through {node[:200]}", "Break the circle.")
            seen.append(node)
            home = macro_id(node)
            node = self._tree.raw(home)
            node = absolute(node, home) if isinstance(node, str) else node
        return node, path, home

    def _expression(self, text: str, path: str) -> Any:
        expression = parse(text)
        if expression is None:
            return None
        self._budget.spend(len(text))
        references = {number: self._at(name) for number, name in expression.references.items()}
        if any(value is UNKNOWN for value in references.values()):
            return UNKNOWN

        def call(name: str) -> Call:
            target = find(name if "." in name else f"{name}()")

            def plan(arguments: Sequence[Any], keywords: dict[str, Any]) -> Component:
                self._note_defaults(path, target, given=keywords)
                return self._planned(target, tuple(arguments), keywords, path)

            return plan

        try:
            return Interpreter(references, call, self._budget).made(expression.tree)
        except CannotResolve as error:
            raise CannotResolve(f"{shown(expression.text)}: {error.problem}", error.cure) from error
        except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError) as error:
            kind = type(error).__name__
            raise CannotResolve(f"{shown(expression.text)} has no value ({kind}: {str(error)[:200]})") from error

    def _component(self, node: Mapping[Any, Any], path: str, home: str) -> Any:
        if self._is_disabled(node, path, home):
            return _DISABLED
        mode = self._value(node.get("_mode_", "default"), f"{path}::_mode_", f"{home}::_mode_")
        if mode not in ("default", "callable"):
            self._objections.add(
                f"{path}::_mode_", CannotResolve(f"{str(mode)[:60]!r} would start a debugger", "Remove it.")
            )
        if "_requires_" in node:
            self._value(node["_requires_"], f"{path}::_requires_", f"{home}::_requires_")
        try:
            target = find(node["_target_"])
        except CannotResolve as error:
            self._objections.add(f"{path}::_target_", error)
            return UNKNOWN
        if target.kind == "reading":
            return self._reading(node, path, home)
        given = {key: item for key, item in node.items() if key not in SPECIAL and not overridden(target, key)}
        for key in node.keys() - given.keys() - set(SPECIAL):
            self._note(path, target, key, node[key])
        arguments = {str(key): self._value(item, f"{path}::{key}", f"{home}::{key}") for key, item in given.items()}
        arguments = {key: item for key, item in arguments.items() if item is not _DISABLED}
        self._note_defaults(path, target, given=node)
        planned = self._planned(target, (), {**arguments, **_as_trained(target, node)}, path)
        return Component(planned.target, path, (), planned.arguments, is_callable=mode == "callable")

    def _planned(self, target: Target, positional: tuple[Any, ...], given: dict[str, Any], path: str) -> Component:
        for key in [key for key in given if overridden(target, key)]:
            self._note(path, target, key, given.pop(key))
        component = Component(target, path, positional, {**given, **given_by_node(target)})
        check_arguments(component)
        return component

    def _is_disabled(self, node: Mapping[Any, Any], path: str, home: str) -> bool:
        flag = self._value(node.get("_disabled_", False), f"{path}::_disabled_", f"{home}::_disabled_")
        return flag.lower().strip() == "true" if isinstance(flag, str) else bool(flag) and flag is not UNKNOWN

    def _reading(self, node: Mapping[Any, Any], path: str, home: str) -> Component:
        """Plan what stands for a reader; of its arguments those that only MONAI's own reading needs stay unread."""
        arguments = {
            key: self._value(node[key], f"{path}::{key}", f"{home}::{key}")
            for key in ("keys", "dtype", "ensure_channel_first")
            if key in node
        }
        reader, converter = node.get("reader"), node.get("converter")
        if isinstance(reader, str):
            arguments["reader"] = reader.rpartition(".")[2].lstrip("$")
        if isinstance(converter, str):
            match = _RGB.match(converter.removeprefix("$"))
            if match is None:
                cure = "Remove it: the node reads the image; change its values by transforms after it."
                self._objections.add(f"{path}::converter", CannotResolve("converts the picture while reading", cure))
            else:
                arguments["colour"] = match[3]
        return Component(Target("ReadByNode", "reading", ReadByNode), path, (), arguments)

    def _note(self, path: str, target: Target, key: str, item: Any) -> None:
        name = target.name.rpartition(".")[2]
        reason = why_overridden(key)
        if item not in (False, None):
            self.notes[f"key {path}: {key} = {str(item)[:60]!r} of {name} is not used ({reason})."] = None

    def _note_defaults(self, path: str, target: Target, given: Mapping[Any, Any]) -> None:
        name = target.name.rpartition(".")[2]
        for key in fetched_by_default(target):
            if key not in given:
                self.notes[f"key {path}: the default {key} of {name} is not used ({why_overridden(key)})."] = None


def _as_trained(target: Target, node: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the arguments that torchvision's Inception and GoogLeNet get when built with weights from elsewhere.

    They then rescale their input, which a network built without would not.
    """
    is_torchvision = target.name.endswith(".TorchVisionFCModel")
    if not is_torchvision or node.get("model_name") not in ("inception_v3", "googlenet"):
        return {}
    fetched = bool(node.get("pretrained") or node.get("weights"))
    return {"init_weights": False, **({"transform_input": True} if fetched and "transform_input" not in node else {})}

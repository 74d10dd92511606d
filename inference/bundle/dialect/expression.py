"""The ``$`` expressions of a configuration, parsed and bounded before anything is computed."""

import ast
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from inference.bundle.dialect.objections import CannotResolve
from inference.bundle.dialect.references import REFERENCE, SEPARATOR, normalised

LONGEST = 2_000
"""Characters of an expression."""
MOST_NODES = 400
DEEPEST = 30
MARK = "__reference_"
"""What a reference becomes, so that Python's parser takes it: ``@a::b`` becomes a name of its own."""
CURE = "Write the value itself."
OF_FILES = "No file is read by a configuration: weights come from the manifest, other values are written out here."


@dataclass(frozen=True)
class Expression:
    """A parsed expression: the tree, and the ids of the references in it."""

    text: str
    tree: ast.expr
    references: Mapping[str, str]
    """Ids by the number of the reference; those of a device are left out."""


def parse(text: str) -> Expression | None:
    """Parse what follows the ``$``; None for an import, which is never carried out.

    Raises:
        CannotResolve: not an expression, or beyond the limits above.
    """
    text = text.strip()
    if len(text) > LONGEST or MARK in text:
        raise CannotResolve(f"the expression is longer than {LONGEST} characters or not plain", CURE)
    ids: list[str] = []

    def marked(match: re.Match[str]) -> str:
        ids.append(normalised(match.group()[1:]))
        kind = "_device" if ids[-1].split(SEPARATOR)[-1] == "device" else ""
        return f"{MARK}{len(ids) - 1}{kind}"

    source = REFERENCE.sub(marked, text)
    if "#" in source or not all(ids):
        raise CannotResolve(f"{shown(text)} is not an expression", CURE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = ast.parse(source, mode="exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CannotResolve(f"{shown(text)} is not an expression ({type(error).__name__})", CURE) from error
    statement = module.body[0] if len(module.body) == 1 else None
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return None
    if not isinstance(statement, ast.Expr):
        raise CannotResolve(f"{shown(text)} is not one expression", CURE)
    _check_tree(statement.value, text)
    return Expression(text, statement.value, {number: ids[int(number)] for number in _referred(statement.value)})


def _referred(tree: ast.AST) -> list[str]:
    """Return the numbers of the references that have to be resolved."""
    if isinstance(tree, ast.Name) and tree.id.startswith(MARK):
        return [number_of(tree.id)]
    moved = moved_to_device(tree) if isinstance(tree, ast.Call) else None
    inner = [moved] if moved is not None else ast.iter_child_nodes(tree)
    return [number for child in inner for number in _referred(child)]


def number_of(name: str) -> str:
    """Return the number of the reference that became this name."""
    return name.removeprefix(MARK).split("_")[0]


def shown(text: str) -> str:
    """Return an expression as a message quotes it."""
    return repr(f"${text}" if len(text) <= 200 else f"${text[:200]}...")


def _check_tree(tree: ast.expr, text: str) -> None:
    level: list[ast.AST] = [tree]
    nodes = depth = 0
    while level:
        nodes, depth = nodes + len(level), depth + 1
        if nodes > MOST_NODES or depth > DEEPEST:
            raise CannotResolve(
                f"{shown(text)} has more than {MOST_NODES} parts, or more than {DEEPEST} inside each other", CURE
            )
        level = [child for node in level for child in ast.iter_child_nodes(node)]


def dotted(node: ast.AST) -> str:
    """Return the dotted name of a node that is nothing but names; empty where it is something else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id.startswith(MARK):
        return ""
    return ".".join((node.id, *reversed(parts)))


def moved_to_device(node: ast.Call) -> ast.Name | None:
    """Return the reference in ``@network_def.to(@device)``: where it runs is the node's to say."""
    match node:
        case ast.Call(
            func=ast.Attribute(value=ast.Name() as moved, attr="to"), args=[ast.Name(id=device)], keywords=[]
        ) if moved.id.startswith(MARK) and device.startswith(MARK) and device.endswith("_device"):
            return moved
    return None

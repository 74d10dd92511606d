"""Computes the ``$`` expressions of a configuration without running any of it.

MONAI hands them to ``eval``. Here a walk of the syntax tree computes literals, arithmetic, comparisons, conditionals,
boolean operators, items, comprehensions, lambdas, references and calls of names on a list; it knows nothing else,
reads no attribute of any value, and counts its steps and the size of every value it makes.
"""

import ast
import math
from collections.abc import Callable, Mapping
from typing import Any

from inference.bundle.dialect import functions, operations
from inference.bundle.dialect.expression import CURE, MARK, OF_FILES, dotted, moved_to_device, number_of
from inference.bundle.dialect.objections import CannotResolve
from inference.bundle.dialect.operations import Budget, bounded

STEPS_OF_A_CALL = 20_000
"""Of a lambda, each time it is called on the image."""
ELEMENTS_OF_A_CALL = 64
"""How many times the elements of its arguments all tensors of one call may have together."""


_WORDS: Mapping[type[ast.AST], str] = {
    ast.JoinedStr: "a text with values in braces (f'...')", ast.NamedExpr: "an assignment (:=)",
    ast.Starred: "a starred value (*)", ast.Await: "await", ast.Yield: "yield", ast.YieldFrom: "yield",
}  # fmt: skip
"""What people call the parts of Python that are not computed."""

Call = Callable[[list[Any], dict[str, Any]], Any]
"""Takes positional and named arguments."""


class Interpreter:
    """Computes one expression."""

    def __init__(
        self,
        references: Mapping[str, Any],
        call: Callable[[str], Call],
        budget: Budget,
        names: Mapping[str, Any] | None = None,
    ) -> None:
        """Take what the interpreter stands on.

        Args:
            references: value of each reference, by its number.
            call: returns what a name calls, before its arguments are looked at; or raises CannotResolve.
            budget: what may be spent.
            names: names in scope.
        """
        self._references = references
        self._call = call
        self._budget = budget
        self._names = dict(names or {})

    def value(self, node: ast.AST) -> Any:
        """Compute a node.

        Raises:
            CannotResolve: it is something this interpreter does not do.
        """
        self._budget.spend()
        handler = _HANDLERS.get(type(node))
        if handler is None:
            raise CannotResolve(f"{_WORDS.get(type(node), type(node).__name__)} is not computed here", CURE)
        return handler(self, node)

    def made(self, node: ast.AST) -> Any:
        """Compute a node whose value may be new, and hold it to the bounds."""
        return bounded(self.value(node), self._budget)

    def _constant(self, node: ast.Constant) -> Any:
        if not (node.value is None or node.value is Ellipsis or isinstance(node.value, (bool, int, float, str))):
            raise CannotResolve(f"{type(node.value).__name__} is no value of a configuration", CURE)
        if isinstance(node.value, str) and MARK in node.value:
            raise CannotResolve("an @ inside a text is a reference to MONAI", "Leave the @ out of the text.")
        return bounded(node.value, self._budget)

    def _name(self, node: ast.Name) -> Any:
        if node.id.startswith(MARK):
            return self._references[number_of(node.id)]
        if node.id in self._names:
            return self._names[node.id]
        raise CannotResolve(f"the name {node.id!r} stands for nothing here", CURE)

    def _attribute(self, node: ast.Attribute) -> Any:
        name = dotted(node)
        if name in functions.constants():
            return functions.constants()[name]
        if name:
            raise CannotResolve(f"{name!r} is not on the list of names that an expression may use", CURE)
        raise CannotResolve(f"the attribute {node.attr!r} of a value is not read", CURE)

    def _sequence(self, node: Any) -> Any:
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return bounded(kind(self._items(node.elts)), self._budget)

    def _items(self, nodes: list[ast.expr]) -> list[Any]:
        items: list[Any] = []
        for node in nodes:
            items += self._members(node.value) if isinstance(node, ast.Starred) else [self.value(node)]
        return items

    def _dict(self, node: ast.Dict) -> Any:
        if None in node.keys:
            raise CannotResolve("** is not computed here", CURE)
        pairs = [(self.value(key), self.value(item)) for key, item in zip(node.keys, node.values, strict=True) if key]
        return bounded(dict(pairs), self._budget)

    def _binary(self, node: ast.BinOp) -> Any:
        result = operations.binary(type(node.op), self.value(node.left), self.value(node.right), self._budget)
        return bounded(result, self._budget)

    def _unary(self, node: ast.UnaryOp) -> Any:
        return operations.unary(type(node.op), self.value(node.operand), self._budget)

    def _boolean(self, node: ast.BoolOp) -> Any:
        result: Any = None
        for part in node.values:
            result = self.value(part)
            if bool(result) is isinstance(node.op, ast.Or):
                break
        return result

    def _compare(self, node: ast.Compare) -> Any:
        left, result = self.value(node.left), True
        for kind, part in zip(node.ops, node.comparators, strict=True):
            right = self.value(part)
            result = operations.compare(type(kind), left, right, self._budget)
            if len(node.ops) > 1 and not result:
                break
            left = right
        return result

    def _conditional(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self.value(node.test) else node.orelse)

    def _subscript(self, node: ast.Subscript) -> Any:
        return operations.index(self.value(node.value), self.value(node.slice), self._budget)

    def _slice(self, node: ast.Slice) -> Any:
        return slice(*(None if part is None else self.value(part) for part in (node.lower, node.upper, node.step)))

    def _comprehension(self, node: Any) -> Any:
        if isinstance(node, ast.DictComp):
            made: Any = {scope.value(node.key): scope.value(node.value) for scope in self._scopes(node.generators)}
        else:
            items = [scope.value(node.elt) for scope in self._scopes(node.generators)]
            made = set(items) if isinstance(node, ast.SetComp) else items
        return bounded(made, self._budget)

    def _scopes(self, generators: list[ast.comprehension]) -> list["Interpreter"]:
        scopes = [self]
        for generator in generators:
            if generator.is_async:
                raise CannotResolve("async is not computed here", CURE)
            inner: list[Interpreter] = []
            for scope in scopes:
                for member in scope._members(generator.iter):
                    self._budget.spend(1 + len(scope._names))
                    entered = scope.inside(unpacked(generator.target, member))
                    if all(entered.value(test) for test in generator.ifs):
                        inner.append(entered)
            scopes = inner
        return scopes

    def _members(self, node: ast.expr) -> list[Any]:
        value = self.made(node)
        if not isinstance(value, (str, list, tuple, dict, set)):
            raise CannotResolve("goes through what is no list", CURE)
        return list(value)

    def inside(self, names: Mapping[str, Any]) -> "Interpreter":
        """Return an interpreter with further names in scope."""
        return Interpreter(self._references, self._call, self._budget, {**self._names, **names})

    def _lambda(self, node: ast.Lambda) -> Any:
        given = node.args
        if given.vararg or given.kwarg or given.kwonlyargs or given.posonlyargs:
            raise CannotResolve("a lambda here takes plain arguments", "Write $lambda x: ...")
        defaults = [self.value(default) for default in given.defaults]
        names = tuple(argument.arg for argument in given.args)
        return SafeFunction(self, names, tuple(defaults), node.body)

    def called(self, names: Mapping[str, Any], body: ast.expr) -> Any:
        """Compute the body of a lambda with its arguments in scope."""
        elements = sum(math.prod(value.shape) for value in names.values() if operations.is_array(value))
        budget = Budget(STEPS_OF_A_CALL, max(ELEMENTS_OF_A_CALL * elements, 1 << 20))
        return Interpreter(self._references, self._call, budget, {**self._names, **names}).value(body)

    def _calling(self, node: ast.Call) -> Any:
        moved = moved_to_device(node)
        if moved is not None:
            return self.value(moved)
        call = self._callee(node)
        if any(keyword.arg is None for keyword in node.keywords):
            raise CannotResolve("** is not computed here", CURE)
        arguments = self._items(node.args)
        keywords = {str(keyword.arg): self.value(keyword.value) for keyword in node.keywords}
        return bounded(call(arguments, keywords), self._budget)

    def _callee(self, node: ast.Call) -> Call:
        name = dotted(node.func)
        if not name or name in self._names:
            method = f"the method {node.func.attr!r} of a value" if isinstance(node.func, ast.Attribute) else "a value"
            loads = isinstance(node.func, ast.Attribute) and "load" in node.func.attr
            raise CannotResolve(f"calls {method}", OF_FILES if loads else CURE)
        if name in functions.BUILTINS:
            return lambda arguments, keywords: self._builtin(name, arguments, keywords)
        if name in functions.TORCH:
            return lambda arguments, keywords: functions.TORCH[name](self._budget, *arguments, **keywords)
        return self._call(name)

    def _builtin(self, name: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        if keywords:
            raise CannotResolve(f"{name}() takes no named arguments here", CURE)
        for argument in arguments:
            bounded(argument, self._budget)
        return functions.BUILTINS[name](*arguments)


class SafeFunction:
    """A lambda of a configuration: computed by the interpreter each time it is called."""

    def __init__(self, scope: Interpreter, names: tuple[str, ...], defaults: tuple[Any, ...], body: ast.expr) -> None:
        self._scope = scope
        self._names = names
        self._defaults = defaults
        self._body = body

    def __call__(self, *values: Any) -> Any:
        """Compute the body.

        Raises:
            CannotResolve: it does what is not computed here, or is called with other arguments than it takes.
        """
        missing = len(self._names) - len(values)
        if missing < 0 or missing > len(self._defaults):
            raise CannotResolve(f"the function takes {len(self._names)} values, not {len(values)}")
        given = (*values, *(self._defaults[len(self._defaults) - missing :] if missing else ()))
        return self._scope.called(dict(zip(self._names, given, strict=True)), self._body)


def unpacked(target: ast.expr, value: Any) -> dict[str, Any]:
    """Return the names a comprehension's target binds.

    Raises:
        CannotResolve: it binds anything but names, or another number of them.
    """
    if isinstance(target, ast.Name):
        return {target.id: value}
    if not isinstance(target, (ast.Tuple, ast.List)) or not isinstance(value, (list, tuple)):
        raise CannotResolve("a comprehension here binds names alone", CURE)
    if len(target.elts) != len(value):
        raise CannotResolve(f"binds {len(target.elts)} names to {len(value)} values", CURE)
    return {name: item for part, member in zip(target.elts, value, strict=True) for name, item in
            unpacked(part, member).items()}  # fmt: skip


_HANDLERS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Constant: Interpreter._constant, ast.Name: Interpreter._name, ast.Attribute: Interpreter._attribute,
    ast.List: Interpreter._sequence, ast.Tuple: Interpreter._sequence, ast.Set: Interpreter._sequence,
    ast.Dict: Interpreter._dict, ast.BinOp: Interpreter._binary, ast.UnaryOp: Interpreter._unary,
    ast.BoolOp: Interpreter._boolean, ast.Compare: Interpreter._compare, ast.IfExp: Interpreter._conditional,
    ast.Subscript: Interpreter._subscript, ast.Slice: Interpreter._slice, ast.ListComp: Interpreter._comprehension,
    ast.SetComp: Interpreter._comprehension, ast.DictComp: Interpreter._comprehension,
    ast.GeneratorExp: Interpreter._comprehension, ast.Lambda: Interpreter._lambda, ast.Call: Interpreter._calling,
}  # fmt: skip
"""What each kind of node is computed by; a kind that is not here is refused."""

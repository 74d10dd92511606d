"""The interpreter gives what Python gives for what it allows, refuses everything else, and always ends."""

import ast
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.bundle.dialect.expression import parse
from inference.bundle.dialect.interpreter import _HANDLERS, Interpreter, SafeFunction
from inference.bundle.dialect.objections import CannotResolve, LimitExceeded
from inference.bundle.dialect.operations import LARGEST_INTEGER, LONGEST_TEXT, MOST_MEMBERS, MOST_STEPS, Budget
from tests.inference.bundle.dialect.watched import watched

REFERENCES = {"n": 3, "sizes": [96, 96, 64], "names": {"spleen": 1, "background": 0}, "word": "image"}


def no_call(name: str) -> Any:
    raise CannotResolve(f"{name} is not on the list")


def evaluate(text: str, budget: Budget | None = None) -> Any:
    expression = parse(text)
    assert expression is not None
    references = {number: REFERENCES[name] for number, name in expression.references.items()}
    return Interpreter(references, no_call, budget or Budget()).made(expression.tree)


SAME_AS_PYTHON = (
    "1 + 2 * 3 - 4 / 5", "7 // 2, 7 % 4, 2 ** 10, -3, +4, ~5, not 6", "1 < 2 <= 2 != 3", "1 < 2 > 5 < 1 / 1",
    "'a' + 'b' * 3", "[1, 2] + [3] * 2", "(1,) + (2,)", "[*range(3), 4]", "{'a': 1, 'b': [2]}", "{1, 2, 1}",
    "1 if @n > 2 else 1 / 0", "@n and @word", "0 or @sizes", "@sizes[0], @sizes[-1], @sizes[1:], @sizes[::-1]",
    "@names['spleen']", "len(@names) + 1", "[x * 2 for x in @sizes if x > 64]", "{k: v for k, v in enumerate(@word)}",
    "[(a, b) for a in range(3) for b in range(a)]", "sum(x for x in range(10))", "sorted([3, 1, 2])", "max(@sizes)",
    "list(range(33, 57)) + list(range(63, 98)) + [114, 120, 122]", "((@n - 1) // 2,) * 4",
    "1.0 - float(164) / float(256)",
    "'x' in @word, 'a' not in @word", "None is None", "True", "...", "int('7') + round(2.567, 2) + abs(-1)",
    "list(zip(range(3), 'abc'))", "dict([['a', 1]])", "any([0, 1]), all([0, 1])", "[1.5, 1.5] if @n else [3.0]",
    "5 & 3 | 8 ^ 1", "tuple(reversed([1, 2]))", "bool(0), str(12)", "min(3, 2)", "list(enumerate('ab', 1))",
)  # fmt: skip


@pytest.mark.parametrize("text", SAME_AS_PYTHON)
def test_what_is_allowed_has_the_value_that_python_gives_it(text: str) -> None:
    written = text
    for name in REFERENCES:
        written = written.replace(f"@{name}", name)
    expected = eval(written, {}, dict(REFERENCES))  # noqa: S307  (the oracle: expressions written above)
    value = evaluate(text)
    if not isinstance(expected, (list, dict, tuple, set, str, int, float, type(None), type(...))):
        expected = list(expected)
    assert value == expected
    assert type(value) is type(expected)


def test_constants_and_enum_members_are_those_of_their_packages() -> None:
    import monai

    assert evaluate("monai.utils.CommonKeys.IMAGE") == monai.utils.CommonKeys.IMAGE
    assert evaluate("monai.utils.enums.CommonKeys.LABEL + '_x'") == "label_x"
    assert evaluate("torch.float32") is torch.float32
    assert evaluate("np.uint8") is np.uint8
    assert evaluate("np.pi / 8") == math.pi / 8


@pytest.mark.parametrize(
    ("text", "image", "expected"),
    [
        ("lambda x: (x - 0.5) / 0.25", torch.tensor([[1.0]]), torch.tensor([[2.0]])),
        ("lambda x: x[1:]", torch.arange(4.0).reshape(2, 2), torch.tensor([[2.0, 3.0]])),
        ("lambda x: torch.where(x > 0, 1.0, 0.0)", torch.tensor([[-1.0, 2.0]]), torch.tensor([[0.0, 1.0]])),
        ("lambda x: torch.cat([x, x, x])", torch.ones(1, 2), torch.ones(3, 2)),
        ("lambda x, k=2: torch.flip(x, dims=[1]) * k", torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, 2.0]])),
        ("lambda x: torch.clamp(x, min=0, max=@n)", torch.tensor([[-1.0, 9.0]]), torch.tensor([[0.0, 3.0]])),
        ("lambda x: x[None] if @n > 2 else x", torch.ones(2), torch.ones(1, 2)),
        ("lambda x: x > 0", np.array([-1, 1]), np.array([False, True])),
    ],
)
def test_a_function_computes_on_the_image_what_python_would(text: str, image: Any, expected: Any) -> None:
    result = evaluate(text)(image)
    assert type(result) is type(expected)
    assert result.shape == expected.shape
    assert (result == expected).all()


@pytest.mark.parametrize(
    "text",
    [
        "lambda x: torch.cat([x] * 100)",
        "lambda x: torch.stack([torch.stack([torch.stack([x] * 9)] * 9)] * 9)",
        "lambda x: x[:, None] * x[:, :, None]",
        "lambda x: x[[0] * 900]",
        "lambda x: [x + n for n in range(9000)]",
    ],
)
def test_a_function_cannot_make_the_image_many_times_larger(text: str) -> None:
    with pytest.raises(LimitExceeded):
        evaluate(text)(torch.zeros(1, 2048, 2048))


@pytest.mark.parametrize("text", ["lambda x: x.numpy()", "lambda x: x.data", "lambda x: torch.save(x, 'f')"])
def test_a_function_reads_no_attribute_of_the_image(text: str) -> None:
    with pytest.raises(CannotResolve):
        evaluate(text)(torch.zeros(1, 2, 2))


NAMES = ("x", "y", "len", "range", "list", "str", "int", "sum", "open", "eval", "torch", "os", "__import__", "getattr")
ATTRIBUTES = ("__class__", "__globals__", "append", "join", "format", "system", "load", "float32", "where")
OPERATORS = ("+", "-", "*", "/", "//", "%", "**", "@", "<<", ">>", "&", "|", "^")
CONSTANTS = st.one_of(
    st.integers(-(10**20), 10**20), st.floats(), st.booleans(), st.none(), st.text(max_size=8), st.binary(max_size=3)
)
LEAVES = st.one_of(
    CONSTANTS.map(repr), st.sampled_from(NAMES), st.sampled_from(["@n", "@sizes", "@names", "@word", "@"])
)


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(inner, inner)
    some = st.lists(inner, max_size=3).map(", ".join)
    return st.one_of(
        st.tuples(inner, st.sampled_from(OPERATORS), inner).map(lambda p: f"({p[0]}) {p[1]} ({p[2]})"),
        st.tuples(st.sampled_from(["-", "+", "~", "not ", "*", "await "]), inner).map(lambda p: f"{p[0]}({p[1]})"),
        st.tuples(inner, st.sampled_from(["<", "==", "in", "is", "and", "or"]), inner).map(
            lambda p: f"({p[0]}) {p[1]} ({p[2]})"
        ),
        st.tuples(inner, inner, inner).map(lambda p: f"({p[0]}) if ({p[1]}) else ({p[2]})"),
        pairs.map(lambda p: f"({p[0]})[{p[1]}]"),
        pairs.map(lambda p: f"({p[0]})[{p[1]}:]"),
        some.map(lambda items: f"[{items}]"),
        some.map(lambda items: f"({items},)" if items else "()"),
        pairs.map(lambda p: f"{{{p[0]}: {p[1]}}}"),
        pairs.map(lambda p: f"[{p[0]} for x in ({p[1]})]"),
        st.tuples(inner, inner, inner).map(lambda p: f"{{{p[0]}: y for x, y in ({p[1]}) if {p[2]}}}"),
        inner.map(lambda body: f"(lambda x, y=1: {body})"),
        st.tuples(inner, some).map(lambda p: f"({p[0]})({p[1]})"),
        st.tuples(st.sampled_from(NAMES), some).map(lambda p: f"{p[0]}({p[1]})"),
        st.tuples(inner, st.sampled_from(ATTRIBUTES)).map(lambda p: f"({p[0]}).{p[1]}"),
        inner.map(lambda value: f"f'{{{value}}}'" if "'" not in value else value),
        inner.map(lambda value: f"(x := {value})"),
    )


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.recursive(LEAVES, larger, max_leaves=25))
def test_any_expression_ends_within_its_budget_and_runs_nothing(text: str) -> None:
    budget = Budget()
    with watched() as watch:
        value = outcome(lambda: evaluate(text, budget))
        if isinstance(value, SafeFunction):
            outcome(lambda: value(torch.zeros(1, 4, 4)))
    assert not watch.events
    assert 0 <= budget.left <= MOST_STEPS
    assert size_of(value) <= 2 * MOST_MEMBERS


def outcome(compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError):
        return None


def size_of(value: Any) -> int:
    if isinstance(value, int):
        assert abs(value) < LARGEST_INTEGER
    if isinstance(value, str):
        assert len(value) <= LONGEST_TEXT
    if isinstance(value, (list, tuple, set)):
        return 1 + sum(size_of(item) for item in value)
    if isinstance(value, dict):
        return 1 + sum(size_of(key) + size_of(item) for key, item in value.items())
    return 1


NODES = [
    node
    for node in vars(ast).values()
    if isinstance(node, type) and issubclass(node, ast.expr) and not issubclass(node, ast.Constant)
]


@pytest.mark.parametrize("kind", [node for node in NODES if node not in _HANDLERS], ids=lambda kind: kind.__name__)
def test_a_kind_of_node_that_is_not_on_the_list_is_never_computed(kind: type[ast.expr]) -> None:
    with pytest.raises(CannotResolve, match="is not computed here"):
        Interpreter({}, no_call, Budget()).value(kind())


def test_the_list_of_nodes_holds_no_more_than_the_guide_says() -> None:
    assert {node.__name__ for node in _HANDLERS} == {
        "Attribute", "BinOp", "BoolOp", "Call", "Compare", "Constant", "Dict", "DictComp", "GeneratorExp", "IfExp",
        "Lambda", "List", "ListComp", "Name", "Set", "SetComp", "Slice", "Subscript", "Tuple", "UnaryOp",
    }  # fmt: skip

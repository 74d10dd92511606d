"""A TorchScript program as a network of ours: its modules with their names and weights, its graphs run node by node.

Layers keep the names they had, and calls of submodules are calls of modules here, so that class activation maps can be
taken from them; gradients flow through torch's own operators; the weights can be drawn anew.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from inference.bundle.script import operations
from inference.errors import BundleRefused

MOST_STEPS = 2_000_000
"""Nodes that one pass may run."""
DEEPEST = 60
"""Calls inside each other."""

DTYPES = {
    torch.uint8: 0, torch.int8: 1, torch.int16: 2, torch.int32: 3, torch.int64: 4, torch.float16: 5, torch.float32: 6,
    torch.float64: 7, torch.complex64: 9, torch.complex128: 10, torch.bool: 11, torch.bfloat16: 15,
}  # fmt: skip
"""Numbers of types, as TorchScript has them (c10/core/ScalarType.h)."""

Graph = Mapping[str, Any]


@dataclass(eq=False)
class Program:
    """What all modules of one archive share; copies of the network share it too."""

    types: Mapping[str, Mapping[str, Graph]]
    """Graphs of the methods, by type."""
    functions: Mapping[str, Graph]
    where: str
    """How messages name the file."""
    steps: int = 0
    depth: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where the pass runs: that of its input, whatever the archive names."""

    def __deepcopy__(self, _memo: object) -> "Program":
        return self


class ScriptedModule(nn.Module):
    """One module of the archive."""

    def __init__(self, program: Program, described: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self._program = program
        self._type = str(described["type"])
        self._plain = {name: _plain(value, tensors, program) for name, value in described["plain"].items()}
        for name, key in described["parameters"].items():
            self.register_parameter(name, nn.Parameter(tensors[key], requires_grad=False))
        for name, key in described["buffers"].items():
            self.register_buffer(name, tensors[key])

    def forward(self, *inputs: Any) -> Any:
        """Run the program's ``forward``."""
        return self.call("forward", inputs)

    def call(self, method: str, inputs: Sequence[Any]) -> Any:
        """Run one of the program's methods.

        Raises:
            BundleRefused: it does what is not run here, or takes too many steps.
        """
        program = self._program
        if program.depth == 0:
            program.steps = 0
            program.device = next((item.device for item in inputs if isinstance(item, torch.Tensor)), program.device)
        graph = program.types[self._type].get(method)
        if graph is None:
            raise BundleRefused(f"{program.where}: the program has no method {method!r}.")
        return GraphRun(program).graph(graph, (self, *inputs))

    def attribute(self, name: str) -> Any:
        """Return a parameter, a buffer, a submodule or a plain value."""
        return self._plain[name] if name in self._plain else getattr(self, name)


class GraphRun:
    """One call: the values of a graph by their names."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._values: dict[str, Any] = {}

    def graph(self, graph: Graph, inputs: Sequence[Any]) -> Any:
        """Run a graph and return its output, or the tuple of its outputs."""
        program = self._program
        program.depth += 1
        try:
            if program.depth > DEEPEST:
                raise self._refused(f"calls lie more than {DEEPEST} deep")
            outputs = self._block(graph, inputs)
        finally:
            program.depth -= 1
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _block(self, block: Graph, inputs: Sequence[Any]) -> list[Any]:
        names = block["inputs"]
        if len(inputs) < len(names):
            raise self._refused(f"a graph takes {len(names)} inputs, and gets {len(inputs)}")
        self._values.update(zip(names, inputs, strict=False))
        for node in block["nodes"]:
            self._node(node)
        return [self._values[name] for name in block["outputs"]]

    def _node(self, node: Mapping[str, Any]) -> None:
        program = self._program
        program.steps += 1
        if program.steps > MOST_STEPS:
            raise self._refused(f"a pass takes more than {MOST_STEPS} steps")
        kind = node["kind"]
        inputs = [self._values[name] for name in node["inputs"]] if kind != "prim::CallFunction" else []
        names = node["outputs"]
        if kind == "prim::Constant":
            made = node["value"]
        elif kind.startswith("aten::"):
            made = self._operator(node, inputs)
        elif kind in _HANDLERS:
            made = _HANDLERS[kind](self, node, inputs)
        else:
            raise self._refused(f"{kind} is not run here")
        if len(names) == 1:
            self._values[names[0]] = made
        else:
            self._values.update(zip(names, made or (), strict=True))

    def _operator(self, node: Mapping[str, Any], inputs: list[Any]) -> Any:
        given = [self._program.device if isinstance(value, torch.device) else value for value in inputs]
        try:
            return operations.run(node["kind"].removeprefix("aten::"), node["overload"], given, node["keywords"])
        except BundleRefused as error:
            raise self._refused(str(error)) from error

    def _if(self, node: Mapping[str, Any], inputs: list[Any]) -> Any:
        outputs = self._block(node["blocks"][0 if inputs[0] else 1], ())
        return outputs[0] if len(node["outputs"]) == 1 else outputs

    def _loop(self, node: Mapping[str, Any], inputs: list[Any]) -> Any:
        most, goes_on, *carried = inputs
        turn = 0
        while goes_on and turn < most:
            goes_on, *carried = self._block(node["blocks"][0], (turn, *carried))
            turn += 1
        return carried[0] if len(node["outputs"]) == 1 else carried

    def _attribute(self, node: Mapping[str, Any], inputs: list[Any]) -> Any:
        if not isinstance(inputs[0], ScriptedModule):
            raise self._refused("an attribute of what is no module is read")
        return inputs[0].attribute(node["name"])

    def _call(self, node: Mapping[str, Any], inputs: list[Any]) -> Any:
        module, *arguments = inputs
        if not isinstance(module, ScriptedModule):
            raise self._refused("a method of what is no module is called")
        return module(*arguments) if node["name"] == "forward" else module.call(node["name"], arguments)

    def _function(self, node: Mapping[str, Any], _inputs: list[Any]) -> Any:
        arguments = [self._values[name] for name in node["inputs"][1:]]
        return GraphRun(self._program).graph(self._program.functions[node["name"]], arguments)

    def _raise(self, _node: Mapping[str, Any], inputs: list[Any]) -> Any:
        raise ValueError(f"{self._program.where}: the program refuses its input: {str(inputs[0])[:200]}")

    def _is_instance(self, node: Mapping[str, Any], inputs: list[Any]) -> bool:
        return any(_is_of(inputs[0], name) for name in node["types"])

    def _refused(self, reason: str) -> BundleRefused:
        return BundleRefused(f"{self._program.where}: {reason}.")


def _is_of(value: Any, name: str) -> bool:
    kinds: dict[str, type | tuple[type, ...]] = {
        "Tensor": torch.Tensor, "int": int, "float": float, "bool": bool, "str": str, "NoneType": type(None),
        "List": list, "Tuple": tuple, "Dict": dict, "number": (int, float),
    }  # fmt: skip
    kind = kinds.get(name.partition("[")[0].partition("(")[0].strip())
    if kind is None:
        return name.endswith("[]") and isinstance(value, list)
    return isinstance(value, kind) and not (kind in (int, float) and isinstance(value, bool))


def _refuse_set(run: GraphRun, node: Mapping[str, Any], _inputs: list[Any]) -> Any:
    raise run._refused(f"a pass changes the attribute {node['name']!r} of a module")


Handler = Callable[[GraphRun, Mapping[str, Any], list[Any]], Any]
_HANDLERS: Mapping[str, Handler] = {
    "prim::If": GraphRun._if,
    "prim::Loop": GraphRun._loop,
    "prim::GetAttr": GraphRun._attribute,
    "prim::SetAttr": _refuse_set,
    "prim::CallMethod": GraphRun._call,
    "prim::CallFunction": GraphRun._function,
    "prim::RaiseException": GraphRun._raise,
    "prim::isinstance": GraphRun._is_instance,
    "prim::ListConstruct": lambda _run, _node, inputs: list(inputs),
    "prim::TupleConstruct": lambda _run, _node, inputs: tuple(inputs),
    "prim::DictConstruct": lambda _run, _node, inputs: dict(zip(inputs[::2], inputs[1::2], strict=True)),
    "prim::ListUnpack": lambda _run, node, inputs: _single(inputs[0], node),
    "prim::TupleUnpack": lambda _run, node, inputs: _single(inputs[0], node),
    "prim::TupleIndex": lambda _run, _node, inputs: inputs[0][inputs[1]],
    "prim::TupleSlice": lambda _run, _node, inputs: inputs[0][inputs[1] : inputs[2]],
    "prim::unchecked_cast": lambda _run, _node, inputs: inputs[0],
    "prim::unchecked_unwrap_optional": lambda _run, _node, inputs: inputs[0],
    "prim::Uninitialized": lambda _run, _node, _inputs: None,
    "prim::data": lambda _run, _node, inputs: inputs[0].detach(),
    "prim::dtype": lambda _run, _node, inputs: DTYPES[inputs[0].dtype],
    "prim::device": lambda run, _node, _inputs: run._program.device,
    "prim::layout": lambda _run, _node, _inputs: 0,
    "prim::shape": lambda _run, _node, inputs: list(inputs[0].shape),
    "prim::is_cuda": lambda _run, _node, inputs: inputs[0].is_cuda,
    "prim::requires_grad": lambda _run, _node, inputs: inputs[0].requires_grad,
    "prim::NumToTensor": lambda run, _node, inputs: torch.tensor(inputs[0], device=run._program.device),
    "prim::ImplicitTensorToNum": lambda _run, _node, inputs: inputs[0].item(),
    "prim::min": lambda _run, _node, inputs: min(*inputs) if len(inputs) > 1 else min(inputs[0]),
    "prim::max": lambda _run, _node, inputs: max(*inputs) if len(inputs) > 1 else max(inputs[0]),
    "prim::abs": lambda _run, _node, inputs: abs(inputs[0]),
    "prim::Print": lambda _run, _node, _inputs: (),
}


def _single(values: Sequence[Any], node: Mapping[str, Any]) -> Any:
    return values[0] if len(node["outputs"]) == 1 else values


def _plain(value: Any, tensors: Mapping[str, torch.Tensor], program: Program) -> Any:
    """Return a described value."""
    if not isinstance(value, dict):
        return value
    ((kind, held),) = value.items()
    if kind == "tensor":
        return tensors[held]
    if kind == "device":
        return torch.device("cpu")
    if kind == "list":
        return [_plain(item, tensors, program) for item in held]
    if kind == "tuple":
        return tuple(_plain(item, tensors, program) for item in held)
    if kind == "dict":
        return {_plain(key, tensors, program): _plain(item, tensors, program) for key, item in held}
    return None


def built(program: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], where: str) -> ScriptedModule:
    """Build the network that a description describes.

    Raises:
        BundleRefused: the description is not whole.
    """
    shared = Program(program["types"], program["functions"], where)
    for graphs in (*program["types"].values(), program["functions"]):
        for graph in graphs.values():
            _settle(graph, tensors, shared)
    return _module("", program["modules"], shared, tensors)


def _module(
    path: str, described: Mapping[str, Any], shared: Program, tensors: Mapping[str, torch.Tensor]
) -> ScriptedModule:
    module = ScriptedModule(shared, described[path], tensors)
    for name in described[path]["modules"]:
        module.add_module(name, _module(f"{path}.{name}" if path else name, described, shared, tensors))
    return module


def _settle(graph: dict[str, Any], tensors: Mapping[str, torch.Tensor], shared: Program) -> None:
    """Turn the described constants of a graph into values, once."""
    for node in graph["nodes"]:
        if node["kind"] == "prim::Constant":
            node["value"] = _plain(node["value"], tensors, shared)
        for block in node["blocks"]:
            _settle(block, tensors, shared)

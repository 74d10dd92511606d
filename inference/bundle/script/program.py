"""The program of the process that reads a TorchScript archive; started by ``archive.py``, never imported.

Reads the archive from standard input, and writes what it holds to standard output as safetensors: the tensors, and in
the metadata a JSON description of modules, functions and their graphs. Nothing of the archive is called. It imports no
other module of the product.
"""

import json
import resource
import sys
import warnings
from typing import Any

import safetensors.torch
import torch

NATIVE: Any = torch._C
"""What torch.jit.load itself stands on; the types that torch gives it leave much out."""


class Description:
    """What is written, gathered module by module."""

    def __init__(self, unit: Any) -> None:
        self._unit = unit
        self.tensors: dict[str, torch.Tensor] = {}
        self.modules: dict[str, Any] = {}
        self.types: dict[str, Any] = {}
        self.functions: dict[str, Any] = {}

    def add_module(self, path: str, module: Any) -> None:
        """Describe a module and those below it."""
        name = str(module._type().qualified_name())
        if name not in self.types:
            self.types[name] = {}
            for method in module._method_names():
                self.types[name][method] = self.graph(module._get_method(method).graph)
        inner = dict(NATIVE.ModuleDict(module).items())
        parameters = dict(NATIVE.ParameterDict(module).items())
        buffers = dict(NATIVE.BufferDict(module).items())
        held = {key for graph in self.types[name].values() for key in read_attributes(graph)}
        plain = held - {*inner, *parameters, *buffers}
        self.modules[path] = {
            "type": name,
            "modules": list(inner),
            "parameters": {key: self.tensor(value) for key, value in parameters.items()},
            "buffers": {key: self.tensor(value) for key, value in buffers.items()},
            "plain": {
                key: False if key == "training" else self.value(module.getattr(key))
                for key in sorted(plain)
                if module.hasattr(key)
            },
        }
        for key, child in inner.items():
            self.add_module(f"{path}.{key}" if path else key, child)

    def graph(self, graph: Any) -> dict[str, Any]:
        """Describe a graph, or a block of one."""
        return {
            "inputs": [value.debugName() for value in graph.inputs()],
            "nodes": [self.node(node) for node in graph.nodes()],
            "outputs": [value.debugName() for value in graph.outputs()],
        }

    def node(self, node: Any) -> dict[str, Any]:
        """Describe one node."""
        kind, inputs = node.kind(), list(node.inputs())
        made: dict[str, Any] = {
            "kind": kind,
            "inputs": [value.debugName() for value in inputs],
            "outputs": [value.debugName() for value in node.outputs()],
        }
        if kind == "prim::Constant":
            output = node.output()
            is_function = str(output.type()) == "Function"
            made["value"] = None if is_function else self.value(output.toIValue())
        elif kind in ("prim::GetAttr", "prim::SetAttr", "prim::CallMethod"):
            made["name"] = node.s("name")
        elif kind == "prim::CallFunction":
            made["name"] = self.function(inputs[0].type().annotation_str)
        elif kind == "prim::TupleIndex" or kind == "prim::isinstance":
            made["types"] = [str(kind) for kind in node.tys("types")] if node.hasAttribute("types") else []
        elif kind.startswith("aten::"):
            schema = NATIVE.parse_schema(node.schema())
            made["overload"] = schema.overload_name
            made["keywords"] = [argument.name if argument.kwarg_only else "" for argument in schema.arguments]
        made["blocks"] = [self.graph(block) for block in node.blocks()]
        return made

    def function(self, name: str) -> str:
        """Describe a function once, and return its name."""
        if name not in self.functions:
            self.functions[name] = {}
            self.functions[name] = self.graph(self._unit.find_function(name).graph)
        return name

    def value(self, value: Any) -> Any:
        """Describe a constant or an attribute: plain, or marked with what it is."""
        if isinstance(value, torch.Tensor):
            return {"tensor": self.tensor(value)}
        if isinstance(value, torch.device):
            return {"device": str(value)}
        if isinstance(value, (list, tuple)):
            return {type(value).__name__: [self.value(item) for item in value]}
        if isinstance(value, dict):
            return {"dict": [[self.value(key), self.value(item)] for key, item in value.items()]}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        return {"other": type(value).__name__}

    def tensor(self, value: torch.Tensor) -> str:
        """Keep a tensor, and return its name; quantised and sparse ones are refused by safetensors."""
        name = f"t{len(self.tensors)}"
        self.tensors[name] = value.detach().cpu().clone().contiguous()
        return name


def read_attributes(graph: dict[str, Any]) -> set[str]:
    """Return the attributes that a graph reads, of whatever module."""
    names = {node["name"] for node in graph["nodes"] if node["kind"] == "prim::GetAttr"}
    return names.union(*(read_attributes(block) for node in graph["nodes"] for block in node["blocks"]))


def main() -> None:
    """Read the one archive, and write its description."""
    address_space_bytes, cpu_seconds = (int(argument) for argument in sys.argv[1:3])
    for kind, limit in (
        (resource.RLIMIT_AS, address_space_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    sys.stdout.buffer.write(described(sys.stdin.buffer.read()))


def described(content: bytes) -> bytes:
    """Return the description of an archive, as safetensors."""
    unit = NATIVE.CompilationUnit()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = NATIVE.import_ir_module_from_buffer(unit, content, torch.device("cpu"), {}, False)
    description = Description(unit)
    description.add_module("", module)
    program = {"modules": description.modules, "types": description.types, "functions": description.functions}
    return safetensors.torch.save(description.tensors, {"program": json.dumps(program)})


if __name__ == "__main__":
    main()

"""A pretended CUDA device: tensors carry a mark of the device they would lie on, and every mixing is noted.

Numbers are the CPU's. It cannot see what kernels do in C++ behind one call, nor a card's memory or rounding.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

CARD, CPU = torch.device("cuda", 0), torch.device("cpu")
T = torch.Tensor
READS = {
    T.item, T.__bool__, T.__float__, T.__int__, T.__index__, T.tolist, T.nonzero, torch.nonzero, torch.equal, T.equal,
    torch.allclose, T.allclose,
}  # fmt: skip
"""Functions that wait for the device."""
TO_NUMPY = {T.numpy, T.__array__}
MAY_MIX = {T.copy_, T.__setitem__, T.__getitem__, T.__deepcopy__, T.__reduce_ex__}
SHAPES = {
    T.size, T.dim, T.numel, T.element_size, T.__len__, T.__hash__, T.__repr__, T.untyped_storage, T.data_ptr,
    T.is_floating_point, T.is_contiguous, T.stride,
}  # fmt: skip


class FakeCard(TorchFunctionMode):
    """Runs everything on the CPU, and notes what a card would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.violations: Counter[str] = Counter()
        self.waits = 0
        """Values read back one by one."""
        self.copies = 0
        """Tensors brought to or from the card."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func == T.device.__get__:
            return CARD if on_card(args[0]) else func(*args)
        if func in (T.is_cuda.__get__, T.is_cpu.__get__):
            return on_card(args[0]) == (func == T.is_cuda.__get__)
        if func in SHAPES or (
            getattr(func, "__name__", "") == "__get__" and func not in (T.data.__get__, T.grad.__get__)
        ):
            return func(*args, **given)
        if func in (T.to, T.cpu, T.cuda):
            return self._moved(func, args, given)
        return self._run(func, args, given)

    def _run(self, func: Callable[..., Any], args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        name = getattr(func, "__name__", str(func))
        tensors = _tensors([args, given])
        marked = [tensor for tensor in tensors if on_card(tensor)]
        if marked and func in READS:
            self.waits += 1
        if marked and func in TO_NUMPY:
            self.violations["numpy() of a tensor on the card"] += 1
        asked = given.get("device")
        made_on_card = bool(marked) if asked is None else torch.device(asked).type == "cuda"
        if asked is not None and made_on_card:
            given["device"] = CPU
        if given.get("generator") is not None and made_on_card:
            self.violations[f"a generator of the CPU for the card in {name}"] += 1
        strangers = [tensor for tensor in tensors if not on_card(tensor) and tensor.dim() > 0]
        if marked and strangers and func not in MAY_MIX:
            self.violations[f"{name} of tensors on the card and {tuple(strangers[0].shape)} on the CPU"] += 1
        result = func(*args, **given)
        if func is T.__iter__:
            return iter(_marked(list(result), made_on_card))
        return result if func is T.__setitem__ else _marked(result, made_on_card) if made_on_card else result

    def _moved(self, func: Callable[..., Any], args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        source, rest = args[0], list(args[1:])
        target = on_card(source) if func is T.to else func is T.cuda
        for value in (*rest, *given.values()):
            if isinstance(value, T):
                target = on_card(value)
            elif isinstance(value, torch.device | str):
                target = torch.device(value).type == "cuda"
        plain = [CPU if _names_card(value) else value for value in rest]
        if _names_card(given.get("device")):
            given["device"] = CPU
        result = source.to(*plain, **given) if func is T.to else source
        if target != on_card(source):
            self.copies += 1
            result = result.detach().clone() if result is source else result
        return _marked(result, target)


def _names_card(value: object) -> bool:
    return isinstance(value, torch.device | str) and torch.device(value).type == "cuda"


def on_card(tensor: torch.Tensor) -> bool:
    """Say whether a tensor would lie on the card."""
    return bool(getattr(tensor, "_on_card", False))


def put_on_card(network: nn.Module) -> nn.Module:
    """Mark every parameter and buffer of a network."""
    _mark(network, on=True)
    return network


@contextmanager
def fake_card(patch: pytest.MonkeyPatch) -> Iterator[FakeCard]:
    """Pretend that there is one card of 80 GB."""
    module_to, copied = nn.Module.to, nn.Parameter.__deepcopy__

    def copied_with_mark(self: nn.Parameter, memo: dict[int, Any]) -> nn.Parameter:
        return _marked(copied(self, memo), on_card(self))

    def moved(self: nn.Module, *args: Any, **given: Any) -> nn.Module:
        devices = [value for value in (*args, *given.values()) if isinstance(value, torch.device | str)]
        if not devices:
            return module_to(self, *args, **given)
        return _mark(self, on=torch.device(devices[0]).type == "cuda")

    patch.setattr(nn.Module, "to", moved)
    patch.setattr(nn.Parameter, "__deepcopy__", copied_with_mark)
    patch.setattr(nn.Module, "cpu", lambda self: _mark(self, on=False))
    for name, value in (("is_available", True), ("device_count", 1), ("get_device_name", "Fake card"),
                        ("memory_allocated", 0), ("max_memory_allocated", 1 << 20), ("synchronize", None),
                        ("reset_peak_memory_stats", None), ("empty_cache", None),
                        ("get_device_capability", (9, 0))):  # fmt: skip
        patch.setattr(torch.cuda, name, lambda *_args, value=value: value)
    card = FakeCard()
    with card:
        yield card


def _mark(network: nn.Module, *, on: bool) -> nn.Module:
    for tensor in (*network.parameters(), *network.buffers()):
        tensor._on_card = on  # type: ignore[attr-defined]
    return network


def _marked(value: Any, on: bool = True) -> Any:
    for tensor in _tensors(value):
        tensor._on_card = on  # type: ignore[attr-defined]
    return value


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, T):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [tensor for part in value for tensor in _tensors(part)] if isinstance(value, list | tuple) else []

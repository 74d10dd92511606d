"""The operators of TorchScript that are run: those of numbers, lists and tensors that touch nothing else.

An operator is called by the overload that the archive names, with torch's own implementation; lists and dictionaries,
which TorchScript changes in place, are Python's here.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from inference.errors import BundleRefused

MOST_ELEMENTS = 1 << 30
"""Of a tensor that an operator is about to make, or has made."""
MOST_MEMBERS = 100_000
"""Of a list, and characters of a text."""

_NAMES = """
    __and__ __or__ __xor__ __lshift__ __rshift__ abs acos adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
    adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d add add_ addcdiv addcmul addmm alias all alpha_dropout
    amax amin any arange argmax argmin argsort as_tensor atan atan2 avg_pool1d avg_pool2d avg_pool3d baddbmm batch_norm
    bitwise_and bitwise_not bitwise_or bmm bool broadcast_tensors bucketize cat ceil celu celu_ chunk clamp clamp_
    clamp_max clamp_max_ clamp_min clamp_min_ clip clone complex concat concatenate constant_pad_nd contiguous conv1d
    conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution _convolution cos cosh cross cumprod
    cumsum detach diag diagonal div div_ dropout dropout_ einsum elu elu_ eq erf exp exp2 expand
    expand_as expm1 eye fill fill_ flatten flip float float_power floor floor_ floor_divide fmod frac full full_like
    gather ge gelu gelu_ glu grid_sampler grid_sampler_2d grid_sampler_3d group_norm gt half hardshrink hardsigmoid
    hardsigmoid_ hardswish hardswish_ hardtanh hardtanh_ im2col index index_add index_copy index_fill index_put
    index_put_ index_select instance_norm isfinite isinf isnan kthvalue l1_loss layer_norm le leaky_relu leaky_relu_
    lerp linear linspace log log10 log1p log2 log_sigmoid log_softmax logical_and logical_not logical_or logical_xor
    logsumexp lt masked_fill masked_fill_ masked_scatter masked_select matmul max max_pool1d max_pool2d max_pool3d
    max_pool2d_with_indices max_pool3d_with_indices max_unpool2d max_unpool3d maximum mean median meshgrid min minimum
    mish mish_ mm movedim moveaxis mse_loss mul mul_ multi_head_attention_forward mv nan_to_num narrow native_layer_norm
    ne neg neg_ nonzero norm ones ones_like outer pad permute pixel_shuffle pixel_unshuffle pow pow_ prelu prod
    quantile reciprocal reflection_pad1d reflection_pad2d reflection_pad3d relu relu6 relu6_ relu_ remainder repeat
    repeat_interleave replication_pad1d replication_pad2d replication_pad3d reshape roll rot90 round rsqrt rsub
    scaled_dot_product_attention scatter scatter_add select selu selu_ sigmoid sigmoid_ sign silu silu_ sin sinh slice
    softmax softplus softshrink sort split split_with_sizes sqrt square squeeze stack std std_mean sub sub_ sum t take
    tan tanh tanh_ tensor tensor_split threshold threshold_ tile to topk transpose tril triu true_divide trunc type_as
    unbind unflatten unfold unique_dim unsqueeze unsqueeze_ upsample_bicubic2d upsample_bilinear2d upsample_linear1d
    upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d var var_mean view view_as vstack where
    zeros zeros_like _upsample_nearest_exact2d _upsample_nearest_exact3d feature_dropout hstack swapaxes swapdims
    numpy_T item size dim numel is_floating_point is_complex is_nonzero element_size stride storage_offset
    Int Float Bool FloatImplicit IntImplicit ScalarImplicit floordiv mod __not__ len __range_length __derive_index
    _set_item degrees radians fabs gcd factorial
"""
TENSOR_OPERATORS = frozenset(_NAMES.split())
"""Names without overload; each is torch's own."""

_NAMES_OF_SIZED = (
    "arange constant_pad_nd eye full linspace ones pad repeat tile upsample_bicubic2d upsample_bilinear2d"
    " upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d zeros"
)
_SIZED = frozenset(_NAMES_OF_SIZED.split())
"""Operators that make as large a tensor as a number in their arguments says."""


def _get(values: Any, key: Any) -> Any:
    return values[key]


def _set(values: Any, key: Any, value: Any) -> Any:
    values[key] = value
    return values


def _append(values: list[Any], value: Any) -> list[Any]:
    values.append(value)
    return values


def _extend(values: list[Any], more: Sequence[Any]) -> None:
    values.extend(more)


def _insert(values: list[Any], place: int, value: Any) -> None:
    values.insert(place, value)


def _slice(values: Any, start: int | None, end: int | None, step: int = 1) -> Any:
    return values[start:end:step]


def _format(text: str, *values: Any) -> str:
    shown = [f"tensor {tuple(value.shape)}" if isinstance(value, torch.Tensor) else str(value) for value in values]
    return " ".join([text, *shown])[:MOST_MEMBERS]


def _equal(first: Any, second: Any) -> bool:
    return bool(first == second)


OF_CONTAINERS: Mapping[str, Callable[..., Any]] = {
    "__getitem__": _get, "_set_item": _set, "append": _append, "extend": _extend, "insert": _insert,
    "len": len, "__contains__": lambda values, value: value in values, "add": lambda first, second: first + second,
    "add_": lambda first, second: first.extend(second) or first, "mul": lambda values, times: values * times,
    "eq": _equal, "ne": lambda first, second: not _equal(first, second), "slice": _slice, "copy": lambda v: v.copy(),
    "list": list, "keys": list, "values": lambda held: list(held.values()), "items": lambda held: list(held.items()),
    "get": lambda held, key, default=None: held.get(key, default), "pop": lambda values, place=-1: values.pop(place),
    "reverse": lambda values: values.reverse(), "index": lambda values, value: values.index(value),
    "count": lambda values, value: values.count(value), "sum": sum, "max": max, "min": min, "sort": lambda v: v.sort(),
    "any": any, "all": all, "clear": lambda values: values.clear(), "lt": lambda first, second: first < second,
    "startswith": lambda text, start: text.startswith(start), "endswith": lambda text, end: text.endswith(end),
    "lower": lambda text: text.lower(), "upper": lambda text: text.upper(), "strip": lambda text: text.strip(),
}  # fmt: skip
"""Where the first argument is a list, a tuple, a dictionary or a text."""

OF_ANYTHING: Mapping[str, Callable[..., Any]] = {
    "__is__": lambda first, second: first is second, "__isnot__": lambda first, second: first is not second,
    "format": _format, "warn": lambda *_values: None, "str": lambda value: _format("", value).strip(),
    "__not__": lambda value: not value,
}  # fmt: skip

_CONTAINERS = (list, tuple, dict, str)


def run(name: str, overload: str, arguments: Sequence[Any], keywords: Sequence[str]) -> Any:
    """Run one operator.

    Args:
        name: without ``aten::``.
        overload: which of its overloads.
        arguments: in the order of its schema.
        keywords: names of those that are given by keyword, "" for the others, in the same order.

    Raises:
        BundleRefused: it is not on the list, or would make too large a tensor.
    """
    if name in OF_ANYTHING:
        return OF_ANYTHING[name](*arguments)
    if arguments and isinstance(arguments[0], _CONTAINERS) and name in OF_CONTAINERS:
        return _bounded(OF_CONTAINERS[name](*arguments))
    if name not in TENSOR_OPERATORS:
        raise BundleRefused(f"the operator aten::{name} is not on the list of those that are run")
    if name in _SIZED:
        _check_size(name, arguments)
    positional = [value for value, keyword in zip(arguments, keywords, strict=True) if not keyword]
    named = {keyword: value for value, keyword in zip(arguments, keywords, strict=True) if keyword}
    operator = getattr(getattr(torch.ops.aten, name), overload or "default")
    made = operator(*positional, **named)
    if isinstance(made, torch.Tensor) and made.numel() > MOST_ELEMENTS:
        raise BundleRefused(f"aten::{name} makes a tensor of {made.numel()} values")
    return made


def _check_size(name: str, arguments: Sequence[Any]) -> None:
    """Refuse what would make a tensor beyond the limit, before it is made."""
    image = arguments[0] if isinstance(arguments[0], torch.Tensor) else None
    sizes = [value for value in arguments if isinstance(value, (list, tuple))]
    numbers = [int(size) for size in (sizes[0] if sizes else arguments) if isinstance(size, (int, float))]
    product = math.prod(max(1, abs(number)) for number in numbers)
    if name in ("repeat", "tile") and image is not None:
        product *= image.numel()
    if name in ("pad", "constant_pad_nd") and image is not None:
        product = math.prod(size + 2 * max(map(abs, numbers), default=0) for size in image.shape)
    elif name.startswith("upsample") and image is not None:
        product *= image.shape[0] * image.shape[1]
    if product > 4 * MOST_ELEMENTS or (name != "pad" and product > MOST_ELEMENTS):
        raise BundleRefused(f"aten::{name} would make a tensor of {product} values")


def _bounded(value: Any) -> Any:
    if isinstance(value, (list, str, dict)) and len(value) > MOST_MEMBERS:
        raise BundleRefused(f"a list of {len(value)} values is made")
    return value

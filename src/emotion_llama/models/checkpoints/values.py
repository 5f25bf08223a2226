"""Weights are floating-point and finite: types are checked before the first is written, values on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints.pickles import TensorSource
from emotion_llama.models.checkpoints.plan import Plan
from emotion_llama.models.known_files import Role

if TYPE_CHECKING:
    import torch

_TYPES = ("float64", "float32", "float16", "bfloat16")


def check_types(plan: Plan, opened: Mapping[Role, TensorSource]) -> None:
    """Refuse placed tensors of whole numbers, truth values, or types that only a quantised model has.

    Raises:
        InputError: naming the first such tensor of each file.
    """
    for origin in plan.placed.values():
        kind = str(origin.info.dtype).removeprefix("torch.")
        if kind not in _TYPES:
            raise InputError(
                f"{opened[origin.role].path}: {origin.name} (--{origin.role}) holds {kind}; expected one of "
                f"{', '.join(_TYPES)}; quantised or damaged weights cannot be converted"
            )


def check_finite(tensor: torch.Tensor, name: str, why: str) -> torch.Tensor:
    """`tensor` itself when all its values are finite.

    One pass for the smallest and largest value, which are NaN where any value is, takes no memory of the tensor's size.

    Raises:
        InputError: naming the tensor, how many of its values are NaN or infinite, and `why` that may be.
    """
    import torch

    if tensor.numel() == 0 or all(torch.isfinite(end) for end in torch.aminmax(tensor.detach())):
        return tensor
    count = tensor.numel() - int(torch.isfinite(tensor).sum())
    raise InputError(f"{name}: {count:,} of {tensor.numel():,} values are NaN or infinite; {why}")

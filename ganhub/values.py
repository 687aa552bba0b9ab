"""What callers give, told apart by kind: booleans are no numbers here, numpy's are."""

from numbers import Integral, Real
from typing import Any, TypeGuard


def is_int(value: Any) -> TypeGuard[int]:
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)


def plain(value: Any) -> Any:
    """Arrays and tensors as lists or numbers, and what can't be counted as a list; anything else as it is."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return list(value) if hasattr(value, "__iter__") and not hasattr(value, "__len__") else value

"""Checks of the arguments of pictures, and numbers in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from coursekit._typing import Array


def as_numbers(caller: str, name: str, value: ArrayLike, ndim: int) -> Array:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{caller}: {name} is an array of numbers; {error}.") from error
    if array.ndim != ndim:
        raise ValueError(f"{caller}: {name} has {ndim} dimensions, but its shape is {array.shape}.")
    return array


def as_labels(caller: str, name: str, value: ArrayLike, length: int) -> Array:
    labels = np.asarray(value)
    if labels.shape != (length,):
        raise ValueError(f"{caller}: {name} should have shape ({length},), one label a point, not {labels.shape}.")
    whole = labels.astype(np.int64)
    if not (whole == labels).all():
        raise ValueError(f"{caller}: {name} holds labels, which are whole numbers; the first are {labels[:3]}.")
    return whole


def as_names(caller: str, name: str, values: object, length: int) -> list[str]:
    """Return the values as text, or an empty list if there are none."""
    if values is None:
        return []
    names = [str(value) for value in np.asarray(values, dtype=object)]
    if len(names) != length:
        raise ValueError(f"{caller}: {name} has {counted(len(names), 'entry', 'entries')} for {length}.")
    return names


def as_curves(caller: str, name: str, curves: Any) -> dict[str, Any]:
    if not isinstance(curves, Mapping):
        raise TypeError(f"{caller}: {name} is a dict from a name to its curve, not {type(curves).__name__}.")
    if not curves:
        raise ValueError(f"{caller}: {name} is empty; give at least one curve.")
    return {str(key): curve for key, curve in curves.items()}


def require_between(caller: str, name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{caller}: {name} is a whole number, not {value!r}.")
    if not low <= value <= high:
        raise ValueError(f"{caller}: {name} is {value}; it should lie between {low} and {high}.")


def counted(number: Any, one: str, many: str | None = None) -> str:
    """
    >>> counted(1, "run"), counted(2, "run"), counted(2, "class", "classes")
    ('1 run', '2 runs', '2 classes')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def are(number: Any) -> str:
    return "is" if number == 1 else "are"


def listed(values: ArrayLike) -> str:
    return ", ".join(f"{value:.3g}" for value in np.asarray(values, dtype=np.float64))

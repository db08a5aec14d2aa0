"""Functions as arguments: what an exercise such as `numerical_gradient(f, x)` is handed for `f`.

A case is data, so a function in it must be data too: a probe is a name from the table
below and the arrays that fix it.  A probe records how it was called, which is how
`train` is graded by what it does instead of by one trace of random numbers.  Behind the
grader's wall the student's process holds only a stand-in that sends each call's
arguments outside, so the record is the grader's own.

>>> f = Probe("cubic", {"a": np.array([1.0]), "b": np.array([0.0]), "c": np.array([2.0])})
>>> f(np.array([3.0]))
33.0
>>> len(f.calls)
1
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ProbeCall:
    """One call of a probe: copies of its arguments, by name, and what it gave back."""

    arguments: dict[str, Any]
    result: Any


@dataclass(frozen=True)
class Callback:
    """What crosses the wall in place of a probe: its calls come back out, to be answered there."""

    parameters: tuple[str, ...]


@dataclass
class Probe:
    """A function that is data: `name` from the table of probes, and its `constants`."""

    name: str
    constants: dict[str, Any] = field(default_factory=dict)
    calls: list[ProbeCall] = field(default_factory=list, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.name not in PROBES:
            raise ValueError(f"there is no probe {self.name!r}; there are {', '.join(sorted(PROBES))}")

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the arguments, in order."""
        return PROBES[self.name][0]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        arguments = dict(zip(self.parameters, args, strict=False)) | kwargs
        if len(args) > len(self.parameters) or set(arguments) != set(self.parameters):
            raise TypeError(
                f"this function takes {len(self.parameters)} arguments, ({', '.join(self.parameters)}); "
                f"it was called with {len(args)} by position and {sorted(kwargs)} by name"
            )
        # Copies: a training loop may change its weights in place after the call.
        kept = {key: np.array(value) if isinstance(value, np.ndarray) else value for key, value in arguments.items()}
        result = PROBES[self.name][1](**self.constants, **kept)
        self.calls.append(ProbeCall(kept, result))
        return result


def cubic(a: np.ndarray, b: np.ndarray, c: np.ndarray, x: np.ndarray) -> float:
    """The sum over entries of a x³ + b x² + c x: a central difference has an error of exactly a h²."""
    return float(np.sum(a * x**3 + b * x**2 + c * x))


def wave(a: np.ndarray, x: np.ndarray) -> float:
    """sin of the weighted sum of all entries: every partial derivative depends on the whole of x."""
    return float(np.sin(np.sum(a * x)))


def least_squares(
    targets: np.ndarray, W: np.ndarray, X: np.ndarray, y: np.ndarray, reg: float
) -> tuple[float, np.ndarray]:
    """A loss with the calling convention of `svm_loss_*` that is neither SVM nor softmax.

    The mean over examples of ½ ‖x W − t_y‖² + reg · sum(W²), with one target row t for each class.
    """
    residual = X @ W - targets[y]
    loss = 0.5 * np.sum(residual**2) / len(X) + reg * np.sum(W * W)
    return float(loss), X.T @ residual / len(X) + 2 * reg * W


PROBES: dict[str, tuple[tuple[str, ...], Callable[..., Any]]] = {
    "cubic": (("x",), cubic),
    "wave": (("x",), wave),
    "least_squares": (("W", "X", "y", "reg"), least_squares),
}

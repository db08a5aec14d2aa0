"""Functions as arguments, such as `f` in the exercise `numerical_gradient(f, x)`.

A case is data, so a function in it must be data, too: a probe is a name from the table below, and arrays of constants.
A probe records its calls, so that `train` is graded by what it does, not by one sequence of random numbers.  Behind the
wall there is no probe, nor this file: the student's process has only a stand-in that sends the arguments of each call
outside, so that the grader keeps the record.

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

from coursekit._typing import Array

from .codec import register

MAX_KEPT = 2**28  # bytes: an endless loop must not fill the memory of the process with the record


@dataclass(frozen=True)
class ProbeCall:
    """One call of a probe: copies of its arguments, by name, and its result."""

    arguments: dict[str, Any]
    result: Any


@dataclass
class Probe:
    """A function that is data: `name` from the table of probes, and its `constants`."""

    name: str
    constants: dict[str, Any] = field(default_factory=dict)
    calls: list[ProbeCall] = field(default_factory=list, compare=False, repr=False)
    kept: int = field(default=0, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.name not in PROBES:
            raise ValueError(f"there is no probe {self.name!r}; there are {', '.join(sorted(PROBES))}")

    @property
    def parameters(self) -> tuple[str, ...]:
        """Return the names of the arguments, in order."""
        return PROBES[self.name][0]

    def make(self) -> Probe:
        """Make the same function, with a record of its own."""
        return Probe(self.name, self.constants)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        arguments = dict(zip(self.parameters, args, strict=False)) | kwargs
        if len(args) > len(self.parameters) or set(arguments) != set(self.parameters):
            raise TypeError(
                f"this function takes {len(self.parameters)} arguments, ({', '.join(self.parameters)}); "
                f"it was called with {len(args)} by position and {sorted(kwargs)} by name"
            )
        # Copies: a training loop may change its weights in place after the call.
        kept = {
            key: np.array(value) if isinstance(value, np.ndarray | list | tuple) else value
            for key, value in arguments.items()
        }
        self.kept += sum(np.asarray(value).nbytes for value in kept.values())
        if self.kept > MAX_KEPT:
            raise RuntimeError("this function has been called too often: is there an endless loop?")
        result = PROBES[self.name][1](**self.constants, **kept)
        self.calls.append(ProbeCall(kept, result))
        return result


def cubic(a: Array, b: Array, c: Array, x: Array) -> float:
    """Return Σ(a x³ + b x² + c x): a central difference has an error of exactly a h²."""
    _require_shape("x", x, np.shape(a))
    return float(np.sum(a * x**3 + b * x**2 + c * x))


def wave(a: Array, x: Array) -> float:
    """Return sin(Σ a x): every partial derivative depends on all entries of x."""
    _require_shape("x", x, np.shape(a))
    return float(np.sin(np.sum(a * x)))


def least_squares(targets: Array, W: Array, X: Array, y: Array, reg: float) -> tuple[float, Array]:
    """Return a loss and its gradient as `svm_loss_*` does, but of neither the SVM nor the softmax loss.

    The mean over examples of ½ ‖x W − t_y‖² + reg · sum(W²), with one target row t for each class.
    """
    # The arguments come from another process: wrong shapes must not give a huge product.
    examples = np.shape(y)
    if len(examples) != 1 or np.ndim(X) != 2 or np.ndim(W) != 2:
        raise ValueError(
            f"W is (D, C), X_batch (B, D) and y_batch (B,); they came as {np.shape(W)}, {np.shape(X)} and {examples}"
        )
    _require_shape("X_batch", X, examples + np.shape(W)[:1])
    _require_shape("W", W, np.shape(W)[:1] + targets.shape[1:])
    _require_shape("reg", reg, ())
    residual = X @ W - targets[y]
    loss = 0.5 * np.sum(residual**2) / len(X) + reg * np.sum(W * W)
    return float(loss), X.T @ residual / len(X) + 2 * reg * W


def _require_shape(name: str, array: Any, shape: tuple[int, ...]) -> None:
    if np.shape(array) != shape:
        raise ValueError(f"{name} has to be of shape {shape}; it came as one of shape {np.shape(array)}")


def bowl(A: Array, b: Array, w: Array) -> tuple[float, Array]:
    """Return ½ wᵀAw − bᵀw and its gradient Aw − b, for a symmetric positive definite A; the minimum is at A⁻¹b."""
    _require_shape("w", w, np.shape(b))
    return float(0.5 * w @ A @ w - b @ w), A @ w - b


def logistic(X: Array, y: Array, w: Array) -> tuple[float, Array]:
    """Return the binary cross-entropy of σ(Xw), summed over the examples, and its gradient; y is 0 or 1."""
    _require_shape("w", w, np.shape(X)[1:])
    u = X @ w
    return float(np.sum(np.logaddexp(0, u) - y * u)), X.T @ (0.5 * (1 + np.tanh(u / 2)) - y)


PROBES: dict[str, tuple[tuple[str, ...], Callable[..., Any]]] = {
    "cubic": (("x",), cubic),
    "wave": (("x",), wave),
    "bowl": (("w",), bowl),
    "logistic": (("w",), logistic),
    "least_squares": (("W", "X", "y", "reg"), least_squares),
}

register("$probe", Probe, lambda probe: (probe.name, probe.constants))

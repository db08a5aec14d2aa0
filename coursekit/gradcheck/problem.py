"""The checker's problem: a function, a point, and the gradient that is claimed there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from coursekit._typing import Array
from coursekit.reporting import Finding

from .numeric import Scalar, number_or_array


@dataclass(frozen=True)
class OfDict:
    """f(x, *args) as a function of a dict of arrays; x is the dict, or the array called `single`."""

    f: Callable[..., Any]
    args: tuple[Any, ...]
    single: str | None

    def __call__(self, values: dict[str, Any]) -> Any:
        return self.f(values if self.single is None else values[self.single], *self.args)


@dataclass(frozen=True)
class Problem:
    """A function of a dict of arrays, a point, and the gradient that is claimed there."""

    function: Callable[[dict[str, Any]], Any]
    point: dict[str, Array]
    gradient: Any
    call: Callable[[dict[str, Any]], Any]
    single: str | None  # the name of x, if x is one array
    raw: Callable[..., Any]  # f as the caller passed it
    args: tuple[Any, ...]
    upstream: Any
    reg: float | None
    others: dict[str, Callable[[dict[str, Any]], Any]]
    rng: np.random.Generator


# --- The gradient that is claimed ------------------------------------------------------------------------


def claimed(problem: Problem, before: dict[str, Array]) -> tuple[dict[str, Array] | None, float | None, list[Finding]]:
    """Return the gradient as a dict of arrays, the loss returned with it, and findings about the gradient function."""
    findings: list[Finding] = []
    claim = problem.gradient
    if callable(claim):
        with np.errstate(all="ignore"):
            claim = _copied(problem.call(problem.point))
            findings += modified(problem, before, "The gradient function")
            again = _copied(problem.call(problem.point))
            modified(problem, before, "")
        if not _same_results(claim, again):
            text = "The gradient is random: it was another one when it was asked for twice at the same point."
            return None, None, [*findings, Finding("not-deterministic", text)]
    loss, claim = _without_loss(problem, claim)
    gradients = _by_name(problem, claim)
    if any(gradient is None for gradient in gradients.values()):
        return None, loss, [*findings, Finding("returned-none", "The gradient is None: is a `return` missing?")]
    return {key: _real_array(key, gradient) for key, gradient in gradients.items()}, loss, findings


def _without_loss(problem: Problem, claim: Any) -> tuple[float | None, Any]:
    """Split (loss, gradient); without a loss, return (None, gradient)."""
    pair = isinstance(claim, tuple) and len(claim) == 2
    if problem.gradient is problem.raw and not pair:
        raise TypeError(
            "without a gradient, f must return (loss, gradient): hand over the gradient too, or return both"
        )
    if pair and np.size(claim[1]) == 1 != np.size(claim[0]):
        raise TypeError("the gradient function returned (gradient, loss); the order is (loss, gradient)")
    if pair and not isinstance(claim[0], Mapping) and np.size(claim[0]) == 1:
        return float(np.asarray(claim[0]).reshape(())), claim[1]
    return None, claim


def _by_name(problem: Problem, claim: Any) -> dict[str, Any]:
    """Return the gradient of each parameter, unchanged."""
    if problem.single is not None and not isinstance(claim, Mapping):
        claim = {problem.single: claim}
    if not isinstance(claim, Mapping):
        raise TypeError(
            f"the gradient must be a dict with {', '.join(problem.point)}, as x is, not {type(claim).__name__}"
        )
    for key in problem.point:
        if key not in claim:
            raise ValueError(f"the gradient of {key!r} is missing; there are {', '.join(map(str, claim)) or 'none'}")
    return {key: claim[key] for key in problem.point}


def _real_array(key: str, gradient: Any) -> Array:
    array = np.asarray(getattr(gradient, "value", gradient))
    if array.dtype.kind not in "biuf":
        raise TypeError(f"the gradient d{key} is no array of real numbers, but {array.dtype}")
    return array


def _copied(given: Any) -> Any:
    if isinstance(given, Mapping):
        return {key: _copied(value) for key, value in given.items()}
    if isinstance(given, tuple):
        return tuple(map(_copied, given))
    return np.array(given) if isinstance(given, np.ndarray) else given


def _same_results(a: Any, b: Any) -> bool:
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and all(key in b and _same_results(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(_same_results, a, b))
    if a is None or b is None:
        return a is b
    a, b = (np.asarray(getattr(value, "value", value), dtype=float) for value in (a, b))
    if a.shape != b.shape:
        return False
    with np.errstate(invalid="ignore"):
        finite = np.abs(a[np.isfinite(a)])
        return bool(np.allclose(a, b, rtol=1e-9, atol=1e-9 * float(np.max(finite, initial=0)), equal_nan=True))


def same_value(a: float, b: float) -> bool:
    return bool(a == b or (np.isnan(a) and np.isnan(b)) or abs(a - b) <= 1e-12 * (abs(a) + abs(b)))


def modified(problem: Problem, before: dict[str, Array], who: str) -> list[Finding]:
    """Return a finding for each parameter that was changed, and restore it, so that the point stays the same."""
    changed = []
    for key, x in problem.point.items():
        if not np.array_equal(x, before[key]) and not np.array_equal(x, before[key], equal_nan=True):
            x[...] = before[key]
            text = f"{who} changes {key}, which it is handed: work on a copy ({key} = {key}.copy())."
            changed.append(Finding("input-modified", text))
    return changed


# --- The function in the precision in which it is measured --------------------------------------------------


@dataclass
class Exact:
    """The function, in the precision in which it is measured."""

    function: Callable[[dict[str, Any]], Any]
    point: dict[str, Array]
    upstream: Any

    def along(self, key: str) -> Callable[[Any], Any]:
        """Return the function of one parameter, which is moved in place."""
        return Scalar(lambda _: self.function(self.point), self.upstream, np.random.default_rng(0))


def measurable(problem: Problem, scalar: Scalar, value: float) -> Exact:
    """Return the function at a copy of the point, in float64 if it computes in it: float32 is too coarse.

    Where the function ignores its argument (``lambda _: net.loss(X, y)``), return it at the point itself.
    A copy is safer: the function may use the same array as data, which must not change.
    """
    as_it_is = Exact(problem.function, problem.point, scalar.upstream)
    rng = np.random.default_rng(5)
    for dtype in (np.float64, None):
        copy = Exact(
            problem.function, {k: x.astype(dtype or x.dtype) for k, x in problem.point.items()}, scalar.upstream
        )
        try:
            out = number_or_array(problem.function(copy.point))
            there = copy.along("")(None)
            for x in copy.point.values():
                x += 1e-3 * rng.standard_normal(x.shape) * (np.abs(x) + np.mean(np.abs(x)) if x.size else 1.0)
            felt = copy.along("")(None) != there
        except (TypeError, ValueError):
            continue
        double = out.dtype == np.float64 or dtype is None
        if felt and double and abs(there - value) <= 1e-3 * abs(value) + 1e-6:
            for key, x in copy.point.items():
                x[...] = problem.point[key]
            return copy
    return as_it_is

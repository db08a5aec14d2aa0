"""Tolerances, rounding in float32, and remarks on right gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from coursekit._typing import Array
from coursekit.reporting import Finding, Tolerance

from .numeric import Measured, restored
from .problem import Exact, Problem

TOLERANCE = Tolerance(relative=1e-5, of_largest=1e-6)
SINGLE = Tolerance(relative=1e-4, of_largest=2e-5)  # for float32


@dataclass(frozen=True)
class Precision:
    """The precision in which the gradients of a problem are compared.

    Attributes
    ----------
    single : bool
        Whether the point or a gradient is in float32.
    variation : float
        The change of a float32 function between 0, −x and 2x, on which its rounding error depends; else 0.
    """

    single: bool
    variation: float

    @property
    def tolerance(self) -> Tolerance:
        return SINGLE if self.single else TOLERANCE

    @property
    def of_mistakes(self) -> float:
        """The largest error of an exact explanation, relative to the norm of the gradient."""
        return SINGLE.relative if self.single else 1e-6

    def rounding_at(self, x: Array) -> float:
        """Return the rounding error of float32 in each entry of the gradient at x."""
        largest = float(np.max(np.abs(x), initial=0))
        return 64 * float(np.finfo(np.float32).eps) * self.variation / max(largest, 1.0)


def precision_of(problem: Problem, got: Mapping[str, Array], exact: Exact, value: float) -> Precision:
    """Return the precision in which the gradients `got` of `problem` are compared."""
    single = takes_float32(problem, got)
    return Precision(single, _variation(exact, value) if single else 0.0)


def takes_float32(problem: Problem, got: Mapping[str, Array]) -> bool:
    """Return whether the point or its gradient is in float32."""
    return any(array.dtype == np.float32 for array in (*problem.point.values(), *got.values()))


def _variation(exact: Exact, value: float) -> float:
    """Return the largest change of the function between x and 0, −x or 2x: its float32 digits are digits of that."""
    f = exact.along("")
    values = []
    with restored(*exact.point.values()) as kept:
        for times in (0.0, -1.0, 2.0):
            for x, before in zip(exact.point.values(), kept, strict=True):
                x[...] = times * before
            values.append(f(None))
    return max((abs(other - value) for other in values if np.isfinite(other)), default=0.0)


def relative_error(got: Array, measured: Measured) -> float:
    """Return ‖got − right‖ relative to the larger norm, without the rounding error of the numerical gradient.

    At a kink, any number between the two slopes is right.
    """
    if not got.size:
        return 0.0
    inside = np.clip(got.astype(float), measured.low, measured.high)
    off = float(np.linalg.norm(got - inside))
    if not np.isfinite(off):
        return np.inf
    scale = max(float(np.linalg.norm(got)), float(np.linalg.norm(measured.gradient)))
    if not scale:
        return 0.0
    return min(off / scale, 1e-9) if off <= np.linalg.norm(measured.slack) else off / scale


def remarks_on(key: str, got: Array, measured: Measured, single: bool) -> list[Finding]:
    """Return remarks on a right gradient: it is at a kink, or was not compared to the last digit."""
    remarks = []
    near = TOLERANCE.relative * np.abs(measured.gradient) + measured.slack
    there = measured.kinks & (np.abs(got - measured.gradient) > near)
    if there.any():
        text = (
            f"The function has a kink here (in {int(there.sum())} of {there.size} entries): it has no derivative, and "
            "every number between its slopes is as right as any other. The gradient is one of them."
        )
        remarks.append(Finding("kink", text, of=(key,)))
    norm, hidden = float(np.linalg.norm(measured.gradient)), float(np.linalg.norm(measured.slack))
    if hidden > 1e-3 * norm > 0 and np.any(got):
        text = (
            "The function's values are so large beside its gradient that rounding hides errors of "
            f"{100 * hidden / norm:.2g} %. Leave out what is constant in it."
        )
        remarks.append(Finding("imprecise", text, of=(key,)))
    if single and not measured.close(got.astype(float), TOLERANCE).all():
        text = "Right as far as float32 goes: it has 7 digits. For a sharper test use float64."
        remarks.append(Finding("float32", text, of=(key,)))
    return remarks


def is_rounded(got: Array, measured: Measured) -> bool:
    """Return whether `got` is the right gradient rounded to integers."""
    whole, right = got.astype(float), measured.gradient
    if np.array_equal(whole, right) or not (got.dtype.kind in "iu" or np.count_nonzero(whole) > 1):
        return False
    return any(np.array_equal(whole, rounded(right)) for rounded in (np.trunc, np.rint, np.floor))

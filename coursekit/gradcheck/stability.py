"""Random values, changed arguments and overflow: functions and gradients that cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from coursekit._typing import Array
from coursekit.reporting import Finding, entries_are

from .numeric import Scalar, restored
from .problem import Problem, modified, same_value
from .report import GradientReport

MAGNITUDES = (1e-6, 1e-4, 1e-3, 1e-2, 0.1)  # smaller points to try


def unsteady(
    problem: Problem, scalar: Scalar, before: dict[str, Array], findings: list[Finding]
) -> GradientReport | None:
    """Return the report if the function is random or not finite here, else None.

    A finding is added to `findings` if the function changes the point.
    """
    with np.errstate(all="ignore"):
        value = scalar(None)
        findings += modified(problem, before, "The function")
        again = scalar(None)
        modified(problem, before, "")
    if isinstance(value, complex):
        raise TypeError("f returned a complex number; a gradient is of a real one")
    if not same_value(value, again):
        text = f"The function is random: it gave {value!r} and then {again!r} for the same point. Fix its seed."
        return GradientReport(False, np.nan, (Finding("not-deterministic", text),))
    if not np.isfinite(value):
        text = f"The function itself is {value} here{_finite_below(problem, scalar)}; no gradient can be checked."
        return GradientReport(False, np.nan, (Finding("unstable", text),))
    return None


def _finite_below(problem: Problem, scalar: Scalar) -> str:
    """Say at which smaller point the function is finite."""
    with restored(*problem.point.values()) as kept:
        for scale in reversed(MAGNITUDES):
            for x, before in zip(problem.point.values(), kept, strict=True):
                x[...] = before * x.dtype.type(scale)
            if np.isfinite(scalar(None)):
                return f" (with entries {scale:g} times as large it is finite)"
    return ""


def overflowed(problem: Problem, key: str, infinite: Array, got: Array) -> Finding:
    """Return the finding on a gradient with `infinite` entries, although the function is finite."""
    largest = float(np.max(np.abs(problem.point[key]), initial=0))
    text = (
        f"{entries_are(infinite)} not finite (such as {got[infinite].ravel()[0]}), although "
        f"the function is: something overflows on the way. Here the entries of {key} go up to {largest:.3g}"
    )
    if callable(problem.gradient):
        finite = [scale for scale in MAGNITUDES if _gradient_is_finite(problem, key, scale)]
        if finite:
            text += f"; with {key} up to {largest * max(finite):.2g} it is finite"
    return Finding("unstable", text + ". Is an exponential taken before the maximum is subtracted?", 1.0, (key,))


def _gradient_is_finite(problem: Problem, key: str, scale: float) -> bool:
    point = {name: x.copy() for name, x in problem.point.items()}
    point[key] = point[key] * point[key].dtype.type(scale)
    result = problem.call(point)
    if isinstance(result, tuple):
        result = result[1]
    result = result[key] if isinstance(result, Mapping) else result
    return bool(np.isfinite(np.asarray(result, dtype=float)).all())

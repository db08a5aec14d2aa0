"""Gradients at a kink, where the function has no derivative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from coursekit._typing import Array
from coursekit.reporting import Finding

from .context import recorded
from .numeric import Scalar, restored
from .precision import TOLERANCE
from .problem import Problem, claimed
from .report import GradientReport

AT_KINK = Finding(
    "kink",
    "The function has several kinks at this point, and no derivative: there a gradient is a matter of choice. Close to "
    "the point, where there is one, it is right.",
)
NEIGHBOURS = 8


def right_beside(
    problem: Problem, scalar: Scalar, got: dict[str, Array], check: Callable[[Problem], GradientReport]
) -> bool:
    """Return whether `got` is acceptable at a kink.

    A gradient function must be right at a nearby point with a derivative, and `got` must lie between the gradients
    around.  An array must be the engine's choice.
    """
    if not callable(problem.gradient):
        record = recorded(problem, scalar)
        return record is not None and all(
            np.all(np.abs(got[key] - right) <= TOLERANCE.allowed(right)) for key, right in record.right.items()
        )
    around = _gradients_around(problem, scalar, got, check)
    return around is not None and all(_between(got[key], values) for key, values in around.items())


def _gradients_around(
    problem: Problem, scalar: Scalar, got: dict[str, Array], check: Callable[[Problem], GradientReport]
) -> dict[str, list[Array]] | None:
    """Return the gradients at some points nearby, or None if the first does not pass the check."""
    rng = np.random.default_rng(4)
    around: dict[str, list[Array]] = {key: [] for key in problem.point}
    with restored(*problem.point.values()) as kept:
        for k in range(NEIGHBOURS):
            for x, before in zip(problem.point.values(), kept, strict=True):
                typical = float(np.sqrt(np.mean(before**2))) if x.size else 0.0
                x[...] = before + (1e-2 * (typical or 1.0) * rng.standard_normal(x.shape)).astype(x.dtype)
            if k == 0:
                beside = check(replace(problem, upstream=scalar.upstream))
                if not beside.ok or AT_KINK in beside.findings:
                    return None
            there, _, _ = claimed(problem, {key: x.copy() for key, x in problem.point.items()})
            for key in problem.point:
                around[key].append((there or got)[key].astype(float))
    return around


def _between(got: Array, around: list[Array]) -> bool:
    low, high = np.min(around, axis=0), np.max(around, axis=0)
    width = high - low + 0.1 * (np.abs(low) + np.abs(high))  # a few neighbours do not show every slope
    return bool(np.all((got >= low - width - 1e-9) & (got <= high + width + 1e-9)))

"""Are cases well-conditioned: does what they hold stay when numbers change in their last bits?

Every processor adds in an order of its own, so the last bits of a result differ from machine to machine. Where
a case makes more of them, as an iteration with too large steps does, a release from another machine holds other
numbers, and a student's mistake is named on one machine and not on another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from coursekit.checks.cases import Case, Exercise, Expected
from coursekit.checks.probes import Probe
from coursekit.checks.shipped import ShippedCode
from coursekit.checks.values import TOLERANCE, tolerance_of

from . import cases
from .errors import Refused
from .spec import Assignment

LAST_BITS = 1 + 2.0**-51
SHARE = 0.01  # of the tolerance, by which a result may move


def require_steady(assignment: Assignment, exercises: tuple[Exercise, ...]) -> None:
    """Make the public `exercises` again from numbers that differ in their last bits, and compare.

    Raises
    ------
    Refused
        If a right result, or that of a known mistake, moves by more than a hundredth of its tolerance. The
        message names the exercise, the case and the mistake of each.
    """
    moved: list[str] = []
    for one in exercises:
        rng = Nudged(cases.public_generator(assignment, one.name).bit_generator)
        moved += _moved(one, assignment.make(one.name, rng, change=nudged))
    if moved:
        raise Refused(
            f"{assignment.name}: results that depend on the last bits of the arguments, and so on the processor:\n  - "
            + "\n  - ".join(moved)
            + "\nLet iterations be shorter or their steps smaller, keep away from kinks, or leave out the mistake."
        )


def nudged(value: Any) -> Any:
    """Change the float64 numbers in `value` in their last bits; equal ones stay equal, and zero stays zero."""
    match value:
        case float():
            return value * LAST_BITS
        case np.ndarray() if value.dtype == np.float64:
            return np.asarray(value * LAST_BITS)
        case dict():
            return {name: nudged(one) for name, one in value.items()}
        case list():
            return [nudged(one) for one in value]
        case tuple():
            return tuple(nudged(one) for one in value)
        case Probe() | ShippedCode():
            return replace(value, constants=nudged(value.constants))
        case Case():
            return replace(
                value,
                steps=tuple(replace(one, args=nudged(one.args), kwargs=nudged(one.kwargs)) for one in value.steps),
            )
    return value


class Nudged(np.random.Generator):
    """A generator whose floating-point numbers differ from those of its bits in their last bits."""


def _nudging(draw: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: nudged(draw(*args, **kwargs))


for _name, _draw in vars(np.random.Generator).items():
    if callable(_draw) and not _name.startswith("_"):
        setattr(Nudged, _name, _nudging(_draw))


# -- what has moved -------------------------------------------------------------------------------


def _moved(one: Exercise, again: Exercise) -> Iterator[str]:
    """What is different in an exercise that was made again, a line for each."""
    if [len(each.steps) for each in one.cases] != [len(each.steps) for each in again.cases]:
        yield f"{one.name}: which cases are drawn"
        return
    for case, other in zip(one.cases, again.cases, strict=True):
        for step, same in zip(case.steps, other.steps, strict=True):
            for item, now in zip(step.expected, same.expected, strict=True):
                for what, share in _shares(item, now):
                    if not share <= SHARE:
                        by = f"moves by {share:.2g} times the tolerance" if math.isfinite(share) else "changes"
                        yield f"{one.name}, case {case.title!r}: {what} {by}"


def _shares(item: Expected, now: Expected) -> Iterator[tuple[str, float]]:
    """How far the right result and those of known mistakes have moved, as shares of the tolerance."""
    tolerance = tolerance_of(item.options) if item.compare == "close" else TOLERANCE
    yield f"the right {item.name}", _share(item.value, now.value, tolerance.allowed)
    for code in {**item.mistakes, **now.mistakes}:
        what = f"{item.name} as the mistake {code!r} gives it"
        if code in item.mistakes and code in now.mistakes:
            yield what, _share(item.mistakes[code], now.mistakes[code], TOLERANCE.allowed)
        else:  # it is told from the right result on one side only
            yield what, math.inf


def _share(one: Any, now: Any, allowed: Callable[[np.ndarray], np.ndarray]) -> float:
    match one, now:
        case dict(), dict() if one.keys() == now.keys():
            return max((_share(one[key], now[key], allowed) for key in one), default=0.0)
        case ((list() | tuple()), (list() | tuple())) if len(one) == len(now):
            return max((_share(a, b, allowed) for a, b in zip(one, now, strict=True)), default=0.0)
    a, b = np.asarray(one), np.asarray(now)
    if a.dtype.kind not in "biufc" or b.dtype.kind not in "biufc":
        return 0.0 if one == now else math.inf
    if a.shape != b.shape:
        return math.inf
    with np.errstate(all="ignore"):
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        shares = np.where(same, 0.0, np.abs(np.subtract(a, b, dtype=np.result_type(a, b, float))) / allowed(a))
    return math.inf if np.isnan(shares).any() else float(np.max(shares, initial=0.0))

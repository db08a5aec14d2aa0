"""The comparison along random directions: a few evaluations for any number of parameters."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from coursekit._typing import Array
from coursekit.reporting import Finding

from .context import recorded
from .diagnose import Wrong, explain
from .kinks import AT_KINK, right_beside
from .known_losses import as_known_loss
from .numeric import SMALLER, Scalar
from .precision import TOLERANCE, takes_float32
from .problem import Problem, measurable
from .report import GradientReport, ParameterReport
from .stability import unsteady

ENOUGH = 1e-6  # an error below which no smaller step is tried


def compare_along(
    problem: Problem,
    scalar: Scalar,
    got: dict[str, Array],
    findings: list[Finding],
    directions: int,
    before: dict[str, Array],
    check: Callable[[Problem], GradientReport],
) -> GradientReport:
    """Compare the gradients `got` with the slopes of the function along random directions.

    The arguments are those of `entrywise.compare`; `before` is a copy of the point.
    """
    for key, x in problem.point.items():
        if got[key].shape != x.shape:
            text = f"The gradient has shape {got[key].shape} and the parameter {x.shape}: they must be the same."
            claims = dict.fromkeys([*findings, Finding("wrong-shape", text, of=(key,))])
            return GradientReport(False, 1.0, tuple(claims), (ParameterReport(key, x.shape, None, got[key]),))
    error_in = _errors(problem, scalar, got, directions)
    tolerance = 1e-3 if takes_float32(problem, got) else 1e-6
    together, at_kink = error_in(list(problem.point))
    errors = dict.fromkeys(problem.point, together)
    off: list[str] = []
    if not together <= tolerance:
        if trouble := unsteady(problem, scalar, before, findings):
            return trouble
        if at_kink and right_beside(problem, scalar, got, check):
            return GradientReport(True, 0.0, (*findings, AT_KINK))
        errors = {key: error_in([key])[0] for key in problem.point}
        off = [key for key, error in errors.items() if not error <= tolerance]
        off = off or [max(errors, key=lambda key: errors[key])]
    compared, wrongs = _beside_the_engine(problem, scalar, got, errors, off)
    findings += explain(problem, scalar, wrongs)
    named = {key for finding in findings for key in finding.of}
    text = f"Along {directions} random directions its slope is not that of the function; why, is not clear."
    findings += [Finding("unknown", text, of=(key,)) for key in off if key not in named]
    ok = not off and not findings
    return GradientReport(ok, max(errors.values(), default=0.0), tuple(dict.fromkeys(findings)), tuple(compared))


def _errors(
    problem: Problem, scalar: Scalar, got: dict[str, Array], directions: int
) -> Callable[[list[str]], tuple[float, bool]]:
    """Return a function of names that measures the error of these parameters' gradients together."""
    point = problem.point
    f: Callable[[], float] = lambda: scalar(None)  # noqa: E731
    value = functools.cache(f)
    if any(x.dtype != np.float64 for x in point.values()):
        exact = measurable(problem, scalar, value())
        point, along = exact.point, exact.along("")
        f = lambda: along(None)  # noqa: E731

    def error_in(keys: list[str]) -> tuple[float, bool]:
        return error_along(f, value, [point[key] for key in keys], [got[key] for key in keys], directions, problem.rng)

    return error_in


def _beside_the_engine(
    problem: Problem, scalar: Scalar, got: dict[str, Array], errors: dict[str, float], off: list[str]
) -> tuple[list[ParameterReport], list[Wrong]]:
    """Return reports on the parameters, and the wrong gradients beside those of the engine, where it has them."""
    record = recorded(as_known_loss(problem, scalar), scalar) if off else None
    compared, wrongs = [], []
    for key, x in problem.point.items():
        if record is None or key not in off:
            compared.append(ParameterReport(key, x.shape, np.full(x.shape, key in off), error=errors[key]))
            continue
        right = record.right[key]
        wrong = np.abs(got[key] - right) > TOLERANCE.allowed(right)
        wrongs.append(Wrong(key, x.astype(float), got[key].astype(float), right, np.isfinite(right)))
        compared.append(ParameterReport(key, x.shape, wrong, got[key], right, errors[key]))
    return compared, wrongs


# --- The error along directions ------------------------------------------------------------------------------


def error_along(
    f: Callable[[], float],
    value: Callable[[], float],
    points: Sequence[Array],
    gradients: Sequence[Array],
    directions: int,
    rng: np.random.Generator,
) -> tuple[float, bool]:
    """Return the largest difference between the slopes of a function and of its gradient, relative to a slope's size.

    Parameters
    ----------
    f : callable
        The function of `points`, which are moved in place and restored.
    value : callable
        The value at the points; called only where slopes do not agree.
    points, gradients : arrays
    directions : int
        A direction has a random sign for each entry.  It is shorter in an array with a larger gradient, so that each
        array has the same share in the slope, and the same chance to show a mistake.
    rng : numpy.random.Generator

    Returns
    -------
    error : float
    at_kink : bool
        Whether the slopes on the left and right of the point differ for any step.
    """
    pairs = [(x, g) for x, g in zip(points, gradients, strict=True) if x.size]
    if not pairs:
        return 0.0, False
    xs, eps = [x for x, _ in pairs], max(float(np.finfo(x.dtype).eps) for x, _ in pairs)
    lengths, usual = _lengths(pairs, eps)
    line = _Line(f, value, xs, [x.copy() for x in xs], eps)
    worst, at_kink = 0.0, False
    for _ in range(directions):
        moves = [_signs(rng, x.shape, length) for x, length in zip(xs, lengths, strict=True)]
        claimed = sum(float(np.vdot(g, move)) for (_, g), move in zip(pairs, moves, strict=True))
        error, kink = line.error(moves, claimed, max(abs(claimed), usual))
        worst = worst if error <= worst else error  # keeps a nan
        at_kink |= kink
    return worst, at_kink


def _lengths(pairs: Sequence[tuple[Array, Array]], eps: float) -> tuple[list[float], float]:
    """Return how far to move the entries of each array, and the usual change of the function by it."""
    sizes = [float(np.linalg.norm(g)) for _, g in pairs]
    scale = max(float(np.linalg.norm(x)) / math.sqrt(x.size) for x, _ in pairs)
    step = eps ** (1 / 3) * max(1.0, scale)
    shares = [min(max(sizes) / size, 100.0) if size else 100.0 for size in sizes]
    lengths = [step * share / math.sqrt(x.size) for share, (x, _) in zip(shares, pairs, strict=True)]
    return lengths, max(1e-12 * step, *(size * length for size, length in zip(sizes, lengths, strict=True)))


@dataclass
class _Line:
    """A function of the arrays `xs`, which are moved along a line and restored from `kept`."""

    f: Callable[[], float]
    value: Callable[[], float]
    xs: list[Array]
    kept: list[Array]
    eps: float

    def error(self, moves: list[Array], claimed: float, typical: float) -> tuple[float, bool]:
        """Return the error of the `claimed` slope relative to a `typical` one, and whether there is a kink."""
        for smaller in (1.0, *SMALLER):
            if smaller < 1:
                moves = [0.1 * move for move in moves]
            above, below = self._both_sides(moves)
            rounding = 8 * self.eps * abs(above) / smaller
            error = max(abs((above - below) / (2 * smaller) - claimed) - rounding, 0.0) / typical
            if error <= ENOUGH:
                return error, False
            right, left = (above - self.value()) / smaller, (self.value() - below) / smaller
            if not abs(right - left) > 1e-4 * typical + 2 * rounding:
                return error, False  # no kink in between; a kink may vanish with a smaller step
        between = min(left, right) - rounding <= claimed <= max(left, right) + rounding
        return 0.0 if between else error, True

    def _both_sides(self, moves: list[Array]) -> tuple[float, float]:
        try:
            for x, move in zip(self.xs, moves, strict=True):
                x += move
            above = self.f()
            for x, before, move in zip(self.xs, self.kept, moves, strict=True):
                np.subtract(before, move, out=x)
            return above, self.f()
        finally:
            for x, before in zip(self.xs, self.kept, strict=True):
                x[...] = before


def _signs(rng: np.random.Generator, shape: tuple[int, ...], length: float) -> Array:
    """Return an array of ±`length`, from one random bit per entry."""
    count = math.prod(shape)
    bits = np.unpackbits(np.frombuffer(rng.bytes(count // 8 + 1), np.uint8), count=count)
    signs = bits * (2 * length)
    signs -= length
    return signs.reshape(shape)

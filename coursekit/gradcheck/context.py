"""The context of a gradient: the function's recording, array sizes, regulariser and labels."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import CellType, FunctionType
from typing import Any

import numpy as np

from coursekit._typing import Array
from coursekit.reporting import Finding

from .numeric import Scalar, best_step, measure, slope
from .problem import Exact, OfDict, Problem
from .recording import Recording


@dataclass
class Context:
    """What is known about a function besides its values.

    Attributes
    ----------
    record : Recording or None
        None if the engine cannot record the function.
    sizes : dict
        Sizes of arrays, and what they count: ``{20: "20 is the number of rows of X"}``.
    penalties : dict
        The gradient of the regulariser by parameter, where it is known without a recording.
    points : dict
        The values of the parameters.
    variants : list of (Finding, dict, dict)
        Gradients of other functions that a student may have differentiated, without and of the regulariser.
    """

    record: Recording | None = None
    sizes: dict[int, str] = field(default_factory=dict)
    penalties: dict[str, Array] = field(default_factory=dict)
    points: dict[str, Array] = field(default_factory=dict)
    variants: list[tuple[Finding, dict[str, Array], dict[str, Array]]] = field(default_factory=list)


def recorded(problem: Problem, scalar: Scalar) -> Recording | None:
    """Return the engine's recording of the function, if there is one and it agrees with the measured slopes."""
    return _record(problem.function, problem, scalar)


def _record(function: Callable[[dict[str, Any]], Any], problem: Problem, scalar: Scalar) -> Recording | None:
    try:
        record = Recording(function, problem.point, scalar.upstream)
    except Exception:  # any code may meet tensors here: whatever it raises, it cannot be recorded
        return None
    x = {key: value.copy() for key, value in problem.point.items()}
    if function is not problem.function:
        return record
    f = Scalar(lambda _: function(x), scalar.upstream, np.random.default_rng(0))
    for key in x:
        if x[key].dtype != np.float64 or not x[key].size:
            continue
        v = np.random.default_rng(3).standard_normal(x[key].shape)
        step, slack = best_step(f, x[key], f(None))
        length = float(np.linalg.norm(v))
        expected = slope(f, x[key], v, step / length)
        found = float(np.sum(record.right[key] * v))
        if abs(found - expected) > 1e-3 * (abs(found) + abs(expected)) + length * (slack + 1e-6):
            return None  # for example a stop_gradient: the engine does not see everything
    return record


def parameter_names(function: Callable[..., Any], count: int) -> list[str]:
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        names = []
    return [names[i] if i < len(names) else f"input {i}" for i in range(count)]


def sizes_in(problem: Problem) -> dict[int, str]:
    """Return the lengths of all arrays in sight, and what they count."""
    sizes: dict[int, str] = {}
    for key, array in [*arrays_in_sight(problem.raw, problem.args), *problem.point.items()]:
        for axis, n in enumerate(np.shape(array)):
            if n > 2:
                sizes.setdefault(n, f"{n} is {_counted(np.ndim(array), axis)} of {key}")
    if problem.upstream is not None:
        for n in np.shape(problem.upstream):
            if n > 2:
                sizes.setdefault(n, f"{n} is a length of the result")
    return sizes


def _counted(ndim: int, axis: int) -> str:
    """Return what the length of an axis counts."""
    if ndim > 2:
        return f"axis {axis}"
    return f"the number of {('rows', 'columns')[axis] if ndim == 2 else 'entries'}"


def penalties_of(problem: Problem, scalar: Scalar) -> dict[str, Array]:
    """Return the gradients of reg·ΣW² where f cannot be recorded; reg is known, or measured by the growth of f."""
    found = {}
    for key, x in problem.point.items():
        reg = problem.reg if problem.reg is not None else _strength(scalar, x)
        if reg and x.ndim > 1:
            found[key] = 2 * reg * x.astype(float)
    return found


def _strength(f: Scalar, x: Array) -> float | None:
    """Return reg, if f grows like reg·Σx² for large x, where a loss grows only linearly; else None."""
    kept = x.copy()
    square = float(np.sum(kept * kept))
    found = []
    try:
        for t in (1e3, 1e4):
            values = []
            for times in (1, 2, 3):
                x[...] = kept * x.dtype.type(times * t)
                values.append(f(None))
            found.append((values[2] - 2 * values[1] + values[0]) / (2 * t * t * square) if square else np.nan)
    finally:
        x[...] = kept
    agree = np.all(np.isfinite(found)) and found[0] > 0 and abs(found[1] / found[0] - 1) < 1e-3
    return float(found[1]) if agree else None


def variants_of(
    problem: Problem, scalar: Scalar, record: Recording | None
) -> list[tuple[Finding, dict[str, Array], dict[str, Array]]]:
    """Return the gradients of other functions: f with shifted labels, and those that the caller names."""
    variants = []
    lengths = {n for x in problem.point.values() for n in x.shape}
    if problem.gradient is not problem.raw or record is not None:
        for f, args in label_shifted(problem.raw, problem.args, lengths):
            shifted = _record(OfDict(f, args, problem.single), problem, scalar)
            if shifted is not None:
                text = "The labels are off by one: they count from 0, so y[i] is the column of the correct class."
                variants.append((Finding("label-shift", text), shifted.data, shifted.penalty))
    for name, function in problem.others.items():
        other = _record(function, problem, scalar)
        claim = Finding("not-a-gradient-of-this-function", f"This is the gradient of another function: {name}.")
        if other is not None:
            variants.append((claim, other.data, other.penalty))
        else:
            exact = Exact(function, {k: x.copy() for k, x in problem.point.items()}, scalar.upstream)
            measured = {k: measure(exact.along(k), x).gradient for k, x in exact.point.items()}
            variants.append((claim, measured, {}))
    return variants


# --- The same function with other labels -----------------------------------------------------------------


def label_shifted(
    f: Callable[..., Any], args: tuple[Any, ...], classes: set[int]
) -> Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]:
    """Yield f and its further arguments with the labels off by one, wherever f takes them from."""
    for _, labels in arrays_in_sight(f, args):
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or not labels.size or labels.min() < 0:
            continue
        for count in sorted(n for n in classes | {int(labels.max()) + 1} if n > labels.max()):
            for by in (-1, 1):
                shifted = (labels + by) % count
                if not np.array_equal(shifted, labels):
                    yield _with_other(f, labels, shifted), tuple(_swapped(arg, labels, shifted) for arg in args)


def arrays_in_sight(f: Any, args: tuple[Any, ...]) -> list[tuple[str, Array]]:
    """Return the arrays that f computes with: in its further arguments, closure and globals, also inside dicts."""
    found = list(zip(parameter_names(f, len(args) + 1)[1:], args, strict=True))
    if isinstance(f, functools.partial):
        found += [("a fixed argument", value) for value in f.args] + list(f.keywords.items())
        f = f.func
    if isinstance(f, FunctionType):
        names = inspect.getclosurevars(f)
        found += [*names.nonlocals.items(), *names.globals.items()]
    for name, value in list(found):
        if isinstance(value, dict | list | tuple) and len(value) <= MANY:
            found += value.items() if isinstance(value, dict) else [(f"{name}[{i}]", x) for i, x in enumerate(value)]
    return [(str(name), value) for name, value in found if isinstance(value, np.ndarray)]


MANY = 50  # entries of a dict or list; a longer one is not searched


def _swapped(item: Any, old: Array, new: Array) -> Any:
    """Return `item` with `new` in place of `old`: itself, or in a copy of a dict or list."""
    if isinstance(item, dict) and len(item) <= MANY:
        return {key: new if part is old else part for key, part in item.items()}
    if isinstance(item, list | tuple) and len(item) <= MANY:
        return [new if part is old else part for part in item]
    return new if item is old else item


def _with_other(f: Any, old: Array, new: Array) -> Any:
    """Return a copy of f that finds `new` wherever f finds `old`."""
    if isinstance(f, functools.partial):
        args, keywords = (_swapped(part, old, new) for part in (list(f.args), f.keywords))
        return functools.partial(_with_other(f.func, old, new), *args, **keywords)
    if not isinstance(f, FunctionType):
        return f
    names = {name: _swapped(value, old, new) for name, value in inspect.getclosurevars(f).globals.items()}
    cells = None if f.__closure__ is None else tuple(_cell(cell, old, new) for cell in f.__closure__)
    other = FunctionType(f.__code__, f.__globals__ | names, f.__name__, f.__defaults__, cells)
    other.__kwdefaults__ = f.__kwdefaults__
    return other


def _cell(cell: CellType, old: Array, new: Array) -> CellType:
    try:
        return CellType(_swapped(cell.cell_contents, old, new))
    except ValueError:  # not assigned yet
        return cell

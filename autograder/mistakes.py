"""Mistakes as data: what a student's mistake would give, computed from the right results and the arguments.

A `checks.py` lists the mistakes of each exercise, and the feedback names the one that explains a wrong result.
Here is what serves any course. :class:`Stepwise` makes mistakes by exchanging steps of a reference. The functions
after it make those that happen to any gradient: a flipped sign, a missing factor, a transposed matrix.

Mistakes are counted by their code. Variants of one mistake have the same code with a slash and one word more.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .errors import Refused
from .spec import Mistake, Results

Steps = Mapping[str, Callable[..., Any]]


class Stepwise:
    """A reference whose steps can be exchanged: a mistake is the same calculation with some steps done otherwise.

    Parameters
    ----------
    reference : dict, callable or type
        A dict of functions, for a calculation without loops: they run in order, and each gets the arguments and the
        earlier steps that its parameters are named after; ``**values`` gets all of them. Or a function, whose steps
        are its keyword parameters. Or a class, whose steps are its methods.
    *results : str
        What the steps of a dict, or the function, return: the names of the results.
    runs : str
        In place of `results`: the student's function or class that the mistaken one stands in for.

    Examples
    --------
    >>> steps = {"z": lambda w, x: w * x, "h": lambda z: max(0, z), "dw": lambda z, x: (z > 0) * x}
    >>> neuron = Stepwise(steps, "h", "dw")
    >>> neuron(w=2, x=3)
    {'h': 6, 'dw': 3}
    >>> mistake = neuron.mistake("mask-missing", "The mask is missing.", dw=lambda x: x)
    >>> mistake.gives({}, {"w": -2, "x": 3})
    {'h': 0, 'dw': 3}
    """

    def __init__(self, reference: Steps | Callable[..., Any], *results: str, runs: str = "") -> None:
        self.reference, self.results, self.runs = reference, results, runs

    def __call__(self, **args: Any) -> Results:
        """Return the right results by name."""
        return self._results(self.reference, args)

    def changed(self, **steps: Any) -> Any:
        """Return the reference with some `steps` replaced.

        Raises
        ------
        Refused
            If the reference has no such step.
        """
        reference = self.reference
        if unknown := [step for step in steps if not _has(reference, step)]:
            raise Refused(f"the reference of {self.runs or ', '.join(self.results)} has no step {unknown[0]!r}")
        if isinstance(reference, Mapping):
            return {**reference, **steps}
        if isinstance(reference, type):
            methods = {name: _bound(reference, name, step) for name, step in steps.items()}
            return type(reference.__name__, (reference,), methods)
        return functools.partial(reference, **steps)

    def mistake(self, code: str, message: str, **steps: Any) -> Mistake:
        """Return the mistake of doing some `steps` otherwise, with all that follows from them."""
        return self.instead(code, message, self.changed(**steps))

    def instead(self, code: str, message: str, other: Any) -> Mistake:
        """Return the mistake of doing the `other` in place of the whole reference."""
        if self.runs:
            return Mistake(code, message, runs={self.runs: other})
        return Mistake(code, message, lambda right, args: self._results(other, args))

    def _results(self, reference: Any, args: Results) -> Results:
        if isinstance(reference, Mapping):
            values = dict(args)
            for name, step in reference.items():
                values[name] = step(**_wanted(step, values))
            return {name: values[name] for name in self.results}
        returned = reference(*args.values())
        return dict(zip(self.results, returned if len(self.results) > 1 else (returned,), strict=True))


def parameters(step: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the values that a step needs: its parameters without a default."""
    needed = (one for one in _signature(step).values() if one.default is one.empty)
    return tuple(one.name for one in needed if one.kind is not one.VAR_KEYWORD)


# -- other formulas, other arguments -----------------------------------------------------------

Change = Callable[[np.ndarray], Any]

REORDERINGS: dict[str, Change] = {
    "rows": lambda g: g[::-1],
    "columns": lambda g: g[:, ::-1],
    "rolled": lambda g: np.roll(g, 1, axis=0),
    "order": lambda g: g.ravel(order="F").reshape(g.shape),
}
"""Right entries in wrong places: reversed, shifted by one, or read column by column (of a square: transposed)."""

SHAPES: dict[str, Change] = {
    "row": lambda g: g.reshape(1, -1),
    "column": lambda g: g.reshape(-1, 1),
    "flat": np.ravel,
    "deeper": lambda g: g[..., None],
    "number": np.sum,
}


def changed(code: str, message: str, change: Change, *names: str) -> Mistake:
    """Put ``change(value)`` in place of each of the results `names`."""
    return Mistake(code, message, lambda right, args: {name: change(right[name]) for name in names})


def instead(code: str, message: str, formula: Callable[..., Any], *names: str) -> Mistake:
    """Put ``formula(*args)`` in place of the results `names`: one value for one name, a tuple for several."""

    def gives(right: Results, args: Results) -> Results:
        values = formula(*args.values())
        return dict(zip(names, values if len(names) > 1 else (values,), strict=True))

    return Mistake(code, message, gives)


def instead_of(*names: str) -> Callable[[str, str, Callable[..., Any]], Mistake]:
    """Return :func:`instead` for the results `names`, to be used many times."""
    return lambda code, message, formula: instead(code, message, formula, *names)


def adapted(mistakes: Iterable[Mistake], arguments: Callable[[Results], Results]) -> tuple[Mistake, ...]:
    """Reuse `mistakes` in an exercise with other arguments: ``arguments(args)`` gives those that the formulas take."""

    def one(mistake: Mistake) -> Mistake:
        original = mistake.gives
        assert original is not None
        return Mistake(mistake.code, mistake.message, lambda right, args: original(right, arguments(args)))

    return tuple(one(mistake) for mistake in mistakes)


def misled(
    code: str, message: str, gradient: Callable[..., Results], other: Callable[[Results], Results], *names: str
) -> Mistake:
    """Compute the results `names` (all if there are none) with the right `gradient` from other arguments.

    ``other(args)`` holds the arguments that differ.
    """

    def gives(right: Results, args: Results) -> Results:
        results = gradient(**{**args, **other(args)})
        return {name: results[name] for name in names or results}

    return Mistake(code, message, gives)


def exchanged(code: str, message: str, first: str, second: str) -> Mistake:
    """Return the results `first` and `second` in each other's place."""
    return Mistake(code, message, lambda right, args: {first: right[second], second: right[first]})


# -- what goes wrong with any gradient ------------------------------------------------------------


def sign(*names: str, form: str = "") -> Mistake:
    """Flip the sign of the results `names`."""
    return changed(
        _code("sign", form), "The sign is flipped: this is the negative of the gradient.", lambda g: -g, *names
    )


def zero(*names: str) -> Mistake:
    """Leave the results `names` at zero."""
    message = "The gradient is all zeros: it is made, but nothing is ever added to it."
    return changed("gradient-zero", message, np.zeros_like, *names)


def scaled(form: str, by: float | Callable[[Results], float], *names: str) -> Mistake:
    """Multiply the results `names` by a factor: a number, or ``by(args)``."""

    def gives(right: Results, args: Results) -> Results:
        factor = by(args) if callable(by) else by
        return {name: factor * right[name] for name in names}

    return Mistake(
        f"scale/{form}", "The gradient has the right direction and the wrong length: a factor is off.", gives
    )


def transposed(*names: str) -> Mistake:
    """Transpose the results `names`. The shape of a square matrix does not show it."""
    message = "The gradient is transposed: it has the shape of what it is the gradient of, entry by entry."
    return changed(f"transposed/{'-'.join(names)}", message, np.transpose, *names)


def permuted(form: str, *names: str) -> Mistake:
    """Put the entries of the results `names` in one of the wrong orders of `REORDERINGS`."""
    message = "All entries of the gradient are there, but in the wrong places."
    return changed(f"permuted/{form}", message, REORDERINGS[form], *names)


def misshapen(form: str, *names: str) -> Mistake:
    """Give the results `names` one of the wrong `SHAPES`."""
    message = "A gradient has the shape of what it is the gradient of; this one has another."
    return changed(f"wrong-shape/{'-'.join((form, *names))}", message, SHAPES[form], *names)


def whole_numbers(*names: str) -> Mistake:
    """Truncate the results `names` to integers, as assigning them to an integer array does."""
    message = "The gradient is kept in an array of integers, which drops what stands behind the point."
    return changed("integer-input", message, lambda g: np.trunc(g).astype(int), *names)


def upstream_ones(gradient: Callable[..., Results], *names: str) -> Mistake:
    """Compute the results `names` of a layer's `gradient` as if the upstream gradient were all ones."""
    return misled(
        f"upstream-ignored/{'-'.join(names)}",
        "The upstream gradient `dout` does not come in: multiply the local gradient by it.",
        gradient,
        lambda args: {"dout": np.ones_like(args["dout"])},
        *names,
    )


def unsummed(name: str, rows: Callable[[Results], np.ndarray]) -> tuple[Mistake, ...]:
    """Leave out the sum over ``rows(args)`` (N, M) in the gradient `name` of a bias (M,).

    Three mistakes: the rows as they are, the first one, the last one.
    """
    message = "A bias is used by every example, so its gradient is a sum over the examples."
    picks: dict[str, Change] = {"each": lambda g: g, "first": lambda g: g[0], "last": lambda g: g[-1]}

    def one(form: str, pick: Change) -> Mistake:
        return Mistake(f"batch-not-summed/{form}-{name}", message, lambda right, args: {name: pick(rows(args))})

    return tuple(one(form, pick) for form, pick in picks.items())


def _wanted(step: Callable[..., Any], values: Results) -> Results:
    """Pick those of `values` that a step is called with."""
    if any(one.kind is one.VAR_KEYWORD for one in _signature(step).values()):
        return values
    return {name: values[name] for name in parameters(step)}


@functools.lru_cache(maxsize=1024)
def _signature(step: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(step).parameters


def _has(reference: Any, step: str) -> bool:
    if isinstance(reference, Mapping):
        return step in reference
    return hasattr(reference, step) if isinstance(reference, type) else step in _signature(reference)


def _bound(owner: type, name: str, step: Any) -> Any:
    """Make `step` a static or class method if the method that it replaces is one."""
    kind = type(inspect.getattr_static(owner, name))
    return kind(step) if kind in (staticmethod, classmethod) else step


def _code(head: str, form: str) -> str:
    return f"{head}/{form}" if form else head

"""What goes wrong with any gradient, whatever it is a gradient of.

A code is what mistakes are counted by; where a subject has several of one code, a slash and a `form` follow it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..spec import Mistake, Results

Change = Callable[[np.ndarray], Any]

REORDERINGS: dict[str, Change] = {
    "rows": lambda g: g[::-1],
    "columns": lambda g: g[:, ::-1],
    "rolled": lambda g: np.roll(g, 1, axis=0),
    "order": lambda g: g.ravel(order="F").reshape(g.shape),
}
"""Right entries in wrong places: reversed, one further on, or read column by column. The last transposes a square."""

SHAPES: dict[str, Change] = {
    "row": lambda g: g.reshape(1, -1),
    "column": lambda g: g.reshape(-1, 1),
    "flat": np.ravel,
    "deeper": lambda g: g[..., None],
    "number": np.sum,
}


def changed(code: str, message: str, change: Change, *names: str) -> Mistake:
    """`change(value)` in place of each of the results `names`."""
    return Mistake(code, message, lambda right, args: {name: change(right[name]) for name in names})


def instead(code: str, message: str, formula: Callable[..., Any], *names: str) -> Mistake:
    """`formula(*args)` in place of the results `names`: a number or array for one, a tuple for several."""

    def gives(right: Results, args: Results) -> Results:
        values = formula(*args.values())
        return dict(zip(names, values if len(names) > 1 else (values,), strict=True))

    return Mistake(code, message, gives)


def instead_of(*names: str) -> Callable[[str, str, Callable[..., Any]], Mistake]:
    """:func:`instead` where many formulas stand in place of the same results `names`."""
    return lambda code, message, formula: instead(code, message, formula, *names)


def adapted(mistakes: Iterable[Mistake], arguments: Callable[[Results], Results]) -> tuple[Mistake, ...]:
    """`mistakes` for an exercise with other arguments: ``arguments(args)`` are those that the formulas take."""

    def one(mistake: Mistake) -> Mistake:
        original = mistake.gives
        assert original is not None
        return Mistake(mistake.code, mistake.message, lambda right, args: original(right, arguments(args)))

    return tuple(one(mistake) for mistake in mistakes)


def misled(
    code: str, message: str, gradient: Callable[..., Results], other: Callable[[Results], Results], *names: str
) -> Mistake:
    """The results `names` (without any: all) of the right `gradient`, for the arguments that `other(args)` changes."""

    def gives(right: Results, args: Results) -> Results:
        results = gradient(**{**args, **other(args)})
        return {name: results[name] for name in names or results}

    return Mistake(code, message, gives)


def sign(*names: str, form: str = "") -> Mistake:
    """The results `names` with their sign flipped."""
    return changed(
        _code("sign", form), "The sign is flipped: this is the negative of the gradient.", lambda g: -g, *names
    )


def zero(*names: str) -> Mistake:
    """The results `names` left at zero."""
    message = "The gradient is all zeros: it is made, but nothing is ever added to it."
    return changed("gradient-zero", message, np.zeros_like, *names)


def scaled(form: str, by: float | Callable[[Results], float], *names: str) -> Mistake:
    """The results `names` times `by`: a number, or ``by(args)``."""

    def gives(right: Results, args: Results) -> Results:
        factor = by(args) if callable(by) else by
        return {name: factor * right[name] for name in names}

    return Mistake(
        f"scale/{form}", "The gradient has the right direction and the wrong length: a factor is off.", gives
    )


def transposed(*names: str) -> Mistake:
    """The results `names` the other way round; of a square one, the shape does not tell."""
    message = "The gradient is transposed: it has the shape of what it is the gradient of, entry by entry."
    return changed(f"transposed/{'-'.join(names)}", message, np.transpose, *names)


def permuted(form: str, *names: str) -> Mistake:
    """The entries of the results `names` in one of the wrong `REORDERINGS`."""
    message = "All entries of the gradient are there, but in the wrong places."
    return changed(f"permuted/{form}", message, REORDERINGS[form], *names)


def misshapen(form: str, *names: str) -> Mistake:
    """The results `names` in one of the wrong `SHAPES`."""
    message = "A gradient has the shape of what it is the gradient of; this one has another."
    return changed(f"wrong-shape/{'-'.join((form, *names))}", message, SHAPES[form], *names)


def whole_numbers(*names: str) -> Mistake:
    """The results `names` as an array of integers would hold them."""
    message = "The gradient is kept in an array of integers, which drops what stands behind the point."
    return changed("integer-input", message, lambda g: np.trunc(g).astype(int), *names)


def upstream_ones(gradient: Callable[..., Results], *names: str) -> Mistake:
    """The results `names` of a layer's `gradient` as if the upstream gradient were all ones."""
    return misled(
        f"upstream-ignored/{'-'.join(names)}",
        "The upstream gradient `dout` does not come in: multiply the local gradient by it.",
        gradient,
        lambda args: {"dout": np.ones_like(args["dout"])},
        *names,
    )


def unsummed(name: str, rows: Callable[[Results], np.ndarray]) -> tuple[Mistake, ...]:
    """The gradient `name` of a bias (M,) not summed over ``rows(args)`` (N, M): all of them, the first, the last."""
    message = "A bias is used by every example, so its gradient is a sum over the examples."
    picks: dict[str, Change] = {"each": lambda g: g, "first": lambda g: g[0], "last": lambda g: g[-1]}

    def one(form: str, pick: Change) -> Mistake:
        return Mistake(f"batch-not-summed/{form}-{name}", message, lambda right, args: {name: pick(rows(args))})

    return tuple(one(form, pick) for form, pick in picks.items())


def _code(head: str, form: str) -> str:
    return f"{head}/{form}" if form else head

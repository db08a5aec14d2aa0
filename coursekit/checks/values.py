"""Comparisons of single values: numbers, arrays, text, sets, labels, the order of a graph.

An entry may differ by 1e-5 of itself plus 1e-6 of the largest entry.  A gradient in single precision passes; one that
is wrong by 0.05 % does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from coursekit._typing import Array
from coursekit.reporting import Tolerance, entries_are

from .cases import Expected
from .codec import Opaque, holds_only_numbers
from .run import StepOutcome

TOLERANCE = Tolerance(relative=1e-5, of_largest=1e-6, least=1e-12)


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison: `code` is the mistake, if proved; `error` is relative to the largest entry."""

    ok: bool
    message: str = ""
    code: str | None = None
    error: float | None = None


OK = Comparison(True)


def agrees(got: Any, value: Any, tolerance: Tolerance = TOLERANCE, row: bool = False) -> bool:
    """Return whether `got` is `value` within the tolerance, with nan where that is nan.

    With `row`, a row vector may have the shape (n,) or (1, n).
    """
    if not is_numeric(value):
        return not difference(got, value, tolerance)
    try:
        a, b = _numbers(got), _numbers(value)
    except _NotNumbers:
        return False
    if a.size == b.size == 1:
        a, b = a.reshape(()), b.reshape(())
    if row:
        a, b = _row(a), _row(b)
    return a.shape == b.shape and tolerance.agree(a, b)


# -- numbers and arrays -----------------------------------------------------------------


def close(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Compare numbers of the same shape, within the tolerance; and text, True, None, sets, and lists of all these.

    Options: ``rtol`` and ``atol`` replace the tolerance; ``large`` is a phrase such as
    ``"scores of ±1000"`` for a case in which nan or inf means that the formula is unstable (or the
    mistake ``code``); ``row`` accepts a row vector as (n,) and as (1, n).
    """
    if not is_numeric(expected.value):
        told = difference(got, expected.value, tolerance_of(expected.options))
        return Comparison(not told, told, "returned-none" if told and got is None else None)
    want = _numbers(expected.value)
    have = read(got, "a number" if want.ndim == 0 else f"an array of shape {want.shape}")
    if isinstance(have, Comparison):
        return have
    have = _laid_out_as(have, want, bool(expected.options.get("row")))
    if have.shape != want.shape:
        return wrong_shape(have, want.shape)
    if np.iscomplexobj(have) and not np.iscomplexobj(want):
        if np.any(have.imag != 0):
            return Comparison(False, "has imaginary parts", "not-a-number")
        have = have.real
    return _overflowed(have, want, expected.options) or _differences(have, want, tolerance_of(expected.options))


def _laid_out_as(have: Array, want: Array, row: bool) -> Array:
    """Return `have` in the shape of `want` where the shape does not matter: for one number, or with `row`."""
    if want.ndim == 0 and have.size == 1:
        return have.reshape(())
    return have.reshape(want.shape) if row and _row(have).shape == _row(want).shape else have


def _overflowed(have: Array, want: Array, options: Mapping[str, Any]) -> Comparison | None:
    """Return the comparison that fails because entries are not finite, or None."""
    bad = ~np.isfinite(have) & np.isfinite(want)
    if not bad.any():
        return None
    large = options.get("large")
    share = f"{entries_are(bad, 'its ')} not finite" if bad.size > 1 else "is not finite"
    at = f" for {large}" if large else ""
    code = options.get("code", "unstable") if large else "not-finite"
    return Comparison(False, f"{share} (such as {have[bad].ravel()[0]}){at}", code, np.inf)


def _differences(have: Array, want: Array, tolerance: Tolerance) -> Comparison:
    with np.errstate(invalid="ignore"):
        difference = np.where(_same(have, want), 0.0, np.abs(have - want))
    bad = ~(difference <= tolerance.allowed(want))
    if not bad.any():
        return OK
    finite = np.isfinite(difference)
    largest = max(float(np.max(np.abs(values), initial=0)) for values in (want[np.isfinite(want)], have[finite]))
    error = float(np.max(difference)) / largest if finite.all() else np.inf
    share = f"; {entries_are(bad)} wrong" if want.size > 1 else ""
    return Comparison(False, f"is not right: relative error {error:.2g}{share}", None, error)


def one_of(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Compare as `close` does, but accept also the arrays in ``options["others"]``."""
    first = close(got, expected, step, earlier)
    return OK if first.ok or any(agrees(got, other) for other in expected.options["others"]) else first


def own(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Let ``options["function"]``, of the instructor's own, compare `got` with `value`: True, False, or what is wrong.

    It comes with the case as source text, and is called with whatever came back.
    """
    try:
        answer = expected.options["function"].make()(got, expected.value)
    except Exception as error:  # what came back is of another kind than it can compare
        return Comparison(False, f"cannot be compared: {type(error).__name__}: {str(error)[:200]}")
    if isinstance(answer, bool | np.bool_):
        return OK if answer else Comparison(False, "is not right")
    if isinstance(answer, str) and answer:
        return Comparison(False, answer)
    raise TypeError(
        f"{expected.options['function'].name} has to return True, False, or a sentence that says what is wrong"
    )


def anything(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Accept anything: what the student may choose, such as a cache."""
    return OK


def at_least(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Require a number of at least `value`."""
    return _bounded(got, float(expected.value), math.inf)


def at_most(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Require a number of at most `value`."""
    return _bounded(got, -math.inf, float(expected.value))


def between(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Require a number between the two numbers of `value`, inclusive."""
    low, high = expected.value
    return _bounded(got, float(low), float(high))


def _bounded(got: Any, low: float, high: float) -> Comparison:
    have = read(got, "a number")
    if isinstance(have, Comparison):
        return have
    if have.size != 1 or np.iscomplexobj(have):
        return Comparison(False, f"has shape {have.shape}; expected a single number", "wrong-shape")
    if low <= (number := have.item()) <= high:
        return OK
    wanted = f"at most {high:.6g}" if low == -math.inf else f"at least {low:.6g}"
    wanted = f"between {low:.6g} and {high:.6g}" if math.isfinite(low) and math.isfinite(high) else wanted
    return Comparison(False, f"is {number:.6g}; expected {wanted}")


def labels(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Compare class labels, one integer per example."""
    want = np.asarray(expected.value)
    have = read(got, f"{want.size} labels")
    if isinstance(have, Comparison):
        return have
    if have.shape != want.shape:
        return wrong_shape(have, want.shape)
    wrong = int(np.sum(have != want))
    if wrong == 0:
        return OK
    return Comparison(False, f"{wrong} of {want.size} labels are wrong", None, wrong / want.size)


def unchanged(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Require that an argument is still `value` after the call, up to rounding: (x + h) − h passes."""
    if got is None or agrees(got, expected.value, replace(TOLERANCE, relative=1e-9)):  # None: no change was recorded
        return OK
    return Comparison(False, "was changed by the call and not put back exactly as it was", "input-modified")


def inputs_first(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Require all nodes of a graph in topological order; `value` has the inputs of each node, by name."""
    inputs: dict[str, list[str]] = expected.value
    if got is None:
        return Comparison(False, "is None; expected a list of nodes. Is a `return` missing?", "returned-none")
    if not isinstance(got, list | tuple):
        return Comparison(False, "is not a list of nodes", "no-list")
    if strange := [one for one in got if not isinstance(one, str)]:
        return Comparison(False, f"holds an object of type {_kind(strange[0])}, which is no node", "node-too-many")
    if missing := [name for name in inputs if name not in got]:
        return Comparison(False, f"misses {', '.join(missing)}", "node-missing")
    if foreign := [name for name in got if name not in inputs]:
        return Comparison(False, f"holds {foreign[0]!s:.40}, on which the output does not depend", "node-too-many")
    if twice := [name for name in inputs if got.count(name) > 1]:
        return Comparison(False, f"holds {twice[0]} {got.count(twice[0])} times", "node-twice")
    place = {name: number for number, name in enumerate(got)}
    early = [(one, name) for name in got for one in inputs[name] if place[one] > place[name]]
    if not early:
        return OK
    if all(place[one] > place[name] for name in got for one in inputs[name]):
        return Comparison(False, "has the output first and the inputs last: reverse it", "order-reversed")
    return Comparison(False, "has {1} before {0}, which is one of its inputs".format(*early[0]), "not-topological")


# -- other values -----------------------------------------------------------------------------

QUOTED = 60  # characters


def is_numeric(value: Any) -> bool:
    """Return whether a value is compared as numbers: all but text, True, None, sets, dictionaries and lists of them."""
    if value is None or isinstance(value, bool | str | dict | set | frozenset):
        return False
    return all(map(is_numeric, value)) if isinstance(value, list | tuple) else True


def difference(got: Any, want: Any, tolerance: Tolerance = TOLERANCE) -> str:
    """Say in what `got` is not `want`, which is no number; an empty text if it is.

    A list may be a tuple, and a set must be a set. Numbers in it may differ by the tolerance.
    """
    if isinstance(want, bool):
        right = isinstance(got, bool | np.bool_ | int | float | np.number) and got == want
        return "" if right else f"is {_quoted(got)}, which is not right"
    if is_numeric(want):
        return "" if agrees(got, want, tolerance) else "is not right"
    if got is None and want is not None:
        return f"is None; expected {_sort_of(want)}. Is a `return` missing?"
    if isinstance(got, np.ndarray) and isinstance(want, list | tuple) and len(np.atleast_1d(got)) == len(want):
        got = got.tolist()
    if _sort_of(got) != _sort_of(want):
        return f"is {_sort_of(got)}; expected {_sort_of(want)}"
    if isinstance(want, list | tuple):
        return _in_order(got, want, tolerance)
    if isinstance(want, dict):
        return _by_key(got, want, tolerance)
    if isinstance(want, set | frozenset):
        return _elements(got, want, tolerance)
    return "" if got == want else f"is {_quoted(got)}, which is not right"


def _in_order(got: Sequence[Any], want: Sequence[Any], tolerance: Tolerance) -> str:
    if len(got) != len(want):
        return f"has {len(got)} entries; expected {len(want)}"
    told = ((number, difference(a, b, tolerance)) for number, (a, b) in enumerate(zip(got, want, strict=True)))
    return next((f"has an entry [{number}] that {why}" for number, why in told if why), "")


def _by_key(got: Mapping[Any, Any], want: Mapping[Any, Any], tolerance: Tolerance) -> str:
    if missing := [key for key in want if key not in got]:
        return f"has no key {_quoted(missing[0])}"
    if foreign := [key for key in got if key not in want]:
        return f"has a key {_quoted(foreign[0])} too many"
    told = ((key, difference(got[key], want[key], tolerance)) for key in want)
    return next((f"has an entry [{_quoted(key)}] that {why}" for key, why in told if why), "")


def _elements(got: Set[Any], want: Set[Any], tolerance: Tolerance) -> str:
    if got == want:
        return ""
    numbers = len(got) == len(want) and all(isinstance(one, int | float) for one in (*got, *want))
    if numbers and agrees(sorted(got), sorted(want), tolerance):
        return ""
    missing, foreign = len(want - got), sorted(map(_quoted, got - want))
    return f"holds {foreign[0]}, which is not in it" if foreign else f"misses {missing} element{'s' * (missing != 1)}"


def _sort_of(value: Any) -> str:
    if isinstance(value, Opaque):
        return f"an object of type {value.kind}"
    kinds = (
        (type(None), "None"),
        (bool | np.bool_, "True or False"),
        (str, "text"),
        (dict, "a dictionary"),
        (set | frozenset, "a set"),
        (list | tuple, "a list"),
        (np.ndarray, "an array"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "a number")


def _quoted(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= QUOTED else text[:QUOTED] + "…"


# -- what values are ------------------------------------------------------------------------


def read(got: Any, wanted: str) -> Array | Comparison:
    """Return the numbers in `got`, or the failed comparison with `wanted` if it holds none."""
    if got is None:
        return Comparison(False, f"is None; expected {wanted}. Is a `return` missing?", "returned-none")
    try:
        return _numbers(got)
    except _NotNumbers as why:
        hint = "; return the array in it, its `.value`" if isinstance(got, Opaque) and got.kind == "Tensor" else ""
        return Comparison(False, f"is {why}; expected {wanted}{hint}", "not-a-number")


def wrong_shape(have: Array, want: tuple[int, ...]) -> Comparison:
    """Return the failed comparison of an array whose shape is not `want`."""
    message = f"has shape {have.shape}; expected {want or 'a single number'}"
    if len(want) == 2 and have.shape == want[::-1]:
        return Comparison(False, message + ". Is it transposed?", "transposed")
    return Comparison(False, message, "wrong-shape")


class _NotNumbers(Exception):
    """Something else was found instead of numbers; the message says what."""


def _kind(value: Any) -> str:
    return value.kind if isinstance(value, Opaque) else type(value).__name__


def _numbers(value: Any) -> Array:
    if isinstance(value, Opaque):
        raise _NotNumbers(f"an object of type {_kind(value)}")
    if value is None or isinstance(value, str | dict):
        raise _NotNumbers("None" if value is None else "text" if isinstance(value, str) else "a dictionary")
    if not holds_only_numbers(value):
        raise _NotNumbers("a list that holds more than numbers")
    try:
        if isinstance(value, int):
            value = float(value)  # NumPy would make an object of a large int
        array = np.asarray(value)
    except OverflowError:
        raise _NotNumbers("an integer that is too large for a float") from None
    except ValueError:
        raise _NotNumbers("a list whose rows differ in length") from None
    if array.dtype.kind not in "biufc":
        raise _NotNumbers("a list that holds more than numbers")
    return array.astype(complex) if array.dtype.kind == "c" else array.astype(float)


def _row(array: Array) -> Array:
    """Return a row vector (1, n) or a number as (n,), and anything else unchanged."""
    return array.ravel() if array.ndim == 0 or (array.ndim == 2 and len(array) == 1) else array


def _same(a: Array, b: Array) -> Array:
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))


def tolerance_of(options: Mapping[str, Any]) -> Tolerance:
    """Return the tolerance of `close`, which ``rtol`` and ``atol`` among its `options` change."""
    tolerance = replace(TOLERANCE, relative=options.get("rtol", TOLERANCE.relative))
    return replace(tolerance, of_largest=0.0, least=options["atol"]) if "atol" in options else tolerance

"""Comparisons: is what came back right, and if not, what exactly is wrong with it?

Each comparison is a function of what was seen and what was expected, registered in
:data:`COMPARISONS` under the name by which cases ask for it.

How close is close enough: an entry may differ by 1e-5 of itself plus 1e-6 of the
largest entry.  A gradient from single precision passes; one that is wrong by 0.05 %
does not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .cases import Expected
from .codec import Opaque
from .probes import ProbeCall
from .run import StepOutcome

RTOL = 1e-5
ATOL_OF_LARGEST = 1e-6
ATOL = 1e-12


@dataclass(frozen=True)
class Comparison:
    """`code` names the mistake where the comparison itself proves one; `error` is relative to the largest entry."""

    ok: bool
    message: str = ""
    code: str | None = None
    error: float | None = None


OK = Comparison(True)


def agrees(got: Any, value: Any, rtol: float = RTOL) -> bool:
    """Whether `got` is, within tolerance, `value` (nan where that is nan): what a known mistake gives, for one."""
    try:
        a, b = _numbers(got), _numbers(value)
    except _NotNumbers:
        return False
    if a.size == b.size == 1:
        a, b = a.reshape(()), b.reshape(())
    return a.shape == b.shape and bool(np.allclose(a, b, rtol, _atol(b), equal_nan=True))


# -- numbers and arrays -----------------------------------------------------------------


def close(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Numbers within tolerance, of the same shape.

    Options: ``rtol``, ``atol`` in place of the usual ones; ``large``, a phrase such as
    ``"scores of ±1000"``, where a nan or inf means that the formula is unstable (or the
    mistake ``code``); ``row``, for a row vector that is right as (n,) and as (1, n).
    """
    want = _numbers(expected.value)
    if got is None:
        return Comparison(False, f"is None; expected {_kind(want)}. Is a `return` missing?", "returned-none")
    try:
        have = _numbers(got)
    except _NotNumbers as why:
        return Comparison(False, f"is {why}; expected {_kind(want)}", "not-a-number")
    if want.ndim == 0 and have.size == 1:
        have = have.reshape(())
    if expected.options.get("row") and have.shape in (want.shape[-1:], (1, *want.shape[-1:])):
        have = have.reshape(want.shape)
    if have.shape != want.shape:
        return _wrong_shape(have, want)
    if np.iscomplexobj(have) and not np.iscomplexobj(want):
        if np.any(have.imag != 0):
            return Comparison(False, "has imaginary parts", "not-a-number")
        have = have.real
    bad = ~np.isfinite(have) & np.isfinite(want)
    if bad.any():
        large = expected.options.get("large")
        first = have[bad].ravel()[0]
        share = f"{_of(bad, 'its ')} not finite" if bad.size > 1 else "is not finite"
        at = f" for {large}" if large else ""
        code = expected.options.get("code", "unstable") if large else "not-finite"
        return Comparison(False, f"{share} (such as {first}){at}", code, np.inf)
    with np.errstate(invalid="ignore"):
        difference = np.where(_same(have, want), 0.0, np.abs(have - want))
    size = np.where(np.isfinite(want), np.abs(want), 0.0)
    allowed = expected.options.get("rtol", RTOL) * size + expected.options.get("atol", _atol(want))
    if np.all(difference <= allowed):
        return OK
    finite = np.isfinite(difference)
    scale = max(float(np.max(size)), float(np.max(np.abs(have[finite]), initial=0)))
    error = float(np.max(difference)) / scale if finite.all() else np.inf
    share = f"; {_of(~(difference <= allowed))} wrong" if want.size > 1 else ""
    return Comparison(False, f"is not right: relative error {error:.2g}{share}", None, error)


def anything(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """What is the student's own business, such as a cache."""
    return OK


def at_least(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """A number that is not less than `value`."""
    return _bounded(got, float(expected.value), math.inf)


def at_most(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """A number that is not more than `value`."""
    return _bounded(got, -math.inf, float(expected.value))


def between(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """A number between the two of `value`, or one of these."""
    low, high = expected.value
    return _bounded(got, float(low), float(high))


def falling(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Losses, as many as `value` (None: any number), that fall.

    Options: ``to``, the share of the first loss that the last ones (a tenth of them) may have in the mean,
    0.9 unless told; ``first``, the lowest and the highest first loss.
    """
    if got is None:
        return Comparison(False, "is None. Is a `return` missing?", "returned-none")
    try:
        losses = _numbers(got).ravel()
    except _NotNumbers as why:
        return Comparison(False, f"is {why}; expected a list of losses", "not-a-number")
    if losses.size == 0 or (expected.value is not None and losses.size != expected.value):
        return Comparison(False, f"has {losses.size} entries; expected {expected.value or 'some'}", "history-length")
    if not np.isfinite(losses).all():
        return Comparison(False, "holds losses that are not finite", "not-finite")
    low, high = expected.options.get("first", (-math.inf, math.inf))
    if not low <= losses[0] <= high:
        message = f"starts at {losses[0]:.4g}; expected a first loss between {low:.4g} and {high:.4g}"
        return Comparison(False, message, "wrong-first-loss")
    last, share = float(np.mean(losses[-max(1, losses.size // 10) :])), expected.options.get("to", 0.9)
    if last <= share * losses[0]:
        return OK
    return Comparison(False, f"goes from {losses[0]:.4g} to {last:.4g}; expected {share:g} of the first", "no-learning")


def labels(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Class labels, one whole number for each example."""
    want = np.asarray(expected.value)
    if got is None:
        return Comparison(False, "is None. Is a `return` missing?", "returned-none")
    try:
        have = _numbers(got)
    except _NotNumbers as why:
        return Comparison(False, f"is {why}; expected {want.size} labels", "not-a-number")
    if have.shape != want.shape:
        return _wrong_shape(have, want)
    wrong = int(np.sum(have != want))
    if wrong == 0:
        return OK
    return Comparison(False, f"{wrong} of {want.size} labels are wrong", None, wrong / want.size)


def unchanged(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """An argument after the call, which must be `value`, what it was before, but for rounding: (x + h) − h passes."""
    if got is None or agrees(got, expected.value, rtol=1e-9):  # None: the step noted no change
        return OK
    return Comparison(False, "was changed by the call and not put back exactly as it was", "input-modified")


# -- minibatch training: judged by what it did, not by one trace of random numbers ------


def training_start(
    got: StepOutcome, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]
) -> Comparison:
    """The first weights: shape ``value`` (D, C), normal with standard deviation ``options["std"]``."""
    if not step.calls:
        return _never_called(step)
    W = _argument_array(step, 0, "W")
    shape, std = tuple(expected.value), float(expected.options["std"])
    if W is None or W.shape != shape:
        have = "not an array" if W is None else f"of shape {W.shape}"
        return Comparison(False, f"are {have}; expected (D, C) = {shape}", "wrong-shape")
    spread = float(np.std(W))
    if not 0.5 * std < spread < 2 * std or abs(float(np.mean(W))) > std:
        return Comparison(
            False,
            f"have mean {np.mean(W):.2g} and standard deviation {spread:.2g}; expected {std:g} · N(0, 1)",
            "wrong-initialisation",
        )
    return OK


def training_batches(
    got: StepOutcome, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]
) -> Comparison:
    """Every minibatch: rows of X with their own labels, of the size asked for, drawn anew each time.

    `value` is ``{"X": …, "y": …, "batch_size": …, "reg": …}``.
    """
    if not step.calls:
        return _never_called(step)
    X, y, size = np.asarray(expected.value["X"]), np.asarray(expected.value["y"]), expected.value["batch_size"]
    row_of = {row.tobytes(): i for i, row in enumerate(np.ascontiguousarray(X))}
    drawn = []
    for number, _ in enumerate(step.calls):
        batch, targets = _argument_array(step, number, "X"), _argument_array(step, number, "y")
        if batch is None or targets is None or batch.ndim != 2 or targets.ndim != 1:
            return Comparison(False, f"number {number}: X_batch and y_batch are not arrays (B, D) and (B,)")
        if len(batch) != size or len(targets) != size:
            return Comparison(
                False, f"number {number} holds {len(batch)} examples; batch_size is {size}", "wrong-batch-size"
            )
        rows = [row_of.get(row.tobytes(), -1) for row in np.ascontiguousarray(batch.astype(X.dtype))]
        if -1 in rows:
            return Comparison(False, f"number {number} holds a row that is not in X")
        if not np.array_equal(targets, y[rows]):
            return Comparison(False, f"number {number}: labels do not belong to their examples", "label-shift")
        drawn.append(tuple(rows))
        reg = step.calls[number].arguments["reg"]
        if not agrees(reg, expected.value["reg"]):
            return Comparison(False, f"number {number}: reg was handed on as {reg!s:.20}", "reg-not-handed-on")
    if len(drawn) > 1 and len(set(drawn)) == 1:
        return Comparison(False, "are all the same one: draw a new one in every iteration", "sampled-once")
    return OK


def training_updates(
    got: StepOutcome, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]
) -> Comparison:
    """Each next W, and the returned one, is W − lr · dW; `value` is ``{"lr": …, "num_iters": …}``."""
    lr, wanted = float(expected.value["lr"]), int(expected.value["num_iters"])
    if not step.calls:
        return _never_called(step)
    calls = _iterations(step, wanted)
    if len(calls) != wanted:
        message = f"cannot be followed: loss_function was called {len(calls)} times; num_iters is {wanted}"
        return Comparison(False, message, "wrong-length")
    problem = _unpaired(step, "cannot be followed")
    if problem:
        return problem
    weights = [call.arguments["W"] for call in calls]
    following = [*weights[1:], step.returned[0]]
    for number, (call, W, after) in enumerate(zip(calls, weights, following, strict=True), start=1):
        dW = np.asarray(call.result[1])
        if agrees(after, W - lr * dW):
            continue
        last = number == wanted
        where = "the returned W" if last else f"the W of iteration {number}"
        for code, text, value in (
            ("sign", "it adds lr · dW: that climbs the loss instead of descending", W + lr * dW),
            ("last-update-missing" if last and wanted > 1 else "no-update", "it is the W from before the update", W),
            ("lr-ignored", "the learning rate is not used", W - dW),
        ):
            if agrees(after, value):
                return Comparison(False, f"{where} is not W − lr · dW: {text}", code)
        return Comparison(False, f"{where} is not W − lr · dW")
    return OK


def training_history(
    got: StepOutcome, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]
) -> Comparison:
    """The returned history: the loss of each iteration, as `loss_function` gave it."""
    if not step.calls:
        return _never_called(step)
    problem = _unpaired(step, "is missing")
    if problem:
        return problem
    try:
        history = _numbers(step.returned[1]).ravel()
    except _NotNumbers as why:
        return Comparison(False, f"is {why}; expected a list of losses", "not-a-number")
    losses = np.array([float(call.result[0]) for call in _iterations(step, len(history))])
    if len(history) != len(losses):
        return Comparison(False, f"has {len(history)} entries after {len(losses)} iterations", "history-length")
    return OK if agrees(history, losses) else Comparison(False, "does not hold the losses of the iterations")


def repeats(got: StepOutcome, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """The same `rng` seed gives the same run as step ``value``; another seed (``options["differs"]``) does not."""
    first = earlier[int(expected.value)]
    if not step.calls or not first.calls:
        return _never_called(step)

    def same(name: str, calls: slice = slice(None)) -> bool:
        pairs = zip(first.calls[calls], step.calls[calls], strict=False)
        return all(agrees(a.arguments[name], b.arguments[name]) for a, b in pairs)

    if not expected.options.get("differs"):
        if len(first.calls) == len(step.calls) and same("W") and same("X"):
            return OK
        return Comparison(False, "gives two different runs for the same `rng`: draw from `rng` alone", "rng-ignored")
    W = step.calls[0].arguments["W"]
    constant = np.size(W) and np.ptp(W) == 0  # all zeros, say: judged as first weights, not twice
    for what, repeated in (("first weights", same("W", slice(1)) and not constant), ("minibatches", same("X"))):
        if repeated:
            message = f"gives the same {what} for two different `rng`s: draw them from `rng`"
            return Comparison(False, message, "rng-ignored")
    return OK


def one_of(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """As `close`, but the arrays in ``options["others"]`` are right too: where the text leaves several ways open."""
    first = close(got, expected, step, earlier)
    return OK if first.ok or any(agrees(got, other) for other in expected.options["others"]) else first


def no_overflow(got: StepOutcome, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """NumPy noted no overflow during the step, which may leave no trace in its result: 1 / (1 + inf) is 0."""
    if any("overflow" in note for note in got.notes):
        return Comparison(False, "overflows: NumPy gave a RuntimeWarning", expected.options.get("code", "unstable"))
    return OK


# -- optimisation: judged by what it found, not by the path to it -------------------------


def reaches(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """A point that was searched for, judged by how high its objective is: `value` is where the reference gets.

    Options: ``objective``, the function, as a `Given`; ``start``, where the search began; ``share``, which part of
    what the reference gains is enough.
    """
    have, problem = _point(got, np.shape(expected.value))
    if problem:
        return problem
    objective = expected.options["objective"].make()
    with np.errstate(all="ignore"):
        start, best, reached = (float(objective(x)) for x in (expected.options["start"], expected.value, have))
    enough = start + expected.options["share"] * (best - start)
    if reached >= enough:
        return OK
    lower = ", lower than at the start" if reached < start else ""
    return Comparison(False, f"reaches {reached:.4g}{lower}; it began at {start:.4g}, and {enough:.4g} is enough")


def in_ball(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """An array whose Euclidean norm is at most `value`, and not zero, which would be no achievement."""
    have, problem = _point(got, None)
    if problem:
        return problem
    norm, eps = float(np.linalg.norm(have)), float(expected.value)
    if norm > eps * (1 + 1e-6):
        return Comparison(False, f"is {norm:.6g}; the most that is allowed is {eps:.6g}", "bound-ignored")
    return OK if norm else Comparison(False, "is 0: nothing was searched for", "no-update")


def _point(got: Any, shape: tuple[int, ...] | None) -> tuple[np.ndarray, Comparison | None]:
    """`got` as an array of `shape`, if one is asked for, and the complaint if it is not one."""
    nothing = np.zeros(0)
    if got is None:
        return nothing, Comparison(False, "is None. Is a `return` missing?", "returned-none")
    try:
        have = _numbers(got)
    except _NotNumbers as why:
        hint = "; return the array in it, its `.value`" if isinstance(got, Opaque) and got.kind == "Tensor" else ""
        return nothing, Comparison(False, f"is {why}; expected an array{hint}", "not-a-number")
    if shape is not None and have.shape != shape:
        return nothing, _wrong_shape(have, np.zeros(shape))
    if np.iscomplexobj(have) or not np.isfinite(have).all():
        return nothing, Comparison(False, "holds numbers that are not finite", "not-finite")
    return have, None


def inputs_first(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """The names of all nodes of a graph, each once and after those of its inputs; `value` is a dict, name -> inputs."""
    inputs: dict[str, list[str]] = expected.value
    if got is None:
        return Comparison(False, "is None. Is a `return` missing?", "returned-none")
    if not isinstance(got, list | tuple):
        return Comparison(False, "is not a list of nodes", "no-list")
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


COMPARISONS: dict[str, Callable[..., Comparison]] = {
    function.__name__: function
    for function in (
        anything,
        at_least,
        at_most,
        between,
        close,
        falling,
        labels,
        unchanged,
        training_start,
        training_batches,
        training_updates,
        training_history,
        repeats,
        one_of,
        no_overflow,
        reaches,
        in_ball,
        inputs_first,
    )
}


# -- helpers ----------------------------------------------------------------------------


class _NotNumbers(Exception):
    """Carries a phrase that says what was found instead of numbers."""


def _numbers(value: Any) -> np.ndarray:
    if isinstance(value, Opaque):
        raise _NotNumbers(f"an object of type {value.kind}")
    if value is None or isinstance(value, str | dict):
        raise _NotNumbers("None" if value is None else "text" if isinstance(value, str) else "a dictionary")
    if isinstance(value, int):
        value = float(value)  # of any size, where NumPy would make an object of a large one
    try:
        array = np.asarray(value)
    except ValueError:
        raise _NotNumbers("a list whose rows differ in length") from None
    if array.dtype.kind not in "biufc":
        raise _NotNumbers("a list that holds more than numbers")
    return array.astype(complex) if array.dtype.kind == "c" else array.astype(float)


def _bounded(got: Any, low: float, high: float) -> Comparison:
    if got is None:
        return Comparison(False, "is None. Is a `return` missing?", "returned-none")
    try:
        have = _numbers(got)
    except _NotNumbers as why:
        return Comparison(False, f"is {why}; expected a number", "not-a-number")
    if have.size != 1 or np.iscomplexobj(have):
        return Comparison(False, f"has shape {have.shape}; expected a single number", "wrong-shape")
    if low <= (number := have.item()) <= high:
        return OK
    wanted = f"at most {high:.6g}" if low == -math.inf else f"at least {low:.6g}"
    wanted = f"between {low:.6g} and {high:.6g}" if math.isfinite(low) and math.isfinite(high) else wanted
    return Comparison(False, f"is {number:.6g}; expected {wanted}")


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))


def _atol(want: np.ndarray) -> float:
    finite = np.abs(want[np.isfinite(want)])
    return max(ATOL, ATOL_OF_LARGEST * float(np.max(finite, initial=0)))


def _of(which: np.ndarray, whose: str = "") -> str:
    count = int(np.sum(which))
    return f"{count} of {whose}{which.size} entries {'is' if count == 1 else 'are'}"


def _kind(want: np.ndarray) -> str:
    return "a number" if want.ndim == 0 else f"an array of shape {want.shape}"


def _wrong_shape(have: np.ndarray, want: np.ndarray) -> Comparison:
    message = (
        f"has shape {have.shape}; expected {want.shape}"
        if want.ndim
        else (f"has shape {have.shape}; expected a single number")
    )
    if want.ndim == 2 and have.shape == want.shape[::-1]:
        return Comparison(False, message + ". Is it transposed?", "transposed")
    return Comparison(False, message, "wrong-shape")


def _never_called(step: StepOutcome) -> Comparison:
    return Comparison(False, "cannot be seen: loss_function was never called", "loss-function-not-called")


def _unpaired(step: StepOutcome, what: str) -> Comparison | None:
    """The complaint if `train` did not return W and the history, in this order."""
    returned = step.returned
    if returned is None:
        return Comparison(False, f"{what}: return (W, loss_history)", "returned-none")
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        return Comparison(False, f"{what}: return (W, loss_history)", "wrong-number-of-values")
    W = np.shape(step.calls[0].arguments["W"])
    if len(W) == 2 and _shape(returned[1]) == W != _shape(returned[0]):
        return Comparison(False, f"{what}: return (W, loss_history), in this order", "swapped")
    return None


def _shape(value: Any) -> tuple[int, ...] | None:
    try:
        return _numbers(value).shape
    except _NotNumbers:
        return None


def _iterations(step: StepOutcome, wanted: int) -> list[ProbeCall]:
    """The calls of the loss function, one for each iteration.

    Who calls it twice, once for the loss and once for the gradient, is slow but right: where
    there are more calls than `wanted`, those that repeat the one before do not count.
    """
    if len(step.calls) <= wanted:
        return step.calls
    counted = step.calls[:1]
    for before, call in itertools.pairwise(step.calls):
        if not all(np.array_equal(call.arguments[name], value) for name, value in before.arguments.items()):
            counted.append(call)
    return counted


def _argument_array(step: StepOutcome, number: int, name: str) -> np.ndarray | None:
    value = step.calls[number].arguments.get(name)
    return value if isinstance(value, np.ndarray) else None

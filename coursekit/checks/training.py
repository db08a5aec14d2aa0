"""Comparisons of trainings and searches: by their behaviour and result, not by one sequence of random numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from coursekit._typing import Array

from .cases import Expected
from .probes import ProbeCall
from .run import StepOutcome
from .values import OK, Comparison, agrees, read, wrong_shape

# -- minibatch training, by its calls of the loss function -----------------


def training_start(
    got: StepOutcome, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]
) -> Comparison:
    """Check the first weights: shape ``value`` (D, C), normal with standard deviation ``options["std"]``."""
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
    """Check every minibatch: rows of X with their labels, of the right size, and drawn in every iteration.

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
    """Check that each next W and the returned one is W − lr · dW; `value` is ``{"lr": …, "num_iters": …}``."""
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
    """Check that the returned history holds the loss of each iteration."""
    if not step.calls:
        return _never_called(step)
    problem = _unpaired(step, "is missing")
    if problem:
        return problem
    history = read(step.returned[1], "a list of losses")
    if isinstance(history, Comparison):
        return history
    history = history.ravel()
    losses = np.array([float(call.result[0]) for call in _iterations(step, len(history))])
    if len(history) != len(losses):
        return Comparison(False, f"has {len(history)} entries after {len(losses)} iterations", "history-length")
    return OK if agrees(history, losses) else Comparison(False, "does not hold the losses of the iterations")


def repeats(got: StepOutcome, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Check that the seed of `rng` repeats the run of step ``value``, and another (``options["differs"]``) does not."""
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
    constant = (
        np.size(W) and np.ptp(W) == 0
    )  # all zeros, for example: a mistake in the first weights, which is reported there
    for what, repeated in (("first weights", same("W", slice(1)) and not constant), ("minibatches", same("X"))):
        if repeated:
            message = f"gives the same {what} for two different `rng`s: draw them from `rng`"
            return Comparison(False, message, "rng-ignored")
    return OK


def _never_called(step: StepOutcome) -> Comparison:
    return Comparison(False, "cannot be seen: loss_function was never called", "loss-function-not-called")


def _unpaired(step: StepOutcome, what: str) -> Comparison | None:
    """Return the failed comparison if `train` did not return (W, history), else None."""
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
    array = read(value, "an array")
    return None if isinstance(array, Comparison) else array.shape


def _iterations(step: StepOutcome, wanted: int) -> list[ProbeCall]:
    """Return the calls of the loss function, one per iteration.

    Calling it twice, for the loss and for the gradient, is slow but right: if there are more calls than
    `wanted`, a call with the same arguments as the one before does not count.
    """
    if len(step.calls) <= wanted:
        return step.calls
    counted = step.calls[:1]
    for before, call in itertools.pairwise(step.calls):
        if not all(np.array_equal(call.arguments[name], value) for name, value in before.arguments.items()):
            counted.append(call)
    return counted


def _argument_array(step: StepOutcome, number: int, name: str) -> Array | None:
    value = step.calls[number].arguments.get(name)
    return value if isinstance(value, np.ndarray) else None


# -- results of training and search --------------------------------------------------


def falling(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Check that losses fall; there must be `value` of them (None: any number).

    Options: ``to`` (0.9 by default) is the largest ratio of the mean of the last tenth to the first loss; ``first``
    is the range of the first loss.
    """
    losses = read(got, "a list of losses")
    if isinstance(losses, Comparison):
        return losses
    losses = losses.ravel()
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


def reaches(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Check the result of a search by its objective; `value` is the result of the reference.

    Options: ``objective`` is the function, as `ShippedCode`; ``start`` is the point where the search begins; ``share``
    is the part of the reference's gain that is enough.
    """
    have = _point(got, np.shape(expected.value))
    if isinstance(have, Comparison):
        return have
    objective = expected.options["objective"].make()
    with np.errstate(all="ignore"):
        start, best, reached = (float(objective(x)) for x in (expected.options["start"], expected.value, have))
    enough = start + expected.options["share"] * (best - start)
    if reached >= enough:
        return OK
    lower = ", lower than at the start" if reached < start else ""
    return Comparison(False, f"reaches {reached:.4g}{lower}; it began at {start:.4g}, and {enough:.4g} is enough")


def in_ball(got: Any, expected: Expected, step: StepOutcome, earlier: Sequence[StepOutcome]) -> Comparison:
    """Check that the Euclidean norm of an array is at most `value`, and not zero: zero is no search."""
    have = _point(got, None)
    if isinstance(have, Comparison):
        return have
    norm, eps = float(np.linalg.norm(have)), float(expected.value)
    if norm > eps * (1 + 1e-6):
        return Comparison(False, f"is {norm:.6g}; the most that is allowed is {eps:.6g}", "bound-ignored")
    return OK if norm else Comparison(False, "is 0: nothing was searched for", "no-update")


def _point(got: Any, shape: tuple[int, ...] | None) -> Array | Comparison:
    """Return `got` as a finite array, of `shape` unless that is None, or the failed comparison."""
    have = read(got, "an array")
    if isinstance(have, Comparison):
        return have
    if shape is not None and have.shape != shape:
        return wrong_shape(have, shape)
    if np.iscomplexobj(have) or not np.isfinite(have).all():
        return Comparison(False, "holds numbers that are not finite", "not-finite")
    return have

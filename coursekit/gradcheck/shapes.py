"""Gradients of a wrong shape: the likely mistake, and the numbers in the right shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from coursekit._typing import Array
from coursekit.reporting import Finding

Close = Callable[[Array], Array]  # returns where a gradient of the right shape is right


def brought_to_shape(got: Array, shape: tuple[int, ...], close: Close) -> tuple[Array | None, list[Finding]]:
    """Return the gradient in the right shape, or None, and the findings on its shape.

    The finding explains everything (``explains=1``) if all numbers are right in the new shape.
    """
    got = got.astype(float)
    shapes = f"The gradient has shape {got.shape} and the parameter {shape}"
    for attempt in (_transposed, _summed, _reshaped):
        fitted = attempt(got, shape, shapes, close)
        if fitted is not None:
            return fitted
    return None, [Finding("wrong-shape", f"{shapes}: they must be the same.")]


Fitted = tuple[Array, list[Finding]]


def _transposed(got: Array, shape: tuple[int, ...], shapes: str, close: Close) -> Fitted | None:
    if got.ndim != 2 or got.shape != shape[::-1]:
        return None
    finding = Finding("transposed", f"{shapes}: rows and columns are exchanged.", 1.0)
    if close(got.T).all():
        return got.T, [finding]
    if close(got.reshape(shape)).all():
        return None
    return got.T, [replace(finding, explains=None)]


def _summed(got: Array, shape: tuple[int, ...], shapes: str, close: Close) -> Fitted | None:
    """Sum over the batch: over the first or last axis, or over all extra axes."""
    too_many = got.ndim - len(shape)
    if too_many <= 0 or got.size <= math.prod(shape):
        return None
    for axes in ((0,), (-1,), tuple(range(too_many))):
        summed = got.sum(axis=axes)
        if summed.shape == shape and close(summed).all():
            text = f"{shapes}: it is not summed over the batch. All examples share the parameter: sum over axis 0."
            return summed, [Finding("batch-not-summed", text, 1.0)]
    if summed.shape == shape:
        text = f"{shapes}: sum over the batch, because all examples share the parameter."
        return summed, [Finding("batch-not-summed", text)]
    return None


def _reshaped(got: Array, shape: tuple[int, ...], shapes: str, close: Close) -> Fitted | None:
    if got.size != math.prod(shape):
        return None
    fitted = got.reshape(shape)
    finding = Finding("wrong-shape", f"{shapes}: they must be the same.")
    if close(fitted).all():
        finding = replace(finding, message=f"{finding.message} The numbers are right.", explains=1.0)
    return fitted, [finding]

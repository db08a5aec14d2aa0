"""The faults that are tried: a path left out, a mask forgotten, labels off by one, …

Each function yields the faults of one kind that are possible in a recording.  A gradient with the same numbers as a
backward pass with a fault most likely has this fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from operator import getitem
from typing import Any

import numpy as np

from coursekit._typing import Array
from coursekit.autograd.ops import put
from coursekit.autograd.tensor import OPERATIONS, Node

from .recording import Edge, Fault, Recording


def faults(record: Recording) -> list[Fault]:
    """Return all faults that are possible in a recording, the likelier ones first."""
    found: list[Fault] = []
    for kind in (_masks, _one_row, _one_example, _paths, _labels, _orientation, _upstreams):
        found.extend(kind(record))
    return found


CHOICES = (np.maximum, np.minimum, np.fmax, np.fmin, np.where)


def _masks(record: Recording) -> Iterator[Fault]:
    """Yield wrong masks of a maximum, of np.where, or of a product with zeros and ones."""
    for node in record.nodes:
        operation = OPERATIONS.get(node.vjps)
        if operation in CHOICES:
            edges = [(node, argnum) for argnum, source in enumerate(node.inputs) if source is not None]
        elif operation is np.multiply:
            edges = [(node, i) for i in (0, 1) if node.inputs[i] is not None and _is_mask(node.args[1 - i])]
        else:
            continue
        where = "maximum(·, ·)" if len(edges) > 1 else "ReLU, or max(0, ·)"
        for text, instead in (
            ("lets everything through: its gradient is 0 where its input is negative (the mask is missing)", _unmasked),
            ("is masked the wrong way round: the gradient passes where the input was chosen", _inverted),
            (BY_UPSTREAM, _by_upstream),
            (BY_UPSTREAM, _by_both),
        ):
            yield Fault("relu-mask", f"The {where} {text}.", edges=dict.fromkeys(edges, instead))
        if len(edges) == 2:
            chosen = {edges[0]: _by_upstream, edges[1]: _by_upstream_below}
            yield Fault("relu-mask", f"The {where} {BY_UPSTREAM}.", edges=chosen)
        for text, mask in _other_masks(record, node) if operation in (np.maximum, np.minimum) else ():
            masks = mask, np.logical_not(mask)
            flowing = {edge: partial(_by_mask, masks[edge[1] != edges[0][1]]) for edge in edges}
            yield Fault("relu-mask", f"The {where} is masked by {text}.", edges=flowing)
        for edge in edges if len(edges) > 1 else ():
            text = f"The {where} hands the whole gradient to one of its arguments: each gets it where it is the larger."
            others = dict.fromkeys(set(edges) - {edge})
            yield Fault("relu-mask", text, edges={edge: _unmasked, **others})
            one = f"The gradient of the {where} reaches only one of its arguments; the other has its share too."
            yield Fault("fan-out-overwritten", one, edges=others)


BY_UPSTREAM = "is masked by the sign of the upstream gradient; the mask is that of the input"


def _other_masks(record: Recording, node: Node) -> Iterator[tuple[str, Array]]:
    """Yield masks of the input without its bias, or without the margin."""
    values = [np.asarray(arg, dtype=float) for arg in node.args[:2]]
    larger = np.greater if OPERATIONS.get(node.vjps) is np.maximum else np.less
    without = [_without_bias(record, source, value) for source, value in zip(node.inputs, values, strict=True)]
    if any(new is not old for new, old in zip(without, values, strict=True)):
        first = 0 if node.inputs[0] is not None else 1
        yield "the input without its bias", larger(without[first], without[1 - first])
    if sum(source is not None for source in node.inputs) == 1:
        k = 0 if node.inputs[0] is not None else 1
        yield "the input without the margin: the hinge is at s_j − s_y + 1 = 0", larger(values[k] - 1, values[1 - k])


def _without_bias(record: Recording, source: Node | None, value: Array) -> Array:
    if source is None or OPERATIONS.get(source.vjps) is not np.add:
        return value
    for name, leaf in record.leaves.items():
        if leaf in source.inputs and np.ndim(record.parameters[name]) < value.ndim:
            return np.asarray(value - record.parameters[name])
    return value


def _is_mask(array: Any) -> bool:
    values = np.asarray(array)
    return values.ndim > 0 and bool(np.all((values == 0) | (values == 1))) and bool(values.any() and not values.all())


def _unmasked(g: Array, contribution: Array, shape: tuple[int, ...]) -> Array:
    return g


def _inverted(g: Array, contribution: Array, shape: tuple[int, ...]) -> Array:
    return g - contribution


def _by_upstream(g: Array, contribution: Array, shape: tuple[int, ...]) -> Array:
    return g * (g > 0)


def _by_upstream_below(g: Array, contribution: Array, shape: tuple[int, ...]) -> Array:
    return g * (g <= 0)


def _by_both(g: Array, contribution: Array, shape: tuple[int, ...]) -> Array:
    return contribution * (g > 0)


def _by_mask(mask: Array, g: Array, contribution: Array, shape: tuple[int, ...]) -> Array:
    return g * mask


def _one_row(record: Recording) -> Iterator[Fault]:
    """Yield gradients of a broadcast bias that are not summed over the batch."""
    for node in record.nodes:
        for argnum, source in enumerate(node.inputs):
            if source is None or node.fits is None or node.fits[argnum] is None or node not in record.upstreams:
                continue
            shape = node.fits[argnum][0]
            if shape == np.shape(record.upstreams[node]) or not shape:
                continue
            text = "is that of one example alone: sum over the batch, because all examples share the parameter"
            for which in (0, -1):
                one = {(node, argnum): partial(_row, which)}
                yield Fault("batch-not-summed", f"The gradient of something broadcast {text}.", edges=one)


def _one_example(record: Recording) -> Iterator[Fault]:
    """Yield X.T @ dY of one example alone, where the sum over all is needed."""
    text = "Only one example's gradient is left: in a loop over the batch they must be added (+=, not =)."
    for node in record.nodes:
        if OPERATIONS.get(node.vjps) is not np.matmul or node.inputs[1] is None:
            continue
        x = node.args[0]
        if np.ndim(x) == 2 and len(x) > 1:
            for which in (-1, 0):
                one = {(node, 1): partial(_product_of_row, x, which)}
                yield Fault("batch-not-summed", text, edges=one)


def _product_of_row(x: Array, which: int, g: Array, contribution: Array, shape: tuple[int, ...]) -> Array:
    return x[which] * g[which] if g.ndim == 1 else np.outer(x[which], g[which])


def _row(which: int, g: Array, contribution: Array, shape: tuple[int, ...]) -> Array:
    while contribution.ndim > len(shape):
        contribution = contribution[which]
    for axis, n in enumerate(shape):
        if n == 1 and contribution.shape[axis] != 1:
            contribution = np.take(contribution, [which], axis)
    return contribution


def _paths(record: Recording) -> Iterator[Fault]:
    """Yield lost gradients of a value that is used more than once: they must be added."""
    for _, arriving in list(record.arriving.items()):
        edges = [edge for edge, _ in arriving if edge not in record.penalties]
        if len(edges) < 2:
            continue
        for edge in edges:
            if _picks_class(edge):
                text = "The correct class is missing: its score enters the loss a second time, by itself"
                yield Fault("correct-class-missing", f"{text}, and has a gradient for that.", edges={edge: None})
        for edge in edges:
            if not _picks_class(edge):
                text = "A value is used more than once, and one of its gradients is lost: add them (+=, not =)."
                yield Fault("fan-out-overwritten", text, edges={edge: None})
        if len(edges) > 2:
            for edge in edges:
                text = "A value is used more than once, and only one of its gradients is kept: add them (+=, not =)."
                yield Fault("fan-out-overwritten", text, edges=dict.fromkeys(set(edges) - {edge}))
        for edge in edges:
            text = "Where a value is used more than once, one of its gradients has the wrong sign."
            yield Fault("sign", text, edges={edge: _negative})


def _negative(g: Array, contribution: Array, shape: tuple[int, ...]) -> Array:
    return -contribution


def _picks_class(edge: Edge) -> bool:
    """Return whether this picks one entry of each row: scores[np.arange(N), y], or a product with a one-hot matrix."""
    node, argnum = edge
    operation = OPERATIONS.get(node.vjps)
    if operation is getitem:
        return any(_integers(part) for part in _parts(node.args[1]))
    return operation is np.multiply and _is_one_hot(node.args[1 - argnum])


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _integers(part: Any) -> bool:
    return isinstance(part, list | np.ndarray) and np.asarray(part).dtype.kind in "iu"


def _is_one_hot(array: Any) -> bool:
    return np.ndim(array) == 2 and _is_mask(array) and bool(np.all(np.sum(array, axis=1) == 1))


def _labels(record: Recording) -> Iterator[Fault]:
    text = "The labels are off by one: they count from 0, so y[i] is the column of the correct class."
    for node in record.nodes:
        for argnum, source in enumerate(node.inputs):
            if source is None or not _picks_class((node, argnum)):
                continue
            for by in (-1, 1):
                yield Fault("label-shift", text, edges={(node, argnum): partial(_shifted, node, argnum, by)})


def _shifted(node: Node, argnum: int, by: int, g: Array, contribution: Array, shape: tuple[int, ...]) -> Array:
    if OPERATIONS.get(node.vjps) is np.multiply:
        return np.asarray(g * np.roll(node.args[1 - argnum], by, axis=-1))
    source = node.args[0].shape
    index = _parts(node.args[1])
    moved = []
    for axis, part in enumerate(index):
        rows = _integers(part) and np.array_equal(part, np.arange(len(part)))
        moved.append((np.asarray(part) + by) % source[axis] if _integers(part) and not rows else part)
    return np.asarray(put(g, tuple(moved), source))


def _orientation(record: Recording) -> Iterator[Fault]:
    """Yield products with a square matrix that is not transposed: NumPy accepts them."""
    text = "In a product's gradient a square matrix is not transposed: dX = dY @ W.T, dW = X.T @ dY."
    for node in record.nodes:
        if OPERATIONS.get(node.vjps) is not np.matmul or (node.ans is None and not node.args):
            continue
        for argnum, source in enumerate(node.inputs):
            other = node.args[1 - argnum]
            if source is not None and np.ndim(other) == 2 and other.shape[0] == other.shape[1]:
                yield Fault("transposed", text, edges={(node, argnum): partial(_untransposed, other, argnum)})


def _untransposed(other: Array, argnum: int, g: Array, contribution: Array, shape: tuple[int, ...]) -> Array:
    return np.asarray(g @ other if argnum == 0 else other @ g)


def _upstreams(record: Recording) -> Iterator[Fault]:
    text = "The upstream gradient is ignored: each local gradient is multiplied by what comes from above."
    for node in record.nodes:
        g = record.upstreams.get(node)
        if g is not None and not np.all(g == 1):
            yield Fault("upstream-ignored", text, upstream={node: np.ones_like})

"""Backpropagation with one thing done wrong at one place.

A function is recorded with the engine, and its record is gone over backwards once for each fault that a
student may have made: a path left out, a mask forgotten, the labels off by one.  Whoever gets the
same numbers has most likely made the same fault.

What the faults are is said at the end, each as a few lines about an operation or a branch of the record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import getitem
from typing import Any

import numpy as np

from coursekit._typing import Array
from coursekit.autograd.ops import put
from coursekit.autograd.tensor import OPERATIONS, Node, Tensor, recording, tape, unbroadcast

Edge = tuple[Node, int]  # a node, and which of its arguments
Flow = Callable[[Array, Array, tuple[int, ...]], Array]
Gradients = dict[str, Array]


@dataclass(frozen=True)
class Fault:
    """Something done wrong on the way back.

    Attributes
    ----------
    code, message
        As in a finding.
    upstream : dict of functions
        What is made of the upstream gradient of a node before its rules see it.
    edges : dict of functions
        (upstream, contribution, shape) -> what flows to this argument instead; None: nothing.
    """

    code: str
    message: str
    upstream: Mapping[Node, Callable[[Array], Array]] = field(default_factory=dict)
    edges: Mapping[Edge, Flow | None] = field(default_factory=dict)

    def and_also(self, other: Fault) -> Fault:
        return Fault(self.code, self.message, {**self.upstream, **other.upstream}, {**self.edges, **other.edges})


NONE = Fault("", "")


class Recording:
    """The nodes between some parameters and ΣY·upstream, where Y is what f returns.

    Raises
    ------
    Exception
        Whatever f and the engine make of each other: not every function can be recorded.
    """

    def __init__(self, f: Callable[[dict[str, Any]], Any], parameters: dict[str, Array], upstream: Array | None):
        tensors = {name: Tensor(np.array(x, dtype=float), requires_grad=True) for name, x in parameters.items()}
        with recording(True), np.errstate(all="ignore"):
            output = f(tensors)
        if not isinstance(output, Tensor) or output.node is None:
            raise TypeError("the result does not depend on the parameters, as far as the engine can see")
        self.parameters = parameters
        self.leaves: dict[str, Any] = {name: tensor.node for name, tensor in tensors.items()}
        self.root = output.node
        self.seed = np.ones(output.shape) if upstream is None else np.asarray(upstream, float).reshape(output.shape)
        self.nodes = tape(self.root)
        self.arriving: dict[Node, list[tuple[Edge, Array]]] = defaultdict(list)
        self.upstreams: dict[Node, Array] = {}
        self.penalties: frozenset[Edge] = frozenset()
        self.cancelled: set[Node] = set()
        self.right = self.gradients(NONE, note=True)
        self.penalties = frozenset(self._penalties())
        self.data: Gradients = self.gradients(NONE)
        if not any(np.any(gradient) for gradient in self.data.values()):
            self.penalties, self.data = frozenset(), self.right  # a regulariser of nothing is the function itself
        self.penalty: Gradients = {name: self._sum_of_penalties(name) for name in parameters}

    def gradients(self, fault: Fault, note: bool = False) -> Gradients:
        """The gradients of the parameters when `fault` is made, without those of the regulariser."""
        arrived: dict[Node, Array] = {self.root: self.seed}
        summands: dict[Node, Array] = {self.root: np.abs(self.seed)}
        for node in reversed(self.nodes):
            if node not in arrived or not node.inputs or node in self.cancelled:
                continue
            g = arrived[node]
            if note:
                if np.max(np.abs(g), initial=0) <= 1e-12 * np.max(summands[node], initial=0) > 0:
                    self.cancelled.add(node)  # such as the maximum that a stable softmax subtracts: nobody goes there
                    continue
                self.upstreams[node] = g
            if node in fault.upstream:
                g = fault.upstream[node](g)
            for argnum, source in enumerate(node.inputs):
                edge = node, argnum
                if source is None or edge in self.penalties:
                    continue
                instead = fault.edges.get(edge, "right")
                if instead is None:
                    continue
                contribution = node.vjps[argnum](g, node.ans, *node.args)
                shape = node.fits[argnum][0] if node.fits is not None else contribution.shape
                if callable(instead):
                    contribution = instead(g, contribution, shape)
                size, contribution = np.abs(contribution), unbroadcast(contribution, shape)
                if note:
                    self.arriving[source].append((edge, contribution))
                    summands[source] = summands.get(source, 0) + unbroadcast(size, shape)
                arrived[source] = arrived[source] + contribution if source in arrived else contribution
        return {
            name: np.array(arrived[leaf], dtype=float) if leaf in arrived else np.zeros(np.shape(self.parameters[name]))
            for name, leaf in self.leaves.items()
        }

    def _penalties(self) -> Iterator[Edge]:
        """What reaches a parameter as a multiple of this parameter itself: the gradient of reg·ΣW²."""
        for name, leaf in self.leaves.items():
            x = self.parameters[name]
            for edge, contribution in self.arriving[leaf]:
                if any(source is not leaf for source in edge[0].inputs if source is not None):
                    continue  # a product with something else
                there = contribution != 0
                if np.sum(there) < 2 or not np.all(x[there]):
                    continue
                ratios = contribution[there] / x[there]
                if np.ptp(ratios) <= 1e-9 * np.max(np.abs(ratios)):
                    yield edge

    def _sum_of_penalties(self, name: str) -> Array:
        found = [g for edge, g in self.arriving[self.leaves[name]] if edge in self.penalties]
        return np.sum(found, axis=0) if found else np.zeros(np.shape(self.parameters[name]))


# --- The faults ---------------------------------------------------------------------------------------


def faults(record: Recording) -> list[Fault]:
    """Every fault that the record gives an occasion for, the likelier ones first."""
    found: list[Fault] = []
    for kind in (_masks, _one_row, _one_example, _paths, _labels, _orientation, _upstreams):
        found.extend(kind(record))
    return found


CHOICES = (np.maximum, np.minimum, np.fmax, np.fmin, np.where)


def _masks(record: Recording) -> Iterator[Fault]:
    """A maximum, a choice, or a product with a mask of zeros and ones."""
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
    """Masks from the input as it was before a bias or a margin came to it."""
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
    """A bias that was broadcast over the batch: its gradient is a sum."""
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
    """X.T @ dY is a sum over the rows of both, one for each example."""
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
    """A value that is used more than once: the gradients of its uses add up."""
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
    """Whether one entry of each row is used here: scores[np.arange(N), y], or a product with a one-hot matrix."""
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
    """A product with a square matrix, which NumPy lets pass untransposed."""
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

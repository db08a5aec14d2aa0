"""A function as the engine records it, with a backward pass that can make a mistake at one place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from coursekit._typing import Array
from coursekit.autograd.tensor import Node, Tensor, recording, tape, unbroadcast

Edge = tuple[Node, int]  # a node and the position of an argument
Flow = Callable[[Array, Array, tuple[int, ...]], Array]
Gradients = dict[str, Array]


@dataclass(frozen=True)
class Fault:
    """A mistake in a backward pass.

    Attributes
    ----------
    code, message
        As in a finding.
    upstream : dict of functions
        Functions that replace the upstream gradient of a node.
    edges : dict of functions
        Functions of (upstream, contribution, shape) that replace the gradient which flows to an argument; None: no
        gradient flows.
    """

    code: str
    message: str
    upstream: Mapping[Node, Callable[[Array], Array]] = field(default_factory=dict)
    edges: Mapping[Edge, Flow | None] = field(default_factory=dict)

    def and_also(self, other: Fault) -> Fault:
        return Fault(self.code, self.message, {**self.upstream, **other.upstream}, {**self.edges, **other.edges})


NONE = Fault("", "")


class Recording:
    """The nodes between the parameters and ΣY·upstream, where Y = f(parameters).

    Raises
    ------
    Exception
        Of any kind: not every function can be recorded.
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
            self.penalties, self.data = frozenset(), self.right  # a function that is only a regulariser is no penalty
        self.penalty: Gradients = {name: self._sum_of_penalties(name) for name in parameters}

    def gradients(self, fault: Fault, note: bool = False) -> Gradients:
        """Return the gradients of the parameters with `fault`, without those of the regulariser.

        With `note`, keep what arrives at each node.
        """
        arrived: dict[Node, Array] = {self.root: self.seed}
        summands: dict[Node, Array] = {self.root: np.abs(self.seed)}
        for node in reversed(self.nodes):
            if node not in arrived or not node.inputs or node in self.cancelled:
                continue
            g = arrived[node]
            if note:
                if np.max(np.abs(g), initial=0) <= 1e-12 * np.max(summands[node], initial=0) > 0:
                    self.cancelled.add(node)  # such as the maximum that a stable softmax subtracts: no gradient flows
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
        """Yield the edges on which a multiple of a parameter reaches this parameter: the gradient of reg·ΣW²."""
        for name, leaf in self.leaves.items():
            x = self.parameters[name]
            for edge, contribution in self.arriving[leaf]:
                if any(source is not leaf for source in edge[0].inputs if source is not None):
                    continue  # a product with another value
                there = contribution != 0
                if np.sum(there) < 2 or not np.all(x[there]):
                    continue
                ratios = contribution[there] / x[there]
                if np.ptp(ratios) <= 1e-9 * np.max(np.abs(ratios)):
                    yield edge

    def _sum_of_penalties(self, name: str) -> Array:
        found = [g for edge, g in self.arriving[self.leaves[name]] if edge in self.penalties]
        return np.sum(found, axis=0) if found else np.zeros(np.shape(self.parameters[name]))

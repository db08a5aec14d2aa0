"""graph: the computation itself, as nodes that can be looked at, drawn, and written out again.

Its nodes are of three kinds: inputs, parameters, and what is computed from them.

Source: the computational graphs of the first and the fifth lecture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from coursekit.autograd.scalar import Value
from coursekit.autograd.transforms import positions
from coursekit.diagrams import show_graph
from coursekit.tracing.source import ATOM, Writer
from coursekit.tracing.trace import trace_of
from coursekit.tracing.values import named_circuit

__all__ = ["Graph", "GraphNode", "graph"]


@dataclass
class GraphNode:
    """A node of a computational graph.

    Attributes
    ----------
    name : str
    kind : str
        ``"input"`` (data), ``"parameter"`` (its gradient is wanted) or ``"compute"``.
    operation : str
        How it is computed from the names of other nodes; empty for inputs and parameters.
    inputs : list of str
        The names of the nodes that it is computed from.
    value : number or array
    grad : number or array, or None
        The gradient of the result with respect to this node; None where nothing depends on a parameter.

    Source: the three kinds of nodes on the slides of the fifth lecture.

    Examples
    --------
    >>> graph(lambda w: w * w, 3.0).nodes[0]
    GraphNode(name='w', kind='parameter', operation='', inputs=[], value=3.0, grad=6.0)
    """

    name: str
    kind: str
    operation: str = ""
    inputs: list[str] = field(default_factory=list)
    value: Any = None
    grad: Any = None


class Graph:
    """What `graph` returns: the nodes in the order of the forward pass, inputs before what is computed from them.

    Attributes
    ----------
    nodes : list of GraphNode
    edges : list of (str, str)
        From the name of an input to the name of what it is used in, once for each use.

    Examples
    --------
    >>> graph(lambda x, y: x * y, 2.0, 3.0).edges
    [('x', 'times'), ('y', 'times')]
    """

    def __init__(self, nodes: list[GraphNode]) -> None:
        self.nodes = nodes

    def __getitem__(self, name: str) -> GraphNode:
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(f"no node is called {name!r}; there are {', '.join(node.name for node in self.nodes)}")

    def __iter__(self) -> Iterator[GraphNode]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def edges(self) -> list[tuple[str, str]]:
        return [(source, node.name) for node in self.nodes for source in node.inputs]

    def to_dict(self) -> dict[str, Any]:
        """Return nodes and edges as plain lists and numbers, for drawings of your own."""
        nodes = [
            {
                **vars(node),
                "inputs": list(node.inputs),
                "value": np.asarray(node.value).tolist(),
                "grad": np.asarray(node.grad).tolist(),
            }
            for node in self.nodes
        ]
        return {"nodes": nodes, "edges": [list(edge) for edge in self.edges]}

    def __repr__(self) -> str:
        rows = [("node", "kind", "computed as", "value", "gradient")]
        rows += [(n.name, n.kind, n.operation, _brief(n.value), _brief(n.grad)) for n in self.nodes]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join(line.rstrip() for line in lines)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Return the drawing, if it can be read, and the table."""
        try:
            bundle = show_graph(self)._repr_mimebundle_()
        except ValueError:  # too many nodes
            bundle = {}
        return bundle | {"text/plain": repr(self)}


def graph(f: Callable[..., Any] | Value, *examples: Any, argnums: Sequence[int] | None = None) -> Graph:
    """Return the computation of `f` at `examples` as a graph, with values and gradients.

    Parameters
    ----------
    f : callable, or Value
        Returns a single number; plain NumPy code, or code for `Value`.  A `Value` that has been computed already
        gives its circuit.
    *examples : arrays, numbers or Values
        The arguments of `f`.
    argnums : sequence of int
        Which arguments are parameters, the others being inputs.  Unless given: all with floating-point numbers.

    Returns
    -------
    Graph
        Its ``repr`` is a table of the nodes; names are those of the arguments and local variables of `f`.
        On the last line of a cell it is drawn (:func:`coursekit.diagrams.show_graph`).

    Source: the computational graphs of the first and the fifth lecture.

    Raises
    ------
    TypeError
        If `f` does not return a single number, or asks a number to decide something (``if x > 0``): a
        graph holds one course of a computation. Write ``np.where`` instead.

    Examples
    --------
    >>> def f(x, y, z):
    ...     q = x + y
    ...     return q * z
    >>> graph(f, -2.0, 5.0, -4.0)
    node   kind       computed as  value  gradient
    x      parameter               -2     -4
    y      parameter               5      -4
    z      parameter               -4     3
    q      compute    x + y        3      -4
    times  compute    q * z        -12    1
    """
    if isinstance(f, Value) or any(isinstance(example, Value) for example in examples):
        return _of_values(f, examples, argnums)
    trace = trace_of(f, examples, argnums)
    writer = Writer(lambda source: (source.name, ATOM))
    nodes = []
    for line in trace.live(backward=False):
        gradient = trace.gradients.get(line)
        nodes.append(
            GraphNode(
                line.name,
                line.kind,
                "" if line.function is None else writer.expression(line)[0],
                [source.name for source in line.sources()],
                _shown(line.value),
                None if gradient is None else _shown(gradient.value),
            )
        )
    return Graph(nodes)


def _shown(value: Any) -> Any:
    return value.item() if value.ndim == 0 else value


def _brief(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float):
        return f"{value:.4g}"
    if np.size(value) > 6:
        return f"{np.asarray(value).dtype} {np.shape(value)}"
    return np.array2string(np.asarray(value), precision=4, separator=", ").replace("\n", "")


def _of_values(f: Any, examples: tuple[Any, ...], argnums: Sequence[int] | None) -> Graph:
    examples = tuple(example if isinstance(example, Value) else Value(example) for example in examples)
    output, names = named_circuit(f, examples)
    before = {value: value.grad for value in names}
    for value in names:
        value.grad = 0.0
    output.backward()
    chosen = range(len(examples)) if argnums is None else positions(argnums, len(examples))
    inputs = {example for i, example in enumerate(examples) if i not in chosen}
    nodes = []
    for value in names:
        texts = [names[x] if isinstance(x, Value) else f"{x:g}" for x in value.inputs]
        nodes.append(
            GraphNode(
                names[value],
                "compute" if value.operation else "input" if value in inputs else "parameter",
                _infix(value.operation, texts),
                [names[x] for x in value.inputs if isinstance(x, Value)],
                value.value,
                value.grad,
            )
        )
        value.grad = before[value]  # looking at a circuit leaves its gradients as they were
    return Graph(nodes)


def _infix(operation: str, texts: list[str]) -> str:
    if operation == "neg":
        return f"-{texts[0]}"
    return f" {operation} ".join(texts) if len(texts) == 2 else f"{operation}({texts[0]})" if texts else ""

"""show_circuit, show_graph and show_values: the same picture of three kinds of circuits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from coursekit.diagrams.canvas import Diagram
from coursekit.diagrams.layout import MOST, Node, draw
from coursekit.diagrams.reader import SIGNS, Circuit, symbol_of_text
from coursekit.diagrams.text import shown


class GraphNode(Protocol):
    """What `show_graph` draws of a node: one of `coursekit.tracing.graph`, or of a graph of your own."""

    name: str
    kind: str
    operation: str
    inputs: list[str]
    value: Any
    grad: Any


class Graph(Protocol):
    """Nodes, each after its inputs."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[GraphNode]: ...


def show_circuit(
    statements: str,
    *,
    values: bool | Mapping[str, Any] = True,
    gradients: bool | Iterable[str] | Mapping[str, Any] = True,
    parameters: Iterable[str] = (),
    each: str = "operation",
    decimals: int = 2,
    caption: str = "",
    **numbers: Any,
) -> Diagram:
    """Draw a circuit: values above each wire in green, gradients below in orange.

    Parameters
    ----------
    statements : str
        One ``name = expression`` a line (or between semicolons), as in Python; the last one is the output.
        Names that are never computed are inputs. There are + - * / ** and abs, cos, exp, log, max, maximum,
        min, minimum, relu, sigmoid, sin, sqrt, square and tanh, with ``np.`` in front or without.
    values : bool, or dict
        False leaves them out. A dict has numbers of your own, or texts such as a shape; what it does not
        name is shown as "?", and so is None. Inputs are as given.
    gradients : bool, names, or dict
        False leaves them out; names say which ones to show; a dict has numbers of your own, or texts.
    parameters : names
        Which inputs are parameters; they are drawn with another shape and colour.
    each : {"operation", "statement"}
        What becomes a node: every operation, so that a nested expression makes nodes without a name; or every
        statement, drawn with its name inside.
    decimals : int
        How many places after the point are shown.
    caption : str
        What stands below, before the legend.
    **numbers : float
        One for each input. Without any, only the structure is drawn, and functions may have any name.

    Returns
    -------
    Diagram

    Raises
    ------
    ValueError
        If the text is not a circuit or the numbers do not fit to it; it says where and what to do.

    Notes
    -----
    The gradients are measured, not derived: the value of a node is moved a little to both sides, and what comes
    after it is computed again (central differences). They are right to more digits than are shown, except at a
    kink, such as max of two equal numbers, where the slopes of both sides are averaged, and "?" where one side
    has no value.

    Source: the circuits of the first, second and fourth lecture.

    Examples
    --------
    >>> print(show_circuit("q = x + y; f = q * x", x=3, y=-1).text)      # x is used twice
    x: input, value 3, gradient 5
    y: input, value −1, gradient 3
    q = x + y: value 2, gradient 3
    f = q * x: value 6, gradient 1
    >>> print(show_circuit("f = (x + y) * z", x=-2, y=5, z=-4, gradients=["x"], values={"f": None}).text)
    x: input, value −2, gradient −4
    y: input, value 5
    (x + y): value ?
    z: input, value −4
    f = (x + y) * z: value ?
    """
    circuit = Circuit(statements, each, numbers)
    if not isinstance(gradients, bool | Mapping):
        gradients = list(gradients)
    return draw(circuit.nodes(values, gradients, list(parameters), decimals), caption)


def show_graph(graph: Graph, *, decimals: int = 2, caption: str = "") -> Diagram:
    """Draw what `coursekit.tracing.graph` returns; a graph on the last line of a cell is drawn by itself.

    Numbers are shown as in `show_circuit`, of arrays their shape.

    Examples
    --------
    >>> from coursekit.tracing import graph
    >>> print(show_graph(graph(lambda x, y: x * y, 2.0, 3.0)).text)
    x: parameter, value 2, gradient 3
    y: parameter, value 3, gradient 2
    times = x * y: value 6, gradient 1
    """
    if len(graph) > MOST:
        raise ValueError(f"show_graph: {len(graph)} nodes cannot be read in one picture; up to {MOST} can.")
    nodes = []
    for node in graph:
        said, inside = node.name, node.name
        if node.inputs:
            said, inside = f"{node.name} = {node.operation}", symbol_of_text(node.operation)
        value = shown(node.value, decimals)
        gradient = "" if node.grad is None else shown(node.grad, decimals)
        label = node.name if node.inputs else ""
        nodes.append(Node(node.name, node.kind, inside, node.inputs, label, said, value, gradient))
    return draw(nodes, caption)


def show_values(output: Any, *, decimals: int = 2, caption: str = "", **names: Any) -> Diagram:
    """Draw what a `Value` was computed from, with the values and gradients that are in it now.

    Parameters
    ----------
    output : Value
        Of the engine, or of a class of your own: anything with the attributes `value`, `grad` and `inputs`, a
        sequence of more of its kind. If there is an `operation`, it is written in the node.
    **names : Value
        What to call some of them.

    Examples
    --------
    >>> from coursekit.autograd import Value
    >>> x, y = Value(2.0), Value(3.0)
    >>> f = x * y
    >>> f.backward()
    >>> print(show_values(f, x=x, y=y, f=f).text)
    x: input, value 2, gradient 3
    y: input, value 3, gradient 2
    f: value 6, gradient 1
    """
    called = {id(value): name for name, value in names.items()}
    nodes = {}
    for value in _in_order(output):
        name = called.get(id(value), "")
        inputs = _inputs(value)
        operation = str(getattr(value, "operation", ""))
        nodes[id(value)] = Node(
            id(value),
            kind="compute" if inputs else "input",
            inside=SIGNS.get(operation, operation) if inputs and operation else name,
            inputs=[id(source) for source in inputs],
            label=name if inputs and operation else "",
            said=name or ("a node" if inputs else "a number"),
            value=shown(value.value, decimals),
            gradient=shown(value.grad, decimals),
        )
    return draw(list(nodes.values()), caption)


def _in_order(output: Any) -> list[Any]:
    """All values that `output` was computed from, and itself, each after its inputs."""
    found: dict[int, Any] = {}
    stack = [(output, False)]
    while stack:
        value, ready = stack.pop()
        for attribute in ("value", "grad", "inputs"):
            if not hasattr(value, attribute):
                raise TypeError(f"show_values: {value!r} has no {attribute}; it needs value, grad and inputs.")
        if id(value) in found:
            continue
        if ready:
            found[id(value)] = value
        else:
            stack.append((value, True))
            stack.extend((source, False) for source in reversed(_inputs(value)))
        if len(found) > MOST or len(stack) > 100 * MOST:
            raise ValueError(f"show_values: more than {MOST} nodes cannot be read in one picture.")
    return list(found.values())


def _inputs(value: Any) -> list[Any]:
    """Those that are nodes; the engine keeps constants as plain numbers."""
    return [source for source in value.inputs if hasattr(source, "inputs")]

"""show_circuit, show_graph and show_values: pictures of three kinds of circuits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from coursekit.diagrams.canvas import Diagram
from coursekit.diagrams.layout import MOST, Node, draw
from coursekit.diagrams.reader import SIGNS, Circuit, symbol_of_text
from coursekit.diagrams.text import shown


class GraphNode(Protocol):
    """The attributes of a node that `show_graph` draws; `coursekit.tracing.graph` has such nodes."""

    name: str
    kind: str
    operation: str
    inputs: list[str]
    value: Any
    grad: Any


class Graph(Protocol):
    """A graph whose nodes come after their inputs."""

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
        One ``name = expression`` per line (or between semicolons), as in Python; the last one is the output.
        Names that are never computed are inputs. The operations are + - * / ** and abs, cos, exp, log, max, maximum,
        min, minimum, relu, sigmoid, sin, sqrt, square and tanh, with or without ``np.``.
    values : bool, or dict
        False hides them. A dict has your own numbers, or texts such as a shape; names that are missing in it, or
        None, are shown as "?". Inputs keep their numbers.
    gradients : bool, names, or dict
        False hides them; names are those to show; a dict has your own numbers or texts.
    parameters : names
        The inputs that are parameters; they have another shape and colour.
    each : {"operation", "statement"}
        What is a node: every operation, so that a nested expression has nodes without a name, or every
        statement, drawn with its name inside.
    decimals : int
        The number of decimals.
    caption : str
        The text below, before the legend.
    **numbers : float
        The value of each input. Without any, only the structure is drawn, and functions may have any name.

    Returns
    -------
    Diagram

    Raises
    ------
    ValueError
        If the text is not a circuit, or the numbers do not fit it; the message says where, and what to do.

    Notes
    -----
    The gradients are measured with central differences: the value of a node is moved a little to both sides, and the
    later nodes are computed again. They are right to more digits than are shown. At a kink, such as the max of two
    equal numbers, they are the mean of both slopes; "?" means that one side has no value.

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
    nodes = circuit.nodes(values, gradients, list(parameters), decimals)
    unknown = any("?" in (node.value, node.gradient) for node in nodes)
    return draw(nodes, caption, circuit.computed.note if circuit.computed and unknown else "")


def show_graph(graph: Graph, *, decimals: int = 2, caption: str = "") -> Diagram:
    """Draw the result of `coursekit.tracing.graph`, which is also drawn on the last line of a cell.

    Numbers are shown as in `show_circuit`, and arrays by their shape.

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
    """Draw the computation of a `Value`, with its current values and gradients.

    Parameters
    ----------
    output : Value
        From the engine, or from your own class: any object with the attributes `value`, `grad` and `inputs`, a
        sequence of such objects. An attribute `operation` is written in the node.
    **names : Value
        Names for some of them.

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
    """Return `output` and all values that it was computed from, each after its inputs."""
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
    """Return the inputs that are nodes; the engine keeps constants as plain numbers."""
    return [source for source in value.inputs if hasattr(source, "inputs")]

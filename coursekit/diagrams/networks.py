"""Gates, layers of units, and chains of operations: show_gates, show_layers and show_chain."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from coursekit.diagrams.canvas import BLUE, GREEN, GREY, ORANGE, PALE, Canvas, Diagram
from coursekit.diagrams.text import listed, shown, width_of

# Sign, what it does to a gradient, forward, backward.
_GATES: dict[str, tuple[str, str, Callable[..., Any], Callable[..., Any]]] = {
    "add": ("+", "hands out", lambda x, y: (x + y,), lambda x, y, dz: (dz, dz)),
    "multiply": ("×", "swaps", lambda x, y: (x * y,), lambda x, y, dz: (dz * y, dz * x)),
    "copy": ("copy", "collects", lambda x: (x, x), lambda x, da, db: (da + db,)),
    "max": ("max", "picks", lambda x, y: (max(x, y),), lambda x, y, dz: (dz, 0) if x > y else (0, dz)),
}
_GATE_LEVEL = 100


def show_gates(**gates: tuple[Sequence[float], Sequence[float]]) -> Diagram:
    """Draw gates with their values and gradients.

    Parameters
    ----------
    **gates : (input values, upstream gradients)
        Two values and one gradient for ``add``, ``multiply`` and ``max``; one value and two gradients for ``copy``.

    Source: the patterns in backward flow of the first, second and fourth lecture.

    Examples
    --------
    >>> print(show_gates(multiply=([2, 3], [5]), copy=([7], [4, 2])).text)
    multiply swaps: values 2 and 3 in, 6 out; gradients 5 coming back, 15 and 10 passed on
    copy collects: values 7 in, 7 and 7 out; gradients 4 and 2 coming back, 6 passed on
    """
    if not gates or not gates.keys() <= _GATES.keys():
        raise ValueError(f"show_gates: draw one or some of {', '.join(_GATES)}, for example add=([3, 4], [2]).")
    canvas = Canvas(245 * len(gates), 175)
    told = [_draw_gate(canvas, 122 + 245 * i, name, numbers) for i, (name, numbers) in enumerate(gates.items())]
    return canvas.diagram(
        caption="Values above in green, gradients below in orange",
        alt=f"Gates. {'. '.join(told)}.",
        text="\n".join(told),
    )


def _draw_gate(canvas: Canvas, x: float, name: str, numbers: tuple[Sequence[float], Sequence[float]]) -> str:
    """Draw the gate `name` around `x` and describe it in words."""
    sign, pattern, forward, backward = _GATES[name]
    try:
        values, upstream = numbers
        outputs = forward(*values)
        downstream = backward(*values, *upstream)
    except (TypeError, ValueError) as error:
        usage = "copy=([7], [4, 2])" if name == "copy" else f"{name}=([3, 4], [2])"
        raise ValueError(f"show_gates: {name} is written like {usage}, not {numbers!r}.") from error
    canvas.text(x, 22, f"{name}: {pattern}", size=16)
    _draw_ports(canvas, x, -1, values, downstream)
    _draw_ports(canvas, x, 1, outputs, upstream)
    canvas.circle(x, _GATE_LEVEL, sign, radius=24, size=14)
    spoken = [" and ".join(shown(n, 2) for n in group) for group in (values, outputs, upstream, downstream)]
    return (
        f"{name} {pattern}: values {spoken[0]} in, {spoken[1]} out; "
        f"gradients {spoken[2]} coming back, {spoken[3]} passed on"
    )


def _draw_ports(canvas: Canvas, x: float, side: int, values: Sequence[float], gradients: Sequence[float]) -> None:
    """Draw the inputs on the left (`side` −1) or the outputs on the right (1) of a gate at `x`."""
    for k, (value, gradient) in enumerate(zip(values, gradients, strict=True)):
        level = _GATE_LEVEL + (72 * k - 36 if len(values) == 2 else 0)
        near, bend = _GATE_LEVEL + (level - _GATE_LEVEL) / 4, x + 52 * side
        far, gate = (x + 105 * side, level), (x + 24 * side, near)
        middle = x + 72 * side
        ends = ((middle, level), (bend + 10 * side, level), (bend, near), gate)
        canvas.line(middle, level, *far, tip=side > 0)
        canvas.curve(*(ends if side < 0 else ends[::-1]), tip=side < 0)
        canvas.text(x + 88 * side, level - 8, shown(value, 2), GREEN)
        canvas.text(x + 88 * side, level + 20, shown(gradient, 2), ORANGE)


def show_layers(
    sizes: Sequence[int],
    *,
    weights: Sequence[Any] | None = None,
    activations: Sequence[str] | None = None,
    caption: str = "",
) -> Diagram:
    """Draw a fully connected network: a column of units for each layer, each unit joined to all of the next.

    Parameters
    ----------
    sizes : sequence of int
        Units in each layer, input first; up to 20 in a layer.
    weights : sequence of arrays, optional
        One for each pair of neighbours, shape (units on the right, units on the left), as in x₁ = W₀ x₀; then
        the units are numbered. For layers of up to 4 units.
    activations : sequence of str, optional
        The text in the units of each layer.
    caption : str

    Source: the architectures of the fourth lecture, and the network of five nodes of the third.

    Examples
    --------
    >>> print(show_layers([2, 1], weights=[[[0.5, -2.0]]]).text)
    Layers of 2, 1 units.
    weights from node 1 to 3: 0.50, 2 to 3: −2
    """
    sizes = list(sizes)
    insides = [""] * len(sizes) if activations is None else list(activations)
    tables = None if weights is None else [_table(W) for W in weights]
    _require_layers(sizes, insides, tables)
    network = _Network(sizes, insides, tables)
    said = f"Layers of {', '.join(map(str, sizes))} units."
    lines = [said, *network.draw_connections()]
    network.draw_units()
    lines += [f"in the units: {', '.join(inside or 'nothing' for inside in insides)}"] if any(insides) else []
    usual = f"Fully connected network with layers of {', '.join(map(str, sizes))} units"
    return network.canvas.diagram(
        caption=caption or usual + (", weights in blue" if tables else ""),
        alt=f"Fully connected network: each unit is joined to all of the next layer. {'; '.join(lines)}",
        text="\n".join(lines),
    )


def _table(W: Any) -> list[list[float]]:
    rows = W.tolist() if hasattr(W, "tolist") else W
    try:
        return [[float(entry) for entry in row] for row in rows]
    except TypeError as error:
        raise ValueError(f"show_layers: weights holds matrices, not {W!r}.") from error


def _require_layers(sizes: list[int], insides: list[str], tables: list[list[list[float]]] | None) -> None:
    if len(sizes) < 2 or not all(isinstance(size, int) and 1 <= size <= 20 for size in sizes):
        raise ValueError(f"show_layers: sizes has two or more layers of 1 to 20 units, not {sizes}.")
    if len(insides) != len(sizes):
        raise ValueError(f"show_layers: activations has {len(insides)} entries for {len(sizes)} layers.")
    if tables is None:
        return
    if max(sizes) > 4:
        raise ValueError("show_layers: weights can be read for layers of up to 4 units; leave them out here.")
    wanted = [(right, left) for left, right in itertools.pairwise(sizes)]
    if [(len(W), *{len(row) for row in W}) for W in tables] != wanted:
        raise ValueError(
            f"show_layers: for layers of {sizes} the weights have the shapes {wanted}, transposed from X @ W."
        )


class _Unit(NamedTuple):
    x: float
    y: float
    number: int


class _Network:
    """A fully connected network on its canvas, with the weights at the connections if `tables` has them."""

    def __init__(self, sizes: list[int], insides: list[str], tables: list[list[list[float]]] | None) -> None:
        self.insides, self.tables = insides, tables
        self.radius, pitch, down = (23, 225, 112) if tables else (16, 150, 50)
        self.height = down * (max(sizes) - 1) + 100
        self.canvas = Canvas(pitch * (len(sizes) - 1) + 130, self.height + (0 if tables else 38))
        numbers = itertools.count(1)
        self.layers = [
            [
                _Unit(65 + pitch * k, self.height / 2 + down * (unit - (size - 1) / 2), next(numbers))
                for unit in range(size)
            ]
            for k, size in enumerate(sizes)
        ]

    def draw_connections(self) -> list[str]:
        """Draw all connections and describe their weights, if there are any."""
        told = []
        for k, (left, right) in enumerate(itertools.pairwise(self.layers)):
            for (i, start), (j, end) in itertools.product(enumerate(left), enumerate(right)):
                self._draw_connection(start, end)
                if self.tables:
                    crossing = len(left) > 1 and len(right) > 1
                    weight = self.tables[k][j][i]
                    self._draw_weight(start, end, weight, at=0.28 if crossing else 0.5)
                    told.append(f"{start.number} to {end.number}: {shown(weight, 2)}")
        return [f"weights from node {', '.join(told)}"] if told else []

    def _draw_connection(self, start: _Unit, end: _Unit) -> None:
        across, up = end.x - start.x, end.y - start.y
        length = math.hypot(across, up)
        dx, dy = (self.radius + 2) * across / length, (self.radius + 2) * up / length
        colour = GREY if self.tables else "#aaaaaa"
        self.canvas.line(start.x + dx, start.y + dy, end.x - dx, end.y - dy, colour, tip=bool(self.tables))

    def _draw_weight(self, start: _Unit, end: _Unit, weight: float, at: float) -> None:
        """Write the weight beside its arrow, at the fraction `at` of its length, away from other arrows."""
        aside = 0 if start.y == end.y else 10 if start.y < end.y else -10
        x, y = start.x + at * (end.x - start.x) + aside, start.y + at * (end.y - start.y) - 6
        self.canvas.text(x, y, f"{weight:.2f}".replace("-", "−"), BLUE)

    def draw_units(self) -> None:
        """Draw the units; below them their numbers, if there are weights, or else the name of their layer."""
        last = len(self.layers) - 1
        for k, (layer, inside) in enumerate(zip(self.layers, self.insides, strict=True)):
            for unit in layer:
                fill = PALE if k in (0, last) else "#cfe3f2"
                self.canvas.circle(unit.x, unit.y, inside, radius=self.radius, fill=fill, size=14)
                if self.tables:
                    self.canvas.text(unit.x, unit.y + self.radius + 18, f"node {unit.number}", size=14)
            if not self.tables:
                name = "input" if k == 0 else "output" if k == last else f"hidden layer {k}"
                self.canvas.text(layer[0].x, self.height + 6, name, size=14)
                self.canvas.text(layer[0].x, self.height + 24, len(layer), size=14)


def show_chain(
    operations: Sequence[str],
    values: Mapping[str, Any],
    gradients: Mapping[str, Any] | None = None,
    *,
    parameters: Mapping[str, str] | None = None,
    decimals: int = 4,
    caption: str = "",
) -> Diagram:
    """Draw operations in a row, with forward values above and backward gradients below.

    Parameters
    ----------
    operations : sequence of str
        The text in the boxes.
    values : dict
        The forward values in order, one more than there are operations: by name a number, a few numbers, a
        shape as text, or "" for the name alone.
    gradients : dict, optional
        The gradients by the same names and those of the parameters: numbers or a text. A value without a
        gradient has no arrow back.
    parameters : dict, optional
        The name of the parameter, drawn below its operation, by the text of the operation.
    decimals : int
    caption : str

    Source: the chains of layers of the third and fourth lecture.

    Examples
    --------
    >>> print(show_chain(["square", "× 2"], {"x": 3, "y": 9, "L": 18}, {"x": 12, "y": 2}).text)
    x: value 3, gradient 12
    square
    y: value 9, gradient 2
    × 2
    L: value 18
    """
    operations, gradients, parameters = list(operations), dict(gradients or {}), dict(parameters or {})
    _require_chain(operations, values, gradients, parameters)
    forward = {name: listed(value, decimals) for name, value in values.items()}
    back = {name: listed(value, decimals) for name, value in gradients.items()}
    boxes = [max(64.0, width_of(label, 15) + 20) for label in operations]
    gaps = [
        max(56.0, *(width_of(label, 15) + 14 for label in (name, forward[name], back.get(name, "")))) for name in values
    ]
    canvas = Canvas(sum(boxes) + sum(gaps) + 24, 192 if parameters else 128)
    x, lines = 12.0, []
    for k, name in enumerate(values):
        lines.append(_draw_flow(canvas, x, gaps[k], name, forward[name], back.get(name)))
        x += gaps[k]
        if k < len(operations):
            lines.append(_draw_operation(canvas, x, boxes[k], operations[k], parameters.get(operations[k]), back))
            x += boxes[k]
    legend = "forwards above in green" + (", gradients backwards below in orange" if back else "")
    return canvas.diagram(
        caption=f"{caption}: {legend}" if caption else legend.capitalize(),
        alt=f"{caption or 'Chain of operations'}. {'; '.join(lines)}.",
        text="\n".join(lines),
    )


def _require_chain(
    operations: list[str], values: Mapping[str, Any], gradients: dict[str, Any], parameters: dict[str, str]
) -> None:
    if not operations or len(values) != len(operations) + 1:
        raise ValueError(
            f"show_chain: {len(operations)} operations have {len(operations) + 1} values around them, "
            f"not {len(values)}."
        )
    for what, names, known in (
        ("gradients", gradients, [*values, *parameters.values()]),
        ("parameters", parameters, operations),
    ):
        for name in names:
            if name not in known:
                raise ValueError(f"show_chain: {what} names {name!r}, but there are only {', '.join(known)}.")


def _draw_flow(canvas: Canvas, x: float, gap: float, name: str, value: str, gradient: str | None) -> str:
    """Draw the value between two operations, in the `gap` to the right of `x`, and describe it in words."""
    middle = x + gap / 2
    canvas.line(x + 3, 60, x + gap - 3, 60, tip=True)
    canvas.text(middle, 20 if value else 45, name)
    canvas.text(middle, 45, value, GREEN)
    said = [f"value {value}"] if value else []
    if gradient is not None:
        canvas.line(x + gap - 3, 86, x + 3, 86, ORANGE, tip=True)
        canvas.text(middle, 110, gradient, ORANGE)
        said.append(f"gradient {gradient}")
    return f"{name}: {', '.join(said)}" if said else name


def _draw_operation(
    canvas: Canvas, x: float, width: float, operation: str, parameter: str | None, gradients: dict[str, str]
) -> str:
    """Draw the box of an operation to the right of `x`, with its parameter below, and describe it in words."""
    middle = x + width / 2
    canvas.box(middle, 73, operation, width=width, height=50)
    if parameter is None:
        return operation
    canvas.line(middle, 138, middle, 99, tip=True)
    canvas.text(middle, 155, parameter)
    canvas.text(middle, 177, gradients.get(parameter, ""), ORANGE)
    gradient = f", gradient {gradients[parameter]}" if parameter in gradients else ""
    return f"{operation}, with the parameter {parameter}{gradient}"

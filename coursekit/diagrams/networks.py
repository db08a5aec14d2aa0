"""show_gates, show_layers and show_chain."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from coursekit.diagrams.canvas import BLUE, GREEN, GREY, ORANGE, PALE, Canvas, Diagram
from coursekit.diagrams.text import listed, shown, width_of

# Sign, what it does to a gradient, forward, backward.
_GATES: dict[str, tuple[str, str, Callable[..., Any], Callable[..., Any]]] = {
    "add": ("+", "hands out", lambda x, y: (x + y,), lambda x, y, dz: (dz, dz)),
    "multiply": ("×", "swaps", lambda x, y: (x * y,), lambda x, y, dz: (dz * y, dz * x)),
    "copy": ("copy", "collects", lambda x: (x, x), lambda x, da, db: (da + db,)),
    "max": ("max", "picks", lambda x, y: (max(x, y),), lambda x, y, dz: (dz, 0) if x > y else (0, dz)),
}


def show_gates(**gates: tuple[Sequence[float], Sequence[float]]) -> Diagram:
    """Draw gates with their values and gradients: add hands out, multiply swaps, copy collects, max picks.

    Parameters
    ----------
    **gates : (values that go in, gradients that come back)
        For ``add``, ``multiply`` and ``max`` two values and one gradient, for ``copy`` one and two.

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
    told = []
    for i, (name, numbers) in enumerate(gates.items()):
        sign, pattern, forward, backward = _GATES[name]
        try:
            values, upstream = numbers
            outputs = forward(*values)
            downstream = backward(*values, *upstream)
        except (TypeError, ValueError) as error:
            usage = "copy=([7], [4, 2])" if name == "copy" else f"{name}=([3, 4], [2])"
            raise ValueError(f"show_gates: {name} is written like {usage}, not {numbers!r}.") from error
        x, y = 122 + 245 * i, 100
        canvas.text(x, 22, f"{name}: {pattern}", size=16)
        sides = ((-1, values, downstream), (1, outputs, upstream))
        for side, above, below in sides:
            for k, (value, gradient) in enumerate(zip(above, below, strict=True)):
                level = y + (72 * k - 36 if len(above) == 2 else 0)
                near, bend = y + (level - y) / 4, x + 52 * side
                far, gate = (x + 105 * side, level), (x + 24 * side, near)
                middle = x + 72 * side
                ends = ((middle, level), (bend + 10 * side, level), (bend, near), gate)
                canvas.line(middle, level, *far, tip=side > 0)
                canvas.curve(*(ends if side < 0 else ends[::-1]), tip=side < 0)
                canvas.text(x + 88 * side, level - 8, shown(value, 2), GREEN)
                canvas.text(x + 88 * side, level + 20, shown(gradient, 2), ORANGE)
        canvas.circle(x, y, sign, radius=24, size=14)
        spoken = [" and ".join(shown(n, 2) for n in group) for group in (values, outputs, upstream, downstream)]
        told.append(
            f"{name} {pattern}: values {spoken[0]} in, {spoken[1]} out; "
            f"gradients {spoken[2]} coming back, {spoken[3]} passed on"
        )
    return canvas.diagram(
        caption="Values above in green, gradients below in orange",
        alt=f"Gates. {'. '.join(told)}.",
        text="\n".join(told),
    )


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
        What to write into the units of each layer.
    caption : str

    Source: the architectures of the fourth lecture, and the network of five nodes of the third.

    Examples
    --------
    >>> print(show_layers([2, 1], weights=[[[0.5, -2.0]]]).text)
    Layers of 2, 1 units.
    weights from node 1 to 3: 0.50, 2 to 3: −2
    """
    sizes = list(sizes)
    if len(sizes) < 2 or not all(isinstance(size, int) and 1 <= size <= 20 for size in sizes):
        raise ValueError(f"show_layers: sizes has two or more layers of 1 to 20 units, not {sizes}.")
    insides = [""] * len(sizes) if activations is None else list(activations)
    if len(insides) != len(sizes):
        raise ValueError(f"show_layers: activations has {len(insides)} entries for {len(sizes)} layers.")
    if weights is not None and max(sizes) > 4:
        raise ValueError("show_layers: weights can be read for layers of up to 4 units; leave them out here.")
    tables = [] if weights is None else [_table(W) for W in weights]
    wanted = [(right, left) for left, right in itertools.pairwise(sizes)]
    if weights is not None and [(len(W), *{len(row) for row in W}) for W in tables] != wanted:
        raise ValueError(
            f"show_layers: for layers of {sizes} the weights have the shapes {wanted}, transposed from X @ W."
        )

    radius, pitch, down = (23, 225, 112) if tables else (16, 150, 50)
    height = down * (max(sizes) - 1) + 100
    canvas = Canvas(pitch * (len(sizes) - 1) + 130, height + (0 if tables else 38))
    numbers = itertools.count(1)
    layers = []
    for k, size in enumerate(sizes):
        x = 65 + pitch * k
        layers.append([(x, height / 2 + down * (unit - (size - 1) / 2), next(numbers)) for unit in range(size)])
    told = []
    for k, (left, right) in enumerate(itertools.pairwise(layers)):
        for i, (x1, y1, start) in enumerate(left):
            for j, (x2, y2, end) in enumerate(right):
                length = math.hypot(x2 - x1, y2 - y1)
                dx, dy = (radius + 2) * (x2 - x1) / length, (radius + 2) * (y2 - y1) / length
                canvas.line(x1 + dx, y1 + dy, x2 - dx, y2 - dy, GREY if tables else "#aaaaaa", tip=bool(tables))
                if tables:
                    weight = tables[k][j][i]
                    at = 0.28 if len(left) > 1 and len(right) > 1 else 0.5  # where crossing arrows are apart
                    aside = 0 if y1 == y2 else 10 if y1 < y2 else -10  # off the arrow
                    canvas.text(
                        x1 + at * (x2 - x1) + aside, y1 + at * (y2 - y1) - 6, f"{weight:.2f}".replace("-", "−"), BLUE
                    )
                    told.append(f"{start} to {end}: {shown(weight, 2)}")
    for k, (layer, inside) in enumerate(zip(layers, insides, strict=True)):
        name = "input" if k == 0 else "output" if k == len(sizes) - 1 else f"hidden layer {k}"
        for x, y, number in layer:
            fill = PALE if k in (0, len(sizes) - 1) else "#cfe3f2"
            canvas.circle(x, y, inside, radius=radius, fill=fill, size=14)
            if tables:
                canvas.text(x, y + radius + 18, f"node {number}", size=14)
        if not tables:
            canvas.text(layer[0][0], height + 6, name, size=14)
            canvas.text(layer[0][0], height + 24, len(layer), size=14)
    said = f"Layers of {', '.join(map(str, sizes))} units."
    lines = [said, *([f"weights from node {', '.join(told)}"] if told else [])]
    lines += [f"in the units: {', '.join(inside or 'nothing' for inside in insides)}"] if any(insides) else []
    return canvas.diagram(
        caption=caption
        or f"Fully connected network with layers of {', '.join(map(str, sizes))} units"
        + (", weights in blue" if tables else ""),
        alt=f"Fully connected network: each unit is joined to all of the next layer. {'; '.join(lines)}",
        text="\n".join(lines),
    )


def show_chain(
    operations: Sequence[str],
    values: Mapping[str, Any],
    gradients: Mapping[str, Any] | None = None,
    *,
    parameters: Mapping[str, str] | None = None,
    decimals: int = 4,
    caption: str = "",
) -> Diagram:
    """Draw operations in a row: what flows forwards above, and the gradients that flow backwards below.

    Parameters
    ----------
    operations : sequence of str
        What is written in the boxes.
    values : dict
        What flows forwards, in order, one more than there are operations: its name, and a number, a few
        numbers, a shape as text, or "" for the name alone.
    gradients : dict, optional
        By the same names (and those of the parameters) what flows back: numbers, or a text. What is left out
        has no arrow.
    parameters : dict, optional
        From the text of an operation to the name of its parameter, which is drawn below it.
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
    forward = {name: listed(value, decimals) for name, value in values.items()}
    back = {name: listed(value, decimals) for name, value in gradients.items()}
    boxes = [max(64.0, width_of(words, 15) + 20) for words in operations]
    gaps = [
        max(56.0, *(width_of(words, 15) + 14 for words in (name, forward[name], back.get(name, "")))) for name in values
    ]
    canvas = Canvas(sum(boxes) + sum(gaps) + 24, 192 if parameters else 128)
    x, lines = 12.0, []
    for k, name in enumerate(values):
        middle = x + gaps[k] / 2
        canvas.line(x + 3, 60, x + gaps[k] - 3, 60, tip=True)
        canvas.text(middle, 20 if forward[name] else 45, name)
        canvas.text(middle, 45, forward[name], GREEN)
        said = [f"value {forward[name]}"] if forward[name] else []
        if name in back:
            canvas.line(x + gaps[k] - 3, 86, x + 3, 86, ORANGE, tip=True)
            canvas.text(middle, 110, back[name], ORANGE)
            said.append(f"gradient {back[name]}")
        lines.append(f"{name}: {', '.join(said)}" if said else name)
        x += gaps[k]
        if k < len(operations):
            words = operations[k]
            canvas.box(x + boxes[k] / 2, 73, words, width=boxes[k], height=50)
            lines.append(words)
            if words in parameters:
                own = parameters[words]
                canvas.line(x + boxes[k] / 2, 138, x + boxes[k] / 2, 99, tip=True)
                canvas.text(x + boxes[k] / 2, 155, own)
                canvas.text(x + boxes[k] / 2, 177, back.get(own, ""), ORANGE)
                lines[-1] += f", with the parameter {own}" + (f", gradient {back[own]}" if own in back else "")
            x += boxes[k]
    legend = "forwards above in green" + (", gradients backwards below in orange" if back else "")
    return canvas.diagram(
        caption=f"{caption}: {legend}" if caption else legend.capitalize(),
        alt=f"{caption or 'Chain of operations'}. {'; '.join(lines)}.",
        text="\n".join(lines),
    )


def _table(W: Any) -> list[list[float]]:
    rows = W.tolist() if hasattr(W, "tolist") else W
    try:
        return [[float(entry) for entry in row] for row in rows]
    except TypeError as error:
        raise ValueError(f"show_layers: weights holds matrices, not {W!r}.") from error

"""Where the nodes of a graph stand, and its drawing: inputs on the left, the output on the right."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coursekit.diagrams.canvas import GREEN, GREY, ORANGE, PALE, Canvas, Diagram
from coursekit.diagrams.text import width_of

MOST = 60  # nodes that can be read in one picture
FILLS = {"input": "#dbeafe", "parameter": "#fde68a", "compute": PALE}


@dataclass
class Node:
    """A node of a circuit as it is drawn."""

    key: Any
    kind: str  # input, parameter or compute
    inside: str
    inputs: list[Any] = field(default_factory=list)
    label: str = ""  # beside it
    said: str = ""  # what a text calls it
    value: str = ""
    gradient: str = ""


_Place = tuple[Any, int]  # a node or, where a long wire passes a column, a wire: its source and that column


def _columns(inputs: Mapping[Any, Sequence[Any]]) -> dict[Any, int]:
    """A node stands right of all of its inputs, and an input just left of its first use."""
    column: dict[Any, int] = {}
    for node, sources in inputs.items():
        column[node] = 1 + max((column[source] for source in sources), default=-1)
    for node, sources in inputs.items():
        uses = [column[user] for user in inputs if node in inputs[user]]
        if not sources and uses:
            column[node] = min(uses) - 1
    return column


def _rows(inputs: Mapping[Any, Sequence[Any]], column: Mapping[Any, int]) -> dict[_Place, float]:
    """A height for every node and every long wire in each column that it passes, so that few lines cross."""
    left: dict[_Place, list[_Place]] = {(node, column[node]): [] for node in inputs}
    for node, sources in inputs.items():
        for source in dict.fromkeys(sources):
            for at in range(column[source] + 1, column[node]):
                left.setdefault((source, at), [(source, at - 1)])
            left[node, column[node]].append((source, column[node] - 1))
    right: dict[_Place, list[_Place]] = {place: [] for place in left}
    for place, sources in left.items():
        for source in sources:
            right[source].append(place)

    layers: list[list[_Place]] = [[] for _ in range(1 + max(column.values()))]
    stack, seen = [place for place in left if not right[place]], set()
    while stack:  # from the outputs backwards: then a tree is drawn without crossings
        place = stack.pop()
        if place not in seen:
            seen.add(place)
            layers[place[1]].append(place)
            stack.extend(reversed(left[place]))

    best = _fewer_crossings(layers, left, right)
    height = {place: float(i) for layer in best for i, place in enumerate(layer)}

    def settle(layer: list[_Place], neighbours: Callable[[_Place], list[_Place]]) -> None:
        wished = [_mean([height[other] for other in neighbours(place)] or [height[place]]) for place in layer]
        # A wire alone needs less room than a node with its numbers.
        alone = [column[node] != at for node, at in layer]
        room = [0.7 if a or b else 1.0 for a, b in itertools.pairwise(alone)]
        height.update(zip(layer, _apart(wished, room), strict=True))

    for _ in range(40):
        for layer in itertools.chain(best, reversed(best)):
            settle(layer, lambda place: left[place] + right[place])
    for layer in best:  # what follows from one node alone goes straight on
        settle(layer, lambda place: left[place] if len(left[place]) == 1 else [])
    lowest = min(height.values())
    return {place: y - lowest for place, y in height.items()}


def _fewer_crossings(
    layers: list[list[_Place]], left: Mapping[_Place, list[_Place]], right: Mapping[_Place, list[_Place]]
) -> list[list[_Place]]:
    """Sort every column by the mean place of its neighbours, from both sides in turn; the best try wins."""

    def crossings(order: list[list[_Place]]) -> int:
        total = 0
        for before, layer in itertools.pairwise(order):
            at = {place: i for i, place in enumerate(before)}
            lines = [(at[source], i) for i, place in enumerate(layer) for source in left[place]]
            total += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in itertools.combinations(lines, 2))
        return total

    best, fewest = [list(layer) for layer in layers], crossings(layers)
    for sweep in range(8):
        if fewest == 0:
            break
        neighbours = left if sweep % 2 == 0 else right
        at = {place: float(i) for layer in layers for i, place in enumerate(layer)}
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            layer.sort(key=lambda place: _mean([at[other] for other in neighbours[place]] or [at[place]]))
            at.update({place: float(i) for i, place in enumerate(layer)})
        if crossings(layers) < fewest:
            best, fewest = [list(layer) for layer in layers], crossings(layers)
    return best


def _apart(wished: Sequence[float], room: Sequence[float]) -> list[float]:
    """The heights next to the wished ones (least squares) that keep their order and this much room between them.

    >>> _apart([1.0, 1.0, 5.0], [1.0, 1.0])
    [0.5, 1.5, 5.0]
    """
    offsets = [0.0, *itertools.accumulate(room)]
    blocks: list[list[float]] = []
    for wish, offset in zip(wished, offsets, strict=True):
        blocks.append([wish - offset])
        while len(blocks) > 1 and _mean(blocks[-2]) > _mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    heights = [_mean(block) for block in blocks for _ in block]
    return [height + offset for height, offset in zip(heights, offsets, strict=True)]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


_ROW, _ABOVE, _BELOW, _RADIUS = 76, 46, 36, 21


def draw(nodes: Sequence[Node], caption: str) -> Diagram:
    """Draw nodes, which are in an order in which they can be computed, and wires with their numbers."""
    inputs = {node.key: node.inputs for node in nodes}
    column = _columns(inputs)
    row = _rows(inputs, column)
    half = {node.key: max(_RADIUS, width_of(node.inside, 14) / 2 + 8) for node in nodes}
    columns = range(1 + max(column.values()))
    widest = [max((half[key] for key in half if column[key] == c), default=_RADIUS) for c in columns]
    wire = [56.0 for _ in columns]
    for node in nodes:
        longest = max(width_of(node.value, 15), width_of(node.gradient, 15), width_of(node.label, 12))
        wire[column[node.key]] = max(wire[column[node.key]], longest + 12)
    bend = 34
    centre = [12 + widest[0]]
    for c in columns[1:]:
        centre.append(centre[-1] + widest[c - 1] + wire[c - 1] + bend + widest[c])

    def y_of(place: _Place) -> float:
        return _ABOVE + _ROW * row[place]

    canvas = Canvas(centre[-1] + widest[-1] + wire[-1] + 12, _ABOVE + _ROW * max(row.values()) + _BELOW)
    used = {source for node in nodes for source in node.inputs}
    drawn: set[_Place] = set()

    def reach(source: Any, c: int) -> tuple[float, float]:
        """Draw the wire of a source up to the right end of column c, and return that point."""
        end = centre[c] + widest[c] + wire[c]
        if (source, c) in drawn:
            return end, y_of((source, c))
        drawn.add((source, c))
        y = y_of((source, c))
        if c == column[source]:
            canvas.line(centre[c] + half[source], y, end, y)
            return end, y
        start, start_y = reach(source, c - 1)
        begin = centre[c] - widest[c]
        canvas.curve((start, start_y), (start + bend / 2, start_y), (begin - bend / 2, y), (begin, y))
        canvas.line(begin, y, end, y)
        return end, y

    for node in nodes:
        x, y, c = centre[column[node.key]], y_of((node.key, column[node.key])), column[node.key]
        if node.key not in used:
            canvas.line(x + half[node.key], y, x + widest[c] + wire[c], y, tip=True)
        arriving = sorted(node.inputs, key=lambda source: row[source, c - 1])
        for i, source in enumerate(arriving):
            start, start_y = reach(source, c - 1)
            off = 0.0 if len(arriving) == 1 else 9 * (2 * i / (len(arriving) - 1) - 1)
            edge = x - half[node.key] * math.sqrt(1 - (off / _RADIUS) ** 2)
            canvas.curve(
                (start, start_y), (start + bend / 2, start_y), (edge - bend / 2, y + off), (edge, y + off), tip=True
            )
        middle = x + half[node.key] + (widest[c] - half[node.key] + wire[c]) / 2
        if node.kind == "compute":
            canvas.circle(x, y, node.inside, radius=_RADIUS, width=2 * half[node.key], size=14)
            canvas.text(middle, y - 26, node.label, GREY, size=12, italic=True)
        else:
            corner = 10 if node.kind == "parameter" else 0
            fill = FILLS[node.kind]
            canvas.box(x, y, node.inside, width=2 * half[node.key], height=30, corner=corner, fill=fill, size=14)
        if node.value:
            canvas.text(middle, y - 8, node.value, GREEN)
        if node.gradient:
            canvas.text(middle, y + 20, node.gradient, ORANGE)

    return canvas.diagram(**_told(nodes, caption))


def _told(nodes: Sequence[Node], caption: str) -> dict[str, str]:
    """The caption, the alt text and the text."""
    lines = []
    for node in nodes:
        parts = [node.kind] if node.kind != "compute" else []
        parts += [f"value {node.value}"] if node.value else []
        parts += [f"gradient {node.gradient}"] if node.gradient else []
        lines.append(f"{node.said}: {', '.join(parts)}" if parts else node.said)
    legend = ["values above in green"] if any(node.value for node in nodes) else []
    legend += ["gradients below in orange"] if any(node.gradient for node in nodes) else []
    if any(node.kind == "parameter" for node in nodes):
        legend.append("parameters round and yellow, inputs with corners, computed nodes in circles")
    below = f"{caption}: {', '.join(legend)}" if caption and legend else caption or ", ".join(legend).capitalize()
    alt = f"{caption or 'Circuit'}. {'; '.join(lines)}."
    return {"caption": below or "A circuit", "alt": alt, "text": "\n".join(lines)}

"""The layout of a graph and its drawing: inputs on the left, the output on the right."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coursekit.diagrams.canvas import GREEN, GREY, ORANGE, PALE, Canvas, Diagram
from coursekit.diagrams.text import width_of

MOST = 60  # nodes that are readable in one picture
FILLS = {"input": "#dbeafe", "parameter": "#fde68a", "compute": PALE}


@dataclass
class Node:
    """A node of a circuit, as it is drawn."""

    key: Any
    kind: str  # input, parameter or compute
    inside: str
    inputs: list[Any] = field(default_factory=list)
    label: str = ""  # shown beside the node
    said: str = ""  # its name in texts
    value: str = ""
    gradient: str = ""


_Place = tuple[Any, int]  # a node, or a long wire in a column that it passes: the node or source, and the column
_Neighbours = dict[_Place, list[_Place]]


def _columns(inputs: Mapping[Any, Sequence[Any]]) -> dict[Any, int]:
    """Return the column of each node: on the right of all its inputs; for an input, just left of its first use."""
    column: dict[Any, int] = {}
    for node, sources in inputs.items():
        column[node] = 1 + max((column[source] for source in sources), default=-1)
    for node, sources in inputs.items():
        uses = [column[user] for user in inputs if node in inputs[user]]
        if not sources and uses:
            column[node] = min(uses) - 1
    return column


def _rows(inputs: Mapping[Any, Sequence[Any]], column: Mapping[Any, int]) -> dict[_Place, float]:
    """Return heights for all nodes, and for long wires in each column that they pass, so that few lines cross."""
    left, right = _neighbours(inputs, column)
    layers: list[list[_Place]] = [[] for _ in range(1 + max(column.values()))]
    for place in _from_outputs(left, right):
        layers[place[1]].append(place)
    best = _fewer_crossings(layers, left, right)
    height = {place: float(i) for layer in best for i, place in enumerate(layer)}

    def settle(layer: list[_Place], neighbours: Callable[[_Place], list[_Place]]) -> None:
        wished = [_mean([height[other] for other in neighbours(place)] or [height[place]]) for place in layer]
        # A wire needs less room than a node with its numbers.
        alone = [column[node] != at for node, at in layer]
        room = [0.7 if a or b else 1.0 for a, b in itertools.pairwise(alone)]
        height.update(zip(layer, _apart(wished, room), strict=True))

    for _ in range(40):
        for layer in itertools.chain(best, reversed(best)):
            settle(layer, lambda place: left[place] + right[place])
    for layer in best:  # a node with one input stands beside it
        settle(layer, lambda place: left[place] if len(left[place]) == 1 else [])
    lowest = min(height.values())
    return {place: y - lowest for place, y in height.items()}


def _neighbours(inputs: Mapping[Any, Sequence[Any]], column: Mapping[Any, int]) -> tuple[_Neighbours, _Neighbours]:
    """Return the neighbours of each place in the column on its left, and in that on its right."""
    left: _Neighbours = {(node, column[node]): [] for node in inputs}
    for node, sources in inputs.items():
        for source in dict.fromkeys(sources):
            for at in range(column[source] + 1, column[node]):
                left.setdefault((source, at), [(source, at - 1)])
            left[node, column[node]].append((source, column[node] - 1))
    right: _Neighbours = {place: [] for place in left}
    for place, places in left.items():
        for other in places:
            right[other].append(place)
    return left, right


def _from_outputs(left: _Neighbours, right: _Neighbours) -> Iterator[_Place]:
    """Return all places in depth-first order from the outputs: so a tree has no crossings."""
    stack, seen = [place for place in left if not right[place]], set()
    while stack:
        place = stack.pop()
        if place not in seen:
            seen.add(place)
            yield place
            stack.extend(reversed(left[place]))


def _fewer_crossings(layers: list[list[_Place]], left: _Neighbours, right: _Neighbours) -> list[list[_Place]]:
    """Sort each column by the mean place of its neighbours, from both sides in turn; return the best order."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers, left)
    for sweep in range(8):
        if fewest == 0:
            break
        neighbours = left if sweep % 2 == 0 else right
        at = {place: float(i) for layer in layers for i, place in enumerate(layer)}
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            layer.sort(key=lambda place: _mean([at[other] for other in neighbours[place]] or [at[place]]))
            at.update({place: float(i) for i, place in enumerate(layer)})
        if (now := _crossings(layers, left)) < fewest:
            best, fewest = [list(layer) for layer in layers], now
    return best


def _crossings(layers: list[list[_Place]], left: _Neighbours) -> int:
    """Count the pairs of lines that cross between two columns."""
    total = 0
    for before, layer in itertools.pairwise(layers):
        at = {place: i for i, place in enumerate(before)}
        lines = [(at[source], i) for i, place in enumerate(layer) for source in left[place]]
        total += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in itertools.combinations(lines, 2))
    return total


def _apart(wished: Sequence[float], room: Sequence[float]) -> list[float]:
    """Return the heights closest to the wished ones (least squares) with the same order and this room between them.

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
_BEND = 34  # the room for wires between two columns


def draw(nodes: Sequence[Node], caption: str, note: str = "") -> Diagram:
    """Draw nodes, each after its inputs, and wires with their numbers; `note` is a sentence below the picture."""
    drawing = _Drawing(nodes)
    for node in nodes:
        drawing.draw_wires(node)
        drawing.draw_node(node)
    return drawing.canvas.diagram(**_in_words(nodes, caption, note))


class _Drawing:
    """Nodes and wires on a canvas: each column has its centre, its widest node and the length of its wires."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        inputs = {node.key: node.inputs for node in nodes}
        self.column = _columns(inputs)
        self.row = _rows(inputs, self.column)
        self.used = {source for node in nodes for source in node.inputs}
        self.half = {node.key: max(_RADIUS, width_of(node.inside, 14) / 2 + 8) for node in nodes}
        columns = range(1 + max(self.column.values()))
        self.widest = [
            max((self.half[key] for key in inputs if self.column[key] == c), default=_RADIUS) for c in columns
        ]
        self.wire = [56.0 for _ in columns]
        for node in nodes:
            c = self.column[node.key]
            longest = max(width_of(node.value, 15), width_of(node.gradient, 15), width_of(node.label, 12))
            self.wire[c] = max(self.wire[c], longest + 12)
        self.centre = [12 + self.widest[0]]
        for c in columns[1:]:
            self.centre.append(self.centre[-1] + self.widest[c - 1] + self.wire[c - 1] + _BEND + self.widest[c])
        width = self.centre[-1] + self.widest[-1] + self.wire[-1] + 12
        self.canvas = Canvas(width, _ABOVE + _ROW * max(self.row.values()) + _BELOW)
        self.drawn: set[_Place] = set()

    def draw_wires(self, node: Node) -> None:
        """Draw the wires that arrive at `node`, and the arrow that leaves it if nothing uses it."""
        c = self.column[node.key]
        x, y, half = self.centre[c], self._y((node.key, c)), self.half[node.key]
        if node.key not in self.used:
            self.canvas.line(x + half, y, x + self.widest[c] + self.wire[c], y, tip=True)
        arriving = sorted(node.inputs, key=lambda source: self.row[source, c - 1])
        for i, source in enumerate(arriving):
            start = self._reach(source, c - 1)
            off = 0.0 if len(arriving) == 1 else 9 * (2 * i / (len(arriving) - 1) - 1)
            edge = x - half * math.sqrt(1 - (off / _RADIUS) ** 2)
            self._draw_bend(start, (edge, y + off), tip=True)

    def draw_node(self, node: Node) -> None:
        """Draw `node`, with its value above its wire and its gradient below."""
        c = self.column[node.key]
        x, y, half = self.centre[c], self._y((node.key, c)), self.half[node.key]
        middle = x + half + (self.widest[c] - half + self.wire[c]) / 2
        if node.kind == "compute":
            self.canvas.circle(x, y, node.inside, radius=_RADIUS, width=2 * half, size=14)
            self.canvas.text(middle, y - 26, node.label, GREY, size=12, italic=True)
        else:
            corner = 10 if node.kind == "parameter" else 0
            fill = FILLS[node.kind]
            self.canvas.box(x, y, node.inside, width=2 * half, height=30, corner=corner, fill=fill, size=14)
        if node.value:
            self.canvas.text(middle, y - 8, node.value, GREEN)
        if node.gradient:
            self.canvas.text(middle, y + 20, node.gradient, ORANGE)

    def _y(self, place: _Place) -> float:
        return _ABOVE + _ROW * self.row[place]

    def _reach(self, source: Any, c: int) -> tuple[float, float]:
        """Draw the wire of a source up to the right end of column c, and return that point."""
        y = self._y((source, c))
        end = self.centre[c] + self.widest[c] + self.wire[c]
        if (source, c) in self.drawn:
            return end, y
        self.drawn.add((source, c))
        begin = self.centre[c] + self.half[source]
        if c != self.column[source]:
            begin = self.centre[c] - self.widest[c]
            self._draw_bend(self._reach(source, c - 1), (begin, y))
        self.canvas.line(begin, y, end, y)
        return end, y

    def _draw_bend(self, start: tuple[float, float], end: tuple[float, float], tip: bool = False) -> None:
        (x1, y1), (x2, y2) = start, end
        self.canvas.curve(start, (x1 + _BEND / 2, y1), (x2 - _BEND / 2, y2), end, tip=tip)


def _in_words(nodes: Sequence[Node], caption: str, note: str) -> dict[str, str]:
    """Return the caption, the alt text and the text."""
    lines = [_line(node) for node in nodes]
    legend = ["values above in green"] if any(node.value for node in nodes) else []
    legend += ["gradients below in orange"] if any(node.gradient for node in nodes) else []
    if any(node.kind == "parameter" for node in nodes):
        legend.append("parameters round and yellow, inputs with corners, computed nodes in circles")
    below = f"{caption}: {', '.join(legend)}" if caption and legend else caption or ", ".join(legend).capitalize()
    alt = f"{caption or 'Circuit'}. {'; '.join(lines)}. {note}".rstrip()
    below = below or "A circuit"
    return {"caption": f"{below}. {note}" if note else below, "alt": alt, "text": "\n".join(lines)}


def _line(node: Node) -> str:
    parts = [node.kind] if node.kind != "compute" else []
    parts += [f"value {node.value}"] if node.value else []
    parts += [f"gradient {node.gradient}"] if node.gradient else []
    return f"{node.said}: {', '.join(parts)}" if parts else node.said

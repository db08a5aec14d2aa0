"""Diagrams of circuits, gates, networks and chains, drawn as SVG, each with a text that says the same in words.

>>> from coursekit.diagrams import show_circuit
>>> print(show_circuit("q = x + y; f = q * z", x=-2, y=5, z=-4).text)
x: input, value −2, gradient −4
y: input, value 5, gradient −4
q = x + y: value 3, gradient −4
z: input, value −4, gradient 3
f = q * z: value −12, gradient 1

Every function returns a `Diagram`; leave it on the last line of a cell, or pass it to ``display``.
Nothing but the standard library draws it, and the engine is not asked: it works where
`coursekit.autograd` does not exist.

- `show_circuit` draws a circuit that is written as Python text; `show_values` draws one that has been computed;
- `show_gates` shows how the add, multiply, copy and max gates treat a gradient;
- `show_layers` draws a fully connected network, `show_chain` a row of operations with what flows both ways;
- `Canvas` is the sheet of paper that they all draw on, for a diagram of your own.

Source: values above and gradients below each wire as in the first lecture; the three kinds of nodes as in the fifth.
"""

from coursekit.diagrams.canvas import BLUE, GREEN, GREY, ORANGE, Canvas, Diagram
from coursekit.diagrams.circuits import show_circuit, show_graph, show_values
from coursekit.diagrams.networks import show_chain, show_gates, show_layers

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "Canvas",
    "Diagram",
    "show_chain",
    "show_circuit",
    "show_gates",
    "show_graph",
    "show_layers",
    "show_values",
]

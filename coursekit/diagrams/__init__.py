"""Diagrams of circuits, gates, networks and chains as SVG, each with a text that says the same.

>>> from coursekit.diagrams import show_circuit
>>> print(show_circuit("q = x + y; f = q * z", x=-2, y=5, z=-4).text)
x: input, value −2, gradient −4
y: input, value 5, gradient −4
q = x + y: value 3, gradient −4
z: input, value −4, gradient 3
f = q * z: value −12, gradient 1

Every function returns a `Diagram`: leave it on the last line of a cell, or pass it to ``display``.
The diagrams need only the standard library, not the engine: they also work where `coursekit.autograd` is not available.

- `show_circuit` draws a circuit that is written as Python text, `show_values` one that has been computed;
- `show_gates` shows what the add, multiply, copy and max gates do to a gradient;
- `show_layers` draws a fully connected network, `show_chain` a row of operations with values and gradients;
- `Canvas` is the sheet for all of them, and for your own diagrams.

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

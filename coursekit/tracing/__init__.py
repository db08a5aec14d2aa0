"""Tracing: a function, and the backward pass over it, written down line by line.

    >>> from coursekit.tracing import flat, graph
    >>> def f(x, y, z):
    ...     q = x + y
    ...     return q * z
    >>> graph(f, -2.0, 5.0, -4.0)["q"].grad
    -4.0
    >>> print(flat(f, -2.0, 5.0, -4.0).source)
    import numpy as np
    <BLANKLINE>
    <BLANKLINE>
    def f_and_gradients(x, y, z):
        # made for x (), y (), z ()
        # forward
        q = x + y
        times = q * z
        # backward
        grad_q = 1.0 * z
        grad_z = 1.0 * q
        grad_x = grad_q
        grad_y = grad_q
        return times, (grad_x, grad_y, grad_z)
    <BLANKLINE>

`graph` shows the lines as nodes, and `flat` writes them as the program that one would write by hand.
The engine does not know this package: it computes with whatever looks like an array, and here that is a `Line`.
The files, each of which needs only those before it:

1. ``line.py``: an array that writes down what is computed with it.
2. ``source.py``: lines as Python code.
3. ``simplify.py``: what is shortened in the backward pass.
4. ``trace.py``: all lines of a function, forward and backward.
5. ``values.py``: the same for circuits of `Value`.
6. ``graph.py``: the lines as nodes to look at.
7. ``reuse.py``, ``flat.py``: the lines as a program, for the machine and for the reader.
"""

from coursekit.tracing.flat import flat
from coursekit.tracing.graph import Graph, GraphNode, graph

__all__ = ["Graph", "GraphNode", "flat", "graph"]

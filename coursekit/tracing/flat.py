"""flat: the program that one would write by hand, forward and then backward, written by the engine.

A traced function is a list of lines already.  Written out for a reader, each node of the forward pass is a line,
and so is each gradient, under a name that begins with ``grad_``.  Written out for the machine (``reuse.py``) it
is the same program, except that it reuses memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from coursekit.autograd.ops import names_entries, put
from coursekit.autograd.scalar import Value
from coursekit.tracing.line import Line, substitute
from coursekit.tracing.reuse import fast_source, shared_results
from coursekit.tracing.source import ATOM, Code, Writer, index_code, program, return_statement
from coursekit.tracing.trace import Trace, trace_of, unused
from coursekit.tracing.values import scalar_source

__all__ = ["flat"]


def flat(f: Callable[..., Any], *examples: Any, argnums: int | Sequence[int] | None = None) -> Callable[..., Any]:
    """Write flat code for the value and the gradients of `f`, as the lectures ask students to write it.

    Parameters
    ----------
    f : callable
        Returns a single number; plain NumPy code, or code for `Value`.
    *examples : arrays, numbers or Values
        Arguments of `f`.  The code is made for their shapes and dtypes; with `Value` it is plain Python.
    argnums : int or sequence of int
        The arguments to differentiate with respect to.  Unless given: all with floating-point numbers.

    Returns
    -------
    callable
        Takes arrays of the shapes and dtypes of the examples (numbers in place of Values) and returns the
        value and the gradients: a tuple, or one array if `argnums` is an int.  Its attribute ``source``
        is the program to be read; it runs alone, with NumPy.  What is called is the same
        program, except that it reuses memory; results are always arrays of their own.

    Raises
    ------
    TypeError
        If `f` does not return a single number, or asks a number to decide something (``if x > 0``).
        From the returned function, if an argument does not have the shape and dtype of its example.
    ValueError
        If `f` uses a large array that is not among its arguments.

    Notes
    -----
    Source: the flat backprop of the fourth lecture: "forward, then backward, line by line".

    Examples
    --------
    >>> def loss(x, w):
    ...     h = 1 / (1 + np.exp(-(x @ w)))
    ...     return np.sum(h * h)
    >>> loss_and_gradients = flat(loss, np.ones((3, 2)), np.zeros(2), argnums=1)
    >>> value, grad_w = loss_and_gradients(np.ones((3, 2)), np.zeros(2))
    >>> float(value), grad_w
    (0.75, array([0.75, 0.75]))
    >>> print(loss_and_gradients.source)
    import numpy as np
    <BLANKLINE>
    <BLANKLINE>
    def loss_and_gradients(x, w):
        # made for x (3, 2), w (2,)
        # forward
        product = x @ w
        neg = -product
        exp = np.exp(neg)
        plus = 1 + exp
        h = 1 / plus
        times = h * h
        total = np.sum(times)
        # backward
        grad_h = 2 * h
        grad_product = grad_h * h * (1 - h)
        grad_w = x.T @ grad_product
        return total, grad_w
    <BLANKLINE>
    """
    wanted, single = ([argnums], True) if isinstance(argnums, int) else (argnums, False)
    name = _function_name(f)
    if any(isinstance(example, Value) for example in examples):
        source = scalar_source(name, f, examples, wanted, single)
        function = _compiled(source, {})
    else:
        trace = trace_of(f, examples, wanted)
        source = _readable(name, trace, single)
        function = _compiled(*fast_source(name, trace, single))
    function.source = source
    result: Callable[..., Any] = function
    return result


def _compiled(source: str, namespace: dict[str, Any]) -> Any:
    name = source.partition("def ")[2].partition("(")[0]
    exec(compile(source, f"<flat code: {name}>", "exec"), namespace)
    return namespace[name]


def _function_name(f: Any) -> str:
    name = getattr(f, "__name__", "value")
    return f"{name}_and_gradients" if name.isidentifier() else "value_and_gradients"


# --- For readers -----------------------------------------------------------------------------------


def _readable(name: str, trace: Trace, single: bool) -> str:
    """Write the program with a line for each node, and for its gradient a line named after it."""
    lines = trace.live(backward=True)
    value_is_shared, *shared = shared_results(trace, lines)
    text = _Text(trace, lines, shared)
    for line in lines:
        if line.function is not None:
            text.add(line)
    returned = [text.returned(line, is_shared) for line, is_shared in zip(trace.parameters, shared, strict=True)]
    value = text.names[trace.output]
    steps = ["# forward", *text.body["compute"], "# backward", *text.body["gradient"]]
    steps.append(return_statement(f"np.array({value})" if value_is_shared else value, returned, single))
    shapes = ", ".join(f"{line.name} {line.shape}" for line in trace.arguments)
    return program("import numpy as np", name, [line.name for line in trace.arguments], f"made for {shapes}", steps)


class _Text:
    """The statements of the program so far, with the names of the lines.

    A line of the backward pass that has no name and is used once is written where it is used.
    """

    def __init__(self, trace: Trace, lines: list[Line], shared: list[bool]) -> None:
        results = [gradient for _, gradient in trace.of_parameters()]
        self.gradients = trace.gradients
        self.uses = Counter(source for line in lines for source in line.sources())
        self.uses.update(results)
        self.taken = {line.name for line in lines} | {"np"}
        copied = {gradient for gradient, is_shared in zip(results, shared, strict=True) if is_shared}
        copied -= {gradient for gradient, is_shared in zip(results, shared, strict=True) if not is_shared}
        gradient_names, self.owners = _gradient_names(trace, self.taken, copied)
        self.names = {line: line.name for line in lines if line.kind != "gradient"} | gradient_names
        self.inlined: dict[Line, Code] = {}
        self.body: dict[str, list[str]] = {"compute": [], "gradient": []}
        self.writer = Writer(self.text_of)

    def text_of(self, line: Line) -> Code:
        return self.inlined[line] if line in self.inlined else (self.names[line], ATOM)

    def add(self, line: Line) -> None:
        """Write a statement for a line, or keep its expression for the line that uses it."""
        if line not in self.names and self.uses[line] == 1 and line.function is not put:
            self.inlined[line] = self.writer.expression(line)
            return
        if line not in self.names:
            self.names[line] = unused("part", self.taken)
        if line.function is put:
            self.body[line.kind] += _put_statements(line, self.names[line], self.writer)
        else:
            self.body[line.kind].append(f"{self.names[line]} = {self.writer.expression(line)[0]}")

    def returned(self, parameter: Line, is_shared: bool) -> str:
        """Return what to write for the gradient of a parameter behind `return`."""
        gradient = self.gradients[parameter]
        text = self.text_of(gradient)[0]
        if not is_shared and self.owners.get(gradient) is parameter:
            return text
        name = unused(f"grad_{parameter.name}", self.taken)
        self.body["gradient"].append(f"{name} = {f'np.array({text})' if is_shared else text}")
        return name


def _gradient_names(trace: Trace, taken: set[str], unnamed: set[Line]) -> tuple[dict[Line, str], dict[Line, Line]]:
    """Return a name for every gradient, and the node that it is named after.

    One that several nodes share is named after the node that has a name in `f`, if not after a parameter.
    """
    names: dict[Line, str] = {}
    owners: dict[Line, Line] = {}

    def rank(line: Line) -> int:
        return 1 if line.kind == "parameter" else 0 if line.named else 2

    for line, gradient in sorted(trace.gradients.items(), key=lambda pair: rank(pair[0])):
        if gradient.kind == "gradient" and gradient not in names and gradient not in unnamed:
            names[gradient], owners[gradient] = unused(f"grad_{line.name}", taken), line
    return names, owners


def _put_statements(line: Line, name: str, writer: Writer) -> list[str]:
    """Write zeros, and then what is added to them."""
    g, index, shape = line.args
    dtype = "" if line.dtype == np.float64 else f", np.{line.dtype}"
    place = index_code(index, writer.part)
    in_call = place
    if isinstance(index, tuple):
        in_call = f"np.s_[{place}]" if any(isinstance(i, slice | type(...)) for i in index) else f"({place})"
    if names_entries(substitute(index, lambda source: source.value)):
        add = f"np.add.at({name}, {in_call}, {writer.part(g)})"
    else:
        add = f"{name}[{place}] = {writer.part(g)}"
    return [f"{name} = np.zeros({shape}{dtype})", add]

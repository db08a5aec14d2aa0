"""Trace: all lines of a function, forward and backward.

The engine hands its rules whatever stands in the place of arrays.  Here these are lines, so running the function
and the backward pass writes both down.
"""

from __future__ import annotations

import inspect
import itertools
import keyword
import sys
from bisect import bisect
from collections.abc import Callable, Sequence
from operator import getitem
from typing import Any

import numpy as np

from coursekit.autograd.ops import put
from coursekit.autograd.tensor import RULES, Node, Tensor, backpropagate, stop_gradient, tape, tensor_of
from coursekit.autograd.transforms import positions
from coursekit.tracing.line import Line, compute, lines_in, refuse, substitute
from coursekit.tracing.simplify import simplified, without_broadcasts

__all__ = ["SHORT", "Trace", "called", "parameter_names", "trace_of", "unused"]


def trace_of(f: Callable[..., Any], examples: tuple[Any, ...], argnums: Sequence[int] | None) -> Trace:
    """Run `f` and the backward pass of the engine on lines in the place of arrays.

    Parameters
    ----------
    f : callable
        Returns a single number.
    examples : tuple of arrays and numbers
        The arguments.
    argnums : sequence of int, or None
        The arguments to differentiate with respect to; all with floating-point numbers, if None.

    Raises
    ------
    TypeError
        If an example is not an array, if `f` does not return a single number, or if its course depends on numbers.
    """
    trace = Trace()
    inputs = _inputs(trace, f, examples, argnums)
    output, variables = called(f, inputs)
    trace.output = _single_number(f, output)
    _name(trace.lines, variables)
    _backward(trace, output, {x.node: line for x, line in zip(inputs, trace.arguments, strict=True) if x.node})
    return trace


class Trace:
    """All lines of a computation, forward and then backward, in the order in which they were written down.

    Attributes
    ----------
    lines : list of Line
    kind : str
        The kind of the next lines: "compute", and "gradient" in the backward pass.
    output : Line
        The result of the function.
    arguments, parameters : list of Line
        The parameters are in the order in which their gradients are wanted.
    gradients : dict from Line to Line
        Of every line that has a gradient.
    """

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.known: dict[Any, Line] = {}  # of the backward pass, by function and arguments
        self.kind = "compute"
        self.output: Any = None
        self.arguments: list[Line] = []
        self.parameters: list[Line] = []
        self.gradients: dict[Line, Any] = {}

    def of_parameters(self) -> list[tuple[Line, Line]]:
        """List the parameters with their gradients."""
        return [(line, self.gradients[line]) for line in self.parameters]

    def live(self, backward: bool) -> list[Line]:
        """List the lines that the result depends on, or the gradients of the parameters as well, oldest first."""
        wanted = [self.output, *self.arguments]
        if backward:
            wanted += [gradient for _, gradient in self.of_parameters()]
        found = set(wanted)
        for line in wanted:
            for source in line.sources():
                if source not in found:
                    found.add(source)
                    wanted.append(source)
        return sorted(found, key=lambda line: line.order)

    def record(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return a line for this call; or an older one, or a simpler one, that has the same value."""
        example, named = substitute((args, kwargs), lambda line: line.value)
        if function in STATIC:
            return function(*example, **named)
        value = compute(function, example, named)
        function, kwargs = _recordable(function, args, example, value), _given(function, kwargs)
        if self.kind == "compute":  # the forward pass stays as it was written
            return Line(self, value, self.kind, function, args, kwargs)
        simpler = simplified(self, function, args, value)
        if simpler is not None:
            return simpler
        if isinstance(function, np.ufunc) and function.signature is None:  # elementwise, which np.matmul is not
            args = without_broadcasts(args, value)
        key = (function, *map(_key, args), *((name, _key(option)) for name, option in sorted(kwargs.items())))
        if key not in self.known:
            self.known[key] = Line(self, value, self.kind, function, args, kwargs)
        return self.known[key]

    def constant(self, value: Any, number: float) -> Line:
        """Return a line of the shape and dtype of `value` in which every entry is `number`."""
        dtype = {} if value.dtype == np.float64 else {"dtype": value.dtype}
        line = Line(self, value, self.kind, np.full, (np.shape(value), number), dtype)
        line.uniform = number
        return line


# --- Calls -----------------------------------------------------------------------------------------

STATIC = (np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like)  # depend on shape and dtype alone


def _recordable(function: Any, args: tuple[Any, ...], example: Any, value: Any) -> Any:
    """Return the function to record for a call; refuse what has no rule or depends on numbers."""
    if not hasattr(value, "dtype"):
        refuse()  # np.allclose and the like: no array, but an answer
    # How many entries these give depends on the numbers.
    if (function is getitem and _has_mask(args[1])) or (function is np.repeat and _has_line(args[1:])):
        refuse()
    if function is np.dot and all(np.ndim(x) in (1, 2) for x in example):
        return np.matmul
    if not isinstance(function, np.ufunc) and function is not put:
        RULES[function]  # an error with its name, if it is not in the table
    return function


def _has_line(args: Any) -> bool:
    return next(lines_in(args), None) is not None


def _has_mask(index: Any) -> bool:
    return any(line.dtype == bool and line.ndim > 0 for line in lines_in(index))


def _given(function: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a call without those that are at their default."""
    defaults: dict[str, Any] = {"keepdims": False, "optimize": False}
    if function not in (np.argsort, np.sort):
        defaults["axis"] = None
    kwargs = {name: option for name, option in kwargs.items() if option is not defaults.get(name, kwargs)}
    if isinstance(kwargs.get("axis"), tuple) and len(kwargs["axis"]) == 1:
        kwargs["axis"] = kwargs["axis"][0]
    return kwargs


def _key(arg: Any) -> Any:
    """Return what is equal for arguments that are written as the same code."""
    if isinstance(arg, list | tuple):
        return type(arg), *map(_key, arg)
    if isinstance(arg, int | float | str | type(None)):
        return type(arg), arg
    return id(arg) if not isinstance(arg, slice) else (slice, *map(_key, (arg.start, arg.stop, arg.step)))


# --- Forward ---------------------------------------------------------------------------------------


def _inputs(
    trace: Trace, f: Callable[..., Any], examples: tuple[Any, ...], argnums: Sequence[int] | None
) -> list[Tensor]:
    """Return tensors whose values are lines, one for each argument; those of parameters require a gradient."""
    chosen = None if argnums is None else positions(argnums, len(examples))
    inputs, taken = [], {"np"}
    for i, (name, example) in enumerate(zip(parameter_names(f, len(examples)), examples, strict=True)):
        value = np.asarray(stop_gradient(example))
        if value.dtype.kind not in "fiub":
            raise TypeError(
                f"argument {name} is {example!r}, and the examples are arrays and numbers: give f a function of these "
                "alone, for example lambda W: f(W, ...)"
            )
        is_parameter = value.dtype.kind == "f" if chosen is None else i in chosen
        if is_parameter and value.dtype.kind != "f":
            raise TypeError(f"argument {name} is {value.dtype}: a gradient needs floating-point numbers")
        line = Line(trace, value, "parameter" if is_parameter else "input")
        line.name, line.named = unused(name, taken), True
        trace.arguments.append(line)
        inputs.append(tensor_of(line, Node() if is_parameter else None))
    trace.parameters = [line for line in trace.arguments if line.kind == "parameter"]
    if chosen is not None:
        trace.parameters = [trace.arguments[i] for i in chosen]
    return inputs


def _single_number(f: Callable[..., Any], output: Any) -> Line:
    result = stop_gradient(output)
    if isinstance(result, Line) and result.size == 1:
        return result
    if isinstance(result, Line):
        shape = f"an array of shape {result.shape}"
    else:
        shape = repr(substitute(output, lambda line: line.value))
    raise TypeError(
        f"{getattr(f, '__name__', 'the function')} returned {shape}: a graph, and flat code, is of one number "
        "that depends on the arguments, for example np.sum(...)"
    )


def called(f: Callable[..., Any], args: Sequence[Any], refused: Sequence[Any] = ()) -> tuple[Any, dict[str, Any]]:
    """Return the result of `f`, and its local variables when it returned: their names suit the lines.

    Calls of the methods `refused` raise the error of a computation that depends on its numbers.
    """
    variables: dict[str, Any] = {}
    code, codes = getattr(f, "__code__", None), [method.__code__ for method in refused]

    def watch(frame: Any, event: str, _: Any) -> None:
        if event == "return" and frame.f_code is code:
            variables.update(frame.f_locals)
        elif event == "call" and frame.f_code in codes:
            refuse()

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        return f(*args), variables
    finally:
        sys.setprofile(before)


# --- Backward --------------------------------------------------------------------------------------


def _backward(trace: Trace, output: Any, parameters: dict[Node, Line]) -> None:
    """Write down the backward pass, and note the gradient of each line."""
    forward = list(trace.lines)
    trace.kind = "gradient"
    gradients: dict[Node, Any] = {}
    if isinstance(output, Tensor) and output.node is not None:
        seed = trace.constant(np.ones(trace.output.shape, trace.output.dtype)[()], 1.0)
        gradients = backpropagate(tape(output.node), seed)
    for node, gradient in gradients.items():
        if node.inputs:
            before = bisect(forward, node.order, key=lambda line: line.order)
            trace.gradients[forward[before - 1]] = gradient
    for node, line in parameters.items():  # other leaves are tensors from outside, which are no part of the graph
        if node in gradients:
            trace.gradients[line] = gradients[node]
        else:
            trace.gradients[line] = trace.constant(np.zeros_like(line.value), 0.0)


# --- Names -----------------------------------------------------------------------------------------

# What the lectures call the nodes of a circuit, for results that have no name in the program.
SHORT: dict[Any, str] = {"+": "plus", "-": "minus", "*": "times", "/": "over", "**": "power"}
SHORT |= {np.add: "plus", np.subtract: "minus", np.multiply: "times", np.true_divide: "over", np.power: "power"}
SHORT |= {np.negative: "neg", np.matmul: "product", np.sum: "total", np.square: "squares", getitem: "picked"}
SHORT |= {np.max: "largest", np.min: "smallest", np.ndarray.astype: "cast", put: "placed"}


def parameter_names(f: Callable[..., Any], count: int) -> list[str]:
    """List the names of the first `count` positional parameters of `f`; x1, x2, … where it has none."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    return names + [f"x{i}" for i in range(len(names) + 1, count + 1)]


def _name(lines: list[Line], variables: dict[str, Any]) -> None:
    """Name the lines after the variables that hold them, or after what they do."""
    taken = {line.name for line in lines} | set(keyword.kwlist) | {"np"}
    results = ((stop_gradient(result), name) for name, result in reversed(variables.items()))
    chosen = {result: name for result, name in results if isinstance(result, Line)}
    for line in lines:
        if not line.name and line in chosen:
            line.name, line.named = unused(chosen[line], taken), True
    for line in lines:
        if not line.name:
            line.name = unused(SHORT.get(line.function) or line.function.__name__.strip("_"), taken)


def unused(base: str, taken: set[str]) -> str:
    """Return `base`, with a number if the name is taken, and take it."""
    names = itertools.chain([base], (f"{base}_{i}" for i in itertools.count(2)))
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return name

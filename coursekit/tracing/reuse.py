"""The program for the machine: an elementwise result overwrites an array that is not needed any more.

Which array a result may live in, and until when that is read, is worked out first (`_lifetimes`).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np

from coursekit.autograd.ops import put
from coursekit.tracing.line import Line
from coursekit.tracing.source import ATOM, SYMBOLS, Code, Writer, index_code, program, return_statement
from coursekit.tracing.trace import Trace, unused

__all__ = ["fast_source", "shared_results"]


def fast_source(name: str, trace: Trace, single: bool) -> tuple[str, dict[str, Any]]:
    """Write the program for the machine.

    Returns
    -------
    source : str
    namespace : dict
        The global names that it uses.
    """
    lines = trace.live(backward=True)
    results = _results(trace)
    memory, last = _lifetimes(lines, results)
    body = _Body(trace.arguments)
    for i, line in enumerate(lines):
        if line.function is not None:
            spent = (s for s in line.sources() if memory[s] == {s} and last[s] == i and _can_overwrite(line, s))
            body.add(line, next(spent, None))
    returned = [
        f"{body.bound(np.array)}({body.names[line]})" if shared else body.names[line]
        for line, shared in zip(results, shared_results(trace, lines), strict=True)
    ]
    checks = _check(trace.arguments, body.bound, unused("fits", body.taken))
    steps = [*checks, *body.statements, return_statement(returned[0], returned[1:], single)]
    return program("", name, [line.name for line in trace.arguments], "", steps), body.namespace


def shared_results(trace: Trace, lines: list[Line]) -> list[bool]:
    """Say of the value and of each gradient whether it may share memory with an argument or an earlier one."""
    memory, _ = _lifetimes(lines, _results(trace))
    seen = set(trace.arguments)
    shared = []
    for line in _results(trace):
        is_a_number = line.ndim == 0 and line.kind == "gradient"  # NumPy's numbers cannot be written to
        shared.append(bool(memory[line] & seen) and not is_a_number)
        seen |= memory[line]
    return shared


def _results(trace: Trace) -> list[Line]:
    return [trace.output, *(gradient for _, gradient in trace.of_parameters())]


# --- Statements ------------------------------------------------------------------------------------


class _Body:
    """The statements of the program so far, with the names of the lines and the global names that they use."""

    def __init__(self, arguments: list[Line]) -> None:
        self.names = {line: line.name for line in arguments}
        self.taken = set(self.names.values())
        self.namespace: dict[str, Any] = {"np": np}
        self.statements: list[str] = []

    def add(self, line: Line, spent: Line | None) -> None:
        """Compute a line, in the memory of another one if one is spent."""
        if spent is None:
            self.names[line] = unused("v", self.taken)
            self.statements.append(f"{self.names[line]} = {self.written(line, operators=True)}")
            return
        self.names[line] = target = self.names[spent]
        symbol, _ = SYMBOLS.get(line.function, ("", 0))
        if symbol in ("+", "-", "*", "/") and len(line.args) == 2 and line.args[0] is spent:
            self.statements.append(f"{target} {symbol}= {self.writer().part(line.args[1])}")
        else:
            self.statements.append(f"{self.written(line, operators=False)[:-1]}, {target})")

    def written(self, line: Line, operators: bool) -> str:
        """Write the call that gave a line, in its fastest form."""
        form = FASTEST.get(line.function)
        text = form(self, line) if form else None
        return text or self.writer(operators).expression(_with_floats(line))[0]

    def writer(self, operators: bool = True) -> Writer:
        return Writer(self.name_of, operators, path=self.bound, constant=self.bound)

    def name_of(self, line: Line) -> Code:
        return self.names[line], ATOM

    def bound(self, thing: Any) -> str:
        """Return a global name for a function or array, which Python finds faster than np.something."""
        if isinstance(thing, np.ndarray):
            thing = thing.copy()  # whoever made it may go on writing in it
        short = f"_{getattr(thing, '__name__', 'constant').strip('_')}"
        while short in self.taken or self.namespace.setdefault(short, thing) is not thing:
            short += "_"
        return short


def _matmul(body: _Body, line: Line) -> str | None:
    if not all(isinstance(arg, Line) and arg.ndim <= 2 for arg in line.args):
        return None
    return "{}.dot({})".format(*(body.names[arg] for arg in line.args))


def _sum(body: _Body, line: Line) -> str | None:
    if not line.kwargs.keys() <= {"axis", "keepdims"}:
        return None
    axis, keepdims = line.kwargs.get("axis"), line.kwargs.get("keepdims", False)
    return f"{body.bound(np.add.reduce)}({body.names[line.args[0]]}, {axis}, None, None, {keepdims})"


def _put(body: _Body, line: Line) -> str:
    g, index, shape = line.args
    part = body.writer().part
    return f"{body.bound(put)}({part(g)}, {body.bound(np.s_)}[{index_code(index, part)}], {shape})"


FASTEST: dict[Any, Callable[[_Body, Line], str | None]] = {np.matmul: _matmul, np.sum: _sum, put: _put}


def _with_floats(line: Line) -> Line:
    """Return the line with 1.0 for 1, which NumPy converts faster."""
    if line.function in SYMBOLS and line.dtype.kind == "f":
        line = copy(line)
        line.args = tuple(float(arg) if type(arg) is int else arg for arg in line.args)
    return line


# --- Memory ----------------------------------------------------------------------------------------

# Functions, besides the elementwise ones, whose result is an array of its own: never a view of an argument.
OWNING = {np.matmul, np.sum, np.mean, np.max, np.min, np.where, np.concatenate, np.full, put}


def _lifetimes(lines: list[Line], results: list[Line]) -> tuple[dict[Line, set[Line]], dict[Line, float]]:
    """Return whose memory each line may live in, and the position of the last line that reads each memory."""
    memory: dict[Line, set[Line]] = {}
    last: dict[Line, float] = {}
    for i, line in enumerate(lines):
        sources = line.sources()
        owns = not sources or isinstance(line.function, np.ufunc) or line.function in OWNING
        memory[line] = {line} if owns else set().union(*(memory[source] for source in sources))
        for source in sources:
            last.update(dict.fromkeys(memory[source], i))
    for line in results:
        last.update(dict.fromkeys(memory[line], float("inf")))
    return memory, last


def _can_overwrite(line: Line, source: Line) -> bool:
    """Say whether `line` is an elementwise function whose result fits into the array `source`."""
    function = line.function
    elementwise = isinstance(function, np.ufunc) and function.signature is None and function.nout == 1
    same = source.shape == line.shape and source.dtype == line.dtype
    return elementwise and not line.kwargs and line.ndim > 0 and source.function is not None and same


# --- Arguments -------------------------------------------------------------------------------------

NUMBERS = (float, int, np.float64)


def _check(arguments: list[Line], bound: Callable[[Any], str], fits: str) -> list[str]:
    """Write statements that refuse arguments of other shapes or dtypes than the examples."""
    expected = [(line.name, line.shape, line.dtype) for line in arguments]

    def refuse(*args: Any) -> None:
        for (name, shape, dtype), arg in zip(expected, args, strict=True):
            if np.shape(arg) != shape or (shape and not (isinstance(arg, np.ndarray) and arg.dtype == dtype)):
                what = f"{getattr(arg, 'dtype', type(arg).__name__)} of shape {np.shape(arg)}"
                raise TypeError(
                    f"this flat code is made for {name} of {dtype} and shape {shape}, and was given {what}: "
                    "make another with flat(f, *examples)"
                )

    conditions = [
        f"{name}.shape == {shape} and {name}.dtype is {bound(dtype)}"
        if shape
        else f"({name}.__class__ in {bound(NUMBERS)} or {name}.shape == ())"
        for name, shape, dtype in expected
    ]
    steps = ["try:", f"    {fits} = {' and '.join(conditions)}", "except AttributeError:", f"    {fits} = False"]
    return [*steps, f"if not {fits}:", f"    {bound(refuse)}({', '.join(name for name, *_ in expected)})"]

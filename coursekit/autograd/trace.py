"""Tracing: a function, and the engine's backward pass over it, as a list of lines.

The engine hands its rules whatever stands in the place of arrays.  Here that is a `Line`: it looks
like an array, and writes down every operation that it meets.  ``graph.py`` shows these lines as
nodes, and ``flat.py`` as a program.
"""

from __future__ import annotations

import inspect
import itertools
import keyword
import re
import sys
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from operator import getitem
from typing import Any

import numpy as np

from coursekit._typing import Array
from coursekit.autograd.ops import put, spread
from coursekit.autograd.tensor import (
    RULES,
    ArrayLike,
    Node,
    Tensor,
    backpropagate,
    stop_gradient,
    tape,
    tensor_of,
    tick,
)
from coursekit.autograd.transforms import positions

# --- A line: an array that writes down what is computed with it ------------------------------------

SYMBOLS: dict[Any, tuple[str, int]] = {  # and how strongly they bind
    np.equal: ("==", 1),
    np.not_equal: ("!=", 1),
    np.less: ("<", 1),
    np.less_equal: ("<=", 1),
    np.greater: (">", 1),
    np.greater_equal: (">=", 1),
    np.add: ("+", 2),
    np.subtract: ("-", 2),
    np.multiply: ("*", 3),
    np.true_divide: ("/", 3),
    np.floor_divide: ("//", 3),
    np.remainder: ("%", 3),
    np.matmul: ("@", 3),
    np.negative: ("-", 4),
    np.positive: ("+", 4),
    np.power: ("**", 5),
}
ATOM = 6
OPPOSITE = {np.less_equal: np.greater, np.greater_equal: np.less, np.less: np.greater_equal, np.greater: np.less_equal}
# What the lectures call the nodes of a circuit, for results that have no name in the program.
SHORT: dict[Any, str] = {"+": "plus", "-": "minus", "*": "times", "/": "over", "**": "power"}
SHORT |= {np.add: "plus", np.subtract: "minus", np.multiply: "times", np.true_divide: "over", np.power: "power"}
SHORT |= {np.negative: "neg", np.matmul: "product", np.sum: "total", np.square: "squares", getitem: "picked"}
SHORT |= {np.max: "largest", np.min: "smallest", np.ndarray.astype: "cast", put: "placed"}
STATIC = (np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like)  # depend on shape and dtype alone


def _refuse(*_: Any, **__: Any) -> Any:
    raise TypeError(
        "the course of this computation depends on a number in it, and a graph has no numbers yet, only their shapes: "
        "if, while, float(), int(), print, np.asarray(), grad, or a plain array indexed or changed by an argument. "
        "For a branch write np.where, np.maximum or a mask; for labels y, lambda W, X: loss(W, X, y)"
    )


class Line(ArrayLike):
    """An array, or a number, and the operation that gave it.

    Attributes
    ----------
    value : ndarray or NumPy scalar
        For the examples that the function was traced with.
    function, args, kwargs
        The call that gave it; function is None for an argument of the traced function.
    kind : "input", "parameter", "compute", or "gradient" for the lines of the backward pass
    name : str
    named : bool
        Whether that is a name in the traced function itself.
    uniform : float or None
        The number that all entries are, whatever the arguments.
    """

    __slots__ = ("args", "function", "kind", "kwargs", "name", "named", "order", "recorder", "uniform", "value")

    def __init__(
        self, recorder: Trace, value: Any, kind: str, function: Any = None, args: Any = (), kwargs: Any = None
    ):
        self.recorder, self.value, self.kind, self.function = recorder, value, kind, function
        self.args, self.kwargs, self.name = args, kwargs or {}, ""
        self.uniform: float | None = None
        self.named = False
        self.order = tick()  # the clock of the nodes, so that the last line before a node is its result
        recorder.lines.append(self)

    def sources(self) -> list[Line]:
        """The lines that this one is computed from, once for each use."""
        return list(_lines_in((self.args, self.kwargs)))

    def _apply(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        if any(type(arg) is Tensor for arg in args):
            return RULES[function](*args, **kwargs)
        return self.recorder.record(function, args, kwargs)

    def as_last(self) -> Any:
        """This line, written down once more if others came after it."""
        return self if self.recorder.lines[-1] is self else +self

    def put(self, index: Any, shape: tuple[int, ...]) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        if all(part is None or part is Ellipsis or (isinstance(part, slice) and part == slice(None)) for part in parts):
            return self.reshape(shape)
        return self.recorder.record(put, (self, index, shape), {})

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(x, Tensor) for x in inputs):
            return NotImplemented
        if method == "reduce" and ufunc is np.add:
            options = {name: kwargs[name] for name in ("axis", "keepdims") if kwargs.get(name) is not None}
            return self.recorder.record(np.sum, inputs, options)
        if method != "__call__" or "out" in kwargs:
            raise TypeError(f"np.{ufunc.__name__}.{method} cannot be written as flat code")
        return self.recorder.record(ufunc, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if Tensor in types:
            return NotImplemented
        return self.recorder.record(function, args, kwargs)

    item = tolist = __array__ = __bool__ = __float__ = __int__ = __index__ = _refuse


def _lines_in(item: Any) -> Iterator[Line]:
    if isinstance(item, Line):
        yield item
    elif isinstance(item, slice):
        yield from _lines_in((item.start, item.stop, item.step))
    elif isinstance(item, dict | list | tuple):
        for part in item.values() if isinstance(item, dict) else item:
            yield from _lines_in(part)


def substitute(item: Any, replace: Callable[[Line], Any]) -> Any:
    """`item` with something else in the place of each line, also of one in a tensor."""
    item = stop_gradient(item)
    if isinstance(item, Line):
        return replace(item)
    if isinstance(item, list | tuple):
        return type(item)(substitute(part, replace) for part in item)
    if isinstance(item, dict):
        return {key: substitute(part, replace) for key, part in item.items()}
    return item


class Quotient(float):
    """A number that says how it came about."""

    text: str

    def __new__(cls, number: float, text: str) -> Quotient:
        quotient = super().__new__(cls, number)
        quotient.text = text
        return quotient


def _has_line(item: Any) -> bool:
    return next(_lines_in(item), None) is not None


def _has_mask(index: Any) -> bool:
    return any(line.dtype == bool and line.ndim > 0 for line in _lines_in(index))


class Trace:
    """All lines of a computation, forward and then backward, in the order in which they were written down."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.known: dict[Any, Line] = {}
        self.kind = "compute"
        self.output: Any = None
        self.arguments: list[Line] = []
        self.parameters: list[Line] = []  # in the order in which gradients are wanted
        self.gradients: dict[Line, Any] = {}  # of every line that has one

    def of_parameters(self) -> list[tuple[Line, Line]]:
        return [(line, self.gradients[line]) for line in self.parameters]

    def live(self, backward: bool) -> list[Line]:
        """The lines that the result depends on, or the gradients of the parameters as well, oldest first."""
        wanted = [self.output, *self.arguments]
        if backward:
            wanted += [gradient for _, gradient in self.of_parameters()]
        found = {line: line for line in wanted}
        for line in wanted:
            for source in line.sources():
                if source not in found:
                    found[source] = source
                    wanted.append(source)
        return sorted(found.values(), key=lambda line: line.order)

    def record(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A line for this call; or an older one, or a simpler one, that has the same value."""
        example, named = substitute((args, kwargs), lambda line: line.value)
        if function in STATIC:
            return function(*example, **named)
        value = _compute(function, example, named)
        if not hasattr(value, "dtype"):
            return _refuse()  # np.allclose and the like: no array, but an answer
        if function is np.dot and all(np.ndim(x) in (1, 2) for x in example):
            function = np.matmul
        if (function is getitem and _has_mask(args[1])) or (function is np.repeat and _has_line(args[1:])):
            return _refuse()  # how many entries there are depends on the numbers
        if not isinstance(function, np.ufunc) and function not in (put, spread):
            RULES[function]  # an error with its name, if it is not in the table
        defaults = {"keepdims": False, "optimize": False} | (
            {} if function in (np.argsort, np.sort) else {"axis": None}
        )
        kwargs = {name: option for name, option in kwargs.items() if option is not defaults.get(name, kwargs)}
        if isinstance(kwargs.get("axis"), tuple) and len(kwargs["axis"]) == 1:
            kwargs["axis"] = kwargs["axis"][0]
        if self.kind == "compute":  # the forward pass stays as it was written
            return Line(self, value, self.kind, function, args, kwargs)
        simpler = self.simplified(function, args, value)
        if simpler is not None:
            return simpler
        if isinstance(function, np.ufunc) and function.signature is None:  # elementwise, which np.matmul is not
            for i in range(len(args)):  # one after the other: two cannot both leave it to the other
                args = (*args[:i], self.unspread(args, i, value), *args[i + 1 :])
        key = (function, *map(_key, args), *((name, _key(option)) for name, option in sorted(kwargs.items())))
        if key not in self.known:
            self.known[key] = Line(self, value, self.kind, function, args, kwargs)
        return self.known[key]

    def constant(self, value: Any, number: float) -> Line:
        dtype = {} if value.dtype == np.float64 else {"dtype": value.dtype}
        line = Line(self, value, self.kind, np.full, (np.shape(value), number), dtype)
        line.uniform = number
        return line

    def simplified(self, function: Any, args: Any, value: Any) -> Any:
        """What every reader would shorten: −(−x), 1·x, and the backward pass of 1 / (1 + exp(−x))."""
        if function is np.positive:
            return args[0]
        if function is np.broadcast_to and (args[0].shape == value.shape or args[0].uniform is not None):
            return args[0] if args[0].shape == value.shape else self.constant(value, args[0].uniform)
        if function in (np.expand_dims, np.reshape, np.transpose) and args[0].uniform is not None:
            return self.constant(value, args[0].uniform)
        numbers = [_number(arg) for arg in args] if function in SYMBOLS else [None]
        if None not in numbers and value.dtype.kind == "f":
            number = float(_compute(function, numbers, {}))
            if function is np.true_divide and numbers[0] in (1, -1):  # 1 / N is what a reader looks for
                number = Quotient(number, f"{numbers[0]:g} / {numbers[1]:g}")
            return self.constant(value, number)
        if function is np.negative:
            return self.without_sign(args[0])
        if function is np.logical_not and getattr(args[0], "function", None) in OPPOSITE:
            return self.record(OPPOSITE[args[0].function], args[0].args, {})
        if value.ndim:  # 1·z of single numbers stays: a gradient is a number of its own
            if function in (np.multiply, np.true_divide, np.power) and numbers[1] == 1 and _fits(args[0], value):
                return args[0]
            if function is np.multiply and numbers[0] == 1 and _fits(args[1], value):
                return args[1]
        if function is np.multiply and _is(args[0], np.multiply) and isinstance(args[1], Line):
            # y = 1 / (1 + e) has y·e = 1 − y: so y·y·e, the slope of the sigmoid, is y·(1 − y).
            rest, y = args[0].args
            if _is(y, np.true_divide) and _number(y.args[0]) == 1 and _is(y.args[1], np.add):
                one, e = y.args[1].args if y.args[1].args[1] is args[1] else reversed(y.args[1].args)
                if e is args[1] and _number(one) == 1:
                    return rest * (1 - y)
        return None

    def without_sign(self, line: Any) -> Any:
        """−line, if that is a line with one sign less; else None."""
        if _is(line, np.negative):
            return line.args[0]
        if _is(line, np.multiply) or _is(line, np.true_divide):
            rest = self.without_sign(line.args[0])
            return None if rest is None else self.record(line.function, (rest, line.args[1]), {})
        return None

    def unspread(self, args: tuple[Any, ...], i: int, value: Any) -> Any:
        """Argument i of an elementwise function, before it was broadcast in vain; a number, if it is but one."""
        arg = args[i]
        if not isinstance(arg, Line):
            return arg
        source = arg.args[0] if _is(arg, np.broadcast_to) else arg
        others = [np.shape(_example(other)) for j, other in enumerate(args) if j != i]
        if source.uniform is not None and np.broadcast_shapes((), *others) == value.shape:
            numbers = [source.uniform if j == i else _example(other) for j, other in enumerate(args)]
            weak = source.dtype == np.float64 or np.result_type(*numbers) == np.result_type(*map(_example, args))
            return source.uniform if weak else source.dtype.type(source.uniform)
        if source is not arg and np.broadcast_shapes(source.shape, *others) == value.shape:
            return source
        return arg


def _compute(function: Any, args: Any, kwargs: Any) -> Any:
    if function is np.ndarray.astype:
        return np.asarray(args[0]).astype(args[1])
    with np.errstate(all="ignore"):
        return function(*args, **kwargs)


def _example(arg: Any) -> Any:
    return arg.value if isinstance(arg, Line) else arg


def _is(line: Any, function: Any) -> bool:
    return isinstance(line, Line) and line.function is function


def _fits(line: Any, value: Any) -> bool:
    return isinstance(line, Line) and line.shape == value.shape and line.dtype == value.dtype


def _number(arg: Any) -> float | None:
    """The number that this is in every entry, if it is one."""
    if isinstance(arg, Line):
        return arg.uniform
    if isinstance(arg, Quotient):
        return arg
    return float(arg) if isinstance(arg, int | float) and not isinstance(arg, bool) else None


def _key(arg: Any) -> Any:
    if isinstance(arg, list | tuple):
        return type(arg), *map(_key, arg)
    if isinstance(arg, int | float | str | type(None)):
        return type(arg), arg
    return id(arg) if not isinstance(arg, slice) else (slice, *map(_key, (arg.start, arg.stop, arg.step)))


def trace_of(f: Callable[..., Any], examples: tuple[Any, ...], argnums: Sequence[int] | None) -> Trace:
    """Run `f` and the engine's backward pass on lines in the place of arrays."""
    trace = Trace()
    names = parameter_names(f, len(examples))
    chosen = None if argnums is None else positions(argnums, len(examples))
    inputs, sources, taken = [], {}, {"np"}
    for i, (name, example) in enumerate(zip(names, examples, strict=True)):
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
        node = Node() if is_parameter else None
        trace.arguments.append(line)
        inputs.append(tensor_of(line, node))
        if node is not None:
            sources[node] = line
    trace.parameters = [line for line in trace.arguments if line.kind == "parameter"]
    if chosen is not None:
        trace.parameters = [trace.arguments[i] for i in chosen]
    output, variables = called(f, inputs)
    trace.output = stop_gradient(output)
    if not isinstance(trace.output, Line) or trace.output.size != 1:
        shape = (
            f"an array of shape {trace.output.shape}"
            if isinstance(trace.output, Line)
            else repr(substitute(output, lambda line: line.value))
        )
        raise TypeError(
            f"{getattr(f, '__name__', 'the function')} returned {shape}: a graph, and flat code, is of one number "
            "that depends on the arguments, for example np.sum(...)"
        )
    _name(trace.lines, variables)
    trace.kind = "gradient"
    forward = list(trace.lines)
    gradients: dict[Node, Any] = {}
    if isinstance(output, Tensor) and output.node is not None:
        seed = trace.constant(np.ones(trace.output.shape, trace.output.dtype)[()], 1.0)
        gradients, _ = backpropagate(tape(output.node), seed)
    for node, gradient in gradients.items():
        if not node.inputs and node not in sources:
            continue  # a tensor from outside, of which the graph is no part
        before = bisect(forward, node.order, key=lambda line: line.order)
        line = sources[node] if node in sources else forward[before - 1]
        trace.gradients[line] = gradient
    for node, line in sources.items():
        if node not in gradients:
            zero = trace.constant(np.zeros_like(line.value), 0.0)
            trace.gradients[line] = zero
    return trace


def called(f: Callable[..., Any], args: Sequence[Any], refused: Sequence[Any] = ()) -> tuple[Any, dict[str, Any]]:
    """The result of `f`, and its local variables when it returned: people have found good names already.

    Calls of the methods `refused` raise the error of a computation that depends on its numbers.
    """
    variables: dict[str, Any] = {}
    code, codes = getattr(f, "__code__", None), [method.__code__ for method in refused]

    def watch(frame: Any, event: str, _: Any) -> None:
        if event == "return" and frame.f_code is code:
            variables.update(frame.f_locals)
        elif event == "call" and frame.f_code in codes:
            _refuse()

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        return f(*args), variables
    finally:
        sys.setprofile(before)


def parameter_names(f: Callable[..., Any], count: int) -> list[str]:
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    return names + [f"x{i}" for i in range(len(names) + 1, count + 1)]


def _name(lines: list[Line], variables: dict[str, Any]) -> None:
    """Name the lines: after the variables that hold them, or after what they do."""
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
    names = itertools.chain([base], (f"{base}_{i}" for i in itertools.count(2)))
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return name


# --- Lines as text ---------------------------------------------------------------------------------


def code_of(
    text_of: Callable[[Line], tuple[str, int]], constant: Callable[[Any], str] | None = None
) -> Callable[..., str]:
    """A function that writes whatever stands in a call as code, in brackets if it binds less than `strength`."""

    def part(item: Any, strength: int = 0) -> str:
        if isinstance(item, np.ndarray):
            return (constant or array_literal)(item)
        text, binds = text_of(item) if isinstance(item, Line) else _literal(item, part)
        return text if binds >= strength else f"({text})"

    return part


def expression(
    line: Line,
    text_of: Callable[[Line], tuple[str, int]],
    *,
    operators: bool = True,
    path: Callable[[Any], str] | None = None,
    constant: Callable[[Any], str] | None = None,
) -> tuple[str, int]:
    """The call as Python code, and how strongly its outermost operator binds.

    Parameters
    ----------
    text_of : callable
        Code for a line that this one uses, and how strongly that binds.
    operators : bool
        Whether ``x + y`` is written for ``np.add(x, y)``.
    path, constant : callable
        Code for a function, and for an array that is no line.
    """

    part = code_of(text_of, constant)

    def array(item: Any) -> str:
        """An argument that may be a Python number, where a method is called."""
        is_number = isinstance(item, Line) and item.ndim == 0
        return f"np.asarray({part(item)})" if is_number else part(item, ATOM)

    function, args = line.function, line.args
    if function is np.full and args[0] == ():
        return part(line.dtype.type(args[1])), ATOM
    if function is np.add and args[0] is args[1] and line.kind == "gradient" and path is None:
        return f"2 * {part(args[0], SYMBOLS[np.multiply][1])}", SYMBOLS[np.multiply][1]
    if operators and function in SYMBOLS:
        symbol, binds = SYMBOLS[function]
        if len(args) == 1:
            return f"{symbol}{part(args[0], binds)}", binds
        # a - (b - c) needs its brackets and (a - b) - c does not; with ** it is the other way round.
        left = binds + (symbol == "**" or binds == 1)
        right = binds + (symbol != "**")
        return f"{part(args[0], left)} {symbol} {part(args[1], right)}", binds
    if function is put and path is None:  # flat code writes statements for it; the table of a graph says it in words
        return f"{part(args[0], ATOM)} at [{index_code(args[1], part)}] of zeros {args[2]}", ATOM
    if function is getitem:
        return f"{array(args[0])}[{index_code(args[1], part)}]", ATOM
    if function is np.ndarray.astype and line.ndim == 0:
        return f"np.{args[1]}({part(args[0])})", ATOM
    if function is np.ndarray.astype:
        return f"{array(args[0])}.astype({part(args[1])})", ATOM
    if function is np.transpose and (len(args) == 1 or args[1] is None):
        return f"{array(args[0])}.T", ATOM
    if function is np.reshape:
        return f"{array(args[0])}.reshape({part(args[1])})", ATOM
    named = [f"{name}={part(option)}" for name, option in line.kwargs.items()]
    return f"{(path or _path)(function)}({', '.join([*map(part, args), *named])})", ATOM


def _path(function: Any) -> str:
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module}.{function.__name__}".replace("numpy", "np", 1).replace("coursekit.autograd.ops._", "")


def index_code(index: Any, part: Callable[..., str]) -> str:
    if isinstance(index, tuple):
        return ", ".join(index_code(item, part) for item in index) or "()"
    if isinstance(index, slice):
        texts = ["" if bound is None else part(bound) for bound in (index.start, index.stop, index.step)]
        return ":".join(texts if texts[2] else texts[:2])
    return "..." if index is Ellipsis else part(index)


def literal(item: Any) -> str:
    return _literal(item, literal)[0]


def _literal(item: Any, part: Callable[..., str]) -> tuple[str, int]:
    """A constant as code."""
    if isinstance(item, np.ndarray):
        return array_literal(item), ATOM
    if isinstance(item, Quotient):
        return item.text, SYMBOLS[np.true_divide][1]
    if isinstance(item, np.generic) and item.dtype.kind == "f":
        return f"np.{item.dtype}({item.item()!r})", ATOM  # unlike a Python number, it decides the dtype
    if isinstance(item, np.generic):
        item = item.item()
    if isinstance(item, list | tuple):
        texts = ", ".join(map(part, item))
        return (f"[{texts}]" if isinstance(item, list) else f"({texts}{',' * (len(item) == 1)})"), ATOM
    if isinstance(item, np.dtype | type):
        return f"np.{np.dtype(item).name}", ATOM
    if isinstance(item, float) and not np.isfinite(item):
        return f"np.{item}".replace("np.-", "-np."), 4
    return repr(item), 4 if isinstance(item, int | float) and item < 0 else ATOM


def array_literal(array: Array) -> str:
    dtype = "" if array.dtype in (np.float64, np.int64, np.bool_) else f", dtype=np.{array.dtype}"
    if array.ndim == 1 and array.size > 2 and array.dtype.kind == "i" and np.array_equal(array, np.arange(array.size)):
        return f"np.arange({array.size}{dtype})"
    if array.size == 0:
        return f"np.zeros({array.shape}, np.{array.dtype})"
    if array.size > 2 and np.all(array == array.flat[0]):
        return f"np.full({array.shape}, {_numbers(array.flat[0].item())}{dtype})"
    if array.size > 200:
        raise ValueError(
            f"the function uses an array of shape {array.shape} that is not among its arguments. "
            "Flat code stands alone: make the array an argument"
        )
    return f"np.array({_numbers(array.tolist())}{dtype})"


def _numbers(item: Any) -> str:
    return re.sub(r"\b(nan|inf)\b", r"np.\1", repr(item))

"""flat: the program that one would write by hand, forward and then backward, written by the engine.

A traced function (``trace.py``) is a list of lines already.  Written out for a reader, each node of
the forward pass is a line, and so is each gradient, under a name that begins with ``grad_``.
Written out for the machine it is the same program, in which a result goes into the memory of
one that is not needed any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import numpy as np

from coursekit.autograd.graph import named_circuit
from coursekit.autograd.ops import names_entries, put
from coursekit.autograd.scalar import Value
from coursekit.autograd.trace import (
    ATOM,
    SYMBOLS,
    Line,
    Trace,
    code_of,
    expression,
    index_code,
    literal,
    substitute,
    trace_of,
    unused,
)
from coursekit.autograd.transforms import positions


def flat(f: Callable[..., Any], *examples: Any, argnums: int | Sequence[int] | None = None) -> Callable[..., Any]:
    """Flat code for the value and the gradients of `f`, as the lectures ask students to write it.

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
        program, except that it uses memory twice; results are always arrays of their own.

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
    if any(isinstance(example, Value) for example in examples):
        source = _scalar_source(f, examples, wanted, single)
        function = _compiled(source, {})
    else:
        trace = trace_of(f, examples, wanted)
        source = _readable(_function_name(f), trace, single)
        function = _compiled(*_fast(_function_name(f), trace, single))
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


def _returned(value: str, gradients: list[str], single: bool) -> str:
    together = ", ".join(gradients) + "," * (len(gradients) == 1)
    return f"return {value}, {gradients[0] if single else f'({together})'}"


# --- For readers -----------------------------------------------------------------------------------


def _readable(name: str, trace: Trace, single: bool) -> str:
    """The program with a line for each node, and for its gradient a line named after it."""
    lines = trace.live(backward=True)
    value_is_shared, *shared = _shared_results(trace, lines)
    results = trace.of_parameters()
    uses = Counter(source for line in lines for source in line.sources())
    uses.update(gradient for _, gradient in results)
    taken = {line.name for line in lines} | {"np"}
    copied = {gradient for (_, gradient), is_shared in zip(results, shared, strict=True) if is_shared}
    copied -= {gradient for (_, gradient), is_shared in zip(results, shared, strict=True) if not is_shared}
    gradient_names, owners = _gradient_names(trace, taken, copied)
    names = {line: line.name for line in lines if line.kind != "gradient"} | gradient_names
    inlined: dict[Line, tuple[str, int]] = {}
    body: dict[str, list[str]] = {"compute": [], "gradient": []}

    def text_of(line: Line) -> tuple[str, int]:
        return inlined[line] if line in inlined else (names[line], ATOM)

    for line in lines:
        if line.function is None:
            continue
        if line not in names and uses[line] == 1 and line.function is not put:
            inlined[line] = expression(line, text_of)
            continue
        mine = names.setdefault(line, "") or unused("part", taken)
        names[line] = mine
        if line.function is put:
            body[line.kind] += _put_statements(line, mine, text_of)
        else:
            body[line.kind].append(f"{mine} = {expression(line, text_of)[0]}")
    returned = []
    for (parameter, gradient), is_shared in zip(results, shared, strict=True):
        text = text_of(gradient)[0]
        if is_shared or owners.get(gradient) is not parameter:
            returned.append(unused(f"grad_{parameter.name}", taken))
            body["gradient"].append(f"{returned[-1]} = {f'np.array({text})' if is_shared else text}")
        else:
            returned.append(text)
    value = names[trace.output]
    steps = ["# forward", *body["compute"], "# backward", *body["gradient"]]
    steps.append(_returned(f"np.array({value})" if value_is_shared else value, returned, single))
    shapes = ", ".join(f"{line.name} {line.shape}" for line in trace.arguments)
    return _program("import numpy as np", name, [line.name for line in trace.arguments], f"made for {shapes}", steps)


def _program(header: str, name: str, arguments: list[str], summary: str, steps: list[str]) -> str:
    body = "\n    ".join([f"# {summary}", *steps])
    return f"{header}\n\n\ndef {name}({', '.join(arguments)}):\n    {body}\n"


def _gradient_names(trace: Trace, taken: set[str], unnamed: set[Line]) -> tuple[dict[Line, str], dict[Line, Line]]:
    """A name for every gradient, and the node that it is named after.

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


def _put_statements(line: Line, name: str, text_of: Callable[[Line], tuple[str, int]]) -> list[str]:
    """Zeros, and then what is added to them."""
    g, index, shape = line.args
    part = code_of(text_of)
    dtype = "" if line.dtype == np.float64 else f", np.{line.dtype}"
    place = index_code(index, part)
    if isinstance(index, tuple):
        place_in_call = f"np.s_[{place}]" if any(isinstance(i, slice | type(...)) for i in index) else f"({place})"
    else:
        place_in_call = place
    if names_entries(substitute(index, lambda source: source.value)):
        add = f"np.add.at({name}, {place_in_call}, {part(g)})"
    else:
        add = f"{name}[{place}] = {part(g)}"
    return [f"{name} = np.zeros({shape}{dtype})", add]


# --- For the machine -------------------------------------------------------------------------------


# Functions, besides the elementwise ones, whose result is an array of its own: never a view of an argument.
OWNING = {np.matmul, np.sum, np.mean, np.max, np.min, np.where, np.concatenate, np.full, put}


def _fast(name: str, trace: Trace, single: bool) -> tuple[str, dict[str, Any]]:
    """The same program, in which elementwise results overwrite arrays that nobody needs any more."""
    lines = trace.live(backward=True)
    results = [trace.output, *(gradient for _, gradient in trace.of_parameters())]
    memory, last = _lifetimes(lines, results)
    names = {line: line.name for line in trace.arguments}
    taken = set(names.values())
    namespace: dict[str, Any] = {"np": np}
    body: list[str] = []

    def text_of(line: Line) -> tuple[str, int]:
        return names[line], ATOM

    def bound(thing: Any) -> str:
        """A global name, which is found sooner than np.something."""
        if isinstance(thing, np.ndarray):
            thing = thing.copy()  # whoever made it may go on writing in it
        short = f"_{getattr(thing, '__name__', 'constant').strip('_')}"
        while short in taken or namespace.setdefault(short, thing) is not thing:
            short += "_"
        return short

    def written(line: Line, operators: bool) -> str:
        if line.function in SYMBOLS and line.dtype.kind == "f":  # NumPy takes in 1.0 sooner than 1
            line = copy(line)
            line.args = tuple(float(arg) if type(arg) is int else arg for arg in line.args)
        if line.function is np.matmul and all(isinstance(arg, Line) and arg.ndim <= 2 for arg in line.args):
            return "{}.dot({})".format(*(names[arg] for arg in line.args))
        if line.function is np.sum and line.kwargs.keys() <= {"axis", "keepdims"}:
            axis, keepdims = line.kwargs.get("axis"), line.kwargs.get("keepdims", False)
            return f"{bound(np.add.reduce)}({text_of(line.args[0])[0]}, {axis}, None, None, {keepdims})"
        if line.function is put:
            g, index, shape = line.args
            part = code_of(text_of, bound)
            return f"{bound(put)}({part(g)}, {bound(np.s_)}[{index_code(index, part)}], {shape})"
        return expression(line, text_of, operators=operators, path=bound, constant=bound)[0]

    for i, line in enumerate(lines):
        if line.function is None:
            continue
        spent = (s for s in line.sources() if memory[s] == {s} and last[s] == i and _can_overwrite(line, s))
        reused = next(spent, None)
        if reused is None:
            names[line] = unused("v", taken)
            body.append(f"{names[line]} = {written(line, operators=True)}")
            continue
        names[line] = target = names[reused]
        symbol, _ = SYMBOLS.get(line.function, ("", 0))
        if symbol in ("+", "-", "*", "/") and len(line.args) == 2 and line.args[0] is reused:
            body.append(f"{target} {symbol}= {code_of(text_of, bound)(line.args[1])}")
        else:
            body.append(f"{written(line, operators=False)[:-1]}, {target})")
    returned = []
    for line, shared in zip(results, _shared_results(trace, lines), strict=True):
        returned.append(f"{bound(np.array)}({names[line]})" if shared else names[line])
    checks = _check(trace.arguments, bound, unused("fits", taken))
    steps = [*checks, *body, _returned(returned[0], returned[1:], single)]
    return _program("", name, [line.name for line in trace.arguments], "", steps), namespace


def _lifetimes(lines: list[Line], results: list[Line]) -> tuple[dict[Line, set[Line]], dict[Line, float]]:
    """For each line, in whose memory it may live; for each memory, the position of the last line that reads it."""
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


def _shared_results(trace: Trace, lines: list[Line]) -> list[bool]:
    """Of the value and each gradient that is returned: whether it may share memory with an argument or another one."""
    results = [trace.output, *(gradient for _, gradient in trace.of_parameters())]
    memory, _ = _lifetimes(lines, results)
    seen = set(trace.arguments)
    shared = []
    for line in results:
        is_a_number = line.ndim == 0 and line.kind == "gradient"  # NumPy's numbers cannot be written to
        shared.append(bool(memory[line] & seen) and not is_a_number)
        seen |= memory[line]
    return shared


def _can_overwrite(line: Line, source: Line) -> bool:
    """Whether `line` is an elementwise function whose result fits into the array `source`."""
    function = line.function
    elementwise = isinstance(function, np.ufunc) and function.signature is None and function.nout == 1
    same = source.shape == line.shape and source.dtype == line.dtype
    return elementwise and not line.kwargs and line.ndim > 0 and source.function is not None and same


NUMBERS = (float, int, np.float64)


def _check(arguments: list[Line], bound: Callable[[Any], str], fits: str) -> list[str]:
    """Statements that refuse arguments of other shapes or dtypes than the examples."""
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


# --- For circuits of Values ------------------------------------------------------------------------

# operation -> its result z from x and y, and then the gradients of x and of y from the upstream gradient g
SCALAR = {
    "+": ("{x} + {y}", "{g}", "{g}"),
    "-": ("{x} - {y}", "{g}", "-{g}"),
    "*": ("{x} * {y}", "{g} * {y}", "{g} * {x}"),
    "/": ("{x} / {y}", "{g} / {y}", "-{g} * {z} / {y}"),
    "**": (
        "math.pow({x}, {y})",
        "({g} * {y} * math.pow({x}, {y} - 1) if {x} or {y} >= 1 else {g} * math.inf if {y} else 0.0)",
        "({g} * {z} * math.log({x}) if {x} > 0 else {g} * math.nan if {x} < 0 else 0.0)",
    ),
    "**2": ("{x} * {x}", "{g} * 2 * {x}"),
    "neg": ("-{x}", "-{g}"),
    "abs": ("math.fabs({x})", "({g} if {x} > 0 else -{g} if {x} < 0 else 0.0)"),
    "exp": ("math.exp({x})", "{g} * {z}"),
    "log": ("math.log({x})", "{g} / {x}"),
    "sqrt": ("math.sqrt({x})", "({g} * (0.5 / {z}) if {z} else {g} * math.inf)"),
    "tanh": ("math.tanh({x})", "{g} * (1 - {z} * {z})"),
    "sigmoid": (
        "1 / (1 + math.exp(-{x})) if {x} >= 0 else math.exp({x}) / (1 + math.exp({x}))",
        "{g} * {z} * (1 - {z})",
    ),
    "relu": ("{x} if {x} > 0 else 0.0", "({g} if {x} > 0 else 0.0)"),
}


def _scalar_source(f: Any, examples: tuple[Any, ...], argnums: Sequence[int] | None, single: bool) -> str:
    variables = [Value(example.value if isinstance(example, Value) else example) for example in examples]
    output, names = named_circuit(f, tuple(variables), refused=(Value.__lt__, Value.__bool__, Value.__float__))
    chosen = range(len(variables)) if argnums is None else positions(argnums, len(variables))
    wanted = [variables[i] for i in chosen]
    needed = set(wanted)
    forward, backward = [], []
    terms: dict[Value, list[str]] = {value: [] for value in names}
    for value in names:
        if value.operation:
            forward.append(f"{names[value]} = {_rules(value)[0].format(**_operands(value, names))}")
            if any(x in needed for x in value.inputs):
                needed.add(value)
        elif value not in variables:  # from outside: a constant
            forward.append(f"{names[value]} = {literal(value.value).replace('np.', 'math.')}")
    taken, gradient_names = set(names.values()), {}
    for value in sorted(needed, key=lambda value: value not in wanted):
        gradient_names[value] = unused(f"grad_{names[value]}", taken)
    for value in reversed(names):
        if value in needed:
            if value is output:
                terms[value].insert(0, "1.0")
            gradient = " + ".join(terms[value]).replace("+ -", "- ") or "0.0"
            backward.append(f"{gradient_names[value]} = {gradient}")
            for x, rule in zip(value.inputs, _rules(value)[1:], strict=False):
                if x in needed:
                    operands = {"g": gradient_names[value], "z": names[value], **_operands(value, names)}
                    terms[x].append(rule.format(**operands))
    steps = ["# forward", *forward, "# backward", *backward]
    steps.append(_returned(names[output], [gradient_names[x] for x in wanted], single))
    arguments = [names[x] for x in variables]
    return _program("import math", _function_name(f), arguments, "numbers in, numbers out", steps)


def _rules(value: Value) -> tuple[str, ...]:
    """The row of `SCALAR` for a value; squares have a shorter one."""
    squared = value.operation == "**" and value.inputs[1] == 2 and isinstance(value.inputs[1], float)
    return SCALAR["**2" if squared else value.operation] if value.operation else ()


def _operands(value: Value, names: dict[Value, str]) -> dict[str, str]:
    texts = [names[x] if isinstance(x, Value) else literal(x).replace("np.", "math.") for x in value.inputs]
    return dict(zip("xy", [text if text[0] != "-" else f"({text})" for text in texts], strict=False))

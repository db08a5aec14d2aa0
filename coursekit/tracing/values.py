"""Circuits of `Value`: their nodes by name, and their flat code in plain Python."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Sequence
from typing import Any

from coursekit.autograd.scalar import Value
from coursekit.autograd.transforms import positions
from coursekit.tracing.source import literal, program, return_statement
from coursekit.tracing.trace import SHORT, called, parameter_names, unused

__all__ = ["named_circuit", "scalar_source"]


def named_circuit(f: Any, examples: tuple[Any, ...], refused: Sequence[Any] = ()) -> tuple[Value, dict[Value, str]]:
    """Return the result of `f`, and a name for every value of its circuit, oldest first."""
    if isinstance(f, Value):
        output, arguments, variables = f, {}, {}
    else:
        output, local = called(f, examples, refused)
        if not isinstance(output, Value):
            raise TypeError(f"{getattr(f, '__name__', 'the function')} must return a Value here, not {output!r}")
        names_of_arguments = zip(examples, parameter_names(f, len(examples)), strict=True)
        arguments = {x: unused(name, {"math"}) for x, name in names_of_arguments}
        variables = {value: name for name, value in reversed(local.items()) if isinstance(value, Value)}
    names, taken = dict(arguments), set(arguments.values()) | {"math", *keyword.kwlist}
    values = _circuit(output)
    for value in values:
        if value not in names and value in variables:
            names[value] = unused(variables[value], taken)
    for value in values:
        if value not in names:
            short = SHORT.get(value.operation, value.operation) or "x"
            names[value] = unused(short, taken)
    return output, {value: names[value] for value in (*arguments, *values)}


def _circuit(output: Value) -> list[Value]:
    """List the values that `output` was computed from, and itself, oldest first."""
    found = {output}
    values = [output]
    for value in values:
        for source in value.inputs:
            if isinstance(source, Value) and source not in found:
                found.add(source)
                values.append(source)
    return sorted(values, key=lambda value: value.order)


def scalar_source(
    name: str, f: Callable[..., Any], examples: tuple[Any, ...], argnums: Sequence[int] | None, single: bool
) -> str:
    """Write the flat code of a function of Values, as a function called `name`."""
    variables = [Value(example.value if isinstance(example, Value) else example) for example in examples]
    output, names = named_circuit(f, tuple(variables), refused=(Value.__lt__, Value.__bool__, Value.__float__))
    chosen = range(len(variables)) if argnums is None else positions(argnums, len(variables))
    wanted = [variables[i] for i in chosen]
    needed = _depending_on(wanted, names)
    taken, gradient_names = set(names.values()), {}
    for value in sorted(needed, key=lambda value: value not in wanted):
        gradient_names[value] = unused(f"grad_{names[value]}", taken)
    steps = ["# forward", *_forward(variables, names), "# backward", *_backward(output, names, gradient_names)]
    steps.append(return_statement(names[output], [gradient_names[x] for x in wanted], single))
    return program("import math", name, [names[x] for x in variables], "numbers in, numbers out", steps)


def _depending_on(wanted: Sequence[Value], names: dict[Value, str]) -> set[Value]:
    needed = set(wanted)
    for value in names:
        if any(x in needed for x in value.inputs):
            needed.add(value)
    return needed


def _forward(variables: list[Value], names: dict[Value, str]) -> list[str]:
    lines = []
    for value in names:
        if value.operation:
            lines.append(f"{names[value]} = {_rules(value)[0].format(**_operands(value, names))}")
        elif value not in variables:  # from outside: a constant
            lines.append(f"{names[value]} = {_number(value.value)}")
    return lines


def _backward(output: Value, names: dict[Value, str], gradient_names: dict[Value, str]) -> list[str]:
    lines = []
    terms: dict[Value, list[str]] = {value: [] for value in names}
    terms[output].append("1.0")
    for value in reversed(names):
        if value not in gradient_names:
            continue
        gradient = " + ".join(terms[value]).replace("+ -", "- ") or "0.0"
        lines.append(f"{gradient_names[value]} = {gradient}")
        for x, rule in zip(value.inputs, _rules(value)[1:], strict=False):
            if x in gradient_names:
                operands = {"g": gradient_names[value], "z": names[value], **_operands(value, names)}
                terms[x].append(rule.format(**operands))
    return lines


# operation -> its result z from x and y, and then the gradients of x and of y from the upstream gradient g
RULES = {
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


def _rules(value: Value) -> tuple[str, ...]:
    """Return the row of `RULES` for a value; squares have a shorter one."""
    squared = value.operation == "**" and value.inputs[1] == 2 and isinstance(value.inputs[1], float)
    return RULES["**2" if squared else value.operation] if value.operation else ()


def _operands(value: Value, names: dict[Value, str]) -> dict[str, str]:
    texts = [names[x] if isinstance(x, Value) else _number(x) for x in value.inputs]
    return dict(zip("xy", [text if text[0] != "-" else f"({text})" for text in texts], strict=False))


def _number(x: float) -> str:
    return literal(x).replace("np.", "math.")

"""Circuits written as Python text: parse them, and make the nodes to draw."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from coursekit.diagrams.computing import Computed
from coursekit.diagrams.layout import MOST, Node
from coursekit.diagrams.text import shown


class Circuit:
    """A circuit parsed from text: for each node an expression in the names of earlier nodes."""

    def __init__(self, text: str, each: str, numbers: Mapping[str, Any]) -> None:
        if each not in ("operation", "statement"):
            raise ValueError(f'show_circuit: each is "operation" or "statement", not {each!r}')
        self.numbers = {name: _number(name, value) for name, value in numbers.items()}
        self.expressions: dict[str, ast.expr | None] = {}  # None for an input
        self.said: dict[str, str] = {}
        self.named: list[str] = []
        self.operations = each == "operation"
        for statement in _statements(text):
            self.read(*statement)
        for name in self.numbers:
            if self.expressions.get(name, name) is not None:
                inputs = ", ".join(name for name, expression in self.expressions.items() if expression is None)
                raise ValueError(f"show_circuit: {name} is not an input of this circuit; its inputs are {inputs}.")
        self.computed = Computed(self.expressions, self.numbers, self.said) if self.numbers else None

    def read(self, name: str, expression: ast.expr) -> None:
        if name in self.expressions:
            when = "computed twice" if self.expressions[name] else "used before it is computed"
            raise ValueError(f"show_circuit: {name} is {when}; give every result a name of its own, inputs first.")
        constant = _constant(expression)
        if constant is not None:  # x = 3 is an input with its number
            self.expressions[name] = None
            self.numbers.setdefault(name, constant)
            return
        simple = self.simple(expression)
        self.expressions[name] = simple
        self.said[name] = f"{name} = {ast.unparse(expression)}"
        self.named.append(name)

    def simple(self, expression: ast.expr) -> ast.expr:
        """Return the expression in names and numbers only, after making nodes of nested expressions."""

        def wire(part: ast.expr) -> ast.expr:
            constant = _constant(part)
            if constant is not None:
                return ast.Constant(constant)
            if isinstance(part, ast.Name):
                self.expressions.setdefault(part.id, None)
                return part
            inner = self.simple(part)
            if not self.operations:
                return inner
            name = f"({ast.unparse(part)})"
            while name in self.expressions:
                name += "′"
            self.expressions[name] = inner
            self.said[name] = name
            return ast.Name(name)

        match expression:
            case ast.Name():
                return wire(expression)
            case ast.BinOp(left, sign, right) if type(sign) in _BINARY:
                return ast.BinOp(wire(left), sign, wire(right))
            case ast.UnaryOp(ast.USub() as sign, operand):
                return ast.UnaryOp(sign, wire(operand))
            case ast.UnaryOp(ast.UAdd(), operand):
                return self.simple(operand)
            case ast.Call(function, args, []) if args and _function_name(function):
                return ast.Call(ast.Name(_function_name(function)), [wire(arg) for arg in args], [])
        raise ValueError(
            f"show_circuit: {ast.unparse(expression)!r} is not an operation of a circuit; "
            "use names, numbers, + - * / ** @ and functions such as exp(x) or max(x, y)."
        )

    def nodes(
        self,
        values: bool | Mapping[str, Any],
        gradients: bool | Sequence[str] | Mapping[str, Any],
        parameters: Sequence[str],
        decimals: int,
    ) -> list[Node]:
        """Return the nodes to draw; the arguments are those of `show_circuit`."""
        if not self.named:
            raise ValueError('show_circuit: nothing is computed; write for example "q = x + y".')
        for what, names in (("values", values), ("gradients", gradients), ("parameters", parameters)):
            for name in () if isinstance(names, bool) else names:
                if name not in self.expressions:
                    known = ", ".join(name for name in self.expressions if not name.startswith("("))
                    raise ValueError(f"show_circuit: {what} names {name}, but the circuit has only {known}.")
        for name in parameters:
            if self.expressions[name] is not None:
                raise ValueError(f"show_circuit: {name} is computed; only inputs can be parameters.")
        if len(self.expressions) > MOST:
            raise ValueError(
                f"show_circuit: {len(self.expressions)} nodes cannot be read in one picture; show a part, up to {MOST}."
            )
        nodes = []
        for name, expression in self.expressions.items():
            value = shown(self.value_of(name, values), decimals)
            gradient = shown(self.gradient_of(name, gradients), decimals)
            if expression is None:
                kind = "parameter" if name in parameters else "input"
                nodes.append(Node(name, kind, name, [], "", name, value, gradient))
                continue
            inputs = [part.id for part in _wires(expression)]
            if self.operations:
                inside, label = _symbol(expression), name if name in self.named else ""
            else:
                inside, label, inputs = name, "", list(dict.fromkeys(inputs))
            nodes.append(Node(name, "compute", inside, inputs, label, self.said[name], value, gradient))
        return nodes

    def value_of(self, name: str, values: bool | Mapping[str, Any]) -> Any:
        """Return the value to show: "" for none, None for an unknown number."""
        if isinstance(values, Mapping) and (name in values or (self.expressions[name] is not None and self.numbers)):
            return values.get(name)
        return self.computed.values[name] if self.computed and values is not False else ""

    def gradient_of(self, name: str, gradients: bool | Sequence[str] | Mapping[str, Any]) -> Any:
        """Return the gradient to show: "" for none, None for an unknown number."""
        if isinstance(gradients, Mapping):
            return gradients.get(name, "")
        wanted = gradients if isinstance(gradients, bool) else name in gradients
        return self.computed.gradient(name) if wanted and self.computed else ""


def _statements(text: str) -> Iterator[tuple[str, ast.expr]]:
    try:
        body = ast.parse("\n".join(line.strip() for line in text.splitlines())).body
    except SyntaxError as error:
        where = f"line {error.lineno}, {(error.text or '').strip()!r}," if error.lineno else "the text"
        raise ValueError(f"show_circuit: {where} is not a statement of Python: {error.msg}.") from error
    except ValueError as error:
        raise ValueError(f"show_circuit: the text is not Python: {error}.") from error
    for statement in body:
        match statement:
            case ast.Assign([ast.Name(name)], expression):
                yield name, expression
            case _:
                raise ValueError(
                    f"show_circuit: line {statement.lineno}, {ast.unparse(statement)!r}, is not of the form "
                    "name = expression, for example q = x + y."
                )


_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "−",
    ast.Mult: "×",
    ast.Div: "÷",
    ast.Pow: "^",
    ast.MatMult: "@",
}
SIGNS = {"+": "+", "-": "−", "*": "×", "/": "÷", "**": "^", "neg": "× −1"}


def _function_name(function: ast.expr) -> str:
    match function:
        case ast.Name(name) | ast.Attribute(ast.Name("np" | "numpy" | "math"), name):
            return name
    return ""


def _constant(expression: ast.expr) -> float | None:
    """Return the number of an expression without names."""
    match expression:
        case ast.Constant(bool()):
            return None
        case ast.Constant(int() | float() as number):
            return float(number) if abs(number) < 1e308 else math.inf  # compute with floats: 9**9**9 overflows at once
        case ast.UnaryOp(ast.USub(), operand):
            positive = _constant(operand)
            return None if positive is None else -positive
        case ast.BinOp(left, ast.Div(), right):
            above, below = _constant(left), _constant(right)
            return above / below if above is not None and below else None
    return None


def _wires(expression: ast.expr) -> list[ast.Name]:
    """Return the names used as values, from left to right, once per use."""
    if isinstance(expression, ast.Name):
        return [expression]
    parts = expression.args if isinstance(expression, ast.Call) else ast.iter_child_nodes(expression)
    return [name for part in parts if isinstance(part, ast.expr) for name in _wires(part)]


def _symbol(expression: ast.expr) -> str:
    """Return the text in the node: + for x + y, × 2 for 2 * x, ( )² for a square, the name of a function."""
    match expression:
        case ast.UnaryOp():
            return "× −1"
        case ast.BinOp(ast.Name(), ast.Pow(), ast.Constant(2 | 3 as power)):
            return "( )²" if power == 2 else "( )³"
        case ast.BinOp(ast.Constant(number), ast.Add() | ast.Mult() as sign, _):
            return f"{_BINARY[type(sign)]} {shown(number, 3)}"
        case ast.BinOp(ast.Constant(number), ast.Div(), _):
            return f"{shown(number, 3)}/( )"
        case ast.BinOp(ast.Constant(number), sign, _):
            return f"{shown(number, 3)} {_BINARY[type(sign)]} ( )"
        case ast.BinOp(_, sign, ast.Constant(number)):
            return f"{_BINARY[type(sign)]} {shown(number, 3)}"
        case ast.BinOp(_, sign, _):
            return _BINARY[type(sign)]
        case ast.Call(ast.Name(name), args):
            name = {"maximum": "max", "minimum": "min"}.get(name, name)
            numbers = [shown(arg.value, 3) for arg in args if isinstance(arg, ast.Constant)]
            return f"{name}({', '.join(numbers)}, ·)" if numbers else name
    return "="


def symbol_of_text(operation: str) -> str:
    """Return the text in a node for an operation given as text; shorten what is no operation of a circuit."""
    try:
        expression = ast.parse(operation, mode="eval").body
    except SyntaxError:
        return operation[:12]
    match expression:
        case ast.Call(ast.Attribute(_, name)) if not _function_name(expression.func):
            return name  # x.reshape(…)
        case ast.Call() if name := _function_name(expression.func):
            return _symbol(ast.Call(ast.Name(name), expression.args, []))
        case ast.BinOp(_, sign, _) if type(sign) in _BINARY:
            return _symbol(expression)
        case ast.UnaryOp(ast.USub()):
            return _symbol(expression)
        case ast.Subscript():
            return "[ ]"
    return operation if len(operation) < 12 else operation[:10] + "…"


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"show_circuit: {name} is a number, or left out, not {value!r}.") from error

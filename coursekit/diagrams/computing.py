"""The numbers of a circuit: its values, computed, and its gradients, measured.

While a notebook is graded this module is not there, because an exercise may ask for just these numbers.
"""

from __future__ import annotations

import ast
import math
import operator
import sys
from collections.abc import Callable, Mapping
from typing import Any


class Computed:
    """The numbers of a circuit with the `expressions` of its nodes, None for an input, and the `numbers` of its inputs.

    `said` are the nodes' names in messages; `values` are those of all nodes; `note` is for below the picture.
    """

    note = ""

    def __init__(
        self, expressions: Mapping[str, ast.expr | None], numbers: Mapping[str, float], said: Mapping[str, str]
    ) -> None:
        self.expressions, self.numbers, self.said = expressions, numbers, said
        self.values = self.forward()

    def forward(self, changed: str = "", value: float = 0.0) -> dict[str, float]:
        """Return the values of all nodes, with the value of one of them changed."""
        missing = [name for name, expression in self.expressions.items() if not expression and name not in self.numbers]
        if missing:
            raise ValueError(f"show_circuit: there is no number for {', '.join(missing)}; write {missing[0]}=1.0.")
        found: dict[str, float] = {}
        for name, expression in self.expressions.items():
            if name == changed:
                found[name] = value
            elif expression is None:
                found[name] = self.numbers[name]
            else:
                found[name] = self.value_of(name, expression, found)
        return found

    def value_of(self, name: str, expression: ast.expr, found: Mapping[str, float]) -> float:
        try:
            return _evaluated(expression, found)
        except OverflowError:
            return math.inf
        except (ZeroDivisionError, ValueError) as error:
            raise ValueError(
                f"show_circuit: {self.said[name]} cannot be computed: {error}. Try other numbers."
            ) from error

    def gradient(self, name: str) -> float | None:
        """Measure a gradient with central differences; return None where one side has no value."""
        output = next(node for node in reversed(self.values) if self.expressions[node] is not None)
        at = self.values[name]

        def slope(step: float) -> float:
            return (self.forward(name, at + step)[output] - self.forward(name, at - step)[output]) / (2 * step)

        best, least = None, math.inf
        # One step is large enough for tiny values in large results, the other small enough for steep slopes. Choose
        # the one that changes less when it is halved and has less rounding error.
        for step in (1e-5 * max(abs(at), 0.01), 1e-4 * abs(at) or 1e-8):
            try:
                coarse, fine = slope(step), slope(step / 2)
            except ValueError:
                continue
            doubt = abs(coarse - fine) + sys.float_info.epsilon * abs(self.values[output]) / step
            if best is None or doubt < least:
                best, least = 0.0 if abs(fine) <= doubt else fine, doubt
        return best


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "abs": abs,
    "cos": math.cos,
    "exp": math.exp,
    "log": math.log,
    "max": max,
    "maximum": max,
    "min": min,
    "minimum": min,
    "relu": lambda x: max(0.0, x),
    "sigmoid": lambda x: 0.5 * (1.0 + math.tanh(0.5 * x)),
    "sin": math.sin,
    "sqrt": math.sqrt,
    "square": lambda x: x * x,
    "tanh": math.tanh,
}


def _evaluated(expression: ast.expr, found: Mapping[str, float]) -> float:
    match expression:
        case ast.Name(name):
            return found[name]
        case ast.Constant(number):
            return number  # type: ignore[return-value]  # only numbers are let in
        case ast.UnaryOp(_, operand):
            return -_evaluated(operand, found)
        case ast.BinOp(left, ast.MatMult(), right):
            raise ValueError("@ multiplies matrices, and these are numbers; write *")
        case ast.BinOp(left, sign, right):
            result = _BINARY[type(sign)](_evaluated(left, found), _evaluated(right, found))
            if isinstance(result, complex):
                raise ValueError("a negative number has whole powers only")
            return float(result)
        case ast.Call(ast.Name(name), args):
            if name not in _FUNCTIONS:
                raise ValueError(f"there is no function {name} here; there are {', '.join(_FUNCTIONS)}")
            try:
                return float(_FUNCTIONS[name](*(_evaluated(arg, found) for arg in args)))
            except TypeError as error:
                raise ValueError(str(error)) from error
    raise AssertionError(ast.dump(expression))  # the parser rejects everything else

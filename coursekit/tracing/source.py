"""Lines as Python code."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import getitem
from typing import Any

import numpy as np

from coursekit._typing import Array
from coursekit.autograd.ops import put
from coursekit.tracing.line import Line

__all__ = ["ATOM", "SYMBOLS", "Code", "Quotient", "Writer", "index_code", "literal", "program", "return_statement"]

Code = tuple[str, int]  # an expression, and how strongly its outermost operator binds

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
COMPARISON, PRODUCT, SIGN, ATOM = 1, 3, 4, 6


class Quotient(float):
    """A number that is written as the quotient it came from: 1 / 5 for 0.2."""

    text: str

    def __new__(cls, number: float, text: str) -> Quotient:
        quotient = super().__new__(cls, number)
        quotient.text = text
        return quotient


# --- Expressions -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Writer:
    """Writes calls as Python code.

    Attributes
    ----------
    text_of : callable
        Code for a line that is used in a call.
    operators : bool
        Whether ``x + y`` is written for ``np.add(x, y)``.
    path : callable, or None
        Code for a function.  None: as a reader would write it.
    constant : callable, or None
        Code for an array that is not a line.  None: its numbers.
    """

    text_of: Callable[[Line], Code]
    operators: bool = True
    path: Callable[[Any], str] | None = None
    constant: Callable[[Any], str] | None = None

    def expression(self, line: Line) -> Code:
        """Write the call that gave a line."""
        if self.operators and line.function in SYMBOLS:
            return self._operation(line)
        form = FORMS.get(line.function)
        written = form(self, line) if form else None
        return (written or self._call(line)), ATOM

    def part(self, item: Any, strength: int = 0) -> str:
        """Write an argument, in brackets if it binds less than `strength`."""
        if isinstance(item, np.ndarray):
            return (self.constant or array_literal)(item)
        text, binds = self.text_of(item) if isinstance(item, Line) else _literal(item, self.part)
        return text if binds >= strength else f"({text})"

    def array(self, item: Any) -> str:
        """Write an argument whose method is called; it may be a Python number."""
        is_number = isinstance(item, Line) and item.ndim == 0
        return f"np.asarray({self.part(item)})" if is_number else self.part(item, ATOM)

    def _operation(self, line: Line) -> Code:
        symbol, binds = SYMBOLS[line.function]
        if len(line.args) == 1:
            return f"{symbol}{self.part(line.args[0], binds)}", binds
        x, y = line.args
        if symbol == "+" and x is y and line.kind == "gradient" and self.path is None:
            return f"2 * {self.part(x, PRODUCT)}", PRODUCT
        # a - (b - c) needs its brackets and (a - b) - c does not; with ** it is the other way round.
        left = binds + (symbol == "**" or binds == COMPARISON)
        right = binds + (symbol != "**")
        return f"{self.part(x, left)} {symbol} {self.part(y, right)}", binds

    def _call(self, line: Line) -> str:
        named = [f"{name}={self.part(option)}" for name, option in line.kwargs.items()]
        path = (self.path or _path)(line.function)
        return f"{path}({', '.join([*map(self.part, line.args), *named])})"


def _full(writer: Writer, line: Line) -> str | None:
    shape, number = line.args
    return writer.part(line.dtype.type(number)) if shape == () else None


def _put(writer: Writer, line: Line) -> str | None:
    if writer.path is not None:
        return None
    x, index, shape = line.args  # flat code writes statements for it; the table of a graph says it in words
    return f"{writer.part(x, ATOM)} at [{index_code(index, writer.part)}] of zeros {shape}"


def _getitem(writer: Writer, line: Line) -> str:
    x, index = line.args
    return f"{writer.array(x)}[{index_code(index, writer.part)}]"


def _astype(writer: Writer, line: Line) -> str:
    x, dtype = line.args
    return f"np.{dtype}({writer.part(x)})" if line.ndim == 0 else f"{writer.array(x)}.astype({writer.part(dtype)})"


def _transpose(writer: Writer, line: Line) -> str | None:
    x, *axes = line.args
    return f"{writer.array(x)}.T" if not axes or axes[0] is None else None


def _reshape(writer: Writer, line: Line) -> str:
    x, shape = line.args
    return f"{writer.array(x)}.reshape({writer.part(shape)})"


# What is not written as an operator or as f(x, y); None from a form: written as a call after all.
FORMS: dict[Any, Callable[[Writer, Line], str | None]] = {
    np.full: _full,
    put: _put,
    getitem: _getitem,
    np.ndarray.astype: _astype,
    np.transpose: _transpose,
    np.reshape: _reshape,
}


def _path(function: Any) -> str:
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module}.{function.__name__}".replace("numpy", "np", 1)


def index_code(index: Any, part: Callable[..., str]) -> str:
    """Write what stands between the brackets of an index."""
    if isinstance(index, tuple):
        return ", ".join(index_code(item, part) for item in index) or "()"
    if isinstance(index, slice):
        texts = ["" if bound is None else part(bound) for bound in (index.start, index.stop, index.step)]
        return ":".join(texts if texts[2] else texts[:2])
    return "..." if index is Ellipsis else part(index)


# --- Constants -------------------------------------------------------------------------------------


def literal(item: Any) -> str:
    """Write a constant."""
    return _literal(item, literal)[0]


def _literal(item: Any, part: Callable[..., str]) -> Code:
    if isinstance(item, np.ndarray):
        return array_literal(item), ATOM
    if isinstance(item, Quotient):
        return item.text, PRODUCT
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
        return f"np.{item}".replace("np.-", "-np."), SIGN
    return repr(item), SIGN if isinstance(item, int | float) and item < 0 else ATOM


def array_literal(array: Array) -> str:
    """Write an array as code that makes it.

    Raises
    ------
    ValueError
        If there are too many numbers to write.
    """
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


# --- Programs --------------------------------------------------------------------------------------


def program(header: str, name: str, arguments: list[str], summary: str, steps: list[str]) -> str:
    """Write a function, below the imports in `header`."""
    body = "\n    ".join([f"# {summary}", *steps])
    return f"{header}\n\n\ndef {name}({', '.join(arguments)}):\n    {body}\n"


def return_statement(value: str, gradients: list[str], single: bool) -> str:
    """Write the statement that returns the value and a tuple of gradients, or one gradient alone."""
    together = ", ".join(gradients) + "," * (len(gradients) == 1)
    return f"return {value}, {gradients[0] if single else f'({together})'}"

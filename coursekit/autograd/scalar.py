"""Value: a number that remembers how it was computed, and circuits of such numbers.

    >>> x, y, z = Value(-2), Value(5), Value(-4)
    >>> f = (x + y) * z                      # forward: every operation keeps its local derivatives
    >>> f.backward()                         # backward: the chain rule, newest operation first
    >>> f.value, x.grad, y.grad, z.grad
    (-12.0, -4.0, -4.0, 3.0)

This is backpropagation on the smallest scale, one number at a time and without NumPy.
It has three parts, and each needs only the one before it:

1. local rules: what an operation computes, and the derivative of its result with respect to each input;
2. gates: one operation with a forward and a backward pass, connected by hand;
3. `Value`: gates that connect themselves, and a backward pass through all of them.

``tensor.py`` does the same for whole arrays.

Source: the circuits and gates of the lectures.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from numbers import Real
from typing import Any

# --- Local rules -----------------------------------------------------------------------------------


def _power(x: float, p: float) -> tuple[float, float, float]:
    if x < 0 and not p.is_integer():
        raise ValueError(f"{x} ** {p} is not a real number: a negative number has whole powers only")
    z = x**p
    if x == 0 and p < 1:  # the formula for dz/dx would divide by zero: √x starts vertically, x⁰ is flat
        return z, math.inf if p else 0.0, 0.0
    # There is no logarithm of a negative number for dz/dp = z·ln x; zero to any power above 0 stays zero.
    return z, p * x ** (p - 1), z * math.log(x) if x > 0 else math.nan if x < 0 else 0.0


def _log(x: float) -> tuple[float, float]:
    if x <= 0:
        raise ValueError(f"log of {x}: the logarithm needs a number greater than 0")
    return math.log(x), 1.0 / x


def _sqrt(x: float) -> tuple[float, float]:
    if x < 0:
        raise ValueError(f"sqrt of {x}: the square root needs a number that is not negative")
    z = math.sqrt(x)
    return z, 0.5 / z if z else math.inf


def _sigmoid(x: float) -> tuple[float, float]:
    e = math.exp(-abs(x))  # of e⁻ˣ and eˣ the one that cannot overflow
    z = 1.0 / (1.0 + e) if x >= 0 else e / (1.0 + e)
    return z, (1.0 - z) * z


# operation -> from its inputs its result z, and then the derivative of z with respect to each input
RULES: dict[str, Callable[..., tuple[float, ...]]] = {
    "+": lambda x, y: (x + y, 1.0, 1.0),
    "-": lambda x, y: (x - y, 1.0, -1.0),
    "*": lambda x, y: (x * y, y, x),
    "/": lambda x, y: (x / y, 1.0 / y, -x / y / y),
    "**": _power,
    "max": lambda x, y: (x, 1.0, 0.0) if x >= y else (y, 0.0, 1.0),
    "neg": lambda x: (-x, -1.0),
    "abs": lambda x: (abs(x), math.copysign(1.0, x) if x else 0.0),
    "exp": lambda x: (z := math.exp(x), z),
    "log": _log,
    "sqrt": _sqrt,
    "tanh": lambda x: (z := math.tanh(x), 1.0 - z * z),
    "sigmoid": _sigmoid,
    "relu": lambda x: (0.0, 0.0) if x <= 0 else (x, 1.0),
}

# --- Gates: downstream gradient = upstream gradient × local derivative -----------------------------


class _Gate:
    operation: str
    _slopes: list[float] | None = None  # the cache

    def forward(self, *inputs: float) -> Any:
        """Return the output z, from the input x or the inputs x and y."""
        z, *self._slopes = RULES[self.operation](*inputs)
        return z

    def backward(self, dz: float) -> Any:
        """Return the gradient dx, or the gradients (dx, dy), from the upstream gradient dz."""
        gradients = tuple(dz * slope for slope in self._cached())
        return gradients if len(gradients) > 1 else gradients[0]

    def _cached(self) -> list[float]:
        if self._slopes is None:
            raise RuntimeError(f"{type(self).__name__}.backward needs what forward computes: call forward first")
        return self._slopes


class AddGate(_Gate):
    """z = x + y, the distributor: both inputs receive the upstream gradient.

    >>> gate = AddGate()
    >>> gate.forward(3.0, 4.0), gate.backward(2.0)
    (7.0, (2.0, 2.0))
    """

    operation = "+"


class MultiplyGate(_Gate):
    """z = x·y, the swap multiplier: each input receives the upstream gradient times the other input.

    >>> gate = MultiplyGate()
    >>> gate.forward(2.0, 3.0), gate.backward(5.0)
    (6.0, (15.0, 10.0))
    """

    operation = "*"


class MaxGate(_Gate):
    """z = max(x, y), the router: the larger input, or the first of equals, receives the upstream gradient.

    >>> gate = MaxGate()
    >>> gate.forward(4.0, 5.0), gate.backward(9.0)
    (5.0, (0.0, 9.0))
    """

    operation = "max"


class ExpGate(_Gate):
    """z = eˣ: the derivative is the output itself.

    >>> gate = ExpGate()
    >>> gate.forward(0.0), gate.backward(3.0)
    (1.0, 3.0)
    """

    operation = "exp"


class SigmoidGate(_Gate):
    """z = 1 / (1 + e⁻ˣ): the derivative is (1 − z)·z.

    >>> gate = SigmoidGate()
    >>> round(gate.forward(1.0), 2), round(gate.backward(1.0), 2)
    (0.73, 0.2)
    """

    operation = "sigmoid"


class CopyGate(_Gate):
    """(a, b) = (x, x), the adder of gradients: x is used along two paths, so what comes back is added up.

    >>> gate = CopyGate()
    >>> gate.forward(7.0), gate.backward(4.0, 2.0)
    ((7.0, 7.0), 6.0)
    """

    def forward(self, x: float) -> tuple[float, float]:  # type: ignore[override]  # one input, two outputs
        self._slopes = [1.0, 1.0]
        return x, x

    def backward(self, da: float, db: float) -> float:  # type: ignore[override]
        slope_a, slope_b = self._cached()
        return da * slope_a + db * slope_b


# --- Value: a circuit that builds itself -----------------------------------------------------------

# Every value gets the next number.  Inputs exist before what is computed from them, so going down
# the numbers is an order in which backpropagation may visit the values.
_clock = itertools.count()

_NUMBER = (float, int, Real)  # Real alone would do, but it takes Python long to see that a float is one


def _record(operation: str, z: float, x: Any, dx: float | None, y: Any = None, dy: float | None = None) -> Value:
    """Return a value that remembers its operation, its inputs and the local derivatives."""
    result: Value = object.__new__(Value)  # as __init__ does, without its check
    result.value = z
    result.grad = 0.0
    result.operation = operation
    result.order = next(_clock)
    result._x = x
    result._dx = dx
    result._y = y
    result._dy = dy
    result._seen = None
    return result


def _function(operation: str, doc: str | None = None) -> Callable[[Value], Value]:
    def method(self: Value) -> Value:
        z, dx = RULES[operation](self.value)
        return _record(operation, z, self, dx)

    method.__name__, method.__doc__ = operation, doc
    return method


def _operators(symbol: str) -> tuple[Callable[..., Value], Callable[..., Value]]:
    """Return the methods for ``value ∘ other`` and, with a number on the left, ``number ∘ value``."""
    rule = RULES[symbol]

    def method(self: Value, other: Value | float) -> Value:
        if isinstance(other, Value):
            z, dx, dy = rule(self.value, other.value)
            return _record(symbol, z, self, dx, other, dy)
        if isinstance(other, _NUMBER):
            z, dx, _ = rule(self.value, number := float(other))
            return _record(symbol, z, self, dx, number)
        return NotImplemented

    def reflected(self: Value, other: float) -> Value:
        if isinstance(other, _NUMBER):
            z, _, dy = rule(number := float(other), self.value)
            return _record(symbol, z, number, None, self, dy)
        return NotImplemented

    return method, reflected


def _comparison(compare: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    return lambda self, other: compare(self.value, other.value if isinstance(other, Value) else other)


class Value:
    """A number whose gradient can be asked for.

    Compute with it as with a float, mixed with plain numbers as you like; then call `backward` on the
    result.  Comparisons and ``bool`` look at the number: a branch chooses a computation, it is not part of
    it.  ``==`` asks whether two are the same object, so that values fit into sets.  ``float(v)`` gives the
    number alone: ``math.exp(v)`` has no gradient, ``v.exp()`` has.

    Attributes
    ----------
    value, grad : float
        The number, and the derivative of the result with respect to it, 0 before `backward`.
        Gradients of several `backward` calls add up; set it to 0 to start again.
    operation : str
        The operation that computed it: ``+ - * / ** neg abs exp log sqrt tanh sigmoid relu``, or "" if nothing did.
    inputs, slopes : tuple
        The inputs of the operation, in the order written: each a Value, or a float, which is a constant of
        the circuit; and for each the local derivative dvalue/dinput, None for a constant.
    order : int
        Greater than the `order` of every input.

    Raises
    ------
    TypeError, ZeroDivisionError, OverflowError, ValueError
        Where Python does for floats; and a ValueError where it would give a complex number.

    Examples
    --------
    The sigmoid neuron of the lectures:

    >>> w0, x0, w1, x1, w2 = circuit = [Value(v) for v in (2, -1, -3, -2, -3)]
    >>> f = (w0 * x0 + w1 * x1 + w2).sigmoid()
    >>> f.backward()
    >>> round(f.value, 2), [round(v.grad, 2) for v in circuit]
    (0.73, [-0.2, 0.39, -0.39, -0.59, 0.2])
    """

    # Slots, and no tuples, so that a million values are cheap.  An input is a Value, a plain number, or missing: None.
    # A local derivative is None where no gradient flows: for a plain number and for a missing input.
    __slots__ = ("_dx", "_dy", "_seen", "_upstream", "_x", "_y", "grad", "operation", "order", "value")

    def __init__(self, value: float) -> None:
        if not isinstance(value, _NUMBER):
            raise TypeError(
                f"a Value holds one real number, but this is {type(value).__name__}: write Value(3.0), "
                'Value(float("3")) for text, and Tensor(X) for an array'
            )
        self.value = float(value)
        self.grad = 0.0
        self.operation = ""
        self.order = next(_clock)
        nobody: Any = None  # a leaf has no inputs
        self._x = self._dx = self._y = self._dy = self._seen = nobody

    @property
    def inputs(self) -> tuple[Value | float, ...]:
        return tuple(v for v in (self._x, self._y) if v is not None)

    @property
    def slopes(self) -> tuple[float | None, ...]:
        return (self._dx, self._dy)[: len(self.inputs)]

    def backward(self, upstream: float = 1.0) -> None:
        """Backpropagate from this value: add to the `grad` of every value it was computed from.

        `upstream` is the derivative of some later result with respect to this value.

        >>> x = Value(3.0)
        >>> y = x * x
        >>> z = y + x            # x along two paths: what comes back is added up, 2·3 + 1
        >>> z.backward()
        >>> x.grad, y.grad
        (7.0, 1.0)
        """
        # Everything that this value was computed from, each once.  The list grows while we walk along it; a
        # recursion would end at a chain of a thousand operations.
        this_pass = self._seen = object()
        self._upstream = float(upstream)
        circuit = [self]
        for node in circuit:
            if node._dx is not None and (x := node._x)._seen is not this_pass:
                x._seen = this_pass
                x._upstream = 0.0
                circuit.append(x)
            if node._dy is not None and (y := node._y)._seen is not this_pass:
                y._seen = this_pass
                y._upstream = 0.0
                circuit.append(y)

        # Gradients are collected apart from `grad`: a second call must not pass on what the first one left there.
        circuit.sort(key=operator.attrgetter("order"), reverse=True)
        for node in circuit:
            dz = node._upstream  # complete: whatever used this node is newer
            node.grad += dz
            if node._dx is not None:
                node._x._upstream += dz * node._dx
            if node._dy is not None:
                node._y._upstream += dz * node._dy

    # Operators; either operand may be a plain number.
    __add__, __radd__ = _operators("+")
    __sub__, __rsub__ = _operators("-")
    __mul__, __rmul__ = _operators("*")
    __truediv__, __rtruediv__ = _operators("/")
    __pow__, __rpow__ = _operators("**")
    __neg__, __abs__ = _function("neg"), _function("abs")
    __lt__, __le__, __gt__, __ge__ = map(_comparison, (operator.lt, operator.le, operator.gt, operator.ge))

    exp = _function("exp", "eˣ.  An OverflowError above x ≈ 709, as from ``math.exp``.")
    log = _function("log", "The natural logarithm.  A ValueError unless x > 0.")
    sqrt = _function("sqrt", "The square root.  A ValueError if x < 0; the slope at 0 is infinite.")
    tanh = _function("tanh", "The hyperbolic tangent.")
    sigmoid = _function("sigmoid", "1 / (1 + e⁻ˣ), for any x without overflow.")
    relu = _function("relu", "max(0, x).  The slope at 0 is 0, as everywhere to its left.")

    def __float__(self) -> float:
        return self.value

    def __bool__(self) -> bool:
        return self.value != 0

    def __format__(self, spec: str) -> str:
        return format(self.value, spec) if spec else repr(self)

    def __repr__(self) -> str:
        return f"Value({self.value}, grad={self.grad})"

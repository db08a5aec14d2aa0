"""Value: a number that remembers how it was computed, and circuits of such numbers.

    >>> x, y, z = Value(-2), Value(5), Value(-4)
    >>> f = (x + y) * z                      # forward: every operation notes its local slopes
    >>> f.backward()                         # backward: the chain rule, newest operation first
    >>> f.value, x.grad, y.grad, z.grad
    (-12.0, -4.0, -4.0, 3.0)

This is backpropagation on the smallest scale, one number at a time and without NumPy.
It has three parts, and each needs only the one before it:

1. local rules: what an operation computes, and how steeply the result follows each input;
2. gates: one operation with a forward and a backward pass, connected by hand;
3. `Value`: gates that connect themselves, and a backward pass through all of them.

``tensor.py`` does the same for whole arrays.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from numbers import Real
from typing import Any

# ---------------------------------------------------------------------------------------------------
# Local rules
# ---------------------------------------------------------------------------------------------------


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


# operation -> its inputs in; its result z out, and then the slope of z with respect to each input
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


# ---------------------------------------------------------------------------------------------------
# Gates: downstream gradient = upstream gradient × local slope
# ---------------------------------------------------------------------------------------------------


class _Gate:
    operation: str
    _slopes: list[float] | None = None  # the cache: what forward leaves for backward

    def _cached(self) -> list[float]:
        if self._slopes is None:
            raise RuntimeError(f"{type(self).__name__}.backward needs what forward computes: call forward first")
        return self._slopes


class _OneInput(_Gate):
    def forward(self, x: float) -> float:
        """The output z."""
        z, *self._slopes = RULES[self.operation](x)
        return z

    def backward(self, dz: float) -> float:
        """The gradient dx for the input, from the upstream gradient dz."""
        (slope,) = self._cached()
        return dz * slope


class _TwoInputs(_Gate):
    def forward(self, x: float, y: float) -> float:
        """The output z."""
        z, *self._slopes = RULES[self.operation](x, y)
        return z

    def backward(self, dz: float) -> tuple[float, float]:
        """The gradients (dx, dy) for the inputs, from the upstream gradient dz."""
        slope_x, slope_y = self._cached()
        return dz * slope_x, dz * slope_y


class AddGate(_TwoInputs):
    """z = x + y, the distributor: both inputs receive the upstream gradient.

    >>> gate = AddGate()
    >>> gate.forward(3.0, 4.0), gate.backward(2.0)
    (7.0, (2.0, 2.0))
    """

    operation = "+"


class MultiplyGate(_TwoInputs):
    """z = x·y, the swap multiplier: each input receives the upstream gradient times the other input.

    >>> gate = MultiplyGate()
    >>> gate.forward(2.0, 3.0), gate.backward(5.0)
    (6.0, (15.0, 10.0))
    """

    operation = "*"


class MaxGate(_TwoInputs):
    """z = max(x, y), the router: the larger input receives the whole upstream gradient.

    At a tie the first input receives it, as with ``np.maximum`` of a `Tensor`.

    >>> gate = MaxGate()
    >>> gate.forward(4.0, 5.0), gate.backward(9.0)
    (5.0, (0.0, 9.0))
    """

    operation = "max"


class ExpGate(_OneInput):
    """z = eˣ: the slope is the output itself.

    >>> gate = ExpGate()
    >>> gate.forward(0.0), gate.backward(3.0)
    (1.0, 3.0)
    """

    operation = "exp"


class SigmoidGate(_OneInput):
    """z = 1 / (1 + e⁻ˣ): the slope is (1 − z)·z.

    >>> gate = SigmoidGate()
    >>> round(gate.forward(1.0), 2), round(gate.backward(1.0), 2)
    (0.73, 0.2)
    """

    operation = "sigmoid"


class CopyGate(_Gate):
    """(a, b) = (x, x), the adder of gradients: x counts on both ways, so what comes back is added up.

    >>> gate = CopyGate()
    >>> gate.forward(7.0), gate.backward(4.0, 2.0)
    ((7.0, 7.0), 6.0)
    """

    def forward(self, x: float) -> tuple[float, float]:
        """The two outputs."""
        self._slopes = [1.0, 1.0]
        return x, x

    def backward(self, da: float, db: float) -> float:
        """The gradient dx for the input, from the upstream gradients of both outputs."""
        slope_a, slope_b = self._cached()
        return da * slope_a + db * slope_b


# ---------------------------------------------------------------------------------------------------
# Value: a circuit that builds itself
# ---------------------------------------------------------------------------------------------------

# Every value gets the next number.  Inputs exist before what is computed from them, so going down
# the numbers is an order in which backpropagation may visit the values.
_clock = itertools.count()

# Real alone would do, but it takes Python long to see that a float is one.
_NUMBER = (float, int, Real)


def _record(operation: str, z: float, x: Any, dx: float | None, y: Any = None, dy: float | None = None) -> Value:
    """A value that remembers its operation, its inputs and their slopes."""
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


def _function(operation: str, x: Value) -> Value:
    z, dx = RULES[operation](x.value)
    return _record(operation, z, x, dx)


def _operators(symbol: str) -> tuple[Callable[..., Value], Callable[..., Value]]:
    """The methods of `Value` for ``value ∘ other`` and, when a number stands on the left, ``number ∘ value``."""
    rule = RULES[symbol]

    def method(self: Value, other: Value | float) -> Value:
        if isinstance(other, Value):
            z, dx, dy = rule(self.value, other.value)
            return _record(symbol, z, self, dx, other, dy)
        if isinstance(other, _NUMBER):
            number = float(other)
            z, dx, _ = rule(self.value, number)
            return _record(symbol, z, self, dx, number)
        return NotImplemented

    def reflected(self: Value, other: float) -> Value:
        if isinstance(other, _NUMBER):
            number = float(other)
            z, _, dy = rule(number, self.value)
            return _record(symbol, z, number, None, self, dy)
        return NotImplemented

    return method, reflected


def _comparison(compare: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    return lambda self, other: compare(self.value, other.value if isinstance(other, Value) else other)


class Value:
    """A number whose gradient can be asked for.

    Compute with it as with a float, mixed with plain numbers as you like.  Then call
    `backward` on the result.

    Parameters
    ----------
    value : number
        Kept as a float.

    Attributes
    ----------
    value : float
    grad : float
        The derivative of the result with respect to this value, 0 before `backward`.
        Gradients of several `backward` calls add up; set it to 0 to start anew.
    operation : str
        What computed this value: ``+ - * / ** neg abs exp log sqrt tanh sigmoid relu``, or
        the empty string if nothing did.
    inputs : tuple of Value and float
        What the operation was given, in the order written: a float is a plain number, a
        constant of the circuit.
    slopes : tuple of float and None
        The local slope dvalue/dinput for each input; None for a constant, which needs none.
    order : int
        Greater than the `order` of every input.

    Raises
    ------
    TypeError
        If `value` is not a real number.
    ZeroDivisionError, OverflowError, ValueError
        By operations, where Python raises them for floats, and by real powers of negative numbers.

    Notes
    -----
    ``<``, ``>`` and the like, and ``bool``, look at the value; a branch chooses a computation, it is no
    part of it.  ``==`` asks whether two are the same object, so that values can be
    members of sets; to compare numbers, write ``a.value == b.value``.  ``float(v)`` gives the
    number alone: ``math.exp(v)`` has no gradient, ``v.exp()`` has.

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
    # A slope is None where nothing is to flow: for a plain number and for a missing input.
    __slots__ = ("_dx", "_dy", "_seen", "_upstream", "_x", "_y", "grad", "operation", "order", "value")
    _x: Any
    _y: Any
    _dx: float | None
    _dy: float | None
    _seen: object
    _upstream: float

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
        self._x = self._dx = self._y = self._dy = self._seen = None

    @property
    def inputs(self) -> tuple[Value | float, ...]:
        return tuple(v for v in (self._x, self._y) if v is not None)

    @property
    def slopes(self) -> tuple[float | None, ...]:
        return (self._dx, self._dy)[: len(self.inputs)]

    def backward(self, upstream: float = 1.0) -> None:
        """Backpropagate from this value: add to the `grad` of every value it was computed from.

        Parameters
        ----------
        upstream : float
            The derivative of some later result with respect to this value.

        Notes
        -----
        A pass collects the gradients in a place of its own and adds them to `grad` at the end of each
        visit.  So a second call never passes on what the first one left, and after two calls every
        `grad`, also that of an intermediate value, is the sum of two correct gradients.

        Examples
        --------
        >>> x = Value(3.0)
        >>> y = x * x
        >>> z = y + x            # x on two ways: what comes back is added up, 2·3 + 1
        >>> z.backward()
        >>> x.grad, y.grad
        (7.0, 1.0)
        >>> z.backward(10.0)
        >>> x.grad, y.grad
        (77.0, 11.0)
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

        circuit.sort(key=operator.attrgetter("order"), reverse=True)
        for node in circuit:
            dz = node._upstream  # complete: whatever used this node is newer
            node.grad += dz
            if node._dx is not None:
                node._x._upstream += dz * node._dx
            if node._dy is not None:
                node._y._upstream += dz * node._dy

    # --- operators; either operand may be a plain number ---

    __add__, __radd__ = _operators("+")
    __sub__, __rsub__ = _operators("-")
    __mul__, __rmul__ = _operators("*")
    __truediv__, __rtruediv__ = _operators("/")
    __pow__, __rpow__ = _operators("**")

    def __neg__(self) -> Value:
        return _function("neg", self)

    def __abs__(self) -> Value:
        return _function("abs", self)

    __lt__ = _comparison(operator.lt)
    __le__ = _comparison(operator.le)
    __gt__ = _comparison(operator.gt)
    __ge__ = _comparison(operator.ge)

    # --- functions ---

    def exp(self) -> Value:
        """eˣ.  An OverflowError above x ≈ 709, as from ``math.exp``."""
        return _function("exp", self)

    def log(self) -> Value:
        """The natural logarithm.  A ValueError unless x > 0."""
        return _function("log", self)

    def sqrt(self) -> Value:
        """The square root.  A ValueError if x < 0; the slope at 0 is infinite."""
        return _function("sqrt", self)

    def tanh(self) -> Value:
        """The hyperbolic tangent."""
        return _function("tanh", self)

    def sigmoid(self) -> Value:
        """1 / (1 + e⁻ˣ), for any x without overflow."""
        return _function("sigmoid", self)

    def relu(self) -> Value:
        """max(0, x).  The slope at 0 is 0, as everywhere to its left."""
        return _function("relu", self)

    # --- the number alone ---

    def __float__(self) -> float:
        return self.value

    def __bool__(self) -> bool:
        return self.value != 0

    def __format__(self, spec: str) -> str:
        return format(self.value, spec) if spec else repr(self)

    def __repr__(self) -> str:
        return f"Value({self.value}, grad={self.grad})"

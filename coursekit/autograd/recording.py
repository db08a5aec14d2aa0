"""Recording: how a row of rules becomes an operation that leaves a node.

    >>> double = primitive(np.ldexp, lambda g, _, x, exponent: np.ldexp(g, exponent))
    >>> x = Tensor(3.0, requires_grad=True)
    >>> y = np.ldexp(x, 2)                  # x · 2²
    >>> y.backward()
    >>> float(y.value), float(x.grad)
    (12.0, 4.0)
    >>> del RULES[np.ldexp]

A row is a function with its vector-Jacobian products (VJPs), one for each array argument.  The names of
a VJP's parameters say what the forward step must keep for it, which is the *cache* of the lectures:

=====================================  ==============================================================
``lambda g, ans, _x: g * ans``         the result, as for exp; x is not kept
``lambda g, _, _x, y: g * y``          the other factor: the gradient of x in x * y
``lambda g, *_: g``                    nothing, as for a sum
``lambda g, _, like: spread(g, like)`` shape and dtype of the argument, as for np.sum
=====================================  ==============================================================

So a parameter whose name begins with an underscore is never read; its value is None unless another rule of the
row reads it.

Whatever the number of arguments, an operation behaves as `operation` below says.  One array and two, which
is nearly all that is ever called, have the same written out in ``_fast.py``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from coursekit.autograd import _fast
from coursekit.autograd.tensor import (
    OPERATIONS,
    RULES,
    VJP,
    Like,
    Node,
    Tensor,
    is_recording,
    stop_gradient,
    tensor_of,
)

__all__ = ["Row", "primitive"]


def primitive(
    function: Any, *vjps: VJP | None, forward: Any = None, broadcasts: bool = False, variadic: bool = False
) -> Callable[..., Any]:
    """Add a row to the table: an operation and its vector-Jacobian products (VJPs).

    Parameters
    ----------
    function : callable
        What the row is for.
    vjps : callable or None for each array argument
        ``vjp(g, ans, *args)`` takes the upstream gradient ``g``, the result ``ans`` and the arguments, and
        returns the gradient for one argument.  It must be linear in ``g`` and may return ``g`` itself or a view
        of it, but nothing else that exists already.  Parameters with an underscore in front are not kept, and
        of one called ``like`` only shape and dtype are.
        Parameters beyond the arrays are the options of `function` that the row supports.
        None: a tensor that requires a gradient is not allowed there.
    forward : callable
        Computes the value; `function` itself unless given.
    broadcasts : bool
        The VJPs are written as if shapes were equal: gradients are summed to the shape of the argument.
    variadic : bool
        One VJP for any number of arrays: ``vjp(argnum, options, g, ans, *arrays)``; the options are keywords.

    Returns
    -------
    callable
        What ``RULES[function]`` is then.  Of arrays alone it computes the value; of tensors it also records, if
        one of them needs a gradient.
    """
    row = Row(function.__name__, vjps, forward or function, broadcasts, variadic)
    OPERATIONS[vjps] = function
    RULES[function] = operation = _operation(row)
    return operation


def _operation(row: Row) -> Callable[..., Any]:
    if row.count == 1 and not row.variadic:
        return _fast.of_one_array(row)
    if row.count == 2 and None not in row.vjps:
        return _fast.of_two_arrays(row)

    def operation(*args: Any, **named: Any) -> Any:
        arrays, options, named = row.split(args, named)
        if not any(type(x) is Tensor for x in arrays):
            return row.forward(*arrays, *options, **named)
        values = [x.value if type(x) is Tensor else np.asarray(x) if type(x) is list else x for x in arrays]
        inputs = tuple(x.node if type(x) is Tensor else None for x in arrays)
        value = row.forward(*values, *options, **named)
        recorded = any(inputs) and is_recording()
        return tensor_of(value, row.node(inputs, value, values, options, named) if recorded else None)

    return operation


class Row:
    """What a row says about its function.

    Attributes
    ----------
    name, vjps, forward, broadcasts, variadic
        As given to `primitive`.
    count : int
        How many arrays the function takes; of a variadic row, 1.
    options : dict
        The parameters beyond the arrays, with their defaults.
    ans : int
        Which VJPs read the result: a bit for each.
    args, likes : list of int
        The same for each array; `likes` are those that read only shape and dtype.
    """

    def __init__(
        self, name: str, vjps: tuple[VJP | None, ...], forward: Callable[..., Any], broadcasts: bool, variadic: bool
    ) -> None:
        self.name, self.vjps, self.forward, self.count = name, vjps, forward, len(vjps)
        self.broadcasts, self.variadic = broadcasts, variadic
        self.options: dict[str, Any] = {}
        self.ans = 0
        self.args, self.likes = [0] * self.count, [0] * self.count
        for bit, vjp in enumerate(vjps):
            if vjp is not None:
                ans, *arrays = self._names(vjp)
                self.ans |= (not ans.startswith("_")) << bit
                for i, name in enumerate(arrays):
                    self.args[i] |= (name != "like" and not name.startswith("_")) << bit
                    self.likes[i] |= (name == "like") << bit

    def _names(self, vjp: VJP) -> list[str]:
        """Return the names that a VJP has for the result and each array, and note its options."""
        parameters = list(inspect.signature(vjp).parameters.values())[3 if self.variadic else 1 :]
        names = [p.name for p in parameters]
        if parameters[-1].kind is inspect.Parameter.VAR_POSITIONAL:  # one name for all that is left
            names += names[-1:] * (1 + self.count - len(names))
        self.options = {p.name: p.default for p in parameters[1 + self.count :]}
        return names[: 1 + self.count]

    def split(
        self, args: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], tuple[Any, ...], dict[str, Any]]:
        """Return the arrays and the options of a call; those of a variadic row stay keywords."""
        if self.variadic:
            return args, (), named
        arrays, options = args[: self.count], self.bind(args[self.count :], named)
        if len(arrays) < self.count:
            raise TypeError(f"{self.name} of a Tensor needs {self.count} arrays")
        return arrays, options, {}

    def bind(self, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        """Return the options of a call, in the order of the signature."""
        unknown = sorted(named.keys() - self.options.keys())
        if unknown or len(given) > len(self.options):
            what = f"the argument {unknown[0]}=" if unknown else f"{self.count + len(given)} positional arguments"
            raise TypeError(
                f"{self.name} of a Tensor does not take {what}; its row in {self._file()} "
                f"takes {self.count} array(s) and the options {list(self.options)}"
            )
        rest = list(self.options.items())[len(given) :]
        options = (*given, *(named.get(name, default) for name, default in rest))
        if inspect.Parameter.empty in options:
            raise TypeError(f"{self.name} of a Tensor needs its options {list(self.options)}")
        return tuple(map(stop_gradient, options))

    def node(
        self, inputs: tuple[Node | None, ...], value: Any, values: list[Any], options: tuple[Any, ...], named: Any
    ) -> Node:
        """Return the node of a result, with what the rules of its active inputs read."""
        vjps: tuple[Any, ...] = self.vjps
        if self.variadic:  # one VJP reads the same of all arrays
            active, args, likes = 1, self.args * len(inputs), self.likes * len(inputs)
            vjps = tuple(partial(vjps[0], argnum, named) for argnum in range(len(inputs)))
        else:
            self._refuse_constants(inputs)
            active, args, likes = sum((x is not None) << bit for bit, x in enumerate(inputs)), self.args, self.likes
        kept = tuple(
            x if active & reads else Like(x) if active & like else None
            for x, reads, like in zip(values, args, likes, strict=True)
        )
        ans = value if active & self.ans else None
        return Node(vjps, inputs, (*kept, *options), ans, self.fits(value, values, inputs))

    def _refuse_constants(self, inputs: tuple[Node | None, ...]) -> None:
        for argnum, (source, vjp) in enumerate(zip(inputs, self.vjps, strict=True)):
            if source is not None and vjp is None:
                raise TypeError(
                    f"{self.name} has no gradient with respect to argument {argnum}; pass tensor.value there, "
                    f"or add a vector-Jacobian product to its row in {self._file()}"
                )

    def fits(self, value: Any, arrays: Any, inputs: tuple[Node | None, ...]) -> Any:
        """Return the shapes and dtypes that the gradients must have."""
        if value.dtype.kind != "f":
            raise TypeError(
                f"{self.name} gave {value.dtype}; a gradient flows through real floating point only. "
                "On plain numbers, use tensor.value"
            )
        return tuple(None if node is None else (x.shape, x.dtype) for x, node in zip(arrays, inputs, strict=True))

    def _file(self) -> str:
        """Return the file of the row, as an error names it."""
        vjp = next(vjp for vjp in self.vjps if vjp is not None)
        return f"{vjp.__module__.replace('.', '/')}.py"

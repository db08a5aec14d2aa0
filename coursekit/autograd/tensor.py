"""Tensor: an array that remembers how it was computed.

Backpropagation needs three things, and this file has them in this order:

1. a value that remembers: `Tensor` holds an array and, if it was computed from
   others, which operation computed it from which inputs;
2. recording: a `Primitive` computes with NumPy and, when an input needs a
   gradient, notes what it did in the tensor that it returns;
3. the backward pass: `backpropagate` goes over the record from the newest tensor
   to the oldest, asks each operation's rule for the gradients of its inputs, and
   adds up what arrives at the same tensor.

The rules themselves are rows of the table `RULES`, which ``ops.py`` fills.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Collection, Iterator
from functools import partial
from operator import attrgetter, getitem
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
VJP: TypeAlias = Callable[..., Any]

# NumPy function (or Python operator) -> what to call when an argument is a Tensor.
RULES: dict[Any, Callable[..., Any]] = {}

# Every tensor gets the next number.  Inputs exist before what is computed from them, so going down
# the numbers is an order in which backpropagation may visit the tensors: no sorting by dependency.
_clock = itertools.count()


# ---------------------------------------------------------------------------------------------------
# A value that remembers
# ---------------------------------------------------------------------------------------------------


def _operator(function: Any, swapped: bool = False) -> Callable[..., Tensor]:
    """A method that looks the operation up in the table; `swapped` when the tensor stands on the right."""
    if swapped:
        return lambda self, other: RULES[function](other, self)
    return lambda self, *other: RULES[function](self, *other)


def _comparison(function: Any) -> Callable[[Tensor, Any], Any]:
    return lambda self, other: function(self.value, stop_gradient(other))


class Tensor:
    """An array whose gradient can be asked for.

    Compute with it as with an array: operators, indexing and NumPy functions work
    and record what they do.  Then call `backward` on the result.

    Parameters
    ----------
    value : array_like of floats
        Kept as it is, not copied.  float32 stays float32.
    requires_grad : bool
        False makes a constant: operations on constants alone are not recorded.

    Attributes
    ----------
    value : ndarray, or NumPy scalar where NumPy itself returns one
    grad : array of the shape and dtype of ``value``, or None before `backward`
        Gradients of several `backward` calls add up; set it to None to start anew.
        Intermediate results have one too, as in the circuits of the lectures.
    requires_grad : bool
    rule, args, kwargs
        The `Primitive` that computed this tensor and the arguments it was given; ``rule``
        is None for a tensor that was not computed.

    Raises
    ------
    TypeError
        If a gradient is required of something that is not real floating point.

    Notes
    -----
    Conversions that would lose the record (``np.asarray``, ``float``, and so
    ``math.exp``) raise an error; `value` and `item` say openly that you want the
    number alone.  Comparisons give plain arrays of bools and ``bool(tensor)``
    looks at the value: a branch chooses a computation, it is no part of it.
    Changing ``value`` in place before calling `backward` spoils the record.

    Examples
    --------
    >>> W = Tensor([[1.0, -2.0], [3.0, 4.0]])
    >>> loss = np.sum(np.maximum(0, np.array([[1.0, 1.0]]) @ W))
    >>> loss.backward()
    >>> W.grad
    array([[1., 1.],
           [1., 1.]])
    """

    __slots__ = (
        "__weakref__",
        "_grad",
        "_grad_shared",
        "args",
        "kwargs",
        "order",
        "parents",
        "requires_grad",
        "rule",
        "value",
        "values",
    )

    def __init__(self, value: npt.ArrayLike, requires_grad: bool = True) -> None:
        self.value: Any = np.asarray(value)
        if requires_grad and self.value.dtype.kind != "f":
            raise TypeError(
                f"a gradient needs floating-point numbers, but this is {self.value.dtype}: "
                "write 3.0 for 3, X.astype(float) for X, or Tensor(X, requires_grad=False) for a constant"
            )
        self.requires_grad = requires_grad
        self.order = next(_clock)
        self.rule: Primitive | None = None
        self.args: tuple[Any, ...] = ()  # as given, tensors among them
        self.values: tuple[Any, ...] = ()  # the same, tensors replaced by their values
        self.kwargs: dict[str, Any] = {}
        self.parents: list[tuple[VJP, Tensor]] = []  # the tensors among args that need a gradient
        self._grad: Any = None
        self._grad_shared = False

    def backward(self, upstream: npt.ArrayLike | None = None) -> None:
        """Backpropagate from this tensor: add to the `grad` of every tensor it was computed from.

        Parameters
        ----------
        upstream : array_like of the shape of this tensor
            The gradient of some later scalar with respect to this tensor.  May be
            left out when this tensor is itself a scalar: then it is 1.

        Raises
        ------
        ValueError
            If the shape of `upstream` does not fit, if it is missing for a tensor
            that is not a scalar, or if no input required a gradient.

        Examples
        --------
        >>> x = Tensor([1.0, 2.0, 3.0])
        >>> (x * x).backward([1.0, 10.0, 100.0])
        >>> x.grad
        array([  2.,  40., 600.])
        """
        if not self.requires_grad:
            raise ValueError("backward: no gradient to compute, because no input of this tensor requires one")
        if upstream is None:
            if self.size != 1:
                raise ValueError(
                    f"backward: this tensor has shape {self.shape}; only a scalar has a gradient of its own. "
                    "Sum it to a scalar loss first, or pass the upstream gradient: backward(upstream)"
                )
            upstream = np.ones(self.shape)
        upstream = np.array(upstream, dtype=self.dtype)  # a copy: the caller may go on writing in theirs
        if upstream.shape != self.shape:
            raise ValueError(f"backward: the upstream gradient has shape {upstream.shape}, the tensor {self.shape}")
        gradients, owned = backpropagate(tape(self), upstream)
        for node, gradient in gradients.items():
            if node._grad is None:
                node._grad, node._grad_shared = gradient, node not in owned or bool(node.parents)
            else:
                node._grad, node._grad_shared = node._grad + gradient, False

    @property
    def grad(self) -> Any:
        # The pass lets tensors share one gradient (the two terms of a sum, for instance).  Whoever
        # looks at it gets an array of their own, to scale or clip as they like; unseen, it costs nothing.
        if self._grad_shared:
            self._grad, self._grad_shared = self._grad.copy(), False
        return self._grad

    @grad.setter
    def grad(self, gradient: Any) -> None:
        self._grad, self._grad_shared = gradient, False

    # --- what an array can tell about itself ---

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def ndim(self) -> int:
        return int(self.value.ndim)

    @property
    def size(self) -> int:
        return int(self.value.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.value.dtype  # type: ignore[no-any-return]

    def item(self) -> Any:
        """The single number in this tensor, as a Python number without a gradient."""
        return self.value.item()

    def __len__(self) -> int:
        return len(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        if self.requires_grad:
            raise TypeError(
                "float() would lose the gradient of this tensor (functions of the module math call it: use np.exp, "
                "not math.exp). For the number alone, write tensor.item()"
            )
        return float(self.value)

    def __format__(self, spec: str) -> str:
        return format(self.value.item(), spec) if spec else str(self)

    def __repr__(self) -> str:
        numbers = np.array2string(np.asarray(self.value), separator=", ", prefix="Tensor(")
        return f"Tensor({numbers}{'' if self.requires_grad else ', requires_grad=False'})"

    # --- operators; either operand may be an array or a number ---

    __add__ = _operator(np.add)
    __radd__ = _operator(np.add, swapped=True)
    __sub__ = _operator(np.subtract)
    __rsub__ = _operator(np.subtract, swapped=True)
    __mul__ = _operator(np.multiply)
    __rmul__ = _operator(np.multiply, swapped=True)
    __truediv__ = _operator(np.true_divide)
    __rtruediv__ = _operator(np.true_divide, swapped=True)
    __pow__ = _operator(np.power)
    __rpow__ = _operator(np.power, swapped=True)
    __matmul__ = _operator(np.matmul)
    __rmatmul__ = _operator(np.matmul, swapped=True)
    __neg__ = _operator(np.negative)
    __pos__ = _operator(np.positive)
    __abs__ = _operator(np.absolute)

    __lt__ = _comparison(np.less)
    __le__ = _comparison(np.less_equal)
    __gt__ = _comparison(np.greater)
    __ge__ = _comparison(np.greater_equal)
    __eq__ = _comparison(np.equal)
    __ne__ = _comparison(np.not_equal)
    __hash__ = object.__hash__  # by identity: the backward pass keeps tensors in dictionaries

    __getitem__ = _operator(getitem)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "a Tensor cannot be changed in place, because earlier results may depend on it. "
            "For A[mask] = 0 write A = np.where(mask, 0, A), or A = A * ~mask"
        )

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    # --- methods of arrays ---

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return self._call(np.sum, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return self._call(np.mean, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return self._call(np.max, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return self._call(np.min, axis=axis, keepdims=keepdims)

    def argmax(self, axis: Any = None) -> Any:
        return self.value.argmax(axis=axis)

    def argmin(self, axis: Any = None) -> Any:
        return self.value.argmin(axis=axis)

    def dot(self, other: Any) -> Tensor:
        return self._call(np.dot, other)

    def reshape(self, *shape: Any) -> Tensor:
        return self._call(np.reshape, shape[0] if len(shape) == 1 else shape)

    def ravel(self) -> Tensor:
        return self.reshape(-1)

    flatten = ravel

    def transpose(self, *axes: Any) -> Tensor:
        return self._call(np.transpose, axes[0] if len(axes) == 1 else axes or None)

    @property
    def T(self) -> Tensor:
        return self.transpose()

    @property
    def mT(self) -> Tensor:
        return self._call(np.swapaxes, -1, -2)

    def squeeze(self, axis: Any = None) -> Tensor:
        return self._call(np.squeeze, axis=axis)

    def astype(self, dtype: npt.DTypeLike, copy: bool = True) -> Tensor:
        return self._call(np.ndarray.astype, dtype)

    def _call(self, function: Any, *args: Any, **kwargs: Any) -> Tensor:
        result: Tensor = RULES[function](self, *args, **kwargs)
        return result

    # --- NumPy asks these when one of its functions meets a Tensor ---

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__":
            raise TypeError(f"np.{ufunc.__name__}.{method} has no gradient rule; np.sum, np.max and indexing have")
        if "out" in kwargs:
            raise TypeError(
                f"np.{ufunc.__name__} cannot write its result into an existing array when a Tensor is involved "
                "(out=, or `array += tensor`): write array = array + tensor"
            )
        return _rule(ufunc)(*inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _rule(function)(*args, **kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.requires_grad:
            raise TypeError(
                "NumPy tried to make a plain array of a Tensor, which would lose its gradient. "
                "Use np.dot(X, W) or X @ W for X.dot(W), np.stack for np.array([tensor, ...]), "
                "and tensor.value when you want the numbers alone"
            )
        return np.array(self.value, dtype=dtype, copy=copy)


def stop_gradient(x: Any) -> Any:
    """`x` as a plain array, through which no gradient flows.

    Examples
    --------
    >>> x = Tensor(3.0)
    >>> (stop_gradient(x) * x).backward()
    >>> float(x.grad)
    3.0
    """
    return x.value if isinstance(x, Tensor) else x


def _rule(function: Any) -> Callable[..., Any]:
    """The row of the table for a NumPy function."""
    if function in RULES:
        return RULES[function]
    name = f"{function.__module__.replace('numpy', 'np')}." if hasattr(function, "__module__") else "np."
    raise NotImplementedError(
        f"{name}{function.__name__} has no gradient rule. Write it with functions that have one, or add a row to "
        "coursekit/autograd/ops.py: the function, and its vector-Jacobian product for each argument. "
        "On plain numbers, call it with tensor.value"
    )


# ---------------------------------------------------------------------------------------------------
# Recording
# ---------------------------------------------------------------------------------------------------


class Primitive:
    """An operation and its vector-Jacobian products (VJPs): one row of the table.

    Calling it computes the forward value with NumPy.  If a tensor among the
    arguments requires a gradient, the result is a tensor that remembers the call.

    Parameters
    ----------
    function : callable
        What the row is for; gives the name.
    vjps : callable or None for each array argument
        ``vjp(g, ans, *args, **kwargs)``: the upstream gradient ``g``, the result ``ans`` and
        the arguments in; the gradient for one argument out.  It must be linear in ``g`` and
        may return ``g`` itself or a view of it, but nothing else that exists already.
        None: a tensor is not allowed there.  Further parameters with a default are the
        options of `function` that the row supports.
    forward : callable
        Computes the value; `function` itself unless given.
    fit : callable(gradient, shape)
        Brings a gradient to the shape of its argument where the operation broadcasts.
    variadic : bool
        One VJP for any number of arrays: ``vjp(argnum, g, ans, *args, **kwargs)``.
    """

    __slots__ = ("arity", "fit", "forward", "keywords", "name", "positional", "required", "variadic", "vjps")

    def __init__(
        self,
        function: Any,
        *vjps: VJP | None,
        forward: Callable[..., Any] | None = None,
        fit: Callable[[Any, tuple[int, ...]], Any] | None = None,
        variadic: bool = False,
    ) -> None:
        self.name = function.__name__
        self.forward: Callable[..., Any] = forward or function
        self.vjps = vjps
        self.fit = fit
        self.variadic = variadic
        # Which arguments a row supports is written once, in the signature of its VJP.
        example = next(vjp for vjp in vjps if vjp is not None)
        parameters = list(inspect.signature(example).parameters.values())[3 if variadic else 2 :]
        places = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        self.arity = len(vjps)
        self.positional = float("inf") if variadic else len(places)
        self.required = 0 if variadic else sum(p.default is p.empty for p in places)
        self.keywords = {p.name for p in parameters if p.default is not p.empty} | {
            p.name for p in places[self.arity :]
        }

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != self.arity:
            self._check(args, kwargs)
        values = []
        parents = []  # only these will cost anything in the backward pass
        plain = True
        for argnum, arg in enumerate(args):
            if isinstance(arg, Tensor):
                plain = False
                if arg.requires_grad:
                    parents.append((self._vjp(argnum), arg))
                arg = arg.value
            elif type(arg) is list:
                arg = np.asarray(arg)
            values.append(arg)
        value = self.forward(*values, **kwargs)
        if plain:
            return value
        if not parents:
            return Tensor(value, requires_grad=False)
        if value.dtype.kind != "f":
            raise TypeError(
                f"{self.name} gave {value.dtype}; a gradient flows through real floating point only. "
                "On plain numbers, use tensor.value"
            )
        result = Tensor.__new__(Tensor)  # as __init__ does, without its conversions
        result.value = value
        result.requires_grad = True
        result.order = next(_clock)
        result.rule = self
        result.args = args
        result.values = tuple(values)
        result.kwargs = kwargs
        result.parents = parents
        result._grad = None
        result._grad_shared = False
        return result

    def _vjp(self, argnum: int) -> VJP:
        if self.variadic:
            vjp = self.vjps[0]
            assert vjp is not None
            return partial(vjp, argnum)
        vjp = self.vjps[argnum] if argnum < self.arity else None
        if vjp is None:
            raise TypeError(
                f"{self.name} has no gradient with respect to argument {argnum}; pass tensor.value there, "
                "or add a vector-Jacobian product to its row in coursekit/autograd/ops.py"
            )
        return vjp

    def _check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        unknown = sorted(kwargs.keys() - self.keywords)
        given = len(args) + len(kwargs.keys() & self.keywords)
        if unknown or len(args) > self.positional or given < self.required:
            what = f"the argument {unknown[0]}=" if unknown else f"{len(args)} positional arguments"
            raise TypeError(
                f"{self.name} of a Tensor does not take {what}; its row in coursekit/autograd/ops.py "
                f"takes {self.arity} array(s) and the options {sorted(self.keywords)}"
            )


# ---------------------------------------------------------------------------------------------------
# The backward pass
# ---------------------------------------------------------------------------------------------------


def tape(output: Tensor, sources: Collection[Tensor] = ()) -> list[Tensor]:
    """All tensors through which gradients from `output` flow, oldest first, going no further than `sources`."""
    found = {output}
    unexplored = [output]
    while unexplored:  # a stack of our own: a loop in Python may make a chain longer than Python's stack
        node = unexplored.pop()
        if node in sources:
            continue
        for _, parent in node.parents:
            if parent not in found and parent.requires_grad:
                found.add(parent)
                unexplored.append(parent)
    return sorted(found, key=attrgetter("order"))


def backpropagate(nodes: list[Tensor], upstream: Any, higher: bool = False) -> tuple[dict[Tensor, Any], set[Tensor]]:
    """The gradient of ``sum(upstream * nodes[-1])`` with respect to every tensor in `nodes`.

    Parameters
    ----------
    nodes : list of Tensor, oldest first
        As `tape` gives them.  What is not in the list counts as a constant.
    upstream : array of the shape and dtype of ``nodes[-1]``
    higher : bool
        The two speeds.  False: the VJPs are handed plain arrays, so they cost what
        hand-written NumPy costs.  True: they are handed the tensors, so that what
        they do is recorded like anything else and can be differentiated in turn.

    Returns
    -------
    gradients : dict
    owned : set of Tensor
        Those whose gradient is an array made by this pass and not also the upstream
        gradient of another one.
    """
    active = set(nodes)
    gradients = {nodes[-1]: upstream}
    owned = set()
    for node in reversed(nodes):
        upstream = gradients[node]  # complete: whatever used this node is newer
        args, ans = (node.args, node) if higher else (node.values, node.value)
        for vjp, parent in node.parents:
            if parent not in active:
                continue
            gradient = vjp(upstream, ans, *args, **node.kwargs)
            if gradient.shape != parent.value.shape:
                gradient = _fitted(gradient, node, parent)
            if gradient.dtype is not parent.value.dtype:
                gradient = gradient.astype(parent.value.dtype, copy=False)
            if parent not in gradients:
                gradients[parent] = gradient
                if not higher and gradient is not upstream and gradient.base is None:
                    owned.add(parent)
            elif parent in owned:
                gradients[parent] += gradient  # in place only where nobody else can be looking
            else:
                gradients[parent] = gradients[parent] + gradient
                if not higher:
                    owned.add(parent)
    return gradients, owned


def _fitted(gradient: Any, node: Tensor, parent: Tensor) -> Any:
    rule = node.rule
    assert rule is not None
    if rule.fit is None:
        raise ValueError(
            f"the row of {rule.name} in coursekit/autograd/ops.py gave a gradient of shape {gradient.shape} "
            f"for an argument of shape {parent.shape}"
        )
    return rule.fit(gradient, parent.shape)

"""Tensor: an array that remembers how it was computed.

Backpropagation needs three things, and this file has them in this order:

1. a value that remembers: a `Tensor` is an array with a `Node`, and the node knows the
   nodes of the inputs, and what the chain rule will need of them;
2. recording: `primitive` makes of a NumPy function one that computes the value and, if
   an input needs a gradient, leaves a node;
3. the backward pass: `backpropagate` goes over the nodes from the newest to the oldest,
   asks each one's rules for the gradients of its inputs, and adds up what arrives.

The rules themselves are the rows of ``ops.py``.

Source: the forward and backward passes of the lectures' computational graphs, for whole arrays.
"""

from __future__ import annotations

import dis
import inspect
import itertools
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import partial
from math import prod
from operator import attrgetter, getitem
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

from coursekit._typing import Array

VJP: TypeAlias = Callable[..., Any]


class Table(dict[Any, Callable[..., Any]]):
    """NumPy function (or Python operator) -> what to call when an argument is a Tensor."""

    def __missing__(self, function: Any) -> Callable[..., Any]:
        name = f"{getattr(function, '__module__', None) or 'numpy'}.{function.__name__}".replace("numpy.", "np.")
        raise NotImplementedError(
            f"{name} has no gradient rule. On plain numbers, call it with tensor.value. Else write it with functions "
            "that have a rule, or give it a forward and a backward with coursekit.autograd.Function; a row in "
            "coursekit/autograd/ops.py (the function, and its vector-Jacobian product for each argument) teaches it "
            "to everybody"
        )


RULES = Table()
OPERATIONS: dict[tuple[VJP | None, ...], Any] = {}  # the VJPs of a row -> its function: what a node stands for

# --- A value that remembers ------------------------------------------------------------------------


def _method(function: Any) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: self._apply(function, self, *args, **kwargs)


def _swapped(function: Any) -> Callable[..., Any]:
    return lambda self, other: self._apply(function, other, self)


class ArrayLike:
    """What looks like an array: operators and methods that stand for a NumPy function, and say so to `_apply`."""

    __slots__ = ()
    value: Any

    def _apply(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    __add__, __radd__ = _method(np.add), _swapped(np.add)
    __sub__, __rsub__ = _method(np.subtract), _swapped(np.subtract)
    __mul__, __rmul__ = _method(np.multiply), _swapped(np.multiply)
    __truediv__, __rtruediv__ = _method(np.true_divide), _swapped(np.true_divide)
    __floordiv__, __rfloordiv__ = _method(np.floor_divide), _swapped(np.floor_divide)
    __mod__, __rmod__ = _method(np.remainder), _swapped(np.remainder)
    __pow__, __rpow__ = _method(np.power), _swapped(np.power)
    __matmul__, __rmatmul__ = _method(np.matmul), _swapped(np.matmul)
    __neg__, __pos__, __abs__ = _method(np.negative), _method(np.positive), _method(np.absolute)
    __lt__, __le__, __gt__, __ge__ = map(_method, (np.less, np.less_equal, np.greater, np.greater_equal))
    __and__, __or__, __xor__ = map(_method, (np.bitwise_and, np.bitwise_or, np.bitwise_xor))
    __rand__, __ror__, __rxor__ = map(_swapped, (np.bitwise_and, np.bitwise_or, np.bitwise_xor))
    __invert__ = _method(np.invert)
    __eq__, __ne__ = _method(np.equal), _method(np.not_equal)
    __hash__ = object.__hash__
    __getitem__ = _method(getitem)

    sum, mean, prod, var, std = map(_method, (np.sum, np.mean, np.prod, np.var, np.std))
    max, min, argmax, argmin, argsort = map(_method, (np.max, np.min, np.argmax, np.argmin, np.argsort))
    cumsum, clip, dot, trace, diagonal = map(_method, (np.cumsum, np.clip, np.dot, np.trace, np.diagonal))
    exp, log, sqrt, tanh = map(_method, (np.exp, np.log, np.sqrt, np.tanh))  # arrays have no such methods; circuits do
    squeeze, swapaxes, repeat, take = map(_method, (np.squeeze, np.swapaxes, np.repeat, np.take))
    ravel = flatten = _method(np.ravel)
    copy = _method(np.copy)

    def reshape(self, *shape: Any) -> Any:
        return self._apply(np.reshape, self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        return self._apply(np.transpose, self, axes[0] if len(axes) == 1 else axes or None)

    def astype(self, dtype: npt.DTypeLike) -> Any:
        return self._apply(np.ndarray.astype, self, np.dtype(dtype))

    T = property(lambda self: self.transpose())
    mT = property(lambda self: self.swapaxes(-1, -2))
    shape: Any = property(lambda self: self.value.shape)
    dtype: Any = property(lambda self: self.value.dtype)
    ndim: Any = property(lambda self: self.value.ndim)
    size: Any = property(lambda self: self.value.size)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "a Tensor cannot be changed in place, because earlier results may depend on it. "
            "For A[mask] = 0 write A = np.where(mask, 0, A), or A = A * ~mask"
        )


@final
class Tensor(ArrayLike):
    """An array whose gradient can be asked for.

    Compute with it as with an array: operators, indexing, methods and NumPy functions work
    and record what they do.  Then call `backward` on the result.

    Parameters
    ----------
    value : array_like
        Kept as it is, not copied.  float32 stays float32.
    requires_grad : bool
        Whether operations on it are recorded, and `backward` computes its gradient.

    Attributes
    ----------
    value : ndarray, or NumPy scalar where NumPy itself returns one
    shape, dtype, ndim, size
        Of the value.
    grad : array of the shape and dtype of ``value``, or None before `backward`
        Gradients of several `backward` calls add up; set it to None to start anew.
        Intermediate results have one too, as in the circuits of the lectures.
    requires_grad : bool
        True also of every result that depends on a tensor that requires a gradient.
    node : Node or None

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

    A step of training is ``W.value -= lr * W.grad`` and then ``W.grad = None``: `backward` adds to what is there.
    ``W = W - lr * W.grad`` would record the step as well, and the record would grow with every one.

    At a kink the gradient is one of those in between: ``np.maximum(a, b)`` and ``np.clip`` give it to the first
    argument where both are equal (so ``np.maximum(0, z)`` passes nothing back at z = 0), ``np.max`` shares it
    among equal entries, ``np.abs`` has slope 0 at 0.

    Source: the circuit of the first lecture, f = (x + y) z.

    Examples
    --------
    >>> x, y, z = (Tensor(number, requires_grad=True) for number in (-2.0, 5.0, -4.0))
    >>> f = (x + y) * z
    >>> f.backward()
    >>> float(f.value), float(x.grad), float(y.grad), float(z.grad)
    (-12.0, -4.0, -4.0, 3.0)
    >>> W = Tensor([[1.0, -2.0], [3.0, 4.0]], requires_grad=True)
    >>> np.sum(np.maximum(0, np.array([[1.0, 1.0]]) @ W)).backward()
    >>> W.grad
    array([[1., 1.],
           [1., 1.]])
    """

    __slots__ = ("__weakref__", "node", "value")

    def __init__(self, value: npt.ArrayLike, requires_grad: bool = False) -> None:
        self.value = np.asarray(value)
        self.node: Node | None = None
        if requires_grad:
            if self.value.dtype.kind != "f":
                raise TypeError(
                    f"a gradient needs floating-point numbers, but this is {self.value.dtype}: "
                    "write 3.0 for 3, X.astype(float) for X, or leave out requires_grad for a constant"
                )
            self.node = Node()

    def backward(self, upstream: npt.ArrayLike | None = None) -> None:
        """Backpropagate from this tensor: add to the `grad` of every tensor it was computed from.

        Parameters
        ----------
        upstream : array_like of the shape of this tensor
            The gradient of some later scalar with respect to this tensor.  May be
            left out when this tensor is itself a single number: then it is 1.

        Raises
        ------
        ValueError
            If the shape of `upstream` does not fit, if it is missing for a tensor
            that is not a scalar, or if no input required a gradient.

        Examples
        --------
        >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
        >>> (x * x).backward([1.0, 10.0, 100.0])
        >>> x.grad
        array([  2.,  40., 600.])
        """
        if self.node is None:
            raise ValueError(
                "backward: no gradient to compute, because no input of this tensor requires one. "
                "Make the inputs with Tensor(value, requires_grad=True), and update them with w.value -= ..., because "
                "w -= ... makes a new tensor"
            )
        value = self.value
        if upstream is None:
            if value.size != 1:
                raise ValueError(
                    f"backward: this tensor has shape {self.shape}; only a scalar has a gradient of its own. "
                    "Sum it to a scalar loss first, or pass the upstream gradient: backward(upstream)"
                )
            upstream = np.ones_like(value) if value.ndim else value.dtype.type(1)
        else:
            upstream = np.array(upstream, dtype=self.dtype)  # a copy: the caller may go on writing in theirs
            if upstream.shape != self.shape:
                raise ValueError(f"backward: the upstream gradient has shape {upstream.shape}, the tensor {self.shape}")
        gradients, aliased = backpropagate(tape(self.node), upstream)
        for node, gradient in gradients.items():
            if node.gradient is not None:
                node.gradient, node.shared = node.gradient + gradient, False
            else:
                node.gradient = gradient
                # Nodes may share one array (the two terms of a sum, for instance): see `grad`.
                node.shared = True if node.inputs else node in aliased or gradient.base is not None

    @property
    def grad(self) -> Any:
        node = self.node
        if node is None or node.gradient is None:
            return None
        # Whoever looks gets an array of their own, to scale or clip as they like; unseen, sharing costs nothing.
        if node.shared:
            node.gradient, node.shared = node.gradient.copy(), False
        return node.gradient

    @grad.setter
    def grad(self, gradient: Any) -> None:
        node = self.node
        if node is not None:
            node.gradient = gradient
            node.shared = False
        elif gradient is not None:
            raise ValueError("this tensor has no gradient to set: it was made without requires_grad=True")

    @property
    def requires_grad(self) -> bool:
        return self.node is not None

    def item(self) -> Any:
        """The single number in this tensor, as a Python number without a gradient."""
        return self.value.item()

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        if self.node is not None:
            raise TypeError(
                "float() would lose the gradient of this tensor (functions of the module math call it: use np.exp, "
                "not math.exp; array[i] = tensor does too: collect tensors in a list and np.stack them). "
                "For the number alone, write tensor.item()"
            )
        return float(self.value)

    def __int__(self) -> int:
        return int(float(self))

    def __format__(self, spec: str) -> str:
        return format(self.value.item(), spec) if spec else str(self)

    def __repr__(self) -> str:
        numbers = np.array2string(np.asarray(self.value), separator=", ", prefix="Tensor(")
        return f"Tensor({numbers}{', requires_grad=True' if self.requires_grad else ''})"

    def _apply(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        return RULES[function](*args, **kwargs)

    # NumPy asks these when one of its functions meets a Tensor.

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and "out" not in kwargs:
            return RULES[ufunc](*inputs, **kwargs)
        if "out" in kwargs:
            raise TypeError(
                f"np.{ufunc.__name__} cannot write its result into an existing array when a Tensor is involved "
                "(out=, or `array += tensor`): write array = array + tensor"
            )
        raise TypeError(f"np.{ufunc.__name__}.{method} has no gradient rule; np.sum, np.max and indexing have")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return RULES[function](*args, **kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.node is not None:
            raise TypeError(
                "NumPy tried to make a plain array of a Tensor, which would lose its gradient. "
                "Use np.dot(X, W) or X @ W for X.dot(W), np.stack for np.array([tensor, ...]), "
                "and tensor.value when you want the numbers alone"
            )
        return np.array(self.value, dtype=dtype, copy=copy)


class Node:
    """What the backward pass must know of one result; of a leaf, only where its gradient goes.

    The array itself is not among it, unless a rule reads it: what nobody needs any more is freed.

    Attributes
    ----------
    order : int
        Every node gets the next number.  Inputs exist before what is computed from them, so going down the
        numbers is an order in which backpropagation may visit the nodes: no sorting by dependency.
    inputs : tuple of Node or None, one for each array argument
        None for a constant.
    vjps : tuple of callable, in the same order
    ans, args
        The result and all arguments, as far as the rules read them; None where they do not.
    fits : None, or a tuple of (shape, dtype) in the order of inputs
        What the gradients must be brought to, if an argument was broadcast or dtypes met.
    gradient, shared
        What `backward` brought, and whether other nodes may hold the same array.
    """

    __slots__ = ("ans", "args", "fits", "gradient", "inputs", "order", "shared", "vjps")
    order: int
    inputs: tuple[Node | None, ...]
    vjps: tuple[Any, ...]
    args: Any
    shared: Any
    fits: tuple[tuple[tuple[int, ...], np.dtype[Any]], ...] | None

    def __init__(self, vjps: Any = (), inputs: Any = (), args: Any = (), ans: Any = None, fits: Any = None) -> None:
        self.order, self.vjps, self.inputs, self.args, self.ans, self.fits = tick(), vjps, inputs, args, ans, fits
        self.gradient = None


tick = itertools.count().__next__
_order = attrgetter("order")


def tensor_of(value: Any, node: Node | None) -> Tensor:
    tensor = Tensor.__new__(Tensor)
    tensor.value, tensor.node = value, node
    return tensor


def stop_gradient(x: Any) -> Any:
    """`x` as a plain array, through which no gradient flows.

    Examples
    --------
    >>> x = Tensor(3.0, requires_grad=True)
    >>> (stop_gradient(x) * x).backward()
    >>> float(x.grad)
    3.0
    """
    return x.value if type(x) is Tensor else x


# --- Recording -------------------------------------------------------------------------------------

_recording = ContextVar("recording", default=True)  # of this thread, or this task
is_recording = _recording.get


@contextmanager
def recording(on: bool) -> Iterator[None]:
    token = _recording.set(on)
    try:
        yield
    finally:
        _recording.reset(token)


def no_grad() -> AbstractContextManager[None]:
    """Compute without recording: ``with no_grad():`` around predictions, whose gradient nobody wants.

    An update of the weights needs none: ``w.value -= 0.1 * w.grad``.

    Examples
    --------
    >>> w = Tensor(2.0, requires_grad=True)
    >>> with no_grad():
    ...     y = w * w
    >>> y.requires_grad
    False
    """
    return recording(False)


class Like:
    """The shape and dtype of an argument of which the rules need no more."""

    __slots__ = ("dtype", "shape")

    def __init__(self, x: Any) -> None:
        self.shape = x.shape
        self.dtype = x.dtype

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: prod(self.shape))


def primitive(
    function: Any, *vjps: VJP | None, forward: Any = None, broadcasts: bool = False, variadic: bool = False
) -> Callable[..., Any]:
    """Add a row to the table: an operation and its vector-Jacobian products (VJPs).

    Parameters
    ----------
    function : callable
        What the row is for.
    vjps : callable or None for each array argument
        ``vjp(g, ans, *args)``: the upstream gradient ``g``, the result ``ans`` and the arguments
        in; the gradient for one argument out.  It must be linear in ``g`` and may return
        ``g`` itself or a view of it, but nothing else that exists already.  An argument that it
        does not read is not kept, and of one that it calls ``like`` only shape and dtype are.
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
        What ``RULES[function]`` is then: it computes, and records if an input needs a gradient.
    """
    make = _any_number if variadic else {1: _one, 2: _two}.get(len(vjps), _any_number)
    OPERATIONS[vjps] = function
    RULES[function] = operation = make(_Row(function.__name__, vjps, broadcasts, variadic), forward or function)
    return operation


class _Row:
    """What the signatures and the code of a row's VJPs say about it."""

    def __init__(self, name: str, vjps: tuple[VJP | None, ...], broadcasts: bool, variadic: bool) -> None:
        self.name, self.vjps, self.count = name, vjps, len(vjps)
        self.broadcasts, self.variadic = broadcasts, variadic
        example = next(vjp for vjp in vjps if vjp is not None)
        options = list(inspect.signature(example).parameters.values())[2 + self.count :]
        self.options = {option.name: option.default for option in options}
        # Who reads the result, and each argument: a bit for each VJP.
        self.ans, *self.args = [0] * (1 + self.count)
        self.like = False
        for bit, vjp in enumerate(vjps):
            if vjp is not None and not variadic:
                _, *names = list(inspect.signature(vjp).parameters)[: 2 + self.count]
                self.like |= "like" in names
                ans, *args = [(name in _names_read(vjp) and name != "like") << bit for name in names]
                self.ans |= ans
                self.args = [old | new for old, new in zip(self.args, args, strict=True)]

    def bind(self, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        """The options of a call, in the order of the signature."""
        unknown = sorted(named.keys() - self.options.keys())
        if unknown or len(given) > len(self.options):
            what = f"the argument {unknown[0]}=" if unknown else f"{self.count + len(given)} positional arguments"
            raise TypeError(
                f"{self.name} of a Tensor does not take {what}; its row in coursekit/autograd/ops.py "
                f"takes {self.count} array(s) and the options {list(self.options)}"
            )
        rest = list(self.options.items())[len(given) :]
        options = (*given, *(named.get(name, default) for name, default in rest))
        if inspect.Parameter.empty in options:
            raise TypeError(f"{self.name} of a Tensor needs its options {list(self.options)}")
        return tuple(map(stop_gradient, options))

    def fits(self, value: Any, arrays: Any, inputs: tuple[Node | None, ...]) -> Any:
        """The shapes and dtypes that the gradients must have."""
        if value.dtype.kind != "f":
            raise TypeError(
                f"{self.name} gave {value.dtype}; a gradient flows through real floating point only. "
                "On plain numbers, use tensor.value"
            )
        return tuple(None if node is None else (x.shape, x.dtype) for x, node in zip(arrays, inputs, strict=True))


def _names_read(function: Any) -> set[Any]:
    """All names in the code of a function: ``lambda g, ans, x: g * ans`` reads ans and not x, so x is not kept."""
    names: set[Any] = set()
    for instruction in dis.get_instructions(function):
        names.update(instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,))
    return names


# Recording is written three times: for one array, for two, and for any number.  One and two are nearly all
# that is ever called, and a loop over the arguments would cost more than all the rest.


def _one(row: _Row, forward: Any) -> Callable[..., Any]:
    new, vjps, count, like, ans_readers = object.__new__, row.vjps, len(row.options), row.like, row.ans
    (x_readers,) = row.args

    def operation(x: Any, *options: Any, **named: Any) -> Any:
        if named or (options and len(options) > count):
            options = row.bind(options, named)
        if type(x) is not Tensor:
            return forward(x, *options)
        source, x = x.node, x.value
        result = new(Tensor)
        result.value = value = forward(x, *options) if options else forward(x)
        if source is None or not is_recording():
            result.node = None
            return result
        result.node = node = new(Node)
        node.order = tick()
        node.vjps = vjps
        node.inputs = (source,)
        node.args = (x if x_readers else Like(x) if like else None,) + options  # noqa: RUF005 (twice as fast)
        node.ans = value if ans_readers else None
        node.fits = node.gradient = None
        return result

    return operation


def _two(row: _Row, forward: Any) -> Callable[..., Any]:
    new, vjps, broadcasts, ans_readers = object.__new__, row.vjps, row.broadcasts, row.ans
    x_readers, y_readers = row.args

    def operation(x: Any, y: Any, *options: Any, **named: Any) -> Any:
        if named or options:
            row.bind(options, named)
        active, first, second = 0, None, None
        if type(x) is Tensor:
            if x.node is not None:
                first, active = x.node, 1
            x = x.value
        elif type(x) is list:
            x = np.asarray(x)
        if type(y) is Tensor:
            if y.node is not None:
                second, active = y.node, active + 2
            y = y.value
        elif type(y) is list:
            y = np.asarray(y)
        result = new(Tensor)
        result.value = value = forward(x, y)
        if not active or not is_recording():
            result.node = None
            return result
        result.node = node = new(Node)
        node.order = tick()
        node.vjps = vjps
        node.inputs = (first, second)
        node.args = (x if active & x_readers else None, y if active & y_readers else None)
        node.ans = value if active & ans_readers else None
        node.fits = node.gradient = None
        shape, dtype = value.shape, value.dtype
        if (first is not None and (x.dtype is not dtype or (broadcasts and x.shape != shape))) or (
            second is not None and (y.dtype is not dtype or (broadcasts and y.shape != shape))
        ):
            node.fits = row.fits(value, (x, y), node.inputs)
        return result

    return operation


def _any_number(row: _Row, forward: Any) -> Callable[..., Any]:
    def operation(*given: Any, **named: Any) -> Any:
        vjps: Any = row.vjps
        if row.variadic:
            arrays, options = given, ()
            vjps = tuple(partial(vjps[0], argnum, named) for argnum in range(len(given)))
        else:
            arrays, options, named = given[: row.count], row.bind(given[row.count :], named), {}
        if len(arrays) < row.count:
            raise TypeError(f"{row.name} of a Tensor needs {row.count} arrays")
        values = [np.asarray(x) if type(x) is list else stop_gradient(x) for x in arrays]
        inputs = tuple(x.node if type(x) is Tensor else None for x in arrays)
        value = forward(*values, *options, **named)
        if not any(inputs) or not is_recording():
            return tensor_of(value, None)
        for argnum, (source, vjp) in enumerate(zip(inputs, vjps, strict=True)):
            if source is not None and vjp is None:
                raise TypeError(
                    f"{row.name} has no gradient with respect to argument {argnum}; pass tensor.value there, "
                    "or add a vector-Jacobian product to its row in coursekit/autograd/ops.py"
                )
        return tensor_of(value, Node(vjps, inputs, (*values, *options), value, row.fits(value, values, inputs)))

    return operation


# --- The backward pass -----------------------------------------------------------------------------


def tape(output: Node, sources: Collection[Node] = ()) -> list[Node]:
    """All nodes through which gradients from `output` flow, oldest first, going no further than `sources`."""
    found = {output}
    nodes = [output]
    for node in nodes:  # the list grows under the loop; no recursion, so a chain may be of any length
        if sources and node in sources:
            continue
        for source in node.inputs:
            if source is not None and source not in found:
                found.add(source)
                nodes.append(source)
    nodes.sort(key=_order)
    return nodes


def backpropagate(
    nodes: list[Node],
    upstream: Any,
    higher: bool = False,
    wanted: Collection[Node] | None = None,
    kept: Collection[Node] | None = None,
) -> tuple[dict[Node, Any], set[Node]]:
    """The gradient of ``sum(upstream * result of nodes[-1])`` with respect to the result of every node.

    Parameters
    ----------
    nodes : list of Node, oldest first
        As `tape` gives them.
    upstream : array of the shape and dtype of the result of ``nodes[-1]``
    higher : bool
        The two speeds.  False: the VJPs are handed plain arrays, so they cost what
        hand-written NumPy costs.  True: they are handed tensors, so that what they
        do is recorded like anything else and can be differentiated in turn.
    wanted : collection of Node
        Gradients of other nodes are not computed.  All of `nodes`, unless given.
    kept : collection of Node
        Gradients of other nodes are not returned, but freed as soon as they are used.  All, unless given.

    Returns
    -------
    gradients : dict
    aliased : set of Node
        Those whose gradient may be the same array as that of another node.
    """
    gradients = {nodes[-1]: tensor_of(upstream, None) if higher else upstream}
    owned: set[Node] = set()  # whose gradient is an array that this pass made, and nobody else sees
    aliased: set[Node] = set()
    for node in reversed(nodes):
        # Complete, because whatever used this node is newer.
        g = gradients[node] if kept is None or node in kept else gradients.pop(node)
        ans, args, fits, argnum = node.ans, node.args, node.fits, -1
        if higher:
            ans, args = tensor_of(ans, node), _as_tensors(node)
        for source in node.inputs:
            argnum += 1
            if source is None or (wanted is not None and source not in wanted):
                continue
            gradient = node.vjps[argnum](g, ans, *args)
            if fits is not None:
                gradient = _fitted(gradient, *fits[argnum])
            if source not in gradients:
                gradients[source] = gradient
                if gradient is g:
                    aliased.add(source)
            elif source in owned:
                gradients[source] += gradient
            else:
                gradients[source] = gradients[source] + gradient
                aliased.discard(source)
                if not higher:
                    owned.add(source)
    return gradients, aliased


def _as_tensors(node: Node) -> list[Any]:
    """The arguments as they were given: tensors again where they needed a gradient."""
    args = list(node.args)
    for i, source in enumerate(node.inputs):
        if source is not None and type(args[i]) is not Like:
            args[i] = tensor_of(args[i], source)
    return args


def _fitted(gradient: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Undo broadcasting and the promotion of dtypes."""
    gradient = unbroadcast(gradient, shape)
    return gradient if gradient.dtype is dtype else gradient.astype(dtype)


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: an entry that was used many times gets the sum of the gradients of its copies.

    >>> unbroadcast(np.array([[1.0, 2.0], [3.0, 4.0]]), (2,))
    array([4., 6.])
    >>> unbroadcast(np.array([[1.0, 2.0], [3.0, 4.0]]), (2, 1))
    array([[3.],
           [7.]])
    """
    if g.shape == shape:
        return g
    new = g.ndim - len(shape)
    stretched = tuple(new + i for i, n in enumerate(shape) if n == 1)
    if new == 0:
        return g.sum(axis=stretched, keepdims=True)
    g = g.sum(axis=(*range(new), *stretched))
    return g if g.shape == shape else g.reshape(shape)

"""Tensor: an array that remembers how it was computed.

Backpropagation needs three things, and this file has the first and the last:

1. a value that remembers: a `Tensor` is an array with a `Node`, and the node knows the
   nodes of the inputs, and what the chain rule will need of them;
2. recording: an operation that computes the value and, if an input needs a gradient,
   leaves a node (``recording.py``);
3. the backward pass: `backpropagate` goes over the nodes from the newest to the oldest,
   asks each one's rules for the gradients of its inputs, and adds up what arrives.

The rules themselves are the rows of ``ops.py``.

Source: the forward and backward passes of the lectures' computational graphs, for whole arrays.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from math import prod
from operator import attrgetter
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

from coursekit._typing import Array
from coursekit.autograd.arraylike import METHODS, ArrayLike

VJP: TypeAlias = Callable[..., Any]

# --- A value that remembers ------------------------------------------------------------------------


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
        Gradients of several `backward` calls add up; set it to None to start again.
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
    looks at the value: a branch chooses a computation, it is not part of it.
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
        for node, gradient in backpropagate(tape(self.node), upstream).items():
            if node.gradient is not None:
                node.gradient, node.shared = node.gradient + gradient, False
            else:
                node.gradient = gradient
                # Nodes may share one array (the two terms of a sum, for instance): see `grad`.
                node.shared = True if node.inputs else gradient.base is not None

    @property
    def grad(self) -> Any:
        node = self.node
        if node is None or node.gradient is None:
            return None
        # The user gets an array of their own, to scale or clip it; as long as nobody looks, sharing costs nothing.
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
        """Return the single number in this tensor, as a Python number without a gradient."""
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

    def __rtruediv__(self, other: Any) -> Any:
        # The reciprocal has a row of its own, so that the denominator of 1 / (1 + exp(−z)) is not kept.
        one = type(other) in (int, float) and other == 1
        return RULES[np.reciprocal](self) if one else RULES[np.true_divide](other, self)

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

    The result itself is not kept, unless a rule reads it, so that its memory is freed early.

    Attributes
    ----------
    order : int
        Every node gets the next number.  Inputs exist before what is computed from them, so going down the
        numbers is an order in which backpropagation may visit the nodes: no sorting by dependency.
    inputs : tuple of Node or None, one for each array argument
        None for a constant.
    vjps : tuple of callable, in the same order
    ans, args
        The cache: the result and the arguments, as far as the rules read them.  None where they do not, and
        `Like` where they read only shape and dtype.
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


class Like:
    """A stand-in that keeps only shape and dtype."""

    __slots__ = ("dtype", "shape")

    def __init__(self, x: Any) -> None:
        self.shape = x.shape
        self.dtype = x.dtype

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: prod(self.shape))


tick = itertools.count().__next__
_order = attrgetter("order")


def tensor_of(value: Any, node: Node | None) -> Tensor:
    tensor = Tensor.__new__(Tensor)
    tensor.value, tensor.node = value, node
    return tensor


def stop_gradient(x: Any) -> Any:
    """Return `x` as a plain array, through which no gradient flows.

    Examples
    --------
    >>> x = Tensor(3.0, requires_grad=True)
    >>> (stop_gradient(x) * x).backward()
    >>> float(x.grad)
    3.0
    """
    return x.value if type(x) is Tensor else x


class Table(dict[Any, Callable[..., Any]]):
    """NumPy function (or Python operator) -> what to call when an argument is a Tensor.

    It is also the method of Tensor that stands for the function: `x + y` is `np.add(x, y)`, without a detour.
    """

    def __setitem__(self, function: Any, operation: Callable[..., Any]) -> None:
        super().__setitem__(function, operation)
        for name, swapped in METHODS.get(function, ()):
            if name not in _DEFINED:
                setattr(Tensor, name, _with_swapped_operands(operation) if swapped else operation)

    def __missing__(self, function: Any) -> Callable[..., Any]:
        name = f"{getattr(function, '__module__', None) or 'numpy'}.{function.__name__}".replace("numpy.", "np.")
        raise NotImplementedError(
            f"{name} has no gradient rule. On plain numbers, call it with tensor.value. Else write it with functions "
            "that have a rule, or give it a forward and a backward with coursekit.autograd.Function; a row in "
            "coursekit/autograd/ops.py (the function, and its vector-Jacobian product for each argument) teaches it "
            "to everybody"
        )


def _with_swapped_operands(operation: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: operation(other, self)


_DEFINED = frozenset(vars(Tensor))  # what the class itself defines stays
RULES = Table()
OPERATIONS: dict[tuple[VJP | None, ...], Any] = {}  # the VJPs of a row -> its function: what a node stands for

# --- Whether it is recorded ------------------------------------------------------------------------

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
    """Compute without recording: ``with no_grad():`` around predictions, whose gradient is not needed.

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


# --- The backward pass -----------------------------------------------------------------------------


def tape(output: Node, sources: Collection[Node] = ()) -> list[Node]:
    """List the nodes through which gradients from `output` flow, oldest first, going no further than `sources`."""
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
    nodes: list[Node], upstream: Any, higher: bool = False, kept: Collection[Node] | None = None
) -> dict[Node, Any]:
    """Return the gradient of ``sum(upstream * result of nodes[-1])`` with respect to the result of every node.

    Parameters
    ----------
    nodes : list of Node, oldest first
        As `tape` gives them.  Nothing is computed for inputs that are not among them.
    upstream : array of the shape and dtype of the result of ``nodes[-1]``
    higher : bool
        The two speeds.  False: the VJPs are handed plain arrays, so they cost what
        hand-written NumPy costs.  True: they are handed tensors, so that what they
        do is recorded like anything else and can be differentiated in turn.
    kept : collection of Node
        Gradients of other nodes are freed as soon as they are used.  All are kept, unless given.

    Returns
    -------
    dict
        Arrays may be views of each other, and nodes that have inputs may share one.
    """
    gradients: dict[Any, Any] = dict.fromkeys(nodes)  # None: nothing has arrived yet
    gradients[nodes[-1]] = tensor_of(upstream, None) if higher else upstream
    sums: set[Node] = set()  # their gradients were made here, so more can be added in place
    for node in reversed(nodes):
        # Complete, because whatever used this node is newer.
        g = gradients[node] if kept is None or node in kept else gradients.pop(node)
        ans, args, fits, argnum = node.ans, node.args, node.fits, -1
        if higher:
            ans, args = tensor_of(ans, node), _as_tensors(node)
        for source in node.inputs:
            argnum += 1
            if source is None or source not in gradients:  # a constant
                continue
            gradient = node.vjps[argnum](g, ans, *args)
            if fits is not None:
                gradient = _fitted(gradient, *fits[argnum])
            arrived = gradients[source]
            if arrived is None:
                gradients[source] = gradient if gradient is not g else _passed_on(g, source)
            elif source in sums:
                gradients[source] += gradient
            else:
                gradients[source] = arrived + gradient
                sums.add(source)
    return gradients


def _passed_on(g: Any, source: Node) -> Any:
    """Return the upstream gradient for an input; a leaf gets an array of its own, which its user may write to."""
    return g.copy() if type(g) is np.ndarray and not source.inputs else g


def _as_tensors(node: Node) -> list[Any]:
    """Return the arguments as they were given: tensors again where they needed a gradient."""
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

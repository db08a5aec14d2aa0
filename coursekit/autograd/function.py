"""Function: an operation whose forward and backward you write yourself."""

from __future__ import annotations

from typing import Any

import numpy as np

from coursekit.autograd.arraylike import ArrayLike
from coursekit.autograd.tensor import Node, Tensor, is_recording, stop_gradient, tensor_of


class Context:
    """What `Function.forward` leaves for `Function.backward`; other attributes may be set on it as well."""

    def __init__(self) -> None:
        self._saved: tuple[Any, ...] = ()
        self.saved_tensors: tuple[Any, ...] = ()

    def save_for_backward(self, *arrays: Any) -> None:
        """Keep arrays of the forward step: arguments and the result, so that second derivatives find them."""
        self._saved = self.saved_tensors = arrays


class Function:
    """A paired forward and backward; a subclass writes both and is used through `apply`.

    - ``forward(ctx, *args)`` gets plain arrays and returns the result, an array.  What the backward
      step needs goes into ``ctx.save_for_backward(...)``.
    - ``backward(ctx, grad)`` gets the upstream gradient, of the shape of the result, finds what was
      saved in ``ctx.saved_tensors``, and returns the gradient of each argument: one for one argument,
      else a tuple; None for what has no gradient.

    Raises
    ------
    TypeError, ValueError
        From `apply` or from the backward pass, if a result is missing or a gradient does not have
        the shape of its argument.  RuntimeError from a second derivative, if an array was saved
        that is neither an argument nor the result, or kept on ``ctx``: the derivative of that one would be lost.

    Notes
    -----
    Written with operators and NumPy functions, `backward` can itself be differentiated.

    Source: the modular API on the slides of the first and the fourth lecture.

    Examples
    --------
    >>> class Length(Function):
    ...     @staticmethod
    ...     def forward(ctx, x, y):
    ...         r = (x**2 + y**2) ** 0.5
    ...         ctx.save_for_backward(x, y, r)
    ...         return r
    ...
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         x, y, r = ctx.saved_tensors
    ...         return grad * x / r, grad * y / r
    >>> x, y = Tensor(3.0, requires_grad=True), Tensor(4.0, requires_grad=True)
    >>> r = Length.apply(x, y)
    >>> r.backward(10.0)
    >>> float(r.value), float(x.grad), float(y.grad)
    (5.0, 6.0, 8.0)
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        raise NotImplementedError("a Function needs a forward(ctx, ...) that returns the result")

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        raise NotImplementedError("a Function needs a backward(ctx, grad) that returns the gradient of each argument")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Compute the result; record it if an argument is a Tensor that requires a gradient."""
        ctx = Context()
        values = [_read_only(stop_gradient(arg)) for arg in args]
        result = cls.forward(ctx, *values)
        if result is None or isinstance(result, tuple | list | Tensor):
            raise TypeError(f"{cls.__name__}.forward must return one array, not {type(result).__name__}")
        if not any(isinstance(arg, Tensor) for arg in args):
            return result
        if isinstance(result, ArrayLike):
            result = result.as_last()  # type: ignore[attr-defined]  # being written down: see coursekit/tracing
        inputs = tuple(arg.node if isinstance(arg, Tensor) else None for arg in args)
        recorded = any(inputs) and is_recording()
        node = _Call(cls, ctx, values, inputs, result).node() if recorded else None
        return tensor_of(_as_array(result), node)


def _read_only(value: Any) -> Any:
    """Return a view that forward cannot write into: the array is the caller's."""
    if isinstance(value, np.ndarray):
        value = value.view()
        value.flags.writeable = False
    return value


def _as_array(result: Any) -> Any:
    return result if hasattr(result, "dtype") else np.asarray(result)


class _Call:
    """One `apply`: its backward is called once, and its rules hand out each argument's gradient in turn.

    What was saved is noted by its place among the arguments and the result, so that a second derivative finds
    tensors there.
    """

    def __init__(self, cls: type[Function], ctx: Context, values: list[Any], inputs: Any, result: Any) -> None:
        self.cls, self.ctx, self.values, self.inputs, self.result = cls, ctx, values, inputs, result
        self.shapes = [np.shape(value) for value in values]
        known = [*values, result]
        self.places = [next((i for i, value in enumerate(known) if value is saved), None) for saved in ctx._saved]
        self.upstream: Any = None
        self.gradients: dict[int, Any] = {}

    def node(self) -> Node:
        """Return the node of the result, which keeps what was saved."""
        kept = tuple(value if i in self.places else None for i, value in enumerate(self.values))
        ans = _as_array(self.result) if len(self.values) in self.places else None
        pairs = zip(self.inputs, self.values, strict=True)
        fits = tuple(None if node is None else (np.shape(x), x.dtype) for node, x in pairs)
        vjps = tuple(self._vjp(argnum) for argnum in range(len(self.inputs)))
        node = Node(vjps, self.inputs, kept, ans, fits)
        del self.values, self.result  # the node has what is needed of them
        return node

    def _vjp(self, argnum: int) -> Any:
        def gradient_of_one(g: Any, ans: Any, *args: Any) -> Any:
            if self.upstream is not g or argnum not in self.gradients:
                self.upstream, self.gradients = g, self._gradients(g, ans, args)
            gradient = self.gradients.pop(argnum)
            if not self.gradients:
                self.upstream = None
            return self._checked(gradient, argnum)

        return gradient_of_one

    def _checked(self, gradient: Any, argnum: int) -> Any:
        if gradient is None:
            raise ValueError(f"{self.cls.__name__}.backward gave None for argument {argnum}, which needs a gradient")
        if np.shape(gradient) != self.shapes[argnum]:
            raise ValueError(
                f"{self.cls.__name__}.backward gave a gradient of shape {np.shape(gradient)} "
                f"for argument {argnum}, which has shape {self.shapes[argnum]}"
            )
        return gradient if isinstance(gradient, ArrayLike) else np.array(gradient)  # a copy: it may be an argument

    def _gradients(self, g: Any, ans: Any, args: tuple[Any, ...]) -> dict[int, Any]:
        """Call backward, and return the gradients of the arguments that need one."""
        if isinstance(ans, Tensor):
            self._refuse_second_derivative_if_lost()
        known = [*args, ans]
        self.ctx.saved_tensors = tuple(
            saved if place is None else known[place] for place, saved in zip(self.places, self.ctx._saved, strict=True)
        )
        # A copy, so that grad[x <= 0] = 0 does not change the gradients of other nodes.
        gradients = self.cls.backward(self.ctx, g.copy() if isinstance(g, np.ndarray) else g)
        if len(self.shapes) == 1 and not isinstance(gradients, tuple | list):
            gradients = (gradients,)
        count = len(gradients) if isinstance(gradients, tuple | list) else 1
        if count != len(self.shapes):
            raise ValueError(
                f"{self.cls.__name__}.backward must return a gradient for each of the {len(self.shapes)} arguments "
                f"(None for what has none), not {count}"
            )
        return {argnum: gradients[argnum] for argnum, node in enumerate(self.inputs) if node is not None}

    def _refuse_second_derivative_if_lost(self) -> None:
        lost = [s for place, s in zip(self.places, self.ctx._saved, strict=True) if place is None]
        lost += [kept for name, kept in vars(self.ctx).items() if name not in ("_saved", "saved_tensors")]
        if any(getattr(s, "dtype", np.dtype(bool)).kind == "f" for s in lost):
            raise RuntimeError(
                f"a second derivative through {self.cls.__name__} would be wrong: its forward kept an array that is "
                "neither an argument nor the result, or kept one on ctx. Save these two alone with "
                "ctx.save_for_backward, and compute the rest again in backward"
            )

"""Function: an operation whose forward and backward you write yourself."""

from __future__ import annotations

from typing import Any

import numpy as np

from coursekit.autograd.tensor import ArrayLike, Node, Tensor, is_recording, stop_gradient, tensor_of


class Context:
    """What `Function.forward` leaves for `Function.backward`; other attributes may be set on it as well."""

    def __init__(self) -> None:
        self._saved: tuple[Any, ...] = ()
        self.saved_tensors: tuple[Any, ...] = ()

    def save_for_backward(self, *arrays: Any) -> None:
        """Keep arrays of the forward step: arguments and the result, so that second derivatives know them."""
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
    >>> class Multiply(Function):
    ...     @staticmethod
    ...     def forward(ctx, x, y):
    ...         ctx.save_for_backward(x, y)
    ...         return x * y
    ...
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         x, y = ctx.saved_tensors
    ...         return y * grad, x * grad
    >>> x, y = Tensor(2.0, requires_grad=True), Tensor(3.0, requires_grad=True)
    >>> z = Multiply.apply(x, y)
    >>> z.backward(5.0)
    >>> float(z.value), float(x.grad), float(y.grad)
    (6.0, 15.0, 10.0)
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        raise NotImplementedError("a Function needs a forward(ctx, ...) that returns the result")

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        raise NotImplementedError("a Function needs a backward(ctx, grad) that returns the gradient of each argument")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Compute the result; recorded if an argument is a Tensor that requires a gradient."""
        ctx = Context()
        values = [_read_only(stop_gradient(arg)) for arg in args]
        result = cls.forward(ctx, *values)
        if result is None or isinstance(result, tuple | list | Tensor):
            raise TypeError(f"{cls.__name__}.forward must return one array, not {type(result).__name__}")
        if not any(isinstance(arg, Tensor) for arg in args):
            return result
        if isinstance(result, ArrayLike):
            result = result.as_last()  # type: ignore[attr-defined]  # being written down: see trace.py
        ans = result if hasattr(result, "dtype") else np.asarray(result)
        inputs = tuple(arg.node if isinstance(arg, Tensor) else None for arg in args)
        if not any(inputs) or not is_recording():
            return tensor_of(ans, None)
        # The places of what was saved, so that a second derivative finds tensors there.
        places = [
            next((i for i, value in enumerate([*values, result]) if value is saved), None) for saved in ctx._saved
        ]
        call = _Call(cls, ctx, places, values, inputs)
        kept = tuple(value if i in places else None for i, value in enumerate(values))
        fits = tuple(None if node is None else (np.shape(v), v.dtype) for node, v in zip(inputs, values, strict=True))
        vjps = tuple(call.vjp(argnum) for argnum in range(len(args)))
        return tensor_of(ans, Node(vjps, inputs, kept, ans if len(values) in places else None, fits))


def _read_only(value: Any) -> Any:
    """A view that forward cannot write into: the array belongs to somebody else."""
    if isinstance(value, np.ndarray):
        value = value.view()
        value.flags.writeable = False
    return value


class _Call:
    """The backward step of one `apply`: called once, and asked for each argument's gradient in turn."""

    def __init__(self, cls: type[Function], ctx: Context, places: list[int | None], values: Any, inputs: Any) -> None:
        self.cls, self.ctx, self.places = cls, ctx, places
        self.shapes = [np.shape(value) for value in values]
        self.active = [argnum for argnum, node in enumerate(inputs) if node is not None]
        self.upstream: Any = None
        self.gradients: dict[int, Any] = {}

    def vjp(self, argnum: int) -> Any:
        def gradient_of_one(g: Any, ans: Any, *args: Any) -> Any:
            if self.upstream is not g or argnum not in self.gradients:
                self.upstream, self.gradients = g, self.all_gradients(g, ans, args)
            gradient = self.gradients.pop(argnum)
            if not self.gradients:
                self.upstream = None
            if gradient is None:
                raise ValueError(
                    f"{self.cls.__name__}.backward gave None for argument {argnum}, which needs a gradient"
                )
            if np.shape(gradient) != self.shapes[argnum]:
                raise ValueError(
                    f"{self.cls.__name__}.backward gave a gradient of shape {np.shape(gradient)} "
                    f"for argument {argnum}, which has shape {self.shapes[argnum]}"
                )
            return gradient if isinstance(gradient, ArrayLike) else np.array(gradient)  # a copy, for the same reason

        return gradient_of_one

    def all_gradients(self, g: Any, ans: Any, args: tuple[Any, ...]) -> dict[int, Any]:
        lost = [s for place, s in zip(self.places, self.ctx._saved, strict=True) if place is None]
        lost += [kept for name, kept in vars(self.ctx).items() if name not in ("_saved", "saved_tensors")]
        if isinstance(ans, Tensor) and any(getattr(s, "dtype", np.dtype(bool)).kind == "f" for s in lost):
            raise RuntimeError(
                f"a second derivative through {self.cls.__name__} would be wrong: its forward kept an array that is "
                "neither an argument nor the result, or kept one on ctx. Save these two alone with "
                "ctx.save_for_backward, and compute the rest again in backward"
            )
        known = [*args, ans]
        self.ctx.saved_tensors = tuple(
            saved if place is None else known[place] for place, saved in zip(self.places, self.ctx._saved, strict=True)
        )
        # A copy: whoever writes grad[x <= 0] = 0 must not write into the gradients of other nodes.
        gradients = self.cls.backward(self.ctx, g.copy() if isinstance(g, np.ndarray) else g)
        if len(self.shapes) == 1 and not isinstance(gradients, tuple | list):
            gradients = (gradients,)
        if not isinstance(gradients, tuple | list) or len(gradients) != len(self.shapes):
            count = len(gradients) if isinstance(gradients, tuple | list) else 1
            raise ValueError(
                f"{self.cls.__name__}.backward must return a gradient for each of the {len(self.shapes)} arguments "
                f"(None for what has none), not {count}"
            )
        return {argnum: gradients[argnum] for argnum in self.active}

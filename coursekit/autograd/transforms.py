"""Transformations: from a function to the function that computes its gradient.

`Tensor.backward` asks "what did this result depend on, and how?".  `grad` asks it of
a function instead, and gives back a function.  So it can be applied again:
``grad(grad(f))`` is the second derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from coursekit.autograd.tensor import Tensor, backpropagate, stop_gradient, tape


def grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The function that computes the gradient of `f`.

    Parameters
    ----------
    f : callable
        Takes arrays and returns a scalar; plain NumPy code.
    argnums : int or tuple of int
        Which positional argument, or arguments, to differentiate with respect to.

    Returns
    -------
    callable
        Takes what `f` takes and returns an array of the shape and dtype of the argument,
        or a tuple of them if `argnums` is a tuple.

    Raises
    ------
    TypeError
        From the returned function, if such an argument is not real floating point or
        if `f` does not return a single number.

    See Also
    --------
    value_and_grad : the value of `f` as well, from the same forward pass.

    Examples
    --------
    >>> def f(x, y):
    ...     return np.sum(x ** 2 * y)
    >>> grad(f)(np.array([1.0, 2.0]), 3.0)
    array([ 6., 12.])
    >>> dx, dy = grad(f, argnums=(0, 1))(np.array([1.0, 2.0]), 3.0)
    >>> float(dy)
    5.0
    >>> float(grad(grad(grad(np.sin)))(0.0))
    -1.0
    """
    both = value_and_grad(f, argnums)

    @wraps(f, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return gradient


def value_and_grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The function that computes the value of `f` and its gradient.

    Parameters and errors are those of `grad`.

    Returns
    -------
    callable
        Takes what `f` takes and returns the pair (value, gradient).

    Notes
    -----
    If `f` also uses a Tensor from outside that requires a gradient, value and gradient
    depend on that tensor too, and so they are Tensors.

    Examples
    --------
    >>> loss, dW = value_and_grad(lambda W, x: np.sum(np.tanh(x @ W)))(np.zeros((2, 1)), np.ones((3, 2)))
    >>> float(loss)
    0.0
    >>> dW
    array([[3.],
           [3.]])
    """

    @wraps(f, updated=())
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        inputs = list(args)
        variables = [_variable(inputs, argnum) for argnum in _positions(argnums, len(args))]
        output = _scalar(f(*inputs, **kwargs), f)
        value, gradients = _pull_back(output, variables)
        return value, gradients if isinstance(argnums, tuple) else gradients[0]

    return value_and_gradient


def _positions(argnums: int | tuple[int, ...], count: int) -> list[int]:
    wanted = argnums if isinstance(argnums, tuple) else (argnums,)
    for argnum in wanted:
        if not -count <= argnum < count:
            raise TypeError(f"argnums={argnums}, but the function was called with {count} positional arguments")
    positions = [argnum % count for argnum in wanted]
    if len(set(positions)) < len(positions):
        raise ValueError(f"argnums={argnums} names an argument twice")
    return positions


def _variable(inputs: list[Any], argnum: int) -> Tensor:
    """Replace one of the inputs by a tensor to differentiate with respect to."""
    x = inputs[argnum]
    # Of a tensor that somebody else differentiates by, a copy: the derivative of f(x, x) with respect to
    # the first x alone must tell the two apart.  The copy is recorded, so the outer gradient gets through.
    try:
        inputs[argnum] = variable = +x if isinstance(x, Tensor) and x.requires_grad else Tensor(stop_gradient(x))
    except TypeError as error:
        raise TypeError(f"argument {argnum}: {error}") from None
    return variable


def _scalar(output: Any, f: Callable[..., Any]) -> Any:
    if not isinstance(output, Tensor):
        output = np.asarray(output)
    if output.size != 1 or output.dtype.kind not in "fiub":
        name = getattr(f, "__name__", "the function")
        what = f"an array of shape {output.shape}" if output.dtype.kind in "fiub" else repr(output.tolist())
        raise TypeError(
            f"a gradient is of one number, but {name} returned {what}: return a scalar loss, for example np.sum(...)"
        )
    return output


def _pull_back(output: Any, variables: list[Tensor]) -> tuple[Any, tuple[Any, ...]]:
    """The value of a scalar `output` and its gradients, as tensors only if someone outside needs them so."""
    sources = set(variables)
    nodes = tape(output, sources) if isinstance(output, Tensor) and output.requires_grad else []
    outside = any(v.parents for v in variables) or any(not n.parents and n not in sources for n in nodes)
    if outside:
        nodes = _depending_on(sources, nodes)
    gradients: dict[Tensor, Any] = {}
    owned: set[Tensor] = set()
    if nodes:
        gradients, owned = backpropagate(nodes, np.ones(output.shape, output.dtype), higher=outside)
    results = []
    for variable in variables:
        gradient = gradients.get(variable)
        if gradient is None:
            gradient = np.zeros_like(variable.value)
        elif not isinstance(gradient, Tensor) and variable not in owned:
            gradient = gradient.copy()  # may be a view, or shared with another argument
        results.append(gradient)
        if not variable.parents:
            variable.requires_grad = False  # its work is done: for whoever differentiates next, a constant
    return output if outside else stop_gradient(output), tuple(results)


def _depending_on(sources: set[Tensor], nodes: list[Tensor]) -> list[Tensor]:
    """Those nodes that depend on a source: gradients of the others are not wanted, so not computed."""
    reached = set()
    for node in nodes:  # oldest first, so parents come before
        if node in sources or any(parent in reached for _, parent in node.parents):
            reached.add(node)
    return [node for node in nodes if node in reached]

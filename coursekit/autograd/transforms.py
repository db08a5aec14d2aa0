"""Transformations: from a function to the function that computes a derivative of it.

`Tensor.backward` asks "what did this result depend on, and how?".  `grad` asks it of
a function instead, and gives back a function.  So it can be applied again:
``grad(grad(f))`` is the second derivative.  The others are relatives of it:

=============  ===========================================  =============================
`vjp`          uᵀJ, for one upstream gradient u             one backward pass
`jvp`          Jv, for one direction v                      the gradient of (uᵀJ · v) with respect to u
`jacobian`     J, row by row                                one vjp for every entry of the result
`hvp`          Hv, the Hessian times a direction            the gradient of (gradient · v)
`hessian`      H                                            the Jacobian of the gradient
=============  ===========================================  =============================

Arguments may be arrays, numbers, or tuples, lists and dicts of them; a gradient has the
same structure.

Source: reverse and forward mode, Hessian-vector products and the gradient penalty are in the first
lecture; the names are those of JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeAlias

import numpy as np

from coursekit.autograd.tensor import Node, Tensor, backpropagate, is_recording, recording, stop_gradient, tape

Argnums: TypeAlias = int | tuple[int, ...]


def grad(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return the function that computes the gradient of `f`.

    Parameters
    ----------
    f : callable
        Returns a single number; plain NumPy code.
    argnums : int or tuple of int
        Which positional argument, or arguments, to differentiate with respect to: arrays, numbers,
        or tuples, lists and dicts of them.

    Returns
    -------
    callable
        Takes what `f` takes and returns an array of the shape and dtype of the argument (or a
        tuple, list or dict of them), or a tuple of these if `argnums` is a tuple.

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
    >>> grad(lambda p: p["w"] * 3.0 + p["b"])({"w": 2.0, "b": 1.0})
    {'w': array(3.), 'b': array(1.)}
    """
    both = value_and_grad(f, argnums)

    @wraps(f, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return gradient


def value_and_grad(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return the function that computes the value of `f` and its gradient.

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

    if not isinstance(argnums, int | tuple | list):
        raise TypeError(
            "argnums is the place of an argument, or a tuple of places; the point comes in a second pair of "
            "brackets: grad(f)(x)"
        )

    @wraps(f, updated=())
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        output, variables = _evaluate(f, args, kwargs, positions(argnums, len(args)))
        if _kind(output) not in "fiub" or np.size(output) != 1:
            name = getattr(f, "__name__", "the function")
            what = f"an array of shape {np.shape(output)}" if _kind(output) in "fiub" else repr(output)
            raise TypeError(
                f"a gradient is of one number, but {name} returned {what}: "
                "return a scalar loss, for example np.sum(...)"
            )
        leaves = _leaves(variables)
        nodes, outside = _between(output, leaves)
        gradients = _rebuild(variables, _gradients(nodes, np.ones_like(stop_gradient(output)), leaves, outside))
        value = output if outside else stop_gradient(output)
        return value, gradients[0] if isinstance(argnums, int) else gradients

    return value_and_gradient


def vjp(f: Callable[..., Any], *args: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return the value of `f`, and the function from an upstream gradient to the gradients of all arguments.

    Parameters
    ----------
    f : callable
        Returns an array, or a tuple, list or dict of arrays.
    *args : arrays, or tuples, lists and dicts of arrays

    Returns
    -------
    value : what `f` returns
    pull_back : callable
        Takes an upstream gradient with the structure and shapes of `value`, and returns a tuple with
        the gradient uᵀJ of each argument.  It can be called several times.

    Raises
    ------
    ValueError
        From `pull_back`, if the upstream gradient does not have the shape of the value.

    Examples
    --------
    >>> value, pull_back = vjp(lambda x, w: x @ w, np.ones((1, 2)), np.array([[1.0], [3.0]]))
    >>> pull_back(np.array([[10.0]]))
    (array([[10., 30.]]), array([[10.],
           [10.]]))
    """
    output, variables = _evaluate(f, args, {}, range(len(args)))
    leaves = _leaves(variables)

    def pull_back(upstream: Any) -> Any:
        # uᵀJ is the gradient of Σ u·f(x).
        seeds = _leaves_like(output, upstream, "the upstream gradient")
        with recording(True):
            total = sum((np.sum(y * u) for y, u in zip(_leaves(output), seeds, strict=True)), np.float64(0))
        nodes, outside = _between(total, leaves)
        return _rebuild(variables, _gradients(nodes, np.ones_like(stop_gradient(total)), leaves, outside))

    outside = any(_between(y, leaves)[1] for y in _leaves(output))
    return (output if outside else _map(stop_gradient, output)), pull_back


def jvp(f: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return the value of `f` at `primals`, and its derivative Jv in the direction `tangents`.

    Parameters
    ----------
    f : callable
    primals : tuple
        The arguments of `f`.
    tangents : tuple
        A direction for each argument, of its structure and shapes.

    Returns
    -------
    value, derivative : both with the structure and shapes of what `f` returns

    Notes
    -----
    uᵀJ is linear in u, and what it is multiplied with is J: so the derivative of uᵀJv with respect to u is Jv,
    and forward mode needs no table of its own.

    Examples
    --------
    >>> value, derivative = jvp(lambda x: x ** 3, (2.0,), (0.5,))
    >>> float(value), float(derivative)
    (8.0, 6.0)
    """
    value, pull_back = vjp(f, *primals)
    directions = _leaves_like(primals, tangents, "a tangent")

    def along(upstream: Any) -> Any:
        gradients = _leaves(pull_back(upstream))
        return sum((np.sum(g * d) for g, d in zip(gradients, directions, strict=True)), np.float64(0))

    return value, grad(along)(_map(lambda y: np.zeros(np.shape(y), getattr(y, "dtype", float)), value))


def jacobian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Return the function that computes all derivatives of an array with respect to an array.

    Parameters
    ----------
    f : callable
        Returns an array of any shape.
    argnums : int
        The argument: an array or a number.

    Returns
    -------
    callable
        ``J[i, j]`` is the derivative of entry i of the result with respect to entry j of the argument:
        an array of shape (\\*shape of the result, \\*shape of the argument).

    Examples
    --------
    >>> jacobian(lambda x: np.array([[1.0, 2.0], [3.0, 4.0]]) @ x)(np.zeros(2))
    array([[1., 2.],
           [3., 4.]])
    """

    @wraps(f, updated=())
    def all_derivatives(*args: Any, **kwargs: Any) -> Any:
        (argnum,) = positions(argnums, len(args))

        def of_one(x: Any) -> Any:
            return f(*args[:argnum], x, *args[argnum + 1 :], **kwargs)

        value, pull_back = vjp(of_one, args[argnum])
        if isinstance(value, tuple | list | dict):
            name = getattr(f, "__name__", "the function")
            raise TypeError(
                f"jacobian: {name} returned a {type(value).__name__}; return one array, as np.stack makes it"
            )
        value = value if isinstance(value, Tensor) else np.asarray(value)
        shape, entries = np.shape(value), np.size(value)
        units = np.eye(entries, dtype=value.dtype).reshape(entries, *shape)
        rows = [pull_back(unit)[0] for unit in units]
        argument = np.shape(args[argnum])
        return np.reshape(np.stack(rows), (*shape, *argument)) if rows else np.zeros((*shape, *argument))

    return all_derivatives


def hessian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Return the function that computes all second derivatives of a scalar `f`.

    The result has shape (\\*shape of x, \\*shape of x).  Parameters are those of `jacobian`; `f` returns a single
    number.

    Examples
    --------
    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 5.0]))
    array([[10.,  6.],
           [ 6.,  0.]])
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Callable[..., Any], x: Any, v: Any) -> Any:
    """Multiply the Hessian of `f` at `x` with `v`, without computing it: the gradient of (∂f/∂x · v).

    Parameters
    ----------
    f : callable
        Of one argument; returns a single number.
    x, v : array, or tuple, list or dict of arrays
        Point and direction, of the same structure and shapes.

    Returns
    -------
    array or structure like `x`

    Notes
    -----
    Source: "computing Hessian-vector products" of the first lecture.  The gradient of the penalty
    R = ‖∂f/∂x‖² is ``2 * hvp(f, x, grad(f)(x))``.

    Examples
    --------
    >>> hvp(lambda x: x[0] ** 2 * x[1], np.array([3.0, 5.0]), np.array([1.0, 0.0]))
    array([10.,  6.])
    """

    def along(x: Any) -> Any:
        gradients, directions = _leaves(grad(f)(x)), _leaves_like(x, v, "the direction")
        return sum((np.sum(g * d) for g, d in zip(gradients, directions, strict=True)), np.float64(0))

    return grad(along)(x)


# --- From arguments to variables, and back ---------------------------------------------------------


def positions(argnums: int | Sequence[int], count: int) -> list[int]:
    """Return the positions of the arguments to differentiate with respect to, none of them negative."""
    wanted = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for argnum in wanted:
        if not -count <= argnum < count:
            raise TypeError(f"argnums={argnums}, but the function was called with {count} positional arguments")
    positions = [argnum % count for argnum in wanted]
    if len(set(positions)) < len(positions):
        raise ValueError(f"argnums={argnums} names an argument twice")
    return positions


class Variable(Node):
    """The node of an argument of a transformed function: `active` while the function runs."""

    __slots__ = ("active",)
    active: bool


def _evaluate(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], positions: Sequence[int]
) -> tuple[Any, tuple[Any, ...]]:
    """Call `f` with tensors that require a gradient at `positions`; return its result and these tensors."""
    recorded = is_recording()
    inputs = list(args)
    for argnum in positions:
        try:
            inputs[argnum] = _map(_copied if recorded else _fresh, inputs[argnum])
        except TypeError as error:
            raise TypeError(f"argument {argnum}: {error}") from None
    variables = tuple(inputs[argnum] for argnum in positions)
    try:
        with recording(True):
            output = f(*inputs, **kwargs)
    finally:
        for x in _leaves(variables):
            if isinstance(x.node, Variable):
                x.node.active = False
    return output, variables


def _fresh(x: Any) -> Tensor:
    variable = Tensor(stop_gradient(x), requires_grad=True)
    variable.node = node = Variable()
    node.active = True
    return variable


def _copied(x: Any) -> Tensor:
    """Return a tensor that stands for this use of x alone: in f(x, x), the first x is not the second.

    If an outer transformation differentiates with respect to x, the copy is recorded, so that the outer gradient
    reaches x.
    """
    return +x if isinstance(x, Tensor) and x.requires_grad else _fresh(x)


def _between(output: Any, variables: list[Tensor]) -> tuple[list[Node], bool]:
    """Return the nodes between the variables and `output`, and whether the gradients must be tensors.

    They must if an outer transformation, or a tensor from outside, also depends on these nodes.
    """
    sources = {x.node for x in variables}
    nodes = tape(output.node, sources) if isinstance(output, Tensor) and output.node is not None else []  # type: ignore[arg-type]
    leaves = (node for node in nodes if not node.inputs and node not in sources)
    outside = is_recording() and (
        any(node is not None and node.inputs for node in sources)
        or any(getattr(node, "active", True) for node in leaves)
    )
    return nodes, outside


def _gradients(nodes: list[Node], seed: Any, variables: list[Tensor], outside: bool) -> list[Any]:
    """Return the gradient of each variable; of the other nodes only those are computed that these depend on."""
    sources = {x.node for x in variables if x.node is not None}
    nodes = _depending_on(sources, nodes)
    gradients = backpropagate(nodes, seed, higher=outside, kept=sources) if nodes else {}
    results = []
    for x in variables:
        gradient = gradients.get(x.node)  # type: ignore[arg-type]
        if gradient is None:
            gradient = np.zeros_like(x.value)
        elif not isinstance(gradient, Tensor):  # an array of its own, not a view or that of another argument
            mine = gradient.base is None and not x.node.inputs  # type: ignore[union-attr]
            gradient = np.asarray(gradient) if mine else np.array(gradient)
        results.append(gradient)
    return results


def _depending_on(sources: set[Node], nodes: list[Node]) -> list[Node]:
    reached: dict[Node, None] = {}
    for node in nodes:  # inputs come before what is computed from them
        if node in sources or any(source in reached for source in node.inputs):
            reached[node] = None
    return list(reached)


# --- Tuples, lists and dicts of arrays -------------------------------------------------------------


def _map(function: Callable[[Any], Any], tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _map(function, branch) for key, branch in tree.items()}
    if isinstance(tree, list | tuple):
        branches = [_map(function, branch) for branch in tree]
        return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)
    return function(tree)


def _leaves(tree: Any) -> list[Any]:
    leaves: list[Any] = []
    _map(leaves.append, tree)
    return leaves


def _rebuild(tree: Any, leaves: list[Any]) -> Any:
    remaining = iter(leaves)
    return _map(lambda _: next(remaining), tree)


def _leaves_like(tree: Any, other: Any, what: str) -> list[Any]:
    """Return the leaves of `other`, which must have the structure and the shapes of `tree`."""
    if _map(lambda _: 0, tree) != _map(lambda _: 0, other):
        raise ValueError(f"{what} must be made of tuples, lists and dicts just as what it belongs to")
    leaves = []
    for x, u in zip(_leaves(tree), _leaves(other), strict=True):
        if np.shape(x) != np.shape(u):
            raise ValueError(f"{what} has shape {np.shape(u)}, but {np.shape(x)} is needed")
        leaves.append(u if isinstance(u, Tensor) else np.asarray(u, getattr(x, "dtype", float)))
    return leaves


def _kind(x: Any) -> str:
    return str(np.asarray(stop_gradient(x)).dtype.kind)

"""Right gradients at difficult points, which a gradient checker must accept; and how a subject of the bank is checked.

`diagnosis.py` prints how many are rejected, `tests/coursekit/gradcheck/test_bank.py` tries a sample of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from subjects import SUBJECTS

from coursekit.autograd import grad, logsumexp, softmax
from coursekit.gradcheck import GradientReport, check_backward, check_gradient

Array = np.ndarray
Results = dict[str, Any]
Gives = Callable[[Results, Results], Results]  # what a mistake changes, from the right results and the arguments


@dataclass(frozen=True)
class Correct:
    """A right gradient: `check()` reports on it."""

    name: str
    check: Callable[[], GradientReport]


def correct_gradients() -> list[Correct]:
    """All of them, in a fixed order."""
    families = (
        by_hand, by_the_engine, near_kinks, of_all_scales, saturated, with_zeros, of_all_layouts, in_all_ways,
    )  # fmt: skip
    return [case for family in families for case in family()]


# ---------------------------------------------------------------------------------------------------
# Checking a subject of the bank, with a mistake or without
# ---------------------------------------------------------------------------------------------------


def nothing_wrong(right: Results, args: Results) -> Results:
    return {}


def check_subject(
    subject: Any,
    args: Results,
    gives: Gives = nothing_wrong,
    *,
    as_function: bool = True,
    in_closure: bool = False,
    directions: int | None = None,
) -> GradientReport:
    """The report on gradients that are right but for what `gives` changes.

    The gradient is handed over as an array or `as_function`; what is not differentiated stands in the other arguments
    of the loss, or `in_closure`, as in ``lambda W: svm_loss(W, X, y, reg)``.
    """
    args = {name: np.array(value) if isinstance(value, Array) else value for name, value in args.items()}
    x = {name: args[name] for name in subject.parameters}
    rest = {name: value for name, value in args.items() if name not in x and name != "dout"}
    if "dout" in args:
        return check_layer(subject, x, rest, gives)
    single = next(iter(x)) if len(x) == 1 else None

    def arguments(x: Any, others: tuple[Any, ...]) -> Results:
        values = {**({single: x} if single else x), **dict(zip(rest, others, strict=True))}
        return {name: values[name] for name in args}

    def loss(x: Any, *others: Any) -> Any:
        return subject.forward(*arguments(x, others).values())

    def gradient(x: Any, *others: Any) -> Any:
        slopes = gradients(subject, arguments(x, others), gives)
        return slopes["d" + single] if single else {name: slopes["d" + name] for name in x}

    x = x[single] if single else x
    others = tuple(rest.values())
    array_or_function = gradient if as_function else gradient(x, *others)
    if not in_closure:
        return check_gradient(loss, x, array_or_function, args=others, directions=directions)
    array_or_function = closure(gradient, rest) if as_function else array_or_function
    return check_gradient(closure(loss, rest), x, array_or_function, directions=directions)


def gradients(subject: Any, args: Results, gives: Gives = nothing_wrong) -> Results:
    """The right gradients, but for what `gives` changes."""
    right = dict(subject.gradient(**args))
    return {**right, **gives(right, args)}


def closure(f: Callable[..., Any], rest: Results) -> Callable[[Any], Any]:
    """``lambda x: f(x, X, y, reg)``, with each of `rest` in a variable of its own."""
    names = ", ".join(rest)
    return eval(f"lambda f, {names}: lambda x: f(x, {names})")(f, *rest.values())


def check_layer(subject: Any, x: Results, rest: Results, gives: Gives) -> GradientReport:
    def forward(*inputs: Any) -> tuple[Any, Results]:
        cache = {**dict(zip(x, inputs, strict=True)), **rest}
        return subject.forward(*cache.values()), cache

    def backward(dout: Any, cache: Results) -> Any:
        results = gradients(subject, {**cache, "dout": dout}, gives)
        slopes = tuple(results["d" + name] for name in x)
        return slopes if len(slopes) > 1 else slopes[0]

    return check_backward(forward, backward, *x.values())


# ---------------------------------------------------------------------------------------------------
# Gradients written by hand
# ---------------------------------------------------------------------------------------------------


def by_hand() -> Iterator[Correct]:
    """The subjects of the bank."""
    for subject in SUBJECTS:
        for size, dtype in (1, float), (2, float), (1, np.float32), (2, np.float32):
            args = subject.draw(np.random.default_rng([size, 7]), size)
            cast = {name: as_dtype(value, dtype) for name, value in args.items()}
            in_closure, as_function = (True, size == 2) if dtype is float else (False, size == 1)
            check = partial(check_subject, subject, cast, as_function=as_function, in_closure=in_closure)
            yield Correct(f"{subject.name}, size {size}, {np.dtype(dtype)}", check)


def as_dtype(value: Any, dtype: Any) -> Any:
    return value.astype(dtype) if isinstance(value, Array) and value.dtype.kind == "f" else value


# ---------------------------------------------------------------------------------------------------
# Smooth functions, with the gradient of the engine
# ---------------------------------------------------------------------------------------------------


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def sigmoid_net(X: Array, Y: Array) -> Callable[[Any], Any]:
    """Squared error of a sigmoid layer and a linear one, the lecture's program."""

    def loss(p: Any) -> Any:
        hidden = (1 + np.tanh((X @ p["W1"] + p["b1"]) / 2)) / 2  # a sigmoid that cannot overflow
        return np.square(hidden @ p["W2"] - Y).sum()

    return loss


def softmax_regression(X: Array, y: Array, reg: float = 0.0) -> Callable[[Any], Any]:
    def loss(W: Any) -> Any:
        scores = X @ W
        return np.mean(logsumexp(scores, axis=1) - scores[np.arange(len(y)), y]) + reg * np.sum(W * W)

    return loss


def attention(p: Any) -> Any:
    weights = softmax(p["Q"] @ p["K"].T / 2, axis=1)
    return np.sum((weights @ p["V"]) ** 2)


def batch_normalised(x: Any) -> Any:
    return np.sum(normal(6, 4, seed=1) * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5))


def recurrent(p: Any) -> Any:
    h = np.zeros((2, 3))
    for t in range(5):
        h = np.tanh(normal(5, 2, 3)[t] + h @ p["W"] + p["b"])
    return np.sum(h * h)


SMOOTH: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "sum of squares": (lambda x: np.sum(x * x), normal(3, 4)),
    "norm": (lambda x: np.sqrt(np.sum(x * x)), normal(5)),
    "logsumexp": (lambda x: logsumexp(x), normal(7)),
    "entropy of a softmax": (lambda x: -np.sum(softmax(x) * (x - logsumexp(x))), normal(6)),
    "waves": (lambda x: np.sum(np.sin(3 * x) * np.cos(x[::-1])), normal(8)),
    "softplus": (lambda x: np.sum(np.log1p(np.exp(x))), normal(3, 3)),
    "polynomial": (lambda x: np.sum(x**5 - 3 * x**3 + x), normal(6)),
    "product": (lambda x: np.prod(x), normal(4)),
    "rational": (lambda x: np.sum(x / (1 + x**2)), normal(2, 5)),
    "Rosenbrock": (lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2), normal(6)),
    "distances": (lambda x: np.sum(np.sqrt(np.sum((x[:, None] - x[None]) ** 2, axis=2) + 1)), normal(5, 2)),
    "outer product": (lambda x: np.sum(np.outer(x, x**2) * normal(4, 4)), normal(4)),
    "chain of matrices": (lambda x: np.sum(x @ x @ x), normal(4, 4)),
    "running sum": (lambda x: np.sum(np.cumsum(x) ** 2), normal(9)),
    "variance": (lambda x: np.var(x), normal(10)),
    "batch normalisation": (batch_normalised, normal(6, 4)),
    "diamond": (lambda x: np.sum(x * np.exp(x) + np.tanh(x) * x), normal(2, 3)),
    "logarithms": (lambda x: np.sum(np.log(x) * np.sqrt(x)), 0.1 + normal(7) ** 2),
    "softmax regression": (softmax_regression(normal(9, 4), np.arange(9) % 3, 0.1), normal(4, 3)),
    "sigmoid net": (
        sigmoid_net(normal(6, 3), normal(6, 2)),
        {"W1": normal(3, 5), "b1": normal(5), "W2": normal(5, 2)},
    ),
    "attention": (attention, {"Q": normal(3, 4), "K": normal(5, 4, seed=1), "V": normal(5, 2)}),
    "recurrent net": (recurrent, {"W": normal(3, 3), "b": normal(3)}),
}  # fmt: skip


def by_the_engine() -> Iterator[Correct]:
    for i, (name, (f, x)) in enumerate(SMOOTH.items()):
        gradient = grad(f)
        yield Correct(name, partial(check_gradient, f, x, gradient if i % 2 else gradient(x)))
        single = {key: v.astype(np.float32) for key, v in x.items()} if isinstance(x, dict) else x.astype(np.float32)
        yield Correct(f"{name}, float32", partial(check_gradient, f, single, gradient(single) if i % 2 else gradient))


# ---------------------------------------------------------------------------------------------------
# Kinks nearby: at the kink itself the slope from either side is right
# ---------------------------------------------------------------------------------------------------

KINKED: dict[str, tuple[Callable[[Any], Any], Callable[[Any, bool], Any]]] = {
    "relu": (lambda x: np.sum(np.maximum(0, x) * (1 + x)), lambda x, left: step(x, left) * (1 + 2 * x)),
    "leaky relu": (lambda x: np.sum(np.where(x > 0, x, 0.1 * x) ** 3 + np.maximum(x, 0.1 * x)),
                   lambda x, left: (0.1 + 0.9 * step(x, left)) + 3 * x**2 * np.where(x > 0, 1, 0.001)),
    "abs": (lambda x: np.sum(np.abs(x) + x * x), lambda x, left: 2 * step(x, left) - 1 + 2 * x),
    "hinge": (lambda x: np.sum(np.maximum(0, 1 - (1 + x)) ** 1 + x**2), lambda x, left: step(x, left) - 1 + 2 * x),
    "clip": (lambda x: np.sum(np.clip(x, 0, 1.5) + x**2),
             lambda x, left: np.where((x >= 1.5), 0, step(x, left)) + 2 * x),
}  # fmt: skip


def step(x: Array, left: bool) -> Array:
    """Slope of relu, from the left or from the right."""
    return (x > 0 if left else x >= 0).astype(x.dtype)


def near_kinks() -> Iterator[Correct]:
    for name, (f, slope) in KINKED.items():
        for distance in 0.0, 1e-7, -1e-6, 1e-5:
            x = normal(3, 4)
            x[1, 2] = distance
            for left in (True, False) if distance == 0 else (True,):
                label = f"{name}, {distance:g} from the kink" + ", from the left" * left * (distance == 0)
                yield Correct(label, partial(check_gradient, f, x, slope(x, left)))
        everywhere = np.zeros((2, 3))
        yield Correct(
            f"{name}, all entries at the kink", partial(check_gradient, f, everywhere, slope(everywhere, True))
        )
    for distance in 0.0, 1e-7, 1e-6, 1e-5:
        yield from largest_entry(distance)
        yield from hinge_of_scores(distance)
    yield from nets_at_kinks()


def largest_entry(distance: float) -> Iterator[Correct]:
    """max(x), with the second largest entry so much smaller."""
    x = np.array([0.5, 2.0, -1.0, 2.0 - distance])
    for slope in ([0, 1, 0, 0], [0, 0, 0, 1], [0, 0.5, 0, 0.5]) if distance == 0 else ([0, 1, 0, 0],):
        yield Correct(f"max, lead {distance:g}, {slope}", partial(check_gradient, np.max, x, np.array(slope, float)))


def hinge_of_scores(distance: float) -> Iterator[Correct]:
    """The SVM loss of scores, one of which misses the margin by so little."""
    y, rows = np.array([0, 2]), np.arange(2)

    def loss(scores: Any) -> Any:
        margins = np.maximum(0, scores - scores[rows, y][:, None] + 1)
        return (np.sum(margins) - 2) / 2

    scores = np.array([[1.0, 0.0 + distance, 3.0], [0.5, -2.0, 1.0]])
    active = (scores - scores[rows, y][:, None] + 1 > 0).astype(float)
    active[rows, y] = 0
    active[rows, y] = -active.sum(axis=1)
    yield Correct(f"SVM loss, {distance:g} inside the margin", partial(check_gradient, loss, scores, active / 2))


def nets_at_kinks() -> Iterator[Correct]:
    """Biases of zero and an example of zeros; weights of zero; a dead unit."""
    X, Y = normal(5, 3), normal(5, 2)
    X[2] = 0
    start = {"W1": normal(3, 4), "b1": np.zeros(4), "W2": normal(4, 2)}

    def loss(p: Any) -> Any:
        return np.square(np.maximum(0, X @ p["W1"] + p["b1"]) @ p["W2"] - Y).sum()

    def gradient(p: Any) -> Any:
        Z = X @ p["W1"] + p["b1"]
        H = np.maximum(0, Z)
        upstream = 2 * (H @ p["W2"] - Y)
        dZ = (upstream @ p["W2"].T) * (Z > 0)
        return {"W1": X.T @ dZ, "b1": dZ.sum(axis=0), "W2": H.T @ upstream}

    for name, p in {
        "an example of zeros and biases of zero": start,
        "W1 = 0": {**start, "W1": np.zeros((3, 4))},
        "all weights zero": {name: np.zeros_like(value) for name, value in start.items()},
        "dead units": {**start, "b1": np.array([-1e3, 0.1, -1e3, 0.1])},
        "biases of 1e-6": {**start, "b1": np.full(4, 1e-6)},
    }.items():
        yield Correct(f"relu net, {name}", partial(check_gradient, loss, p, gradient))
        yield Correct(f"relu net, {name}, directions", partial(check_gradient, loss, p, gradient, directions=5))


# ---------------------------------------------------------------------------------------------------
# Large and tiny, saturated, zero
# ---------------------------------------------------------------------------------------------------


def of_all_scales() -> Iterator[Correct]:
    bases = ("sum of squares", "softmax regression", "waves", "rational")
    for name in bases:
        f, x = SMOOTH[name]
        g = grad(f)
        for s in 1e-8, 1e-4, 1e4, 1e8:
            yield Correct(f"{name}: f(x/s), s={s:g}", partial(check_gradient, inside(f, s), s * x, g(x) / s))
            yield Correct(f"{name}: s·f(x), s={s:g}", partial(check_gradient, outside(f, s), x, s * g(x)))
    f, x = SMOOTH["sigmoid net"]
    for s in 1e-8, 1e-4, 1e4, 1e8:
        p = {key: s * value for key, value in x.items()}
        yield Correct(f"sigmoid net with weights of {s:g}", partial(check_gradient, f, p, grad(f)))
    for name in ("sum of squares", "waves", "softmax regression", "logsumexp"):
        f, x = SMOOTH[name]
        for constant in 1e3, 1e6:
            yield Correct(f"{name} + {constant:g}", partial(check_gradient, plus(f, constant), x, grad(f)(x)))
        yield Correct(f"{name} + 100, float32", partial(check_gradient, plus(f, 100), x.astype("f4"), grad(f)))
    scales = 10.0 ** np.arange(-8, 9)
    yield Correct(
        "every entry of another scale",
        partial(check_gradient, lambda x: np.sum(np.sin(x / scales)), scales, np.cos(1) / scales),
    )
    for seed in range(3):
        yield ill_conditioned(seed)


def inside(f: Callable[[Any], Any], s: float) -> Callable[[Any], Any]:
    return lambda x: f(x / s)


def outside(f: Callable[[Any], Any], s: float) -> Callable[[Any], Any]:
    return lambda x: s * f(x)


def plus(f: Callable[[Any], Any], constant: float) -> Callable[[Any], Any]:
    return lambda x: f(x) + constant


def ill_conditioned(seed: int) -> Correct:
    """½xᵀAx with eigenvalues from 1e-4 to 1e4."""
    Q = np.linalg.qr(normal(6, 6, seed=seed))[0]
    A = (Q * np.geomspace(1e-4, 1e4, 6)) @ Q.T
    return Correct(
        f"condition number 1e8, seed {seed}",
        partial(check_gradient, lambda x: x @ A @ x / 2, normal(6), lambda x: (A + A.T) @ x / 2),
    )


TARGETS = np.array([0.0, 0.0, 1.0, 1.0, 1.0])


def logistic_loss(x: Any) -> Any:
    return np.sum(np.logaddexp(0, x) - TARGETS * x)


def saturated() -> Iterator[Correct]:
    for s in 30.0, 700.0:
        x = np.array([s, -s, 0.3, s / 2, -s / 2])
        p = sigmoid(x)
        yield Correct(f"sigmoid at ±{s:g}", partial(check_gradient, lambda x: np.sum(sigmoid(x)), x, p * (1 - p)))
        only = np.array([s, -s])
        p = sigmoid(only)
        yield Correct(
            f"sigmoid at ±{s:g} alone", partial(check_gradient, lambda x: np.sum(sigmoid(x)), only, p * (1 - p))
        )
        slope = 1 / np.cosh(np.clip(x, -300, 300)) ** 2
        yield Correct(f"tanh at ±{s:g}", partial(check_gradient, lambda x: np.sum(np.tanh(x)), x, slope))
        yield Correct(f"tanh at ±{s:g} alone", partial(check_gradient, lambda x: np.sum(np.tanh(x)), only, 0 * only))
        yield Correct(f"BCE of logits ±{s:g}", partial(check_gradient, logistic_loss, x, sigmoid(x) - TARGETS))
        scores = np.array([[s, 0, -s], [-s, 0, s], [0.1, -0.2, 0.3]])
        for labels in ([0, 2, 0], [2, 0, 1]):
            f = softmax_regression(np.eye(3), np.array(labels))
            slope = (softmax(scores, axis=1) - np.eye(3)[labels]) / 3
            yield Correct(f"softmax of scores ±{s:g}, labels {labels}", partial(check_gradient, f, scores, slope))
        f, x = sigmoid_net(normal(6, 3), normal(6, 2)), SMOOTH["sigmoid net"][1]
        yield Correct(f"sigmoid net, W1·{s:g}", partial(check_gradient, f, {**x, "W1": s * x["W1"] / 10}, grad(f)))


def with_zeros() -> Iterator[Correct]:
    x = normal(3, 4)
    A, b = normal(4, 4) + 4 * np.eye(4), normal(4)
    solution = np.linalg.solve(A, b)
    yield Correct("a constant", partial(check_gradient, lambda x: 3.0, x, np.zeros_like(x)))
    yield Correct("0·x", partial(check_gradient, lambda x: np.sum(0 * x), x, np.zeros_like))
    yield Correct("a large constant", partial(check_gradient, lambda x: 1e8 + np.sum(0 * x), x, np.zeros_like(x)))
    yield Correct("some entries unused", partial(check_gradient, lambda x: np.sum(x[:1] ** 3), x, unused))
    yield Correct("minimum at zero", partial(check_gradient, lambda x: np.sum(x * x), np.zeros(4), np.zeros(4)))
    yield Correct(
        "minimum of least squares",
        partial(check_gradient, lambda w: np.sum((A @ w - b) ** 2), solution, lambda w: 2 * A.T @ (A @ w - b)),
    )
    yield Correct("x of zeros", partial(check_gradient, lambda x: np.sum(np.exp(x)), np.zeros((2, 3)), np.exp))
    some = np.where(np.abs(x) < 0.5, 0, x)
    yield Correct("x with zeros", partial(check_gradient, lambda x: np.sum(x**4 + x), some, lambda x: 4 * x**3 + 1))
    f = softmax_regression(normal(5, 4), np.arange(5) % 3, 0.1)
    yield Correct("softmax regression, W = 0", partial(check_gradient, f, np.zeros((4, 3)), grad(f)))
    yield Correct("x⁴ at zero", partial(check_gradient, lambda x: np.sum(x**4), np.zeros(5), np.zeros(5)))
    yield Correct(
        "a maximum never reached",
        partial(check_gradient, lambda x: np.sum(np.maximum(0, x - 100)), x, np.zeros_like(x)),
    )
    one_dead = {"used": normal(3), "unused": normal(2, 2)}
    slopes = {"used": 2 * one_dead["used"], "unused": np.zeros((2, 2))}
    yield Correct("a parameter unused", partial(check_gradient, lambda p: np.sum(p["used"] ** 2), one_dead, slopes))
    tiny = partial(check_gradient, lambda x: np.sum(1e-300 * x), x, np.full_like(x, 1e-300))
    yield Correct("a gradient of 1e-300", tiny)


def unused(x: Array) -> Array:
    slope = np.zeros_like(x)
    slope[:1] = 3 * x[:1] ** 2
    return slope


# ---------------------------------------------------------------------------------------------------
# Shapes, layouts, and ways to hand it over
# ---------------------------------------------------------------------------------------------------


def cubes(x: Any) -> Any:
    return np.sum(x**3)


def slope_of_cubes(x: Any) -> Any:
    return 3 * x**2


def of_all_layouts() -> Iterator[Correct]:
    read_only = normal(3, 4)
    read_only.flags.writeable = False
    for name, x in {
        "0-d": np.array(1.5),
        "one entry": np.array([1.5]),
        "four axes of one entry": np.full((1, 1, 1, 1), -0.7),
        "empty": np.empty(0),
        "empty, two axes": np.empty((0, 3)),
        "Fortran order": np.asfortranarray(normal(3, 4)),
        "every other column": normal(3, 8)[:, ::2],
        "reversed": normal(7)[::-1],
        "transposed": normal(3, 4).T,
        "axes exchanged": normal(2, 3, 4).transpose(1, 2, 0),
        "read-only": read_only,
        "four axes": normal(2, 2, 3, 2),
        "big-endian": normal(3, 4).astype(">f8"),
    }.items():
        yield Correct(f"x: {name}", partial(check_gradient, cubes, x, slope_of_cubes(x)))
        if x.size:
            yield Correct(f"x: {name}, as function", partial(check_gradient, cubes, x, slope_of_cubes))
    yield Correct("x: a Python number", partial(check_gradient, cubes, 1.5, 6.75))
    yield Correct("x: a NumPy number", partial(check_gradient, cubes, np.float64(1.5), slope_of_cubes))


def in_all_ways() -> Iterator[Correct]:
    x, X = normal(4), normal(3, 4)
    yield Correct("gradient: np.matrix", partial(check_gradient, cubes, X, np.asmatrix(3 * X**2)))
    yield Correct("gradient: list", partial(check_gradient, cubes, x, slope_of_cubes(x).tolist()))
    yield Correct("gradient: nested list", partial(check_gradient, cubes, X, slope_of_cubes(X).tolist()))
    yield Correct("gradient: function that returns a list", partial(check_gradient, cubes, x, lambda x: list(3 * x**2)))
    yield Correct("gradient: Fortran order", partial(check_gradient, cubes, X, np.asfortranarray(3 * X**2)))
    yield Correct("gradient: read-only view", partial(check_gradient, cubes, X, np.broadcast_to(3 * X**2, X.shape)))
    yield Correct("gradient: float32 of float64", partial(check_gradient, cubes, X, (3 * X**2).astype(np.float32)))
    yield Correct("gradient: float64 of float32", partial(check_gradient, cubes, X.astype("f4"), 3 * X**2))
    yield Correct("gradient: with the loss", partial(check_gradient, cubes, X, lambda x: (np.sum(x**3), 3 * x**2)))
    yield Correct("f returns both", partial(check_gradient, lambda x: (np.sum(x**3), 3 * x**2), X))
    yield Correct("loss: a 0-d array", partial(check_gradient, lambda x: np.array(np.sum(x**3)), X, 3 * X**2))
    yield Correct("loss: a Python number", partial(check_gradient, lambda x: float(np.sum(x**3)), X, 3 * X**2))
    yield Correct("loss: a Python sum", partial(check_gradient, lambda x: sum(v**3 for v in x), x, 3 * x**2))
    yield Correct("loss: in a loop", partial(check_gradient, looped, X, 3 * X**2))
    yield Correct(
        "loss: of other arguments", partial(check_gradient, lambda x, a: a * np.sum(x**3), x, 6 * x**2, args=(2,))
    )
    weights = normal(3, 4, seed=2)
    yield Correct("an array with upstream", partial(check_gradient, np.sin, X, weights * np.cos(X), upstream=weights))
    for k in 1, 3, 10:
        yield Correct(f"{k} directions", partial(check_gradient, cubes, X, 3 * X**2, directions=k))
    p = {"a": x, "b": X}
    slopes = {"b": 2 * X * x, "a": np.sum(X**2, axis=0)}
    yield Correct("dict in another order", partial(check_gradient, lambda p: np.sum(p["a"] * p["b"] ** 2), p, slopes))
    yield Correct("layer: sine", partial(check_backward, lambda x: (np.sin(x), x), lambda d, x: d * np.cos(x), X))
    yield Correct(
        "layer: matrix product",
        partial(check_backward, lambda a, b: (a @ b, (a, b)), lambda d, c: (d @ c[1].T, c[0].T @ d), X, normal(4, 2)),
    )


def looped(x: Any) -> Any:
    total = 0.0
    for row in x:
        for value in row:
            total += value**3
    return total

"""flat: the compiled function and its source give the value and the gradients that the engine gives."""

import ast
import itertools
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from coursekit.autograd import (
    Function,
    Tensor,
    Value,
    log_softmax,
    logsumexp,
    softmax,
    stop_gradient,
    value_and_grad,
)
from coursekit.tracing import flat, graph

SEEDS = range(2)


def parameter(value):
    return Tensor(value, requires_grad=True)


def alone(source):
    """The function of a source, made where there is nothing but what the source itself imports."""
    namespace = {}
    exec(compile(source, "source", "exec"), namespace)
    (definition,) = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    return namespace[definition.name]


def floats(args):
    return tuple(i for i, arg in enumerate(args) if np.asarray(arg).dtype.kind == "f")


def assert_same(got, wanted, message, rtol=1e-12):
    """The value, and each of the gradients."""
    value, gradients = got
    assert isinstance(gradients, tuple), message
    for one, other in zip((value, *gradients), (wanted[0], *wanted[1]), strict=True):
        assert np.shape(one) == np.shape(other), f"{message}\nshape {np.shape(one)}, expected {np.shape(other)}"
        scale = np.max(np.abs(other), initial=1e-300, where=np.isfinite(other))
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * scale, err_msg=message)


def assert_agrees(f, examples, *others, label="", rtol=1e-12):
    """Compiled for `examples`, flat code agrees with value_and_grad there and at all `others`."""
    compiled = flat(f, *examples)
    programs = {"compiled": compiled, "source": alone(compiled.source)}
    for i, args in enumerate((examples, *others)):
        with np.errstate(all="ignore"):
            wanted = value_and_grad(f, argnums=floats(args))(*args)
            for name, program in programs.items():
                assert_same(program(*args), wanted, f"{label}, {name}, arguments {i}\n{compiled.source}", rtol)
    return compiled


def normal(*shapes):
    return lambda rng: tuple(rng.normal(size=shape) for shape in shapes)


def positive(*shapes):
    return lambda rng: tuple(rng.uniform(0.5, 2, size=shape) for shape in shapes)


def classifier(rng):
    return rng.normal(size=(6, 4)), rng.normal(size=(4, 3)), rng.normal(size=3), rng.integers(3, size=6)


def two_layers(rng):
    return tuple(rng.normal(size=shape) for shape in [(5, 4), (5, 2), (4, 3), (3,), (3, 2), (2,)])


# --- Programs --------------------------------------------------------------------------------------


def softmax_loss(X, W, b, y):
    scores = np.dot(X, W) + b
    scores = scores - scores.max(axis=1, keepdims=True)
    p = np.exp(scores) / np.sum(np.exp(scores), axis=1, keepdims=True)
    return -np.mean(np.log(p[np.arange(len(y)), y])) + 0.1 * np.sum(W**2)


def svm_loss(X, W, b, y):
    N = len(X)
    scores = X @ W + b
    correct = scores[np.arange(N), y][:, np.newaxis]
    margins = np.maximum(0, scores - correct + 1)
    return (np.sum(margins) - N) / N + 0.5 * np.sum(W * W)


def relu_net(X, Y, W1, b1, W2, b2):
    h = np.maximum(0, X @ W1 + b1)
    y_hat = h @ W2 + b2
    return np.mean((y_hat - Y) ** 2) + 0.01 * (np.sum(W1 * W1) + np.sum(W2 * W2))


def tanh_net(X, Y, W1, b1, W2, b2):
    h = np.tanh(np.dot(X, W1) + b1)
    return np.square(h.dot(W2) + b2 - Y).sum()


def sigmoid_net(X, Y, W1, b1, W2, b2):
    h = 1 / (1 + np.exp(-(X @ W1 + b1)))
    y_hat = 1.0 / (1.0 + np.exp(-(h @ W2 + b2)))
    return np.sum((y_hat - Y) ** 2)


def three_layers_shared(X, Y, W1, b1, W2, b2):
    h = np.tanh(X @ W1 + b1)
    h = np.maximum(0.1 * h, h) + h
    o = h @ W2 + b2
    return np.mean(o * o * Y) + np.sum(np.abs(o)) / np.sum(h * h)


def convolution(x, k):
    windows = np.stack([x[:, i : i + 3] for i in range(4)], axis=1)
    y = np.einsum("nwk,ck->nwc", windows, k)
    return np.sum(np.maximum(y, 0) ** 2)


def repeated_indices(x, w):
    picked = x[[0, 2, 2, 2]] * w
    return np.sum(picked * picked) + np.sum(x[np.array([1, 1]), np.array([0, 2])] ** 3)


def mask(x, y):
    chosen = np.where(x > y, x * x, np.exp(y))
    return np.sum(chosen * (x < 1)) + np.sum(np.where(y > 0, y, 0.1 * y))


def nested_masks(x):
    return np.sum(np.where((x > 0) & (x < 1), x, np.where(x <= 0, -x * x, 1.0)) * x)


def masks_joined(x, y):
    inside = (x > -1) & (x < 1) | (y > 0.5)
    either = ~inside ^ (x > y)
    return (
        np.sum(inside * x * y) + np.sum(either[:, None] * (x * x)[:, None]) + np.sum(np.logical_and(inside, either) * y)
    )


def masks_before_what_they_multiply(x, y):
    hinge = (x > 0) * x + (y > x) * (x - y)
    return np.sum(hinge * hinge) + np.sum(np.sign(x) * y) + np.sum(np.floor(x) * y + 3 * (x <= 0) * y * y)


def mask_counted(x):
    positive = x > 0
    return np.sum(positive * x * x) / (1 + np.sum(positive)) + np.mean(positive) * np.sum(x * positive.astype(float))


def one_hot(x, y):
    p = softmax(x)
    return np.sum((p - (y[:, None] == np.arange(4))) ** 2)


def reductions(x):
    a = x.sum(axis=0) * x.mean(axis=0)
    b = np.sum(x, axis=(0, 2), keepdims=True) * x
    c = np.mean(x, axis=-1) ** 2
    return np.sum(a) + np.sum(b * b) + np.sum(c) + np.mean(x) * np.sum(x)


def extrema(x):
    a = np.max(x, axis=1) * np.min(x, axis=1)
    b = x - x.max(axis=0, keepdims=True)
    return np.sum(a) + np.sum(b * x) + np.max(x) * np.min(x) + np.sum(np.minimum(x, 0.3) * np.maximum(x, -0.2))


def joined(x, y):
    a = np.concatenate([x, y, x], axis=1)
    b = np.stack([x, y * x])
    c = np.vstack([x, y]) * np.hstack([x, y])[:, :1].sum()
    return np.sum(a * a) + np.sum(np.exp(b)) + np.sum(c**3)


def turned(x):
    a = x.T @ x
    b = np.transpose(x.reshape(3, 2, 2), (2, 0, 1))
    c = np.swapaxes(b, 0, 1).ravel() * x.reshape(-1)
    return np.sum(a * a.T) + np.sum(b[0] * b[1]) + np.sum(c * np.flip(x).ravel())


def broadcast_everywhere(x, row, column, number):
    a = x * row + column
    b = (row - column) / (2 + number * number)
    return np.sum(a * b) + np.sum(number * row) * np.mean(column + row * number)


def spread_twice(x, a, b):
    return a * np.sum(x) + b * np.sum(x) + np.mean(x) ** 2


def spread_along_axes(x):
    return np.sum(np.sum(x, axis=0) ** 2) + np.sum(np.mean(x, axis=0) ** 3)


def explicit_broadcast(w, z):
    return np.mean(np.broadcast_to(w, (3, 4)) * z)


def explicit_broadcast_of_both(w, c):
    wide, high = np.broadcast_to(w, (3, 4)), np.broadcast_to(c[:, None], (3, 4))
    return np.sum(np.sqrt(wide * wide + 1) * (wide * wide)) + np.mean(wide * high * wide)


def linear_algebra(A, b):
    M = A @ A.T + 2 * np.eye(3)
    x = np.linalg.solve(M, b)
    return x @ b + np.trace(np.linalg.inv(M)) + np.log(np.linalg.det(M)) + np.linalg.norm(x) * np.linalg.norm(A)


def cumulated(x):
    return np.sum(np.cumsum(x, axis=1) ** 2) + np.sum(np.cumsum(x) * x.ravel()) + np.sum(np.prod(x, axis=0))


def padded(x):
    a = np.pad(x, ((1, 0), (2, 1)))
    return np.sum(a[:3, :4] * x) + np.sum(np.pad(x, 1, mode="edge") ** 2) + np.sum(np.diag(x[0]) @ x.T)


def ordered(x):
    a = np.sort(x, axis=0) * np.arange(12.0).reshape(3, 4)
    b = np.take_along_axis(x, np.argsort(x, axis=1), axis=1)
    return np.sum(a) + np.sum(b[:, 0] * b[:, -1] ** 2) + np.sum(np.sort(x, axis=None) ** 3)


def ordered_all(x):
    return np.sum(x.ravel()[np.argsort(x, axis=None)] * np.arange(12.0))


def largest_by_position(x):
    best = np.argmax(x, axis=1)
    return np.sum(x[np.arange(3), best] ** 2) + x[np.arange(3), np.argmin(x, axis=1)].sum()


def taken(x):
    return np.sum(np.take(x, [0, 2, 2], axis=1) ** 2) + np.sum(np.take(x, [5, 5, 1]) ** 3) + np.sum(x[:, [1, 1]])


def sliced(x):
    y = x[1:, ::2] * x[:-1, 1::2]
    return np.sum(y * y) + np.sum(x[..., 0]) * np.sum(x[None, 1]) + x[1, 2] * x[-1, -1] + np.sum(x[::-1] * x)


def library_softmax(x, y):
    return -np.sum(log_softmax(x)[np.arange(3), y]) + np.sum(softmax(x, axis=0) ** 2) + np.sum(logsumexp(x, axis=1) * 2)


def functions(x):
    y = np.log(x) + np.sqrt(x) + np.log1p(x) + np.expm1(x) + np.square(x) + 1 / x + np.abs(x - 1)
    return np.sum(y * np.sin(x) + np.cos(x) * np.arctan(x) + np.tanh(x) * np.sinh(x)) + np.sum(np.sign(x - 1) * x)


def powers(x, p):
    return np.sum(x**p) + np.sum(2.0**x) + np.sum(x**3 + x**0.5 + x**-1 + x**1 + x**0 + x**2 + (-x) ** 2)


def remainders(x, y):
    return np.sum(x % y) + np.sum((x // y) * x) + np.sum(np.arctan2(x, y) * np.hypot(x, y)) + np.sum(np.logaddexp(x, y))


def variances(x):
    return np.sum(np.var(x, axis=0)) + np.std(x) * np.sum(np.std(x, axis=1, ddof=1))


def clipped(x):
    return np.sum(np.clip(x, -0.5, 0.5) * x) + np.sum(x.clip(0, 1) ** 2)


def products(a, b):
    return np.sum(np.outer(a, b) ** 2) + np.sum(np.tensordot(a, b, 0)) + np.inner(a, a) * np.dot(b, b) + np.vdot(a, a)


def batched(A, B, v):
    return np.sum((A @ B) ** 2) + np.sum(A @ v) + np.sum(np.einsum("bij,bjk->ik", A, B)) + np.sum(v @ B)


def tiled(x):
    a = np.tile(x, (2, 1)) * np.repeat(x, 2, axis=0)
    b, c = np.split(x, 2, axis=1)
    return np.sum(a * a) + np.sum(np.roll(x, 1, axis=1) * x) + np.sum(b * c) + np.sum(np.diff(x, axis=0) ** 2)


def same_argument_on_many_ways(x):
    y = x + x
    z = y * y + x
    return np.sum(z) + np.sum(z * y) - np.sum(-x) + np.sum(+x) + np.sum(x - x * 2)


def signs(x, y):
    a = -x
    b = -(a * y)
    c = -a
    return np.sum(-b / -y) - np.sum(-c) + np.sum(3.0 - (2.0 - (1.0 - x))) + np.sum(-(x**2)) + np.sum((-x) ** 3)


def without_gradient(x):
    c = stop_gradient(x) * 2
    return np.sum(c * x) + np.sum(stop_gradient(np.exp(x)) * x * x)


def integers_and_masks(x, mask, weights):
    return np.sum(np.where(mask, x, 0.5 * x) ** 2) + np.sum(x * weights) + np.sum(x * mask) + np.sum((weights == 1) * x)


def labels_compared(X, W, y):
    scores = X @ W
    signs = np.where(y == 1, 1.0, -1.0)
    return np.sum(np.log1p(np.exp(-signs * scores)))


class Swish(Function):
    @staticmethod
    def forward(ctx, x, beta):
        ctx.save_for_backward(x, beta)
        return x / (1 + np.exp(-beta * x))

    @staticmethod
    def backward(ctx, grad):
        x, beta = ctx.saved_tensors
        s = 1 / (1 + np.exp(-beta * x))
        return grad * (s + beta * x * s * (1 - s)), np.sum(grad * x * x * s * (1 - s))


def with_a_function(x, beta):
    return np.sum(Swish.apply(x, beta) ** 2) + np.sum(Swish.apply(x @ x.T, beta))


# label -> the function, and its arguments from a generator of random numbers
PROGRAMS = {
    "softmax": (softmax_loss, classifier),
    "svm": (svm_loss, classifier),
    "relu net": (relu_net, two_layers),
    "tanh net": (tanh_net, two_layers),
    "sigmoid net": (sigmoid_net, two_layers),
    "nodes that are used twice": (three_layers_shared, two_layers),
    "convolution": (convolution, normal((2, 6), (4, 3))),
    "repeated indices": (repeated_indices, normal((3, 3), (4, 3))),
    "mask": (mask, normal((3, 4), (4,))),
    "nested masks": (nested_masks, normal((12,))),
    "masks joined": (masks_joined, normal((12,), (12,))),
    "masks before what they multiply": (masks_before_what_they_multiply, normal((12,), (12,))),
    "mask counted": (mask_counted, normal((3, 4))),
    "one-hot labels": (one_hot, lambda rng: (rng.normal(size=(3, 4)), rng.integers(4, size=3))),
    "reductions": (reductions, normal((2, 3, 4))),
    "extrema": (extrema, normal((3, 4))),
    "joined": (joined, normal((3, 3), (3, 3))),
    "turned": (turned, normal((3, 4))),
    "broadcasting": (broadcast_everywhere, normal((3, 4), (4,), (3, 1), ())),
    "spread twice": (spread_twice, normal((3, 4), (), ())),
    "spread along axes": (spread_along_axes, normal((3, 4))),
    "broadcast_to": (explicit_broadcast, normal((4,), (3, 4))),
    "broadcast_to of both factors": (explicit_broadcast_of_both, normal((4,), (3,))),
    "linear algebra": (linear_algebra, normal((3, 3), (3,))),
    "cumsum and prod": (cumulated, normal((3, 4))),
    "pad": (padded, normal((3, 4))),
    "sort": (ordered, normal((3, 4))),
    "argsort of all": (ordered_all, normal((3, 4))),
    "argmax": (largest_by_position, normal((3, 4))),
    "take": (taken, normal((3, 4))),
    "slices": (sliced, normal((3, 4))),
    "library softmax": (library_softmax, lambda rng: (rng.normal(size=(3, 4)), rng.integers(4, size=3))),
    "functions": (functions, positive((3, 4))),
    "powers": (powers, positive((3,), (3,))),
    "remainders": (remainders, positive((3, 4), (4,))),
    "variances": (variances, normal((3, 4))),
    "clip": (clipped, normal((3, 4))),
    "products": (products, normal((3,), (4,))),
    "batches of matrices": (batched, normal((2, 3, 4), (2, 4, 3), (4,))),
    "tile and repeat": (tiled, normal((3, 4))),
    "one argument on many ways": (same_argument_on_many_ways, normal((3,))),
    "signs": (signs, positive((3,), (3,))),
    "stop_gradient": (without_gradient, normal((3,))),
    "integer and bool arguments": (
        integers_and_masks,
        lambda rng: (rng.normal(size=5), rng.random(5) < 0.5, rng.integers(3, size=5)),
    ),
    "labels compared": (labels_compared, lambda rng: (*normal((6, 3), (3,))(rng), rng.integers(2, size=6))),
    "a Function": (with_a_function, normal((3, 4), ())),
    "numbers": (lambda x, y: (x * y + x) / (1 + np.exp(-y)) + x**2, normal((), ())),
    "empty": (lambda x, y: np.sum(x * y) + np.sum(y), normal((0, 3), (3,))),
    "one entry": (lambda x, w: np.sum(np.exp(x @ w)), normal((1, 1), (1, 1))),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("label", PROGRAMS)
def test_value_and_gradients_are_those_of_the_engine_at_the_examples_and_at_other_arguments(label, seed):
    f, make = PROGRAMS[label]
    examples, *others = (make(np.random.default_rng([seed, i])) for i in range(4))
    assert_agrees(f, examples, *others, label=f"{label}, seed {seed}")


def test_a_gradient_that_is_slightly_wrong_would_be_noticed():
    x = np.ones(3)
    with pytest.raises(AssertionError):
        assert_same((3.0, (x * (1 + 1e-9),)), (3.0, (x,)), "")
    with pytest.raises(AssertionError):
        assert_same((3.0, (np.float64(1.0),)), (3.0, (x,)), "")


@pytest.mark.parametrize("label", PROGRAMS)
def test_the_gradients_are_numerically_right(numerical, label):
    f, make = PROGRAMS[label]
    if label == "stop_gradient":
        pytest.skip("whose gradient is not the derivative, on purpose")
    args = make(np.random.default_rng([5, 5]))
    wanted = floats(args)

    def of_floats(*arrays):
        given = list(args)
        for i, array in zip(wanted, arrays, strict=True):
            given[i] = array
        return f(*given)

    _, gradients = flat(f, *args)(*args)
    for got, slope in zip(gradients, numerical(of_floats, [args[i] for i in wanted]), strict=True):
        np.testing.assert_allclose(got, slope, rtol=1e-5, atol=1e-6, err_msg=f"{label} seed [5, 5]")


@pytest.mark.parametrize(
    ("f", "example", "other"),
    [
        (lambda x: np.sum(x[x > 0] ** 2), [1.0, 2.0, -1.0, -3.0], [1.0, 2.0, 3.0, -3.0]),
        (lambda x: np.mean(x[x > 0]), [1.0, 2.0, -1.0, -3.0], [1.0, 2.0, 3.0, -3.0]),
        (lambda x: np.sum(x[np.nonzero(x > 0)]), [1.0, 2.0, -1.0, -3.0], [-1.0, -2.0, 3.0, -3.0]),
        (lambda x: np.sum(x) / np.count_nonzero(x > 0), [1.0, 2.0, -1.0, -3.0], [1.0, 2.0, 3.0, -3.0]),
        (lambda x: np.sum(x) * len(np.unique(stop_gradient(x))), [1.0, 1.0, 2.0], [1.0, 3.0, 2.0]),
        (lambda x: np.sum(x * x) if np.array_equal(x, np.ones(3)) else np.sum(x), [1.0, 1.0, 1.0], [1.0, 3.0, 2.0]),
        (lambda x: np.sum(x * x) if np.allclose(x, 1.0) else np.sum(x), [1.0, 1.0, 1.0], [1.0, 3.0, 2.0]),
        (lambda x: np.sum(x[: np.argmax(x) + 1] ** 2), [1.0, 2.0, 3.0], [5.0, 2.0, 3.0]),
    ],
    ids=["mask", "mean of mask", "nonzero", "count_nonzero", "unique", "array_equal", "allclose", "slice"],
)
def test_what_depends_on_the_numbers_in_an_array_is_either_right_or_refused_but_never_baked_in(f, example, other):
    example, other = np.array(example), np.array(other)
    try:
        compiled = flat(f, example)
    except TypeError:
        with pytest.raises(TypeError, match="depends on a number"):
            flat(f, example)
        return
    except NotImplementedError:  # a function that the table does not have
        with pytest.raises(NotImplementedError, match="has no gradient rule"):
            flat(f, example)
        return
    for program in compiled, alone(compiled.source):
        assert_same(program(other), value_and_grad(f, argnums=(0,))(other), compiled.source)


# --- Random programs -------------------------------------------------------------------------------

SHAPES = {"x": (3, 4), "row": (4,), "column": (3, 1), "number": ()}
UNARY = {
    "tanh": np.tanh,
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "neg": lambda v: -v,
    "sin": np.sin,
    "relu": lambda v: np.maximum(0, v),
    "square": lambda v: 0.5 * v * v,
    "power": lambda v: 0.1 * v**3,
    "exp": lambda v: np.exp(-v * v),
    "sqrt": lambda v: np.sqrt(1 + v * v),
    "log": lambda v: np.log(1 + np.square(v)),
    "sum": np.sum,
    "mean": np.mean,
    "sum of the first axis": lambda v: np.sum(v, axis=0) / 3 if v.ndim else v,
    "mean of the last axis": lambda v: np.mean(v, axis=-1, keepdims=True) if v.ndim else v,
    "max": lambda v: np.max(v, axis=0, keepdims=True) if v.ndim else v,
    "transposed and back": lambda v: (v.T * 2).T,
    "reshaped and back": lambda v: (v.reshape(-1) - 0.5).reshape(v.shape),
    "same": lambda v: +v,
    "turned around": lambda v: v[::-1] if v.ndim else v,
    "repeated": lambda v: v[np.zeros(v.shape[0], int)] * 0.5 if v.ndim else v,
    "mask": lambda v: np.where(v > 0.2, v, 0.3 * v),
    "clip": lambda v: np.clip(v, -0.7, 0.9),
    "cumsum": lambda v: np.cumsum(v, axis=0) / 3 if v.ndim else v,
    "softmax": lambda v: softmax(v) if v.ndim else v,
}
BINARY = {
    "plus": lambda v, w: v + w,
    "minus": lambda v, w: v - w,
    "times": lambda v, w: np.tanh(v) * w,
    "over": lambda v, w: v / (1.5 + w * w),
    "maximum": np.maximum,
    "where": lambda v, w: np.where(v < w, v, w * 0.5),
    "shared": lambda v, w: (v + w) * np.tanh(v + w),
    "stop": lambda v, w: v * stop_gradient(np.tanh(w)),
}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(sorted(UNARY)), st.integers(0, 20)),
        st.tuples(st.sampled_from(sorted(BINARY)), st.integers(0, 20), st.integers(0, 20)),
    ),
    min_size=1,
    max_size=9,
)


def program_of(steps):
    """The function that takes these steps, each on earlier results, and then adds up the last of them."""

    def f(x, row, column, number):
        values = [x, row, column, number]
        for operation, *places in steps:
            function = UNARY.get(operation) or BINARY[operation]
            values.append(function(*(values[-1 - place % len(values)] for place in places)))
        return sum(np.sum(value) for value in values[-3:]) + np.mean(values[-1] * values[-2])

    return f


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(STEPS, st.integers(0, 1000))
def test_random_programs_agree_with_the_engine(steps, seed):
    note(f"seed {seed}")
    arguments = [normal(*SHAPES.values())(np.random.default_rng([seed, i])) for i in range(3)]
    assert_agrees(program_of(steps), *arguments, label=f"{steps} seed {seed}", rtol=1e-9)


# --- Memory ----------------------------------------------------------------------------------------

# Gradients that are an argument, a view of something, or the same array as another gradient.
SHARING = {
    "the other factor": (lambda x, c: np.sum(x * c), normal((3, 4), (3, 4))),
    "two terms": (lambda x, y: np.sum((x + y) ** 2), normal((3, 4), (3, 4))),
    "ones": (lambda x, y: np.sum(x) + np.sum(y), normal((3, 4), (3, 4))),
    "ones of a sum": (lambda x, y: np.sum(x + y), normal((3, 4), (3, 4))),
    "transposed": (lambda x, y: np.sum(x.T * y), normal((3, 4), (4, 3))),
    "reshaped": (lambda x, y: np.sum(x.reshape(12) * y), normal((3, 4), (12,))),
    "sliced": (lambda x, y: np.sum(x * np.concatenate([y, y])), normal((6,), (3,))),
    "joined": (lambda x, y: np.sum(np.concatenate([x, y]) ** 2), normal((3,), (3,))),
    "broadcast": (lambda x, y: np.sum(x * y), normal((3, 1), (4,))),
    "flipped": (lambda x, c: np.sum(np.flip(x) * c), normal((3, 4), (3, 4))),
    "expanded": (lambda x, c: np.sum(x[:, None] * c), normal((3,), (3, 1))),
    "the value itself": (lambda x, y: np.exp(x) + 0 * y, normal((), ())),
    "an argument is the result": (lambda x: x, normal(())),
    "an entry is the result": (lambda x: x[1], normal((3,))),
    "a view is the result": (lambda x: x.reshape(()), normal((1, 1))),
    "unused": (lambda x, y: np.sum(x * x), normal((3,), (3,))),
    "zeros twice": (lambda x, y, z: np.sum(x * x), normal((3,), (3,), (3,))),
    "a constant": (lambda x: np.sum(x * CONSTANT), normal((3,))),
    "a constant that is a view": (lambda x: np.sum(x * CONSTANT[::-1]), normal((3,))),
}
CONSTANT = np.array([1.0, 20.0, 300.0])
ALL = PROGRAMS | SHARING


@pytest.mark.parametrize("label", SHARING)
def test_programs_whose_gradients_are_views_agree_with_the_engine(label):
    f, make = SHARING[label]
    assert_agrees(f, *(make(np.random.default_rng([1, i])) for i in range(3)), label=label)


@pytest.mark.parametrize("which", ["compiled", "source"])
@pytest.mark.parametrize("label", ALL)
def test_results_have_memory_of_their_own(label, which):
    f, make = ALL[label]
    args = make(np.random.default_rng(2))
    compiled = flat(f, *args)
    program = compiled if which == "compiled" else alone(compiled.source)
    args = tuple(np.array(arg) for arg in args)
    value, gradients = program(*args)
    # The program to be read may return an argument as its value, but a gradient is an array of its own there, too.
    results = [value, *gradients] if which == "compiled" else [*gradients]
    others = [*args, CONSTANT, *program(*args)[1]]
    for i, result in enumerate(results):
        for other in others + results[:i]:
            assert not np.shares_memory(result, other), f"{label}: result {i}\n{compiled.source}"


@pytest.mark.parametrize("which", ["compiled", "source"])
@pytest.mark.parametrize("label", ALL)
def test_writing_into_results_spoils_no_later_call_and_no_later_call_spoils_results(label, which):
    f, make = ALL[label]
    examples, others = (make(np.random.default_rng([3, i])) for i in range(2))
    compiled = flat(f, *examples)
    program = compiled if which == "compiled" else alone(compiled.source)
    constant = CONSTANT.copy()
    first = program(*examples)
    kept = [np.copy(result) for result in (first[0], *first[1])]
    program(*others)
    for result, copy in zip((first[0], *first[1]), kept, strict=True):
        np.testing.assert_array_equal(result, copy, err_msg=f"{label}, after another call")
    for result in (first[0], *first[1]) if which == "compiled" else first[1]:
        if isinstance(result, np.ndarray):
            result[...] = 1e9
    np.testing.assert_array_equal(CONSTANT, constant)
    second = program(*examples)
    for result, copy in zip((second[0], *second[1]), kept, strict=True):
        np.testing.assert_array_equal(result, copy, err_msg=f"{label}, after writing into results")


@pytest.mark.parametrize("which", ["compiled", "source"])
@pytest.mark.parametrize("label", ALL)
def test_arguments_are_never_written_to(label, which):
    f, make = ALL[label]
    args = tuple(np.array(arg) for arg in make(np.random.default_rng(4)))
    copies = [arg.copy() for arg in args]
    compiled = flat(f, *args)
    program = compiled if which == "compiled" else alone(compiled.source)
    wanted = program(*args)
    for arg, copy in zip(args, copies, strict=True):
        np.testing.assert_array_equal(arg, copy, err_msg=label)
        arg.setflags(write=False)
    assert_same(program(*args), wanted, label, rtol=0)


@pytest.mark.parametrize("order", ["Fortran", "every other entry", "backwards"])
@pytest.mark.parametrize("label", PROGRAMS)
def test_arguments_may_lie_in_memory_as_they_like(label, order):
    f, make = PROGRAMS[label]
    examples, args = (make(np.random.default_rng([6, i])) for i in range(2))

    def laid_out(arg):
        arg = np.asarray(arg)
        if order == "Fortran" or not arg.ndim:
            return np.asfortranarray(arg) if arg.ndim else arg
        if order == "backwards":
            return arg[::-1].copy()[::-1]
        wide = np.repeat(arg, 2, axis=-1)
        return wide[..., ::2]

    compiled = flat(f, *examples)
    wanted = value_and_grad(f, argnums=floats(args))(*args)
    for program in compiled, alone(compiled.source), flat(f, *map(laid_out, examples)):
        assert_same(program(*map(laid_out, args)), wanted, f"{label} seed 6\n{compiled.source}", rtol=1e-11)


def test_the_same_array_may_be_two_arguments():
    def f(x, y):
        return np.sum(np.exp(x) * y + x / y)

    compiled = flat(f, np.ones(3), np.ones(3))
    x = np.array([1.0, 2.0, 3.0])
    assert_same(compiled(x, x), value_and_grad(f, argnums=(0, 1))(x, x), compiled.source)


def test_a_constant_that_is_changed_later_changes_neither_the_function_nor_its_source():
    c = np.array([1.0, 2.0, 3.0])
    compiled = flat(lambda x: np.sum(x * c * x), np.ones(3))
    before = compiled(np.ones(3))
    c[:] = 1e9
    assert_same(compiled(np.ones(3)), before, "compiled")
    assert_same(alone(compiled.source)(np.ones(3)), before, "source")


# --- Types of the arguments ------------------------------------------------------------------------


@pytest.mark.parametrize("label", PROGRAMS)
def test_dtypes_are_those_of_the_engine_and_float32_stays_float32(label):
    f, make = PROGRAMS[label]
    if label in ("linear algebra", "sort", "argsort of all"):
        pytest.skip("its constants are float64 arrays")

    def single(arg):
        arg = np.asarray(arg)
        return arg.astype(np.float32) if arg.dtype == np.float64 else arg

    examples, args = (tuple(map(single, make(np.random.default_rng([7, i])))) for i in range(2))
    compiled = flat(f, *examples)
    wanted_value, wanted_gradients = value_and_grad(f, argnums=floats(args))(*args)
    for program in compiled, alone(compiled.source):
        value, gradients = program(*args)
        for got, wanted in zip((value, *gradients), (wanted_value, *wanted_gradients), strict=True):
            assert got.dtype == wanted.dtype, f"{label}\n{compiled.source}"
            scale = np.max(np.abs(wanted), initial=1)
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5 * scale, err_msg=label)
        assert {gradient.dtype for gradient in gradients} == {np.dtype(np.float32)}


@pytest.mark.parametrize("make", [np.float64, lambda c: np.array([c, c, c])], ids=["NumPy number", "array"])
def test_a_float64_constant_raises_the_precision_as_it_does_in_numpy(make):
    c = make(1 / 3)
    x = np.array([0.1, 0.2, 0.3], np.float32)

    def f(x):
        return np.sum(x * c)

    value, gradient = value_and_grad(f)(x)
    compiled = flat(f, x, argnums=0)
    for program in compiled, alone(compiled.source):
        got, got_gradient = program(x)
        assert (got.dtype, got_gradient.dtype) == (value.dtype, gradient.dtype) == (np.float64, np.float32)
        np.testing.assert_allclose(got, value, rtol=1e-15)


def test_float32_beside_a_python_number():
    def f(x, reg):
        return reg * np.sum(x * x)

    x = np.array([1.0, 2.0], np.float32)
    compiled = flat(f, x, 0.5, argnums=0)
    for program in compiled, alone(compiled.source):
        value, gradient = program(x, 0.25)
        assert value == 1.25
        np.testing.assert_array_equal(gradient, np.array([0.5, 1.0], np.float32))
        assert gradient.dtype == np.float32


@pytest.mark.parametrize(
    ("f", "numbers"),
    [
        (lambda a, b: (a + b) * np.exp(a), (2.0, 3.0)),
        (lambda a, b: a * b, (2.0, 3.0)),
        (lambda a, b: a.reshape(1, 1).sum() * b, (2.0, 3.0)),
        (lambda a, b: np.sum(np.stack([a, b]) ** 2), (2.0, 3.0)),
        (lambda a, b: np.sum(np.array([1.0, 2.0]) * a / b), (2.0, 3.0)),
        (lambda a, b: np.sum(np.broadcast_to(a, (2, 3)) * b), (2.0, 3.0)),
        (lambda a, b: np.where(a > b, a, b * b), (2.0, 3.0)),
        (lambda a, b: np.transpose(a) * np.maximum(a, b), (2.0, 3.0)),
        (lambda a, b: a, (2.0, 3.0)),
    ],
)
def test_python_numbers_may_stand_for_0d_arrays(f, numbers):
    fresh = (0.7, -1.3)
    assert_agrees(f, numbers, fresh)
    assert_agrees(f, tuple(map(np.array, numbers)), fresh, numbers)
    assert_agrees(f, numbers, tuple(map(np.array, fresh)), tuple(map(np.float64, fresh)))


@pytest.mark.parametrize(
    ("bad", "given"),
    [
        (np.ones((3, 2)), r"float64 of shape \(3, 2\)"),
        (np.ones((2, 3), np.float32), r"float32 of shape \(2, 3\)"),
        (np.ones((2, 3), int), r"int64 of shape \(2, 3\)"),
        (np.ones((1, 2, 3)), r"float64 of shape \(1, 2, 3\)"),
        ([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], r"list of shape \(2, 3\)"),
        (1.0, r"float of shape \(\)"),
        (None, r"NoneType"),
    ],
    ids=["shape", "float32", "integers", "more axes", "list", "number", "None"],
)
@pytest.mark.parametrize("place", [0, 1])
def test_an_argument_of_another_shape_or_dtype_is_refused_by_name(bad, given, place):
    compiled = flat(lambda X, W: np.sum(X * W), np.ones((2, 3)), np.ones((2, 3)))
    args = [np.ones((2, 3)), np.ones((2, 3))]
    args[place] = bad
    name = "XW"[place]
    with pytest.raises(
        TypeError, match=rf"made for {name} of float64 and shape \(2, 3\), and was given {given}.*flat\("
    ):
        compiled(*args)


@pytest.mark.parametrize("bad", [np.ones(3), [1.0, 2.0], np.ones((1, 1))], ids=["array", "list", "one entry"])
def test_an_array_in_the_place_of_a_number_is_refused_by_name(bad):
    compiled = flat(lambda a, x: a * np.sum(x), 2.0, np.ones(3))
    with pytest.raises(TypeError, match="made for a of"):
        compiled(bad, np.ones(3))


def test_integer_labels_may_not_become_floats():
    f, make = PROGRAMS["softmax"]
    X, W, b, y = make(np.random.default_rng(0))
    with pytest.raises(TypeError, match="made for y of int64"):
        flat(f, X, W, b, y)(X, W, b, y.astype(float))


def test_tensors_may_be_examples():
    compiled = flat(lambda x: np.sum(x * x), parameter([1.0, 2.0]))
    np.testing.assert_array_equal(compiled(np.array([3.0, 4.0]))[1][0], [6.0, 8.0])


# --- Which gradients -------------------------------------------------------------------------------


def three(a, b, c):
    return np.sum(a * a * b) + np.sum(b * np.exp(c))


@pytest.mark.parametrize("argnums", [0, 1, 2, (0,), (2,), (0, 2), (1, 0), (2, 1, 0), -1, (-1, 0)])
def test_argnums_choose_and_order_the_gradients_as_they_do_for_grad(argnums):
    rng = np.random.default_rng(9)
    args = [rng.normal(size=3) for _ in range(3)]
    wanted = value_and_grad(three, argnums=argnums)(*args)
    compiled = flat(three, *args, argnums=argnums)
    for program in compiled, alone(compiled.source):
        value, gradients = program(*args)
        np.testing.assert_allclose(value, wanted[0], rtol=1e-14)
        if isinstance(argnums, int):
            assert isinstance(gradients, np.ndarray)
            gradients, expected = (gradients,), (wanted[1],)
        else:
            expected = wanted[1]
        for one, other in zip(gradients, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-13, err_msg=compiled.source)


@pytest.mark.parametrize("argnums", [3, (0, 5)])
@pytest.mark.parametrize("number", [np.ones, lambda n: Value(1.0)], ids=["array", "Value"])
def test_argnums_beyond_the_arguments_are_refused(argnums, number):
    f = three if number is np.ones else lambda a, b, c: a * b * c
    with pytest.raises(TypeError, match="argnums"):
        flat(f, number(3), number(3), number(3), argnums=argnums)


def test_a_list_of_argnums_is_as_good_as_a_tuple():
    args = [np.ones(3), np.full(3, 2.0), np.zeros(3)]
    _, gradients = flat(three, *args, argnums=[1])(*args)
    np.testing.assert_array_equal(gradients, [[2.0, 2.0, 2.0]])


def test_integer_arguments_have_no_gradient_unless_asked_for_which_is_refused():
    args = np.ones((2, 3)), np.array([0, 2])
    compiled = flat(lambda x, y: np.sum(x[np.arange(2), y]), *args)
    assert len(compiled(*args)[1]) == 1
    with pytest.raises(TypeError, match="argument y is int64"):
        flat(lambda x, y: np.sum(x[np.arange(2), y]), *args, argnums=1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_the_result_does_not_depend_on_has_the_gradient_zero(dtype):
    x, unused = np.ones(3, dtype), np.ones((2, 3), dtype)
    compiled = flat(lambda x, unused, number: np.sum(x * x), x, unused, 3.0)
    for program in compiled, alone(compiled.source):
        _, gradients = program(x, unused, 3.0)
        np.testing.assert_array_equal(gradients[1], np.zeros((2, 3)))
        assert gradients[1].dtype == dtype
        assert gradients[2] == 0.0


def test_a_function_that_returns_its_argument():
    compiled = flat(lambda x: x, 2.0)
    for program in compiled, alone(compiled.source):
        value, (gradient,) = program(7.0)
        assert (value, gradient) == (7.0, 1.0)


# --- The source ------------------------------------------------------------------------------------


def lecture_net(x, y, w1, w2):
    h = 1 / (1 + np.exp(-x.dot(w1)))
    y_pred = h.dot(w2)
    loss = np.square(y_pred - y).sum()
    return loss


def statements(source):
    (function,) = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    return function


def test_the_lecture_net_reads_as_in_the_lecture():
    rng = np.random.default_rng(0)
    args = [rng.normal(size=shape) for shape in [(64, 1000), (64, 10), (1000, 100), (100, 10)]]
    compiled = flat(lecture_net, *args, argnums=(2, 3))
    written = [
        "import numpy as np",
        "def lecture_net_and_gradients(x, y, w1, w2):",
        "    # forward",
        "    product = x @ w1",
        "    h = 1 / plus",
        "    y_pred = h @ w2",
        "    minus = y_pred - y",
        "    loss = np.sum(squares)",
        "    # backward",
        "    grad_y_pred = 2 * minus",
        "    grad_h = grad_y_pred @ w2.T",
        "    grad_w2 = h.T @ grad_y_pred",
        "    grad_product = grad_h * h * (1 - h)",
        "    grad_w1 = x.T @ grad_product",
        "    return loss, (grad_w1, grad_w2)",
    ]
    lines = compiled.source.splitlines()
    assert [line for line in lines if line in written] == written, compiled.source
    assert len(lines) < 30, "no more lines than one would write by hand"
    x, y, w1, w2 = args
    h = 1 / (1 + np.exp(-x.dot(w1)))
    grad_y_pred = 2.0 * (h.dot(w2) - y)
    value, (grad_w1, grad_w2) = compiled(*args)
    np.testing.assert_allclose(value, np.square(h.dot(w2) - y).sum(), rtol=1e-12)
    np.testing.assert_allclose(grad_w2, h.T.dot(grad_y_pred), rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(grad_w1, x.T.dot(grad_y_pred.dot(w2.T) * h * (1 - h)), rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("label", ALL)
def test_the_source_has_a_line_for_each_node_and_uses_each_name_for_one_thing(label):
    f, make = ALL[label]
    args = make(np.random.default_rng(0))
    source = flat(f, *args).source
    function = statements(source)
    known = {argument.arg for argument in function.args.args} | {"np", "slice"}
    forward = source.partition("# forward\n")[2].partition("# backward\n")[0]
    first_lines = [line for line in forward.splitlines() if "=" in line]
    assigned = []
    for statement in function.body:
        used = {
            node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        assert used <= known, f"{label}: {used - known} before being assigned\n{source}"
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                own_copy = ast.unparse(statement) == f"{node.id} = {node.id}.copy()"
                assert own_copy or node.id not in known, f"{label}: {node.id} means two things\n{source}"
                known.add(node.id)
                assigned.append(node.id)
    computed = [node.name for node in graph(f, *args) if node.kind == "compute"]
    assert [name for name in assigned if name in computed][: len(computed)] == computed, f"{label}\n{source}"
    assert len(first_lines) >= len(computed)
    # Every float argument has a gradient of that name.
    names = [argument.arg for argument, arg in zip(function.args.args, args, strict=True) if floats([arg])]
    returned = function.body[-1].value.elts[1]
    assert [element.id for element in returned.elts] == [f"grad_{name}" for name in names]


def test_gradients_come_in_the_reverse_order_of_their_nodes():
    def f(x):
        a = np.tanh(x)
        b = np.exp(a)
        c = np.sin(b)
        d = np.sqrt(c + 2.0)
        return np.sum(d)

    source = flat(f, np.ones(3)).source
    order = [source.index(f"grad_{name} =") for name in "dcbax" if f"grad_{name} =" in source]
    assert len(order) >= 4
    assert order == sorted(order)


def test_the_source_runs_without_coursekit():
    f, make = PROGRAMS["softmax"]
    compiled = flat(f, *make(np.random.default_rng(0)))
    program = "\n".join(
        [
            compiled.source,
            "import sys",
            "rng = np.random.default_rng(0)",
            "X, W, b = rng.normal(size=(6, 4)), rng.normal(size=(4, 3)), rng.normal(size=3)",
            "y = rng.integers(3, size=6)",
            "value, gradients = softmax_loss_and_gradients(X, W, b, y)",
            "assert not any('coursekit' in name for name in sys.modules)",
            "print(repr(float(value)))",
        ]
    )
    run = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    value, _ = compiled(*make(np.random.default_rng(0)))
    assert float(run.stdout) == pytest.approx(float(value), rel=1e-14)


def collide_np(x):
    np = x * 2.0
    return (np * np).sum()


def collide_gradients(x):
    grad_x = np.exp(x)
    grad_h = grad_x * x
    h = grad_h * np.tanh(grad_x)
    grad_total = h * grad_h
    return np.sum(grad_total * grad_x)


def collide_gradient_arguments(x, grad_x, grad_grad_x):
    return np.sum(np.exp(x * grad_x) * grad_x / grad_grad_x)


def collide_numbered(v0, v1, v2, v3, v4, v5):
    v6 = np.exp(v0) * v1
    return np.sum(v6 + v2 * v3 * v4 * np.tanh(v5) * v0)


def collide_private(_exp, _put, _dot, _refuse, _sum, _constant, _float64, _add, _multiply):
    part = np.exp(_exp[[0, 0, 1]]) * _put * np.array([1.0, 2.0, 4.0])
    rest = np.tanh(_dot * _refuse + _sum) * np.array([3.0, 2.0, 4.0])
    return np.sum(part * rest + np.square(_float64 * _add * _multiply - np.minimum(_constant, _dot)))


def collide_checks(fits, self, value, args):
    return np.sum(fits * self * value * args)


def collide_parts(part, part_2):
    product = part * part_2
    return np.sum(product * product) + np.sum(np.pad(part, 1)) * np.sum(part[[0, 0]])


def collide_argument_reassigned(x, w):
    x = x * w
    x = np.exp(x)
    w = x * w
    return np.sum(w * x)


def collide_operations(exp, times, total, neg):
    plus = np.exp(exp) * times
    times_2 = plus * neg
    return np.sum(times_2 + -neg * total)


def collide_soft_keywords(match, case, type, _):
    return np.sum(match * case + type * _)


def collide_builtins(slice, print, sum, abs):
    float = slice * print
    return np.sum(np.abs(float) + sum[1:] @ abs[1:])


def collide_own_name(collide_own_name_and_gradients):
    collide_own_name = collide_own_name_and_gradients**2
    return np.sum(collide_own_name)


def collide_unicode(θ, Δx):
    λ = θ * Δx
    return np.sum(λ * λ)


collide_np_argument = eval("lambda np, x: (np * x * np).sum()")

COLLISIONS = [value for name, value in sorted(globals().items()) if name.startswith("collide_")]


@pytest.mark.parametrize("f", COLLISIONS, ids=lambda f: f.__name__)
def test_names_in_the_program_collide_with_nothing(f):
    count = f.__code__.co_argcount
    examples, fresh = (np.random.default_rng([10, i]).uniform(0.5, 2, size=(count, 3)) for i in range(2))
    compiled = assert_agrees(f, tuple(examples), tuple(fresh), label=f.__name__)
    assert len(set(compiled.__code__.co_varnames)) == len(compiled.__code__.co_varnames)


def test_names_come_from_the_program():
    def f(X, W):
        scores = X @ W
        margins = np.maximum(0, scores)
        return np.sum(margins * scores)

    source = flat(f, np.ones((2, 3)), np.ones((3, 2))).source
    for line in "scores = X @ W", "margins = np.maximum(0, scores)":
        assert f"    {line}\n" in source
    assert "grad_margins" in source or "grad_scores" in source


def test_arguments_may_be_passed_by_name():
    compiled = flat(lambda x, w: np.sum(x * x * w), np.ones(3), np.ones(3))
    _, gradients = compiled(w=np.full(3, 2.0), x=np.ones(3))
    np.testing.assert_array_equal(gradients, [[4.0] * 3, [1.0] * 3])


def test_arguments_without_a_name_are_numbered():
    assert_agrees(lambda *xs: np.sum(xs[0] * xs[1]), (np.ones(3), np.ones(3)), (np.arange(3.0), np.ones(3)))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: (x - (x - (x - 1.0))) * 2,
        lambda x: x / (x / (x / 3.0)),
        lambda x: (x**2.0) ** x,
        lambda x: x ** (2.0**x),
        lambda x: -(x**2) + (-x) ** 2 * -3.0,
        lambda x: x * (x + 1) / (x - 5) * -x,
        lambda x: 1 - (2 - x) - (3 - (4 - x)),
        lambda x: x % (x + 0.3) * 2 + x // 0.7 * x,
        lambda x: ((x > 1) == (x < 1.5)) * x,
        lambda x: (x > 1) * x + (x <= 1) * x * x,
        lambda x: 1e-300 * x * 1e300 + 1e22 * x / 1e22,
        lambda x: x * -0.0 + x / -7,
    ],
)
def test_brackets_are_where_they_must_be(f):
    examples, fresh = (np.random.default_rng([11, i]).uniform(0.5, 2, size=4) for i in range(2))
    assert_agrees(lambda x: np.sum(f(x) * x), (examples,), (fresh,))


@pytest.mark.parametrize(
    "constant",
    [
        np.random.default_rng(1).normal(size=(3, 4)),
        np.random.default_rng(1).normal(size=(3, 4)) * 1e-300,
        np.random.default_rng(1).normal(size=(3, 4)) * 1e300,
        np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32),
        np.asfortranarray(np.random.default_rng(1).normal(size=(3, 4))),
        np.full((3, 4), 0.1),
        np.full((3, 4), np.float32(0.1)),
        np.arange(4),
        np.arange(4, dtype=np.int32),
        np.arange(4.0),
        np.array([0, 2, 1, 3], np.uint8),
        np.array([True, False, True, True]),
        np.ones((3, 4), bool),
        np.array([0.0, -np.inf, 1.0, np.inf]),
        np.array([np.nan, 1.0, 2.0, 3.0]),
        np.full((3, 4), np.inf),
        np.full(4, np.nan),
        np.array(1 / 3),
        np.float64(1 / 3),
        np.float32(1 / 3),
        np.int64(3),
        math.inf,
        -math.inf,
        True,
    ],
    ids=lambda c: f"{type(c).__name__} {np.asarray(c).dtype} {str(c).replace(chr(10), '')[:30]}",
)
def test_small_constants_are_written_into_the_source_exactly(constant):
    def f(x):
        return np.sum(np.where(x > 0, x, constant)) + np.sum(np.tanh(x * constant))

    examples, fresh = (np.random.default_rng([12, i]).normal(size=(3, 4)) for i in range(2))
    compiled = flat(f, examples, argnums=0)
    with np.errstate(all="ignore"):
        for x in examples, fresh:
            value, gradient = value_and_grad(f)(x)
            for program in compiled, alone(compiled.source):
                got, got_gradient = program(x)
                np.testing.assert_allclose(got, value, rtol=1e-14, err_msg=compiled.source)
                np.testing.assert_allclose(got_gradient, gradient, rtol=1e-14, err_msg=compiled.source)


@pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0)])
def test_empty_constants_are_written_into_the_source(shape):
    constant = np.zeros(shape)
    width = np.broadcast_shapes(shape, (1, 1))
    x = np.ones(width)
    assert_agrees(lambda x: np.sum(x * constant) + np.sum(x[np.array([], int)]), (x,))


def test_a_large_array_from_outside_is_refused_with_its_shape_and_advice():
    X = np.random.default_rng(0).normal(size=(100, 20))
    with pytest.raises(ValueError, match=r"array of shape \(100, 20\) that is not among its arguments.*an argument"):
        flat(lambda w: np.sum(X @ w), np.ones(20))


def test_large_arrays_of_one_number_are_no_obstacle():
    def f(x):
        return np.sum(x * np.ones_like(x) * 2 + np.zeros(x.shape)) + np.sum(x[np.arange(2000)])

    assert_agrees(f, (np.ones(2000),), (np.random.default_rng(0).normal(size=2000),))


@pytest.mark.parametrize("value", [-1.5, 2.5])
def test_a_tensor_from_outside_is_a_constant(value):
    for outside in Tensor(np.array([value, 1.0])), parameter(np.array([value, 1.0])):
        compiled = flat(lambda x, outside=outside: np.sum(x * outside * x), np.ones(2), argnums=0)
        for program in compiled, alone(compiled.source):
            np.testing.assert_allclose(program(np.array([2.0, 3.0]))[1], [4 * value, 6.0], rtol=1e-15)
        assert outside.grad is None


def test_a_long_chain_needs_no_recursion():
    def f(x):
        for i in range(1000):
            x = x * 1.001 if i % 2 else np.sin(x)
        return np.sum(x)

    assert_agrees(f, (np.ones(3),), (np.array([0.1, 2.0, -1.0]),), rtol=1e-11)


# --- What has no flat code -------------------------------------------------------------------------


def for_loop(x):
    total = x[0]
    for number in x:
        total = total + (number if number > 0 else 0)
    return total


REFUSED = {
    "if": lambda x: np.sum(x) if np.sum(x) > 0 else np.sum(x * 2),
    "if any": lambda x: np.sum(x) if np.any(x > 0) else np.sum(x * 2),
    "while": lambda x: np.sum(x * 2) if not (np.max(x) <= 1) else np.sum(x),
    "for": for_loop,
    "and": lambda x: np.sum(x) if x[0] > 0 and x[1] > 0 else np.sum(x * 2),
    "max": lambda x: max(x[0], x[1]),
    "sorted": lambda x: sorted(x)[0],
    "float of value": lambda x: np.sum(x) * float(x.value[0]),
    "int of value": lambda x: np.sum(x) * int(x.value[0]),
    "range": lambda x: sum(x[i] for i in range(np.argmax(x))),
    "asarray of value": lambda x: np.sum(x * np.asarray(x.value)),
    "stop_gradient": lambda x: np.sum(x) if stop_gradient(x)[0] > 0 else np.sum(x * 2),
    "array of numbers": lambda x: np.sum(x) * np.array([x.value[0], x.value[1]]).sum(),
    "math": lambda x: np.sum(x) * math.exp(x.value[0]),
    "item": lambda x: np.sum(x) * x[0].item(),
    "item of an input": lambda x: np.sum(x) * stop_gradient(x)[0].item(),
}


@pytest.mark.parametrize("label", REFUSED)
def test_a_computation_that_depends_on_numbers_is_refused_with_advice(label):
    with pytest.raises(TypeError, match=r"depends on a number.*np\.where"):
        flat(REFUSED[label], np.array([1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    ("f", "advice"),
    [
        (lambda x: np.sum(x) * float(x[0]), r"float\(\) would lose the gradient.*item"),
        (lambda x: math.exp(x[0]), r"np\.exp, not math\.exp"),
        (lambda x: np.sum(np.asarray(x)), r"lose its gradient.*tensor\.value"),
        (lambda x: np.sum(np.array([x[0], x[1]])), r"lose its gradient.*np\.stack"),
    ],
    ids=["float", "math", "asarray", "array"],
)
def test_what_would_lose_a_gradient_is_refused_with_advice(f, advice):
    with pytest.raises(TypeError, match=advice):
        flat(f, np.array([1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    ("f", "described"),
    [
        (lambda x: x * 2, r"an array of shape \(3,\)"),
        (lambda x: None, "None"),
        (lambda x: 2.5, r"2\.5"),
        (lambda x: (np.sum(x), 1.0), r"\(.*1\.0\)"),
    ],
    ids=["array", "None", "number", "tuple"],
)
def test_a_function_that_does_not_return_one_number_is_refused(f, described):
    with pytest.raises(TypeError, match=rf"returned {described}"):
        flat(f, np.ones(3))


def test_a_function_without_a_rule_is_named():
    with pytest.raises(NotImplementedError, match=r"np\.sinc has no gradient rule"):
        flat(lambda x: np.sum(np.sinc(x)), np.ones(3))


def test_changing_an_argument_in_place_is_refused():
    def f(x):
        x[0] = 1.0
        return np.sum(x)

    with pytest.raises(TypeError, match="cannot be changed in place"):
        flat(f, np.ones(3))


# --- Circuits of Values ----------------------------------------------------------------------------

# label -> the function, the ranges of its arguments
CIRCUITS = {
    "plus": (lambda x, y: x + y + 2 + 3.5, [(-2, 2)] * 2),
    "minus": (lambda x, y: 1 - x - (y - 2) - (3 - (x - y)), [(-2, 2)] * 2),
    "times": (lambda x, y: 2 * x * y * -3 * (x * y), [(-2, 2)] * 2),
    "over": (lambda x, y: x / y + 2 / y + x / -4 - (x / (y / x)), [(0.5, 2)] * 2),
    "powers": (lambda x: x**2 + x**3 + x**0.5 + x**-1 + x**1 + x**0 + x**-2.5, [(0.5, 2)]),
    "power of a negative number": (lambda x: x**2 + x**3 + x**-1 + x**-2 + x**1 + x**0, [(-2, -0.5)]),
    "a number to a power": (lambda x: 2**x + 0.5**x - 1**x, [(-2, 2)]),
    "power of two values": (lambda x, y: x**y + y ** (x * y), [(0.5, 2)] * 2),
    "power of a power": (lambda x, y: (x**y) ** x + x ** (y**x), [(0.5, 1.5)] * 2),
    "negative powers in brackets": (lambda x: (-x) ** 2 - x**2 + -(x**3), [(0.5, 2)]),
    "negative constants": (lambda x: (x - -2) * -3 / -0.5 + -1 - (-x) + (-2 * x) ** 2, [(-2, 2)]),
    "tiny and huge constants": (lambda x: 1e-300 * x * 1e300 + x * (1 / 3) + x * 1e22 / 1e22, [(-2, 2)]),
    "neg": (lambda x, y: -x * -y - -(x - -y), [(-2, 2)] * 2),
    "abs": (lambda x, y: abs(x) * y + abs(x * y - 0.3), [(-2, 2)] * 2),
    "exp": (lambda x: x.exp() * (-x).exp() + (x * x).exp(), [(-2, 2)]),
    "log": (lambda x, y: x.log() * y.log() + (x * y).log(), [(0.5, 2)] * 2),
    "sqrt": (lambda x: x.sqrt() * (x * x + 1).sqrt(), [(0.5, 2)]),
    "tanh": (lambda x: x.tanh() + (x * 2).tanh().tanh(), [(-2, 2)]),
    "sigmoid": (lambda x: x.sigmoid() * (-x * 3).sigmoid(), [(-2, 2)]),
    "sigmoid far out": (lambda x: x.sigmoid() + (-x).sigmoid() * x, [(-800, 800)]),
    "relu": (lambda x, y: x.relu() * y + (x * y).relu() + (-x).relu(), [(-2, 2)] * 2),
    "fan-out": (lambda x: (x + x) * x - x / x + (x * x) * (x * x), [(0.5, 2)]),
    "an argument is the result": (lambda x, y: x, [(-2, 2)] * 2),
    "unused argument": (lambda x, y: x * x, [(-2, 2)] * 2),
    "neuron": (
        lambda w0, x0, w1, x1, w2: (w0 * x0 + w1 * x1 + w2).sigmoid(),
        [(-2, 2)] * 5,
    ),
}


def of_values(f, numbers):
    """Value and gradients from `Value.backward`."""
    values = [Value(number) for number in numbers]
    output = f(*values)
    output.backward()
    return output.value, tuple(value.grad for value in values)


def assert_values_agree(f, examples, *others, label=""):
    compiled = flat(f, *map(Value, examples))
    for numbers in (examples, *others):
        wanted = of_values(f, numbers)
        for program in compiled, alone(compiled.source):
            value, gradients = program(*numbers)
            message = f"{label} at {numbers}\n{compiled.source}"
            assert type(value) is float, message
            assert value == pytest.approx(wanted[0], rel=1e-13, abs=1e-300, nan_ok=True), message
            assert gradients == pytest.approx(wanted[1], rel=1e-12, abs=1e-14, nan_ok=True), message
    return compiled


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("label", CIRCUITS)
def test_circuits_of_values_agree_with_value_backward(label, seed):
    f, ranges = CIRCUITS[label]
    low, high = np.transpose(ranges)
    rng = np.random.default_rng([seed, 13])
    arguments = [rng.uniform(low, high).tolist() for _ in range(6)]
    assert_values_agree(f, *arguments, label=f"{label} seed {seed}")


@pytest.mark.parametrize(
    ("f", "example", "numbers"),
    [
        (lambda x: x.sqrt(), [1.5], [0.0]),
        (lambda x: x**0.5, [1.5], [0.0]),
        (lambda x: x**0, [1.5], [0.0]),
        (lambda x: x**1, [1.5], [0.0]),
        (lambda x: x**2, [1.5], [0.0]),
        (lambda x, y: x**y, [1.5, 2.0], [0.0, 2.0]),
        (lambda x, y: x**y, [1.5, 2.0], [-2.0, 2.0]),
        (lambda x: 0**x, [1.5], [3.0]),
        (lambda x: (-2) ** x, [2.0], [3.0]),
        (lambda x: abs(x), [1.5], [0.0]),
        (lambda x: x.relu(), [1.5], [0.0]),
        (lambda x: x / math.inf, [1.5], [2.0]),
        (lambda x: x * -math.inf, [1.5], [2.0]),
    ],
    ids=["sqrt", "x**0.5", "x**0", "x**1", "x**2", "0**y", "(-2)**y", "0**x", "(-2)**x", "abs", "relu", "inf", "-inf"],
)
def test_at_the_edges_the_slopes_are_those_of_value(f, example, numbers):
    assert_values_agree(f, example, numbers)


@pytest.mark.parametrize(
    ("f", "numbers", "error"),
    [
        (lambda x: x.log(), [-1.0], ValueError),
        (lambda x: x.sqrt(), [-1.0], ValueError),
        (lambda x: x**0.5, [-2.0], ValueError),
        (lambda x: 1 / x, [0.0], ZeroDivisionError),
        (lambda x: x.exp(), [1000.0], OverflowError),
    ],
    ids=["log", "sqrt", "power", "over", "exp"],
)
def test_where_a_value_raises_an_error_its_flat_code_does_too(f, numbers, error):
    with pytest.raises(error):
        f(*map(Value, numbers))
    compiled = flat(f, Value(1.5))
    for program in compiled, alone(compiled.source):
        with pytest.raises(error):
            program(*numbers)


@pytest.mark.parametrize("make", [lambda: Value(4.0), lambda: Value(2.0) * 2], ids=["leaf", "computed"])
def test_a_value_from_outside_is_a_constant(make):
    outside = make()
    compiled = assert_values_agree(lambda x: x * outside + outside, [3.0], [5.0])
    assert compiled(3.0) == (16.0, (4.0,))


def test_a_value_made_inside_is_a_constant():
    assert_values_agree(lambda x: x * Value(4.0) - Value(-2.0), [3.0], [5.0])


def test_a_sum_of_products_that_starts_with_a_value():
    def f(a, b, c):
        total = Value(0.0)
        for weight, x in zip((a, b), (b, c), strict=True):
            total = total + weight * x
        return total.tanh()

    assert_values_agree(f, [0.1, 0.2, 0.3], [-1.0, 2.0, 0.5])


@pytest.mark.parametrize("argnums", [0, 1, 2, (0,), (2,), (0, 2), (1, 0), (2, 1, 0), -1])
def test_argnums_choose_and_order_the_gradients_of_values(argnums):
    def f(x, y, z):
        return x * y + y * z * z

    numbers = [2.0, 3.0, 5.0]
    gradients = np.array([3.0, 27.0, 30.0])[list(argnums) if isinstance(argnums, tuple) else argnums]
    compiled = flat(f, *map(Value, numbers), argnums=argnums)
    for program in compiled, alone(compiled.source):
        value, got = program(*numbers)
        assert value == 81.0
        assert type(got) is (float if isinstance(argnums, int) else tuple)
        np.testing.assert_array_equal(got, gradients)


def test_an_unused_value_has_the_gradient_zero():
    compiled = flat(lambda x, unused: x * x, Value(2.0), Value(3.0))
    assert compiled(5.0, 7.0) == (25.0, (10.0, 0.0))


def test_numbers_may_stand_among_values():
    compiled = flat(lambda x, c: x * c, Value(2.0), 3.0)
    assert compiled(5.0, 7.0) == (35.0, (7.0, 5.0))


def test_examples_are_left_as_they_were():
    x = Value(3.0)
    (x * x).backward()
    flat(lambda x: x * x, x)
    assert (x.value, x.grad) == (3.0, 6.0)


def test_the_source_of_the_first_circuit():
    def f(x, y, z):
        q = x + y
        return q * z

    compiled = flat(f, Value(-2.0), Value(5.0), Value(-4.0))
    lines = compiled.source.splitlines()
    forward = ["import math", "def f_and_gradients(x, y, z):", "    q = x + y", "    times = q * z"]
    assert [line for line in lines if line in forward] == forward, compiled.source
    backward = {"grad_times = 1.0", "grad_q = grad_times * z", "grad_z = grad_times * q", "grad_x = grad_q"}
    assert backward < {line.strip() for line in lines}
    assert lines[-1] == "    return times, (grad_x, grad_y, grad_z)"
    assert compiled(-2.0, 5.0, -4.0) == (-12.0, (-4.0, -4.0, 3.0))


def values_math(x):
    math = x * 2
    return math.exp() * math


def values_gradients(x, grad_x):
    h = x * grad_x
    grad_h = h.exp()
    return grad_h * h + grad_x * x


def values_local_gradient(x):
    grad_x = x.exp()
    return grad_x * x * grad_x


def values_gradient_of_a_later_node(x):
    grad_h = x.exp()
    k = grad_h * x
    h = k * k
    return h * k


def values_operations(times, plus, x):
    times = times * plus
    plus_2 = times + x
    return plus_2 * x + plus


values_math_argument = eval("lambda math, x: math.exp() * x.log()")


@pytest.mark.parametrize(
    "f", [value for name, value in sorted(globals().items()) if name.startswith("values_")], ids=lambda f: f.__name__
)
def test_names_in_a_circuit_collide_with_nothing(f):
    rng = np.random.default_rng(14)
    assert_values_agree(f, *(rng.uniform(0.5, 2, size=f.__code__.co_argcount).tolist() for _ in range(3)))


VALUE_STEPS = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x.tanh() * y,
    "/": lambda x, y: x / (y * y + 1),
    "constants": lambda x, y: -2 * x + y / -4 - 0.1,
    "power": lambda x, y: (y.sigmoid() + 0.5) ** x.tanh(),
    "square": lambda x, y: x**2 * 0.1 - y,
    "neg": lambda x, y: -x,
    "abs": lambda x, y: abs(x) - abs(y),
    "exp": lambda x, y: (-(x * x)).exp() * y,
    "log": lambda x, y: (x * x + 1).log(),
    "sqrt": lambda x, y: (y * y + 0.5).sqrt(),
    "sigmoid": lambda x, y: x.sigmoid(),
    "relu": lambda x, y: x.relu() + y,
}


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.sampled_from(sorted(VALUE_STEPS)), st.integers(0, 9), st.integers(0, 9)), max_size=12),
    st.integers(0, 1000),
)
def test_random_circuits_agree_with_value_backward(steps, seed):
    def f(x, y, z):
        values = [x, y, z]
        for operation, i, j in steps:
            values.append(VALUE_STEPS[operation](values[-1 - i % len(values)], values[-1 - j % len(values)]))
        return values[-1] * values[-2]

    note(f"seed {seed}")
    rng = np.random.default_rng(seed)
    compiled = flat(f, *map(Value, rng.normal(size=3)))
    for _ in range(3):
        numbers = rng.normal(size=3).tolist()
        value, gradients = of_values(f, numbers)
        for program in compiled, alone(compiled.source):
            got, got_gradients = program(*numbers)
            scale = max(map(abs, (value, *gradients)))
            np.testing.assert_allclose(got, value, rtol=1e-11, atol=1e-11 * scale)
            np.testing.assert_allclose(got_gradients, gradients, rtol=1e-10, atol=1e-11 * scale)


def test_a_long_chain_of_values():
    def f(x):
        for i in range(2000):
            x = x + 0.001 if i % 2 else x * 1.0001
        return x

    assert_values_agree(f, [1.0], [2.0])


# --- Threads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["sigmoid net", "svm", "pad"])
def test_threads_may_call_the_same_function_at_once(label):
    f, make = PROGRAMS[label]
    arguments = [make(np.random.default_rng([15, i])) for i in range(40)]
    compiled = flat(f, *arguments[0])
    wanted = [compiled(*args) for args in arguments]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(lambda args: [compiled(*args) for _ in range(5)][-1], arguments * 4))
    finally:
        sys.setswitchinterval(interval)
    for i, result in enumerate(got):
        assert_same(result, wanted[i % len(arguments)], f"{label}, call {i}", rtol=0)


def test_threads_may_call_the_flat_code_of_values_at_once():
    compiled = flat(lambda x, y: (x * y + x).tanh() / y, Value(1.0), Value(2.0))
    numbers = np.random.default_rng(16).uniform(0.5, 2, size=(400, 2)).tolist()
    wanted = [compiled(*pair) for pair in numbers]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda pair: compiled(*pair), numbers)) == wanted


def test_functions_made_by_flat_do_not_disturb_each_other():
    first = flat(lambda x: np.sum(x * np.array([1.0, 2.0])), np.ones(2))
    second = flat(lambda x: np.sum(x * np.array([10.0, 20.0])), np.ones(2))
    np.testing.assert_array_equal(first(np.ones(2))[1][0], [1.0, 2.0])
    np.testing.assert_array_equal(second(np.ones(2))[1][0], [10.0, 20.0])


# --- What a fresh reader found ---------------------------------------------------------------------


@pytest.mark.parametrize("reduce", [np.sum, np.mean], ids=["sum", "mean"])
@pytest.mark.parametrize("sizes", list(itertools.product([1, 2, 3], repeat=3)), ids=str)
def test_products_of_every_size_also_of_equal_ones(sizes, reduce):
    n, d, h = sizes
    rng = np.random.default_rng([20, n, d, h])
    example, fresh = ((rng.normal(size=(n, d)), rng.normal(size=(d, h))) for _ in range(2))
    assert_agrees(lambda X, W: reduce(X @ W), example, fresh, label=f"{sizes}")
    assert_agrees(lambda X, W: np.prod(np.mean(X @ W, axis=0)), example, fresh, label=f"{sizes}")


@pytest.mark.parametrize("example", [None, "mean", {"a": 1.0}, [None]], ids=str)
def test_an_example_that_is_no_array_is_refused_by_name(example):
    with pytest.raises(TypeError, match=r"argument red is .*examples are arrays and numbers"):
        flat(lambda W, red: np.sum(W), np.ones(3), example)


@pytest.mark.parametrize(
    "f",
    [lambda a: a * 2 if a > 0 else a, lambda a: max(a, a * a) * 2, lambda a: a * 2 if a else a, lambda a: a * float(a)],
    ids=["if", "max", "bool", "float"],
)
def test_circuits_of_values_whose_course_depends_on_numbers_are_refused(f):
    with pytest.raises(TypeError, match="depends on a number"):
        flat(f, Value(-1.0))
    assert sys.getprofile() is None


def test_the_circuit_of_the_lecture_reads_as_on_the_board():
    def f(x, y, z):
        q = x + y
        return q * z

    source = flat(f, -2.0, 5.0, -4.0).source
    steps = [line.strip() for line in source.splitlines() if " = " in line]
    forward, backward = ["q = x + y", "times = q * z"], ["grad_q = 1.0 * z", "grad_z = 1.0 * q"]
    assert steps == [*forward, *backward, "grad_x = grad_q", "grad_y = grad_q"]
    assert flat(f, -2.0, 5.0, -4.0)(-2.0, 5.0, -4.0) == (-12.0, (-4.0, -4.0, 3.0))


def test_one_over_n_stays_visible():
    source = flat(lambda x: np.mean(np.exp(x)), np.ones(5)).source
    assert "1 / 5" in source

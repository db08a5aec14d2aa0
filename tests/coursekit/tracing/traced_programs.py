"""Programs to trace, and what their flat code must return."""

import ast

import numpy as np

from coursekit.autograd import (
    Function,
    Tensor,
    log_softmax,
    logsumexp,
    softmax,
    stop_gradient,
    value_and_grad,
)
from coursekit.tracing import flat

SEEDS = range(2)


def parameter(value):
    return Tensor(value, requires_grad=True)


def alone(source):
    """Execute a source in an empty namespace and return its function."""
    namespace = {}
    exec(compile(source, "source", "exec"), namespace)
    (definition,) = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    return namespace[definition.name]


def floats(args):
    return tuple(i for i, arg in enumerate(args) if np.asarray(arg).dtype.kind == "f")


def assert_same(got, wanted, message, rtol=1e-12):
    """Return the value and all gradients."""
    value, gradients = got
    assert isinstance(gradients, tuple), message
    for one, other in zip((value, *gradients), (wanted[0], *wanted[1]), strict=True):
        assert np.shape(one) == np.shape(other), f"{message}\nshape {np.shape(one)}, expected {np.shape(other)}"
        scale = np.max(np.abs(other), initial=1e-300, where=np.isfinite(other))
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * scale, err_msg=message)


def assert_agrees(f, examples, *others, label="", rtol=1e-12):
    """Assert that flat code compiled for `examples` agrees with value_and_grad there and at all `others`."""
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


def one_argument_along_many_paths(x):
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
    "one argument along many paths": (one_argument_along_many_paths, normal((3,))),
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


# Gradients that are an argument, a view, or the same array as another gradient.
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

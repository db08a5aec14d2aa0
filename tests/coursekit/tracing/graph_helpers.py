"""Helpers that several tests of graphs share."""

import numpy as np

from coursekit.autograd import Tensor

SEEDS = range(5)


def names(drawn):
    return [node.name for node in drawn]


def parameter(value):
    return Tensor(value, requires_grad=True)


def sigmoid_circuit(w0, x0, w1, x1, w2):
    return 1 / (1 + np.exp(-(w0 * x0 + w1 * x1 + w2)))


def squared_error(x, y, w0, w1):
    u = w1 * x
    y_hat = w0 + u
    z = y_hat - y
    L = z * z
    return L


def softmax_loss(X, W, b, y):
    scores = X @ W + b
    shifted = scores - np.max(scores, axis=1, keepdims=True)
    exps = np.exp(shifted)
    p = exps / np.sum(exps, axis=1, keepdims=True)
    chosen = p[np.arange(4), y]
    loss = -np.mean(np.log(chosen)) + 0.1 * np.sum(W * W)
    return loss


def svm_loss(X, W, y):
    scores = X @ W
    correct = scores[np.arange(4), y][:, None]
    margins = np.maximum(0, scores - correct + 1)
    loss = np.sum(margins) / 4
    return loss


def reused_nodes(x, y):
    a = x * y
    b = np.tanh(a) + x
    c = a * b - np.sum(b)
    d = c.T @ a
    e = np.sum(d * d) + np.sum(c) * np.mean(a)
    return e


def same_sum_twice(x, a, b):
    first = a * np.sum(x)
    second = b * np.sum(x)
    return first * second


def unary_plus(x, y):
    q = x * y
    r = x + y
    s = +q
    t = r * s
    return np.sum(t * r)


def broadcast(x, w):
    wide = np.broadcast_to(w, (2, 3))
    product = wide * x
    return np.mean(product) + np.sum(np.sum(product, axis=0) ** 2)


def views(x):
    turned = x.T
    row = turned[1]
    ordered = np.sort(row)
    return np.sum(ordered * np.arange(2.0)) * np.max(x)


def copies(x):
    h = x * 2.0
    k = np.exp(x)
    c = h.copy()
    return np.sum(c * k)


# label -> the function, its arguments from a generator of random numbers
PROGRAMS = {
    "softmax": (
        softmax_loss,
        lambda rng: (rng.normal(size=(4, 3)), rng.uniform(size=(3, 5)), rng.uniform(size=5), rng.integers(5, size=4)),
    ),
    "svm": (svm_loss, lambda rng: (rng.normal(size=(4, 3)), rng.normal(size=(3, 5)), rng.integers(5, size=4))),
    "reused nodes": (reused_nodes, lambda rng: (rng.normal(size=(3, 3)), rng.normal(size=(3, 3)))),
    "the same sum twice": (same_sum_twice, lambda rng: (rng.normal(size=4), *rng.normal(size=2))),
    "unary plus": (unary_plus, lambda rng: (rng.normal(size=3), rng.normal(size=3))),
    "broadcasting": (broadcast, lambda rng: (rng.normal(size=(2, 3)), rng.normal(size=3))),
    "views": (views, lambda rng: (rng.normal(size=(3, 2)).T,)),
    "copies": (copies, lambda rng: (rng.normal(size=3),)),
    "scalars": (squared_error, lambda rng: tuple(rng.normal(size=4))),
    "sigmoid": (sigmoid_circuit, lambda rng: tuple(rng.normal(size=5))),
}

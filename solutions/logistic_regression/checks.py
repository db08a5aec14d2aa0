"""What is graded in `logistic_regression`: references, cases and known mistakes.

Losses are stated as forward definitions; their gradients come from the engine.
"""

import numpy as np

from autograder.spec import Assignment, case, expect, value_and_gradient
from coursekit.checks.probes import Probe

from .descent import DESCENT, SEARCH, descend, search
from .mistakes import (
    BCE,
    CROSS_ENTROPY,
    ENTROPY,
    KL,
    LOGISTIC,
    MLP,
    SIGMOID,
)

assignment = Assignment("logistic_regression")


# -- sigmoid and loss -----------------------------------------------------------------------


def sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))


@assignment.exercise(
    "sigmoid",
    parts={"values": 3, "any shape": 1, "no overflow": 2},
    reference={"sigmoid": sigmoid},
    mistakes=SIGMOID,
)
def sigmoid_cases(rng):
    def one(title, x, part, **options):
        return case(title, "sigmoid", {"x": x}, {"sigmoid": sigmoid(x)}, parts=part, **options)

    yield one("6 numbers", np.array([0.0, *rng.normal(scale=2, size=5)]), "values")
    yield one("negative numbers", -rng.uniform(1, 8, size=4), "values")
    yield one("whole numbers", np.array([-3, 0, 2, 1]), "values")
    yield one("a 2×3 matrix", rng.normal(size=(2, 3)), "any shape")
    yield one("a 2×1×3 array", rng.normal(size=(2, 1, 3)), "any shape")
    yield one("a single number, shape ()", np.array(rng.uniform(0.5, 2)), "any shape")
    for title, x in (
        ("+1000 and −1000", np.array([1000.0, -1000.0])),
        ("near ±1000", rng.uniform(900, 1000, size=6) * [1, -1, 1, -1, -1, 1]),
        ("−1000 beside small numbers", np.array([-1000.0, *rng.normal(size=2)])),
    ):
        yield one(title, x, "no overflow", large="numbers of ±1000")


def bce_loss(y_hat, y):
    return np.sum(-y * np.log(y_hat) - (1 - y) * np.log(1 - y_hat))


@assignment.exercise(
    "bce_loss",
    parts={"loss": 6},
    reference={"bce_loss": bce_loss},
    mistakes=BCE,
)
def bce_loss_cases(rng):
    for title, y in (
        ("the example of the notebook", [1, 0]),
        ("one example, y = 1", [1]),
        ("one example, y = 0", [0]),
        ("7 examples", [0, *rng.permutation([0, 0, 1, 1, 1, 0])]),
        ("all labels 1", [1, 1, 1]),
        ("all labels 0", [0, 0, 0, 0]),
    ):
        y_hat = rng.uniform(0.02, 0.98, size=len(y))
        args = {"y_hat": np.array([0.9, 0.2]) if title.startswith("the") else y_hat, "y": np.array(y)}
        yield case(title, "bce_loss", args, {"loss": bce_loss(**args)})


# -- backwards --------------------------------------------------------------------------------


def data_sets(rng):
    """Yield titles, examples X and labels y."""
    X = rng.normal(size=(6, 3))
    y = np.array([1, *rng.permutation([0, 0, 0, 1, 1])])
    yield "6 examples, 3 features", X, y
    yield "one example, y = 1", X[:1], y[:1]
    yield "one example, y = 0", X[1:2], 0 * y[1:2]
    yield "all labels 1", rng.normal(size=(4, 2)), np.ones(4, dtype=int)
    yield "all labels 0", rng.normal(size=(3, 3)), np.zeros(3, dtype=int)
    yield "more features than examples", rng.normal(size=(3, 7)), np.array([0, 1, 1])


def by(value, forward):
    return value_and_gradient(forward)(value)[1]


def logistic_backward(w, X, y):
    """Compute each gradient by differentiating what comes after its node."""
    y_hat = sigmoid(X @ w)
    return {
        "loss": bce_loss(y_hat, y),
        "y_hat": y_hat,
        "dL_dyhat": by(y_hat, lambda y_hat: bce_loss(y_hat, y)),
        "dL_du": by(X @ w, lambda u: bce_loss(sigmoid(u), y)),
        "dL_dw": by(w, lambda w: bce_loss(sigmoid(X @ w), y)),
    }


@assignment.exercise(
    "logistic_backward",
    parts={"loss": 2, "y_hat": 2, "dL_dyhat": 3, "dL_du": 3, "dL_dw": 4},
    reference={"logistic_backward": logistic_backward},
    uses=("sigmoid", "bce_loss"),
    mistakes=LOGISTIC,
)
def logistic_backward_cases(rng):
    for title, X, y in data_sets(rng):
        w = rng.normal(size=X.shape[1])
        w *= 3 / max(3, np.max(np.abs(X @ w)))  # no probability too near to 0 or 1
        args = {"w": w, "X": X, "y": y}
        yield case(title, "logistic_backward", args, logistic_backward(**args), returns=dict)
    negative = {"w": -np.abs(w) / 3, "X": rng.uniform(0.2, 1, size=(5, 7)), "y": np.array([0, 1, 0, 1, 1])}
    yield case("all scores negative", "logistic_backward", negative, logistic_backward(**negative), returns=dict)


# -- downhill -----------------------------------------------------------------------------------


def bowl(rng, curvatures, slowest=None):
    """A quadratic with the given curvatures; the direction of the first is `slowest`, the others are random."""
    D = len(curvatures)
    start = rng.normal(size=(D, D)) if slowest is None else np.column_stack([slowest, rng.normal(size=(D, D - 1))])
    Q = np.linalg.qr(start)[0]
    return Probe("bowl", {"A": Q @ np.diag(curvatures) @ Q.T, "b": rng.normal(size=D)})


def logistic(rng, N=12, D=2):
    """A logistic regression that no line separates: most inputs are there with both labels."""
    Z = rng.normal(size=(N // 3, D))
    return Probe("logistic", {"X": np.vstack([Z, Z, rng.normal(size=Z.shape)]), "y": np.arange(N) // (N // 3) % 2})


@assignment.exercise("gradient_descent", parts={"w": 5, "history": 2, "stops at tol": 3}, mistakes=DESCENT)
def gradient_descent_cases(rng):
    def one(title, f, w0, lr, tol, max_iters):
        args = {"f": f, "w0": w0, "lr": lr, "tol": tol, "max_iters": max_iters}
        w, history = descend(**args)
        n, stops = len(history), np.linalg.norm(f(w)[1]) < tol
        # The text leaves open whether values are from before or after the steps, whether the last one is
        # there, and whether the last step below tol is taken, which moves w by less than lr · tol.
        values = descend(f, w0, lr, 0.0, n + 1)[1]
        others = [values[:n], values[: n + 1], values[1 : n + 1]] + ([values[1:n], values[: n - 1]] if stops else [])
        right = {
            "w": expect(w, **({"atol": 1.1 * lr * tol} if stops else {})),
            "history": expect(np.array(history), "one_of", others=[np.array(other) for other in others]),
        }
        return case(title, "gradient_descent", args, right, parts="stops at tol" if stops else "")

    never = 1e-12
    yield one("one step", bowl(rng, [1.0, 2.0]), rng.normal(size=2), 0.2, never, 1)
    yield one("12 steps in a bowl", bowl(rng, [0.5, 1.0, 2.0]), rng.normal(size=3), 0.1, never, 12)
    yield one("8 steps of logistic regression", logistic(rng), rng.normal(size=2), 0.05, never, 8)
    yield one("a step size that is too large", bowl(rng, [1.0, 3.0]), rng.normal(size=2), 0.9, never, 5)
    uphill = 4 * np.array([1.0, 1.1, 0.9, 1.2])
    f = bowl(rng, [0.4, 2.0, 2.5, 3.0], slowest=uphill)
    bottom = np.linalg.solve(f.constants["A"], f.constants["b"])
    yield one("stops in a bowl", f, bottom + uphill + 0.1 * rng.normal(size=4), 0.2, 0.02, 500)
    yield one("stops at a tol above 1", f, bottom + 4 * uphill + 0.1 * rng.normal(size=4), 0.15, 2.5, 300)
    f = logistic(rng, N=18, D=3)
    yield one("stops in logistic regression", f, 2 + rng.random(3), 0.1, 0.05, 400)
    yield one(
        "starts at the bottom",
        Probe("bowl", {"A": np.diag([1.0, 2.0]), "b": np.array([3.0, 2.0])}),
        np.array([3.0, 1.0]),
        0.1,
        0.01,
        50,
    )


@assignment.exercise(
    "backtracking_line_search", parts={"with the defaults": 6, "alpha0, rho and c": 4}, mistakes=SEARCH
)
def backtracking_line_search_cases(rng):
    def one(title, f, w, direction, **settings):
        args = {"f": f, "w": w, "direction": direction, **settings}
        part = "alpha0, rho and c" if settings else "with the defaults"
        return case(title, "backtracking_line_search", args, {"alpha": search(**args)}, parts=part)

    def skew(g, longest=3):
        """A descent direction that is not minus the gradient."""
        return -g * rng.uniform(0.3, longest, size=len(g))

    steep, w = bowl(rng, [3.0, 8.0, 15.0]), 3 * rng.normal(size=3)
    yield one("a steep bowl, along minus the gradient", steep, w, -steep(w)[1])
    yield one("a steep bowl, along another direction", steep, w, 3 * skew(steep(w)[1]))
    flat, v = bowl(rng, [0.3, 0.5]), 3 * rng.normal(size=2)
    yield one("a flat bowl, where the first try is good", flat, v, -flat(v)[1])
    f, u = logistic(rng, N=30), 2 * rng.normal(size=2)
    yield one("logistic regression", f, u, -5 * f(u)[1])
    # So flat that a condition without α can hold too: an endless loop would tell less.
    gentle, x = bowl(rng, [0.3, 0.4, 0.5]), 3 * rng.normal(size=3)
    yield one("c = 0.6", gentle, x, -gentle(x)[1], alpha0=8.0, rho=0.9, c=0.6)
    yield one("c = 0.7, along another direction", gentle, x, skew(gentle(x)[1], 1), alpha0=30.0, rho=0.85, c=0.7)
    yield one("c = 0.2, and small steps back", gentle, x, -gentle(x)[1], alpha0=5.0, rho=0.95, c=0.2)
    yield one("a long first try", flat, v, -flat(v)[1], alpha0=20.0, rho=0.8, c=1e-4)
    yield one("a short first try", flat, v, skew(flat(v)[1]), alpha0=0.25, rho=0.8, c=1e-4)


# -- information ----------------------------------------------------------------------------------


def nats(p, q):
    """−Σ p log q over the outcomes with p > 0."""
    happens = p > 0
    return -np.sum(p[happens] * np.log(q[happens]))


def entropy(p):
    return nats(p, p)


def cross_entropy(p, q):
    return nats(p, q)


def kl_divergence(p, q):
    return nats(p, q) - nats(p, p)


INFORMATION = {"parts": {"value": 3, "0 log 0": 1}}


def distributions(rng):
    """Yield titles, p, q and the part of the points."""
    for title, p in (("a coin", np.array([0.9, 0.1])), ("a fair coin", np.array([0.5, 0.5]))):
        q = rng.uniform(0.2, 0.4)
        yield title, p, np.array([q, 1 - q]), "value"
    for K in (3, 6):
        p, q = (0.02 + rng.random(K) for _ in "pq")
        yield f"{K} outcomes", p / p.sum(), q / q.sum(), "value"
    p, q = 0.02 + rng.random(3), 0.02 + rng.random(4)
    yield "an outcome that never happens", np.array([*p[:1], 0.0, *p[1:]]) / p.sum(), q / q.sum(), "0 log 0"
    yield (
        "an outcome that neither knows",
        np.array([0.0, *p]) / p.sum(),
        np.array([0.0, *q[:3]]) / q[:3].sum(),
        "0 log 0",
    )
    yield "a certain outcome", np.array([0.0, 1.0, 0.0]), p / p.sum(), "0 log 0"


def information_cases(name, right, rng, same=False):
    for title, p, q, part in distributions(rng):
        args = {"p": p} if name == "entropy" else {"p": p, "q": q}
        yield case(title, name, args, {name: right(**args)}, parts=part, atol=1e-7)
    if same:
        yield case(
            "twice the same distribution", name, {"p": p, "q": p}, {name: right(p, p)}, parts="0 log 0", atol=1e-7
        )


@assignment.exercise(
    "entropy",
    **INFORMATION,
    reference={"entropy": entropy},
    mistakes=ENTROPY,
)
def entropy_cases(rng):
    yield from information_cases("entropy", entropy, rng)


@assignment.exercise(
    "cross_entropy",
    **INFORMATION,
    reference={"cross_entropy": cross_entropy},
    uses=("entropy",),
    mistakes=CROSS_ENTROPY,
)
def cross_entropy_cases(rng):
    yield from information_cases("cross_entropy", cross_entropy, rng, same=True)


@assignment.exercise(
    "kl_divergence",
    **INFORMATION,
    reference={"kl_divergence": kl_divergence},
    uses=("entropy", "cross_entropy"),
    mistakes=KL,
)
def kl_divergence_cases(rng):
    yield from information_cases("kl_divergence", kl_divergence, rng, same=True)


# -- one layer more ---------------------------------------------------------------------------------


def mlp_loss(W1, w2, X, y):
    return bce_loss(sigmoid(sigmoid(X @ W1) @ w2), y)


@assignment.exercise(
    "mlp_backward",
    parts={"loss": 4, "dW1": 7, "dw2": 5},
    uses=("sigmoid", "bce_loss", "logistic_backward"),
    mistakes=MLP,
)
def mlp_backward_cases(rng):
    by_w2 = value_and_gradient(lambda w2, W1, X, y: mlp_loss(W1, w2, X, y))
    for (title, X, y), M in zip(data_sets(rng), (4, 3, 3, 2, 3, 1), strict=True):
        args = {"W1": rng.normal(size=(X.shape[1], M)), "w2": rng.normal(size=M), "X": X, "y": y}
        loss, dW1 = value_and_gradient(mlp_loss)(*args.values())
        right = {"loss": loss, "dW1": dW1, "dw2": by_w2(args["w2"], args["W1"], X, y)[1]}
        yield case(f"{title}, {M} hidden", "mlp_backward", args, right)

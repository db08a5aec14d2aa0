"""Networks and small circuits, and their known mistakes: masks, biases, and values that are used twice."""

import numpy as np

from autograder.mistakes import (
    Stepwise,
    changed,
    instead,
    misled,
    misshapen,
    permuted,
    scaled,
    sign,
    transposed,
    unsummed,
    whole_numbers,
)
from autograder.spec import Mistake

from .layers import sigmoid
from .losses import AVERAGED, LAST_EXAMPLE, SOFTMAX_SCORES, large_examples, regularised, softmax_scores_gradient
from .subject import SIZES, Subject

# -- the two-layer net ----------------------------------------------------------------------------


def two_layer_net(W1, b1, W2, b2, X, y, reg):
    """The softmax loss of max(0, XW1 + b1) W2 + b2, plus reg·(ΣW1² + ΣW2²)."""
    hidden = np.maximum(0, X @ W1 + b1)
    scores = hidden @ W2 + b2
    shifted = scores - np.max(scores, axis=1, keepdims=True)
    losses = np.log(np.sum(np.exp(shifted), axis=1)) - shifted[np.arange(len(y)), y]
    return np.mean(losses) + reg * (np.sum(W1 * W1) + np.sum(W2 * W2))


TWO_LAYER_STEPS = {
    "XW": lambda X, W1: X @ W1,
    "hidden": lambda XW, b1: np.maximum(0, XW + b1),
    "scores": lambda hidden, W2, b2: hidden @ W2 + b2,
    "onehot": lambda y, W2: np.eye(W2.shape[1])[y],
    "summed_dscores": softmax_scores_gradient,
    "dscores": lambda summed_dscores, y: summed_dscores / len(y),
    "dhidden": lambda dscores, W2: dscores @ W2.T,
    "da": lambda dhidden, XW, b1: dhidden * (XW + b1 > 0),
}
"""From the arguments to the gradients of the scores (N, C) and of the hidden layer's input (N, H), row by row."""

TWO_LAYER_GRADIENT = Stepwise(
    {
        **TWO_LAYER_STEPS,
        "dW1": lambda X, da, reg, W1: X.T @ da + 2 * reg * W1,
        "db1": lambda da: da.sum(axis=0),
        "dW2": lambda hidden, dscores, reg, W2: hidden.T @ dscores + 2 * reg * W2,
        "db2": lambda dscores: dscores.sum(axis=0),
    },
    *("dW1", "db1", "dW2", "db2"),
)


def two_layer_arguments(rng, size):
    """Weights and biases, `X, y, reg`; the small case has as many hidden units as features."""
    N, D, C, H = SIZES[size].values()
    H = D if size == 1 else H
    shapes = {"W1": (D, H), "b1": (H,), "W2": (H, C), "b2": (C,), "X": (N, D)}
    args = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return {**args, "y": rng.integers(C, size=N), "reg": float(rng.uniform(0.1, 0.5))}


def large_two_layer_arguments(rng):
    """Scores near ±1000 and 0: each feature has two hidden units, one for each sign."""
    W, X, y, reg = large_examples(rng).values()
    both = np.hstack([np.eye(len(W)), -np.eye(len(W))])
    b1, b2 = 0.1 * rng.normal(size=2 * len(W)), rng.normal(size=W.shape[1])
    return {"W1": both, "b1": b1, "W2": np.vstack([W, -W]), "b2": b2, "X": X, "y": y, "reg": reg}


def on_biases(form, factor, *names):
    """Add ``factor * reg * b`` to the gradients of the biases `names`."""
    return Mistake(
        f"regularizer-on-bias/{form}",
        "The biases are not regularised: only the weights are in reg·(ΣW1² + ΣW2²).",
        lambda right, args: {f"d{b}": right[f"d{b}"] + factor * args["reg"] * args[b] for b in names},
    )


def rows(step):
    """Return a function of the arguments that gives the result of `step`, one row for each example."""
    one = Stepwise(TWO_LAYER_STEPS, step)
    return lambda args: one(**args)[step]


TWO_LAYER_NET = Subject(
    "two_layer_net",
    two_layer_net,
    two_layer_arguments,
    ("W1", "b1", "W2", "b2"),
    TWO_LAYER_GRADIENT,
    (
        *AVERAGED,
        regularised(
            "regularizer-missing/first",
            "The regulariser has the weights of both layers.",
            lambda whole, part, n: whole - part,
            "dW1",
        ),
        on_biases("both", 2.0, "b1", "b2"),
        on_biases("half", 1.0, "b1", "b2"),
        on_biases("first", 2.0, "b1"),
        sign("dW1", "db1", "dW2", "db2"),
        regularised("sign/data", "The data loss's gradient is negative.", lambda whole, part, n: 2 * part - whole),
        *(
            TWO_LAYER_GRADIENT.mistake(code, message, summed_dscores=formula)
            for code, message, formula in SOFTMAX_SCORES
        ),
        TWO_LAYER_GRADIENT.mistake(
            "relu-mask/missing",
            "The ReLU stops what comes back where its input was negative.",
            da=lambda dhidden: dhidden,
        ),
        TWO_LAYER_GRADIENT.mistake(
            "relu-mask/inverted",
            "The mask is inverted: it opens where the ReLU's input was negative.",
            da=lambda dhidden, XW, b1: dhidden * (XW + b1 <= 0),
        ),
        TWO_LAYER_GRADIENT.mistake(
            "relu-mask/upstream",
            "The mask is taken from the upstream gradient; the input of the ReLU decides.",
            da=lambda dhidden: np.maximum(0, dhidden),
        ),
        TWO_LAYER_GRADIENT.mistake(
            "relu-mask/without-bias",
            "The mask is taken before the bias is added.",
            da=lambda dhidden, XW: dhidden * (XW > 0),
        ),
        TWO_LAYER_GRADIENT.mistake(
            "upstream-ignored",
            "What comes back from the second layer does not reach the first: its upstream gradient is not all ones.",
            da=lambda XW, b1: 1.0 * (XW + b1 > 0),
        ),
        *unsummed("db1", rows("da")),
        *unsummed("db2", rows("dscores")),
        transposed("dW1"),
        transposed("dW2"),
        permuted("columns", "dW2"),
        misshapen("row", "db1", "db2"),
        misshapen("column", "db1"),
        whole_numbers("dW1", "db1", "dW2", "db2"),
    ),
    large_two_layer_arguments,
)

# -- a net of sigmoids ----------------------------------------------------------------------------


def mlp(W1, w2, X, y):
    """The summed binary cross entropy of σ(σ(X W1) w2)."""
    h = 1 / (1 + np.exp(-(X @ W1)))
    y_hat = 1 / (1 + np.exp(-(h @ w2)))
    return -np.sum(y * np.log(y_hat) + (1 - y) * np.log(1 - y_hat))


MLP_GRADIENT = Stepwise(
    {
        "a": lambda X, W1: X @ W1,
        "h": lambda a: sigmoid(a),
        "y_hat": lambda h, w2: sigmoid(h @ w2),
        "dz": lambda y_hat, y: y_hat - y,
        "dh": lambda dz, w2: np.outer(dz, w2),
        "da": lambda dh, h: dh * h * (1 - h),
        "dW1": lambda X, da: X.T @ da,
        "dw2": lambda h, dz: h.T @ dz,
    },
    *("dW1", "dw2"),
)


def mlp_arguments(rng, size):
    """`W1` (D, H), `w2` (H,), `X`, and `y` of zeros and ones; in the small case W1 is square."""
    N, D, _, H = SIZES[size].values()
    H = D if size == 1 else H
    y = rng.permutation(np.arange(N) % 2)
    return {"W1": rng.normal(size=(D, H)), "w2": rng.normal(size=H), "X": rng.normal(size=(N, D)), "y": y}


MLP = Subject(
    "mlp",
    mlp,
    mlp_arguments,
    ("W1", "w2"),
    MLP_GRADIENT,
    (
        sign("dW1", "dw2"),
        sign("dW1", form="dW1"),
        scaled("averaged", lambda args: 1 / len(args["X"]), "dW1", "dw2"),
        scaled("half", 0.5, "dW1", "dw2"),
        scaled("averaged-last", lambda args: 1 / len(args["X"]), "dw2"),
        MLP_GRADIENT.mistake(
            "upstream-ignored/loss",
            "The slope of the cross entropy does not come in: it is multiplied by ŷ(1 − ŷ), and ŷ − y remains.",
            dz=lambda y_hat: y_hat * (1 - y_hat),
        ),
        MLP_GRADIENT.mistake(
            "upstream-ignored/output",
            "Nothing comes back from the loss: the gradient of the output's score is ŷ − y, not 1.",
            dz=lambda y_hat: np.ones_like(y_hat),
        ),
        MLP_GRADIENT.mistake(
            "upstream-ignored/hidden",
            "What comes back from the output does not reach the hidden layer: multiply by it.",
            da=lambda h: h * (1 - h),
        ),
        MLP_GRADIENT.mistake(
            "", "σ′ = h(1 − h) is of the hidden layer's output h, not of its input.", da=lambda dh, a: dh * a * (1 - a)
        ),
        misled(
            "batch-not-summed/last", LAST_EXAMPLE, MLP_GRADIENT, lambda args: {"X": args["X"][-1:], "y": args["y"][-1:]}
        ),
        transposed("dW1"),
        permuted("rows", "dW1"),
        permuted("columns", "dW1"),
        permuted("rolled", "dw2"),
        misshapen("column", "dw2"),
        misshapen("row", "dw2"),
        misshapen("flat", "dW1"),
        whole_numbers("dW1", "dw2"),
    ),
)

# -- circuits -------------------------------------------------------------------------------------


def logistic_graph(w, x):
    """1 / (1 + e^−(w0·x0 + w1·x1 + w2)), the lectures' circuit: w (3,), x (2,)."""
    return 1 / (1 + np.exp(-(w[0] * x[0] + w[1] * x[1] + w[2])))


def logistic_slope(w, x):
    """f(1 − f), the derivative with respect to the score."""
    f = logistic_graph(w, x)
    return f * (1 - f)


LOGISTIC_GRADIENT = Stepwise(
    {
        "ddot": logistic_slope,
        "dw": lambda ddot, x: ddot * np.array([x[0], x[1], 1.0]),
        "dx": lambda ddot, w: ddot * w[:2],
    },
    *("dw", "dx"),
)

LOGISTIC_GRAPH = Subject(
    "logistic_graph",
    logistic_graph,
    lambda rng, size: {"w": rng.normal(size=3), "x": rng.normal(size=2)},
    ("w", "x"),
    LOGISTIC_GRADIENT,
    (
        LOGISTIC_GRADIENT.mistake(
            "sign", "The gate −u turns the sign, and here it does not.", ddot=lambda w, x: -logistic_slope(w, x)
        ),
        sign("dw", form="dw"),
        sign("dx", form="dx"),
        LOGISTIC_GRADIENT.mistake("scale/square", "f(1 − f), not f².", ddot=lambda w, x: logistic_graph(w, x) ** 2),
        LOGISTIC_GRADIENT.mistake("scale/half-way", "f(1 − f): the factor 1 − f is missing.", ddot=logistic_graph),
        scaled("half", 0.5, "dx"),
        LOGISTIC_GRADIENT.mistake(
            "upstream-ignored", "What comes back through the exponential is f(1 − f).", ddot=lambda: 1.0
        ),
        instead(
            "upstream-ignored/dw",
            "Each local gradient is multiplied by what comes back.",
            lambda w, x: np.array([x[0], x[1], 1.0]),
            "dw",
        ),
        instead(
            "upstream-ignored/dx", "Each local gradient is multiplied by what comes back.", lambda w, x: w[:2], "dx"
        ),
        instead(
            "upstream-ignored/bias",
            "The gradient of w2 is what comes back, not 1.",
            lambda w, x: np.array([*logistic_slope(w, x) * x, 1.0]),
            "dw",
        ),
        permuted("rows", "dw"),
        permuted("rolled", "dw"),
        changed("permuted/swapped", "x0 is multiplied by w0, and x1 by w1.", lambda g: g[::-1], "dx"),
        instead(
            "wrong-shape/bias-missing",
            "w2 has a gradient too: what comes back.",
            lambda w, x: logistic_slope(w, x) * x,
            "dw",
        ),
        misshapen("column", "dw"),
        misshapen("row", "dx"),
        whole_numbers("dw", "dx"),
    ),
)


def shared_input(x, y):
    """q = x + y, f = Σ q·x: x is used twice; vectors (n,)."""
    q = x + y
    return np.sum(q * x)


def pair(rng, size):
    """`x, y` (n,)."""
    n = (2, 4, 12)[size]
    return {"x": rng.normal(size=n), "y": rng.normal(size=n)}


SHARED_INPUT = Subject(
    "shared_input",
    shared_input,
    pair,
    ("x", "y"),
    lambda x, y: {"dx": (x + y) + x, "dy": x},
    (
        instead("fan-out-overwritten/product", "x goes into q too: add that gradient.", lambda x, y: x + y, "dx"),
        instead("fan-out-overwritten/sum", "x goes into q·x too: add that gradient.", lambda x, y: x, "dx"),
        instead(
            "upstream-ignored/q",
            "The sum hands on what comes back to q, which is x and not 1.",
            lambda x, y: (x + y + 1, np.ones_like(y)),
            "dx",
            "dy",
        ),
        instead(
            "upstream-ignored/dy", "The sum hands on what comes back to q, not 1.", lambda x, y: np.ones_like(y), "dy"
        ),
        sign("dx", "dy"),
        sign("dy", form="dy"),
        scaled("half", 0.5, "dx", "dy"),
        scaled("averaged", lambda args: 1 / len(args["x"]), "dx", "dy"),
        scaled("twice", 2.0, "dy"),
        permuted("rows", "dx"),
        permuted("rolled", "dy"),
        misshapen("column", "dx"),
        misshapen("row", "dx", "dy"),
        misshapen("number", "dy"),
        whole_numbers("dx", "dy"),
    ),
)


def diamond(x, w):
    """u = w·x, f = Σ tanh(u)·u²: two paths from u to f, one of which uses u twice; x (n,), w (1,) is used n times."""
    u = w * x
    return np.sum(np.tanh(u) * (u * u))


DIAMOND_GRADIENT = Stepwise(
    {
        "u": lambda w, x: w * x,
        "du": lambda u: (1 - np.tanh(u) ** 2) * u**2 + np.tanh(u) * 2 * u,
        "dx": lambda du, w: du * w,
        "dw": lambda du, x: np.sum(du * x, keepdims=True),
    },
    *("dx", "dw"),
)

DIAMOND = Subject(
    "diamond",
    diamond,
    lambda rng, size: {"x": rng.normal(size=(2, 4, 12)[size]), "w": rng.uniform(0.6, 1.4, size=1)},
    ("x", "w"),
    DIAMOND_GRADIENT,
    (
        DIAMOND_GRADIENT.mistake(
            "fan-out-overwritten/first",
            "u is used twice: the way through u² is missing.",
            du=lambda u: (1 - np.tanh(u) ** 2) * u**2,
        ),
        DIAMOND_GRADIENT.mistake(
            "fan-out-overwritten/last",
            "u is used twice: the way through tanh is missing.",
            du=lambda u: np.tanh(u) * 2 * u,
        ),
        DIAMOND_GRADIENT.mistake(
            "fan-out-overwritten/square",
            "u·u has two factors u, and each gets a gradient.",
            du=lambda u: (1 - np.tanh(u) ** 2) * u**2 + np.tanh(u) * u,
        ),
        DIAMOND_GRADIENT.mistake(
            "upstream-ignored/tanh",
            "What comes back to tanh(u) is u², not 1.",
            du=lambda u: 1 - np.tanh(u) ** 2 + np.tanh(u) * 2 * u,
        ),
        DIAMOND_GRADIENT.mistake(
            "upstream-ignored/square",
            "What comes back to u² is tanh(u), not 1.",
            du=lambda u: (1 - np.tanh(u) ** 2) * u**2 + 2 * u,
        ),
        DIAMOND_GRADIENT.mistake(
            "",
            "tanh′ = 1 − tanh² is of the output tanh(u), not of u.",
            du=lambda u: (1 - u**2) * u**2 + np.tanh(u) * 2 * u,
        ),
        *unsummed("dw", lambda args: (DIAMOND_GRADIENT(**args)["dx"] / args["w"] * args["x"])[:, None]),
        sign("dx", "dw"),
        sign("dw", form="dw"),
        scaled("half", 0.5, "dx", "dw"),
        scaled("averaged", lambda args: 1 / len(args["x"]), "dw"),
        permuted("rows", "dx"),
        misshapen("column", "dx"),
        misshapen("number", "dw"),
        whole_numbers("dx", "dw"),
    ),
)

SUBJECTS = (TWO_LAYER_NET, MLP, LOGISTIC_GRAPH, SHARED_INPUT, DIAMOND)

"""Networks and small circuits, and what goes wrong with them: masks, biases, and values that are used twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autograder.mistakes import changed, instead, misshapen, permuted, scaled, sign, transposed, unsummed, whole_numbers
from autograder.spec import Mistake, Results

from .losses import (
    AVERAGED,
    LAST_EXAMPLE,
    SOFTMAX_SCORES,
    ScoresGradient,
    large_examples,
    regularised,
    sigmoid,
    softmax_scores_gradient,
)
from .subject import SIZES, Subject

# -- the two-layer net ----------------------------------------------------------------------------


def two_layer_net(W1: Any, b1: Any, W2: Any, b2: Any, X: Any, y: Any, reg: float) -> Any:
    """The softmax loss of max(0, XW1 + b1) W2 + b2, plus reg·(ΣW1² + ΣW2²)."""
    hidden = np.maximum(0, X @ W1 + b1)
    scores = hidden @ W2 + b2
    shifted = scores - np.max(scores, axis=1, keepdims=True)
    losses = np.log(np.sum(np.exp(shifted), axis=1)) - shifted[np.arange(len(y)), y]
    return np.mean(losses) + reg * (np.sum(W1 * W1) + np.sum(W2 * W2))


def relu_backward(dh: Any, XW: Any, b: Any) -> Any:
    """The upstream gradient where XW + b is positive."""
    return dh * (XW + b > 0)


def two_layer_rows(
    W1: Any,
    b1: Any,
    W2: Any,
    b2: Any,
    X: Any,
    y: Any,
    scores_gradient: ScoresGradient = softmax_scores_gradient,
    back: Callable[[Any, Any, Any], Any] = relu_backward,
) -> tuple[Any, Any, Any]:
    """The hidden layer (N, H), and the gradients of its input and of the scores (N, C), example by example.

    The gradient of the scores and the way back through the ReLU can be exchanged.
    """
    XW = X @ W1
    hidden = np.maximum(0, XW + b1)
    dscores = scores_gradient(hidden @ W2 + b2, np.eye(W2.shape[1])[y]) / len(y)
    return hidden, back(dscores @ W2.T, XW, b1), dscores


def two_layer_gradient(W1: Any, b1: Any, W2: Any, b2: Any, X: Any, y: Any, reg: float, **form: Any) -> Results:
    """The gradient of `two_layer_net`."""
    hidden, da, dscores = two_layer_rows(W1, b1, W2, b2, X, y, **form)
    return {
        "dW1": X.T @ da + 2 * reg * W1,
        "db1": da.sum(axis=0),
        "dW2": hidden.T @ dscores + 2 * reg * W2,
        "db2": dscores.sum(axis=0),
    }


def two_layer_arguments(rng: np.random.Generator, size: int) -> Results:
    """Weights and biases, `X, y, reg`; the small case has as many hidden units as features."""
    N, D, C, H = SIZES[size].values()
    H = D if size == 1 else H
    shapes = {"W1": (D, H), "b1": (H,), "W2": (H, C), "b2": (C,), "X": (N, D)}
    args = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return {**args, "y": rng.integers(C, size=N), "reg": float(rng.uniform(0.1, 0.5))}


def large_two_layer_arguments(rng: np.random.Generator) -> Results:
    """Scores near ±1000 and 0: two hidden units for each feature hand it on, one where it is positive."""
    W, X, y, reg = large_examples(rng).values()
    both = np.hstack([np.eye(len(W)), -np.eye(len(W))])
    b1, b2 = 0.1 * rng.normal(size=2 * len(W)), rng.normal(size=W.shape[1])
    return {"W1": both, "b1": b1, "W2": np.vstack([W, -W]), "b2": b2, "X": X, "y": y, "reg": reg}


def wrong_net(code: str, message: str, **form: Any) -> Mistake:
    """All gradients of the two-layer net, with something exchanged on the way back."""
    return Mistake(code, message, lambda right, args: two_layer_gradient(**args, **form))


def on_biases(form: str, factor: float, *names: str) -> Mistake:
    """``factor * reg * b`` added to the gradients of the biases `names`."""
    return Mistake(
        f"regularizer-on-bias/{form}",
        "The biases are not regularised: only the weights are in reg·(ΣW1² + ΣW2²).",
        lambda right, args: {f"d{b}": right[f"d{b}"] + factor * args["reg"] * args[b] for b in names},
    )


def bias_rows(layer: int) -> Callable[[Results], Any]:
    """What summed over the examples is the gradient of the first or second layer's bias."""
    return lambda args: two_layer_rows(*list(args.values())[:6])[layer]


TWO_LAYER_NET = Subject(
    "two_layer_net",
    two_layer_net,
    two_layer_arguments,
    ("W1", "b1", "W2", "b2"),
    two_layer_gradient,
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
        *(wrong_net(code, message, scores_gradient=formula) for code, message, formula in SOFTMAX_SCORES),
        wrong_net(
            "relu-mask/missing", "The ReLU stops what comes back where its input was negative.", back=lambda dh, *_: dh
        ),
        wrong_net(
            "relu-mask/inverted",
            "The mask is inverted: it opens where the ReLU's input was negative.",
            back=lambda dh, XW, b: dh * (XW + b <= 0),
        ),
        wrong_net(
            "relu-mask/upstream",
            "The mask is taken from the upstream gradient; the input of the ReLU decides.",
            back=lambda dh, *_: np.maximum(0, dh),
        ),
        wrong_net(
            "relu-mask/without-bias",
            "The mask is taken before the bias is added.",
            back=lambda dh, XW, b: dh * (XW > 0),
        ),
        wrong_net(
            "upstream-ignored",
            "What comes back from the second layer does not reach the first: its upstream gradient is not all ones.",
            back=lambda dh, XW, b: 1.0 * (XW + b > 0),
        ),
        *unsummed("db1", bias_rows(1)),
        *unsummed("db2", bias_rows(2)),
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


def mlp(W1: Any, w2: Any, X: Any, y: Any) -> Any:
    """The summed binary cross entropy of σ(σ(X W1) w2)."""
    h = 1 / (1 + np.exp(-(X @ W1)))
    y_hat = 1 / (1 + np.exp(-(h @ w2)))
    return -np.sum(y * np.log(y_hat) + (1 - y) * np.log(1 - y_hat))


def mlp_gradient(
    W1: Any,
    w2: Any,
    X: Any,
    y: Any,
    output: Callable[[Any, Any], Any] = lambda y_hat, y: y_hat - y,
    hidden: Callable[[Any, Any, Any], Any] = lambda dh, h, a: dh * h * (1 - h),
) -> Results:
    """The gradient of `mlp`; what comes back from the loss and through the hidden layer can be exchanged."""
    a = X @ W1
    h = sigmoid(a)
    dz = output(sigmoid(h @ w2), y)
    return {"dW1": X.T @ hidden(np.outer(dz, w2), h, a), "dw2": h.T @ dz}


def mlp_arguments(rng: np.random.Generator, size: int) -> Results:
    """`W1` (D, H), `w2` (H,), `X`, and `y` of zeros and ones; in the small case W1 is square."""
    N, D, _, H = SIZES[size].values()
    H = D if size == 1 else H
    y = rng.permutation(np.arange(N) % 2)
    return {"W1": rng.normal(size=(D, H)), "w2": rng.normal(size=H), "X": rng.normal(size=(N, D)), "y": y}


def wrong_mlp(code: str, message: str, **form: Any) -> Mistake:
    """Both gradients of the net of sigmoids, with something exchanged on the way back."""
    return Mistake(code, message, lambda right, args: mlp_gradient(**args, **form))


def last_of_mlp(right: Results, args: Results) -> Results:
    """The gradients of the last example."""
    return mlp_gradient(args["W1"], args["w2"], args["X"][-1:], args["y"][-1:])


MLP = Subject(
    "mlp",
    mlp,
    mlp_arguments,
    ("W1", "w2"),
    mlp_gradient,
    (
        sign("dW1", "dw2"),
        sign("dW1", form="dW1"),
        scaled("averaged", lambda args: 1 / len(args["X"]), "dW1", "dw2"),
        scaled("half", 0.5, "dW1", "dw2"),
        scaled("averaged-last", lambda args: 1 / len(args["X"]), "dw2"),
        wrong_mlp(
            "upstream-ignored/loss",
            "The slope of the cross entropy does not come in: it is multiplied by ŷ(1 − ŷ), and ŷ − y remains.",
            output=lambda y_hat, y: y_hat * (1 - y_hat),
        ),
        wrong_mlp(
            "upstream-ignored/output",
            "Nothing comes back from the loss: the gradient of the output's score is ŷ − y, not 1.",
            output=lambda y_hat, y: np.ones_like(y_hat),
        ),
        wrong_mlp(
            "upstream-ignored/hidden",
            "What comes back from the output does not reach the hidden layer: multiply by it.",
            hidden=lambda dh, h, a: h * (1 - h),
        ),
        wrong_mlp(
            "",
            "σ′ = h(1 − h) is of the hidden layer's output h, not of its input.",
            hidden=lambda dh, h, a: dh * a * (1 - a),
        ),
        Mistake("batch-not-summed/last", LAST_EXAMPLE, last_of_mlp),
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


def logistic_graph(w: Any, x: Any) -> Any:
    """1 / (1 + e^−(w0·x0 + w1·x1 + w2)), the lectures' circuit: w (3,), x (2,)."""
    return 1 / (1 + np.exp(-(w[0] * x[0] + w[1] * x[1] + w[2])))


def logistic_slope(w: Any, x: Any) -> Any:
    """f(1 − f), the slope by the score."""
    f = logistic_graph(w, x)
    return f * (1 - f)


def logistic_gradient(w: Any, x: Any, slope: Callable[[Any, Any], Any] = logistic_slope) -> Results:
    """The gradient of `logistic_graph`, from its `slope` by the score."""
    ddot = slope(w, x)
    return {"dw": ddot * np.array([x[0], x[1], 1.0]), "dx": ddot * w[:2]}


def wrong_slope(code: str, message: str, slope: Callable[[Any, Any], Any]) -> Mistake:
    """Both gradients of the circuit, from another slope by the score."""
    return Mistake(code, message, lambda right, args: logistic_gradient(**args, slope=slope))


LOGISTIC_GRAPH = Subject(
    "logistic_graph",
    logistic_graph,
    lambda rng, size: {"w": rng.normal(size=3), "x": rng.normal(size=2)},
    ("w", "x"),
    logistic_gradient,
    (
        wrong_slope("sign", "The gate −u turns the sign, and here it does not.", lambda w, x: -logistic_slope(w, x)),
        sign("dw", form="dw"),
        sign("dx", form="dx"),
        wrong_slope("scale/square", "f(1 − f), not f².", lambda w, x: logistic_graph(w, x) ** 2),
        wrong_slope("scale/half-way", "f(1 − f): the factor 1 − f is missing.", logistic_graph),
        scaled("half", 0.5, "dx"),
        wrong_slope("upstream-ignored", "What comes back through the exponential is f(1 − f).", lambda w, x: 1.0),
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


def shared_input(x: Any, y: Any) -> Any:
    """q = x + y, f = Σ q·x: x is used twice; vectors (n,)."""
    q = x + y
    return np.sum(q * x)


def pair(rng: np.random.Generator, size: int) -> Results:
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


def diamond(x: Any, w: Any) -> Any:
    """u = w·x, f = Σ tanh(u)·u²: two ways from u to f, and one of them uses u twice; x (n,), w (1,) used n times."""
    u = w * x
    return np.sum(np.tanh(u) * (u * u))


def diamond_gradient(x: Any, w: Any, slope: Callable[[Any], Any] | None = None) -> Results:
    """The gradient of `diamond`; `slope` in place of the derivative of tanh(u)·u²."""
    u = w * x
    t = np.tanh(u)
    du = slope(u) if slope else (1 - t**2) * u**2 + t * 2 * u
    return {"dx": du * w, "dw": np.sum(du * x, keepdims=True)}


def wrong_way(code: str, message: str, slope: Callable[[Any], Any]) -> Mistake:
    """Both gradients of the diamond, from another derivative of tanh(u)·u²."""
    return Mistake(code, message, lambda right, args: diamond_gradient(**args, slope=slope))


DIAMOND = Subject(
    "diamond",
    diamond,
    lambda rng, size: {"x": rng.normal(size=(2, 4, 12)[size]), "w": rng.uniform(0.6, 1.4, size=1)},
    ("x", "w"),
    diamond_gradient,
    (
        wrong_way(
            "fan-out-overwritten/first",
            "u is used twice: the way through u² is missing.",
            lambda u: (1 - np.tanh(u) ** 2) * u**2,
        ),
        wrong_way(
            "fan-out-overwritten/last",
            "u is used twice: the way through tanh is missing.",
            lambda u: np.tanh(u) * 2 * u,
        ),
        wrong_way(
            "fan-out-overwritten/square",
            "u·u has two factors u, and each gets a gradient.",
            lambda u: (1 - np.tanh(u) ** 2) * u**2 + np.tanh(u) * u,
        ),
        wrong_way(
            "upstream-ignored/tanh",
            "What comes back to tanh(u) is u², not 1.",
            lambda u: 1 - np.tanh(u) ** 2 + np.tanh(u) * 2 * u,
        ),
        wrong_way(
            "upstream-ignored/square",
            "What comes back to u² is tanh(u), not 1.",
            lambda u: (1 - np.tanh(u) ** 2) * u**2 + 2 * u,
        ),
        wrong_way(
            "",
            "tanh′ = 1 − tanh² is of the output tanh(u), not of u.",
            lambda u: (1 - u**2) * u**2 + np.tanh(u) * 2 * u,
        ),
        *unsummed("dw", lambda args: (diamond_gradient(**args)["dx"] / args["w"] * args["x"])[:, None]),
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

"""Layers and their known mistakes. A layer's `gradient` takes the upstream gradient `dout`, its last argument."""

import numpy as np

from autograder.mistakes import (
    Stepwise,
    instead,
    instead_of,
    misshapen,
    permuted,
    scaled,
    sign,
    transposed,
    unsummed,
    upstream_ones,
    whole_numbers,
)
from autograder.spec import Mistake

from .subject import SIZES, Subject

# -- entry by entry -------------------------------------------------------------------------------


def elementwise(name, forward, slope, *mistakes, square=False, large=False):
    """Make a subject of an activation and its derivative.

    With `square`, x is square in the small case: its shape hides a transpose.
    """

    def gradient(x, dout):
        return {"dx": dout * slope(x)}

    def arguments(rng, size):
        N, D, *_ = SIZES[size].values()
        return {"x": rng.normal(size=(D if square and size == 1 else N, D))}

    common = (
        sign("dx"),
        scaled("half", 0.5, "dx"),
        scaled("averaged", lambda args: 1 / len(args["x"]), "dx"),
        transposed("dx"),
        permuted("rows", "dx"),
        permuted("columns", "dx"),
        misshapen("flat", "dx"),
        misshapen("deeper", "dx"),
        upstream_ones(gradient, "dx"),
        whole_numbers("dx"),
    )
    return Subject(name, forward, arguments, ("x",), gradient, common + mistakes, large_inputs if large else None)


def large_inputs(rng):
    """`x` (2, 3) of ±0.5, ±1 and ±1000."""
    return {"x": np.array([[-1000.0, -1.0, 0.5], [1.0, 1000.0, -0.5]])}


backward = instead_of("dx")
"""``formula(x, dout)`` in place of the gradient `dx` of an activation."""


MASK_MISSING = "The upstream gradient comes through everywhere; where the input was negative it must not, as it is."
MASK_INVERTED = "The mask is inverted: it opens where the input was negative."
MASK_UPSTREAM = "The mask is taken from the upstream gradient; it is the input of the forward pass that decides."

RELU_MASKS = (
    backward("relu-mask/missing", MASK_MISSING, lambda x, dout: dout),
    backward("relu-mask/inverted", MASK_INVERTED, lambda x, dout: dout * (x < 0)),
    backward("relu-mask/upstream", MASK_UPSTREAM, lambda x, dout: np.maximum(0, dout)),
    backward("relu-mask/both", MASK_UPSTREAM, lambda x, dout: dout * (x > 0) * (dout > 0)),
)


def sigmoid(x):
    """1 / (1 + e⁻ˣ) without overflow."""
    return 0.5 * (1 + np.tanh(x / 2))


def relu(x):
    """The larger of x and 0."""
    return np.maximum(0, x)


ACTIVATIONS = (
    elementwise("relu", relu, lambda x: x > 0, *RELU_MASKS, permuted("order", "dx")),
    elementwise(
        "leaky_relu",
        lambda x: np.where(x > 0, x, 0.1 * x),
        lambda x: np.where(x > 0, 1, 0.1),
        backward("relu-mask/missing", MASK_MISSING, lambda x, dout: dout),
        backward("relu-mask/inverted", MASK_INVERTED, lambda x, dout: dout * np.where(x > 0, 0.1, 1)),
        backward("relu-mask/upstream", MASK_UPSTREAM, lambda x, dout: dout * np.where(dout > 0, 1, 0.1)),
        backward("fan-out-overwritten", "Below zero the slope is 0.1, not 0.", lambda x, dout: dout * (x > 0)),
    ),
    elementwise(
        "elu",
        lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1),
        lambda x: np.where(x > 0, 1, np.exp(np.minimum(x, 0))),
        backward("relu-mask/missing", MASK_MISSING, lambda x, dout: dout),
        backward("relu-mask/always", "The slope eˣ holds for negative x alone.", lambda x, dout: dout * np.exp(x)),
        backward("relu-mask/inverted", MASK_INVERTED, lambda x, dout: dout * np.where(x > 0, np.exp(x), 1)),
        backward("relu-mask/upstream", MASK_UPSTREAM, lambda x, dout: dout * np.where(dout > 0, 1, np.exp(x))),
        backward(
            "",
            "The slope is taken of the output eˣ − 1 where eˣ, the output + 1, is meant.",
            lambda x, dout: dout * np.where(x > 0, 1, np.exp(x) - 1),
        ),
        backward(
            "unstable",
            "e^1000 overflows even where the mask is 0, and 0 · ∞ is not a number.",
            lambda x, dout: dout * ((x > 0) + (x <= 0) * np.exp(x)),
        ),
        large=True,
    ),
    elementwise(
        "sigmoid",
        sigmoid,
        lambda x: sigmoid(x) * (1 - sigmoid(x)),
        backward("", "σ′ = σ(1 − σ) is of the output σ(x), not of x.", lambda x, dout: dout * x * (1 - x)),
        backward(
            "",
            "σ is applied twice: what is saved is σ(x) already.",
            lambda x, dout: dout * sigmoid(sigmoid(x)) * (1 - sigmoid(sigmoid(x))),
        ),
        backward(
            "unstable/quotient",
            "e^1000 overflows, and ∞/∞ is not a number: use σ(1 − σ).",
            lambda x, dout: dout * np.exp(-x) / (1 + np.exp(-x)) ** 2,
        ),
        backward(
            "unstable/overflow",
            "e^1000 overflows: e^x / (1 + e^x) becomes ∞/∞.",
            lambda x, dout: dout * (s := np.exp(x) / (1 + np.exp(x))) * (1 - s),
        ),
        large=True,
    ),
    elementwise(
        "tanh",
        np.tanh,
        lambda x: 1 - np.tanh(x) ** 2,
        backward("", "tanh′ = 1 − tanh² is of the output tanh(x), not of x.", lambda x, dout: dout * (1 - x**2)),
        backward("", "The square is missing: tanh′ = 1 − tanh².", lambda x, dout: dout * (1 - np.tanh(x))),
        backward(
            "unstable",
            "e^1000 overflows, and ∞/∞ is not a number: use np.tanh.",
            lambda x, dout: dout * (1 - ((np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))) ** 2),
        ),
        square=True,
        large=True,
    ),
)

# -- matrix products ------------------------------------------------------------------------------


def matmul_gradient(X, W, dout):
    """dX = dY Wᵀ and dW = Xᵀ dY."""
    return {"dX": dout @ W.T, "dW": X.T @ dout}


def matmul_arguments(rng, size):
    """`X` (N, D) and `W` (D, C); in the small case all square."""
    N, D, C, _ = SIZES[size].values() if size != 1 else (4, 4, 4, 4)
    return {"X": rng.normal(size=(N, D)), "W": rng.normal(size=(D, C))}


MATMUL = Subject(
    "matmul",
    lambda X, W: X @ W,
    matmul_arguments,
    ("X", "W"),
    matmul_gradient,
    (
        sign("dX", "dW"),
        sign("dX", form="dX"),
        scaled("averaged", lambda args: 1 / len(args["X"]), "dW"),
        scaled("twice", 2.0, "dX"),
        transposed("dX"),
        transposed("dW"),
        transposed("dX", "dW"),
        permuted("rows", "dX"),
        permuted("columns", "dW"),
        permuted("rolled", "dW"),
        misshapen("flat", "dW"),
        misshapen("deeper", "dX"),
        upstream_ones(matmul_gradient, "dX"),
        upstream_ones(matmul_gradient, "dW"),
        upstream_ones(matmul_gradient, "dX", "dW"),
        instead(
            "batch-not-summed/last",
            "Only the last row of X counts: each overwrites dW, with = for +=.",
            lambda X, W, dout: np.outer(X[-1], dout[-1]),
            "dW",
        ),
        whole_numbers("dX", "dW"),
    ),
)


def affine(x, w, b):
    """x (N, d1, …, dk) as rows, times w (D, M), plus b (M,)."""
    return np.reshape(x, (x.shape[0], -1)) @ w + b


def affine_gradient(x, w, b, dout):
    """The gradient of `affine`."""
    rows = x.reshape(len(x), -1)
    return {"dx": (dout @ w.T).reshape(x.shape), "dw": rows.T @ dout, "db": dout.sum(axis=0)}


def affine_arguments(rng, size):
    """`x` (N, 2, D), `w` (2D, C), `b` (C,)."""
    N, D, C, _ = SIZES[size].values()
    return {"x": rng.normal(size=(N, 2, D)), "w": rng.normal(size=(2 * D, C)), "b": rng.normal(size=C)}


AFFINE = Subject(
    "affine",
    affine,
    affine_arguments,
    ("x", "w", "b"),
    affine_gradient,
    (
        sign("dx", "dw", "db"),
        sign("db", form="db"),
        scaled("averaged", lambda args: 1 / len(args["x"]), "dw", "db"),
        scaled("bias-averaged", lambda args: 1 / len(args["x"]), "db"),
        transposed("dw"),
        permuted("order", "dx"),
        permuted("columns", "dw"),
        instead("wrong-shape/rows", "dx has the shape of x: undo the reshape.", lambda x, w, b, dout: dout @ w.T, "dx"),
        misshapen("row", "db"),
        misshapen("column", "db"),
        instead(
            "wrong-shape/axis",
            "db is summed over the outputs; sum over the examples (axis=0).",
            lambda x, w, b, dout: dout.sum(axis=1),
            "db",
        ),
        *unsummed("db", lambda args: args["dout"]),
        upstream_ones(affine_gradient, "dx"),
        upstream_ones(affine_gradient, "dw"),
        upstream_ones(affine_gradient, "db"),
        whole_numbers("dx", "dw", "db"),
    ),
)

# -- maxout ---------------------------------------------------------------------------------------


def maxout(x, W1, b1, W2, b2):
    """The larger of two affine maps (N, H), entry by entry."""
    return np.maximum(x @ W1 + b1, x @ W2 + b2)


def first_is_larger(x, W1, b1, W2, b2):
    """Where the first of the two maps is the larger one (N, H)."""
    return x @ W1 + b1 > x @ W2 + b2


MAXOUT_GRADIENT = Stepwise(
    {
        "first": first_is_larger,
        "masks": lambda first: (first, ~first),
        "d1": lambda dout, masks: dout * masks[0],
        "d2": lambda dout, masks: dout * masks[1],
        "dx": lambda d1, W1, d2, W2: d1 @ W1.T + d2 @ W2.T,
        "dW1": lambda x, d1: x.T @ d1,
        "db1": lambda d1: d1.sum(axis=0),
        "dW2": lambda x, d2: x.T @ d2,
        "db2": lambda d2: d2.sum(axis=0),
    },
    *("dx", "dW1", "db1", "dW2", "db2"),
)


def maxout_arguments(rng, size):
    """`x` (N, D), twice weights (D, H) and biases (H,)."""
    N, D, _, H = SIZES[size].values()
    shapes = {"x": (N, D), "W1": (D, H), "b1": (H,), "W2": (D, H), "b2": (H,)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def through_first(args):
    """The upstream gradient of maxout's first map, one row for each example (N, H)."""
    inputs = {name: value for name, value in args.items() if name != "dout"}
    return args["dout"] * first_is_larger(**inputs)


MAXOUT = Subject(
    "maxout",
    maxout,
    maxout_arguments,
    ("x", "W1", "b1", "W2", "b2"),
    MAXOUT_GRADIENT,
    (
        sign("dx", "dW1", "db1", "dW2", "db2"),
        sign("dx", form="dx"),
        scaled("averaged", lambda args: 1 / len(args["x"]), "dW1", "db1", "dW2", "db2"),
        scaled("half", 0.5, "dx"),
        Mistake(
            "fan-out-overwritten/first",
            "x goes into both maps: their gradients add, and here only the first one's is left.",
            lambda right, args: {"dx": through_first(args) @ args["W1"].T},
        ),
        Mistake(
            "fan-out-overwritten/last",
            "x goes into both maps: their gradients add, and here only the second one's is left.",
            lambda right, args: {"dx": right["dx"] - through_first(args) @ args["W1"].T},
        ),
        MAXOUT_GRADIENT.mistake("relu-mask/missing", "Only the larger of the two comes through.", masks=lambda: (1, 1)),
        MAXOUT_GRADIENT.mistake(
            "relu-mask/inverted",
            "The masks are exchanged: the larger of the two comes through.",
            masks=lambda first: (~first, first),
        ),
        MAXOUT_GRADIENT.mistake("relu-mask/upstream", MASK_UPSTREAM, masks=lambda dout: (dout > 0, dout <= 0)),
        MAXOUT_GRADIENT.mistake(
            "relu-mask/without-biases",
            "The two are compared before their biases are added.",
            masks=lambda x, W1, W2: (x @ W1 > x @ W2, x @ W1 <= x @ W2),
        ),
        *unsummed("db1", through_first),
        upstream_ones(MAXOUT_GRADIENT, "dx"),
        upstream_ones(MAXOUT_GRADIENT, "dW1", "dW2"),
        upstream_ones(MAXOUT_GRADIENT, "db1", "db2"),
        transposed("dW1"),
        permuted("columns", "dW2"),
        misshapen("row", "db1", "db2"),
        whole_numbers("dW1", "dW2"),
    ),
)

SUBJECTS = (*ACTIVATIONS, MATMUL, AFFINE, MAXOUT)

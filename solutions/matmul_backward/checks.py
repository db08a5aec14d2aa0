"""What is graded in `matmul_backward`: references, cases and known mistakes.

A backward pass is stated by its forward one: the gradients of sum(upstream · output) come from the engine.
"""

import itertools

import numpy as np

from autograder.mistakes import instead, sign, zero
from autograder.mistakes.general import misshapen, transposed
from autograder.mistakes.layers import (
    AFFINE,
    MASK_INVERTED,
    MASK_MISSING,
    MASK_UPSTREAM,
    MATMUL,
    affine,
)
from autograder.spec import Assignment, Case, Mistake, call, case, value_and_gradient

assignment = Assignment("matmul_backward")


def backward(forward, upstream, *inputs):
    """The gradient of sum(upstream · forward(*inputs)) with respect to each input."""

    def one(k):
        def weighted(value):
            return np.sum(upstream * forward(*inputs[:k], value, *inputs[k + 1 :]))

        return value_and_gradient(weighted)(inputs[k])[1]

    return tuple(one(k) for k in range(len(inputs)))


def adapted(mistakes, arguments):
    """Mistakes of the bank, which go by other arguments: ``arguments(args)`` of those in the case."""

    def one(mistake):
        return Mistake(mistake.code, mistake.message, lambda right, args: mistake.gives(right, arguments(args)))

    return [one(mistake) for mistake in mistakes]


def away_from_zero(rng, shape):
    """Numbers of both signs, none of them near the kink of relu."""
    x = rng.uniform(0.1, 2, size=shape) * rng.choice([-1, 1], size=shape)
    if x.size > 1:
        x.flat[0], x.flat[-1] = abs(x.flat[0]), -abs(x.flat[-1])
    return x


def relu(x):
    return np.maximum(0, x)


# -- element by element ---------------------------------------------------------------------


@assignment.exercise(
    "relu_jacobian",
    parts={"Jacobian": 6},
    mistakes=[
        instead(
            "diagonal-only",
            "These are the entries of the diagonal; the Jacobian is the whole matrix, (D, D), with zeros beside them.",
            lambda x: 1.0 * (x > 0),
            "Jacobian",
        ),
        instead(
            "relu-mask/missing", "Where x is negative, z stays 0: the slope is 0.", lambda x: np.eye(len(x)), "Jacobian"
        ),
        instead("relu-mask/inverted", MASK_INVERTED, lambda x: np.diag(1.0 * (x < 0)), "Jacobian"),
        instead(
            "output-for-slope",
            "The diagonal holds max(0, x) itself; its slope is asked for, which is 1 or 0.",
            lambda x: np.diag(relu(x)),
            "Jacobian",
        ),
        instead(
            "input-for-slope", "The diagonal holds x itself; the slope is 1 or 0.", lambda x: np.diag(x), "Jacobian"
        ),
        instead("absolute", "For negative x the slope is 0, not −1.", lambda x: np.diag(np.sign(x)), "Jacobian"),
        instead(
            "off-diagonal/rows",
            "Each output depends on its own input alone, so all entries off the diagonal are 0.",
            lambda x: np.tile(1.0 * (x > 0), (len(x), 1)),
            "Jacobian",
        ),
        instead(
            "off-diagonal/outer",
            "Each output depends on its own input alone, so all entries off the diagonal are 0.",
            lambda x: np.outer(x > 0, x > 0).astype(float),
            "Jacobian",
        ),
        sign("Jacobian"),
        zero("Jacobian"),
    ],
)
def relu_jacobian_cases(rng):
    def one(title, x):
        return case(
            title, "relu_jacobian", {"x": x}, {"Jacobian": np.stack([backward(relu, e, x)[0] for e in np.eye(len(x))])}
        )

    yield one("the lecture's x", np.array([1.0, -2.0, 3.0, -1.0]))
    yield one("5 numbers", away_from_zero(rng, 5))
    yield one("2 numbers", away_from_zero(rng, 2))
    yield one("all negative", -rng.uniform(1, 2, size=3))


@assignment.exercise(
    "relu_backward",
    parts={"a vector": 2, "any shape": 3, "whole numbers in x": 1},
    mistakes=[
        instead("relu-mask/missing", MASK_MISSING, lambda dz, x: dz, "dx"),
        instead("relu-mask/inverted", MASK_INVERTED, lambda dz, x: dz * (x < 0), "dx"),
        instead("relu-mask/upstream", MASK_UPSTREAM, lambda dz, x: np.maximum(0, dz), "dx"),
        instead("relu-mask/both", MASK_UPSTREAM, lambda dz, x: dz * (x > 0) * (dz > 0), "dx"),
        instead(
            "upstream-ignored",
            "The upstream gradient `dz` does not come in: multiply the local gradient by it.",
            lambda dz, x: 1.0 * (x > 0),
            "dx",
        ),
        instead(
            "output-for-slope",
            "dz is multiplied by max(0, x) itself; multiply it by the slope, which is 1 or 0.",
            lambda dz, x: dz * relu(x),
            "dx",
        ),
        instead(
            "absolute", "Where x is negative the gradient is 0; here it is −dz.", lambda dz, x: dz * np.sign(x), "dx"
        ),
        instead("forward", "This is relu itself; its backward pass is asked for.", lambda dz, x: relu(x), "dx"),
        Mistake(
            "integer-input",
            "The gradient is kept in an array of whole numbers, like x, which drops what stands behind the point.",
            lambda right, args: {"dx": np.trunc(right["dx"])} if args["x"].dtype.kind == "i" else {},
        ),
        sign("dx"),
        zero("dx"),
    ],
)
def relu_backward_cases(rng):
    def one(title, x, part="any shape", dz=None):
        dz = rng.normal(size=x.shape) if dz is None else dz
        right = {"dx": backward(relu, dz, np.array(x, dtype=float))[0] + 0.0}  # no −0
        return case(title, "relu_backward", {"dz": dz, "x": x}, right, parts=part)

    yield one("the lecture's x and dz", np.array([1.0, -2.0, 3.0, -1.0]), "a vector", np.array([4.0, -1.0, 5.0, 9.0]))
    yield one("6 numbers", away_from_zero(rng, 6), "a vector")
    yield one("a 3×4 matrix", away_from_zero(rng, (3, 4)))
    yield one("a 2×3×2 array", away_from_zero(rng, (2, 3, 2)))
    order = rng.permutation(6)  # all four pairs of signs, so that a wrong mask shows
    whole, dz = np.array([1, 2, 3, -1, -2, -3]), np.array([1, -2, 1, -2, 1, -2]) + rng.uniform(0.2, 0.8, size=6)
    yield one("whole numbers in x alone", whole[order], "whole numbers in x", dz[order])


# -- matrices -------------------------------------------------------------------------------


def jacobian_bytes(N, D, M, itemsize=4):
    return (N * M) * (N * D) * itemsize


@assignment.exercise(
    "jacobian_bytes",
    parts={"bytes": 4},
    mistakes=[
        instead(
            "entries-not-bytes",
            "This counts the entries; each takes `itemsize` bytes.",
            lambda N, D, M, itemsize=4: N * M * N * D,
            "bytes",
        ),
        instead(
            "one-example",
            "This is the Jacobian of one example with respect to the whole batch: Y has N · M entries and X has N · D, "
            "and the Jacobian has an entry for every pair.",
            lambda N, D, M, itemsize=4: N * M * D * itemsize,
            "bytes",
        ),
        instead(
            "one-example/both",
            "This is the Jacobian of one example: Y has N · M entries and X has N · D, and every pair counts.",
            lambda N, D, M, itemsize=4: M * D * itemsize,
            "bytes",
        ),
        instead(
            "with-respect-to-W",
            "This is the size of dY/dW; dY/dX is asked for.",
            lambda N, D, M, itemsize=4: N * M * D * M * itemsize,
            "bytes",
        ),
        instead(
            "sum-for-product",
            "Every entry of Y has a derivative by every entry of X: multiply the two numbers of entries.",
            lambda N, D, M, itemsize=4: (N * M + N * D) * itemsize,
            "bytes",
        ),
        instead(
            "not-bytes/bits",
            "This is in bits: `itemsize` is in bytes already.",
            lambda *a: 8 * jacobian_bytes(*a),
            "bytes",
        ),
        instead(
            "not-bytes/GiB", "This is in GiB; bytes are asked for.", lambda *a: jacobian_bytes(*a) / 2**30, "bytes"
        ),
        instead(
            "itemsize-ignored",
            "The `itemsize` that was given is not the one that is used.",
            lambda N, D, M, itemsize=4: jacobian_bytes(N, D, M),
            "bytes",
        ),
    ],
)
def jacobian_bytes_cases(rng):
    def one(title, N, D, M, **itemsize):
        args = {"N": N, "D": D, "M": M, **itemsize}
        return case(title, "jacobian_bytes", args, {"bytes": jacobian_bytes(**args)}, rtol=1e-12, atol=0.25)

    yield one("the lecture's layer", 64, 4096, 4096)
    N, D, M = (int(n) for n in rng.choice(np.arange(3, 40), 3, replace=False))
    yield one("a small layer", N, D, M)
    yield one("double precision", M, N, D, itemsize=8)
    yield one("half precision", D, M, N, itemsize=2)


def matmul(X, W):
    return X @ W


def matrices(rng):
    """Titles with shapes N, D, M; in the last no shape tells what is transposed."""
    yield "2 examples, 3 features, 4 outputs", (2, 3, 4)
    yield "one example", (1, 3, 2)
    yield "more examples than features", (5, 2, 3)
    yield "square matrices", (3, 3, 3)


@assignment.exercise(
    "matmul_jacobian_x",
    parts={"one example": 4, "several examples": 6},
    mistakes=[
        instead(
            "other-rows",
            "Row n of Y depends on row n of X alone: for i ≠ n the derivative is 0.",
            lambda X, W: np.broadcast_to(W.T[None, :, None, :], (len(X), W.shape[1], len(X), len(W))),
            "Jacobian",
        ),
        instead(
            "term-for-slope",
            "x · w is what an entry of X contributes; its derivative by x is w alone.",
            lambda X, W: np.einsum("ni,id,dm->nmid", np.eye(len(X)), X, W),
            "Jacobian",
        ),
        instead(
            "axes",
            "The axes are in another order: first those of Y, n and m, then those of X, i and d.",
            lambda X, W: np.einsum("ni,dm->idnm", np.eye(len(X)), W),
            "Jacobian",
        ),
        instead(
            "flattened",
            "The numbers are laid out as one matrix; an array with four axes, (N, M, N, D), is asked for.",
            lambda X, W: np.kron(np.eye(len(X)), W.T),
            "Jacobian",
        ),
        instead(
            "first-example-only",
            "Only the first example is filled in: every row n of Y depends on its own row of X.",
            lambda X, W: np.einsum("ni,dm->nmid", np.eye(len(X)) * (np.arange(len(X)) == 0), W),
            "Jacobian",
        ),
        instead(
            "ones",
            "The derivative is W[d, m], not 1.",
            lambda X, W: np.einsum("ni,dm->nmid", np.eye(len(X)), np.ones_like(W)),
            "Jacobian",
        ),
        sign("Jacobian"),
        zero("Jacobian"),
    ],
)
def matmul_jacobian_x_cases(rng):
    for title, (N, D, M) in matrices(rng):
        X, W = rng.normal(size=(N, D)), rng.normal(size=(D, M))
        pick = np.eye(N * M).reshape(N * M, N, M)  # one upstream gradient for each entry of Y
        right = np.reshape([backward(matmul, dY, X, W)[0] for dY in pick], (N, M, N, D))
        part = "one example" if N == 1 else "several examples"
        yield case(title, "matmul_jacobian_x", {"X": X, "W": W}, {"Jacobian": right}, parts=part)


LECTURE_X = np.array([[2.0, 1.0, -3.0], [-3.0, 4.0, 2.0]])
LECTURE_W = np.array([[3.0, 2.0, 1.0, -1.0], [2.0, 1.0, 3.0, 2.0], [3.0, 2.0, 1.0, -2.0]])
LECTURE_DY = np.array([[2.0, 3.0, -3.0, 9.0], [-8.0, 1.0, 4.0, 6.0]])


@assignment.exercise(
    "matmul_forward",
    parts={"Y": 4},
    mistakes=[
        transposed("Y"),
        instead(
            "overwritten",
            "Only the last term of each sum is there: add the terms with +=, do not overwrite.",
            lambda X, W: np.outer(X[:, -1], W[-1]),
            "Y",
        ),
        instead(
            "term-missing/last",
            "The last term of each sum is missing: d runs over all D.",
            lambda X, W: X[:, :-1] @ W[:-1],
            "Y",
        ),
        instead(
            "term-missing/first",
            "The first term of each sum is missing: d counts from 0.",
            lambda X, W: X[:, 1:] @ W[1:],
            "Y",
        ),
        instead("averaged", "The terms are averaged; they are added.", lambda X, W: X @ W / len(W), "Y"),
        instead("rectified", "There is no relu here: Y may well be negative.", lambda X, W: np.maximum(0, X @ W), "Y"),
        sign("Y"),
        zero("Y"),
    ],
)
def matmul_forward_cases(rng):
    yield case(
        "the lecture's X and W", "matmul_forward", {"X": LECTURE_X, "W": LECTURE_W}, {"Y": LECTURE_X @ LECTURE_W}
    )
    for title, (N, D, M) in matrices(rng):
        X, W = rng.normal(size=(N, D)), rng.normal(size=(D, M))
        yield case(title, "matmul_forward", {"X": X, "W": W}, {"Y": X @ W})


@assignment.exercise(
    "matmul_backward",
    parts={"dX": 7, "dW": 7},
    mistakes=[
        *adapted(MATMUL.mistakes, lambda args: {"X": args["X"], "W": args["W"], "dout": args["dY"]}),
        instead(
            "output-for-upstream",
            "The output X W stands where the upstream gradient `dY` belongs.",
            lambda dY, X, W: (X @ W @ W.T, X.T @ X @ W),
            "dX",
            "dW",
        ),
        instead(
            "fan-out-overwritten",
            "An entry of X goes into a whole row of Y: its gradients add over m, and here only the last is left.",
            lambda dY, X, W: np.outer(dY[:, -1], W[:, -1]),
            "dX",
        ),
        Mistake(
            "swapped",
            "The two gradients are returned in the wrong order: dX first, then dW.",
            lambda right, args: {"dX": right.get("dW"), "dW": right.get("dX")},
        ),
        zero("dX", "dW"),
    ],
)
def matmul_backward_cases(rng):
    def one(title, dY, X, W):
        right = dict(zip(("dX", "dW"), backward(matmul, dY, X, W), strict=True))
        return case(title, "matmul_backward", {"dY": dY, "X": X, "W": W}, right)

    yield one("the lecture's numbers", LECTURE_DY, LECTURE_X, LECTURE_W)
    for title, (N, D, M) in matrices(rng):
        yield one(title, rng.normal(size=(N, M)), rng.normal(size=(N, D)), rng.normal(size=(D, M)))


# -- the affine layer -----------------------------------------------------------------------


def affine_inputs(rng):
    """Titles with x (N, d1, …, dk), w (D, M) and b (M,), and the part that they count for."""
    for title, shape, M, part in (
        ("4 examples, 3 features, 2 outputs", (4, 3), 2, "rows"),
        ("one example", (1, 3), 4, "rows"),
        ("3 examples of 2×3 numbers", (3, 2, 3), 4, "more axes"),
        ("2 examples of 2×2×3 numbers", (2, 2, 2, 3), 5, "more axes"),
    ):
        D = int(np.prod(shape[1:]))
        yield title, part, (rng.normal(size=shape), rng.normal(size=(D, M)), rng.normal(size=M))


# The calls that affine_forward's mistakes have to know: `out` is taken from what came back by a step of its own,
# whatever the cache holds, and that step has no x, w and b.
inputs_of = {}


def in_affine(code, message, formula):
    return Mistake(code, message, lambda right, args: {"out": formula(*inputs_of[right["out"].tobytes()])})


@assignment.exercise(
    "affine_forward",
    parts={"rows": 4, "more axes": 2},
    mistakes=[
        in_affine("bias-missing", "The bias is not added.", lambda x, w, b: affine(x, w, 0 * b)),
        in_affine("bias-twice", "The bias is added twice.", lambda x, w, b: affine(x, w, 2 * b)),
        in_affine("bias-sign", "The bias is subtracted; it is added.", lambda x, w, b: affine(x, w, -b)),
        in_affine("rectified", "There is no relu in this layer.", lambda x, w, b: relu(affine(x, w, b))),
        in_affine(
            "reshape-order",
            "The numbers of an example are laid out in another order: use reshape as it is, without order='F' or axes "
            "exchanged.",
            lambda x, w, b: affine(np.stack([row.ravel(order="F") for row in x]), w, b),
        ),
        in_affine(
            "bias-number",
            "All entries of the bias are added up; output m gets b[m] alone.",
            lambda x, w, b: affine(x, w, np.full_like(b, b.sum())),
        ),
        in_affine(  # the first row of `out`, which is then what stands first in what came back
            "cache-missing",
            "Two things are returned, (out, cache); here `out` came back alone.",
            lambda x, w, b: affine(x, w, b)[0],
        ),
        transposed("out"),
        sign("out"),
    ],
)
def affine_forward_cases(rng):
    for title, part, (x, w, b) in affine_inputs(rng):
        out = affine(x, w, b)
        inputs_of[out.tobytes()] = (x, w, b)
        run = call("affine_forward", {"x": x, "w": w, "b": b}, save_as="(out, cache)")
        first = call("(out, cache).__getitem__", {"position": 0}, {"out": out}, parts=part)
        yield Case(title, (run, first))


@assignment.exercise(
    "affine_backward",
    parts={"dx": 5, "dw": 5, "db": 4},
    mistakes=[
        *adapted(
            AFFINE.mistakes,
            lambda args: dict(zip(("x", "w", "b", "dout"), (*args["cache"], args["dout"]), strict=True)),
        ),
        instead(
            "output-for-upstream",
            "The output of the layer stands where the upstream gradient `dout` belongs.",
            lambda dout, cache: backward(affine, affine(*cache), *cache),
            "dx",
            "dw",
            "db",
        ),
        instead(
            "bias-for-gradient",
            "This is the bias itself; its gradient is asked for.",
            lambda dout, cache: cache[2],
            "db",
        ),
        zero("dx", "dw", "db"),
    ],
)
def affine_backward_cases(rng):
    for title, _, cache in affine_inputs(rng):
        dout = rng.normal(size=(len(cache[0]), len(cache[2])))
        right = dict(zip(("dx", "dw", "db"), backward(affine, dout, *cache), strict=True))
        yield case(title, "affine_backward", {"dout": dout, "cache": cache}, right)


# -- row vectors ----------------------------------------------------------------------------


@assignment.exercise(
    "linear_backward_row",
    parts={"g_in": 5, "dJ_dW": 5},
    mistakes=[
        transposed("dJ_dW"),
        misshapen("row", "g_in"),
        misshapen("column", "g_in"),
        instead(
            "upstream-ignored/g_in",
            "The gradient `g_out` does not come into g_in: g_in = g_out W.",
            lambda g_out, x_in, W: W.sum(axis=0),
            "g_in",
        ),
        instead(
            "upstream-ignored/dJ_dW",
            "The gradient `g_out` does not come into dJ_dW = x_in g_out.",
            lambda g_out, x_in, W: np.outer(x_in, np.ones_like(g_out)),
            "dJ_dW",
        ),
        instead(
            "output-for-upstream",
            "The output W x_in stands where `g_out` belongs.",
            lambda g_out, x_in, W: (W @ x_in @ W, np.outer(x_in, W @ x_in)),
            "g_in",
            "dJ_dW",
        ),
        instead(
            "gradient-for-input",
            "dJ_dW is made from g_in; it takes the layer's input, x_in.",
            lambda g_out, x_in, W: np.outer(g_out @ W, g_out),
            "dJ_dW",
        ),
        Mistake(
            "swapped",
            "The two gradients are returned in the wrong order: g_in first, then dJ_dW.",
            lambda right, args: {"g_in": right["dJ_dW"], "dJ_dW": right["g_in"]},
        ),
        sign("g_in", "dJ_dW"),
        sign("dJ_dW", form="dJ_dW"),
        zero("g_in", "dJ_dW"),
    ],
)
def linear_backward_row_cases(rng):
    for title, n_in, n_out in (
        ("3 inputs, 2 outputs", 3, 2),
        ("2 inputs, 4 outputs", 2, 4),
        ("as many outputs as inputs", 3, 3),
        ("one output", 4, 1),
    ):
        g_out, x_in, W = rng.normal(size=n_out), rng.normal(size=n_in), rng.normal(size=(n_out, n_in))
        g_in, dW = backward(lambda x, W: W @ x, g_out, x_in, W)
        args = {"g_out": g_out, "x_in": x_in, "W": W}
        yield case(title, "linear_backward_row", args, {"g_in": g_in, "dJ_dW": dW.T})


# -- broadcasting ---------------------------------------------------------------------------


def front(grad, shape):
    """The axes that broadcasting has put in front."""
    return tuple(range(grad.ndim - len(shape)))


def stretched(grad, shape):
    """The axes that broadcasting has stretched from length 1."""
    return tuple(k for k in range(-len(shape), 0) if shape[k] == 1)


@assignment.exercise(
    "unbroadcast",
    parts={"axes put in front": 4, "axes of length 1": 4, "both": 2},
    mistakes=[
        instead(
            "mean-for-sum",
            "This is a mean; every use of an entry adds its gradient, so it is a sum.",
            lambda grad, shape: (
                grad.sum(front(grad, shape)).sum(stretched(grad, shape), keepdims=True) * (np.prod(shape) / grad.size)
            ),
            "gradient",
        ),
        instead(
            "first-only",
            "Only the first of the copies counts; the gradients of all of them add.",
            lambda grad, shape: grad[(0,) * (grad.ndim - len(shape))][
                tuple(slice(0, n) if n == 1 else slice(None) for n in shape)
            ],
            "gradient",
        ),
        instead(
            "not-summed",
            "Nothing is summed: the gradient has to have the given shape.",
            lambda grad, shape: grad,
            "gradient",
        ),
        instead(
            "front-only",
            "The axes of length 1 in `shape` are not summed.",
            lambda grad, shape: grad.sum(front(grad, shape)),
            "gradient",
        ),
        instead(
            "stretched-only",
            "The axes that broadcasting has put in front are not summed.",
            lambda grad, shape: grad.sum(stretched(grad, shape), keepdims=True),
            "gradient",
        ),
        instead(
            "keepdims-missing",
            "An axis of length 1 has been lost: sum over it with keepdims=True.",
            lambda grad, shape: grad.sum(front(grad, shape)).sum(stretched(grad, shape)),
            "gradient",
        ),
        instead("all-summed", "Everything is summed into one number.", lambda grad, shape: grad.sum(), "gradient"),
        instead(
            "maximum",
            "This takes the largest of the copies; their gradients add.",
            lambda grad, shape: grad.max(front(grad, shape)).max(stretched(grad, shape), keepdims=True),
            "gradient",
        ),
        sign("gradient"),
    ],
)
def unbroadcast_cases(rng):
    for title, big, shape, part in (
        ("a bias (3,) in (4, 3)", (4, 3), (3,), "axes put in front"),
        ("(3, 2) in (2, 4, 3, 2)", (2, 4, 3, 2), (3, 2), "axes put in front"),
        ("a single number, shape (), in (2, 3)", (2, 3), (), "axes put in front"),
        ("a row (1, 3) in (4, 3)", (4, 3), (1, 3), "axes of length 1"),
        ("a column (4, 1) in (4, 3)", (4, 3), (4, 1), "axes of length 1"),
        ("(1, 3, 1) in (2, 3, 4)", (2, 3, 4), (1, 3, 1), "axes of length 1"),
        ("nothing was broadcast: (4, 3)", (4, 3), (4, 3), "both"),
        ("as many rows as columns: (3,) in (3, 3)", (3, 3), (3,), "axes put in front"),
        ("a column (3, 1) in (2, 3, 4)", (2, 3, 4), (3, 1), "both"),
        ("(1, 2) in (3, 1, 2), which has an axis of length 1 too", (3, 1, 2), (1, 2), "both"),
    ):
        grad = rng.normal(size=big)
        right = backward(lambda small, big=big: small + np.zeros(big), grad, np.ones(shape))[0]
        yield case(title, "unbroadcast", {"grad": grad, "shape": shape}, {"gradient": right}, parts=part)


# -- the order of the chain -----------------------------------------------------------------


def chain_flops(dims, mode):
    """The Jacobians (D0, D1), (D1, D2), …, (Dk−1, Dk) and the vector (Dk,), multiplied from the right or the left."""
    if mode == "reverse":
        return sum(a * b for a, b in itertools.pairwise(dims))
    return sum(dims[0] * a * b for a, b in zip(dims[1:], (*dims[2:], 1), strict=True))


@assignment.exercise(
    "chain_flops",
    parts={"reverse": 4, "forward": 4},
    mistakes=[
        instead(
            "modes-exchanged",
            "The two modes are exchanged: reverse starts at the loss, with a vector.",
            lambda dims, mode: chain_flops(dims, "forward" if mode == "reverse" else "reverse"),
            "multiplications",
        ),
        instead(
            "last-product-missing",
            "In forward mode the last product, of the (D0, Dk) matrix with the vector (Dk,), is missing.",
            lambda dims, mode: chain_flops(dims, mode) - (mode == "forward") * dims[0] * dims[-1],
            "multiplications",
        ),
        instead(
            "vector-for-matrix",
            "In forward mode what is carried along has D0 rows, so each product costs D0 times as much.",
            lambda dims, mode: chain_flops(dims, mode) // (dims[0] if mode == "forward" else 1),
            "multiplications",
        ),
        instead(
            "loss-counted",
            "dL/dx_k is given: it is where reverse mode starts and costs no multiplication.",
            lambda dims, mode: chain_flops(dims, mode) + (mode == "reverse") * dims[-1],
            "multiplications",
        ),
        instead(
            "additions-counted",
            "This counts additions too; only multiplications are asked for.",
            lambda dims, mode: 2 * chain_flops(dims, mode),
            "multiplications",
        ),
        instead(
            "matrix-for-vector",
            "In reverse mode a vector is carried along, not a matrix with D0 rows.",
            lambda dims, mode: chain_flops(dims, "forward"),
            "multiplications",
        ),
        instead(
            "mode-ignored",
            "The `mode` is not used.",
            lambda dims, mode: chain_flops(dims, "reverse"),
            "multiplications",
        ),
        instead(
            "product-of-all",
            "The costs of the products add; this multiplies all the sizes.",
            lambda dims, mode: int(np.prod(dims)),
            "multiplications",
        ),
    ],
)
def chain_flops_cases(rng):
    sizes = [int(n) for n in rng.choice(np.arange(3, 30), 9, replace=False)]
    for title, dims in (
        ("one Jacobian", sizes[:2]),
        ("two Jacobians", sizes[2:5]),
        ("three Jacobians, as in the lecture", sizes[5:9]),
        ("one input", [1, *sizes[:3]]),
        ("a wide network", [512, 256, 128, 64]),
    ):
        for mode in ("reverse", "forward"):
            right = {"multiplications": chain_flops(dims, mode)}
            args = {"dims": tuple(dims), "mode": mode}
            yield case(f"{title}, {mode}", "chain_flops", args, right, parts=mode, rtol=1e-12, atol=0.25)

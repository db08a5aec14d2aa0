"""What is graded in `matmul_backward`: references, cases and known mistakes.

A backward pass is stated by its forward pass: the engine gives the gradients of sum(upstream · output).
"""

import numpy as np

from autograder.spec import ANYTHING, Assignment, case, value_and_gradient

from ..layers import affine, relu
from .mistakes import (
    AFFINE_BACKWARD,
    AFFINE_FORWARD,
    CHAIN_FLOPS,
    JACOBIAN_BYTES,
    LINEAR_BACKWARD_ROW,
    MATMUL_BACKWARD,
    MATMUL_FORWARD,
    MATMUL_JACOBIAN_X,
    RELU_BACKWARD,
    RELU_JACOBIAN,
    UNBROADCAST,
    chain_flops,
)

assignment = Assignment("matmul_backward")


def backward(forward, upstream, *inputs):
    """The gradient of sum(upstream · forward(*inputs)) with respect to each input."""

    def one(k):
        def weighted(value):
            return np.sum(upstream * forward(*inputs[:k], value, *inputs[k + 1 :]))

        return value_and_gradient(weighted)(inputs[k])[1]

    return tuple(one(k) for k in range(len(inputs)))


# -- element by element ---------------------------------------------------------------------


def away_from_zero(rng, shape):
    """Numbers of both signs, none of them near the kink of relu."""
    x = rng.uniform(0.1, 2, size=shape) * rng.choice([-1, 1], size=shape)
    if x.size > 1:
        x.flat[0], x.flat[-1] = abs(x.flat[0]), -abs(x.flat[-1])
    return x


@assignment.exercise("relu_jacobian", parts={"Jacobian": 6}, mistakes=RELU_JACOBIAN)
def relu_jacobian_cases(rng):
    def one(title, x):
        rows = [backward(relu, e, x)[0] for e in np.eye(len(x))]
        return case(title, "relu_jacobian", {"x": x}, {"Jacobian": np.stack(rows)})

    yield one("the lecture's x", np.array([1.0, -2.0, 3.0, -1.0]))
    yield one("5 numbers", away_from_zero(rng, 5))
    yield one("2 numbers", away_from_zero(rng, 2))
    yield one("all negative", -rng.uniform(1, 2, size=3))


@assignment.exercise(
    "relu_backward", parts={"a vector": 2, "any shape": 3, "whole numbers in x": 1}, mistakes=RELU_BACKWARD
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


@assignment.exercise("jacobian_bytes", parts={"bytes": 4}, mistakes=JACOBIAN_BYTES)
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


LECTURE_X = np.array([[2.0, 1.0, -3.0], [-3.0, 4.0, 2.0]])
LECTURE_W = np.array([[3.0, 2.0, 1.0, -1.0], [2.0, 1.0, 3.0, 2.0], [3.0, 2.0, 1.0, -2.0]])
LECTURE_DY = np.array([[2.0, 3.0, -3.0, 9.0], [-8.0, 1.0, 4.0, 6.0]])


def matrices(rng):
    """Yield titles with shapes N, D, M; in the last case no shape shows a transpose."""
    yield "2 examples, 3 features, 4 outputs", (2, 3, 4)
    yield "one example", (1, 3, 2)
    yield "more examples than features", (5, 2, 3)
    yield "square matrices", (3, 3, 3)


@assignment.exercise("matmul_jacobian_x", parts={"one example": 4, "several examples": 6}, mistakes=MATMUL_JACOBIAN_X)
def matmul_jacobian_x_cases(rng):
    for title, (N, D, M) in matrices(rng):
        X, W = rng.normal(size=(N, D)), rng.normal(size=(D, M))
        pick = np.eye(N * M).reshape(N * M, N, M)  # one upstream gradient for each entry of Y
        right = np.reshape([backward(matmul, dY, X, W)[0] for dY in pick], (N, M, N, D))
        part = "one example" if N == 1 else "several examples"
        yield case(title, "matmul_jacobian_x", {"X": X, "W": W}, {"Jacobian": right}, parts=part)


@assignment.exercise("matmul_forward", parts={"Y": 4}, mistakes=MATMUL_FORWARD)
def matmul_forward_cases(rng):
    def one(title, X, W):
        return case(title, "matmul_forward", {"X": X, "W": W}, {"Y": matmul(X, W)})

    yield one("the lecture's X and W", LECTURE_X, LECTURE_W)
    for title, (N, D, M) in matrices(rng):
        yield one(title, rng.normal(size=(N, D)), rng.normal(size=(D, M)))


@assignment.exercise("matmul_backward", parts={"dX": 7, "dW": 7}, mistakes=MATMUL_BACKWARD)
def matmul_backward_cases(rng):
    def one(title, dY, X, W):
        right = dict(zip(("dX", "dW"), backward(matmul, dY, X, W), strict=True))
        return case(title, "matmul_backward", {"dY": dY, "X": X, "W": W}, right)

    yield one("the lecture's numbers", LECTURE_DY, LECTURE_X, LECTURE_W)
    for title, (N, D, M) in matrices(rng):
        yield one(title, rng.normal(size=(N, M)), rng.normal(size=(N, D)), rng.normal(size=(D, M)))


# -- the affine layer -----------------------------------------------------------------------


def affine_inputs(rng):
    """Yield titles with x (N, d1, …, dk), w (D, M) and b (M,), and the part that they count for."""
    for title, shape, M, part in (
        ("4 examples, 3 features, 2 outputs", (4, 3), 2, "rows"),
        ("one example", (1, 3), 4, "rows"),
        ("3 examples of 2×3 numbers", (3, 2, 3), 4, "more axes"),
        ("2 examples of 2×2×3 numbers", (2, 2, 2, 3), 5, "more axes"),
    ):
        D = int(np.prod(shape[1:]))
        yield title, part, {"x": rng.normal(size=shape), "w": rng.normal(size=(D, M)), "b": rng.normal(size=M)}


@assignment.exercise("affine_forward", parts={"rows": 4, "more axes": 2}, mistakes=AFFINE_FORWARD)
def affine_forward_cases(rng):
    for title, part, args in affine_inputs(rng):
        yield case(title, "affine_forward", args, {"out": affine(**args), "cache": ANYTHING}, parts=part)


@assignment.exercise("affine_backward", parts={"dx": 5, "dw": 5, "db": 4}, mistakes=AFFINE_BACKWARD)
def affine_backward_cases(rng):
    for title, _, inputs in affine_inputs(rng):
        cache = tuple(inputs.values())
        dout = rng.normal(size=affine(*cache).shape)
        right = dict(zip(("dx", "dw", "db"), backward(affine, dout, *cache), strict=True))
        yield case(title, "affine_backward", {"dout": dout, "cache": cache}, right)


# -- row vectors ----------------------------------------------------------------------------


@assignment.exercise("linear_backward_row", parts={"g_in": 5, "dJ_dW": 5}, mistakes=LINEAR_BACKWARD_ROW)
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


@assignment.exercise(
    "unbroadcast", parts={"axes put in front": 4, "axes of length 1": 4, "both": 2}, mistakes=UNBROADCAST
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


@assignment.exercise("chain_flops", parts={"reverse": 4, "forward": 4}, mistakes=CHAIN_FLOPS)
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

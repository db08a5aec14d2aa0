"""Known mistakes in `matmul_backward`, by exercise: Jacobians, matrix products, the affine layer, broadcasting."""

import itertools

import numpy as np

from autograder.mistakes import adapted, changed, exchanged, instead, instead_of, misshapen, sign, transposed, zero
from autograder.spec import Mistake

from ..layers import AFFINE, MASK_INVERTED, MATMUL, RELU_MASKS, affine, affine_gradient, relu

# -- element by element ---------------------------------------------------------------------------

jacobian = instead_of("Jacobian")
dx = instead_of("dx")
OWN_INPUT = "Each output depends on its own input alone, so all entries off the diagonal are 0."

RELU_JACOBIAN = (
    jacobian(
        "diagonal-only",
        "These are the entries of the diagonal; the Jacobian is the whole matrix, (D, D), with zeros beside them.",
        lambda x: 1.0 * (x > 0),
    ),
    jacobian("relu-mask/missing", "Where x is negative, z stays 0: the slope is 0.", lambda x: np.eye(len(x))),
    jacobian("relu-mask/inverted", MASK_INVERTED, lambda x: np.diag(1.0 * (x < 0))),
    jacobian(
        "output-for-slope",
        "The diagonal holds max(0, x) itself; its slope is asked for, which is 1 or 0.",
        lambda x: np.diag(relu(x)),
    ),
    jacobian("input-for-slope", "The diagonal holds x itself; the slope is 1 or 0.", np.diag),
    jacobian("absolute", "For negative x the slope is 0, not −1.", lambda x: np.diag(np.sign(x))),
    jacobian("off-diagonal/rows", OWN_INPUT, lambda x: np.tile(1.0 * (x > 0), (len(x), 1))),
    jacobian("off-diagonal/outer", OWN_INPUT, lambda x: np.outer(x > 0, x > 0).astype(float)),
    sign("Jacobian"),
    zero("Jacobian"),
)

RELU_BACKWARD = (
    *adapted(RELU_MASKS, lambda args: {"x": args["x"], "dout": args["dz"]}),
    dx(
        "upstream-ignored",
        "The upstream gradient `dz` does not come in: multiply the local gradient by it.",
        lambda dz, x: 1.0 * (x > 0),
    ),
    dx(
        "output-for-slope",
        "dz is multiplied by max(0, x) itself; multiply it by the slope, which is 1 or 0.",
        lambda dz, x: dz * relu(x),
    ),
    dx("absolute", "Where x is negative the gradient is 0; here it is −dz.", lambda dz, x: dz * np.sign(x)),
    dx("forward", "This is relu itself; its backward pass is asked for.", lambda dz, x: relu(x)),
    Mistake(
        "integer-input",
        "The gradient is kept in an array of whole numbers, like x, which drops what stands behind the point.",
        lambda right, args: {"dx": np.trunc(right["dx"])} if args["x"].dtype.kind == "i" else {},
    ),
    sign("dx"),
    zero("dx"),
)

# -- matrices -------------------------------------------------------------------------------------

size = instead_of("bytes")

JACOBIAN_BYTES = (
    size(
        "entries-not-bytes",
        "This counts the entries; each takes `itemsize` bytes.",
        lambda N, D, M, itemsize=4: N * M * N * D,
    ),
    size(
        "one-example",
        "This is the Jacobian of one example with respect to the whole batch: Y has N · M entries and X has N · D, "
        "and the Jacobian has an entry for every pair.",
        lambda N, D, M, itemsize=4: N * M * D * itemsize,
    ),
    size(
        "one-example/both",
        "This is the Jacobian of one example: Y has N · M entries and X has N · D, and every pair counts.",
        lambda N, D, M, itemsize=4: M * D * itemsize,
    ),
    size(
        "with-respect-to-W",
        "This is the size of dY/dW; dY/dX is asked for.",
        lambda N, D, M, itemsize=4: N * M * D * M * itemsize,
    ),
    size(
        "sum-for-product",
        "Every entry of Y has a derivative by every entry of X: multiply the two numbers of entries.",
        lambda N, D, M, itemsize=4: (N * M + N * D) * itemsize,
    ),
    changed("not-bytes/bits", "This is in bits: `itemsize` is in bytes already.", lambda right: 8 * right, "bytes"),
    changed("not-bytes/GiB", "This is in GiB; bytes are asked for.", lambda right: right / 2**30, "bytes"),
    size(
        "itemsize-ignored",
        "The `itemsize` that was given is not the one that is used.",
        lambda N, D, M, itemsize=4: N * M * N * D * 4,
    ),
)

MATMUL_JACOBIAN_X = (
    jacobian(
        "other-rows",
        "Row n of Y depends on row n of X alone: for i ≠ n the derivative is 0.",
        lambda X, W: np.broadcast_to(W.T[None, :, None, :], (len(X), W.shape[1], len(X), len(W))),
    ),
    jacobian(
        "term-for-slope",
        "x · w is what an entry of X contributes; its derivative by x is w alone.",
        lambda X, W: np.einsum("ni,id,dm->nmid", np.eye(len(X)), X, W),
    ),
    jacobian(
        "axes",
        "The axes are in another order: first those of Y, n and m, then those of X, i and d.",
        lambda X, W: np.einsum("ni,dm->idnm", np.eye(len(X)), W),
    ),
    jacobian(
        "flattened",
        "The numbers are laid out as one matrix; an array with four axes, (N, M, N, D), is asked for.",
        lambda X, W: np.kron(np.eye(len(X)), W.T),
    ),
    jacobian(
        "first-example-only",
        "Only the first example is filled in: every row n of Y depends on its own row of X.",
        lambda X, W: np.einsum("ni,dm->nmid", np.eye(len(X)) * (np.arange(len(X)) == 0), W),
    ),
    jacobian(
        "ones",
        "The derivative is W[d, m], not 1.",
        lambda X, W: np.einsum("ni,dm->nmid", np.eye(len(X)), np.ones_like(W)),
    ),
    sign("Jacobian"),
    zero("Jacobian"),
)

product = instead_of("Y")

MATMUL_FORWARD = (
    transposed("Y"),
    product(
        "overwritten",
        "Only the last term of each sum is there: add the terms with +=, do not overwrite.",
        lambda X, W: np.outer(X[:, -1], W[-1]),
    ),
    product(
        "term-missing/last", "The last term of each sum is missing: d runs over all D.", lambda X, W: X[:, :-1] @ W[:-1]
    ),
    product(
        "term-missing/first", "The first term of each sum is missing: d counts from 0.", lambda X, W: X[:, 1:] @ W[1:]
    ),
    product("averaged", "The terms are averaged; they are added.", lambda X, W: X @ W / len(W)),
    product("rectified", "There is no relu here: Y may well be negative.", lambda X, W: relu(X @ W)),
    sign("Y"),
    zero("Y"),
)

MATMUL_BACKWARD = (
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
    exchanged("swapped", "The two gradients are returned in the wrong order: dX first, then dW.", "dX", "dW"),
    zero("dX", "dW"),
)

# -- the affine layer -----------------------------------------------------------------------------

out = instead_of("out")

AFFINE_FORWARD = (
    out("bias-missing", "The bias is not added.", lambda x, w, b: affine(x, w, 0 * b)),
    out("bias-twice", "The bias is added twice.", lambda x, w, b: affine(x, w, 2 * b)),
    out("bias-sign", "The bias is subtracted; it is added.", lambda x, w, b: affine(x, w, -b)),
    out("rectified", "There is no relu in this layer.", lambda x, w, b: relu(affine(x, w, b))),
    out(
        "reshape-order",
        "The numbers of an example are laid out in another order: use reshape as it is, without order='F' or axes "
        "exchanged.",
        lambda x, w, b: affine(np.stack([row.ravel(order="F") for row in x]), w, b),
    ),
    out(
        "bias-number",
        "All entries of the bias are added up; output m gets b[m] alone.",
        lambda x, w, b: affine(x, w, np.full_like(b, b.sum())),
    ),
    transposed("out"),
    sign("out"),
)

AFFINE_BACKWARD = (
    *adapted(AFFINE.mistakes, lambda args: {**dict(zip("xwb", args["cache"], strict=True)), "dout": args["dout"]}),
    Mistake(
        "output-for-upstream",
        "The output of the layer stands where the upstream gradient `dout` belongs.",
        lambda right, args: affine_gradient(
            **dict(zip("xwb", args["cache"], strict=True)), dout=affine(*args["cache"])
        ),
    ),
    instead(
        "bias-for-gradient", "This is the bias itself; its gradient is asked for.", lambda dout, cache: cache[2], "db"
    ),
    zero("dx", "dw", "db"),
)

# -- row vectors ----------------------------------------------------------------------------------

LINEAR_BACKWARD_ROW = (
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
    exchanged("swapped", "The two gradients are returned in the wrong order: g_in first, then dJ_dW.", "g_in", "dJ_dW"),
    sign("g_in", "dJ_dW"),
    sign("dJ_dW", form="dJ_dW"),
    zero("g_in", "dJ_dW"),
)

# -- broadcasting ---------------------------------------------------------------------------------


def front(grad, shape):
    """The axes that broadcasting added in front."""
    return tuple(range(grad.ndim - len(shape)))


def stretched(grad, shape):
    """The axes that broadcasting stretched from length 1."""
    return tuple(k for k in range(-len(shape), 0) if shape[k] == 1)


gradient = instead_of("gradient")

UNBROADCAST = (
    gradient(
        "mean-for-sum",
        "This is a mean; every use of an entry adds its gradient, so it is a sum.",
        lambda grad, shape: (
            grad.sum(front(grad, shape)).sum(stretched(grad, shape), keepdims=True) * (np.prod(shape) / grad.size)
        ),
    ),
    gradient(
        "first-only",
        "Only the first of the copies counts; the gradients of all of them add.",
        lambda grad, shape: grad[(0,) * (grad.ndim - len(shape))][
            tuple(slice(0, n) if n == 1 else slice(None) for n in shape)
        ],
    ),
    gradient("not-summed", "Nothing is summed: the gradient has to have the given shape.", lambda grad, shape: grad),
    gradient(
        "front-only",
        "The axes of length 1 in `shape` are not summed.",
        lambda grad, shape: grad.sum(front(grad, shape)),
    ),
    gradient(
        "stretched-only",
        "The axes that broadcasting has put in front are not summed.",
        lambda grad, shape: grad.sum(stretched(grad, shape), keepdims=True),
    ),
    gradient(
        "keepdims-missing",
        "An axis of length 1 has been lost: sum over it with keepdims=True.",
        lambda grad, shape: grad.sum(front(grad, shape)).sum(stretched(grad, shape)),
    ),
    gradient("all-summed", "Everything is summed into one number.", lambda grad, shape: grad.sum()),
    gradient(
        "maximum",
        "This takes the largest of the copies; their gradients add.",
        lambda grad, shape: grad.max(front(grad, shape)).max(stretched(grad, shape), keepdims=True),
    ),
    sign("gradient"),
)

# -- the order of the chain -----------------------------------------------------------------------


def chain_flops(dims, mode):
    """Count the multiplications of (D0, D1) · (D1, D2) ⋯ (Dk−1, Dk) · (Dk,), from the right or from the left."""
    if mode == "reverse":
        return sum(a * b for a, b in itertools.pairwise(dims))
    return sum(dims[0] * a * b for a, b in zip(dims[1:], (*dims[2:], 1), strict=True))


flops = instead_of("multiplications")

CHAIN_FLOPS = (
    flops(
        "modes-exchanged",
        "The two modes are exchanged: reverse starts at the loss, with a vector.",
        lambda dims, mode: chain_flops(dims, "forward" if mode == "reverse" else "reverse"),
    ),
    flops(
        "last-product-missing",
        "In forward mode the last product, of the (D0, Dk) matrix with the vector (Dk,), is missing.",
        lambda dims, mode: chain_flops(dims, mode) - (mode == "forward") * dims[0] * dims[-1],
    ),
    flops(
        "vector-for-matrix",
        "In forward mode what is carried along has D0 rows, so each product costs D0 times as much.",
        lambda dims, mode: chain_flops(dims, mode) // (dims[0] if mode == "forward" else 1),
    ),
    flops(
        "loss-counted",
        "dL/dx_k is given: it is where reverse mode starts and costs no multiplication.",
        lambda dims, mode: chain_flops(dims, mode) + (mode == "reverse") * dims[-1],
    ),
    changed(
        "additions-counted",
        "This counts additions too; only multiplications are asked for.",
        lambda right: 2 * right,
        "multiplications",
    ),
    flops(
        "matrix-for-vector",
        "In reverse mode a vector is carried along, not a matrix with D0 rows.",
        lambda dims, mode: chain_flops(dims, "forward"),
    ),
    flops("mode-ignored", "The `mode` is not used.", lambda dims, mode: chain_flops(dims, "reverse")),
    flops(
        "product-of-all",
        "The costs of the products add; this multiplies all the sizes.",
        lambda dims, mode: int(np.prod(dims)),
    ),
)

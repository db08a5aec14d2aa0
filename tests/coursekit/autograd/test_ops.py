"""Every row of the table agrees with numerical gradients, in every shape it accepts."""

import numpy as np
import pytest

from coursekit.autograd import Tensor, grad
from coursekit.autograd.ops import elementwise, log_softmax, logsumexp, put, softmax
from coursekit.autograd.recording import primitive
from coursekit.autograd.tensor import RULES, unbroadcast


def parameter(value):
    return Tensor(value, requires_grad=True)


SEEDS = [0, 1]
# Broadcasting in every position, 0-d and empty arrays.
PAIRS = [
    [(3, 4), (3, 4)],
    [(3, 4), (4,)],
    [(4,), (3, 4)],
    [(3, 1), (1, 4)],
    [(2, 1, 4), (3, 1)],
    [(), (2, 3)],
    [(2, 3), ()],
    [(), ()],
    [(1,), (1, 1)],
    [(0, 3), (3,)],
    [(0, 3), (1, 1)],
]
SINGLES = [[(3, 4)], [(5,)], [()], [(0, 2)], [(2, 1, 3)]]


def anything(rng, shape):
    return rng.normal(size=shape)


def positive(rng, shape):
    return rng.uniform(0.5, 2.0, size=shape)


def away_from_zero(rng, shape):
    return rng.uniform(0.5, 2.0, size=shape) * rng.choice([-1.0, 1.0], size=shape)


def between(low, high):
    return lambda rng, shape: rng.uniform(low, high, size=shape)


BINARY = {
    "remainder": (lambda x, y: x % (abs(y) + 2), anything),
    "arctan2": (np.arctan2, away_from_zero),
    "hypot": (np.hypot, away_from_zero),
    "logaddexp": (np.logaddexp, anything),
    "fmax": (np.fmax, anything),
    "fmin": (np.fmin, anything),
    "add": (np.add, anything),
    "subtract": (np.subtract, anything),
    "multiply": (np.multiply, anything),
    "true_divide": (np.true_divide, away_from_zero),
    "power": (lambda x, y: x**y, positive),
    "np.power": (np.power, positive),
    "maximum": (np.maximum, anything),
    "minimum": (np.minimum, anything),
    "where": (lambda x, y: np.where(np.add(x, y) > 0, x, y), anything),
}
UNARY = {
    "positive": (np.positive, anything),
    "negative": (np.negative, anything),
    "exp": (np.exp, anything),
    "log": (np.log, positive),
    "log1p": (np.log1p, positive),
    "sqrt": (np.sqrt, positive),
    "square": (np.square, anything),
    "sin": (np.sin, anything),
    "cos": (np.cos, anything),
    "tanh": (np.tanh, anything),
    "absolute": (np.absolute, away_from_zero),
    "x**2": (lambda x: x**2, anything),
    "x**3.0": (lambda x: x**3.0, anything),
    "x**-1": (lambda x: x**-1, away_from_zero),
    "x**0": (lambda x: x**0 + x, anything),
    "2**x": (lambda x: 2**x, anything),
    "relu": (lambda x: np.maximum(0, x), anything),
    "relu, swapped": (lambda x: np.maximum(x, 0), anything),
    "1 - x": (lambda x: 1 - x, anything),
    "1 / x": (lambda x: 1 / x, away_from_zero),
    "sum": (np.sum, anything),
    "sum keepdims": (lambda x: np.sum(x, keepdims=True), anything),
    "reshape": (lambda x: np.reshape(x, -1), anything),
    "ravel": (np.ravel, anything),
    "transpose": (np.transpose, anything),
    "expand_dims": (lambda x: np.expand_dims(x, -1), anything),
    "newaxis": (lambda x: x[..., np.newaxis], anything),
    "squeeze": (np.squeeze, anything),
    "broadcast_to": (lambda x: np.broadcast_to(x, (2, *np.shape(x))), anything),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), anything),
    "exp2": (np.exp2, anything),
    "expm1": (np.expm1, anything),
    "log2": (np.log2, positive),
    "log10": (np.log10, positive),
    "cbrt": (np.cbrt, away_from_zero),
    "reciprocal": (np.reciprocal, away_from_zero),
    "fabs": (np.fabs, away_from_zero),
    "tan": (np.tan, between(-1.2, 1.2)),
    "arcsin": (np.arcsin, between(-0.9, 0.9)),
    "arccos": (np.arccos, between(-0.9, 0.9)),
    "arctan": (np.arctan, anything),
    "sinh": (np.sinh, anything),
    "cosh": (np.cosh, anything),
    "arcsinh": (np.arcsinh, anything),
    "arccosh": (np.arccosh, between(1.2, 3)),
    "arctanh": (np.arctanh, between(-0.8, 0.8)),
    "radians": (np.radians, anything),
    "deg2rad": (np.deg2rad, anything),
    "degrees": (np.degrees, anything),
    "rad2deg": (np.rad2deg, anything),
    "clip": (lambda x: np.clip(x, -0.5, 0.7), anything),
    "clip from below": (lambda x: np.clip(x, 0.1, None), anything),
    "clip method": (lambda x: x.clip(max=0.1), anything),
    "prod": (np.prod, anything),
    "cumsum": (np.cumsum, anything),
    "norm": (lambda x: np.linalg.norm(np.ravel(x)), anything),
    "sort": (lambda x: np.sort(x, axis=None), anything),
    "flip": (np.flip, anything),
    "roll": (lambda x: np.roll(x, 2), anything),
    "tile": (lambda x: np.tile(x, (2, 1)), anything),
    "repeat": (lambda x: np.repeat(x, 2), anything),
    "copy": (np.copy, anything),
    "atleast_1d": (np.atleast_1d, anything),
    "atleast_2d": (np.atleast_2d, anything),
    "outer": (lambda x: np.outer(x, np.arange(3, dtype=np.float32)), anything),
}
FUNCTIONS = [(name, *case, shapes) for name, case in BINARY.items() for shapes in PAIRS]
FUNCTIONS += [(name, *case, shapes) for name, case in UNARY.items() for shapes in SINGLES]

index = np.array([2, 0, 2, 2])
mask = np.array([True, False, True])
OTHERS = {
    "sum axis": (lambda x: np.sum(x, axis=0), [(3, 4)]),
    "sum negative axis": (lambda x: np.sum(x, -1, keepdims=True), [(3, 4)]),
    "sum axes": (lambda x: np.sum(x, axis=(0, -1)), [(2, 3, 4)]),
    "sum to nothing": (lambda x: np.sum(x, axis=1), [(0, 3)]),
    "mean": (np.mean, [(3, 4)]),
    "mean 0-d": (np.mean, [()]),
    "mean axis": (lambda x: np.mean(x, axis=1), [(3, 4)]),
    "mean axes keepdims": (lambda x: np.mean(x, axis=(0, 2), keepdims=True), [(2, 3, 4)]),
    "mean to nothing": (lambda x: np.mean(x, axis=1), [(0, 3)]),
    "max": (np.max, [(3, 4)]),
    "max axis": (lambda x: np.max(x, axis=0), [(3, 4)]),
    "max axes keepdims": (lambda x: np.max(x, axis=(-1, 0), keepdims=True), [(2, 3, 4)]),
    "max to nothing": (lambda x: np.max(x, axis=1), [(0, 3)]),
    "amax": (lambda x: np.amax(x, axis=1, keepdims=True), [(3, 4)]),
    "min": (np.min, [()]),
    "min axis": (lambda x: np.min(x, axis=-1), [(3, 4)]),
    "amin": (lambda x: np.amin(x, axis=0), [(3, 4)]),
    "matmul": (np.matmul, [(3, 4), (4, 2)]),
    "matmul vector vector": (np.matmul, [(4,), (4,)]),
    "matmul matrix vector": (np.matmul, [(3, 4), (4,)]),
    "matmul vector matrix": (np.matmul, [(4,), (4, 2)]),
    "matmul stacks": (np.matmul, [(2, 3, 4), (2, 4, 5)]),
    "matmul stack matrix": (np.matmul, [(2, 3, 4), (4, 5)]),
    "matmul matrix stack": (np.matmul, [(3, 4), (2, 4, 5)]),
    "matmul stack vector": (np.matmul, [(2, 3, 4), (4,)]),
    "matmul vector stack": (np.matmul, [(4,), (2, 4, 3)]),
    "matmul broadcast stacks": (np.matmul, [(2, 1, 3, 4), (3, 4, 2)]),
    "matmul empty batch": (np.matmul, [(0, 4), (4, 2)]),
    "matmul empty sum": (np.matmul, [(3, 0), (0, 2)]),
    "dot matrices": (np.dot, [(3, 4), (4, 2)]),
    "dot vectors": (np.dot, [(4,), (4,)]),
    "dot matrix vector": (np.dot, [(3, 4), (4,)]),
    "dot vector matrix": (np.dot, [(4,), (4, 2)]),
    "dot scalar": (np.dot, [(), (4, 2)]),
    "reshape": (lambda x: x.reshape(2, -1), [(3, 4)]),
    "reshape tuple": (lambda x: np.reshape(x, (4, 3)), [(3, 4)]),
    "ravel": (lambda x: x.ravel(), [(3, 4)]),
    "T": (lambda x: x.T, [(3, 4)]),
    "mT": (lambda x: x.mT, [(2, 3, 4)]),
    "transpose axes": (lambda x: np.transpose(x, (1, 2, 0)), [(2, 3, 4)]),
    "transpose negative axes": (lambda x: x.transpose(-1, 0, 1), [(2, 3, 4)]),
    "swapaxes": (lambda x: np.swapaxes(x, 0, -1), [(2, 3, 4)]),
    "squeeze axis": (lambda x: np.squeeze(x, axis=1), [(3, 1, 1)]),
    "expand_dims axes": (lambda x: np.expand_dims(x, (0, -1)), [(3, 4)]),
    "broadcast_to": (lambda x: np.broadcast_to(x, (2, 3, 4)), [(3, 1)]),
    "concatenate": (lambda x, y: np.concatenate([x, y, x]), [(2, 3), (1, 3)]),
    "concatenate axis": (lambda x, y: np.concatenate((x, y), axis=-1), [(2, 3), (2, 1)]),
    "concatenate flat": (lambda x, y: np.concatenate((x, y), axis=None), [(2, 3), (2,)]),
    "concatenate with array": (lambda x: np.concatenate([np.ones((1, 3)), x]), [(2, 3)]),
    "stack": (lambda x, y: np.stack([x, y], axis=1), [(3, 4), (3, 4)]),
    "index": (lambda x: x[1], [(3, 4)]),
    "index entry": (lambda x: x[1, -2], [(3, 4)]),
    "slice": (lambda x: x[::-2, 1:3], [(3, 4)]),
    "ellipsis newaxis": (lambda x: x[..., None, 0], [(3, 4)]),
    "0-d index": (lambda x: x[()], [()]),
    "integers, repeated": (lambda x: x[index], [(3, 4)]),
    "list": (lambda x: x[[0, 0, 1]], [(3, 4)]),
    "list in tuple": (lambda x: x[:, [0, 0, 1]], [(3, 4)]),
    "pairs, repeated": (lambda x: x[index, np.array([1, 3, 1, 1])], [(3, 4)]),
    "integers and slice": (lambda x: x[1:, index], [(3, 4)]),
    "nothing": (lambda x: x[np.array([], dtype=int)], [(3, 4)]),
    "mask": (lambda x: x[mask], [(3, 4)]),
    "mask and integer": (lambda x: x[mask, 1], [(3, 4)]),
    "mask of values": (lambda x: x[x > 0], [(3, 4)]),
    "logsumexp": (logsumexp, [(3, 4)]),
    "logsumexp of a number": (logsumexp, [()]),
    "logsumexp axis": (lambda x: logsumexp(x, axis=1, keepdims=True), [(3, 4)]),
    "logsumexp axes": (lambda x: logsumexp(x, axis=(0, 2)), [(2, 3, 2)]),
    "softmax": (softmax, [(3, 4)]),
    "softmax axis": (lambda x: softmax(x, axis=0), [(3, 4)]),
    "log_softmax": (log_softmax, [(3, 4)]),
    "var": (np.var, [(3, 4)]),
    "var axis": (lambda x: np.var(x, axis=0, ddof=1, keepdims=True), [(3, 4)]),
    "std": (lambda x: x.std(axis=(0, 1)), [(3, 4, 2)]),
    "prod axis": (lambda x: np.prod(x, axis=1), [(3, 5)]),
    "prod axes": (lambda x: np.prod(x, axis=(0, -1), keepdims=True), [(3, 2, 4)]),
    "prod with a zero": (lambda x: np.prod(x * np.array([1, 0, 1], np.float32)), [(3,)]),
    "prod of nothing": (lambda x: np.prod(x, axis=0), [(0, 2)]),
    "cumsum axis": (lambda x: np.cumsum(x, axis=1), [(3, 4)]),
    "inner": (np.inner, [(3, 4), (2, 4)]),
    "inner vectors": (np.inner, [(4,), (4,)]),
    "outer": (np.outer, [(3,), (2, 2)]),
    "vdot": (np.vdot, [(2, 3), (2, 3)]),
    "vecdot": (np.vecdot, [(2, 3), (2, 3)]),
    "dot of stacks": (np.dot, [(2, 3), (4, 3, 2)]),
    "tensordot": (np.tensordot, [(2, 3, 4), (3, 4, 5)]),
    "tensordot axes": (lambda x, y: np.tensordot(x, y, axes=((0, 2), (1, 0))), [(2, 3, 4), (4, 2)]),
    "tensordot none": (lambda x, y: np.tensordot(x, y, axes=0), [(2,), (3,)]),
    "einsum matmul": (lambda x, y: np.einsum("ij,jk->ik", x, y), [(3, 4), (4, 2)]),
    "einsum implicit": (lambda x, y: np.einsum("ij, jk", x, y), [(3, 4), (4, 2)]),
    "einsum sum": (lambda x: np.einsum("ij->", x), [(3, 4)]),
    "einsum sums alone": (lambda x, y: np.einsum("ij,k->k", x, y), [(3, 4), (2,)]),
    "einsum transpose": (lambda x: np.einsum("ba", x), [(3, 4)]),
    "einsum trace": (lambda x: np.einsum("ii", x), [(3, 3)]),
    "einsum diagonal": (lambda x: np.einsum("iji->ji", x), [(3, 2, 3)]),
    "einsum thrice": (lambda x: np.einsum("iii->i", x), [(2, 2, 2)]),
    "einsum ellipsis": (lambda x, y: np.einsum("...ij,...jk->...ik", x, y), [(2, 3, 4), (4, 2)]),
    "einsum ellipsis broadcast": (lambda x, y: np.einsum("...i,...i", x, y), [(2, 1, 4), (3, 4)]),
    "einsum one broadcast": (lambda x, y: np.einsum("ij,ij->i", x, y), [(3, 1), (3, 4)]),
    "einsum three": (lambda x, y, z: np.einsum("ij,jk,kl->il", x, y, z, optimize=True), [(2, 3), (3, 2), (2, 4)]),
    "einsum same twice": (lambda x: np.einsum("ij,kj->ik", x, x), [(3, 2)]),
    "trace": (np.trace, [(3, 4)]),
    "trace offset": (lambda x: np.trace(x, offset=-1, axis1=0, axis2=2), [(3, 2, 4)]),
    "diagonal": (lambda x: np.diagonal(x, 1), [(3, 4)]),
    "diag of a matrix": (lambda x: np.diag(x, -1), [(4, 3)]),
    "diag of a vector": (lambda x: np.diag(x, 1), [(3,)]),
    "tril": (lambda x: np.tril(x, -1), [(3, 4)]),
    "triu": (lambda x: np.triu(x), [(2, 3, 3)]),
    "solve": (lambda x, y: np.linalg.solve(x + 3 * np.eye(3, dtype=np.float32), y), [(3, 3), (3, 2)]),
    "solve vector": (lambda x, y: np.linalg.solve(x + 3 * np.eye(3, dtype=np.float32), y), [(3, 3), (3,)]),
    "solve stacks": (lambda x, y: np.linalg.solve(x + 5 * np.eye(3, dtype=np.float32), y), [(2, 3, 3), (3, 1)]),
    "inv": (lambda x: np.linalg.inv(x + 3 * np.eye(3, dtype=np.float32)), [(2, 3, 3)]),
    "det": (lambda x: np.linalg.det(x + 3 * np.eye(3, dtype=np.float32)), [(3, 3)]),
    "det stack": (lambda x: np.linalg.det(x + 3 * np.eye(3, dtype=np.float32)), [(2, 3, 3)]),
    "norm axis": (lambda x: np.linalg.norm(x, axis=1, keepdims=True), [(3, 4)]),
    "norm 1": (lambda x: np.linalg.norm(x, 1), [(4,)]),
    "norm inf": (lambda x: np.linalg.norm(x, np.inf, axis=0), [(3, 4)]),
    "norm Frobenius": (lambda x: np.linalg.norm(x, "fro"), [(3, 4)]),
    "moveaxis": (lambda x: np.moveaxis(x, (0, 1), (-1, 0)), [(2, 3, 4)]),
    "flip axes": (lambda x: np.flip(x, (0, 2)), [(2, 3, 4)]),
    "fliplr": (np.fliplr, [(3, 4)]),
    "flipud": (np.flipud, [(3, 4)]),
    "roll axis": (lambda x: np.roll(x, -1, axis=1), [(3, 4)]),
    "roll axis zero": (lambda x: np.roll(x, 1, axis=0), [(3, 4)]),
    "roll axes": (lambda x: np.roll(x, (1, 2), axis=(0, 1)), [(3, 4)]),
    "split": (lambda x: np.split(x, 2, axis=1)[1], [(3, 4)]),
    "split at": (lambda x: np.split(x, [1, 3])[1] * 2 + np.split(x, [1, 3])[1], [(4, 2)]),
    "array_split": (lambda x: np.array_split(x, 3, axis=-1)[0], [(2, 5)]),
    "hstack": (lambda x, y: np.hstack([x, y]), [(3, 2), (3, 1)]),
    "hstack vectors": (lambda x, y: np.hstack([x, y]), [(2,), (3,)]),
    "vstack": (lambda x, y: np.vstack([x, y]), [(2, 3), (3,)]),
    "column_stack": (lambda x, y: np.column_stack([x, y]), [(3,), (3, 2)]),
    "append": (lambda x, y: np.append(x, y, axis=0), [(2, 3), (1, 3)]),
    "diff": (lambda x: np.diff(x, 2, axis=0), [(4, 2)]),
    "take": (lambda x: np.take(x, index, axis=1), [(2, 3)]),
    "take flat": (lambda x: np.take(x, index), [(2, 3)]),
    "take_along_axis": (lambda x: np.take_along_axis(x, np.array([[0, 0], [1, 0]]), 1), [(2, 3)]),
    "take_along_axis flat": (lambda x: np.take_along_axis(x, index, None), [(2, 3)]),
    "sort axis": (lambda x: np.sort(x, axis=0), [(4, 3)]),
    "tile higher": (lambda x: np.tile(x, (2, 1, 3)), [(2, 3)]),
    "tile number": (lambda x: np.tile(x, 2), [(2, 3)]),
    "repeat axis": (lambda x: np.repeat(x, [2, 0, 1], axis=1), [(2, 3)]),
    "pad": (lambda x: np.pad(x, 1), [(2, 3)]),
    "pad constant": (lambda x: np.pad(x, ((0, 2), (1, 0)), constant_values=3.0), [(2, 3)]),
    "pad edge": (lambda x: np.pad(x, 2, mode="edge"), [(2, 3)]),
    "pad reflect": (lambda x: np.pad(x, ((1, 1), (2, 0)), mode="reflect"), [(2, 3)]),
    "pad wrap": (lambda x: np.pad(x, ((0, 3), (1, 1)), mode="wrap"), [(2, 3)]),
    "put": (lambda x: put(x, (np.array([0, 0]), np.array([1, 1])), (2, 3)), [(2,)]),
    "logsumexp written out": (
        lambda x: np.log(np.sum(np.exp(x - x.max(axis=1, keepdims=True)), axis=1)) + x.max(axis=1),
        [(3, 4)],
    ),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "f", "draw", "shapes"), FUNCTIONS, ids=[f"{c[0]}-{c[3]}" for c in FUNCTIONS])
def test_broadcasting_and_elementwise_functions(check, name, f, draw, shapes, seed):
    rng = np.random.default_rng(seed)
    check(f, [draw(rng, shape) for shape in shapes], seed, name)


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value encountered")
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", OTHERS)
def test_reductions_products_shapes_and_indices(check, name, seed):
    f, shapes = OTHERS[name]
    rng = np.random.default_rng(seed)
    check(f, [anything(rng, shape) for shape in shapes], seed, name)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "layout",
    [np.asfortranarray, lambda a: np.repeat(a, 2, axis=0)[::2], lambda a: a[::-1], lambda a: a.T.copy().T],
    ids=["Fortran", "strided", "reversed", "transposed"],
)
@pytest.mark.parametrize("name", ["matmul", "slice", "integers, repeated", "mask of values", "max axis", "reshape"])
def test_the_layout_in_memory_does_not_matter(check, name, layout, seed):
    f, shapes = OTHERS[name]
    rng = np.random.default_rng(seed)
    check(f, [layout(anything(rng, shape)) for shape in shapes], seed, name)


FLOAT32 = [(name, *case, [(3, 4)] * (2 if name in BINARY else 1)) for name, case in (BINARY | UNARY).items()]
FLOAT32 += [(name, f, anything, shapes) for name, (f, shapes) in OTHERS.items() if name != "concatenate with array"]


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value encountered")
@pytest.mark.parametrize(("name", "f", "draw", "shapes"), FLOAT32, ids=[c[0] for c in FLOAT32])
def test_float32_stays_float32(name, f, draw, shapes):
    rng = np.random.default_rng(3)
    arrays = [draw(rng, shape).astype(np.float32) for shape in shapes]
    singles, doubles = [parameter(a) for a in arrays], [parameter(a.astype(np.float64)) for a in arrays]
    result, exact = f(*singles), f(*doubles)
    upstream = rng.normal(size=result.shape)
    result.backward(upstream)
    exact.backward(upstream)
    assert result.dtype == np.float32
    for single, double in zip(singles, doubles, strict=True):
        assert single.grad.dtype == np.float32
        np.testing.assert_allclose(single.grad, double.grad, rtol=1e-4, atol=1e-5, err_msg="seed 3")


def test_a_gradient_has_the_dtype_of_its_argument_when_dtypes_meet():
    w32, x64 = parameter(np.ones(3, np.float32)), parameter(np.arange(3.0))
    (w32 * x64).backward(np.array([1.0, 2.0, 3.0]))
    assert w32.grad.dtype == np.float32
    assert x64.grad.dtype == np.float64
    np.testing.assert_array_equal(w32.grad, [0, 2, 6])
    half = parameter([1.0, 2.0]).astype(np.float32)
    assert half.dtype == np.float32
    second = grad(lambda x: np.sum(grad(lambda z: np.sum(z.astype(np.float32) ** 3))(x)))(np.array([1.0, 2.0]))
    assert second.dtype == np.float64
    np.testing.assert_allclose(second, [6, 12])


@pytest.mark.parametrize("f", [np.maximum, np.minimum])
def test_at_a_tie_the_parts_add_up_to_the_upstream_gradient(f):
    x, y = parameter([1.0, 2.0, 2.0]), parameter([1.0, 3.0, 1.0])
    upstream = np.array([0.3, -1.7, 2.9])
    f(x, y).backward(upstream)
    np.testing.assert_array_equal(x.grad + y.grad, upstream)


@pytest.mark.parametrize("f", [np.max, np.min, np.amax, np.amin])
def test_equal_extremes_share_the_upstream_gradient(f):
    x = parameter(np.full((2, 4), 3.0))
    f(x, axis=1).backward([0.5, -4.0])
    np.testing.assert_allclose(x.grad.sum(axis=1), [0.5, -4.0])


def test_relu_passes_nothing_back_at_zero():
    z = parameter([-1.0, 0.0, 2.0])
    np.maximum(0, z).backward([5.0, 6.0, 7.0])
    np.testing.assert_array_equal(z.grad, [0, 0, 7])


def test_power_at_zero_is_finite():
    x, y = parameter([0.0, 0.0, 2.0]), parameter([0.0, 2.0, 0.0])
    (x**y).backward([1.5, 2.5, 3.5])
    np.testing.assert_array_equal(x.grad, [0, 0, 0])
    np.testing.assert_allclose(y.grad, [0, 0, 3.5 * np.log(2)])


@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 1), (), (1, 1, 1), (2, 3, 4)])
def test_unbroadcast_is_the_transpose_of_broadcasting(shape):
    rng = np.random.default_rng(4)
    x, g = rng.normal(size=shape), rng.normal(size=(2, 3, 4))
    back = unbroadcast(g, shape)
    assert back.shape == shape
    np.testing.assert_allclose(np.sum(np.broadcast_to(x, g.shape) * g), np.sum(x * back))


# --- The check itself rejects what is wrong ---


@pytest.mark.parametrize(
    "wrong",
    [
        lambda g, ans, x: g * (1 - ans * ans) * 1.0005,  # by 0.05 %
        lambda g, ans, x: 1 - ans * ans,  # ignores the upstream gradient
        lambda g, ans, x: g * (1 - ans),
        lambda g, ans, x: -g * (1 - ans * ans),
        lambda g, ans, x: g,
    ],
    ids=["slightly", "no upstream", "not squared", "sign", "identity"],
)
def test_a_wrong_row_is_caught(check, monkeypatch, wrong):
    monkeypatch.setitem(RULES, np.tanh, None)  # restores the right row afterwards
    elementwise(np.tanh, wrong)
    with pytest.raises(AssertionError, match=r"seed 5.*argument 0"):
        check(np.tanh, [anything(np.random.default_rng(5), (3, 4))], 5)


def test_a_row_wrong_only_in_its_second_derivative_is_caught(check, monkeypatch):
    monkeypatch.setitem(RULES, np.tanh, None)
    elementwise(np.tanh, lambda g, ans, x: g * (1 - getattr(ans, "value", ans) ** 2))
    with pytest.raises(AssertionError, match=r"seed 5.*second derivative, argument 0"):
        check(np.tanh, [anything(np.random.default_rng(5), (3, 4))], 5)


def test_a_row_that_ignores_repeated_indices_is_caught(check, monkeypatch):
    def overwritten(g, ans, x, index):
        out = np.zeros(x.shape)
        out[index] = g
        return out

    monkeypatch.setitem(RULES, np.take, None)  # restores the right row afterwards
    primitive(np.take, overwritten, forward=lambda x, index: x[index])
    rows = anything(np.random.default_rng(6), (3, 4))
    with pytest.raises(AssertionError, match=r"seed 6.*argument 0"):
        check(lambda x: np.take(x, index) if isinstance(x, Tensor) else x[index], [rows], 6)

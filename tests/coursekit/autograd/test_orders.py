"""Derivatives of first, second and third order, of every row of the table, to a dozen digits.

The reference is Cauchy's integral formula.  The k-th derivative at 0 of an analytic function φ is k!/rᵏ times the
k-th Fourier coefficient of its values on a circle of radius r around 0.  That needs complex values of φ alone, no
difference of nearly equal numbers, and is exact to about the precision of φ.  A function of arrays becomes a
function of one number along a random direction, φ(t) = Σ u·f(x + t·v), with random u.
"""

import itertools
from collections import namedtuple
from math import factorial
from operator import getitem

import numpy as np
import pytest

from coursekit.autograd import (
    Tensor,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    log_softmax,
    logsumexp,
    no_grad,
    softmax,
    value_and_grad,
    vjp,
)
from coursekit.autograd.recording import primitive
from coursekit.autograd.tensor import RULES

SEEDS = [0, 1]
RADIUS, POINTS = 0.3, 128


def derivatives_on_a_circle(phi, order, radius=RADIUS):
    """φ(0), φ'(0), φ''(0), … up to `order`, for φ real on the real line and analytic well beyond the circle."""
    z = radius * np.exp(2j * np.pi * np.arange(POINTS) / POINTS)
    coefficients = np.fft.fft([complex(phi(point)) for point in z]) / POINTS
    return [factorial(k) * coefficients[k].real / radius**k for k in range(order + 1)]


def test_the_reference_itself():
    got = derivatives_on_a_circle(lambda z: np.exp(2 * z) / (1 - z / 2), 3)
    # exp(2z) = 1 + 2z + 2z² + 4/3 z³, times 1 + z/2 + z²/4 + z³/8
    np.testing.assert_allclose(got, [1, 2.5, 2 * 3.25, 6 * (4 / 3 + 1 + 0.5 + 0.125)], rtol=1e-13)


# --- The rows: f as users write it, and the same for complex numbers where NumPy has none ----------


def between(low, high):
    return lambda rng, shape: rng.uniform(low, high, size=shape)


anything = between(-1, 1)
positive = between(1, 2)


def distinct(rng, shape):
    """Draw entries at least 0.3 apart, so that there are no ties within the circle."""
    size = int(np.prod(shape))
    spread = rng.permutation(np.arange(size) * 0.4 - 0.2 * size) + rng.uniform(0, 0.1, size=size)
    return spread.reshape(shape) + 0.05


def of_reals(choose):
    """Decide by the real parts."""
    return lambda x, y: np.where(choose(x.real, y.real), x, y)


# function: (where, the complex version or None if it is NumPy's own)
ONE_NUMBER = {
    np.positive: (anything, None),
    np.negative: (anything, None),
    np.exp: (anything, None),
    np.exp2: (anything, None),
    np.expm1: (anything, None),
    np.log: (positive, None),
    np.log2: (positive, None),
    np.log10: (positive, None),
    np.log1p: (between(0, 1), None),
    np.sqrt: (positive, None),
    np.cbrt: (positive, lambda x: x ** (1 / 3)),
    np.square: (anything, None),
    np.reciprocal: (positive, None),
    np.absolute: (between(-2, -1), lambda x: -x),
    np.fabs: (positive, lambda x: x),
    np.sin: (anything, None),
    np.cos: (anything, None),
    np.tan: (between(-0.5, 0.5), None),
    np.arcsin: (between(-0.4, 0.4), None),
    np.arccos: (between(-0.4, 0.4), None),
    np.arctan: (between(-0.4, 0.4), None),
    np.sinh: (anything, None),
    np.cosh: (anything, None),
    np.tanh: (anything, None),
    np.arcsinh: (between(-0.4, 0.4), None),
    np.arccosh: (between(2, 3), None),
    np.arctanh: (between(-0.4, 0.4), None),
    np.radians: (anything, lambda x: x * np.pi / 180),
    np.deg2rad: (anything, lambda x: x * np.pi / 180),
    np.degrees: (anything, lambda x: x * 180 / np.pi),
    np.rad2deg: (anything, lambda x: x * 180 / np.pi),
}
# function: (where x, where y, the complex version)
TWO_NUMBERS = {
    np.add: (anything, anything, None),
    np.subtract: (anything, anything, None),
    np.multiply: (anything, anything, None),
    np.true_divide: (anything, positive, None),
    np.power: (positive, anything, None),
    np.remainder: (between(5.4, 5.6), between(1.9, 2.1), lambda x, y: x - 2 * y),
    np.arctan2: (between(-0.5, 0.5), positive, lambda y, x: np.arctan(y / x)),
    np.hypot: (positive, positive, lambda x, y: np.sqrt(x * x + y * y)),
    np.logaddexp: (anything, anything, lambda x, y: np.log(np.exp(x) + np.exp(y))),
    np.maximum: (anything, between(2, 3), lambda x, y: y + 0 * x),
    np.minimum: (anything, between(2, 3), lambda x, y: x + 0 * y),
    np.fmax: (between(2, 3), anything, lambda x, y: x + 0 * y),
    np.fmin: (between(2, 3), anything, lambda x, y: y + 0 * x),
}
# name: (functions of the table that it covers, f, the complex version, where, shapes)
COMPOSITES = {}


def case(name, covers, f, shapes, where=anything, plain=None):
    COMPOSITES[name] = (covers if isinstance(covers, tuple) else (covers,), f, plain or f, where, shapes)


def variance(x, axis=None, ddof=0):
    d = x - np.mean(x, axis=axis, keepdims=True)
    return np.sum(d * d, axis) / (d.size // np.sum(d, axis).size - ddof)


MASK = np.array([[True, False, True, True], [False, False, True, False], [True, True, False, True]])
ORDER = np.array([[2, 0, 0], [1, 1, 3], [0, 3, 2]])

case("matmul", np.matmul, lambda x, y: x @ y, [(2, 3, 4), (4, 2)])
case("matmul vector", np.matmul, lambda x, y: x @ y, [(3,), (2, 3, 4)])
case("dot", np.dot, lambda x, y: np.dot(x, y), [(2, 3), (3,)])
case("dot of many axes", np.dot, lambda x, y: np.dot(x, y), [(2, 3), (2, 3, 2)])
case("vdot", np.vdot, lambda x, y: np.vdot(x, y), [(2, 3), (2, 3)], plain=lambda x, y: np.sum(x * y))
case("vecdot", np.vecdot, lambda x, y: np.vecdot(x, y), [(2, 3), (3,)], plain=lambda x, y: np.sum(x * y, -1))
case("inner", np.inner, lambda x, y: np.inner(x, y), [(2, 3), (4, 3)])
case("outer", np.outer, lambda x, y: np.outer(x, y), [(3,), (2, 2)])
case("tensordot", np.tensordot, lambda x, y: np.tensordot(x, y, axes=([0, 2], [1, 0])), [(2, 3, 4), (4, 2)])
case("einsum product", np.einsum, lambda x, y, z: np.einsum("ij,jk,ik->i", x, y, z), [(2, 3), (3, 4), (2, 4)])
case("einsum diagonal", np.einsum, lambda x: np.einsum("iij->ji", x) ** 3, [(3, 3, 2)])
case("einsum trace", np.einsum, lambda x: np.exp(np.einsum("ii", x)), [(3, 3)])
case("einsum ellipsis", np.einsum, lambda x, y: np.einsum("...ij,...j", x, y) ** 2, [(2, 2, 3), (3,)])
case("einsum sum", np.einsum, lambda x: np.sin(np.einsum("ij->j", x)), [(3, 4)])
case("trace", np.trace, lambda x: np.exp(np.trace(x, 1)), [(3, 4)])
case("diagonal", np.diagonal, lambda x: np.exp(np.diagonal(x, -1, 0, 2)), [(3, 2, 3)])
case("diag", np.diag, lambda x, y: np.diag(np.diag(x) * y, 1) ** 3, [(3, 3), (3,)])
case("triangles", (np.tril, np.triu), lambda x: np.tril(x) ** 3 - np.triu(x, 1) ** 2, [(3, 3)])
case("solve", np.linalg.solve, lambda a, b: np.linalg.solve(a + 4 * np.eye(3), b), [(3, 3), (3, 2)])
case("solve vector", np.linalg.solve, lambda a, b: np.linalg.solve(a + 4 * np.eye(3), b), [(3, 3), (3,)])
case("solve many", np.linalg.solve, lambda a, b: np.linalg.solve(a + 4 * np.eye(3), b), [(2, 3, 3), (3, 2)])
case("inv", np.linalg.inv, lambda a: np.linalg.inv(a + 4 * np.eye(3)), [(2, 3, 3)])
case("det", np.linalg.det, lambda a: np.linalg.det(a + 2 * np.eye(3)), [(2, 3, 3)])
case("norm", np.linalg.norm, lambda x: np.linalg.norm(x), [(3, 4)], positive, lambda x: np.sqrt(np.sum(x * x)))
case(
    "norm along an axis",
    np.linalg.norm,
    lambda x: np.linalg.norm(x, axis=1, keepdims=True),
    [(3, 4)],
    positive,
    lambda x: np.sqrt(np.sum(x * x, 1, keepdims=True)),
)
case("norm 1", np.linalg.norm, lambda x: np.linalg.norm(x, 1) ** 3, [(5,)], positive, lambda x: np.sum(x) ** 3)
case("sum", np.sum, lambda x: np.sum(np.sin(x), axis=(0, 2)), [(2, 3, 2)])
case("sum of all", np.sum, lambda x: np.exp(np.sum(x, keepdims=True)), [(2, 2)])
case("mean", np.mean, lambda x: np.mean(x, axis=-1) ** 3, [(2, 3)])
case("var", np.var, lambda x: np.var(x, axis=0, ddof=1), [(4, 3)], plain=lambda x: variance(x, 0, 1))
case("std", np.std, lambda x: np.std(x, axis=1), [(2, 4)], distinct, lambda x: np.sqrt(variance(x, 1)))
case("prod", np.prod, lambda x: np.prod(x, axis=1), [(2, 5)])
case("prod with a zero", np.prod, lambda x: np.prod(x * [1, 0, 1]) + np.prod(x * [0, 0, 1]), [(3,)])
case("cumsum", np.cumsum, lambda x: np.exp(np.cumsum(x, axis=1)) + np.cumsum(x).reshape(2, 3) ** 3, [(2, 3)])
case("max", (np.max, np.amax), lambda x: np.max(x, axis=1) ** 3 + np.amax(x), [(3, 4)], distinct)
case("min", (np.min, np.amin), lambda x: np.min(x, axis=0) ** 3 * np.amin(x), [(3, 4)], distinct)
case("sort", np.sort, lambda x: np.sort(x, axis=0) ** 3, [(4, 2)], distinct, lambda x: np.sort(x, axis=0) ** 3)
case(
    "clip",
    np.clip,
    lambda x, low: np.clip(x, low, 2.0) ** 3,
    [(3, 4), ()],
    distinct,
    lambda x, low: np.where(x.real > 2, 2, np.where(x.real < low.real, low, x)) ** 3,
)
case("where", np.where, lambda x, y: np.where(MASK, x, y) ** 3, [(3, 4), (4,)])
case("softmax", (), lambda x: softmax(x), [(2, 4)], plain=lambda x: np.exp(x) / np.sum(np.exp(x), -1, keepdims=True))
case(
    "log_softmax",
    (),
    lambda x: log_softmax(x, axis=0),
    [(4, 2)],
    plain=lambda x: x - np.log(np.sum(np.exp(x), 0, keepdims=True)),
)
case("logsumexp", (), lambda x: logsumexp(x, 1), [(2, 4)], plain=lambda x: np.log(np.sum(np.exp(x), 1)))
case("numbers as powers", np.power, lambda x: x**2 + x**-1.5 + 2.0**x + x**0 + x**1, [(4,)], positive)
case(
    "arrays as powers", np.power, lambda x: x ** np.array([0, 1, 2, 3]) + np.array([[0.5], [2]]) ** x, [(4,)], positive
)
case("powers at negative numbers", np.power, lambda x: x**3 + x ** np.array([2, 5]), [(2,)], between(-2, -1))
case("reshape", (np.reshape, np.ravel), lambda x: x.reshape(3, 2).ravel() ** 3, [(2, 3)])
case("one more axis", (np.expand_dims, np.squeeze), lambda x: np.squeeze(np.expand_dims(x, 1) ** 3, 1), [(2, 3)])
case("swapaxes", np.swapaxes, lambda x: np.swapaxes(x, 0, 2) ** 3, [(2, 3, 2)])
case("moveaxis", np.moveaxis, lambda x: np.moveaxis(x, (0, 1), (-1, 0)) ** 3, [(2, 3, 2)])
case("transpose", np.transpose, lambda x: np.transpose(x, (2, 0, 1)) ** 3 + x.T[:, :2].mT ** 2, [(2, 2, 2)])
case("flips", (np.flip, np.fliplr, np.flipud), lambda x: np.flip(x) * np.fliplr(x) * np.flipud(x), [(2, 3)])
case("roll", np.roll, lambda x: np.roll(x, 1, 0) * np.roll(x, -2) * np.roll(x, (1, 2), (0, 1)), [(3, 3)])
case("broadcast_to", np.broadcast_to, lambda x: np.broadcast_to(x, (2, 3, 4)) ** 3, [(3, 1)])
case("copy", np.copy, lambda x: np.copy(x) ** 3, [(3,)])
case("at least", (np.atleast_1d, np.atleast_2d), lambda x: np.atleast_1d(x) ** 3 + np.atleast_2d(x) ** 2, [()])
case("tile", np.tile, lambda x: np.tile(x, (2, 1, 2)) ** 3, [(2, 3)])
case("repeat", np.repeat, lambda x: np.repeat(x, [2, 0, 1], axis=1) ** 3, [(2, 3)])
case("concatenate", np.concatenate, lambda x, y: np.concatenate([x, y, x], axis=-1) ** 3, [(2, 3), (2, 1)])
case("stack", np.stack, lambda x, y: np.stack([x, y], axis=1) ** 3, [(2, 3), (2, 3)])
case("append", np.append, lambda x, y: np.append(x, y) ** 3, [(2, 3), (2,)])
case("hstack", np.hstack, lambda x, y: np.hstack([x, y]) ** 3, [(2, 3), (2, 1)])
case("vstack", np.vstack, lambda x, y: np.vstack([x, y]) ** 3, [(2, 3), (3,)])
case("column_stack", np.column_stack, lambda x, y: np.column_stack([x, y]) ** 3, [(2,), (2, 3)])
case("split", np.split, lambda x: np.multiply(*np.split(x, 2, axis=1)) ** 2, [(2, 4)])
case("array_split", np.array_split, lambda x: np.array_split(x, 2)[0][:2] * np.array_split(x, [1, 3])[1], [(5,)])
case("diff", np.diff, lambda x: np.diff(x, 2, axis=0) ** 3, [(4, 2)])
case("indices", getitem, lambda x: x[[0, 0, 2]] ** 2 * x[:, 2, None] * x[MASK][:1], [(3, 4)])
case("take", np.take, lambda x: np.take(x, ORDER, 1) ** 3, [(3, 4)])
case("take_along_axis", np.take_along_axis, lambda x: np.take_along_axis(x, ORDER, 1) ** 3, [(3, 4)])
case("pad", np.pad, lambda x: np.pad(x, 1) ** 3 + np.pad(x, ((2, 0), (1, 1)), "edge") ** 2, [(2, 2)])
case("astype", np.ndarray.astype, lambda x: x.astype(float) ** 3, [(3,)], plain=lambda x: x**3)

# Their results are piecewise constant.
FLAT = {
    np.sign, np.signbit, np.floor, np.ceil, np.trunc, np.rint, np.floor_divide, np.round, np.fix,
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.isclose, np.allclose,
    np.logical_and, np.logical_or, np.logical_xor, np.logical_not, np.isnan, np.isinf, np.isfinite,
    np.argmax, np.argmin, np.argsort, np.nonzero, np.count_nonzero, np.any, np.all, np.array_equal,
    np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like, np.searchsorted,
}  # fmt: skip


def test_no_row_of_the_table_is_forgotten_here():
    covered = FLAT.union(ONE_NUMBER, TWO_NUMBERS, *(covers for covers, *_ in COMPOSITES.values()))
    # Internal operations, such as the sum over copies, are covered by the functions that use them.
    missing = [f for f in RULES if f not in covered and not str(getattr(f, "__module__", "")).startswith("coursekit")]
    assert not missing, f"add these to ONE_NUMBER, TWO_NUMBERS, COMPOSITES or FLAT: {missing}"


@pytest.mark.parametrize("f", ONE_NUMBER, ids=lambda f: f.__name__)
def test_three_derivatives_of_a_function_of_one_number(f):
    where, plain = ONE_NUMBER[f]
    rng = np.random.default_rng(0)
    x, w = where(rng, 5), rng.normal(size=5)
    g = f
    for order in 0, 1, 2, 3:
        expected = [derivatives_on_a_circle(lambda t, at=at: (plain or f)(at + t), order)[-1] for at in x]
        message = f"{f.__name__}, order {order}, seed 0, at {x}"
        np.testing.assert_allclose(g(x), expected * w**order, rtol=1e-9, atol=1e-9, err_msg=message)
        g = grad(lambda x, g=g: np.sum(w * g(x)))


def along(f, arrays, directions, weights):
    return lambda t: np.sum(weights * f(*(x + t * v for x, v in zip(arrays, directions, strict=True))))


def check_orders(name, f, plain, arrays, rng, rtol=1e-8):
    directions = [rng.uniform(-0.3, 0.3, size=x.shape) for x in arrays]
    value = f(*arrays)
    weights = rng.normal(size=np.shape(value))
    expected = derivatives_on_a_circle(along(plain, arrays, directions, weights), 3)
    scale = max(1, *map(abs, expected))

    def agrees(got, order, how):
        error = abs(float(got) - expected[order])
        assert error <= rtol * abs(expected[order]) + 1e-12 * scale, (
            f"{name}, order {order} {how}: {got}, expected {expected[order]}"
        )

    # Along a line, with reverse mode in every order.
    phi = along(f, arrays, directions, weights)
    agrees(phi(0.0), 0, "value")
    first = grad(phi)
    second = grad(first)
    agrees(first(0.0), 1, "grad")
    agrees(second(0.0), 2, "grad of grad")
    agrees(grad(second)(0.0), 3, "grad of grad of grad")

    # In the arrays themselves: the gradient, the Hessian times v, and its derivative along v.
    def loss(*xs):
        return np.sum(weights * f(*xs))

    slopes = grad(loss, argnums=tuple(range(len(arrays))))(*arrays)
    agrees(sum(np.sum(g * v) for g, v in zip(slopes, directions, strict=True)), 1, "gradient · v")
    curvature = hvp(lambda xs: loss(*xs), arrays, directions)
    agrees(sum(np.sum(h * v) for h, v in zip(curvature, directions, strict=True)), 2, "v · Hv")

    def curvature_at(t):
        moved = [x + t * v for x, v in zip(arrays, directions, strict=True)]
        return sum(np.sum(h * v) for h, v in zip(hvp(lambda xs: loss(*xs), moved, directions), directions, strict=True))

    agrees(grad(curvature_at)(0.0), 3, "gradient of v · Hv")

    # Forward mode.
    def push(g):
        return lambda t: jvp(g, (t,), (1.0,))[1]

    agrees(push(phi)(0.0), 1, "jvp")
    agrees(push(push(phi))(0.0), 2, "jvp of jvp")
    agrees(grad(push(push(phi)))(0.0), 3, "grad of jvp of jvp")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("f", TWO_NUMBERS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("shapes", [[(2, 3), (3,)], [(), (2, 1)]], ids=str)
def test_three_derivatives_of_a_function_of_two_numbers(f, shapes, seed):
    where_x, where_y, plain = TWO_NUMBERS[f]
    rng = np.random.default_rng(seed)
    arrays = [where_x(rng, shapes[0]), where_y(rng, shapes[1])]
    check_orders(f"{f.__name__}, seed {seed}", f, plain or f, arrays, rng)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", COMPOSITES)
def test_three_derivatives_of_everything_else(name, seed):
    _, f, plain, where, shapes = COMPOSITES[name]
    rng = np.random.default_rng(seed)
    check_orders(f"{name}, seed {seed}", f, plain, [where(rng, shape) for shape in shapes], rng)


def test_a_third_derivative_that_is_wrong_by_a_millionth_is_noticed(monkeypatch):
    monkeypatch.setitem(RULES, np.sin, RULES[np.sin])
    wrong = primitive(np.sin, lambda g, ans, x: g * np.cos(x))
    monkeypatch.setitem(RULES, np.cos, RULES[np.cos])
    monkeypatch.setitem(RULES, np.sin, wrong)
    primitive(np.cos, lambda g, ans, x: -g * np.sin(x) * (1 + 1e-6))
    with pytest.raises(AssertionError, match=r"order 2 grad of grad"):
        check_orders("sin", np.sin, np.sin, [np.array([0.5, 1.0])], np.random.default_rng(0))


# --- The transformations agree with each other -----------------------------------------------------

# From R⁵ to R⁴, each entry of another kind.
A, B = np.random.default_rng(7).normal(size=(2, 4, 5))
MAPS = {
    "layer": lambda x: np.tanh(A @ x + 0.1),
    "quotient": lambda x: (A @ x) / (1 + (B @ x) ** 2),
    "softmax": lambda x: softmax(A @ x) * (B @ x),
    "indices": lambda x: x[[0, 0, 3, 1]] * np.exp(x[1:]),
    "kinks": lambda x: np.maximum(A @ x, 0.3 * (B @ x)) * np.sort(x)[1:],
    "solve": lambda x: np.linalg.solve(5 * np.eye(4) + np.outer(A @ x, B @ x), x[:4]),
    "norm": lambda x: np.linalg.norm(A * x, axis=1) + np.cumsum(x[1:] ** 3),
    "linear": lambda x: A @ x,
    "constant in part": lambda x: np.stack([x[0] ** 2, np.sum(np.floor(x)), x[1], x[0] * x[1]]),
}
EVERY = pytest.mark.parametrize(("name", "seed"), list(itertools.product(MAPS, SEEDS)))


def scalar(f):
    return lambda x: np.sum(np.sin(f(x)) * [1.0, -2.0, 0.5, 1.5])


def point(seed, n=5):
    rng = np.random.default_rng([seed, 3])
    return rng.normal(size=n), rng


@EVERY
def test_the_jacobian_is_the_numerical_one(name, seed):
    x, _ = point(seed)
    f, h = MAPS[name], 1e-5
    columns = [(f(x + h * e) - f(x - h * e)) / (2 * h) for e in np.eye(5)]
    np.testing.assert_allclose(jacobian(f)(x), np.stack(columns, 1), rtol=1e-6, atol=1e-8, err_msg=f"{name} {seed}")


@EVERY
def test_forward_and_backward_mode_agree(name, seed):
    x, rng = point(seed)
    u, v, f = rng.normal(size=4), rng.normal(size=5), MAPS[name]
    value, pull_back = vjp(f, x)
    same_value, pushed = jvp(f, (x,), (v,))
    (pulled,) = pull_back(u)
    J = jacobian(f)(x)
    np.testing.assert_array_equal(value, f(x), err_msg=f"{name} {seed}")
    np.testing.assert_array_equal(same_value, f(x), err_msg=f"{name} {seed}")
    np.testing.assert_allclose(u @ pushed, pulled @ v, rtol=1e-12, err_msg=f"u·Jv and uᵀJ·v, {name} {seed}")
    np.testing.assert_allclose(pushed, J @ v, rtol=1e-12, atol=1e-13, err_msg=f"{name} {seed}")
    np.testing.assert_allclose(pulled, u @ J, rtol=1e-12, atol=1e-13, err_msg=f"{name} {seed}")


@EVERY
def test_the_hessian_is_symmetric_and_hvp_is_its_product(name, seed):
    x, rng = point(seed)
    f, v = scalar(MAPS[name]), rng.normal(size=5)
    H = hessian(f)(x)
    np.testing.assert_allclose(H, H.T, rtol=1e-10, atol=1e-12, err_msg=f"{name} {seed}")
    np.testing.assert_allclose(hvp(f, x, v), H @ v, rtol=1e-10, atol=1e-11, err_msg=f"{name} {seed}")
    np.testing.assert_allclose(jacobian(grad(f))(x), H, rtol=1e-10, atol=1e-12, err_msg=f"{name} {seed}")
    forwards = jvp(grad(f), (x,), (v,))[1]
    np.testing.assert_allclose(forwards, H @ v, rtol=1e-10, atol=1e-11, err_msg=f"jvp of grad, {name} {seed}")
    backwards = grad(lambda x: jvp(f, (x,), (v,))[1])(x)
    np.testing.assert_allclose(backwards, H @ v, rtol=1e-10, atol=1e-11, err_msg=f"grad of jvp, {name} {seed}")


@EVERY
def test_derivatives_of_pull_backs_and_pull_backs_of_derivatives(name, seed):
    x, rng = point(seed)
    f, u, v = MAPS[name], rng.normal(size=4), rng.normal(size=5)
    H = hessian(lambda x: np.sum(u * f(x)))(x)  # Σ u_k H_k
    through = grad(lambda x: np.sum(vjp(f, x)[1](u)[0] * v))(x)
    np.testing.assert_allclose(through, H @ v, rtol=1e-10, atol=1e-11, err_msg=f"grad of vjp, {name} {seed}")
    _, pull_back = vjp(grad(scalar(f)), x)
    np.testing.assert_allclose(
        pull_back(v)[0], hvp(scalar(f), x, v), rtol=1e-10, atol=1e-11, err_msg=f"vjp of grad, {name} {seed}"
    )
    twice = jvp(lambda x: jvp(f, (x,), (v,))[1], (x,), (v,))[1]
    np.testing.assert_allclose(u @ twice, v @ H @ v, rtol=1e-9, atol=1e-10, err_msg=f"jvp of jvp, {name} {seed}")
    third = jacobian(hessian(scalar(f)))(x)
    for axes in itertools.permutations(range(3)):
        message = f"third derivatives commute, {name} {seed} {axes}"
        np.testing.assert_allclose(third, third.transpose(axes), rtol=1e-9, atol=1e-9, err_msg=message)


@EVERY
def test_the_gradient_of_a_gradient_penalty_is_twice_the_hessian_times_the_gradient(name, seed):
    x, _ = point(seed)
    f = scalar(MAPS[name])
    got = grad(lambda x: np.sum(grad(f)(x) ** 2))(x)
    wanted = 2 * hessian(f)(x) @ grad(f)(x)
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-11, err_msg=f"{name} {seed}")
    W = Tensor(x, requires_grad=True)  # the same with backward
    np.sum(grad(f)(W) ** 2).backward()
    np.testing.assert_allclose(W.grad, wanted, rtol=1e-10, atol=1e-11, err_msg=f"backward, {name} {seed}")


Layer = namedtuple("Layer", ["W", "b"])


def nested(seed):
    rng = np.random.default_rng([seed, 9])
    first = Layer(rng.normal(size=(3, 4)), rng.normal(size=4))
    return {"layers": [first, (rng.normal(size=(4, 2)), rng.normal(size=2))], "scale": np.array(1.3), "none": ()}


def network(parameters, X):
    (W1, b1), (W2, b2) = parameters["layers"]
    return parameters["scale"] * (np.tanh(X @ W1 + b1) @ W2 + b2)


def flattened(tree):
    if isinstance(tree, dict):
        return [leaf for branch in tree.values() for leaf in flattened(branch)]
    return [leaf for branch in tree for leaf in flattened(branch)] if isinstance(tree, list | tuple) else [tree]


@pytest.mark.parametrize("seed", SEEDS)
def test_structures_go_in_and_come_out(seed):
    parameters, X = nested(seed), np.random.default_rng(seed).normal(size=(5, 3))

    def loss(parameters, X):
        return np.sum(network(parameters, X) ** 2)

    value, slopes = value_and_grad(loss)(parameters, X)
    assert value == loss(parameters, X)
    assert list(slopes) == ["layers", "scale", "none"]
    assert isinstance(slopes["layers"], list)
    assert type(slopes["layers"][0]) is Layer
    assert type(slopes["layers"][1]) is tuple
    assert slopes["none"] == ()

    leaves = flattened(parameters)
    for i, slope in enumerate(flattened(slopes)):

        def of_leaf(leaf, i=i):
            (W1, b1, W2, b2, scale) = (*leaves[:i], leaf, *leaves[i + 1 :])
            return loss({"layers": [(W1, b1), (W2, b2)], "scale": scale}, X)

        assert slope.shape == leaves[i].shape
        np.testing.assert_allclose(slope, grad(of_leaf)(leaves[i]), rtol=1e-12, err_msg=f"leaf {i}, seed {seed}")

    curved = hvp(lambda p: loss(p, X), parameters, slopes)
    penalty = grad(lambda p: sum(np.sum(g * g) for g in flattened(grad(loss)(p, X))))(parameters)
    for h, p in zip(flattened(curved), flattened(penalty), strict=True):
        np.testing.assert_allclose(2 * h, p, rtol=1e-10, atol=1e-10, err_msg=f"seed {seed}")

    upstream = np.random.default_rng(seed).normal(size=(5, 2))
    value, pull_back = vjp(network, parameters, X)
    by_parameters, by_X = pull_back(upstream)
    pushed = jvp(network, (parameters, X), (slopes, np.ones_like(X)))[1]
    products = zip(flattened(by_parameters), flattened(slopes), strict=True)
    total = sum(np.sum(a * b) for a, b in products) + np.sum(by_X)
    np.testing.assert_allclose(total, np.sum(upstream * pushed), rtol=1e-10, err_msg=f"seed {seed}")


def test_a_function_may_return_a_structure():
    def f(x, y):
        return {"sum": x + y, "both": (x * y, [np.sin(x)])}

    x, y = np.array([1.0, 2.0]), np.array([3.0, -1.0])
    value, pull_back = vjp(f, x, y)
    upstream = {"sum": np.array([1.0, 10.0]), "both": (np.array([2.0, 3.0]), [np.array([-1.0, 4.0])])}
    dx, dy = pull_back(upstream)
    np.testing.assert_allclose(dx, [1, 10] + np.array([2, 3]) * y + np.array([-1, 4]) * np.cos(x))
    np.testing.assert_allclose(dy, [1, 10] + np.array([2, 3]) * x)
    value, pushed = jvp(f, (x, y), (np.array([1.0, 0.0]), np.array([0.0, 2.0])))
    np.testing.assert_allclose(pushed["sum"], [1.0, 2.0])
    np.testing.assert_allclose(pushed["both"][0], [3.0, 4.0])
    np.testing.assert_allclose(pushed["both"][1][0], [np.cos(1.0), 0.0])
    np.testing.assert_allclose(value["both"][1][0], np.sin(x))


@pytest.mark.parametrize("argnums", [0, 1, 2, -1, (0, 2), (2, 0), (1,), (0, 1, 2), (-1, 0)], ids=str)
def test_argnums_choose_and_order_the_arguments(argnums):
    def f(x, y, z, factor=1.0):
        return factor * np.sum(x * y**2 * np.exp(z))

    args = tuple(np.random.default_rng(4).normal(size=(3, 2)))
    x, y, z = args
    by_hand = [y**2 * np.exp(z), 2 * x * y * np.exp(z), x * y**2 * np.exp(z)]
    got = grad(f, argnums)(*args, factor=3.0)
    if isinstance(argnums, int):
        np.testing.assert_allclose(got, 3 * by_hand[argnums])
        H = hessian(f, argnums)(*args)
        diagonal = [0 * x, 2 * x * np.exp(z), x * y**2 * np.exp(z)][argnums]
        np.testing.assert_allclose(H, np.diag(diagonal), atol=1e-15)
    else:
        assert isinstance(got, tuple)
        for i, g in zip(argnums, got, strict=True):
            np.testing.assert_allclose(g, 3 * by_hand[i])


def test_mixed_partials_by_different_arguments_commute():
    def f(x, y):
        return np.sum(np.sin(np.outer(x, y)) * np.exp(x)[:, None])

    x, y = np.random.default_rng(2).normal(size=3), np.random.default_rng(3).normal(size=4)
    xy = jacobian(lambda y: grad(f, 0)(x, y))(y)
    yx = jacobian(lambda x: grad(f, 1)(x, y))(x)
    np.testing.assert_allclose(xy, yx.T, rtol=1e-12)


def test_the_same_array_for_two_arguments_stays_two_variables():
    x = np.array([1.0, 2.0])
    dx, dy = grad(lambda x, y: np.sum(x**2 * y**3), argnums=(0, 1))(x, x)
    np.testing.assert_allclose(dx, 2 * x**4)
    np.testing.assert_allclose(dy, 3 * x**4)
    t = Tensor(x, requires_grad=True)
    dx = grad(lambda x, y: np.sum(x**2 * y**3))(t, t)  # with respect to the first alone
    np.testing.assert_allclose(dx.value, 2 * x**4)
    np.sum(dx).backward()  # but the result depends on both
    np.testing.assert_allclose(t.grad, 8 * x**3)


def test_derivatives_of_any_order_of_a_polynomial_and_of_exp():
    f = lambda x: x**5  # noqa: E731
    for expected in 5 * 2.0**4, 20 * 2.0**3, 60 * 2.0**2, 120 * 2.0, 120.0, 0.0, 0.0:
        f = grad(f)
        assert float(f(2.0)) == pytest.approx(expected, rel=1e-14, abs=1e-14)
    f = np.exp
    for _ in range(6):
        f = grad(f)
        assert float(f(0.5)) == pytest.approx(np.exp(0.5), rel=1e-14)


# --- Tensors from outside, and no_grad -------------------------------------------------------------


def test_what_closes_over_a_tensor_gives_tensors_that_backward_differentiates():
    w, x = Tensor([1.0, -2.0, 0.5], requires_grad=True), np.array([0.3, 0.4, -0.2])

    def f(x):
        return np.sum(np.sin(w * x))

    H = hessian(f)(x)  # −w² sin(w x) on the diagonal
    assert isinstance(H, Tensor)
    upstream = np.random.default_rng(5).normal(size=(3, 3))
    H.backward(upstream)
    W = w.value
    by_hand = np.diag(upstream) * (-2 * W * np.sin(W * x) - W**2 * x * np.cos(W * x))
    np.testing.assert_allclose(H.value, np.diag(-(W**2) * np.sin(W * x)), atol=1e-15)
    np.testing.assert_allclose(w.grad, by_hand, rtol=1e-13)

    w.grad = None
    value, slopes = value_and_grad(f)(x)
    (value + np.sum(slopes)).backward()
    np.testing.assert_allclose(w.grad, x * np.cos(W * x) + np.cos(W * x) - W * x * np.sin(W * x), rtol=1e-13)

    w.grad = None
    value, pushed = jvp(lambda x: w * x**2, (x,), (np.ones(3),))
    np.sum(pushed * upstream[0]).backward()
    np.testing.assert_allclose(w.grad, 2 * x * upstream[0], rtol=1e-13)

    w.grad = None
    value, pull_back = vjp(lambda x: w * x**2, x)
    np.sum(pull_back(upstream[1])[0]).backward()
    np.testing.assert_allclose(w.grad, 2 * x * upstream[1], rtol=1e-13)


def test_grad_does_not_touch_the_grad_of_tensors_outside():
    w = Tensor(2.0, requires_grad=True)
    grad(lambda x: w * x**2)(3.0)
    assert w.grad is None


def test_under_no_grad_gradients_are_computed_and_tensors_outside_are_constants():
    w = Tensor(2.0, requires_grad=True)
    with no_grad():
        slope = grad(lambda x: w * x**2)(3.0)
        curve = grad(grad(lambda x: w * x**3))(3.0)
        H = hessian(lambda x: w * np.sum(x**2))(np.ones(2))
        _, pushed = jvp(lambda x: w * x, (3.0,), (1.0,))
        product = hvp(lambda x: w * np.sum(x**3), np.ones(2), np.ones(2))
        of_itself = grad(lambda w: w**2)(w)
        after = w * 2
    for got, expected in [(slope, 12.0), (curve, 36.0), (pushed, 2.0), (of_itself, 4.0)]:
        assert not isinstance(got, Tensor)
        assert float(got) == expected
    assert not isinstance(H, Tensor)
    np.testing.assert_array_equal(H, 4 * np.eye(2))
    np.testing.assert_array_equal(product, [12.0, 12.0])
    assert not after.requires_grad
    assert w.grad is None
    assert (w * 2).requires_grad  # and outside nothing has changed


def test_no_grad_within_a_function_makes_a_constant():
    def f(x):
        with no_grad():
            y = x * x
        return np.sum(y * x)

    x = np.array([2.0, 3.0])
    np.testing.assert_array_equal(grad(f)(x), x**2)
    np.testing.assert_array_equal(hessian(f)(x), np.zeros((2, 2)))


def test_an_exception_ends_no_grad():
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert (Tensor(1.0, requires_grad=True) * 2).requires_grad


def test_levels_do_not_mix():
    """The inner gradient is with respect to the inner variable alone (no "perturbation confusion")."""
    assert float(grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0)) == 1.0
    assert float(grad(lambda x: x * jvp(lambda y: x * y, (1.0,), (1.0,))[1])(3.0)) == 6.0
    assert float(jvp(lambda x: x * jvp(lambda y: x + y, (1.0,), (1.0,))[1], (1.0,), (1.0,))[1]) == 1.0
    assert float(grad(lambda x: grad(lambda y: grad(lambda z: x * y**2 * z**3)(x))(x))(2.0)) == 6 * 4 * 2.0**3

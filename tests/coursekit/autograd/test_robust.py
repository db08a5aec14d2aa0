"""Whatever arrays come in, in whatever layout, from whatever thread: right gradients, nothing of the user changed."""

import copy
import gc
import inspect
import sys
import threading
import warnings
import weakref

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from coursekit.autograd import Tensor, grad, hvp, logsumexp, no_grad, softmax, vjp
from coursekit.autograd.recording import primitive
from coursekit.autograd.tensor import RULES
from coursekit.gradcheck import numerical_gradient

SEEDS = range(40)


def parameter(value):
    return Tensor(value, requires_grad=True)


def examples(number):
    return settings(max_examples=number, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


# --- Gradients are added up in place, but never in an array that somebody else may see --------------

# Operations whose gradient is the upstream gradient itself, or a view of it, or one array for several inputs; all
# from (3, 3) to (3, 3).
UNARY = [
    lambda x: +x,
    lambda x: x + 1.0,
    lambda x: x - np.ones(3),
    lambda x: -x,
    lambda x: x.T,
    lambda x: x.reshape(9).reshape(3, 3),
    lambda x: np.expand_dims(x, 0)[0],
    lambda x: np.squeeze(x[None]),
    lambda x: x[::-1],
    lambda x: x[:, [0, 0, 2]],
    lambda x: x[...],
    lambda x: np.broadcast_to(x, (2, 3, 3))[1],
    lambda x: np.broadcast_to(np.sum(x, axis=0), (3, 3)),
    lambda x: x + np.sum(x),
    lambda x: x + x.mean(axis=1, keepdims=True),
    lambda x: np.flip(x, 1),
    lambda x: np.roll(x, 1, 0),
    lambda x: np.swapaxes(x, 0, 1),
    lambda x: np.concatenate([x[:1], x[1:]]),
    lambda x: np.stack(list(x)),
    lambda x: np.hstack(np.split(x, 3, axis=1)),
    lambda x: np.where(np.eye(3, dtype=bool), x, x.T),
    lambda x: np.pad(x[1:], ((1, 0), (0, 0))),
    lambda x: np.cumsum(x, axis=0) / 2,
    lambda x: np.copy(x),
    lambda x: x.astype(np.float64),
    lambda x: np.einsum("ij->ji", x),
    lambda x: np.tanh(x),
]
BINARY = [
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: x + y.T,
    lambda x, y: np.add(x, x) + y,
    lambda x, y: np.stack([x, y])[0] + np.stack([x, y]).sum(axis=0),
    lambda x, y: np.concatenate([x, y], axis=1)[:, 2:5],
    lambda x, y: np.where(np.tri(3, dtype=bool), x, y),
    lambda x, y: np.maximum(x, y),
    lambda x, y: x[0] + y,
    lambda x, y: x * y / 4,
    lambda x, y: x @ y / 4,
]


def random_graph(rng, leaves, steps=12):
    results = list(leaves)
    for _ in range(steps):
        if rng.random() < 0.5:
            results.append(UNARY[rng.integers(len(UNARY))](results[rng.integers(len(results))]))
        else:
            i, j = rng.integers(len(results), size=2)
            results.append(BINARY[rng.integers(len(BINARY))](results[i], results[j]))
    return results


@pytest.mark.parametrize("seed", SEEDS)
def test_no_array_of_the_user_is_written_to(seed):
    rng = np.random.default_rng(seed)
    inputs = [rng.normal(size=(3, 3)) for _ in range(3)]
    leaves = [parameter(x) for x in inputs[:2]] + [Tensor(inputs[2])]
    results = random_graph(rng, leaves)
    mine = {f"input {i}": x for i, x in enumerate(inputs)}
    mine |= {f"value of result {i}": result.value for i, result in enumerate(results)}
    copies = {name: np.array(array) for name, array in mine.items()}
    for turn in range(4):
        upstream = rng.normal(size=(3, 3))
        mine[f"upstream {turn}"], copies[f"upstream {turn}"] = upstream, upstream.copy()
        if results[-1 - turn].requires_grad:
            results[-1 - turn].backward(upstream)
        for i, result in enumerate(results):
            if result.grad is not None and rng.random() < 0.4:  # handed out, and kept by the user
                name = f"gradient of result {i} after backward {turn}"
                handed_out = result.grad
                mine[name], copies[name] = handed_out, np.array(handed_out)
        for name, array in mine.items():
            np.testing.assert_array_equal(array, copies[name], err_msg=f"{name} changed in turn {turn}, seed {seed}")


@pytest.mark.parametrize("seed", SEEDS)
def test_writing_into_one_gradient_changes_no_other_and_no_later_one(seed):
    def gradients(spoil):
        rng = np.random.default_rng([seed, 1])
        leaves = [parameter(rng.normal(size=(3, 3))) for _ in range(3)]
        results = random_graph(rng, leaves)
        collected = []
        for _ in range(2):  # the same record once more, after all that
            if results[-1].requires_grad:
                upstream = rng.normal(size=(3, 3))
                results[-1].backward(upstream)
                upstream[...] = np.nan
            for result in results:
                if result.grad is not None:
                    collected.append(np.array(result.grad))
                    if spoil:
                        result.grad[...] = np.nan
                    result.grad = None
        return collected

    for i, (clean, spoiled) in enumerate(zip(gradients(False), gradients(True), strict=True)):
        np.testing.assert_array_equal(clean, spoiled, err_msg=f"gradient {i}, seed {seed}")


@pytest.mark.parametrize("seed", SEEDS)
def test_the_results_of_transformations_are_arrays_of_their_own(seed):
    rng = np.random.default_rng([seed, 2])
    inputs, state = [rng.normal(size=(3, 3)) for _ in range(3)], rng.bit_generator.state

    def f(*xs):
        again = np.random.default_rng()
        again.bit_generator.state = state
        return random_graph(again, xs)[-1]

    copies = [x.copy() for x in inputs]
    upstream = rng.normal(size=(3, 3))
    kept = upstream.copy()
    _, pull_back = vjp(f, *inputs)
    first = pull_back(upstream)
    remembered = [g.copy() for g in first]
    for g in first:
        g[...] = np.nan  # writable, and nobody else's
        assert not any(np.shares_memory(g, other) for other in first if other is not g), f"seed {seed}"
    for g, wanted in zip(pull_back(upstream), remembered, strict=True):
        np.testing.assert_array_equal(g, wanted, err_msg=f"second call, seed {seed}")
    for x, wanted in zip([*inputs, upstream], [*copies, kept], strict=True):
        np.testing.assert_array_equal(x, wanted, err_msg=f"seed {seed}")


def test_the_fuzz_notices_a_backward_that_writes_into_the_upstream_gradient(monkeypatch):
    right = Tensor.backward

    def wrong(self, upstream=None):
        right(self, upstream)
        upstream *= 2

    monkeypatch.setattr(Tensor, "backward", wrong)
    with pytest.raises(AssertionError, match="upstream 0 changed in turn 0, seed 0"):
        test_no_array_of_the_user_is_written_to(0)


@pytest.mark.parametrize(
    "test",
    [
        test_no_array_of_the_user_is_written_to,
        test_writing_into_one_gradient_changes_no_other_and_no_later_one,
        test_the_results_of_transformations_are_arrays_of_their_own,
    ],
)
def test_the_fuzz_notices_a_rule_that_hands_out_an_array_of_the_user(test, monkeypatch):
    """np.copy, of all functions, gives back its argument as the gradient, and adds something to it."""
    monkeypatch.setitem(RULES, np.copy, RULES[np.copy])
    primitive(np.copy, lambda g, ans, x: np.add(x, 1e-3, out=x) if isinstance(x, np.ndarray) else x)
    with pytest.raises((AssertionError, ValueError)):
        list(map(test, SEEDS))


def test_the_value_of_a_constant_function_and_of_the_identity_do_not_alias_gradients():
    x = np.ones(3)
    dx, dy = grad(lambda x, y: np.sum(x + y), argnums=(0, 1))(x, x)
    dx[...] = 5.0
    np.testing.assert_array_equal(dy, np.ones(3))
    np.testing.assert_array_equal(x, np.ones(3))
    upstream = np.ones(3)
    _, pull_back = vjp(lambda x: x, x)
    (g,) = pull_back(upstream)
    g[...] = 7.0
    np.testing.assert_array_equal(upstream, np.ones(3))


# --- Layouts, dtypes and kinds of inputs -----------------------------------------------------------


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def strided(x):
    big = np.full([2 * n for n in x.shape], np.nan)
    view = big[tuple(slice(None, None, 2) for _ in x.shape)]
    view[...] = x
    return view


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": strided,
    "negative strides": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": read_only,
    "big-endian": lambda x: x.astype(">f8"),
    "unaligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float64).reshape(x.shape),
}
FUNCTIONS = {
    "matmul": lambda x: x @ x.T,
    "dot": lambda x: np.dot(np.ones((2, 3), np.int8), x),
    "multiply": lambda x: x * x[::-1],
    "sum": lambda x: np.sum(x, axis=0) * x,
    "max": lambda x: np.max(x, axis=1) + x[0, 0],
    "ravel": lambda x: np.ravel(x) ** 2,
    "reshape": lambda x: x.reshape(2, 6)[1] * 2,
    "einsum": lambda x: np.einsum("ij,ik->jk", x, x),
    "indices": lambda x: x[[0, 0, 2], [1, 1, 3]] * x[1, 2],
    "mask": lambda x: x[x.value > 0] ** 2 if isinstance(x, Tensor) else x[x > 0] ** 2,
    "concatenate": lambda x: np.concatenate([x, x * x, x], axis=1),
    "solve": lambda x: np.linalg.solve(x @ x.T + np.eye(3), x),
    "softmax": lambda x: softmax(x, axis=0),
    "norm": lambda x: np.linalg.norm(x, axis=0),
    "sort": lambda x: np.sort(x, axis=0) * x,
    "cumsum": lambda x: np.cumsum(x) ** 2,
    "pad": lambda x: np.pad(x, 1) ** 2,
    "prod": lambda x: np.prod(x, axis=1),
    "T": lambda x: x.T * 3,
    "itself": lambda x: x,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_layout_of_inputs_and_upstream_gradients_does_not_matter(name, layout):
    f = FUNCTIONS[name]
    x = np.random.default_rng(11).normal(size=(3, 4))
    plain = parameter(x)
    result = f(plain)
    upstream = np.random.default_rng(12).normal(size=result.shape)
    result.backward(upstream)
    arranged = LAYOUTS[layout](x)
    same = parameter(arranged)
    other = f(same)
    other.backward(LAYOUTS[layout](upstream) if upstream.ndim == 2 else read_only(upstream))
    message = f"{name}, {layout}, seeds 11 and 12"
    np.testing.assert_allclose(other.value, result.value, rtol=1e-13, err_msg=message)
    np.testing.assert_allclose(same.grad, plain.grad, rtol=1e-12, atol=1e-14, err_msg=message)
    assert same.grad.dtype.newbyteorder("=") == arranged.dtype.newbyteorder("=")
    same.grad[...] = 0  # also where the input was read-only
    np.testing.assert_array_equal(arranged, x)
    second = grad(lambda x: np.sum(upstream * f(x) ** 2) ** 2)
    got, wanted = (hvp(lambda x: np.sum(second(x)), v, np.ones((3, 4))) for v in (arranged, x))
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9, err_msg=f"{message}, higher order")


@pytest.mark.parametrize("shape", [(2, 3, 4), (5, 1, 4), (1, 4)], ids=str)
def test_a_broadcast_input_has_a_gradient_of_its_full_shape(shape):
    x = parameter(np.broadcast_to(np.arange(1.0, 5.0), shape))
    upstream = np.random.default_rng(1).normal(size=shape)
    (x * x).backward(upstream)
    np.testing.assert_allclose(x.grad, 2 * x.value * upstream)
    (x * x).backward(np.broadcast_to(2.0, shape))
    np.testing.assert_allclose(x.grad, 2 * x.value * (upstream + 2))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble], ids=lambda t: t.__name__)
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "solve"])
def test_every_floating_point_dtype_stays_what_it_is(name, dtype):
    f, x = FUNCTIONS[name], np.random.default_rng(13).normal(size=(3, 4))
    tensor = parameter(x.astype(dtype))
    result = f(tensor)
    upstream = np.random.default_rng(14).normal(size=result.shape)
    result.backward(upstream)
    assert result.dtype == dtype
    assert tensor.grad.dtype == dtype
    wanted = parameter(x)
    f(wanted).backward(upstream)
    tolerance = max(20 * float(np.finfo(dtype).eps), 1e-13)
    scale = np.max(np.abs(wanted.grad))
    np.testing.assert_allclose(tensor.grad / dtype(scale), wanted.grad / scale, atol=tolerance, err_msg=name)
    if dtype is np.longdouble:  # more digits than float64 has: the second derivative too
        slopes = grad(lambda x: np.sum(grad(lambda x: np.sum(f(x) ** 2))(x) ** 2))(x.astype(dtype))
        assert slopes.dtype == dtype


def test_longdouble_gradients_have_the_digits_of_longdouble():
    one, third = np.longdouble(1), np.longdouble(1) / 3
    if np.finfo(np.longdouble).eps == np.finfo(np.float64).eps:
        pytest.skip("longdouble is float64 here")
    cases = {
        "exp": (np.exp, np.exp(third)),
        "tanh": (np.tanh, one - np.tanh(third) ** 2),
        "log": (np.log, one / third),
        "exp2": (np.exp2, np.exp2(third) * np.log(2 * one)),
        "log2": (np.log2, one / third / np.log(2 * one)),
        "log10": (np.log10, one / third / np.log(10 * one)),
        "2 ** x": (lambda x: 2.0**x, np.exp2(third) * np.log(2 * one)),
        "cbrt": (np.cbrt, third ** (-2 * one / 3) / 3),
    }
    for name, (f, expected) in cases.items():
        got = grad(f)(third)
        assert got.dtype == np.longdouble, name
        assert abs(got - expected) <= 8 * np.finfo(np.longdouble).eps * abs(expected), f"{name}: {got}, not {expected}"


@pytest.mark.parametrize("value", [2.0, np.float64(2.0), np.array(2.0), np.float32(2.0), np.array(2.0, np.float32)])
def test_single_numbers_of_every_kind(value):
    def f(x):
        return np.sum(np.exp(x) * x / 3.0 + np.maximum(x, 0.5) ** 2 - x.reshape(1)[0] + np.stack([x, x]).max())

    expected = np.exp(2.0) / 3 * (2.0 + 1) + 4.0 - 1 + 1
    x = parameter(value)
    f(x).backward()
    dtype = np.asarray(value).dtype
    assert np.shape(x.grad) == ()
    assert x.grad.dtype == dtype
    np.testing.assert_allclose(x.grad, expected, rtol=1e-6)
    np.testing.assert_allclose(grad(f)(value), expected, rtol=1e-6)
    curve = grad(grad(f))(value)
    np.testing.assert_allclose(curve, np.exp(2.0) / 3 * (2 + 2) + 2, rtol=1e-5)
    assert (x * 2).dtype == dtype, "a Python number does not change the dtype"
    x.grad += 1  # a gradient that can be changed in place, or replaced where it is a NumPy scalar
    np.testing.assert_allclose(x.grad, expected + 1, rtol=1e-6)


REDUCTIONS = {
    "sum": np.sum,
    "mean": np.mean,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "var": np.var,
    "std": np.std,
    "norm": np.linalg.norm,
    "logsumexp": logsumexp,
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)], ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_of_empty_arrays_are_what_numpy_says(name, shape, keepdims):
    """Where NumPy refuses, as in the maximum of nothing, so do Tensors."""
    f = REDUCTIONS[name]
    for axis in (None, *range(len(shape))):
        x = parameter(np.zeros(shape))
        try:
            expected = f(x.value, axis=axis, keepdims=keepdims)
        except ValueError:
            with pytest.raises(ValueError, match=r"."):
                f(x, axis=axis, keepdims=keepdims)
            continue
        result = f(x, axis=axis, keepdims=keepdims)
        np.testing.assert_array_equal(result.value, expected, err_msg=f"axis {axis}")
        result.backward(np.ones(np.shape(expected)))
        assert x.grad.shape == shape, f"axis {axis}"


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.reshape(0, 6),
        lambda x: x.T,
        lambda x: x @ np.ones((3, 2)),
        lambda x: x.T @ x,
        lambda x: np.concatenate([x, np.ones((2, 3))]) * 2,
        lambda x: np.stack([x, x]),
        lambda x: np.cumsum(x, axis=0),
        lambda x: np.sort(x, axis=1),
        lambda x: x[x.value > 0],
        lambda x: x[np.array([], dtype=int)],
        lambda x: x[[]],
        lambda x: x[:, [0, 0, 2]],
        lambda x: np.pad(x, 1) * 2,
        lambda x: np.tile(x, (2, 2)),
        lambda x: np.repeat(x, 2, axis=0),
        lambda x: np.einsum("ij,ik->jk", x, x),
        lambda x: np.linalg.norm(x, axis=1),
        lambda x: np.flip(x),
        lambda x: np.where(x > 0, x, 0.0),
        lambda x: np.broadcast_to(x, (2, 0, 3)),
        lambda x: np.diff(x, axis=1),
    ],
)
def test_empty_arrays_go_through(f):
    x = parameter(np.zeros((0, 3)))
    result = f(x)
    np.testing.assert_array_equal(result.value, f(Tensor(np.zeros((0, 3)))).value)
    result.backward(np.random.default_rng(0).normal(size=result.shape))
    assert x.grad.shape == (0, 3)


# --- Long chains -----------------------------------------------------------------------------------


def chain(x, length):
    for _ in range(length // 2):
        x = x * 0.999999
        x = x + 0.000001
    return x


@pytest.mark.parametrize("length", [300_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_long_chain_needs_no_deep_stack(length):
    x = parameter(2.0)
    y = chain(x, length)
    y.backward()
    np.testing.assert_allclose(x.grad, 0.999999 ** (length // 2), rtol=1e-8)
    del y  # taking it down does not recurse either


def test_the_second_derivative_through_a_long_chain():
    def f(x):
        for _ in range(10_000):
            x = x + 1e-5 * (x * x)
        return x

    slope, curve, x = 1.0, 0.0, 0.3  # the recurrence by hand
    for _ in range(10_000):
        curve = curve + 2e-5 * (slope * slope + x * curve)
        slope = slope * (1 + 2e-5 * x)
        x = x + 1e-5 * x * x
    np.testing.assert_allclose(grad(f)(0.3), slope, rtol=1e-10)
    np.testing.assert_allclose(grad(grad(f))(0.3), curve, rtol=1e-10)


def test_a_ladder_of_diamonds_takes_every_path_once():
    x = y = parameter(np.array([1.0, -2.0]))
    for _ in range(1000):  # 2¹⁰⁰⁰ paths
        y = 0.5 * y + (0.25 * y + 0.25 * y.T)
    y.backward([3.0, 5.0])
    np.testing.assert_allclose(x.grad, [3.0, 5.0])


def test_a_recursion_limit_does_not_matter():
    limit, depth = sys.getrecursionlimit(), len(inspect.stack(0))
    x = parameter(np.ones(2))
    y = chain(x, 5000)
    sys.setrecursionlimit(depth + 100)
    try:
        np.sum(y).backward()
        del y
    finally:
        sys.setrecursionlimit(limit)
    np.testing.assert_allclose(x.grad, 0.999999**2500)


# --- Ties and bounds -------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [np.maximum, np.minimum, np.fmax, np.fmin])
def test_at_a_tie_the_first_argument_gets_all(f):
    upstream = np.random.default_rng(0).normal(size=3)
    x, y = parameter(np.zeros(3)), parameter(np.zeros(3))
    f(x, y).backward(upstream)
    np.testing.assert_array_equal(x.grad, upstream)
    np.testing.assert_array_equal(y.grad, np.zeros(3))


@pytest.mark.parametrize("f", [np.max, np.min])
def test_equal_extremes_share(f):
    x = parameter([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    f(x, axis=1).backward([3.0, -6.0])
    np.testing.assert_allclose(x.grad, [[1, 1, 1], [-2, -2, -2]])
    x.grad = None
    f(x).backward(12.0)
    np.testing.assert_allclose(x.grad, np.full((2, 3), 2.0))


def test_clip_lets_the_gradient_through_at_its_bounds_and_not_beyond():
    x = parameter([-1.5, -1.0, 0.0, 1.0, 1.5])
    np.clip(x, -1.0, 1.0).backward([1.0, 2.0, 3.0, 4.0, 5.0])
    np.testing.assert_array_equal(x.grad, [0.0, 2.0, 3.0, 4.0, 0.0])


def test_sort_gives_equal_entries_their_gradients_in_their_order():
    x = parameter([2.0, 1.0, 2.0, 1.0])
    np.sort(x).backward([1.0, 10.0, 100.0, 1000.0])
    np.testing.assert_array_equal(x.grad, [100.0, 1.0, 1000.0, 10.0])


def test_kinks_have_slope_zero():
    for f in np.abs, np.linalg.norm, lambda x: np.maximum(0, x), lambda x: np.maximum(0.0, x) ** 2:
        x = parameter(np.zeros(3))
        result = f(x)
        result.backward(np.ones(result.shape))
        np.testing.assert_array_equal(x.grad, np.zeros(3))


@pytest.mark.parametrize(("f", "values"), [(np.fmax, (1.0, 3.0)), (np.fmin, (1.0, 3.0))])
def test_fmax_and_fmin_give_the_gradient_to_what_they_return(f, values):
    """They return the number where the other argument is nan."""
    x, y = parameter([values[0], np.nan]), parameter([np.nan, values[1]])
    result = f(x, y)
    np.testing.assert_array_equal(result.value, values)
    result.backward([2.0, 5.0])
    np.testing.assert_array_equal(x.grad, [2.0, 0.0])
    np.testing.assert_array_equal(y.grad, [0.0, 5.0])


def test_the_remainder_and_its_gradient_agree_on_the_quotient():
    """1 % 0.1 is 0.09999…, that is 1 − 9·0.1, although 1 / 0.1 rounds to 10."""
    y = parameter([0.1, 0.1, -0.1, 0.3])
    x = np.array([1.0, 0.3, 1.0, 0.9])
    np.remainder(x, y).backward(np.ones(4))
    np.testing.assert_array_equal(y.grad, -(x // y.value))


@pytest.mark.parametrize("f", [np.linalg.norm, np.sum, np.mean, np.max, np.var, np.std, np.prod, logsumexp])
def test_nan_is_not_hidden(f):
    assert np.isnan(f(parameter([np.nan, 1.0])).value)


# --- Indices ---------------------------------------------------------------------------------------


@st.composite
def indices(draw, shape):
    """What NumPy accepts in brackets, as a tuple."""
    left, index = list(shape), []
    while left and draw(st.integers(0, 5)):
        n = left.pop(0)
        kind = draw(
            st.sampled_from(["int", "slice", "new", "array", "list", "mask", "numpy int", "nested tuple", "0-d"])
        )
        ints = st.integers(-n, n - 1)
        if n == 0 and kind not in ("slice", "new", "mask"):
            kind = "slice"
        if kind == "int":
            index.append(draw(ints))
        elif kind == "numpy int":
            index.append(np.int64(draw(ints)))
        elif kind == "0-d":
            index.append(np.array(draw(ints)))
        elif kind == "slice":
            bound = st.none() | st.integers(-n - 1, n + 1)
            index.append(slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, -1, -2]))))
        elif kind == "new":
            index.append(None)
            left.insert(0, n)
        elif kind in ("array", "list", "nested tuple"):
            some = draw(st.lists(ints, min_size=3, max_size=3))
            index.append({"array": np.array, "list": list, "nested tuple": tuple}[kind](some))
            if kind == "array" and draw(st.booleans()):
                index[-1] = index[-1][:, None]
        else:
            mask = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
            index.append(mask)
    if draw(st.booleans()):
        index.insert(draw(st.integers(0, len(index))) if not left else len(index), Ellipsis)
    return tuple(index)


@st.composite
def shapes_and_indices(draw):
    shape = draw(st.lists(st.integers(0, 4), max_size=3).map(tuple))
    return shape, draw(indices(shape))


@examples(600)
@given(shapes_and_indices(), st.integers(0, 2**32))
def test_the_gradient_of_any_index_adds_up_repeats(shape_and_index, seed):
    shape, index = shape_and_index
    note(f"shape {shape}, index {index}, seed {seed}")
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    try:
        expected = x[index]
    except IndexError:  # arrays that do not broadcast, masks of the wrong length: then ours does not do it either
        with pytest.raises(IndexError):
            parameter(x)[index]
        return
    upstream = rng.normal(size=np.shape(expected))
    reference = np.zeros(shape)
    np.add.at(reference, index, upstream)
    tensor = parameter(x)
    result = tensor[index]
    np.testing.assert_array_equal(result.value, expected)
    result.backward(upstream)
    np.testing.assert_allclose(tensor.grad, reference, rtol=1e-12, atol=1e-12)
    if len(index) == 1 and not isinstance(index[0], tuple):  # alone, without the comma
        tensor.grad = None
        tensor[index[0]].backward(upstream)
        np.testing.assert_allclose(tensor.grad, reference, rtol=1e-12, atol=1e-12)
    second = grad(lambda x: np.sum(upstream * grad(lambda x: np.sum(upstream * x[index] ** 3))(x)[index]))(x)
    slope = np.zeros(shape)
    np.add.at(slope, index, upstream)
    wanted = 6 * x * slope * slope  # every copy of an entry sees the sum over all copies
    np.testing.assert_allclose(second, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "index",
    [
        Tensor(np.array([0, 0, 2])),
        Tensor(np.array([True, False, True])),
        (Tensor(np.array([0, 0, 2])), 1),
        (slice(None), Tensor(np.array([1, 1]))),
        range(2),
        (range(2), [0, 0]),
        ((0, 0, 1),),
        ((0, 0, 1), (1, 1, 1)),
        ([0, 0], (1, 1)),
        [[0, 0], [1, 1]],
        ([[0], [0]], [1, 1]),
        [True, False, True],
        [],
        (0, [1, 1]),
        np.array([[0, 0], [2, 2]]),
        np.array([0, 0], dtype=np.uint8),
        np.ones((3, 2), dtype=bool),
        (np.ones((3, 2), dtype=bool), ...),
        True,
        np.bool_(True),
        (False, 0),
        np.array(1),
        Tensor(np.array(1)),
    ],
    ids=str,
)
def test_indices_of_every_kind_add_up_repeats(index):
    x = np.arange(6.0).reshape(3, 2)

    def plain(part):
        return part.value if isinstance(part, Tensor) else part

    bare = tuple(map(plain, index)) if isinstance(index, tuple) else plain(index)
    expected = x[bare]
    upstream = np.random.default_rng(3).normal(size=np.shape(expected))
    reference = np.zeros_like(x)
    np.add.at(reference, np.array(bare, int) if isinstance(bare, list) and not bare else bare, upstream)
    tensor = parameter(x)
    result = tensor[index]
    np.testing.assert_array_equal(result.value, expected)
    result.backward(upstream)
    np.testing.assert_allclose(tensor.grad, reference, rtol=1e-12)
    curve = hvp(lambda x: np.sum(upstream * x[index] ** 2), x, np.ones_like(x))
    np.testing.assert_allclose(curve, 2 * reference, rtol=1e-12)


# --- Threads ---------------------------------------------------------------------------------------


def in_threads(work, count=4):
    """Run work(i) in `count` threads at once, and return what they returned."""
    results, errors, start = [None] * count, [], threading.Barrier(count)

    def run(i):
        try:
            start.wait()
            results[i] = work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


@pytest.fixture
def busy_threads():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("busy_threads")
def test_threads_with_shared_inputs_and_their_own_parameters():
    X = Tensor(np.random.default_rng(0).normal(size=(20, 5)))

    def train(i):
        W = parameter(np.random.default_rng(i).normal(size=(5, 3)))
        slopes = []
        for _ in range(50):
            hidden = np.tanh(X @ W)
            loss = np.mean((hidden - hidden.mean(axis=0)) ** 2) + np.sum(grad(lambda W: np.sum((X @ W) ** 2))(W)) * 1e-4
            W.grad = None
            loss.backward()
            slopes.append(W.grad)
            W = parameter(W.value - 0.1 * W.grad)
        return np.stack(slopes)

    together = in_threads(train)
    for i, slopes in enumerate(together):
        np.testing.assert_array_equal(slopes, train(i), err_msg=f"thread and seed {i}")


@pytest.mark.usefixtures("busy_threads")
def test_no_grad_holds_in_its_own_thread_alone():
    x, inside, done = parameter(2.0), threading.Event(), threading.Event()

    def work(i):
        if i == 0:
            with no_grad():
                inside.set()
                assert done.wait(10)
                return (x * x).requires_grad
        assert inside.wait(10)
        try:
            return (x * x).requires_grad and float(grad(grad(lambda x: x**3))(2.0)) == 12.0
        finally:
            done.set()

    assert in_threads(work, 2) == [False, True]


# --- Memory ----------------------------------------------------------------------------------------


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def survivors(spoil=None):
    """What of a computation is still alive when all its names are gone."""
    x, W = np.ones((50, 50)), parameter(np.full((50, 50), 0.01))
    hidden = np.tanh(x @ W)
    output = np.maximum(hidden @ W, 0)
    loss = np.sum(output * output) + np.linalg.norm(np.concatenate([hidden, output])[::2])
    watched = [weakref.ref(part) for part in (hidden, output, loss, hidden.value, output.value)]
    loss.backward()
    watched.append(weakref.ref(hidden.grad))
    if spoil is not None:
        spoil(hidden)
    del hidden, output, loss
    assert W.grad is not None
    return [ref() for ref in watched if ref() is not None]


@pytest.mark.usefixtures("no_collector")
def test_what_is_no_longer_used_is_freed_at_once():
    """No reference cycles: nothing waits for the garbage collector."""
    assert survivors() == []


@pytest.mark.usefixtures("no_collector")
def test_a_reference_cycle_would_be_noticed():
    assert survivors(lambda tensor: setattr(tensor.node, "gradient", tensor))


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    "compute",
    [
        lambda x: grad(lambda x: np.sum(np.tanh(x) ** 2))(x),
        lambda x: grad(lambda x: np.sum(grad(lambda x: np.sum(np.tanh(x)))(x) ** 2))(x),
        lambda x: hvp(lambda x: np.sum(np.exp(x)), x, x),
        lambda x: vjp(lambda x: np.sort(x) * np.cumsum(x), x)[1](x),
        lambda x: np.sum(softmax(parameter(x)) ** 2).backward(),
        lambda x: np.einsum("i,i->i", parameter(x), x).backward(x),
    ],
)
def test_transformations_leave_nothing_behind(compute):
    compute(np.ones(3))  # whatever NumPy caches
    before = len(gc.get_objects())
    for _ in range(50):
        compute(np.ones(3))
    assert len(gc.get_objects()) - before < 50


@pytest.mark.usefixtures("no_collector")
def test_an_error_in_the_middle_changes_nothing():
    x = parameter(np.ones(3))
    y = x * 2
    with pytest.raises(ValueError, match="shape"):
        y.backward(np.ones(4))
    assert x.grad is None
    y.backward(np.ones(3))
    np.testing.assert_array_equal(x.grad, [2.0, 2.0, 2.0])


def test_a_copy_is_an_array_of_its_own():
    """A snapshot of the weights does not change with the weights."""
    W = parameter(np.ones(3))
    for best in np.copy(W), W.copy():
        assert not np.shares_memory(best.value, W.value)


def test_a_deep_copy_is_a_parameter_of_its_own():
    x = parameter(np.ones(3))
    y = copy.deepcopy(x)
    (y * 2 + x).backward(np.ones(3))
    np.testing.assert_array_equal(x.grad, np.ones(3))
    np.testing.assert_array_equal(y.grad, 2 * np.ones(3))


# --- An option is obeyed or refused ----------------------------------------------------------------

MATRIX = np.random.default_rng(21).normal(size=(3, 4))
CUBE = np.random.default_rng(22).normal(size=(2, 3, 3)) + 3 * np.eye(3)
CALLS = {
    "sum dtype": lambda x: np.sum(x, dtype=np.float32),
    "sum where": lambda x: np.sum(x, where=np.eye(3, 4, dtype=bool)),
    "sum initial": lambda x: np.sum(x, initial=5.0),
    "sum positional": lambda x: np.sum(x, 0, np.float32),
    "sum of no axes": lambda x: np.sum(x, axis=()),
    "mean of no axes": lambda x: np.mean(x, axis=()),
    "max of no axes": lambda x: np.max(x, axis=()),
    "prod of no axes": lambda x: np.prod(x, axis=()),
    "var of no axes": lambda x: np.var(x, axis=()),
    "max initial": lambda x: np.max(x, initial=5.0),
    "max where": lambda x: np.max(x, initial=-1.0, where=np.eye(3, 4, dtype=bool)),
    "prod of several": lambda x: np.prod(x, axis=(0, -1), keepdims=True),
    "var ddof": lambda x: np.var(x, axis=0, ddof=1.5),
    "var correction": lambda x: np.var(x, axis=0, correction=1),
    "std mean": lambda x: np.std(x, axis=0, mean=np.zeros((1, 4))),
    "cumsum dtype": lambda x: np.cumsum(x, 0, np.float32),
    "reshape F": lambda x: np.reshape(x, (4, 3), order="F"),
    "reshape list": lambda x: np.reshape(x, [2, -1]),
    "reshape number": lambda x: np.reshape(x, 12),
    "reshape keyword": lambda x: np.reshape(x, shape=(4, 3)),
    "method reshape F": lambda x: x.reshape(4, 3, order="F"),
    "ravel F": lambda x: np.ravel(x, order="F"),
    "ravel positional": lambda x: np.ravel(x, "F"),
    "flatten F": lambda x: x.flatten("F"),
    "copy F": lambda x: np.copy(x, order="F"),
    "transpose negative": lambda x: np.transpose(x, (-1, 0)),
    "transpose list": lambda x: x.transpose([1, 0]),
    "clip keywords": lambda x: np.clip(x, min=-0.5, max=0.5),
    "clip arrays": lambda x: np.clip(x, np.full(4, -0.1), np.full((3, 1), 0.1)),
    "clip crossed": lambda x: np.clip(x, 0.5, -0.5),
    "clip below": lambda x: np.clip(x, None, 0.1),
    "clip method": lambda x: x.clip(0.1),
    "add where": lambda x: np.add(x, 1.0, where=np.eye(3, 4, dtype=bool), out=np.zeros((3, 4))),
    "add dtype": lambda x: np.add(x, 1.0, dtype=np.float32),
    "exp dtype": lambda x: np.exp(x, dtype=np.float32),
    "exp casting": lambda x: np.exp(x, casting="no"),
    "add reduce": lambda x: np.add.reduce(x),
    "add accumulate": lambda x: np.add.accumulate(x),
    "multiply outer": lambda x: np.multiply.outer(x, x),
    "add at": lambda x: np.add.at(np.zeros((3, 4)), 0, x),
    "matmul axes": lambda x: np.matmul(x, x, axes=[(0, 1), (1, 0), (0, 1)]),
    "vecdot axis": lambda x: np.vecdot(x, x, axis=0),
    "dot vectors": lambda x: np.dot(x[0], x[1]),
    "tensordot zero": lambda x: np.tensordot(x, x[0], 0),
    "tensordot number": lambda x: np.tensordot(x, x, axes=([-1], [-1])),
    "tensordot pair": lambda x: np.tensordot(x, x, (0, 0)),
    "tensordot numpy integer": lambda x: np.tensordot(x, x.T, np.int64(1)),
    "einsum implicit": lambda x: np.einsum("ji", x),
    "einsum implicit sum": lambda x: np.einsum("ij,jk", x, x.T),
    "einsum spaces": lambda x: np.einsum(" i j , i k -> k j ", x, x),
    "einsum ellipsis": lambda x: np.einsum("...j,j...->...", x, x.T),
    "einsum broadcasts": lambda x: np.einsum("ij,ij->ij", x, x[:, :1]),
    "einsum number": lambda x: np.einsum(",ij->ij", 2.0, x),
    "einsum list": lambda x: np.einsum("i,ij->j", [1.0, 2.0, 3.0], x),
    "einsum optimize": lambda x: np.einsum("ij,kj,kl->il", x, x, x, optimize=True),
    "einsum sublists": lambda x: np.einsum(x, [0, 1], [1, 0]),
    "einsum dtype": lambda x: np.einsum("ij->j", x, dtype=np.float32),
    "trace offset": lambda x: np.trace(x, -1),
    "diagonal far": lambda x: np.diagonal(x, 7),
    "diag of a diagonal": lambda x: np.diag(x[0], -2),
    "tril": lambda x: np.tril(x, 1),
    "norm 1": lambda x: np.linalg.norm(x, 1, axis=0),
    "norm inf": lambda x: np.linalg.norm(x, np.inf, axis=(1,)),
    "norm -inf": lambda x: np.linalg.norm(x, -np.inf, axis=1, keepdims=True),
    "norm 0": lambda x: np.linalg.norm(x, 0, axis=1),
    "norm 3": lambda x: np.linalg.norm(x, 3, axis=1),
    "norm fro": lambda x: np.linalg.norm(x, "fro"),
    "norm nuc": lambda x: np.linalg.norm(x, "nuc"),
    "norm matrix 1": lambda x: np.linalg.norm(x, 1),
    "norm matrix 2": lambda x: np.linalg.norm(x, 2),
    "norm both axes": lambda x: np.linalg.norm(x, axis=(0, 1), keepdims=True),
    "squeeze": lambda x: np.squeeze(x[:, None, :1], axis=(1, 2)),
    "moveaxis": lambda x: np.moveaxis(x[None], [0, -1], [-1, 0]),
    "expand several": lambda x: np.expand_dims(x, (0, -1)),
    "flip several": lambda x: np.flip(x, (0, 1)),
    "roll several": lambda x: np.roll(x, (1, 2), axis=(0, 1)),
    "roll one by several": lambda x: np.roll(x, (1, 2), axis=0),
    "roll several by one": lambda x: np.roll(x, 1, axis=(0, 1)),
    "roll all by several": lambda x: np.roll(x, (1, 2)),
    "roll list": lambda x: np.roll(x, [1, 2], axis=[0, 1]),
    "tile number": lambda x: np.tile(x, 2),
    "tile shorter": lambda x: np.tile(x, (2,)),
    "tile longer": lambda x: np.tile(x, (2, 1, 2)),
    "tile zero": lambda x: np.tile(x, (0, 2)),
    "repeat each": lambda x: np.repeat(x, [1, 0, 2], axis=0),
    "repeat flat": lambda x: np.repeat(x, 2),
    "concatenate flat": lambda x: np.concatenate([x, x[:1]], axis=None),
    "concatenate dtype": lambda x: np.concatenate([x, x], dtype=np.float32),
    "concatenate tensor": lambda x: np.concatenate(x),
    "stack dtype": lambda x: np.stack([x, x], dtype=np.float32),
    "stack last": lambda x: np.stack([x, x], axis=-1),
    "vstack tensor": lambda x: np.vstack(x),
    "hstack mixed": lambda x: np.hstack([x, np.ones((3, 1)), [[1.0], [2.0], [3.0]]]),
    "append": lambda x: np.append(x, [[1.0, 2.0, 3.0, 4.0]], axis=0),
    "append number": lambda x: np.append(x, 7.0),
    "split sections": lambda x: np.split(x, 2, axis=1)[1],
    "split uneven": lambda x: np.split(x, 3, axis=1)[0],
    "array_split uneven": lambda x: np.array_split(x, 3, axis=1)[1],
    "split places": lambda x: np.split(x, [1, 3], axis=-1)[1],
    "split negative places": lambda x: np.split(x, [-1], axis=1)[0],
    "split places that go back": lambda x: np.split(x, [3, 1], axis=1)[2],
    "split beyond": lambda x: np.split(x, [2, 9], axis=1)[2],
    "diff none": lambda x: np.diff(x, n=0),
    "diff prepend": lambda x: np.diff(x, prepend=0.0),
    "take mode": lambda x: np.take(x, [0, 5], axis=1, mode="clip"),
    "take wrap": lambda x: np.take(x, [0, 5, -7], axis=1, mode="wrap"),
    "take number": lambda x: np.take(x, 1, axis=0),
    "take method": lambda x: x.take([0, 0, 5]),
    "take_along_axis": lambda x: np.take_along_axis(x, np.array([[3, 0], [1, 1], [2, 2]]), axis=1),
    "take_along_axis that broadcasts": lambda x: np.take_along_axis(x, np.array([[0, 2]]), axis=1),
    "take_along_axis flat": lambda x: np.take_along_axis(x, np.array([0, 5]), axis=None),
    "take_along_axis last": lambda x: np.take_along_axis(x, np.array([[3], [1], [2]])),
    "sort flat": lambda x: np.sort(x, axis=None),
    "sort kind": lambda x: np.sort(x, kind="heapsort"),
    "pad number": lambda x: np.pad(x, 2),
    "pad pair": lambda x: np.pad(x, (1, 2)),
    "pad value": lambda x: np.pad(x, 1, constant_values=3.0),
    "pad values": lambda x: np.pad(x, 1, constant_values=((1, 2), (3, 4))),
    "pad edge": lambda x: np.pad(x, ((0, 2), (1, 0)), "edge"),
    "pad reflect": lambda x: np.pad(x, 2, mode="reflect"),
    "pad odd reflect": lambda x: np.pad(x, 2, mode="reflect", reflect_type="odd"),
    "pad symmetric": lambda x: np.pad(x, 2, mode="symmetric"),
    "pad wrap": lambda x: np.pad(x, 2, mode="wrap"),
    "pad mean": lambda x: np.pad(x, 1, mode="mean"),
    "pad median": lambda x: np.pad(x, 1, mode="median"),
    "pad maximum": lambda x: np.pad(x, 1, mode="maximum"),
    "pad minimum": lambda x: np.pad(x, 1, mode="minimum"),
    "pad ramp": lambda x: np.pad(x, 2, mode="linear_ramp"),
    "pad ramp with ends": lambda x: np.pad(x, 2, mode="linear_ramp", end_values=5.0),
    "pad by function": lambda x: np.pad(x, 1, mode=lambda vector, width, axis, kwargs: None),
    "pad dict": lambda x: np.pad(x, {0: (1, 2)}),
    "where one": lambda x: np.where(x),
    "where numbers": lambda x: np.where(x > 0, x, 0),
    "unique": lambda x: np.unique(x),
    "unique with counts": lambda x: np.unique(x, return_counts=True),
    "round decimals": lambda x: np.round(x, 1),
    "searchsorted": lambda x: np.searchsorted(np.sort(x[0]), x[1]),
    "solve many with a vector": lambda x: np.linalg.solve(CUBE, x[:, 0]),
    "solve many with matrices": lambda x: np.linalg.solve(CUBE, x),
    "astype": lambda x: x.astype(np.float32),
    "astype int": lambda x: x.astype(int) * 1.0,
    "astype bool": lambda x: x.astype(bool) * 1.0,
    "power of two arrays": lambda x: np.power(np.abs(x), np.array([0.5, 2, 3, 0])),
    "tuple operand": lambda x: x * (1.0, 2.0, 3.0, 4.0),
    "atleast several": lambda x: np.atleast_2d(x, x[0])[1],
    "column_stack": lambda x: np.column_stack([x, x[:, 0]]),
    "rollaxis": lambda x: np.rollaxis(x, 1),
}


def _flat_parts(result):
    return [part for r in result for part in _flat_parts(r)] if isinstance(result, tuple | list) else [result]


def _plainly(x):
    return x.value if isinstance(x, Tensor) else x


@pytest.mark.parametrize("name", CALLS)
def test_an_option_is_obeyed_or_refused(name):
    """The result is NumPy's and its gradient the numerical one, or else there is an error."""
    f = CALLS[name]
    tensor = parameter(MATRIX)
    try:
        result = f(tensor)
    except (TypeError, NotImplementedError, AttributeError, ValueError):
        return
    try:
        expected = f(MATRIX)
    except TypeError:  # this NumPy does not know the option
        return
    except ValueError as error:
        pytest.fail(f"{name}: NumPy refuses ({error}), and we return {result!r}")
    for got, wanted in zip(_flat_parts(result), _flat_parts(expected), strict=True):
        np.testing.assert_allclose(_plainly(got), wanted, rtol=1e-6, err_msg=name)
        upstream = np.random.default_rng(23).normal(size=np.shape(wanted))
        h = 1e-3 if np.asarray(wanted).dtype == np.float32 else 1e-6
        place = _position(result, got)
        numerical = numerical_gradient(
            lambda x, place=place: np.asarray(_flat_parts(f(x))[place], float), MATRIX.copy(), upstream, h=h
        )
        gradient = np.zeros_like(MATRIX)
        if isinstance(got, Tensor) and got.requires_grad:
            tensor.grad = None
            got.backward(upstream)
            gradient = tensor.grad if tensor.grad is not None else gradient
        tolerance = 1e-2 if np.asarray(wanted).dtype == np.float32 else 1e-7
        np.testing.assert_allclose(gradient, numerical, rtol=tolerance, atol=tolerance, err_msg=f"gradient of {name}")


def _position(result, part):
    return next(i for i, r in enumerate(_flat_parts(result)) if r is part)


def test_solving_many_systems_with_one_right_hand_side():
    b = np.array([1.0, -2.0, 0.5])
    for many in CUBE, np.concatenate([CUBE, CUBE[:1] + 1]):  # also three systems of three unknowns
        A, x = parameter(many), parameter(b)
        result = np.linalg.solve(A, x)
        upstream = np.random.default_rng(4).normal(size=result.shape)
        result.backward(upstream)
        db = np.stack([np.linalg.solve(a.T, u) for a, u in zip(many, upstream, strict=True)])
        np.testing.assert_allclose(x.grad, db.sum(axis=0), rtol=1e-12)
        np.testing.assert_allclose(A.grad, -db[:, :, None] * result.value[:, None, :], rtol=1e-12)


# --- No function loses the gradient in silence -------------------------------------------------------

# They write files, change global state, or make arrays without looking at their argument's value.
NOT_CALLED = {
    "save", "savez", "savez_compressed", "savetxt", "load", "loadtxt", "genfromtxt", "fromfile", "fromregex", "memmap",
    "test", "info", "show_config", "show_runtime", "seterr", "seterrcall", "setbufsize", "set_printoptions",
    "printoptions", "errstate", "get_include", "empty", "empty_like", "ndarray", "DataSource", "nditer", "nested_iters",
    "_no_nep50_warning",
}  # fmt: skip


def public_functions():
    for module in np, np.linalg, np.fft:
        for name in sorted(dir(module)):
            f = getattr(module, name)
            error = isinstance(f, type) and issubclass(f, BaseException)
            if callable(f) and not name.startswith("_") and name not in NOT_CALLED and not error:
                yield f"{module.__name__}.{name}", f


ALL = dict(public_functions())


def plausible_calls(f):
    """Calls of f with x and arrays, in the places where functions of NumPy take arrays."""
    A = np.array([[2.0, 0.3, 0.1], [0.2, 1.5, 0.4], [0.1, 0.2, 1.8]])
    v, mask = np.array([0.3, 0.7, 1.1]), np.array([True, False, True])
    return [
        lambda x: f(x),
        lambda x: f(x, x),
        lambda x: f(x, A),
        lambda x: f(A, x),
        lambda x: f(x, v),
        lambda x: f(v, x),
        lambda x: f(x, 2),
        lambda x: f(2, x),
        lambda x: f((3, 3), x),
        lambda x: f(x, (3, 3)),
        lambda x: f(x, 0, 1),
        lambda x: f(x, [0, 1]),
        lambda x: f([x, x]),
        lambda x: f((x, A)),
        lambda x: f([x, x], 0),
        lambda x: f([A, x, A]),
        lambda x: f(list(x)),
        lambda x: f(*x) if x.ndim else None,
        lambda x: f(x, x, x),
        lambda x: f(v, v, x),
        lambda x: f(v, x, v),
        lambda x: f(x, v, v),
        lambda x: f(x, 0.1, 0.9),
        lambda x: f(0.0, x, 4),
        lambda x: f(x, 5.0, 4),
        lambda x: f(mask, x, 0.0),
        lambda x: f(mask, x),
        lambda x: f([mask, ~mask], [x, x]),
        lambda x: f(x, [mask, ~mask], [lambda y: y, lambda y: -y]),
        lambda x: f("ij->ji", x),
        lambda x: f("ij,ij->i", A, x),
        lambda x: f(lambda y: np.sum(y), 0, x),
        lambda x: f(lambda y, axis: np.sum(y, axis), x, [0]),
        lambda x: f(lambda i, j: i + j + x, (3, 3)),
        lambda x: f(lambda y: y * 2)(x),
        lambda x: f(lambda y: y * 2, 1, 1)(x),
        lambda x: f(x, mask),
        lambda x: f(np.zeros((3, 3)), x),
        lambda x: f(np.zeros(3), [0, 1, 2], x),
        lambda x: f(x, dtype=float),
        lambda x: f(x, copy=False),
        lambda x: f(x, axis=0),
        lambda x: f(x, fill_value=1.0),
        lambda x: f(3, fill_value=x),
        lambda x: f(A, initial=x),
        lambda x: f(A, weights=x),
        lambda x: f(A, a_min=x, a_max=None),
        lambda x: f(A, constant_values=x, pad_width=1),
        lambda x: f(v, v, left=x, right=x, xp=v, fp=v),
        lambda x: f.reduce(x),
        lambda x: f.outer(v, x),
        lambda x: f.accumulate(x),
        lambda x: f.reduceat(x, [0, 1]),
    ]  # fmt: skip


POINTS = [
    np.array([[0.31, 0.52, 0.13], [0.74, 0.95, 0.26], [0.47, 0.68, 0.89]]) + np.eye(3),
    np.array([0.31, 0.72, 0.53]),
    np.array(0.37),
]


def outcome(call, x):
    """What the call returns, as a list without nesting, or the error."""
    try:
        result = call(x)
    except Exception as error:
        return error
    parts, todo = [], [result]
    while todo:
        part = todo.pop(0)
        if isinstance(part, dict):
            todo += part.values()
        elif isinstance(part, tuple | list):
            todo += part
        else:
            parts.append(part)
    return parts


def changes(parts, others):
    """Which of the plain numbers in `parts` are others in `others`: they depend on the point."""
    if isinstance(others, Exception) or len(parts) != len(others):
        return list(range(len(parts)))
    return [
        i
        for i, (a, b) in enumerate(zip(parts, others, strict=True))
        if _numeric(a) and not _equal(_plainly(a), _plainly(b))
    ]


def _equal(a, b):
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype == object:
        pairs = zip(map(_plainly, a.flat), map(_plainly, b.flat), strict=False)
        return a.shape == b.shape and all(x is y or (_numeric(x) and _equal(x, y)) for x, y in pairs)
    return np.array_equal(a, b, equal_nan=True)


def _numeric(part):
    value = _plainly(part)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return any(_numeric(entry) for entry in value.flat)
    return isinstance(value, np.ndarray | np.generic | float | complex) and np.asarray(value).dtype.kind in "fc"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ALL)
def test_no_function_of_numpy_loses_the_gradient_in_silence(name):
    """What a Tensor goes into comes out as a Tensor with NumPy's value, or is flat, or is an error."""
    for point in POINTS:
        moved = point + 1e-6 * np.arange(1, 1 + point.size).reshape(point.shape)
        for number, call in enumerate(plausible_calls(ALL[name])):
            where = f"{name}, call {number} of plausible_calls, shape {point.shape}"
            tensor = parameter(point.copy())
            parts = outcome(call, tensor)
            np.testing.assert_array_equal(tensor.value, point, err_msg=f"{where} changed the tensor")
            if isinstance(parts, Exception):
                if isinstance(parts, NotImplementedError) and number == 0 and not isinstance(ALL[name], type):
                    assert ALL[name].__name__ in str(parts), f"{where}: the error names something else: {parts}"
                continue
            for i in changes(parts, outcome(call, parameter(moved.copy()))):
                assert not _detached(parts[i]), f"{where} gives {parts[i]!r}, which has lost its gradient"
            if any(isinstance(part, Tensor) for part in parts):
                plain = outcome(call, point.copy())
                if not isinstance(plain, Exception):  # we may take more than NumPy
                    for part, wanted in zip(parts, plain, strict=True):
                        got = np.asarray(_plainly(part))
                        assert got.shape == np.shape(wanted), f"{where}: {got.shape}, NumPy has {np.shape(wanted)}"
                        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14, err_msg=where)


def _detached(part):
    if isinstance(part, np.ndarray) and part.dtype == object:  # an array of Tensors
        return any(map(_detached, part.flat))
    return not isinstance(part, Tensor) or not part.requires_grad


def test_the_sweep_notices_a_function_that_loses_the_gradient(monkeypatch):
    monkeypatch.setitem(ALL, "lossy", lambda x: x.value * 2)
    with pytest.raises(AssertionError, match="has lost its gradient"):
        test_no_function_of_numpy_loses_the_gradient_in_silence("lossy")
    monkeypatch.setitem(ALL, "wrong", lambda x: x * 2 if isinstance(x, Tensor) else x * 3)
    with pytest.raises(AssertionError, match="wrong, call 0"):
        test_no_function_of_numpy_loses_the_gradient_in_silence("wrong")


METHODS = {
    "dot": lambda a, t: a.dot(t),
    "fill": lambda a, t: a.fill(t[0]),
    "setitem": lambda a, t: a.__setitem__(0, t[0]),
    "setitem of all": lambda a, t: a.__setitem__(slice(None), t),
    "itemset by put": lambda a, t: a.put([0], t[0]),
    "iadd": lambda a, t: a.__iadd__(t),
    "clip": lambda a, t: a.clip(t, None),
    "array": lambda a, t: np.array([t, t]),
    "array of numbers": lambda a, t: np.array([t[0], t[1]]),
    "asarray": lambda a, t: np.asarray(t),
    "float": lambda a, t: float(t[0]),
    "int": lambda a, t: int(t[0]),
    "complex": lambda a, t: complex(t[0]),
    "np.float64": lambda a, t: np.float64(t[0]),
    "np.float64 of several": lambda a, t: np.float64(t),
    "fromiter": lambda a, t: np.fromiter(t, float),
    "full": lambda a, t: np.full(2, t[0]),
    "arange": lambda a, t: np.arange(t[0]),
    "concatenate out": lambda a, t: np.concatenate([t, t], out=np.zeros(6)),
    "copyto": lambda a, t: np.copyto(a, t),
    "r_": lambda a, t: np.r_[t, a],
    "c_": lambda a, t: np.c_[t, a],
    "vectorize": lambda a, t: np.vectorize(lambda v: float(v) * 2)(t),
    "random": lambda a, t: np.random.default_rng(0).normal(t, 0.0),
    "choice": lambda a, t: np.random.default_rng(0).permutation(t),
    "memoryview": lambda a, t: memoryview(t),
    "polyval": lambda a, t: np.polyval(a, t),
    "poly1d": lambda a, t: np.poly1d(t)(2.0),
    "matrix": lambda a, t: np.matrix(t),
    "masked": lambda a, t: np.ma.array(t),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", METHODS)
def test_no_conversion_loses_the_gradient_in_silence(name):
    a, t = np.array([1.0, 2.0, 3.0]), parameter([0.5, 1.5, 2.5])
    kept = a.copy()
    try:
        result = METHODS[name](a, t)
    except (TypeError, ValueError, NotImplementedError, AttributeError):
        np.testing.assert_array_equal(a, kept, err_msg=f"{name} raised, but wrote")
        return
    if result is None:
        np.testing.assert_array_equal(a, kept, err_msg=f"{name} wrote the numbers of a Tensor into an array")
        return
    parts = list(np.ravel(result)) if isinstance(result, np.ndarray) and result.dtype == object else [result]
    assert all(isinstance(part, Tensor) and part.requires_grad for part in parts), f"{name} gives {result!r}"


def test_a_function_without_a_rule_is_named():
    x = parameter(np.ones((2, 2)))
    for f in np.linalg.svd, np.fft.fft, np.interp, np.median, np.sinc, np.modf, np.kron, np.full_like:
        with warnings.catch_warnings(), pytest.raises(NotImplementedError, match=rf"\b{f.__name__}\b"):
            f(x, x) if f in (np.full_like, np.kron) else f(x, x, x) if f is np.interp else f(x)

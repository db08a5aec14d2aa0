"""For arrays of every kind and layout, also at ties and bounds, gradients are right and inputs are not changed."""

import numpy as np
import pytest
from engine_helpers import parameter

from coursekit.autograd import Tensor, grad, hvp, logsumexp, softmax

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
    """Tensors refuse what NumPy refuses, such as the maximum of an empty array."""
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
    """Where one argument is nan, they return the other."""
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

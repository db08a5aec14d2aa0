"""flat: the compiled function and its source give the value and the gradients that the engine gives."""

import itertools
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from traced_programs import PROGRAMS, SEEDS, alone, assert_agrees, assert_same, floats, normal, parameter

from coursekit.autograd import (
    Value,
    softmax,
    stop_gradient,
    value_and_grad,
)
from coursekit.tracing import flat

# --- Programs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("label", PROGRAMS)
def test_value_and_gradients_are_those_of_the_engine_at_the_examples_and_at_other_arguments(label, seed):
    f, make = PROGRAMS[label]
    examples, *others = (make(np.random.default_rng([seed, i])) for i in range(4))
    assert_agrees(f, examples, *others, label=f"{label}, seed {seed}")


def test_a_gradient_that_is_slightly_wrong_would_be_noticed():
    x = np.ones(3)
    with pytest.raises(AssertionError):
        assert_same((3.0, (x * (1 + 1e-9),)), (3.0, (x,)), "")
    with pytest.raises(AssertionError):
        assert_same((3.0, (np.float64(1.0),)), (3.0, (x,)), "")


@pytest.mark.parametrize("label", PROGRAMS)
def test_the_gradients_are_numerically_right(numerical, label):
    f, make = PROGRAMS[label]
    if label == "stop_gradient":
        pytest.skip("whose gradient is not the derivative, on purpose")
    args = make(np.random.default_rng([5, 5]))
    wanted = floats(args)

    def of_floats(*arrays):
        given = list(args)
        for i, array in zip(wanted, arrays, strict=True):
            given[i] = array
        return f(*given)

    _, gradients = flat(f, *args)(*args)
    for got, slope in zip(gradients, numerical(of_floats, [args[i] for i in wanted]), strict=True):
        np.testing.assert_allclose(got, slope, rtol=1e-5, atol=1e-6, err_msg=f"{label} seed [5, 5]")


@pytest.mark.parametrize(
    ("f", "example", "other"),
    [
        (lambda x: np.sum(x[x > 0] ** 2), [1.0, 2.0, -1.0, -3.0], [1.0, 2.0, 3.0, -3.0]),
        (lambda x: np.mean(x[x > 0]), [1.0, 2.0, -1.0, -3.0], [1.0, 2.0, 3.0, -3.0]),
        (lambda x: np.sum(x[np.nonzero(x > 0)]), [1.0, 2.0, -1.0, -3.0], [-1.0, -2.0, 3.0, -3.0]),
        (lambda x: np.sum(x) / np.count_nonzero(x > 0), [1.0, 2.0, -1.0, -3.0], [1.0, 2.0, 3.0, -3.0]),
        (lambda x: np.sum(x) * len(np.unique(stop_gradient(x))), [1.0, 1.0, 2.0], [1.0, 3.0, 2.0]),
        (lambda x: np.sum(x * x) if np.array_equal(x, np.ones(3)) else np.sum(x), [1.0, 1.0, 1.0], [1.0, 3.0, 2.0]),
        (lambda x: np.sum(x * x) if np.allclose(x, 1.0) else np.sum(x), [1.0, 1.0, 1.0], [1.0, 3.0, 2.0]),
        (lambda x: np.sum(x[: np.argmax(x) + 1] ** 2), [1.0, 2.0, 3.0], [5.0, 2.0, 3.0]),
    ],
    ids=["mask", "mean of mask", "nonzero", "count_nonzero", "unique", "array_equal", "allclose", "slice"],
)
def test_what_depends_on_the_numbers_in_an_array_is_either_right_or_refused_but_never_baked_in(f, example, other):
    example, other = np.array(example), np.array(other)
    try:
        compiled = flat(f, example)
    except TypeError:
        with pytest.raises(TypeError, match="depends on a number"):
            flat(f, example)
        return
    except NotImplementedError:  # a function that is not in the table
        with pytest.raises(NotImplementedError, match="has no gradient rule"):
            flat(f, example)
        return
    for program in compiled, alone(compiled.source):
        assert_same(program(other), value_and_grad(f, argnums=(0,))(other), compiled.source)


# --- Random programs -------------------------------------------------------------------------------


SHAPES = {"x": (3, 4), "row": (4,), "column": (3, 1), "number": ()}
UNARY = {
    "tanh": np.tanh,
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "neg": lambda v: -v,
    "sin": np.sin,
    "relu": lambda v: np.maximum(0, v),
    "square": lambda v: 0.5 * v * v,
    "power": lambda v: 0.1 * v**3,
    "exp": lambda v: np.exp(-v * v),
    "sqrt": lambda v: np.sqrt(1 + v * v),
    "log": lambda v: np.log(1 + np.square(v)),
    "sum": np.sum,
    "mean": np.mean,
    "sum of the first axis": lambda v: np.sum(v, axis=0) / 3 if v.ndim else v,
    "mean of the last axis": lambda v: np.mean(v, axis=-1, keepdims=True) if v.ndim else v,
    "max": lambda v: np.max(v, axis=0, keepdims=True) if v.ndim else v,
    "transposed and back": lambda v: (v.T * 2).T,
    "reshaped and back": lambda v: (v.reshape(-1) - 0.5).reshape(v.shape),
    "same": lambda v: +v,
    "turned around": lambda v: v[::-1] if v.ndim else v,
    "repeated": lambda v: v[np.zeros(v.shape[0], int)] * 0.5 if v.ndim else v,
    "mask": lambda v: np.where(v > 0.2, v, 0.3 * v),
    "clip": lambda v: np.clip(v, -0.7, 0.9),
    "cumsum": lambda v: np.cumsum(v, axis=0) / 3 if v.ndim else v,
    "softmax": lambda v: softmax(v) if v.ndim else v,
}
BINARY = {
    "plus": lambda v, w: v + w,
    "minus": lambda v, w: v - w,
    "times": lambda v, w: np.tanh(v) * w,
    "over": lambda v, w: v / (1.5 + w * w),
    "maximum": np.maximum,
    "where": lambda v, w: np.where(v < w, v, w * 0.5),
    "shared": lambda v, w: (v + w) * np.tanh(v + w),
    "stop": lambda v, w: v * stop_gradient(np.tanh(w)),
}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(sorted(UNARY)), st.integers(0, 20)),
        st.tuples(st.sampled_from(sorted(BINARY)), st.integers(0, 20), st.integers(0, 20)),
    ),
    min_size=1,
    max_size=9,
)


def program_of(steps):
    """Make a function that applies these steps to earlier results and adds up the last of them."""

    def f(x, row, column, number):
        values = [x, row, column, number]
        for operation, *places in steps:
            function = UNARY.get(operation) or BINARY[operation]
            values.append(function(*(values[-1 - place % len(values)] for place in places)))
        return sum(np.sum(value) for value in values[-3:]) + np.mean(values[-1] * values[-2])

    return f


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(STEPS, st.integers(0, 1000))
def test_random_programs_agree_with_the_engine(steps, seed):
    note(f"seed {seed}")
    arguments = [normal(*SHAPES.values())(np.random.default_rng([seed, i])) for i in range(3)]
    assert_agrees(program_of(steps), *arguments, label=f"{steps} seed {seed}", rtol=1e-9)


# --- Types of the arguments ------------------------------------------------------------------------


@pytest.mark.parametrize("label", PROGRAMS)
def test_dtypes_are_those_of_the_engine_and_float32_stays_float32(label):
    f, make = PROGRAMS[label]
    if label in ("linear algebra", "sort", "argsort of all"):
        pytest.skip("its constants are float64 arrays")

    def single(arg):
        arg = np.asarray(arg)
        return arg.astype(np.float32) if arg.dtype == np.float64 else arg

    examples, args = (tuple(map(single, make(np.random.default_rng([7, i])))) for i in range(2))
    compiled = flat(f, *examples)
    wanted_value, wanted_gradients = value_and_grad(f, argnums=floats(args))(*args)
    for program in compiled, alone(compiled.source):
        value, gradients = program(*args)
        for got, wanted in zip((value, *gradients), (wanted_value, *wanted_gradients), strict=True):
            assert got.dtype == wanted.dtype, f"{label}\n{compiled.source}"
            scale = np.max(np.abs(wanted), initial=1)
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5 * scale, err_msg=label)
        assert {gradient.dtype for gradient in gradients} == {np.dtype(np.float32)}


@pytest.mark.parametrize("make", [np.float64, lambda c: np.array([c, c, c])], ids=["NumPy number", "array"])
def test_a_float64_constant_raises_the_precision_as_it_does_in_numpy(make):
    c = make(1 / 3)
    x = np.array([0.1, 0.2, 0.3], np.float32)

    def f(x):
        return np.sum(x * c)

    value, gradient = value_and_grad(f)(x)
    compiled = flat(f, x, argnums=0)
    for program in compiled, alone(compiled.source):
        got, got_gradient = program(x)
        assert (got.dtype, got_gradient.dtype) == (value.dtype, gradient.dtype) == (np.float64, np.float32)
        np.testing.assert_allclose(got, value, rtol=1e-15)


def test_float32_beside_a_python_number():
    def f(x, reg):
        return reg * np.sum(x * x)

    x = np.array([1.0, 2.0], np.float32)
    compiled = flat(f, x, 0.5, argnums=0)
    for program in compiled, alone(compiled.source):
        value, gradient = program(x, 0.25)
        assert value == 1.25
        np.testing.assert_array_equal(gradient, np.array([0.5, 1.0], np.float32))
        assert gradient.dtype == np.float32


@pytest.mark.parametrize(
    ("f", "numbers"),
    [
        (lambda a, b: (a + b) * np.exp(a), (2.0, 3.0)),
        (lambda a, b: a * b, (2.0, 3.0)),
        (lambda a, b: a.reshape(1, 1).sum() * b, (2.0, 3.0)),
        (lambda a, b: np.sum(np.stack([a, b]) ** 2), (2.0, 3.0)),
        (lambda a, b: np.sum(np.array([1.0, 2.0]) * a / b), (2.0, 3.0)),
        (lambda a, b: np.sum(np.broadcast_to(a, (2, 3)) * b), (2.0, 3.0)),
        (lambda a, b: np.where(a > b, a, b * b), (2.0, 3.0)),
        (lambda a, b: np.transpose(a) * np.maximum(a, b), (2.0, 3.0)),
        (lambda a, b: a, (2.0, 3.0)),
    ],
)
def test_python_numbers_may_stand_for_0d_arrays(f, numbers):
    fresh = (0.7, -1.3)
    assert_agrees(f, numbers, fresh)
    assert_agrees(f, tuple(map(np.array, numbers)), fresh, numbers)
    assert_agrees(f, numbers, tuple(map(np.array, fresh)), tuple(map(np.float64, fresh)))


@pytest.mark.parametrize(
    ("bad", "given"),
    [
        (np.ones((3, 2)), r"float64 of shape \(3, 2\)"),
        (np.ones((2, 3), np.float32), r"float32 of shape \(2, 3\)"),
        (np.ones((2, 3), int), r"int64 of shape \(2, 3\)"),
        (np.ones((1, 2, 3)), r"float64 of shape \(1, 2, 3\)"),
        ([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], r"list of shape \(2, 3\)"),
        (1.0, r"float of shape \(\)"),
        (None, r"NoneType"),
    ],
    ids=["shape", "float32", "integers", "more axes", "list", "number", "None"],
)
@pytest.mark.parametrize("place", [0, 1])
def test_an_argument_of_another_shape_or_dtype_is_refused_by_name(bad, given, place):
    compiled = flat(lambda X, W: np.sum(X * W), np.ones((2, 3)), np.ones((2, 3)))
    args = [np.ones((2, 3)), np.ones((2, 3))]
    args[place] = bad
    name = "XW"[place]
    with pytest.raises(
        TypeError, match=rf"made for {name} of float64 and shape \(2, 3\), and was given {given}.*flat\("
    ):
        compiled(*args)


@pytest.mark.parametrize("bad", [np.ones(3), [1.0, 2.0], np.ones((1, 1))], ids=["array", "list", "one entry"])
def test_an_array_in_the_place_of_a_number_is_refused_by_name(bad):
    compiled = flat(lambda a, x: a * np.sum(x), 2.0, np.ones(3))
    with pytest.raises(TypeError, match="made for a of"):
        compiled(bad, np.ones(3))


def test_integer_labels_may_not_become_floats():
    f, make = PROGRAMS["softmax"]
    X, W, b, y = make(np.random.default_rng(0))
    with pytest.raises(TypeError, match="made for y of int64"):
        flat(f, X, W, b, y)(X, W, b, y.astype(float))


def test_tensors_may_be_examples():
    compiled = flat(lambda x: np.sum(x * x), parameter([1.0, 2.0]))
    np.testing.assert_array_equal(compiled(np.array([3.0, 4.0]))[1][0], [6.0, 8.0])


# --- Which gradients -------------------------------------------------------------------------------


def three(a, b, c):
    return np.sum(a * a * b) + np.sum(b * np.exp(c))


@pytest.mark.parametrize("argnums", [0, 1, 2, (0,), (2,), (0, 2), (1, 0), (2, 1, 0), -1, (-1, 0)])
def test_argnums_choose_and_order_the_gradients_as_they_do_for_grad(argnums):
    rng = np.random.default_rng(9)
    args = [rng.normal(size=3) for _ in range(3)]
    wanted = value_and_grad(three, argnums=argnums)(*args)
    compiled = flat(three, *args, argnums=argnums)
    for program in compiled, alone(compiled.source):
        value, gradients = program(*args)
        np.testing.assert_allclose(value, wanted[0], rtol=1e-14)
        if isinstance(argnums, int):
            assert isinstance(gradients, np.ndarray)
            gradients, expected = (gradients,), (wanted[1],)
        else:
            expected = wanted[1]
        for one, other in zip(gradients, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-13, err_msg=compiled.source)


@pytest.mark.parametrize("argnums", [3, (0, 5)])
@pytest.mark.parametrize("number", [np.ones, lambda n: Value(1.0)], ids=["array", "Value"])
def test_argnums_beyond_the_arguments_are_refused(argnums, number):
    f = three if number is np.ones else lambda a, b, c: a * b * c
    with pytest.raises(TypeError, match="argnums"):
        flat(f, number(3), number(3), number(3), argnums=argnums)


def test_a_list_of_argnums_is_as_good_as_a_tuple():
    args = [np.ones(3), np.full(3, 2.0), np.zeros(3)]
    _, gradients = flat(three, *args, argnums=[1])(*args)
    np.testing.assert_array_equal(gradients, [[2.0, 2.0, 2.0]])


def test_integer_arguments_have_no_gradient_unless_asked_for_which_is_refused():
    args = np.ones((2, 3)), np.array([0, 2])
    compiled = flat(lambda x, y: np.sum(x[np.arange(2), y]), *args)
    assert len(compiled(*args)[1]) == 1
    with pytest.raises(TypeError, match="argument y is int64"):
        flat(lambda x, y: np.sum(x[np.arange(2), y]), *args, argnums=1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_the_result_does_not_depend_on_has_the_gradient_zero(dtype):
    x, unused = np.ones(3, dtype), np.ones((2, 3), dtype)
    compiled = flat(lambda x, unused, number: np.sum(x * x), x, unused, 3.0)
    for program in compiled, alone(compiled.source):
        _, gradients = program(x, unused, 3.0)
        np.testing.assert_array_equal(gradients[1], np.zeros((2, 3)))
        assert gradients[1].dtype == dtype
        assert gradients[2] == 0.0


def test_a_function_that_returns_its_argument():
    compiled = flat(lambda x: x, 2.0)
    for program in compiled, alone(compiled.source):
        value, (gradient,) = program(7.0)
        assert (value, gradient) == (7.0, 1.0)


# --- Threads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["sigmoid net", "svm", "pad"])
def test_threads_may_call_the_same_function_at_once(label):
    f, make = PROGRAMS[label]
    arguments = [make(np.random.default_rng([15, i])) for i in range(40)]
    compiled = flat(f, *arguments[0])
    wanted = [compiled(*args) for args in arguments]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(lambda args: [compiled(*args) for _ in range(5)][-1], arguments * 4))
    finally:
        sys.setswitchinterval(interval)
    for i, result in enumerate(got):
        assert_same(result, wanted[i % len(arguments)], f"{label}, call {i}", rtol=0)


def test_functions_made_by_flat_do_not_disturb_each_other():
    first = flat(lambda x: np.sum(x * np.array([1.0, 2.0])), np.ones(2))
    second = flat(lambda x: np.sum(x * np.array([10.0, 20.0])), np.ones(2))
    np.testing.assert_array_equal(first(np.ones(2))[1][0], [1.0, 2.0])
    np.testing.assert_array_equal(second(np.ones(2))[1][0], [10.0, 20.0])


# --- What a fresh reader found ---------------------------------------------------------------------


@pytest.mark.parametrize("reduce", [np.sum, np.mean], ids=["sum", "mean"])
@pytest.mark.parametrize("sizes", list(itertools.product([1, 2, 3], repeat=3)), ids=str)
def test_products_of_every_size_also_of_equal_ones(sizes, reduce):
    n, d, h = sizes
    rng = np.random.default_rng([20, n, d, h])
    example, fresh = ((rng.normal(size=(n, d)), rng.normal(size=(d, h))) for _ in range(2))
    assert_agrees(lambda X, W: reduce(X @ W), example, fresh, label=f"{sizes}")
    assert_agrees(lambda X, W: np.prod(np.mean(X @ W, axis=0)), example, fresh, label=f"{sizes}")

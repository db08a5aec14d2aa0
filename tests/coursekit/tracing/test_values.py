"""Flat code of circuits of Values: the numbers of `Value.backward`, in plain Python."""

import math
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from traced_programs import SEEDS, alone

from coursekit.autograd import (
    Value,
)
from coursekit.tracing import flat

# --- Circuits of Values ----------------------------------------------------------------------------


# label -> the function, the ranges of its arguments
CIRCUITS = {
    "plus": (lambda x, y: x + y + 2 + 3.5, [(-2, 2)] * 2),
    "minus": (lambda x, y: 1 - x - (y - 2) - (3 - (x - y)), [(-2, 2)] * 2),
    "times": (lambda x, y: 2 * x * y * -3 * (x * y), [(-2, 2)] * 2),
    "over": (lambda x, y: x / y + 2 / y + x / -4 - (x / (y / x)), [(0.5, 2)] * 2),
    "powers": (lambda x: x**2 + x**3 + x**0.5 + x**-1 + x**1 + x**0 + x**-2.5, [(0.5, 2)]),
    "power of a negative number": (lambda x: x**2 + x**3 + x**-1 + x**-2 + x**1 + x**0, [(-2, -0.5)]),
    "a number to a power": (lambda x: 2**x + 0.5**x - 1**x, [(-2, 2)]),
    "power of two values": (lambda x, y: x**y + y ** (x * y), [(0.5, 2)] * 2),
    "power of a power": (lambda x, y: (x**y) ** x + x ** (y**x), [(0.5, 1.5)] * 2),
    "negative powers in brackets": (lambda x: (-x) ** 2 - x**2 + -(x**3), [(0.5, 2)]),
    "negative constants": (lambda x: (x - -2) * -3 / -0.5 + -1 - (-x) + (-2 * x) ** 2, [(-2, 2)]),
    "tiny and huge constants": (lambda x: 1e-300 * x * 1e300 + x * (1 / 3) + x * 1e22 / 1e22, [(-2, 2)]),
    "neg": (lambda x, y: -x * -y - -(x - -y), [(-2, 2)] * 2),
    "abs": (lambda x, y: abs(x) * y + abs(x * y - 0.3), [(-2, 2)] * 2),
    "exp": (lambda x: x.exp() * (-x).exp() + (x * x).exp(), [(-2, 2)]),
    "log": (lambda x, y: x.log() * y.log() + (x * y).log(), [(0.5, 2)] * 2),
    "sqrt": (lambda x: x.sqrt() * (x * x + 1).sqrt(), [(0.5, 2)]),
    "tanh": (lambda x: x.tanh() + (x * 2).tanh().tanh(), [(-2, 2)]),
    "sigmoid": (lambda x: x.sigmoid() * (-x * 3).sigmoid(), [(-2, 2)]),
    "sigmoid far out": (lambda x: x.sigmoid() + (-x).sigmoid() * x, [(-800, 800)]),
    "relu": (lambda x, y: x.relu() * y + (x * y).relu() + (-x).relu(), [(-2, 2)] * 2),
    "fan-out": (lambda x: (x + x) * x - x / x + (x * x) * (x * x), [(0.5, 2)]),
    "an argument is the result": (lambda x, y: x, [(-2, 2)] * 2),
    "unused argument": (lambda x, y: x * x, [(-2, 2)] * 2),
    "neuron": (
        lambda w0, x0, w1, x1, w2: (w0 * x0 + w1 * x1 + w2).sigmoid(),
        [(-2, 2)] * 5,
    ),
}


def of_values(f, numbers):
    """Compute the value and gradients with `Value.backward`."""
    values = [Value(number) for number in numbers]
    output = f(*values)
    output.backward()
    return output.value, tuple(value.grad for value in values)


def assert_values_agree(f, examples, *others, label=""):
    compiled = flat(f, *map(Value, examples))
    for numbers in (examples, *others):
        wanted = of_values(f, numbers)
        for program in compiled, alone(compiled.source):
            value, gradients = program(*numbers)
            message = f"{label} at {numbers}\n{compiled.source}"
            assert type(value) is float, message
            assert value == pytest.approx(wanted[0], rel=1e-13, abs=1e-300, nan_ok=True), message
            assert gradients == pytest.approx(wanted[1], rel=1e-12, abs=1e-14, nan_ok=True), message
    return compiled


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("label", CIRCUITS)
def test_circuits_of_values_agree_with_value_backward(label, seed):
    f, ranges = CIRCUITS[label]
    low, high = np.transpose(ranges)
    rng = np.random.default_rng([seed, 13])
    arguments = [rng.uniform(low, high).tolist() for _ in range(6)]
    assert_values_agree(f, *arguments, label=f"{label} seed {seed}")


@pytest.mark.parametrize(
    ("f", "example", "numbers"),
    [
        (lambda x: x.sqrt(), [1.5], [0.0]),
        (lambda x: x**0.5, [1.5], [0.0]),
        (lambda x: x**0, [1.5], [0.0]),
        (lambda x: x**1, [1.5], [0.0]),
        (lambda x: x**2, [1.5], [0.0]),
        (lambda x, y: x**y, [1.5, 2.0], [0.0, 2.0]),
        (lambda x, y: x**y, [1.5, 2.0], [-2.0, 2.0]),
        (lambda x: 0**x, [1.5], [3.0]),
        (lambda x: (-2) ** x, [2.0], [3.0]),
        (lambda x: abs(x), [1.5], [0.0]),
        (lambda x: x.relu(), [1.5], [0.0]),
        (lambda x: x / math.inf, [1.5], [2.0]),
        (lambda x: x * -math.inf, [1.5], [2.0]),
    ],
    ids=["sqrt", "x**0.5", "x**0", "x**1", "x**2", "0**y", "(-2)**y", "0**x", "(-2)**x", "abs", "relu", "inf", "-inf"],
)
def test_at_the_edges_the_slopes_are_those_of_value(f, example, numbers):
    assert_values_agree(f, example, numbers)


@pytest.mark.parametrize(
    ("f", "numbers", "error"),
    [
        (lambda x: x.log(), [-1.0], ValueError),
        (lambda x: x.sqrt(), [-1.0], ValueError),
        (lambda x: x**0.5, [-2.0], ValueError),
        (lambda x: 1 / x, [0.0], ZeroDivisionError),
        (lambda x: x.exp(), [1000.0], OverflowError),
    ],
    ids=["log", "sqrt", "power", "over", "exp"],
)
def test_where_a_value_raises_an_error_its_flat_code_does_too(f, numbers, error):
    with pytest.raises(error):
        f(*map(Value, numbers))
    compiled = flat(f, Value(1.5))
    for program in compiled, alone(compiled.source):
        with pytest.raises(error):
            program(*numbers)


@pytest.mark.parametrize("make", [lambda: Value(4.0), lambda: Value(2.0) * 2], ids=["leaf", "computed"])
def test_a_value_from_outside_is_a_constant(make):
    outside = make()
    compiled = assert_values_agree(lambda x: x * outside + outside, [3.0], [5.0])
    assert compiled(3.0) == (16.0, (4.0,))


def test_a_value_made_inside_is_a_constant():
    assert_values_agree(lambda x: x * Value(4.0) - Value(-2.0), [3.0], [5.0])


def test_a_sum_of_products_that_starts_with_a_value():
    def f(a, b, c):
        total = Value(0.0)
        for weight, x in zip((a, b), (b, c), strict=True):
            total = total + weight * x
        return total.tanh()

    assert_values_agree(f, [0.1, 0.2, 0.3], [-1.0, 2.0, 0.5])


@pytest.mark.parametrize("argnums", [0, 1, 2, (0,), (2,), (0, 2), (1, 0), (2, 1, 0), -1])
def test_argnums_choose_and_order_the_gradients_of_values(argnums):
    def f(x, y, z):
        return x * y + y * z * z

    numbers = [2.0, 3.0, 5.0]
    gradients = np.array([3.0, 27.0, 30.0])[list(argnums) if isinstance(argnums, tuple) else argnums]
    compiled = flat(f, *map(Value, numbers), argnums=argnums)
    for program in compiled, alone(compiled.source):
        value, got = program(*numbers)
        assert value == 81.0
        assert type(got) is (float if isinstance(argnums, int) else tuple)
        np.testing.assert_array_equal(got, gradients)


def test_an_unused_value_has_the_gradient_zero():
    compiled = flat(lambda x, unused: x * x, Value(2.0), Value(3.0))
    assert compiled(5.0, 7.0) == (25.0, (10.0, 0.0))


def test_numbers_may_stand_among_values():
    compiled = flat(lambda x, c: x * c, Value(2.0), 3.0)
    assert compiled(5.0, 7.0) == (35.0, (7.0, 5.0))


def test_examples_are_left_as_they_were():
    x = Value(3.0)
    (x * x).backward()
    flat(lambda x: x * x, x)
    assert (x.value, x.grad) == (3.0, 6.0)


def test_the_source_of_the_first_circuit():
    def f(x, y, z):
        q = x + y
        return q * z

    compiled = flat(f, Value(-2.0), Value(5.0), Value(-4.0))
    lines = compiled.source.splitlines()
    forward = ["import math", "def f_and_gradients(x, y, z):", "    q = x + y", "    times = q * z"]
    assert [line for line in lines if line in forward] == forward, compiled.source
    backward = {"grad_times = 1.0", "grad_q = grad_times * z", "grad_z = grad_times * q", "grad_x = grad_q"}
    assert backward < {line.strip() for line in lines}
    assert lines[-1] == "    return times, (grad_x, grad_y, grad_z)"
    assert compiled(-2.0, 5.0, -4.0) == (-12.0, (-4.0, -4.0, 3.0))


def values_math(x):
    math = x * 2
    return math.exp() * math


def values_gradients(x, grad_x):
    h = x * grad_x
    grad_h = h.exp()
    return grad_h * h + grad_x * x


def values_local_gradient(x):
    grad_x = x.exp()
    return grad_x * x * grad_x


def values_gradient_of_a_later_node(x):
    grad_h = x.exp()
    k = grad_h * x
    h = k * k
    return h * k


def values_operations(times, plus, x):
    times = times * plus
    plus_2 = times + x
    return plus_2 * x + plus


values_math_argument = eval("lambda math, x: math.exp() * x.log()")


@pytest.mark.parametrize(
    "f", [value for name, value in sorted(globals().items()) if name.startswith("values_")], ids=lambda f: f.__name__
)
def test_names_in_a_circuit_collide_with_nothing(f):
    rng = np.random.default_rng(14)
    assert_values_agree(f, *(rng.uniform(0.5, 2, size=f.__code__.co_argcount).tolist() for _ in range(3)))


VALUE_STEPS = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x.tanh() * y,
    "/": lambda x, y: x / (y * y + 1),
    "constants": lambda x, y: -2 * x + y / -4 - 0.1,
    "power": lambda x, y: (y.sigmoid() + 0.5) ** x.tanh(),
    "square": lambda x, y: x**2 * 0.1 - y,
    "neg": lambda x, y: -x,
    "abs": lambda x, y: abs(x) - abs(y),
    "exp": lambda x, y: (-(x * x)).exp() * y,
    "log": lambda x, y: (x * x + 1).log(),
    "sqrt": lambda x, y: (y * y + 0.5).sqrt(),
    "sigmoid": lambda x, y: x.sigmoid(),
    "relu": lambda x, y: x.relu() + y,
}


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.sampled_from(sorted(VALUE_STEPS)), st.integers(0, 9), st.integers(0, 9)), max_size=12),
    st.integers(0, 1000),
)
def test_random_circuits_agree_with_value_backward(steps, seed):
    def f(x, y, z):
        values = [x, y, z]
        for operation, i, j in steps:
            values.append(VALUE_STEPS[operation](values[-1 - i % len(values)], values[-1 - j % len(values)]))
        return values[-1] * values[-2]

    note(f"seed {seed}")
    rng = np.random.default_rng(seed)
    compiled = flat(f, *map(Value, rng.normal(size=3)))
    for _ in range(3):
        numbers = rng.normal(size=3).tolist()
        value, gradients = of_values(f, numbers)
        for program in compiled, alone(compiled.source):
            got, got_gradients = program(*numbers)
            scale = max(map(abs, (value, *gradients)))
            np.testing.assert_allclose(got, value, rtol=1e-11, atol=1e-11 * scale)
            np.testing.assert_allclose(got_gradients, gradients, rtol=1e-10, atol=1e-11 * scale)


def test_a_long_chain_of_values():
    def f(x):
        for i in range(2000):
            x = x + 0.001 if i % 2 else x * 1.0001
        return x

    assert_values_agree(f, [1.0], [2.0])


# --- Threads ---------------------------------------------------------------------------------------


def test_threads_may_call_the_flat_code_of_values_at_once():
    compiled = flat(lambda x, y: (x * y + x).tanh() / y, Value(1.0), Value(2.0))
    numbers = np.random.default_rng(16).uniform(0.5, 2, size=(400, 2)).tolist()
    wanted = [compiled(*pair) for pair in numbers]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda pair: compiled(*pair), numbers)) == wanted


# --- What a fresh reader found ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [lambda a: a * 2 if a > 0 else a, lambda a: max(a, a * a) * 2, lambda a: a * 2 if a else a, lambda a: a * float(a)],
    ids=["if", "max", "bool", "float"],
)
def test_circuits_of_values_whose_course_depends_on_numbers_are_refused(f):
    with pytest.raises(TypeError, match="depends on a number"):
        flat(f, Value(-1.0))
    assert sys.getprofile() is None

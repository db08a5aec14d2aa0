"""Value and the gates: rules, circuits, the backward pass, and the record for other modules."""

import cmath
import gc
import math
import operator
import random
import subprocess
import sys
import threading
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from coursekit.autograd import Tensor, scalar
from coursekit.autograd.scalar import AddGate, CopyGate, ExpGate, MaxGate, MultiplyGate, SigmoidGate, Value

# --- The circuits of the lectures ---


def test_the_circuit_of_the_lecture():
    x, y, z = Value(-2), Value(5), Value(-4)
    q = x + y
    f = q * z
    f.backward()
    assert f.value == -12
    assert (x.grad, y.grad, z.grad) == (-4, -4, 3)
    assert (q.grad, f.grad) == (-4, 1)


@pytest.mark.parametrize("written_out", [True, False])
def test_the_sigmoid_neuron_of_the_lecture(written_out):
    w0, x0, w1, x1, w2 = circuit = [Value(v) for v in (2, -1, -3, -2, -3)]
    s = w0 * x0 + w1 * x1 + w2
    f = 1 / (1 + (-s).exp()) if written_out else s.sigmoid()
    f.backward()
    assert f.value == pytest.approx(0.73, abs=0.005)
    assert [v.grad for v in circuit] == pytest.approx([-0.20, 0.39, -0.39, -0.59, 0.20], abs=0.005)


# --- Every operation, against the complex step: Im f(x + ih) / h is exact, with no difference to cancel ---


def either(low, high):
    """Draw a number between low and high, of either sign, away from the kink at 0."""
    return lambda rng: rng.choice((-1, 1)) * rng.uniform(low, high)


def between(low, high):
    return lambda rng: rng.uniform(low, high)


ANY, POSITIVE = either(0.1, 3), between(0.1, 3)

# name: (of Values, the same of complex numbers, where its inputs come from)
OPERATIONS = {
    "x + y": (operator.add, operator.add, [ANY, ANY]),
    "x - y": (operator.sub, operator.sub, [ANY, ANY]),
    "x * y": (operator.mul, operator.mul, [ANY, ANY]),
    "x / y": (operator.truediv, operator.truediv, [ANY, ANY]),
    "x ** y": (operator.pow, operator.pow, [POSITIVE, ANY]),
    "x + 1.5": (lambda x: x + 1.5, lambda x: x + 1.5, [ANY]),
    "x - 1.5": (lambda x: x - 1.5, lambda x: x - 1.5, [ANY]),
    "x * 1.5": (lambda x: x * 1.5, lambda x: x * 1.5, [ANY]),
    "x / 1.5": (lambda x: x / 1.5, lambda x: x / 1.5, [ANY]),
    "x ** 1.5": (lambda x: x**1.5, lambda x: x**1.5, [POSITIVE]),
    "x ** 2": (lambda x: x**2, lambda x: x * x, [ANY]),
    "x ** -3": (lambda x: x**-3, lambda x: 1 / (x * x * x), [ANY]),
    "1.5 + x": (lambda x: 1.5 + x, lambda x: 1.5 + x, [ANY]),
    "1.5 - x": (lambda x: 1.5 - x, lambda x: 1.5 - x, [ANY]),
    "1.5 * x": (lambda x: 1.5 * x, lambda x: 1.5 * x, [ANY]),
    "1.5 / x": (lambda x: 1.5 / x, lambda x: 1.5 / x, [ANY]),
    "1.5 ** x": (lambda x: 1.5**x, lambda x: cmath.exp(x * math.log(1.5)), [ANY]),
    "-x": (operator.neg, operator.neg, [ANY]),
    "abs": (abs, lambda x: x if x.real > 0 else -x, [ANY]),
    "exp": (Value.exp, cmath.exp, [ANY]),
    "log": (Value.log, cmath.log, [POSITIVE]),
    "sqrt": (Value.sqrt, cmath.sqrt, [POSITIVE]),
    "tanh": (Value.tanh, cmath.tanh, [ANY]),
    "sigmoid": (Value.sigmoid, lambda x: 1 / (1 + cmath.exp(-x)), [ANY]),
    "relu": (Value.relu, lambda x: x if x.real > 0 else 0j, [ANY]),
    "x * x": (lambda x: x * x, lambda x: x * x, [ANY]),
    "max": (max, lambda x, y: x if x.real > y.real else y, [ANY, ANY]),
}


def check_operation(name, seed, h=1e-20):
    of_values, of_complex, sources = OPERATIONS[name]
    rng = random.Random(f"{name} {seed}")
    point = [source(rng) for source in sources]
    upstream = rng.uniform(-2, 2)
    where = f"{name} at {point}, upstream {upstream}, seed {seed}"

    inputs = [Value(x) for x in point]
    result = of_values(*inputs)
    result.backward(upstream)

    assert result.value == pytest.approx(of_complex(*map(complex, point)).real, rel=1e-12), where
    for i, x in enumerate(inputs):
        stepped = [complex(v, h if i == j else 0) for j, v in enumerate(point)]
        wanted = upstream * of_complex(*stepped).imag / h
        assert x.grad == pytest.approx(wanted, rel=1e-11, abs=1e-15), f"{where}, input {i}"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_gradient_is_that_of_the_complex_step(name, seed):
    check_operation(name, seed)


@pytest.mark.parametrize("wrong", ["value", "slope"])
def test_the_check_rejects_a_rule_that_is_slightly_wrong(wrong, monkeypatch):
    z_factor, slope_factor = (1.0005, 1) if wrong == "value" else (1, 1.0005)
    right = scalar.RULES["tanh"]
    monkeypatch.setitem(scalar.RULES, "tanh", lambda x: (right(x)[0] * z_factor, right(x)[1] * slope_factor))
    with pytest.raises(AssertionError):
        check_operation("tanh", seed=0)


@pytest.mark.parametrize(("x", "value"), [(1000, 1), (-1000, 0), (0, 0.5)])
def test_sigmoid_is_stable(x, value):
    v = Value(x)
    s = v.sigmoid()
    s.backward()
    assert (s.value, v.grad) == (value, value * (1 - value))


def test_sigmoid_is_accurate_far_to_the_left():
    assert Value(-700).sigmoid().value == pytest.approx(math.exp(-700), rel=1e-12)


def test_tanh_is_stable():
    assert (Value(1000).tanh().value, Value(-1000).tanh().value) == (1, -1)


def slope_at(f, x):
    v = Value(x)
    f(v).backward()
    return v.grad


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (Value.relu, 0),
        (abs, 0),
        (Value.sqrt, math.inf),
        (lambda x: x**0.5, math.inf),
        (lambda x: x**0, 0),
        (lambda x: x**1, 1),
        (lambda x: x**2, 0),
        (lambda x: Value(0) ** (x + 2), 0),
    ],
)
def test_slopes_at_zero(f, slope):
    assert slope_at(f, 0.0) == slope


@pytest.mark.parametrize("f", [Value.relu, Value.tanh, Value.sigmoid, abs, Value.sqrt, Value.log, Value.exp])
def test_nan_stays_nan(f):
    assert math.isnan(f(Value(math.nan)).value)


def test_a_negative_number_has_no_slope_with_respect_to_its_exponent():
    x, p = Value(-2.0), Value(3.0)
    y = x**p
    y.backward()
    assert (y.value, x.grad) == (-8, 12)
    assert math.isnan(p.grad)


# --- The backward pass ---


def test_a_value_that_is_used_several_times_adds_up_what_comes_back():
    x = Value(3.0)
    y = x * x * x + x
    y.backward()
    assert x.grad == 3 * 3**2 + 1


def test_both_operands_may_be_the_same_value():
    x = Value(3.0)
    (x / x - x).backward(2.0)
    assert x.grad == -2


@pytest.mark.parametrize("swapped", [False, True])
def test_a_diamond_of_unequal_branches_is_visited_in_order(swapped):
    x = Value(0.5)
    a = x * 3
    long, short = (a * a * a).exp(), a * 1
    (short * long if swapped else long * short).backward()
    assert x.grad == pytest.approx(3 * (1 + 3 * 1.5**3) * math.exp(1.5**3), rel=1e-12)


def test_a_ladder_of_diamonds_takes_linear_time():
    x = y = Value(1.0)
    for _ in range(500):  # 2 to the power 500 paths
        y = y * 0.5 + y * 0.5
    started = time.perf_counter()
    y.backward()
    assert time.perf_counter() - started < 1
    assert x.grad == 1


def test_gradients_of_several_calls_add_up_everywhere():
    x = Value(3.0)
    y = x * x
    z = y.exp()
    w = z + y
    w.backward(2.0)
    first = {v: v.grad for v in (x, y, z, w)}
    w.backward(-0.5)
    assert {v: v.grad for v in first} == {v: pytest.approx(0.75 * g, rel=1e-12) for v, g in first.items()}
    assert w.grad == 1.5


def test_backward_from_two_results_adds_up():
    x = Value(3.0)
    y = x * 2
    a, b = y * y, y * 5
    a.backward()
    b.backward()
    assert (y.grad, x.grad) == (12 + 5, 34)
    assert (a.grad, b.grad) == (1, 1)


def test_backward_from_an_intermediate_value_leaves_the_rest_alone():
    x = Value(3.0)
    y = x * 2
    z = y * y
    y.backward()
    assert (x.grad, y.grad, z.grad) == (2, 1, 0)
    z.backward()
    assert (x.grad, y.grad, z.grad) == (2 + 24, 1 + 12, 1)


def test_a_gradient_set_to_zero_starts_anew():
    x = Value(3.0)
    y = x * x
    y.backward()
    x.grad = 0
    y.backward()
    assert x.grad == 6


def test_what_does_not_contribute_gets_no_gradient():
    x, unused = Value(3.0), Value(1.0)
    by_the_way = x * unused
    (x * 2).backward()
    assert (unused.grad, by_the_way.grad) == (0, 0)


def test_backward_of_an_input():
    x = Value(3.0)
    x.backward(5.0)
    assert x.grad == 5


# --- Long chains ---


def chain(n):
    x = y = Value(0.0)
    for _ in range(n):
        y = y + 1.0
    return x, y


@pytest.mark.slow
def test_a_chain_of_a_million_operations():
    x, y = chain(1_000_000)
    assert y.value == 1_000_000
    y.backward(0.5)
    assert (x.grad, y.grad) == (0.5, 0.5)


@pytest.mark.slow
def test_dropping_a_chain_of_a_million_operations_needs_no_deep_stack():
    def living():
        return sum(isinstance(o, Value) for o in gc.get_objects())

    counts = []

    def run():
        counts.append(living())
        x, y = chain(1_000_000)
        y.backward()
        counts.append(living())
        del x, y
        counts.append(living())

    # Python 3.13 nests 10 000 deallocations (just under 1 MiB) before it unwinds; a million would take 80 MiB.
    before = threading.stack_size(2 * 1024 * 1024)
    gc.disable()
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        gc.enable()
        threading.stack_size(before)
    start, during, end = counts
    assert during == start + 1_000_001
    assert end == start  # freed at once: values hold no reference cycles


# --- Against Tensor ---

STEPS = {
    "+": lambda f, a, b: a + b,
    "-": lambda f, a, b: a - b,
    "*": lambda f, a, b: f["tanh"](a * b),
    "/": lambda f, a, b: a / (b * b + 1),
    "**": lambda f, a, b: (a * a + 0.5) ** f["tanh"](b),
    "neg": lambda f, a, b: -a,
    "numbers on the left": lambda f, a, b: (2 - a) * 0.5 + 3.0 / (1 + b * b) + 0.5 ** f["tanh"](a),
    "numbers on the right": lambda f, a, b: (a - 2) / 4 + (b * b + 1) ** -2,
    "abs": lambda f, a, b: abs(a),
    "relu": lambda f, a, b: f["relu"](a),
    "tanh": lambda f, a, b: f["tanh"](a),
    "sigmoid": lambda f, a, b: f["sigmoid"](a),
    "exp": lambda f, a, b: f["exp"](f["tanh"](a)),
    "log": lambda f, a, b: f["log"](a * a + 1),
    "sqrt": lambda f, a, b: f["sqrt"](a * a + 1),
}
OF_VALUES = {name: getattr(Value, name) for name in ("exp", "log", "sqrt", "tanh", "sigmoid", "relu")}
OF_TENSORS = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(0, x),
}
NUMBERS = st.floats(-3, 3, allow_subnormal=False)
UPSTREAMS = st.lists(NUMBERS, min_size=1, max_size=3)


def grow(functions, inputs, steps):
    """All values of a circuit that grows step by step; each step picks what it uses among the earlier ones."""
    values = list(inputs)
    for name, i, j in steps:
        values.append(STEPS[name](functions, values[i % len(values)], values[j % len(values)]))
    return values


@given(
    inputs=st.lists(NUMBERS, min_size=1, max_size=4),
    steps=st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 99), st.integers(0, 99)), max_size=25),
    upstreams=UPSTREAMS,
)
def test_any_circuit_has_the_gradients_of_tensor(inputs, steps, upstreams):
    values = grow(OF_VALUES, [Value(x) for x in inputs], steps)
    # Rounding may put two engines on different sides of a kink, and sums may exceed any tolerance.
    assume(all(v.value == 0 or 1e-6 < abs(v.value) < 1e6 for v in values))
    tensors = grow(OF_TENSORS, [Tensor(x, requires_grad=True) for x in inputs], steps)
    for upstream in upstreams:
        values[-1].backward(upstream)
        tensors[-1].backward(upstream)
    for i, (v, t) in enumerate(zip(values, tensors, strict=True)):
        assert v.value == pytest.approx(t.item(), rel=1e-9, abs=1e-12), i
        assert v.grad == pytest.approx(0 if t.grad is None else float(t.grad), rel=1e-7, abs=1e-9), i


# --- What a value is ---


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
@pytest.mark.parametrize(("a", "b"), [(2.0, 3.0), (3.0, 2.0), (2.0, 2.0)])
def test_order_is_that_of_the_numbers(compare, a, b):
    assert compare(Value(a), Value(b)) is compare(Value(a), b) is compare(a, Value(b)) is compare(a, b)


def test_values_can_be_sorted():
    two, three = Value(2), Value(3)
    assert max(two, three) is three
    assert sorted([three, two]) == [two, three]


def test_equality_is_identity_so_that_values_fit_into_sets():
    a, b = Value(2), Value(2)
    assert a == a
    assert a != b
    assert len({a, b, a}) == 2


def test_a_value_is_true_unless_it_is_zero():
    assert Value(0.1)
    assert not Value(0)


def test_the_number_alone():
    v = Value(2.5)
    assert type(float(v)) is float
    assert float(v) == 2.5
    assert f"{v:.2f}" == "2.50"
    assert f"{v}" == repr(v) == "Value(2.5, grad=0.0)"


@pytest.mark.parametrize("number", [3, True, Fraction(1, 2), np.float64(0.25), np.float32(0.25), np.int64(3)])
def test_every_kind_of_real_number_becomes_a_float(number):
    assert type(Value(number).value) is float
    for result in (Value(2) * number, number * Value(2), Value(2) ** number, number - Value(2)):
        assert type(result) is Value
        assert type(result.value) is float
    assert (number - Value(2)).value == float(number) - 2


def test_sum_of_values():
    values = [Value(1), Value(2), Value(3)]
    total = sum(values)
    total.backward()
    assert total.value == 6
    assert [v.grad for v in values] == [1, 1, 1]


def test_augmented_assignment_makes_a_new_value():
    x = y = Value(3)
    y += 1
    assert (x.value, y.value) == (3, 4)


# --- What a value records ---


def test_a_leaf_records_nothing():
    x = Value(3)
    assert (x.operation, x.inputs, x.slopes) == ("", (), ())


X, Y = Value(3.0), Value(2.0)


@pytest.mark.parametrize(
    ("result", "operation", "inputs", "slopes"),
    [
        (X + Y, "+", (X, Y), (1, 1)),
        (X - Y, "-", (X, Y), (1, -1)),
        (X * Y, "*", (X, Y), (2, 3)),
        (X / Y, "/", (X, Y), (0.5, -0.75)),
        (X**Y, "**", (X, Y), (6, 9 * math.log(3))),
        (X * X, "*", (X, X), (3, 3)),
        (X + 2, "+", (X, 2), (1, None)),
        (2 + X, "+", (2, X), (None, 1)),
        (2 - X, "-", (2, X), (None, -1)),
        (X - 2, "-", (X, 2), (1, None)),
        (0 * X, "*", (0, X), (None, 0)),
        (6 / X, "/", (6, X), (None, -6 / 9)),
        (2**X, "**", (2, X), (None, 8 * math.log(2))),
        (X**0, "**", (X, 0), (0, None)),
        (-X, "neg", (X,), (-1,)),
        (abs(X), "abs", (X,), (1,)),
        (X.exp(), "exp", (X,), (math.exp(3),)),
        (X.log(), "log", (X,), (1 / 3,)),
        (X.sqrt(), "sqrt", (X,), (0.5 / math.sqrt(3),)),
        (X.tanh(), "tanh", (X,), (1 - math.tanh(3) ** 2,)),
        (X.sigmoid(), "sigmoid", (X,), (math.exp(-3) / (1 + math.exp(-3)) ** 2,)),
        (X.relu(), "relu", (X,), (1,)),
    ],
)
def test_operation_inputs_and_slopes_are_recorded(result, operation, inputs, slopes):
    assert result.operation == operation
    assert result.inputs == inputs
    assert [type(i) for i in result.inputs] == [Value if isinstance(i, Value) else float for i in inputs]
    assert len(result.slopes) == len(slopes)
    for got, wanted in zip(result.slopes, slopes, strict=True):
        assert got is None if wanted is None else got == pytest.approx(wanted, rel=1e-12)
    assert all(result.order > i.order for i in inputs if isinstance(i, Value))


def recomputed(v):
    """Compute the value again, from the record alone."""
    if not isinstance(v, Value) or not v.operation:
        return float(v)
    return scalar.RULES[v.operation](*map(recomputed, v.inputs))[0]


def test_the_record_is_enough_to_compute_the_value_again():
    x, y = Value(0.7), Value(-1.3)
    z = (2 - x) ** 3 / (1 + y.tanh() * -0.5) - abs(y).sqrt() * (0.1 * x).sigmoid()
    assert recomputed(z) == z.value
    assert recomputed(z + 1e-12) != z.value


# --- Errors ---


@pytest.mark.parametrize("value", ["3", 1j, np.zeros(2), np.array(3.0), None, [1.0], Value(1)])
def test_a_value_holds_one_real_number(value):
    with pytest.raises(TypeError, match=rf"one real number, but this is {type(value).__name__}: write Value\(3.0\)"):
        Value(value)


@pytest.mark.parametrize("other", ["3", 1j, None, [1.0]])
@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow])
def test_operators_refuse_what_is_no_real_number(operation, other):
    with pytest.raises(TypeError, match="Value"):
        operation(Value(2), other)
    with pytest.raises(TypeError, match="Value"):
        operation(other, Value(2))


@pytest.mark.parametrize("x", [0.0, -2.5])
def test_log_names_the_number_it_cannot_take(x):
    with pytest.raises(ValueError, match=f"log of {x}: .* greater than 0"):
        Value(x).log()


def test_sqrt_names_the_number_it_cannot_take():
    with pytest.raises(ValueError, match=r"sqrt of -2.5: .* not negative"):
        Value(-2.5).sqrt()


@pytest.mark.parametrize("power", [lambda: Value(-8) ** (1 / 3), lambda: (-8) ** Value(1 / 3)])
def test_a_root_of_a_negative_number_is_no_real_number(power):
    with pytest.raises(ValueError, match=r"-8.0 \*\* 0.333.* is not a real number"):
        power()


@pytest.mark.parametrize("f", [lambda x: 1 / x, lambda x: x / x, lambda x: x**-1])
def test_division_by_zero(f):
    with pytest.raises(ZeroDivisionError):
        f(Value(0))


def test_exp_of_too_large_a_number():
    with pytest.raises(OverflowError):
        Value(1000).exp()
    assert Value(-1000).exp().value == 0


def test_the_module_runs_without_numpy():
    code = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('scalar', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "x = module.Value(3)\n"
        "(x * x).backward()\n"
        "print(x.grad, sorted({'numpy', 'coursekit'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, scalar.__file__], capture_output=True, text=True, check=True)
    assert done.stdout == "6.0 []\n"


# --- Gates ---


@pytest.mark.parametrize("seed", range(3))
def test_gates_route_the_upstream_gradient(seed):
    rng = random.Random(seed)
    x, y, dz, da = (rng.uniform(-2, 2) for _ in range(4))
    where = f"seed {seed}"

    add, multiply, larger, copy_gate = AddGate(), MultiplyGate(), MaxGate(), CopyGate()
    assert (add.forward(x, y), add.backward(dz)) == (x + y, (dz, dz)), where
    assert (multiply.forward(x, y), multiply.backward(dz)) == (x * y, (y * dz, x * dz)), where
    assert (larger.forward(x, y), larger.backward(dz)) == (max(x, y), (dz, 0) if x > y else (0, dz)), where
    assert (larger.forward(y, x), larger.backward(dz)) == (max(x, y), (0, dz) if x > y else (dz, 0)), where
    assert (copy_gate.forward(x), copy_gate.backward(da, dz)) == ((x, x), da + dz), where

    exp, sigmoid = ExpGate(), SigmoidGate()
    assert (exp.forward(x), exp.backward(dz)) == (math.exp(x), pytest.approx(math.exp(x) * dz)), where
    s = 1 / (1 + math.exp(-x))
    assert (sigmoid.forward(x), sigmoid.backward(dz)) == (pytest.approx(s), pytest.approx(s * (1 - s) * dz)), where


def test_the_circuit_of_the_lecture_from_gates():
    add, multiply = AddGate(), MultiplyGate()
    assert multiply.forward(add.forward(-2.0, 5.0), -4.0) == -12
    dq, dz = multiply.backward(1.0)
    assert (*add.backward(dq), dz) == (-4, -4, 3)


def test_max_gate_gives_the_whole_gradient_to_the_first_input_at_a_tie():
    gate = MaxGate()
    gate.forward(2.0, 2.0)
    assert gate.backward(3.0) == (3, 0)
    x, y = Tensor(2.0, requires_grad=True), Tensor(2.0, requires_grad=True)
    np.maximum(x, y).backward(3.0)
    assert (x.grad, y.grad) == gate.backward(3.0)


def test_a_gate_remembers_its_latest_forward():
    gate = MultiplyGate()
    gate.forward(2.0, 3.0)
    gate.forward(5.0, 7.0)
    assert gate.backward(1.0) == (7, 5)


@pytest.mark.parametrize("kind", [AddGate, MultiplyGate, MaxGate, ExpGate, SigmoidGate, CopyGate])
def test_backward_before_forward_says_so(kind):
    upstream = (1.0, 1.0) if kind is CopyGate else (1.0,)
    with pytest.raises(RuntimeError, match=f"{kind.__name__}.backward .* call forward first"):
        kind().backward(*upstream)

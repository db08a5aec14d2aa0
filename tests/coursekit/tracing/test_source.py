"""The source of flat code reads like code written by hand, and runs on its own."""

import ast
import math
import subprocess
import sys

import numpy as np
import pytest
from traced_programs import ALL, PROGRAMS, alone, assert_agrees, floats, parameter

from coursekit.autograd import (
    Tensor,
    value_and_grad,
)
from coursekit.tracing import flat, graph

# --- The source ------------------------------------------------------------------------------------


def lecture_net(x, y, w1, w2):
    h = 1 / (1 + np.exp(-x.dot(w1)))
    y_pred = h.dot(w2)
    loss = np.square(y_pred - y).sum()
    return loss


def statements(source):
    (function,) = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    return function


def test_the_lecture_net_reads_as_in_the_lecture():
    rng = np.random.default_rng(0)
    args = [rng.normal(size=shape) for shape in [(64, 1000), (64, 10), (1000, 100), (100, 10)]]
    compiled = flat(lecture_net, *args, argnums=(2, 3))
    written = [
        "import numpy as np",
        "def lecture_net_and_gradients(x, y, w1, w2):",
        "    # forward",
        "    product = x @ w1",
        "    h = 1 / plus",
        "    y_pred = h @ w2",
        "    minus = y_pred - y",
        "    loss = np.sum(squares)",
        "    # backward",
        "    grad_y_pred = 2 * minus",
        "    grad_h = grad_y_pred @ w2.T",
        "    grad_w2 = h.T @ grad_y_pred",
        "    grad_product = grad_h * h * (1 - h)",
        "    grad_w1 = x.T @ grad_product",
        "    return loss, (grad_w1, grad_w2)",
    ]
    lines = compiled.source.splitlines()
    assert [line for line in lines if line in written] == written, compiled.source
    assert len(lines) < 30, "no more lines than one would write by hand"
    x, y, w1, w2 = args
    h = 1 / (1 + np.exp(-x.dot(w1)))
    grad_y_pred = 2.0 * (h.dot(w2) - y)
    value, (grad_w1, grad_w2) = compiled(*args)
    np.testing.assert_allclose(value, np.square(h.dot(w2) - y).sum(), rtol=1e-12)
    np.testing.assert_allclose(grad_w2, h.T.dot(grad_y_pred), rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(grad_w1, x.T.dot(grad_y_pred.dot(w2.T) * h * (1 - h)), rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("label", ALL)
def test_the_source_has_a_line_for_each_node_and_uses_each_name_for_one_thing(label):
    f, make = ALL[label]
    args = make(np.random.default_rng(0))
    source = flat(f, *args).source
    function = statements(source)
    known = {argument.arg for argument in function.args.args} | {"np", "slice"}
    forward = source.partition("# forward\n")[2].partition("# backward\n")[0]
    first_lines = [line for line in forward.splitlines() if "=" in line]
    assigned = []
    for statement in function.body:
        used = {
            node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        assert used <= known, f"{label}: {used - known} before being assigned\n{source}"
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                own_copy = ast.unparse(statement) == f"{node.id} = {node.id}.copy()"
                assert own_copy or node.id not in known, f"{label}: {node.id} means two things\n{source}"
                known.add(node.id)
                assigned.append(node.id)
    computed = [node.name for node in graph(f, *args) if node.kind == "compute"]
    assert [name for name in assigned if name in computed][: len(computed)] == computed, f"{label}\n{source}"
    assert len(first_lines) >= len(computed)
    # Every float argument has a gradient of that name.
    names = [argument.arg for argument, arg in zip(function.args.args, args, strict=True) if floats([arg])]
    returned = function.body[-1].value.elts[1]
    assert [element.id for element in returned.elts] == [f"grad_{name}" for name in names]


def test_gradients_come_in_the_reverse_order_of_their_nodes():
    def f(x):
        a = np.tanh(x)
        b = np.exp(a)
        c = np.sin(b)
        d = np.sqrt(c + 2.0)
        return np.sum(d)

    source = flat(f, np.ones(3)).source
    order = [source.index(f"grad_{name} =") for name in "dcbax" if f"grad_{name} =" in source]
    assert len(order) >= 4
    assert order == sorted(order)


def test_the_source_runs_without_coursekit():
    f, make = PROGRAMS["softmax"]
    compiled = flat(f, *make(np.random.default_rng(0)))
    program = "\n".join(
        [
            compiled.source,
            "import sys",
            "rng = np.random.default_rng(0)",
            "X, W, b = rng.normal(size=(6, 4)), rng.normal(size=(4, 3)), rng.normal(size=3)",
            "y = rng.integers(3, size=6)",
            "value, gradients = softmax_loss_and_gradients(X, W, b, y)",
            "assert not any('coursekit' in name for name in sys.modules)",
            "print(repr(float(value)))",
        ]
    )
    run = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    value, _ = compiled(*make(np.random.default_rng(0)))
    assert float(run.stdout) == pytest.approx(float(value), rel=1e-14)


def collide_np(x):
    np = x * 2.0
    return (np * np).sum()


def collide_gradients(x):
    grad_x = np.exp(x)
    grad_h = grad_x * x
    h = grad_h * np.tanh(grad_x)
    grad_total = h * grad_h
    return np.sum(grad_total * grad_x)


def collide_gradient_arguments(x, grad_x, grad_grad_x):
    return np.sum(np.exp(x * grad_x) * grad_x / grad_grad_x)


def collide_numbered(v0, v1, v2, v3, v4, v5):
    v6 = np.exp(v0) * v1
    return np.sum(v6 + v2 * v3 * v4 * np.tanh(v5) * v0)


def collide_private(_exp, _put, _dot, _refuse, _sum, _constant, _float64, _add, _multiply):
    part = np.exp(_exp[[0, 0, 1]]) * _put * np.array([1.0, 2.0, 4.0])
    rest = np.tanh(_dot * _refuse + _sum) * np.array([3.0, 2.0, 4.0])
    return np.sum(part * rest + np.square(_float64 * _add * _multiply - np.minimum(_constant, _dot)))


def collide_checks(fits, self, value, args):
    return np.sum(fits * self * value * args)


def collide_parts(part, part_2):
    product = part * part_2
    return np.sum(product * product) + np.sum(np.pad(part, 1)) * np.sum(part[[0, 0]])


def collide_argument_reassigned(x, w):
    x = x * w
    x = np.exp(x)
    w = x * w
    return np.sum(w * x)


def collide_operations(exp, times, total, neg):
    plus = np.exp(exp) * times
    times_2 = plus * neg
    return np.sum(times_2 + -neg * total)


def collide_soft_keywords(match, case, type, _):
    return np.sum(match * case + type * _)


def collide_builtins(slice, print, sum, abs):
    float = slice * print
    return np.sum(np.abs(float) + sum[1:] @ abs[1:])


def collide_own_name(collide_own_name_and_gradients):
    collide_own_name = collide_own_name_and_gradients**2
    return np.sum(collide_own_name)


def collide_unicode(θ, Δx):
    λ = θ * Δx
    return np.sum(λ * λ)


collide_np_argument = eval("lambda np, x: (np * x * np).sum()")
COLLISIONS = [value for name, value in sorted(globals().items()) if name.startswith("collide_")]


@pytest.mark.parametrize("f", COLLISIONS, ids=lambda f: f.__name__)
def test_names_in_the_program_collide_with_nothing(f):
    count = f.__code__.co_argcount
    examples, fresh = (np.random.default_rng([10, i]).uniform(0.5, 2, size=(count, 3)) for i in range(2))
    compiled = assert_agrees(f, tuple(examples), tuple(fresh), label=f.__name__)
    assert len(set(compiled.__code__.co_varnames)) == len(compiled.__code__.co_varnames)


def test_names_come_from_the_program():
    def f(X, W):
        scores = X @ W
        margins = np.maximum(0, scores)
        return np.sum(margins * scores)

    source = flat(f, np.ones((2, 3)), np.ones((3, 2))).source
    for line in "scores = X @ W", "margins = np.maximum(0, scores)":
        assert f"    {line}\n" in source
    assert "grad_margins" in source or "grad_scores" in source


def test_arguments_may_be_passed_by_name():
    compiled = flat(lambda x, w: np.sum(x * x * w), np.ones(3), np.ones(3))
    _, gradients = compiled(w=np.full(3, 2.0), x=np.ones(3))
    np.testing.assert_array_equal(gradients, [[4.0] * 3, [1.0] * 3])


def test_arguments_without_a_name_are_numbered():
    assert_agrees(lambda *xs: np.sum(xs[0] * xs[1]), (np.ones(3), np.ones(3)), (np.arange(3.0), np.ones(3)))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: (x - (x - (x - 1.0))) * 2,
        lambda x: x / (x / (x / 3.0)),
        lambda x: (x**2.0) ** x,
        lambda x: x ** (2.0**x),
        lambda x: -(x**2) + (-x) ** 2 * -3.0,
        lambda x: x * (x + 1) / (x - 5) * -x,
        lambda x: 1 - (2 - x) - (3 - (4 - x)),
        lambda x: x % (x + 0.3) * 2 + x // 0.7 * x,
        lambda x: ((x > 1) == (x < 1.5)) * x,
        lambda x: (x > 1) * x + (x <= 1) * x * x,
        lambda x: 1e-300 * x * 1e300 + 1e22 * x / 1e22,
        lambda x: x * -0.0 + x / -7,
    ],
)
def test_brackets_are_where_they_must_be(f):
    examples, fresh = (np.random.default_rng([11, i]).uniform(0.5, 2, size=4) for i in range(2))
    assert_agrees(lambda x: np.sum(f(x) * x), (examples,), (fresh,))


@pytest.mark.parametrize(
    "constant",
    [
        np.random.default_rng(1).normal(size=(3, 4)),
        np.random.default_rng(1).normal(size=(3, 4)) * 1e-300,
        np.random.default_rng(1).normal(size=(3, 4)) * 1e300,
        np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32),
        np.asfortranarray(np.random.default_rng(1).normal(size=(3, 4))),
        np.full((3, 4), 0.1),
        np.full((3, 4), np.float32(0.1)),
        np.arange(4),
        np.arange(4, dtype=np.int32),
        np.arange(4.0),
        np.array([0, 2, 1, 3], np.uint8),
        np.array([True, False, True, True]),
        np.ones((3, 4), bool),
        np.array([0.0, -np.inf, 1.0, np.inf]),
        np.array([np.nan, 1.0, 2.0, 3.0]),
        np.full((3, 4), np.inf),
        np.full(4, np.nan),
        np.array(1 / 3),
        np.float64(1 / 3),
        np.float32(1 / 3),
        np.int64(3),
        math.inf,
        -math.inf,
        True,
    ],
    ids=lambda c: f"{type(c).__name__} {np.asarray(c).dtype} {str(c).replace(chr(10), '')[:30]}",
)
def test_small_constants_are_written_into_the_source_exactly(constant):
    def f(x):
        return np.sum(np.where(x > 0, x, constant)) + np.sum(np.tanh(x * constant))

    examples, fresh = (np.random.default_rng([12, i]).normal(size=(3, 4)) for i in range(2))
    compiled = flat(f, examples, argnums=0)
    with np.errstate(all="ignore"):
        for x in examples, fresh:
            value, gradient = value_and_grad(f)(x)
            for program in compiled, alone(compiled.source):
                got, got_gradient = program(x)
                np.testing.assert_allclose(got, value, rtol=1e-14, err_msg=compiled.source)
                np.testing.assert_allclose(got_gradient, gradient, rtol=1e-14, err_msg=compiled.source)


@pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0)])
def test_empty_constants_are_written_into_the_source(shape):
    constant = np.zeros(shape)
    width = np.broadcast_shapes(shape, (1, 1))
    x = np.ones(width)
    assert_agrees(lambda x: np.sum(x * constant) + np.sum(x[np.array([], int)]), (x,))


def test_a_large_array_from_outside_is_refused_with_its_shape_and_advice():
    X = np.random.default_rng(0).normal(size=(100, 20))
    with pytest.raises(ValueError, match=r"array of shape \(100, 20\) that is not among its arguments.*an argument"):
        flat(lambda w: np.sum(X @ w), np.ones(20))


def test_large_arrays_of_one_number_are_no_obstacle():
    def f(x):
        return np.sum(x * np.ones_like(x) * 2 + np.zeros(x.shape)) + np.sum(x[np.arange(2000)])

    assert_agrees(f, (np.ones(2000),), (np.random.default_rng(0).normal(size=2000),))


@pytest.mark.parametrize("value", [-1.5, 2.5])
def test_a_tensor_from_outside_is_a_constant(value):
    for outside in Tensor(np.array([value, 1.0])), parameter(np.array([value, 1.0])):
        compiled = flat(lambda x, outside=outside: np.sum(x * outside * x), np.ones(2), argnums=0)
        for program in compiled, alone(compiled.source):
            np.testing.assert_allclose(program(np.array([2.0, 3.0]))[1], [4 * value, 6.0], rtol=1e-15)
        assert outside.grad is None


def test_a_long_chain_needs_no_recursion():
    def f(x):
        for i in range(1000):
            x = x * 1.001 if i % 2 else np.sin(x)
        return np.sum(x)

    assert_agrees(f, (np.ones(3),), (np.array([0.1, 2.0, -1.0]),), rtol=1e-11)


# --- What a fresh reader found ---------------------------------------------------------------------


def test_the_circuit_of_the_lecture_reads_as_on_the_board():
    def f(x, y, z):
        q = x + y
        return q * z

    source = flat(f, -2.0, 5.0, -4.0).source
    steps = [line.strip() for line in source.splitlines() if " = " in line]
    forward, backward = ["q = x + y", "times = q * z"], ["grad_q = 1.0 * z", "grad_z = 1.0 * q"]
    assert steps == [*forward, *backward, "grad_x = grad_q", "grad_y = grad_q"]
    assert flat(f, -2.0, 5.0, -4.0)(-2.0, 5.0, -4.0) == (-12.0, (-4.0, -4.0, 3.0))


def test_one_over_n_stays_visible():
    source = flat(lambda x: np.mean(np.exp(x)), np.ones(5)).source
    assert "1 / 5" in source

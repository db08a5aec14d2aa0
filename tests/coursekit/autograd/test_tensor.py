"""Tensor: recording, the backward pass, and what it refuses to do silently."""

import math
import subprocess
import sys
import weakref

import numpy as np
import pytest

from coursekit.autograd import Tensor, stop_gradient
from coursekit.autograd.ops import elementwise
from coursekit.autograd.recording import primitive
from coursekit.autograd.tensor import RULES


def parameter(value):
    return Tensor(value, requires_grad=True)


def test_the_circuit_of_the_lecture():
    x, y, z = parameter(-2.0), parameter(5.0), parameter(-4.0)
    q = x + y
    f = q * z
    f.backward()
    assert f.value == -12
    assert (x.grad, y.grad, z.grad) == (-4, -4, 3)
    assert (q.grad, f.grad) == (-4, 1)


# --- Losses of the lectures, in plain NumPy ---


def svm(W, X, y, reg):
    N = len(y)
    scores = X @ W
    correct = scores[np.arange(N), y][:, np.newaxis]
    margins = np.maximum(0, scores - correct + 1)
    return (np.sum(margins) - N) / N + reg * np.sum(W * W)


def svm_gradient(W, X, y, reg):
    N = len(y)
    scores = X @ W
    counted = (scores - scores[np.arange(N), y][:, None] + 1 > 0).astype(float)
    counted[np.arange(N), y] = 0
    counted[np.arange(N), y] = -counted.sum(axis=1)
    return X.T @ counted / N + 2 * reg * W


def softmax(W, X, y, reg):
    scores = np.dot(X, W)
    scores = scores - scores.max(axis=1, keepdims=True)
    p = np.exp(scores) / np.sum(np.exp(scores), axis=1, keepdims=True)
    return -np.mean(np.log(p[np.arange(len(y)), y])) + reg * np.sum(W**2)


def softmax_gradient(W, X, y, reg):
    scores = X @ W
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    return X.T @ p / len(y) + 2 * reg * W


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("loss", "by_hand"), [(svm, svm_gradient), (softmax, softmax_gradient)])
def test_losses_in_plain_numpy(loss, by_hand, seed, numerical):
    rng = np.random.default_rng(seed)
    W, X, y = rng.normal(size=(5, 4)), rng.normal(size=(7, 5)), rng.integers(0, 4, size=7)
    tensor = parameter(W)
    result = loss(tensor, X, y, 0.1)
    result.backward()
    assert result.value == loss(W, X, y, 0.1)
    np.testing.assert_allclose(tensor.grad, by_hand(W, X, y, 0.1), rtol=1e-10, err_msg=f"seed {seed}")
    (expected,) = numerical(lambda W: loss(W, X, y, 0.1), [W])
    np.testing.assert_allclose(tensor.grad, expected, rtol=1e-6, atol=1e-8, err_msg=f"seed {seed}")


# --- Accumulation ---


def test_fan_out_and_diamonds_add_up():
    x = parameter([2.0, -1.0])
    a, b = x * 3, np.exp(x)
    c = a * b + a
    (c + x + x).backward([1.0, 10.0])
    e = np.exp([2.0, -1.0])
    np.testing.assert_allclose(x.grad, np.array([1, 10]) * (3 * e + 3 * x.value * e + 3 + 2))


def test_a_long_ladder_of_diamonds_takes_linear_time():
    x = y = parameter(1.0)
    for _ in range(500):  # 2**500 paths
        y = 0.5 * y + 0.5 * y
    y.backward()
    assert x.grad == 1


def test_backward_adds_to_grad_and_none_starts_anew():
    x = parameter([1.0, 2.0])
    y = x * x
    y.backward([1.0, 1.0])
    first = x.grad
    y.backward([10.0, 10.0])
    np.testing.assert_array_equal(x.grad, [22, 44])
    np.testing.assert_array_equal(first, [2, 4])  # an array already handed out is not written to
    np.testing.assert_array_equal(y.grad, [11, 11])
    x.grad = None
    y.backward([1.0, 1.0])
    np.testing.assert_array_equal(x.grad, [2, 4])


def test_nothing_of_the_user_is_written_to():
    u = np.array([1.0, 2.0])
    value = np.array([5.0, 6.0])
    x, y = parameter(value), parameter([7.0, 8.0])
    total = x + y + x + y + x  # gradients that are all the same array, accumulated again and again
    total.backward(u)
    np.testing.assert_array_equal(u, [1, 2])
    np.testing.assert_array_equal(value, [5, 6])
    np.testing.assert_array_equal(x.grad, [3, 6])
    np.testing.assert_array_equal(y.grad, [2, 4])


def test_every_gradient_is_an_array_of_its_own():
    u = np.array([1.0, 2.0])
    x, y = parameter([5.0, 6.0]), parameter([7.0, 8.0])
    z = x + y
    z.backward(u)
    u[:] = 99
    x.grad[:] = 0
    z.grad[:] = -1
    np.testing.assert_array_equal(y.grad, [1, 2])
    np.testing.assert_array_equal(x.grad, [0, 0])
    z.backward([1.0, 1.0])
    np.testing.assert_array_equal(y.grad, [2, 3])


def test_a_broadcast_gradient_can_be_written_to():
    x = parameter(np.ones((2, 3)))
    np.sum(x).backward()
    x.grad[0] *= 5
    np.testing.assert_array_equal(x.grad, [[5, 5, 5], [1, 1, 1]])


def test_a_sum_used_twice_accumulates_into_a_writable_buffer():
    x = parameter(np.ones((2, 3)))
    (np.sum(x) + np.sum(x, axis=0).sum() + np.mean(x)).backward()
    np.testing.assert_allclose(x.grad, np.full((2, 3), 2 + 1 / 6))


def test_a_chain_of_100_000_operations():
    x = parameter(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1e-5
    y.backward()
    assert x.grad == 1
    end = weakref.ref(y)
    del y  # freeing the chain does not recurse either
    assert end() is None


# --- What is recorded, and what is computed ---


def test_nothing_is_recorded_without_a_gradient_to_compute():
    x = Tensor([1.0, 2.0])
    y = np.exp(x * 2 + np.ones(2))
    assert not y.requires_grad
    assert y.node is None
    with pytest.raises(ValueError, match="no input of this tensor requires"):
        np.sum(y).backward()


def test_no_product_is_computed_for_a_constant(monkeypatch):
    called = []

    def vjp_of(name, factor):
        def vjp(g, ans, x, y):
            called.append(name)
            return g * (y if factor == "y" else x)

        return vjp

    monkeypatch.setitem(RULES, np.multiply, None)
    elementwise(np.multiply, vjp_of("x", "y"), vjp_of("y", "x"))
    w = parameter([1.0, 2.0])
    np.multiply(w, np.array([3.0, 4.0])).backward([1.0, 1.0])
    assert called == ["x"]
    np.multiply(Tensor([3.0, 4.0]), w).backward([1.0, 1.0])
    assert called == ["x", "y"]


def test_what_no_rule_reads_is_freed():
    x = parameter(np.ones(3))
    z = x * 2.0
    e = np.exp(z)
    total = np.sum(e)
    kept = [weakref.ref(t.value) for t in (z, e)]
    del z, e
    assert [array() is None for array in kept] == [True, False]  # exp keeps its result alone, sum keeps nothing
    total.backward()
    np.testing.assert_allclose(x.grad, 2 * np.exp(2 * np.ones(3)))
    one_over = 1 / np.exp(x)
    denominator = [arg for arg in one_over.node.args if arg is not None]
    assert denominator == []


def test_of_an_argument_that_gives_its_shape_alone_no_array_is_kept():
    x = parameter(np.ones((2, 3)))
    y = (x * 1.0).reshape(3, 2)
    (kept, *_) = y.node.args
    assert (kept.shape, kept.dtype, kept.ndim, kept.size) == ((2, 3), np.float64, 2, 6)
    assert not hasattr(kept, "value")


def test_the_first_order_pass_hands_plain_arrays_to_the_rules(monkeypatch):
    kinds = []

    def vjp(g, ans, x):
        kinds.append((type(g), type(ans), type(x)))
        return g * ans

    monkeypatch.setitem(RULES, np.exp, None)
    primitive(np.exp, vjp)
    np.exp(parameter([1.0])).backward([1.0])
    assert kinds == [(np.ndarray, np.ndarray, np.ndarray)]


def test_stop_gradient_gives_the_plain_array():
    x = parameter([1.0, 2.0])
    assert type(stop_gradient(x)) is np.ndarray
    (x * stop_gradient(x)).backward([1.0, 1.0])
    np.testing.assert_array_equal(x.grad, [1, 2])


# --- It looks like an array ---


def test_attributes_of_arrays():
    x = parameter(np.zeros((2, 3), np.float32))
    assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == ((2, 3), 2, 6, np.float32, 2)
    assert x.T.shape == (3, 2)
    assert [row.shape for row in x] == [(3,), (3,)]
    a, b = parameter([1.0, 2.0])
    (a * 3 + b).backward()


@pytest.mark.parametrize("left", [2.0, 2, np.float64(2), np.full(3, 2.0), [2.0, 2.0, 2.0]], ids=str)
@pytest.mark.parametrize("symbol", ["+", "-", "*", "/", "**"])
def test_operators_take_arrays_numbers_and_lists_on_either_side(left, symbol):
    x = np.array([1.0, 2.0, 3.0])
    for code in (f"a {symbol} b", f"b {symbol} a"):
        expected = eval(code, {"a": np.asarray(left), "b": x})
        tensor = parameter(x)
        result = eval(code, {"a": left, "b": tensor})
        assert isinstance(result, Tensor)
        np.testing.assert_array_equal(result.value, expected)
        result.backward(np.ones(3))
        assert tensor.grad.shape == (3,)


def test_matmul_on_either_side():
    A, x = np.array([[1.0, 2.0], [3.0, 4.0]]), parameter([5.0, 7.0])
    np.testing.assert_array_equal((A @ x).value, A @ x.value)
    np.testing.assert_array_equal((x @ A).value, x.value @ A)
    np.testing.assert_array_equal(x.dot(A).value, x.value @ A)


def test_comparisons_and_flat_functions_give_plain_arrays():
    x = parameter([-1.0, 0.0, 2.0])
    for result, expected in [
        (x > 0, [False, False, True]),
        (0 >= x, [True, True, False]),  # noqa: SIM300
        (np.zeros(3) == x, [False, True, False]),
        (x != x, [False, False, False]),
        (np.isnan(x), [False, False, False]),
        (np.sign(x), [-1, 0, 1]),
        (np.zeros_like(x), [0, 0, 0]),
    ]:
        assert type(result) is np.ndarray
        np.testing.assert_array_equal(result, expected)
    assert np.argmax(x) == x.argmax() == 2
    assert np.shape(x) == (3,)


def test_branches_look_at_the_value():
    x = parameter(3.0)
    y = x * 2 if x > 0 else x
    y.backward()
    assert x.grad == 2
    assert max(parameter(1.0), x) is x


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "tanh", "sum", "mean", "max", "min", "prod", "var", "std"])
def test_functions_are_methods_too(name):
    x, y = parameter([0.5, 2.0, 1.5]), parameter([0.5, 2.0, 1.5])
    result, expected = getattr(x, name)(), getattr(np, name)(y)
    np.testing.assert_array_equal(result.value, expected.value)
    upstream = np.arange(1.0, 4.0)[: result.size].reshape(result.shape)
    result.backward(upstream)
    expected.backward(upstream)
    np.testing.assert_array_equal(x.grad, y.grad)


def test_text():
    assert repr(parameter([1.0, 2.0])) == "Tensor([1., 2.], requires_grad=True)"
    assert repr(Tensor(1.0)) == "Tensor(1.)"
    assert f"{parameter(1.23456):.2f}" == "1.23"
    assert parameter(2.5).item() == 2.5


# --- It never loses a gradient silently ---


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        np.array,
        float,
        math.exp,
        np.float32,
        lambda x: np.array([x, x]),
        lambda x: np.ones(3).dot(x * np.ones(3)),
        lambda x: np.zeros(3).__setitem__(slice(1), x * np.ones(1)),
        lambda x: np.add(np.ones(1), [x]),
        lambda x: [x, x] * parameter([1.0, 2.0]),
        lambda x: np.full_like(np.ones(3), x),
    ],
    ids=range(11),
)
def test_a_conversion_that_would_lose_the_gradient_raises(convert):
    with pytest.raises((TypeError, NotImplementedError), match=r"gradient"):
        convert(parameter(1.0))


def test_writing_a_tensor_into_an_array_entry_raises():
    with pytest.raises(ValueError, match="setting an array element") as error:  # NumPy's message, then the engine's
        np.zeros(3)[0] = parameter(1.0)
    assert "would lose the gradient" in str(error.value.__cause__)


def test_a_constant_converts_freely():
    x = Tensor([1.0])
    assert type(np.asarray(x)) is np.ndarray
    assert np.asarray(x, dtype=np.float32).dtype == np.float32
    assert float(Tensor(1.0)) == 1


def test_a_function_without_a_row_is_named():
    with pytest.raises(NotImplementedError, match=r"np\.i0 has no gradient rule.*Function.*ops\.py"):
        np.i0(parameter(1.0))
    with pytest.raises(NotImplementedError, match=r"np\.spacing has no gradient rule.*ops\.py"):
        np.spacing(parameter(1.0))
    with pytest.raises(NotImplementedError, match=r"np\.linalg\.svd has no gradient rule.*ops\.py"):
        np.linalg.svd(parameter([[1.0]]))
    with pytest.raises(TypeError, match=r"np\.add\.reduce"):
        np.add.reduce(parameter([1.0]))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.sum(x, dtype=np.float32),
        lambda x: np.sum(x, 0, np.float32),
        lambda x: np.sum(x, initial=3.0),
        lambda x: np.exp(x, where=np.array([True, False])),
        lambda x: np.exp(x, dtype=np.float32),
        lambda x: np.reshape(x, (2, 1), order="F"),
        lambda x: np.where(x),
        lambda x: np.where(x, 1.0, 2.0),
        lambda x: np.dot(x, x, out=np.zeros(())),
        lambda x: np.reshape(x, x),
    ],
    ids=range(10),
)
def test_an_option_without_a_rule_raises(call):
    with pytest.raises(TypeError):
        call(parameter([1.0, 2.0]))


def test_in_place_operations_raise_and_say_what_to_write():
    x, a = parameter([1.0, 2.0]), np.ones(2)
    with pytest.raises(TypeError, match=r"np\.where"):
        x[0] = 5
    with pytest.raises(TypeError, match=r"array = array \+ tensor"):
        a += x
    with pytest.raises(TypeError, match="out="):
        np.exp(x, out=a)
    y = x
    y += 1  # makes a new tensor
    np.testing.assert_array_equal(x.value, [1, 2])


@pytest.mark.parametrize("value", [3, [1, 2], True, 1j], ids=str)
def test_only_floating_point_has_a_gradient(value):
    with pytest.raises(TypeError, match="floating-point"):
        parameter(value)
    assert not Tensor(value).requires_grad
    with pytest.raises(TypeError, match="real floating point"):
        parameter(1.0) * 1j


def test_a_wrong_upstream_gradient_is_named():
    x = parameter([1.0, 2.0])
    with pytest.raises(ValueError, match=r"shape \(2,\); only a scalar"):
        x.backward()
    with pytest.raises(ValueError, match=r"shape \(2, 1\), the tensor \(2,\)"):
        x.backward(np.ones((2, 1)))
    with pytest.raises(ValueError, match=r"shape \(\)"):
        x.backward(1.0)


def test_the_engine_needs_numpy_alone():
    code = "import sys, coursekit.autograd; print({'matplotlib', 'IPython', 'scipy'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"

"""grad and value_and_grad of arrays, nested, and side by side."""

import numpy as np
import pytest

from coursekit.autograd import Tensor, grad, jacobian, value_and_grad


def parameter(value):
    return Tensor(value, requires_grad=True)


def logsumexp(x):
    return np.log(np.sum(np.exp(x)))


def test_value_and_gradient_are_plain_and_of_the_dtype_of_the_argument():
    for dtype in (np.float32, np.float64):
        x = np.array([0.0, 1.0, 3.0], dtype)
        value, gradient = value_and_grad(logsumexp)(x)
        assert type(gradient) is np.ndarray
        assert gradient.dtype == value.dtype == dtype
        np.testing.assert_allclose(gradient, np.exp(x) / np.exp(x).sum(), rtol=1e-6)
        assert value == logsumexp(x)


def test_argnums_choose_the_arguments():
    def f(x, y, scale=1.0):
        return np.sum(x * y) * scale

    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    np.testing.assert_array_equal(grad(f, 1)(x, y), x)
    np.testing.assert_array_equal(grad(f, -1)(x, y), x)
    dy, dx = grad(f, (1, 0))(x, y, scale=2.0)
    np.testing.assert_array_equal(dy, 2 * x)
    np.testing.assert_array_equal(dx, 2 * y)
    with pytest.raises(TypeError, match=r"argnums=2.*2 positional"):
        grad(f, 2)(x, y)
    with pytest.raises(ValueError, match="twice"):
        grad(f, (0, -2))(x, y)


def test_gradients_are_arrays_of_their_own():
    x = np.ones(3)
    dx, dy = grad(lambda x, y: np.sum(x + y), (0, 1))(x, x)
    dx *= 5
    np.testing.assert_array_equal(dy, [1, 1, 1])
    np.testing.assert_array_equal(x, [1, 1, 1])


# --- Higher derivatives ---


@pytest.mark.parametrize("seed", range(3))
def test_first_and_second_derivatives_against_the_complex_step(seed):
    def f(x):
        return np.exp(x) * np.sin(x) / (1 + x**2) + np.tanh(x) * np.log1p(x * x)

    def f_prime(x):
        e, t, q = np.exp(x), np.tanh(x), 1 + x**2
        return e * ((np.sin(x) + np.cos(x)) * q - 2 * x * np.sin(x)) / q**2 + (1 - t**2) * np.log(q) + 2 * t * x / q

    x, h = np.random.default_rng(seed).uniform(-2, 2), 1e-30
    np.testing.assert_allclose(grad(f)(x), f_prime(x + 1j * h).real, rtol=1e-11, err_msg=f"seed {seed}")
    np.testing.assert_allclose(
        grad(grad(f))(x), f_prime(x + 1j * h).imag / h, rtol=1e-10, atol=1e-12, err_msg=f"seed {seed}"
    )


def test_the_hessian_of_logsumexp():
    x = np.array([0.3, -1.0, 2.0])
    p = np.exp(x) / np.exp(x).sum()
    hessian = [grad(lambda x, i=i: grad(logsumexp)(x)[i])(x) for i in range(3)]
    np.testing.assert_allclose(hessian, np.diag(p) - np.outer(p, p), rtol=1e-12)


def test_derivatives_of_every_order():
    f, x = np.exp, 0.7
    for _ in range(6):
        f = grad(f)
        np.testing.assert_allclose(f(x), np.exp(x), rtol=1e-14)
    np.testing.assert_allclose(grad(grad(grad(lambda x: x**4)))(2.0), 48)
    assert grad(grad(grad(lambda x: x**2)))(2.0) == 0
    assert grad(grad(lambda x: 2 * x))(2.0) == 0


def test_nested_derivatives_keep_their_variables_apart():
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0) == 1  # not 2
    assert grad(lambda x: x * grad(lambda y: x * y)(x))(3.0) == 6
    assert grad(lambda x: grad(lambda y: x * y * y)(x))(3.0) == 12  # 2xy at y = x
    assert grad(lambda x, y: x * x * y)(*[parameter(3.0)] * 2).value == 18
    assert grad(lambda w: grad(lambda x: w * x**2)(3.0))(2.0) == 6


def test_mixed_derivatives():
    def f(x, y):
        return np.sum(x**2 * y**3)

    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    mixed = grad(lambda x: np.sum(grad(f, 1)(x, y)))(x)
    np.testing.assert_allclose(mixed, 6 * x * y**2)


def test_a_gradient_can_be_part_of_a_loss_that_backward_differentiates():
    w = parameter([1.0, 2.0])
    x = np.array([0.5, -1.0])
    slope = grad(lambda x: np.sum(w * x**3))(x)  # depends on w, so it is a tensor
    assert isinstance(slope, Tensor)
    np.sum(slope**2).backward()
    np.testing.assert_allclose(w.grad, 2 * (3 * w.value * x**2) * 3 * x**2)


def test_a_second_derivative_of_a_long_chain():
    def f(x):
        for _ in range(3000):
            x = x * 1.0001
        return x * x

    np.testing.assert_allclose(grad(grad(f))(1.0), 2 * 1.0001**6000, rtol=1e-9)


def test_grad_leaves_other_tensors_alone():
    W = parameter(np.ones(2))
    grad(lambda x: np.sum(W * x))(np.ones(2))
    assert W.grad is None


# --- Errors ---


def test_an_independent_argument_has_gradient_zero():
    np.testing.assert_array_equal(grad(lambda x, y: np.sum(y))(np.ones(2), np.ones(3)), [0, 0])
    np.testing.assert_array_equal(grad(lambda x, y: np.sum(y * x[0]), 1)(np.ones(2), np.ones(3)), [1, 1, 1])
    assert value_and_grad(lambda x: 5.0)(1.0) == (5.0, 0.0)


@pytest.mark.parametrize("x", [3, np.arange(3), True, [1, 2]], ids=str)
def test_integers_are_refused(x):
    with pytest.raises(TypeError, match=r"argument 0.*floating-point.*write 3\.0"):
        grad(np.sum)(x)


@pytest.mark.parametrize("f", [np.exp, lambda x: x[:2], lambda x: None, lambda x: "loss", lambda x: np.ones(3)])
def test_an_output_that_is_not_a_scalar_is_refused(f):
    with pytest.raises(TypeError, match="a gradient is of one number"):
        grad(f)(np.ones(3))


# --- Calls that were meant otherwise ---------------------------------------------------------------


def test_a_list_of_argnums_gives_every_gradient():
    dx, dy = grad(lambda x, y: x * x * y, argnums=[0, 1])(3.0, 5.0)
    assert (dx, dy) == (30, 9)


def test_a_forgotten_second_pair_of_brackets_is_named():
    with pytest.raises(TypeError, match=r"argnums is the place.*grad\(f\)\(x\)"):
        grad(np.sum, np.ones(3))


def test_after_an_error_inside_f_a_leaked_tensor_is_an_ordinary_constant():
    leaked = []

    def f(x):
        leaked.append(x)
        raise KeyError

    with pytest.raises(KeyError):
        grad(f)(2.0)
    assert type(grad(lambda x: x * leaked[0])(3.0)) is np.ndarray


@pytest.mark.parametrize("f", [lambda x: (x, x), lambda x: [x], lambda x: {"a": x}], ids=["tuple", "list", "dict"])
def test_a_jacobian_is_of_one_array(f):
    with pytest.raises(TypeError, match=r"jacobian.*return one array"):
        jacobian(f)(np.ones(2))
    np.testing.assert_array_equal(jacobian(lambda x: 5.0)(np.ones(2)), [0, 0])

"""What check_gradient accepts, what it rejects, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from softmax import REG, C, N, W, X, affine, checked, codes, softmax_gradient, softmax_loss, y

from coursekit.autograd import grad
from coursekit.gradcheck import GradientError, check_backward, check_gradient

RNG = np.random.default_rng(11)


def test_a_right_gradient_is_right() -> None:
    report = checked()
    assert report.ok
    assert report.findings == ()
    assert report.error < 1e-8
    report.raise_if_wrong()


def test_gradients_come_as_arrays_functions_dicts_or_with_the_loss() -> None:
    right = softmax_gradient(W, X, y, REG)
    loss = lambda W: softmax_loss(W, X, y, REG)  # noqa: E731
    both = lambda W: (loss(W), softmax_gradient(W, X, y, REG))  # noqa: E731
    assert check_gradient(loss, W, right).ok
    assert check_gradient(loss, W, right.tolist()).ok
    assert check_gradient(loss, W, grad(loss)).ok
    assert check_gradient(loss, W, both).ok
    assert check_gradient(both, W).ok
    assert check_gradient(lambda p: loss(p["W"]), {"W": W}, {"W": right}).ok


def test_the_point_is_afterwards_what_it_was() -> None:
    before = W.copy()
    checked()
    checked(divide=1)
    np.testing.assert_array_equal(W, before)


def test_a_gradient_that_is_wrong_by_a_twentieth_of_a_percent_is_rejected_without_a_guess() -> None:
    right = softmax_gradient(W, X, y, REG)
    noise = RNG.normal(size=W.shape)
    noise *= 5e-4 * np.linalg.norm(right) / np.linalg.norm(noise)
    report = check_gradient(softmax_loss, W, right + noise, args=(X, y, REG))
    assert not report.ok
    assert codes(report) == ["unknown"]


@pytest.mark.slow
def test_one_entry_of_ten_thousand_that_is_wrong_by_a_percent_is_found() -> None:
    big = RNG.normal(size=(100, 100))
    gradient = np.cos(big)
    assert check_gradient(lambda x: np.sum(np.sin(x)), big, gradient).ok
    gradient[40, 7] *= 1.01
    report = check_gradient(lambda x: np.sum(np.sin(x)), big, gradient)
    assert not report.ok
    assert codes(report) == ["unknown"]
    assert "row 40" in report.findings[0].message
    assert "dx[40, 7]" in report.text()


def test_the_loss_that_comes_with_a_gradient_is_compared_too() -> None:
    loss = lambda W: softmax_loss(W, X, y, REG)  # noqa: E731
    right = softmax_gradient(W, X, y, REG)
    assert codes(check_gradient(loss, W, lambda W: (2 * loss(W), right))) == ["loss-wrong-gradient-right"]
    assert codes(check_gradient(loss, W, lambda W: (loss(W), -right))) == ["sign", "loss-right-gradient-wrong"]


def test_whoever_changes_the_point_is_told() -> None:
    x = np.array([1.0, 2.0])

    def gradient(x: np.ndarray) -> np.ndarray:
        x *= 2
        return x

    report = check_gradient(lambda x: np.sum(x**2), x, gradient)
    assert codes(report) == ["input-modified"]
    assert not report.ok
    np.testing.assert_array_equal(x, [1.0, 2.0])


def test_what_is_random_is_not_judged() -> None:
    rng = np.random.default_rng(0)
    x = np.ones(3)
    noisy = check_gradient(lambda x: np.sum(x**2) + rng.normal(), x, 2 * x)
    assert codes(noisy) == ["not-deterministic"]
    assert "The function is random" in noisy.text()
    dropout = check_gradient(lambda x: np.sum(x**2), x, lambda x: 2 * x * rng.integers(0, 2, 3))
    assert codes(dropout) == ["not-deterministic"]


def test_a_gradient_of_none() -> None:
    assert codes(check_gradient(lambda x: np.sum(x**2), np.ones(2), lambda x: None)) == ["returned-none"]


def test_bad_arguments_are_refused_with_what_to_do() -> None:
    with pytest.raises(TypeError, match="must be a dict with W, b"):
        check_gradient(lambda p: 0.0, {"W": W, "b": np.ones(2)}, np.ones(3))
    with pytest.raises(ValueError, match="the gradient of 'b' is missing"):
        check_gradient(lambda p: 0.0, {"W": W, "b": np.ones(2)}, {"W": W})
    with pytest.raises(TypeError, match="2 gradients; there are 3 inputs"):
        check_backward(affine, lambda dout, cache: (dout, dout), X, W, np.ones(C))
    with pytest.raises(ZeroDivisionError):
        check_gradient(lambda x: 1 / 0, np.ones(2), np.ones(2))


def test_a_wrong_gradient_raises_with_the_report() -> None:
    with pytest.raises(GradientError, match="The sign is flipped"):
        checked(divide=-N, twice=-2).raise_if_wrong()


def test_inputs_are_put_back_also_after_a_forward_in_place_and_after_an_error() -> None:
    x = RNG.normal(size=(3, 4))
    before = x.copy()

    def in_place(x: np.ndarray) -> Any:
        x[x < 0] = 0
        return x, x

    def raising(x: np.ndarray) -> float:
        x[0] = 7
        raise ZeroDivisionError

    assert "input-modified" in codes(check_backward(in_place, lambda dout, c: dout * (c > 0), x))
    with pytest.raises(ZeroDivisionError):
        check_gradient(raising, x, x)
    np.testing.assert_array_equal(x, before)


def test_names_of_parameters_may_be_anything() -> None:
    report = check_gradient(lambda p: np.sum(p[0] ** 2), {0: W}, {0: -2 * W})
    assert "d0: The sign is flipped" in report.text()
    assert "d0" in report.html()


def test_what_cannot_be_used_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="directions"):
        check_gradient(lambda x: np.sum(x**2), W, 2 * W, directions=0)
    with pytest.raises(TypeError, match=r"the order is \(loss, gradient\)"):
        check_gradient(lambda x: np.sum(x**2), W, lambda x: (2 * x, np.sum(x**2)))
    with pytest.raises(TypeError, match=r"f must return \(loss, gradient\)"):
        check_gradient(lambda x: np.sum(x**2), W)
    with pytest.raises(TypeError, match="complex number"):
        check_gradient(lambda x: np.sum(x) * 1j, W, W)
    with pytest.raises(TypeError, match="needs the inputs"):
        check_backward(affine, lambda dout, cache: dout)

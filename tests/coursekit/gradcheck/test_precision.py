"""Kinks, float32, rounding, overflow and large points are named, not reported as mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from softmax import REG, W, X, codes, softmax_gradient, softmax_loss, y

from coursekit.autograd import grad
from coursekit.gradcheck import check_gradient

RNG = np.random.default_rng(11)


def test_overflow_is_told_with_the_magnitudes_at_which_it_happens() -> None:
    def naive(W: Any, X: Any, y: Any, reg: Any) -> Any:
        p = np.exp(X @ W)
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(y)), y] -= 1
        return X.T @ p / len(y) + 2 * reg * W

    report = check_gradient(softmax_loss, 1000 * W, naive, args=(X, y, 0.0))
    assert codes(report) == ["unstable"]
    assert "nan" in report.findings[0].message
    assert "it is finite" in report.findings[0].message


def test_a_function_that_is_not_finite_itself_is_no_fault_of_the_gradient() -> None:
    report = check_gradient(lambda x: np.sum(np.exp(x)), np.array([1000.0, 1.0]), np.exp)
    assert codes(report) == ["unstable"]
    assert "The function itself is inf here" in report.findings[0].message


def test_integers_are_no_point_and_no_gradient() -> None:
    assert codes(check_gradient(lambda x: np.sum(x**2), np.array([1, 2]), np.array([2, 4]))) == ["integer-input"]
    x = np.array([0.3, 1.4, 2.9])
    rounded = (2 * x).astype(int)
    assert codes(check_gradient(lambda x: np.sum(x**2), x, rounded)) == ["integer-input"]


@pytest.mark.parametrize("distance", [0.0, 1e-12, 1e-9, 1e-7, 1e-6, 1e-5, 1e-4])
@pytest.mark.parametrize("side", [1, -1])
def test_a_kink_close_by_is_nobodys_mistake(distance: float, side: int) -> None:
    x = np.array([1.0, side * distance, -1.0, 2.0])
    relu = lambda x: np.sum(np.maximum(0, x) * np.array([1.0, 3.0, 2.0, -1.0]))  # noqa: E731
    gradient = (x > 0) * np.array([1.0, 3.0, 2.0, -1.0])
    assert check_gradient(relu, x, gradient).ok


def test_at_a_kink_every_slope_in_between_is_right_and_no_other() -> None:
    x = np.array([0.0, 1.0])
    f = lambda x: np.sum(np.abs(x))  # noqa: E731
    for slope in (-1.0, 0.0, 1.0):
        report = check_gradient(f, x, np.array([slope, 1.0]))
        assert report.ok
        assert set(codes(report)) <= {"kink"}
    assert codes(check_gradient(f, x, np.array([-1.0, 1.0]))) == ["kink"]
    assert not check_gradient(f, x, np.array([1.5, 1.0])).ok
    assert not check_gradient(f, x, np.array([0.0, 0.9])).ok


@pytest.mark.parametrize("scale", [1e-8, 1e-4, 1.0, 1e4, 1e8])
@pytest.mark.parametrize("size", [1e-8, 1e-4, 1.0, 1e4, 1e8])
def test_the_scales_of_the_point_and_of_the_function_do_not_matter(scale: float, size: float) -> None:
    x = size * np.array([0.4, -1.1, 2.3])
    f = lambda x: scale * np.sum(np.sin(x / size) * np.array([1.0, 2.0, 3.0]))  # noqa: E731
    right = scale / size * np.cos(x / size) * np.array([1.0, 2.0, 3.0])
    assert check_gradient(f, x, right).ok
    assert not check_gradient(f, x, 1.001 * right).ok
    assert not check_gradient(f, x, right * np.array([1, 1, 1.001])).ok


def test_float32_is_right_up_to_its_precision() -> None:
    W32, X32 = W.astype(np.float32), X.astype(np.float32)
    right = softmax_gradient(W32, X32, y, np.float32(REG))
    assert right.dtype == np.float32
    assert check_gradient(softmax_loss, W32, right, args=(X32, y, np.float32(REG))).ok
    coarse = right * (1 + 3e-5 * np.sign(RNG.normal(size=right.shape))).astype(np.float32)
    report = check_gradient(softmax_loss, W32, coarse, args=(X32, y, np.float32(REG)))
    assert report.ok
    assert codes(report) == ["float32"]
    assert not check_gradient(softmax_loss, W32, right * np.float32(1.0005), args=(X32, y, np.float32(REG))).ok
    assert codes(check_gradient(softmax_loss, W32, -right, args=(X32, y, np.float32(REG)))) == ["sign"]


def test_directions_do_for_large_points() -> None:
    big = RNG.normal(size=(200, 200))
    calls = 0

    def f(x: Any) -> Any:
        nonlocal calls
        calls += 1
        return np.sum(np.sin(x))

    assert check_gradient(f, big, np.cos(big), directions=5).ok
    assert calls < 20
    assert codes(check_gradient(f, big, -np.cos(big), directions=5)) == ["sign"]
    noise = RNG.normal(size=big.shape)
    assert not check_gradient(f, big, np.cos(big) + 5e-4 * noise, directions=5).ok


def test_at_several_kinks_not_every_value_is_right() -> None:
    x = np.array([0.0, 0.0, 1.0, -1.0])
    relu = lambda x: np.sum(np.maximum(0, x))  # noqa: E731
    assert check_gradient(relu, x, lambda x: (x > 0) * 1.0).ok
    assert not check_gradient(relu, x, lambda x: np.where(x == 0, 100.0, x > 0)).ok


def test_weights_of_zero_are_a_heap_of_kinks_and_still_right() -> None:
    inputs, out = RNG.normal(size=(8, 3)), RNG.normal(size=(4,))
    f = lambda W: np.sum(np.maximum(0, inputs @ W) @ out)  # noqa: E731
    report = check_gradient(f, np.zeros((3, 4)), grad(f))
    assert report.ok
    assert set(codes(report)) <= {"kink"}


def test_a_large_constant_is_no_excuse_for_float32() -> None:
    x = RNG.normal(size=(4, 3)).astype(np.float32)
    f = lambda x: 1000 + np.sum(1e-3 * x**2)  # noqa: E731
    assert check_gradient(f, x, (2e-3 * x).astype(np.float32)).ok
    assert not check_gradient(f, x, 0 * x).ok
    assert codes(check_gradient(f, x, (-2e-3 * x).astype(np.float32))) == ["sign"]


def test_what_rounding_hides_is_said() -> None:
    report = check_gradient(lambda W: 1e12 + np.sum(W**2), W, 2 * W)
    assert report.ok
    assert codes(report) == ["imprecise"]


def test_a_function_that_is_constant_but_for_rounding_has_a_gradient_of_zero() -> None:
    for seed in range(10):
        x = np.random.default_rng(seed).normal(size=(20, 5))
        assert check_gradient(lambda x: np.sum(x - x.mean(axis=0)), x, 0 * x).ok, f"seed {seed}"


def test_a_function_that_rounds_its_result_is_told_so() -> None:
    report = check_gradient(lambda W: round(float(np.sum(W**2)), 4), W, 2 * W)
    assert codes(report) == ["unknown"]
    assert "does not change when" in report.findings[0].message

"""Numerical gradients are right for every shape, layout and dtype, and leave x unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from coursekit.gradcheck import numerical_gradient


class Counted:
    """A function that counts its calls."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f, self.calls = f, 0

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        return self.f(x)


def wave(x: Any) -> Any:
    return np.sum(np.sin(x) * np.arange(1, x.size + 1).reshape(x.shape))


def wave_gradient(x: Any) -> Any:
    return np.cos(x) * np.arange(1, x.size + 1).reshape(x.shape)


POINTS = {
    "a vector": np.array([0.1, -2.0, 30.0]),
    "a matrix": np.linspace(-2, 2, 6).reshape(2, 3),
    "three axes": np.linspace(-2, 2, 12).reshape(2, 2, 3),
    "Fortran order": np.asfortranarray(np.linspace(-2, 2, 6).reshape(2, 3)),
    "every other column": np.linspace(-2, 2, 12).reshape(2, 6)[:, ::2],
    "backwards": np.linspace(-2, 2, 5)[::-1],
    "no axes": np.array(0.7),
    "no entries": np.zeros((0, 3)),
    "tiny numbers": np.array([1e-9, -1e-9]),
    "a larger number": np.array([50.0, 1.0]),
}


@pytest.mark.parametrize("title", POINTS)
@pytest.mark.parametrize("method", ["auto", "central", "complex", "richardson"])
def test_it_is_right_whatever_x_looks_like(title: str, method: str) -> None:
    x = POINTS[title]
    before = x.copy()
    got = numerical_gradient(wave, x, method=method)
    assert got.shape == x.shape
    np.testing.assert_allclose(got, wave_gradient(x), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(x, before)


def test_lists_and_numbers_are_points_too() -> None:
    np.testing.assert_allclose(numerical_gradient(lambda x: np.sum(x**2), [1.0, 2.0]), [2, 4], rtol=1e-9)
    assert float(numerical_gradient(lambda x: x**3, 2.0)) == pytest.approx(12)


def test_central_differences_err_little_and_the_others_less() -> None:
    x = np.array([0.3, 1.1])
    errors = {
        method: np.max(np.abs(numerical_gradient(wave, x, method=method) - wave_gradient(x)))
        for method in ("central", "richardson", "complex")
    }
    assert errors["central"] < 1e-9
    assert errors["richardson"] < 1e-10
    assert errors["complex"] < 1e-15


def test_float32_gets_a_step_that_suits_it() -> None:
    x = np.array([0.5, -1.0], np.float32)
    got = numerical_gradient(lambda x: np.sum(np.sin(x)), x)
    np.testing.assert_allclose(got, np.cos(x), rtol=1e-3)
    assert x.dtype == np.float32


@pytest.mark.parametrize(("method", "each"), [("central", 2), ("auto", 2), ("richardson", 4)])
def test_it_costs_two_evaluations_an_entry_and_nothing_more(method: str, each: int) -> None:
    f = Counted(wave)
    numerical_gradient(f, np.ones((4, 5)), method=method)
    assert f.calls == each * 20


def test_directions_cost_two_evaluations_each_whatever_the_size() -> None:
    f = Counted(lambda x: np.sum(np.tanh(x)))
    x = np.random.default_rng(0).normal(size=(100, 100))
    before = x.copy()
    slopes, directions = numerical_gradient(f, x, directions=4)
    assert f.calls == 8
    assert directions.shape == (4, 100, 100)
    gradient = 1 - np.tanh(x) ** 2
    np.testing.assert_allclose(slopes, np.sum(gradient * directions, axis=(1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(x, before)


def test_of_an_array_it_is_the_gradient_of_the_sum_with_an_upstream_gradient() -> None:
    x, u = np.array([0.2, 0.4]), np.array([3.0, -2.0])
    np.testing.assert_allclose(numerical_gradient(np.exp, x, upstream=u), u * np.exp(x), rtol=1e-8)
    rng = np.random.default_rng(5)
    drawn = np.random.default_rng(5).standard_normal(2)
    np.testing.assert_allclose(numerical_gradient(np.exp, x, rng=rng), drawn * np.exp(x), rtol=1e-8)


def test_an_upstream_gradient_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\), but f\(x\) has \(2,\)"):
        numerical_gradient(np.exp, np.ones(2), upstream=np.ones(3))


def test_the_very_array_is_moved_so_that_others_who_know_it_feel_it() -> None:
    parameters = {"W": np.array([1.0, 2.0])}
    got = numerical_gradient(lambda _: np.sum(parameters["W"] ** 3), parameters["W"])
    np.testing.assert_allclose(got, [3, 12], rtol=1e-8)


def test_an_array_that_cannot_be_written_is_copied() -> None:
    x = np.array([1.0, 2.0])
    x.flags.writeable = False
    np.testing.assert_allclose(numerical_gradient(lambda x: np.sum(x**2), x), [2, 4], rtol=1e-9)


@pytest.mark.parametrize("method", ["central", "richardson"])
@pytest.mark.parametrize("directions", [None, 3])
def test_x_is_put_back_also_if_f_raises(method: str, directions: int | None) -> None:
    x = np.array([1.0, 2.0, 3.0])

    def f(x: np.ndarray) -> float:
        if x[1] != 2.0:
            raise ZeroDivisionError
        return float(np.sum(x))

    with pytest.raises(ZeroDivisionError):
        numerical_gradient(f, x, method=method, directions=directions)
    np.testing.assert_array_equal(x, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("x", [np.array([1, 2]), 3, [1, 2], np.array([True])])
def test_integers_are_refused_with_the_reason(x: Any) -> None:
    with pytest.raises(TypeError, match="cannot be moved by a small step"):
        numerical_gradient(lambda x: np.sum(x**2), x)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x: None, "is a `return` missing"),
        (lambda x: (1.0, x), "f returned 2 values"),
        (lambda x: "loss", "must return a number"),
    ],
)
def test_what_f_returns_must_be_numbers(f: Callable[..., Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        numerical_gradient(f, np.ones(2))


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="not 'forward'"):
        numerical_gradient(wave, np.ones(2), method="forward")


@pytest.mark.parametrize(
    "f", [lambda x: np.sum(np.abs(x)), lambda x: np.sum(x.real**2), lambda x: np.sum(x * x.conj())]
)
def test_a_complex_step_is_refused_where_f_is_another_function_of_complex_numbers(f: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="use method='central'"):
        numerical_gradient(f, np.array([1.0, -2.0]), method="complex")


def test_the_step_can_be_given() -> None:
    x = np.array([1.0])
    assert numerical_gradient(lambda x: np.sum(x**3), x, h=0.5) == pytest.approx(3.25)

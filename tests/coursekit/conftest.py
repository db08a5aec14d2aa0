"""Numerical gradients as fixtures, for the engine and for functions of Tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from coursekit.autograd import Tensor, grad
from coursekit.gradcheck import numerical_gradient

GradientCheck = Callable[..., None]


def assert_gradients(compute: Callable[[], Tensor], tensors: list[Tensor], seed: int) -> None:
    """Assert that the gradients of `tensors` for a random upstream gradient agree with central differences.

    `compute` uses the tensors' current values; its result may have any shape.
    """
    output = compute()
    upstream = np.random.default_rng(seed).normal(size=output.shape)
    for tensor in tensors:
        tensor.grad = None
    output.backward(upstream)
    for i, tensor in enumerate(tensors):
        tensor.value = np.array(tensor.value)  # a copy whose entries can be changed
        numerical = numerical_gradient(lambda _: compute().value, tensor.value, upstream=upstream)
        message = f"tensor {i} of shape {tensor.shape}, upstream gradient of seed {seed}"
        assert tensor.grad is not None, message
        np.testing.assert_allclose(tensor.grad, numerical, rtol=1e-6, atol=1e-8, err_msg=message)


@pytest.fixture
def check_gradients() -> GradientCheck:
    return assert_gradients


def parameter(value):
    return Tensor(value, requires_grad=True)


def numerical_gradients(f: Callable[..., Any], arrays: list[np.ndarray], h: float | None = None) -> list[np.ndarray]:
    """Compute the gradient of the scalar f with respect to each of its arguments."""
    arrays = [np.array(a, dtype=np.float64, order="C") for a in arrays]  # copies, so views are never perturbed
    return [numerical_gradient(lambda _: f(*arrays), array, h=h) for array in arrays]


def assert_close(got: Any, expected: Any, message: str) -> None:
    got = np.asarray(got)
    assert got.shape == expected.shape, f"{message}: shape {got.shape}, expected {expected.shape}"
    error = np.linalg.norm(np.ravel(got - expected))
    scale = np.linalg.norm(np.ravel(got)) + np.linalg.norm(np.ravel(expected))
    assert error <= 1e-7 * scale + 1e-9, f"{message}: relative error {error / scale:.2e}\n{got}\n{expected}"


def check_first(f: Callable[..., Any], arrays: list[np.ndarray], rng: np.random.Generator, label: str) -> None:
    """Assert that `backward` agrees with numerical gradients, for a random upstream gradient."""
    tensors = [parameter(a) for a in arrays]
    result = f(*tensors)
    plain = np.asarray(f(*arrays))
    assert isinstance(result, Tensor), label
    np.testing.assert_allclose(result.value, plain, rtol=1e-14, atol=1e-14, err_msg=label)
    upstream = rng.normal(size=plain.shape)
    result.backward(upstream)
    expected = numerical_gradients(lambda *xs: np.sum(upstream * f(*xs)), arrays)
    for i, (tensor, wanted) in enumerate(zip(tensors, expected, strict=True)):
        assert_close(tensor.grad, wanted, f"{label}, argument {i}")


def check_second(f: Callable[..., Any], arrays: list[np.ndarray], rng: np.random.Generator, label: str) -> None:
    """Assert that the gradient of a random combination of first gradients agrees with numerical gradients."""
    upstream = rng.normal(size=np.shape(f(*arrays)))
    directions = [rng.normal(size=a.shape) for a in arrays]
    everything = tuple(range(len(arrays)))
    # Squared, so that the upstream gradient of f depends on the arguments even where f is linear.
    first = grad(lambda *xs: np.sum(upstream * f(*xs) ** 2), argnums=everything)

    def combined(*xs: Any) -> Any:
        return sum(np.sum(d * g) for d, g in zip(directions, first(*xs), strict=True))

    got = grad(combined, argnums=everything)(*arrays)
    for i, (g, wanted) in enumerate(zip(got, numerical_gradients(combined, arrays), strict=True)):
        assert_close(g, wanted, f"{label}, second derivative, argument {i}")


@pytest.fixture
def check() -> Callable[..., None]:
    """Return check(f, arrays, seed), which compares first and second derivatives with numerical ones."""

    def run(f: Callable[..., Any], arrays: list[np.ndarray], seed: int, label: str = "") -> None:
        label = f"{label} seed {seed}, shapes {[a.shape for a in arrays]}"
        check_first(f, arrays, np.random.default_rng([seed, 1]), label)
        check_second(f, arrays, np.random.default_rng([seed, 2]), label)

    return run


@pytest.fixture
def numerical() -> Callable[..., list[np.ndarray]]:
    return numerical_gradients

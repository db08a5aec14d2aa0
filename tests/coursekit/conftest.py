"""Numerical gradients for whatever is computed from Tensors: layers, losses, models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from coursekit.autograd import Tensor
from coursekit.gradcheck import numerical_gradient

GradientCheck = Callable[..., None]


def assert_gradients(compute: Callable[[], Tensor], tensors: list[Tensor], seed: int) -> None:
    """The gradients of `tensors` under a random upstream gradient agree with central differences.

    `compute` uses the tensors' current values; its result may have any shape.
    """
    output = compute()
    upstream = np.random.default_rng(seed).normal(size=output.shape)
    for tensor in tensors:
        tensor.grad = None
    output.backward(upstream)
    for i, tensor in enumerate(tensors):
        tensor.value = np.array(tensor.value)  # an array of its own, whose entries can be moved
        numerical = numerical_gradient(lambda _: compute().value, tensor.value, upstream=upstream)
        message = f"tensor {i} of shape {tensor.shape}, upstream gradient of seed {seed}"
        assert tensor.grad is not None, message
        np.testing.assert_allclose(tensor.grad, numerical, rtol=1e-6, atol=1e-8, err_msg=message)


@pytest.fixture
def check_gradients() -> GradientCheck:
    return assert_gradients

"""Numerical gradients for whatever is computed from Tensors: layers, losses, models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from coursekit.autograd import Tensor

GradientCheck = Callable[..., None]


def assert_gradients(compute: Callable[[], Tensor], tensors: list[Tensor], seed: int, h: float = 1e-5) -> None:
    """The gradients of `tensors` under a random upstream gradient agree with central differences.

    `compute` uses the tensors' current values; its result may have any shape.
    """
    output = compute()
    upstream = np.random.default_rng(seed).normal(size=output.shape)
    for tensor in tensors:
        tensor.grad = None
    output.backward(upstream)
    for i, tensor in enumerate(tensors):
        kept = tensor.value
        numerical = np.zeros(kept.shape)
        for index in np.ndindex(kept.shape):
            sides = []
            for step in h, -h:
                tensor.value = np.array(kept)
                tensor.value[index] += step
                sides.append(np.sum(upstream * compute().value))
            numerical[index] = (sides[0] - sides[1]) / (2 * h)
        tensor.value = kept
        message = f"tensor {i} of shape {kept.shape}, upstream gradient of seed {seed}"
        assert tensor.grad is not None, message
        np.testing.assert_allclose(tensor.grad, numerical, rtol=1e-6, atol=1e-8, err_msg=message)


@pytest.fixture
def check_gradients() -> GradientCheck:
    return assert_gradients

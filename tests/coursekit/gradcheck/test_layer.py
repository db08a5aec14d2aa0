"""check_backward: the forward and backward of a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from softmax import C, N, W, X, affine, codes

from coursekit.gradcheck import check_backward

RNG = np.random.default_rng(11)


def test_relu_without_or_with_a_wrong_mask() -> None:
    x = RNG.normal(size=(5, 4))
    forward = lambda x: (np.maximum(0, x), x)  # noqa: E731
    assert check_backward(forward, lambda dout, x: dout * (x > 0), x).ok
    for backward in (
        lambda dout, x: dout,
        lambda dout, x: dout * (x < 0),
        lambda dout, x: dout * (dout > 0),
    ):
        assert codes(check_backward(forward, backward, x)) == ["relu-mask"]


@pytest.mark.parametrize(
    ("backward", "code", "of"),
    [
        (lambda dout, c: (dout @ c[1].T, c[0].T @ dout, dout), "batch-not-summed", ("b",)),
        (lambda dout, c: (dout @ c[1].T, c[0].T @ dout, dout[0]), "batch-not-summed", ("b",)),
        (lambda dout, c: (dout @ c[1].T, c[0].T @ dout, dout.sum(axis=0, keepdims=True)), "wrong-shape", ("b",)),
        (lambda dout, c: (dout @ c[1].T, dout.T @ c[0], dout.sum(axis=0)), "transposed", ("w",)),
        (lambda dout, c: (dout @ c[1].T, c[0].T @ dout / N, dout.sum(axis=0)), "scale", ("w",)),
        (lambda dout, c: (-dout @ c[1].T, c[0].T @ dout, dout.sum(axis=0)), "sign", ("x",)),
    ],
)
def test_a_layer_is_checked_input_by_input(backward: Callable[..., Any], code: str, of: tuple[str, ...]) -> None:
    report = check_backward(affine, backward, X, W, RNG.normal(size=C))
    assert [(finding.code, finding.of) for finding in report.findings] == [(code, of)]


def test_a_backward_that_ignores_its_upstream_gradient_is_found_out() -> None:
    x = RNG.normal(size=(3, 2))
    report = check_backward(lambda x: (np.tanh(x), np.tanh(x)), lambda dout, t: 1 - t**2, x)
    assert codes(report) == ["upstream-ignored"]


def test_a_backward_that_is_not_linear_is_rejected_even_if_it_is_right_here() -> None:
    x, u = RNG.normal(size=3), np.ones(3)
    report = check_backward(lambda x: (np.sin(x), x), lambda dout, x: dout**2 * np.cos(x), x, upstream=u)
    assert not report.ok
    assert codes(report) == ["not-linear"]


def test_a_random_layer_is_not_called_names() -> None:
    rng = np.random.default_rng(0)
    report = check_backward(lambda x: (x * (rng.random(x.shape) > 0.5), x), lambda dout, x: dout, W)
    assert codes(report) == ["not-deterministic"]


def test_without_a_cache_backward_gets_the_input() -> None:
    assert check_backward(lambda x: x**2, lambda dout, x: 2 * x * dout, W).ok

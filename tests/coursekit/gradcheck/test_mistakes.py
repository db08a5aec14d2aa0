"""Mistakes are named, also two at once, and only if they are proved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from softmax import REG, C, D, N, W, X, checked, codes, softmax_gradient, softmax_loss, y

from coursekit.autograd import grad
from coursekit.gradcheck import check_gradient

RNG = np.random.default_rng(11)


def test_what_is_only_nearly_a_known_mistake_is_not_called_by_its_name() -> None:
    wrong = -softmax_gradient(W, X, y, REG)
    wrong[0, 0] *= 1.1
    assert codes(check_gradient(softmax_loss, W, wrong, args=(X, y, REG))) == ["unknown"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"divide": 1}, "scale"),
        ({"divide": N * N}, "scale"),
        ({"divide": -N}, "sign"),
        ({"twice": 0}, "regularizer-missing"),
        ({"twice": 1}, "regularizer-half"),
        ({"twice": 4}, "regularizer-double"),
        ({"correct": 0}, "correct-class-missing"),
        ({"shift": 1}, "label-shift"),
        ({"shift": -1}, "label-shift"),
    ],
)
def test_a_mistake_is_named(fault: dict[str, Any], code: str) -> None:
    report = checked(**fault)
    assert not report.ok
    assert codes(report) == [code]
    assert report.findings[0].explains == pytest.approx(1, abs=1e-3)


def test_a_factor_is_said_with_what_it_may_mean() -> None:
    assert "10 times too large, and 10 is the number of rows of X" in checked(divide=1).findings[0].message
    wrong = 2 * grad(lambda W: np.sum(np.sin(W)))(W)
    assert "twice too large" in check_gradient(lambda W: np.sum(np.sin(W)), W, wrong).findings[0].message
    third = 0.37 * np.cos(W)
    assert "0.37 times" in check_gradient(lambda W: np.sum(np.sin(W)), W, third).findings[0].message


def test_the_regulariser_is_seen_in_a_function_that_the_engine_cannot_record() -> None:
    def svm_loss(W: np.ndarray) -> float:
        loss = 0.0
        for x, label in zip(X, y, strict=True):
            scores = x.dot(W)
            loss += sum(max(0.0, float(s - scores[label]) + 1) for j, s in enumerate(scores) if j != label)
        return loss / N + REG * float(np.sum(W * W))

    def gradient(share: float) -> np.ndarray:
        dW = np.zeros_like(W)
        for x, label in zip(X, y, strict=True):
            scores = x.dot(W)
            for j in range(C):
                if j != label and scores[j] - scores[label] + 1 > 0:
                    dW[:, j] += x
                    dW[:, label] -= x
        return dW / N + share * 2 * REG * W

    for share, code in ((1, None), (0, "regularizer-missing"), (0.5, "regularizer-half"), (2, "regularizer-double")):
        report = check_gradient(svm_loss, W, gradient(share))
        assert codes(report) == ([code] if code else [])


def svm_in_place(
    W: np.ndarray, X: np.ndarray, y: np.ndarray, reg: float, *, fault: str = ""
) -> tuple[float, np.ndarray]:
    """As students write it: it writes into arrays, which the engine cannot record."""
    rows = np.arange(len(y))
    scores = X @ W
    margins = np.maximum(0, scores - scores[rows, y][:, None] + 1)
    margins[rows, y] = 0
    loss = np.sum(margins) / len(y) + reg * np.sum(W * W)
    mask = np.ones_like(margins) if fault == "mask" else (margins > 0).astype(float)
    mask[rows, y] = 0
    if fault != "correct":
        mask[rows, y] = -mask.sum(axis=1)
    return loss, X.T @ mask / len(y) + 2 * reg * W


def softmax_in_place(
    W: np.ndarray, X: np.ndarray, y: np.ndarray, reg: float, *, fault: str = ""
) -> tuple[float, np.ndarray]:
    loss = 0.0
    dW = np.zeros_like(W)
    for x, label in zip(X, y, strict=True):
        p = np.exp(x @ W - np.max(x @ W))
        p /= np.sum(p)
        loss -= np.log(p[label])
        if fault != "correct":
            p[label] -= 1
        dW += np.outer(x, p)
    return loss / len(y) + reg * np.sum(W * W), dW / len(y) + 2 * reg * W


@pytest.mark.parametrize("reg", [0.0, 0.1])
@pytest.mark.parametrize("way", ["args", "closure"])
@pytest.mark.parametrize(
    ("loss", "fault", "code"),
    [
        (svm_in_place, "", None),
        (svm_in_place, "correct", "correct-class-missing"),
        (svm_in_place, "mask", "relu-mask"),
        (softmax_in_place, "", None),
        (softmax_in_place, "correct", "correct-class-missing"),
    ],
)
def test_the_usual_losses_are_known_however_they_are_written(
    loss: Callable[..., Any], fault: str, code: str | None, way: str, reg: float
) -> None:
    if way == "args":
        report = check_gradient(lambda *args: loss(*args, fault=fault), W, args=(X, y, reg))
    else:
        _, dW = loss(W, X, y, reg, fault=fault)
        report = check_gradient(lambda V: loss(V, X, y, reg)[0], W, dW)
    assert codes(report)[:1] == ([code] if code else [])


def test_a_small_mistake_beside_a_large_one_is_named_too() -> None:
    small = 0.01 * W
    wrong = softmax_gradient(small, X, y, REG, divide=1, twice=1)
    report = check_gradient(softmax_loss, small, wrong, args=(X, y, REG))
    assert codes(report) == ["scale", "regularizer-half"]


def test_a_transposed_gradient_is_told_from_one_of_another_shape() -> None:
    right = softmax_gradient(W, X, y, REG)
    for wrong, code in ((right.T, "transposed"), (right.ravel(), "wrong-shape"), (right[None], "wrong-shape")):
        report = check_gradient(softmax_loss, W, wrong, args=(X, y, REG))
        assert codes(report) == [code]
        assert not report.ok
    square = RNG.normal(size=(3, 3))
    f = lambda M: np.sum(M * M * np.arange(9.0).reshape(3, 3))  # noqa: E731
    assert codes(check_gradient(f, square, grad(f)(square).T)) == ["transposed"]


def test_shapes_are_compared_before_numpy_broadcasts_them() -> None:
    x = np.ones(4)  # after broadcasting, a gradient of shape (4, 1) would agree with (4,)
    assert codes(check_gradient(lambda x: np.sum(x**2), x, 2 * x[:, None])) == ["wrong-shape"]
    assert codes(check_gradient(lambda x: np.sum(x**2), x, np.array(2.0))) == ["wrong-shape"]


@pytest.mark.parametrize("order", [lambda g: g[::-1], lambda g: g[:, ::-1], lambda g: g.T.reshape(g.shape)])
def test_entries_in_other_places_are_permuted(order: Callable[..., Any]) -> None:
    right = softmax_gradient(W, X, y, REG)
    assert codes(check_gradient(softmax_loss, W, order(right), args=(X, y, REG))) == ["permuted"]


def test_paths_that_meet_are_added() -> None:
    x, z = np.array([-2.0, 5.0, 1.0]), np.array([5.0, 1.0, 3.0])
    f = lambda p: np.sum((p["x"] + p["z"]) * p["x"])  # noqa: E731
    right = {"x": 2 * x + z, "z": x}
    assert check_gradient(f, {"x": x, "z": z}, right).ok
    for lost in (x + z, x):
        assert codes(check_gradient(f, {"x": x, "z": z}, {**right, "x": lost})) == ["fan-out-overwritten"]


def test_a_regularised_bias() -> None:
    b = RNG.normal(size=C)
    p = {"W": W, "b": b}
    f = lambda p: np.sum(np.tanh(X @ p["W"] + p["b"])) + REG * np.sum(p["W"] ** 2)  # noqa: E731
    right = grad(f)(p)
    report = check_gradient(f, p, {"W": right["W"], "b": right["b"] + 2 * REG * b})
    assert [(finding.code, finding.of) for finding in report.findings] == [("regularizer-on-bias", ("b",))]


def test_one_mistake_in_several_parameters_is_told_once() -> None:
    p = {"W1": RNG.normal(size=(D, 5)), "W2": RNG.normal(size=(5, C))}
    f = lambda p: np.mean(np.tanh(X @ p["W1"]) @ p["W2"]) + REG * (np.sum(p["W1"] ** 2) + np.sum(p["W2"] ** 2))  # noqa: E731
    right = grad(f)(p)
    report = check_gradient(f, p, {name: right[name] - REG * p[name] for name in p})
    assert [(finding.code, finding.of) for finding in report.findings] == [("regularizer-half", ("W1", "W2"))]


@pytest.mark.parametrize(
    ("fault", "both"),
    [
        ({"divide": 1, "twice": 0}, {"scale", "regularizer-missing"}),
        ({"divide": -1}, {"sign", "scale"}),
        ({"correct": 0, "twice": 1}, {"correct-class-missing", "regularizer-half"}),
        ({"correct": 0, "divide": 1}, {"correct-class-missing", "scale"}),
        ({"shift": 1, "twice": 4}, {"label-shift", "regularizer-double"}),
        ({"shift": 1, "divide": -N}, {"label-shift", "sign"}),
    ],
)
def test_two_mistakes_are_both_named(fault: dict[str, Any], both: set[str]) -> None:
    report = checked(**fault)
    assert set(codes(report)) == both


def test_the_gradient_of_another_function() -> None:
    def svm_loss(W: Any, X: Any, y: Any, reg: Any) -> Any:
        scores = X @ W
        margins = np.maximum(0, scores - scores[np.arange(len(y)), y][:, None] + 1) * (np.arange(C) != y[:, None])
        return np.sum(margins) / len(y) + reg * np.sum(W * W)

    report = check_gradient(
        svm_loss, W, softmax_gradient(W, X, y, REG), args=(X, y, REG), others={"the softmax loss": softmax_loss}
    )
    assert codes(report) == ["not-a-gradient-of-this-function"]
    assert "the softmax loss" in report.findings[0].message


def test_whole_numbers_are_not_taken_for_rounded_ones() -> None:
    whole, w = np.array([[1.0, 2.0, -3.0], [0.0, 3.0, 1.0], [2.0, -2.0, 1.0]]), np.array([0.3, 0.8, -0.4])
    f = lambda w: np.sum(np.maximum(0, whole @ w)) + REG * np.sum(w**2)  # noqa: E731
    report = check_gradient(f, w, whole.T @ (whole @ w > 0).astype(float))
    assert codes(report) == ["regularizer-missing"]

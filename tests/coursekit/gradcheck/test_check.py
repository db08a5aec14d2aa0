"""What the checker says, and when it keeps silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from coursekit.autograd import grad
from coursekit.gradcheck import GradientError, GradientReport, check_backward, check_gradient

RNG = np.random.default_rng(11)
N, D, C, REG = 10, 6, 4, 0.1
W = RNG.normal(size=(D, C))
X = RNG.normal(size=(N, D))
y = np.array([0, 1, 2, 3, 0, 1, 2, 3, 1, 2])


def codes(report: GradientReport) -> list[str]:
    return [finding.code for finding in report.findings]


def softmax_loss(W: Any, X: Any, y: Any, reg: Any) -> Any:
    scores = X @ W
    scores = scores - np.max(scores, axis=1, keepdims=True)
    return np.mean(np.log(np.sum(np.exp(scores), axis=1)) - scores[np.arange(len(y)), y]) + reg * np.sum(W * W)


def softmax_gradient(
    W: Any, X: Any, y: Any, reg: Any, *, divide: float = N, twice: float = 2, correct: float = 1, shift: int = 0
) -> Any:
    scores = X @ W
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(y)), (y - shift) % C] -= correct
    return X.T @ p / divide + twice * reg * W


def checked(**slip: Any) -> GradientReport:
    return check_gradient(softmax_loss, W, lambda *args: softmax_gradient(*args, **slip), args=(X, y, REG), name="W")


# --- right ---


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


# --- slightly wrong ---


def test_a_gradient_that_is_wrong_by_a_twentieth_of_a_percent_is_rejected_without_a_guess() -> None:
    right = softmax_gradient(W, X, y, REG)
    noise = RNG.normal(size=W.shape)
    noise *= 5e-4 * np.linalg.norm(right) / np.linalg.norm(noise)
    report = check_gradient(softmax_loss, W, right + noise, args=(X, y, REG))
    assert not report.ok
    assert codes(report) == ["unknown"]


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


def test_what_is_only_nearly_a_known_mistake_is_not_called_by_its_name() -> None:
    wrong = -softmax_gradient(W, X, y, REG)
    wrong[0, 0] *= 1.1
    assert codes(check_gradient(softmax_loss, W, wrong, args=(X, y, REG))) == ["unknown"]


# --- one mistake ---


@pytest.mark.parametrize(
    ("slip", "code"),
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
def test_a_mistake_is_named(slip: dict[str, Any], code: str) -> None:
    report = checked(**slip)
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
    W: np.ndarray, X: np.ndarray, y: np.ndarray, reg: float, *, slip: str = ""
) -> tuple[float, np.ndarray]:
    """As students write it: with writing into arrays, which the engine cannot record."""
    rows = np.arange(len(y))
    scores = X @ W
    margins = np.maximum(0, scores - scores[rows, y][:, None] + 1)
    margins[rows, y] = 0
    loss = np.sum(margins) / len(y) + reg * np.sum(W * W)
    mask = np.ones_like(margins) if slip == "mask" else (margins > 0).astype(float)
    mask[rows, y] = 0
    if slip != "correct":
        mask[rows, y] = -mask.sum(axis=1)
    return loss, X.T @ mask / len(y) + 2 * reg * W


def softmax_in_place(
    W: np.ndarray, X: np.ndarray, y: np.ndarray, reg: float, *, slip: str = ""
) -> tuple[float, np.ndarray]:
    loss = 0.0
    dW = np.zeros_like(W)
    for x, label in zip(X, y, strict=True):
        p = np.exp(x @ W - np.max(x @ W))
        p /= np.sum(p)
        loss -= np.log(p[label])
        if slip != "correct":
            p[label] -= 1
        dW += np.outer(x, p)
    return loss / len(y) + reg * np.sum(W * W), dW / len(y) + 2 * reg * W


@pytest.mark.parametrize("reg", [0.0, 0.1])
@pytest.mark.parametrize("way", ["args", "closure"])
@pytest.mark.parametrize(
    ("loss", "slip", "code"),
    [
        (svm_in_place, "", None),
        (svm_in_place, "correct", "correct-class-missing"),
        (svm_in_place, "mask", "relu-mask"),
        (softmax_in_place, "", None),
        (softmax_in_place, "correct", "correct-class-missing"),
    ],
)
def test_the_usual_losses_are_known_however_they_are_written(
    loss: Callable[..., Any], slip: str, code: str | None, way: str, reg: float
) -> None:
    if way == "args":
        report = check_gradient(lambda *args: loss(*args, slip=slip), W, args=(X, y, reg))
    else:
        _, dW = loss(W, X, y, reg, slip=slip)
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
    x = np.ones(4)  # a gradient of shape (4, 1) would agree with (4,) after broadcasting
    assert codes(check_gradient(lambda x: np.sum(x**2), x, 2 * x[:, None])) == ["wrong-shape"]
    assert codes(check_gradient(lambda x: np.sum(x**2), x, np.array(2.0))) == ["wrong-shape"]


@pytest.mark.parametrize("order", [lambda g: g[::-1], lambda g: g[:, ::-1], lambda g: g.T.reshape(g.shape)])
def test_entries_in_other_places_are_permuted(order: Callable[..., Any]) -> None:
    right = softmax_gradient(W, X, y, REG)
    assert codes(check_gradient(softmax_loss, W, order(right), args=(X, y, REG))) == ["permuted"]


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


def affine(x: Any, w: Any, b: Any) -> Any:
    return x @ w + b, (x, w)


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


# --- two mistakes ---


@pytest.mark.parametrize(
    ("slip", "both"),
    [
        ({"divide": 1, "twice": 0}, {"scale", "regularizer-missing"}),
        ({"divide": -1}, {"sign", "scale"}),
        ({"correct": 0, "twice": 1}, {"correct-class-missing", "regularizer-half"}),
        ({"correct": 0, "divide": 1}, {"correct-class-missing", "scale"}),
        ({"shift": 1, "twice": 4}, {"label-shift", "regularizer-double"}),
        ({"shift": 1, "divide": -N}, {"label-shift", "sign"}),
    ],
)
def test_two_mistakes_are_both_named(slip: dict[str, Any], both: set[str]) -> None:
    report = checked(**slip)
    assert set(codes(report)) == both


# --- behaviour ---


def test_the_loss_that_comes_with_a_gradient_is_compared_too() -> None:
    loss = lambda W: softmax_loss(W, X, y, REG)  # noqa: E731
    right = softmax_gradient(W, X, y, REG)
    assert codes(check_gradient(loss, W, lambda W: (2 * loss(W), right))) == ["loss-wrong-gradient-right"]
    assert codes(check_gradient(loss, W, lambda W: (loss(W), -right))) == ["sign", "loss-right-gradient-wrong"]


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


def test_integers_are_no_point_and_no_gradient() -> None:
    assert codes(check_gradient(lambda x: np.sum(x**2), np.array([1, 2]), np.array([2, 4]))) == ["integer-input"]
    x = np.array([0.3, 1.4, 2.9])
    rounded = (2 * x).astype(int)
    assert codes(check_gradient(lambda x: np.sum(x**2), x, rounded)) == ["integer-input"]


def test_a_gradient_of_none() -> None:
    assert codes(check_gradient(lambda x: np.sum(x**2), np.ones(2), lambda x: None)) == ["returned-none"]


# --- kinks and precision ---


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


# --- large points ---


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


# --- what it cannot use, it says ---


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


# --- what a tester found ---


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


def test_whole_numbers_are_not_taken_for_rounded_ones() -> None:
    whole, w = np.array([[1.0, 2.0, -3.0], [0.0, 3.0, 1.0], [2.0, -2.0, 1.0]]), np.array([0.3, 0.8, -0.4])
    f = lambda w: np.sum(np.maximum(0, whole @ w)) + REG * np.sum(w**2)  # noqa: E731
    report = check_gradient(f, w, whole.T @ (whole @ w > 0).astype(float))
    assert codes(report) == ["regularizer-missing"]


def test_a_random_layer_is_not_called_names() -> None:
    rng = np.random.default_rng(0)
    report = check_backward(lambda x: (x * (rng.random(x.shape) > 0.5), x), lambda dout, x: dout, W)
    assert codes(report) == ["not-deterministic"]


def test_without_a_cache_backward_gets_the_input() -> None:
    assert check_backward(lambda x: x**2, lambda dout, x: 2 * x * dout, W).ok


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

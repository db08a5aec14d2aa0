"""The losses: values computed by hand, gradients, extreme scores, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from coursekit.autograd import Tensor, stop_gradient, value_and_grad
from coursekit.losses import binary_cross_entropy, l2, mean_squared_error, softmax_cross_entropy, svm_loss
from coursekit.nn import Sigmoid
from coursekit.tracing import flat

pytestmark = pytest.mark.filterwarnings("error")  # a loss that makes NumPy warn is not stable

GradientCheck = Callable[..., None]
SEEDS = range(4)


def variable(value: Any) -> Tensor:
    return Tensor(value, requires_grad=True)


def bce_of_logits(z: Any, y: Any, **options: Any) -> Any:
    return binary_cross_entropy(z, y, from_logits=True, **options)


# For each loss: y_hat or scores, and y, drawn away from kinks.
CASES: dict[str, tuple[Callable[..., Any], Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]]] = {
    "svm": (svm_loss, lambda rng: (3 * rng.normal(size=(5, 4)), rng.integers(4, size=5))),
    "softmax": (softmax_cross_entropy, lambda rng: (3 * rng.normal(size=(5, 4)), rng.integers(4, size=5))),
    "softmax, soft labels": (
        softmax_cross_entropy,
        lambda rng: (3 * rng.normal(size=(5, 4)), rng.dirichlet(np.ones(4), size=5)),
    ),
    "bce": (binary_cross_entropy, lambda rng: (rng.uniform(0.05, 0.95, size=(5, 1)), rng.integers(2, size=(5, 1)))),
    "bce, soft labels": (binary_cross_entropy, lambda rng: (rng.uniform(0.05, 0.95, size=6), rng.uniform(size=6))),
    "bce of logits": (bce_of_logits, lambda rng: (3 * rng.normal(size=6), rng.integers(2, size=6))),
    "mse": (mean_squared_error, lambda rng: (rng.normal(size=(3, 2)), rng.normal(size=(3, 2)))),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Any:
    return CASES[request.param]


# --- Gradients -------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("seed", SEEDS)
def test_gradients_agree_with_differences(case: Any, seed: int, reduction: str, check_gradients: GradientCheck) -> None:
    loss, draw = case
    predicted, y = draw(np.random.default_rng(seed))
    x = variable(predicted)
    check_gradients(lambda: loss(x, y, reduction=reduction), [x], seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_gradient_half_a_permille_wrong_is_rejected(seed: int, check_gradients: GradientCheck) -> None:
    rng = np.random.default_rng(seed)
    x, y = variable(rng.normal(size=(5, 4))), rng.integers(4, size=5)

    def wrong() -> Tensor:  # the right value
        loss = softmax_cross_entropy(x, y)
        return 1.0005 * loss - 0.0005 * stop_gradient(loss)

    with pytest.raises(AssertionError, match=f"seed {seed}"):
        check_gradients(wrong, [x], seed)


def test_sum_is_mean_times_the_number_of_examples(case: Any) -> None:
    loss, draw = case
    predicted, y = draw(np.random.default_rng(0))
    examples = len(predicted) if loss in (svm_loss, softmax_cross_entropy) else predicted.size
    np.testing.assert_allclose(loss(predicted, y, reduction="sum"), examples * loss(predicted, y))


def test_plain_arrays_give_the_same_number_and_no_tensor(case: Any) -> None:
    loss, draw = case
    predicted, y = draw(np.random.default_rng(1))
    plain = loss(predicted, y)
    assert isinstance(plain, np.float64)
    assert plain == loss(variable(predicted), y).value == loss(predicted.tolist(), y.tolist())


def test_float32_stays_float32(case: Any) -> None:
    loss, draw = case
    predicted, y = draw(np.random.default_rng(2))
    x = variable(predicted.astype(np.float32))
    result = loss(x, y)
    result.backward()
    assert result.dtype == x.grad.dtype == loss(x.value, y).dtype == np.float32
    np.testing.assert_allclose(result.value, loss(predicted, y), rtol=1e-5)


# --- Numbers by hand -------------------------------------------------------------------------------

LECTURE = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])  # cat, car, frog; labels 0, 1, 2


def test_the_svm_losses_of_three_images() -> None:
    each = [svm_loss(LECTURE[[i]], [i]) for i in range(3)]
    np.testing.assert_allclose(each, [2.9, 0, 12.9])
    np.testing.assert_allclose(svm_loss(LECTURE, [0, 1, 2]), 15.8 / 3)


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_what_to_expect_before_training(classes: int) -> None:
    scores, y = np.zeros((6, classes)), np.arange(6) % classes
    assert svm_loss(scores, y) == pytest.approx(classes - 1)
    assert svm_loss(scores, y, margin=0.5) == pytest.approx((classes - 1) / 2)
    assert softmax_cross_entropy(scores, y) == pytest.approx(np.log(classes))


def test_softmax_of_one_image_and_its_gradient() -> None:
    x = variable(LECTURE[:1])
    softmax_cross_entropy(x, [0]).backward()
    p = np.exp(LECTURE[0]) / np.exp(LECTURE[0]).sum()
    np.testing.assert_allclose(x.grad[0], p - [1, 0, 0])
    np.testing.assert_allclose(softmax_cross_entropy(LECTURE[:1], [0]), -np.log(p[0]))


def test_one_hot_labels_are_the_same_as_numbers() -> None:
    scores = np.random.default_rng(0).normal(size=(4, 3))
    y = np.array([2, 0, 1, 1])
    np.testing.assert_allclose(softmax_cross_entropy(scores, np.eye(3)[y]), softmax_cross_entropy(scores, y))


def test_binary_cross_entropy_by_hand() -> None:
    assert binary_cross_entropy([0.25, 0.5], [1, 0], reduction="sum") == pytest.approx(np.log(4) + np.log(2))
    logits = np.array([-2.0, 0.0, 3.0])
    y = [0, 1, 1]
    from_probabilities = binary_cross_entropy(1 / (1 + np.exp(-logits)), y)
    assert bce_of_logits(logits, y) == pytest.approx(from_probabilities, rel=1e-14)


def test_mean_squared_error_and_l2_have_no_half() -> None:
    assert mean_squared_error([[3.0], [1.0]], [[1.0], [1.0]]) == 2.0
    W = variable([[1.0, -2.0]])
    l2([W, np.ones((2, 2))]).backward()
    np.testing.assert_array_equal(W.grad, [[2.0, -4.0]])
    assert l2(W for W in [np.full((2, 2), 3.0)]) == 36


# --- Kinks and extremes ----------------------------------------------------------------------------


def test_the_hinge_has_slope_0_at_its_kink() -> None:
    x = variable([[2.0, 1.0, 1.0]])  # both wrong scores exactly a margin below
    svm_loss(x, [0]).backward()
    np.testing.assert_array_equal(x.grad, [[0, 0, 0]])
    x = variable([[1.0, 1.0]])
    svm_loss(x, [0], margin=0.0).backward()
    np.testing.assert_array_equal(x.grad, [[0, 0]])


@pytest.mark.parametrize("y", [0, 1])
def test_the_slope_at_logit_0_is_one_half_minus_y(y: int) -> None:
    z = variable(0.0)
    bce_of_logits(z, y).backward()
    assert z.grad == 0.5 - y

    z = variable(0.0)  # the formula with |z| has the right value, but a wrong derivative where training starts
    (np.maximum(0, z) - y * z + np.log1p(np.exp(-np.abs(z)))).backward()
    assert z.grad != 0.5 - y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4])
def test_softmax_of_extreme_scores(offset: float, dtype: Any) -> None:
    x = variable(np.array([[1000, -1000, 0], [-1000, -1000, -1000], [0, 1, 2]], dtype) + dtype(offset))
    loss = softmax_cross_entropy(x, [1, 0, 2], reduction="sum")
    loss.backward()
    p = np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum()
    assert loss.value == pytest.approx(2000 + np.log(3) - np.log(p[2]), rel=1e-6)
    np.testing.assert_allclose(x.grad, [[1, -1, 0], [-2 / 3, 1 / 3, 1 / 3], p - [0, 0, 1]], atol=1e-6)


def test_svm_of_extreme_scores() -> None:
    x = variable([[1e4 + 1000, 1e4 - 1000]])
    loss = svm_loss(x, [1])
    loss.backward()
    assert loss.value == 2001
    np.testing.assert_array_equal(x.grad, [[1, -1]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bce_of_extreme_logits(dtype: Any) -> None:
    z = variable(np.array([1000, -1000, 1000, -1000, 1e4], dtype))
    y = [0, 0, 1, 1, 0]
    loss = bce_of_logits(z, y, reduction="sum")
    loss.backward()
    assert loss.value == 12000
    np.testing.assert_array_equal(z.grad, [1, 0, 0, -1, 1])


def test_bce_of_a_tiny_loss_keeps_its_digits() -> None:
    np.testing.assert_allclose(bce_of_logits(40.0, 1), np.exp(-40.0), rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bce_of_probabilities_that_were_rounded_to_0_or_1_is_finite(dtype: Any) -> None:
    y_hat = variable(np.array([0, 1, 0, 1, np.finfo(dtype).smallest_subnormal], dtype))
    loss = binary_cross_entropy(y_hat, [1, 0, 0, 1, 1])
    loss.backward()
    assert np.isfinite(loss.value)
    assert np.all(np.isfinite(y_hat.grad))
    assert y_hat.grad[0] < 0 < y_hat.grad[1]  # the sign is still right
    right = binary_cross_entropy(y_hat.value[2:4], [0, 1])
    assert right == pytest.approx(0, abs=1e-30)


def test_bce_of_probabilities_near_1_is_not_bent() -> None:
    y_hat = 1 - 2.0**-40
    assert binary_cross_entropy([y_hat], [0]) == pytest.approx(40 * np.log(2), rel=1e-14)


@pytest.mark.parametrize("z", [30.0, 36.0, 38.0, 40.0, 100.0])
def test_bce_after_a_sigmoid_that_rounds_to_1_never_pushes_harder_than_it_should(z: float) -> None:
    x = variable(z)
    binary_cross_entropy(Sigmoid()(x), 0.0).backward()
    assert 0 <= x.grad < 1.5  # exactly 1; near 36, ŷ has a single digit left below 1


# --- What is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [svm_loss, softmax_cross_entropy])
@pytest.mark.parametrize(
    ("scores", "y", "error", "words"),
    [
        (np.zeros((3, 2)), [0, 2, 1], ValueError, r"y\[1\] is 2, but scores has 2 columns.* 0 to 1"),
        (np.zeros((3, 2)), [0, 1, -1], ValueError, r"y\[2\] is -1"),
        (np.zeros((3, 2)), [0.0, 1.0, 1.0], TypeError, r"float64.*astype\(int\)"),
        (np.zeros((3, 2)), [True, False, True], TypeError, "bool"),
        (np.zeros((3, 2)), [[0], [1], [1]], ValueError, r"y has shape \(3, 1\).*y\.ravel\(\)"),
        (np.zeros((3, 2)), [0, 1], ValueError, r"y has shape \(2,\), but 3 rows"),
        (np.zeros(3), [0, 1, 1], ValueError, r"scores has shape \(3,\).*scores\[None, :\]"),
        (np.zeros((0, 2)), [], ValueError, "no example"),
        (np.zeros((3, 2), complex), [0, 1, 1], TypeError, "complex128"),
    ],
)
def test_wrong_labels_and_scores(loss: Any, scores: Any, y: Any, error: type[Exception], words: str) -> None:
    for given in scores, Tensor(scores, requires_grad=False):
        with pytest.raises(error, match=rf"^{loss.__name__}: .*{words}"):
            loss(given, y)


@pytest.mark.parametrize("loss", [binary_cross_entropy, bce_of_logits, mean_squared_error])
def test_a_column_against_a_row_is_refused(loss: Any) -> None:
    x = np.full((4, 1), 0.5)
    with pytest.raises(ValueError, match=r"y_hat has shape \(4, 1\) and y \(4,\)"):
        loss(x, np.zeros(4))
    with pytest.raises(ValueError, match="broadcast"):
        loss(variable(x[:, 0]), np.zeros((4, 1)))


def test_binary_cross_entropy_says_what_probabilities_are() -> None:
    with pytest.raises(ValueError, match=r"y_hat holds 3.5.*from_logits=True"):
        binary_cross_entropy([0.5, 3.5], [0, 1])
    with pytest.raises(ValueError, match=r"y holds -1.*\(y \+ 1\) / 2"):
        binary_cross_entropy([0.5, 0.5], [-1, 1])


def test_soft_labels_are_distributions() -> None:
    with pytest.raises(ValueError, match=r"y\[1\] to 1.5"):
        softmax_cross_entropy(np.zeros((2, 2)), [[0.5, 0.5], [1.0, 0.5]])
    with pytest.raises(ValueError, match=r"y holds 1\.5"):
        softmax_cross_entropy(np.zeros((1, 2)), [[1.5, -0.5]])


def test_other_refusals(case: Any) -> None:
    loss, draw = case
    with pytest.raises(ValueError, match='"mean" or "sum", not \'average\''):
        loss(*draw(np.random.default_rng(0)), reduction="average")
    with pytest.raises(ValueError, match="no weights"):
        l2([])
    with pytest.raises(TypeError, match="y should hold real numbers"):
        mean_squared_error([1.0], ["a"])


def test_nan_goes_through_for_the_training_loop_to_report() -> None:
    assert np.isnan(softmax_cross_entropy([[np.nan, 0.0]], [0]))
    assert np.isnan(binary_cross_entropy([np.nan], [1]))


# --- Written out as flat code ----------------------------------------------------------------------


@pytest.mark.parametrize("loss", [softmax_cross_entropy, svm_loss], ids=["softmax", "svm"])
def test_labels_may_be_an_argument_of_flat_code(loss):
    rng = np.random.default_rng(21)
    X, W = rng.normal(size=(6, 4)), rng.normal(size=(4, 3))
    compiled = flat(lambda X, W, y: loss(X @ W, y), X, W, rng.integers(0, 3, 6), argnums=1)
    for y in rng.integers(0, 3, (3, 6)):
        value, gradient = compiled(X, W, y)
        expected = value_and_grad(lambda W, y=y: loss(X @ W, y))(W)
        np.testing.assert_allclose(value, expected[0], rtol=1e-12, err_msg="seed 21")
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-11, atol=1e-14, err_msg="seed 21")

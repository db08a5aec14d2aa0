"""The datasets: their content, their split, and that callers cannot change each other's copies."""

from __future__ import annotations

import importlib.resources

import numpy as np
import pytest

from coursekit.data import Digits, digit_images, load_digits, spirals


def test_the_digits_come_in_three_parts_ready_for_a_classifier() -> None:
    digits = load_digits()
    assert isinstance(digits, Digits)
    assert [X.shape for X in digits[0::2]] == [(1197, 65), (300, 65), (300, 65)]
    assert [y.shape for y in digits[1::2]] == [(1197,), (300,), (300,)]
    assert {X.dtype for X in digits[0::2]} == {np.dtype(np.float64)}
    assert {y.dtype for y in digits[1::2]} == {np.dtype(np.int64)}
    assert all(set(y) == set(range(10)) for y in digits[1::2])


def test_the_last_column_is_the_bias_unless_it_is_not_wanted() -> None:
    with_bias, without = load_digits(), load_digits(bias=False)
    for X, pixels in zip(with_bias[0::2], without[0::2], strict=True):
        assert pixels.shape[1] == 64
        np.testing.assert_array_equal(X[:, :-1], pixels)
        np.testing.assert_array_equal(X[:, -1], 1.0)


def test_the_mean_image_is_that_of_the_training_part_alone() -> None:
    X_train, _, X_val, _, X_test, _ = load_digits(bias=False)
    np.testing.assert_allclose(X_train.mean(axis=0), 0, atol=1e-14)
    # If it were the mean of all parts, the means of these two would cancel that of the first.
    assert np.abs(X_val.mean(axis=0)).max() > 1e-3
    assert np.abs(X_test.mean(axis=0)).max() > 1e-3


def test_every_scan_is_in_exactly_one_part_with_its_own_label() -> None:
    images, labels = digit_images()
    scans = sorted((*image.ravel().tolist(), label) for image, label in zip(images, labels.tolist(), strict=True))
    digits = load_digits(bias=False, seed=3)
    X, y = np.concatenate(digits[0::2]), np.concatenate(digits[1::2])
    # A corner that is empty in every training image has mean 0, so centring leaves it unchanged.
    ink = np.rint((X - X.min(axis=0)) * 16).astype(int)
    assert sorted((*row, label) for row, label in zip(ink.tolist(), y.tolist(), strict=True)) == scans


def test_a_seed_fixes_the_split_for_good() -> None:
    assert load_digits().y_val[:12].tolist() == SEED_0
    for first, second in zip(load_digits(seed=5), load_digits(seed=5), strict=True):
        np.testing.assert_array_equal(first, second)
    assert load_digits(seed=5).y_val[:12].tolist() != SEED_0


# Fixed here, so that a change of NumPy or of the kit cannot change the students' data unnoticed.
SEED_0 = [5, 3, 9, 6, 1, 6, 0, 6, 4, 0, 1, 8]


def test_callers_get_copies_of_their_own() -> None:
    before = load_digits()
    spoiled, (images, labels) = load_digits(), digit_images()
    for array in (*spoiled, images, labels):
        array[...] = 7
    for first, second in zip(before, load_digits(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert digit_images()[0].max() == 16


def test_a_linear_classifier_can_learn_them() -> None:
    digits = load_digits()
    W = np.linalg.lstsq(digits.X_train, np.eye(10)[digits.y_train], rcond=None)[0]
    assert ((digits.X_test @ W).argmax(axis=1) == digits.y_test).mean() > 0.9


def test_the_scans_are_bytes_from_0_to_16_in_a_small_file_that_names_its_source() -> None:
    images, labels = digit_images()
    assert (images.shape, images.dtype, images.min(), images.max()) == ((1797, 8, 8), np.uint8, 0, 16)
    assert (labels.shape, labels.dtype) == ((1797,), np.int64)
    folder = importlib.resources.files("coursekit") / "_data"
    assert len((folder / "digits.npz").read_bytes()) < 100_000
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert all(word in readme for word in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0"))


@pytest.mark.parametrize(
    ("arguments", "error", "names"),
    [
        ({"seed": -1}, ValueError, "seed"),
        ({"seed": 2**32}, ValueError, "seed"),
        ({"seed": 1.5}, TypeError, "seed"),
        ({"seed": None}, TypeError, "seed"),
        ({"bias": "no"}, TypeError, "bias"),
    ],
)
def test_load_digits_names_a_bad_argument(arguments: dict, error: type[Exception], names: str) -> None:
    with pytest.raises(error, match=f"load_digits: {names} .* not "):
        load_digits(**arguments)


def test_spirals_have_the_points_and_classes_asked_for() -> None:
    X, y = spirals(n_per_class=40, num_classes=4)
    assert (X.shape, X.dtype, y.dtype) == ((160, 2), np.float64, np.int64)
    assert np.bincount(y).tolist() == [40] * 4
    assert np.hypot(*X.T).max() <= 1 + 1e-12


def test_spirals_without_noise_are_the_same_arm_turned() -> None:
    X, y = spirals(n_per_class=30, num_classes=2, noise=0)
    np.testing.assert_allclose(X[y == 0], -X[y == 1], atol=1e-12)


def test_spirals_repeat_with_a_seed_and_go_on_with_a_generator() -> None:
    np.testing.assert_array_equal(spirals(rng=4)[0], spirals(rng=4)[0])
    np.testing.assert_array_equal(spirals(rng=4)[0], spirals(rng=np.random.default_rng(4))[0])
    rng = np.random.default_rng(4)
    assert not np.array_equal(spirals(rng=rng)[0], spirals(rng=rng)[0])


@pytest.mark.parametrize(
    ("arguments", "error", "names"),
    [
        ({"n_per_class": 0}, ValueError, "n_per_class"),
        ({"n_per_class": 2.5}, TypeError, "n_per_class"),
        ({"num_classes": True}, TypeError, "num_classes"),
        ({"noise": -0.1}, ValueError, "noise"),
        ({"noise": float("nan")}, ValueError, "noise"),
        ({"noise": "much"}, TypeError, "noise"),
        ({"rng": "dice"}, TypeError, "rng"),
    ],
)
def test_spirals_names_a_bad_argument(arguments: dict, error: type[Exception], names: str) -> None:
    with pytest.raises(error, match=f"spirals: {names} .* not "):
        spirals(**arguments)

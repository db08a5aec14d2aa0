"""Datasets that ship with the package: nothing is downloaded.

>>> from coursekit.data import load_digits
>>> digits = load_digits()
>>> digits.X_train.shape, digits.X_val.shape, digits.X_test.shape
((1197, 65), (300, 65), (300, 65))

`load_digits` returns the digits ready for a classifier, `digit_images` the same
digits as images, and `spirals` points in the plane that no straight line separates.

The digits are the test set of *Optical Recognition of Handwritten Digits* by
E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998,
doi 10.24432/C50P49, licensed under CC BY 4.0, in the order of scikit-learn's
copy.  ``_data/README.md`` says what was changed (only how they are stored).
"""

from __future__ import annotations

import functools
import importlib.resources
import math
import numbers
from typing import NamedTuple

import numpy as np

from coursekit._typing import Array

__all__ = ["Digits", "digit_images", "load_digits", "spirals"]

_VALIDATION = 300
_TEST = 300


class Digits(NamedTuple):
    """The digits in three parts: for training, for validation and for the final test.

    Attributes
    ----------
    X_train, X_val, X_test : ndarray, shapes (1197, D), (300, D), (300, D)
        One example per row, float64.  D is 65 with the bias column, 64 without.
    y_train, y_val, y_test : ndarray, shapes (1197,), (300,), (300,)
        The digit in each row, 0 to 9, int64.
    """

    X_train: Array
    y_train: Array
    X_val: Array
    y_val: Array
    X_test: Array
    y_test: Array


def load_digits(*, bias: bool = True, seed: int = 0) -> Digits:
    """Load the 8×8 handwritten digits, scaled, centred and split.

    Pixels are scaled to [0, 1]; then the mean image of the *training* part is
    subtracted from all three parts, because the other two stand for unseen
    images.

    Parameters
    ----------
    bias : bool
        Append a column of ones (the bias trick: the last row of W is then b).
    seed : int
        Chooses the split.  The same seed gives the same split everywhere.

    Returns
    -------
    Digits
        ``X_train, y_train, X_val, y_val, X_test, y_test``: fresh arrays that
        you may change.

    Examples
    --------
    >>> X_train, y_train, X_val, y_val, X_test, y_test = load_digits(bias=False)
    >>> X_train.shape, X_train.dtype.name, y_train.dtype.name
    ((1197, 64), 'float64', 'int64')
    >>> bool(np.allclose(X_train.mean(axis=0), 0))
    True
    """
    if not isinstance(bias, bool | np.bool_):
        raise TypeError(f"load_digits: bias is True or False, not {bias!r}.")
    images, labels = _stored_digits()
    # RandomState, not default_rng: NumPy promises that its stream will never
    # change, so a split can be quoted in a notebook for years.
    order = np.random.RandomState(_seed("load_digits", seed)).permutation(len(labels))
    train = order[: -(_VALIDATION + _TEST)]
    val = order[-(_VALIDATION + _TEST) : -_TEST]
    test = order[-_TEST:]

    X = images.reshape(len(images), -1) / 16.0
    X -= X[train].mean(axis=0)
    if bias:
        X = np.column_stack([X, np.ones(len(X))])
    y = labels.astype(np.int64)
    return Digits(X[train], y[train], X[val], y[val], X[test], y[test])


def digit_images() -> tuple[Array, Array]:
    """Return all digits as 8×8 images, as they were scanned.

    Returns
    -------
    images : ndarray, shape (1797, 8, 8)
        uint8, from 0 (no ink) to 16.
    labels : ndarray, shape (1797,)
        int64, 0 to 9.

    Examples
    --------
    >>> images, labels = digit_images()
    >>> int(labels[0])
    0
    >>> print(*("".join("._oO#"[ink // 4] for ink in row) for row in images[0]), sep="\\n")
    .._Oo...
    ..OOoO_.
    ..O..oo.
    ._O..oo.
    ._o..oo.
    ._o..O_.
    ..O_oO..
    .._Oo...
    """
    images, labels = _stored_digits()
    return images.copy(), labels.astype(np.int64)


def spirals(
    n_per_class: int = 100,
    num_classes: int = 3,
    noise: float = 0.2,
    rng: int | np.random.Generator = 0,
) -> tuple[Array, Array]:
    """Draw points on the arms of a spiral, one arm per class.

    A linear classifier gets about half of them right, a network with one
    hidden layer nearly all of them.

    Parameters
    ----------
    n_per_class : int
        Points on each arm.
    num_classes : int
        Arms.
    noise : float
        Standard deviation of the angle, in radians; 0 gives clean arms.
    rng : int or numpy.random.Generator
        A seed, or a generator to draw from.

    Returns
    -------
    X : ndarray, shape (N, 2)
        Inside the unit circle; N = n_per_class * num_classes, class by class.
    y : ndarray, shape (N,)
        int64, 0 to num_classes - 1.

    Examples
    --------
    >>> X, y = spirals(n_per_class=50, num_classes=2)
    >>> X.shape, np.bincount(y).tolist()
    ((100, 2), [50, 50])
    """
    n_per_class = _whole_number("n_per_class", n_per_class)
    num_classes = _whole_number("num_classes", num_classes)
    if isinstance(noise, bool) or not isinstance(noise, numbers.Real):
        raise TypeError(f"spirals: noise is a number, not {noise!r}.")
    if not 0 <= float(noise) < math.inf:
        raise ValueError(f"spirals: noise is a standard deviation, 0 or more, not {noise!r}.")
    if not isinstance(rng, np.random.Generator):
        rng = np.random.default_rng(_seed("spirals", rng, name="rng", also=" or a numpy.random.Generator"))

    y = np.repeat(np.arange(num_classes, dtype=np.int64), n_per_class)
    radius = np.tile(np.linspace(0.0, 1.0, n_per_class), num_classes)
    # Each arm turns through 4 radians; the arms start at equal angles around the centre.
    angle = 2 * np.pi * y / num_classes + 4 * radius + float(noise) * rng.standard_normal(len(y))
    return np.column_stack([radius * np.sin(angle), radius * np.cos(angle)]), y


@functools.cache
def _stored_digits() -> tuple[Array, Array]:
    """Read the file once.  The arrays are read-only, because all callers share them."""
    stored = importlib.resources.files("coursekit") / "_data" / "digits.npz"
    with stored.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    images.flags.writeable = False
    labels.flags.writeable = False
    return images, labels


def _seed(caller: str, seed: object, name: str = "seed", also: str = "") -> int:
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral):
        raise TypeError(f"{caller}: {name} is a whole number such as 0{also}, not {seed!r}.")
    if not 0 <= int(seed) < 2**32:
        raise ValueError(f"{caller}: {name} lies between 0 and 2**32 - 1, not {seed!r}.")
    return int(seed)


def _whole_number(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"spirals: {name} is a whole number, not {value!r}.")
    if int(value) < 1:
        raise ValueError(f"spirals: {name} is at least 1, not {value!r}.")
    return int(value)

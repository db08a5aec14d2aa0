"""Known mistakes around linear classifiers: checking gradients, learning rates, and the predicted class.

The losses themselves, the SVM's and softmax, are in ``losses.py``.
"""

import numpy as np

from autograder.mistakes import Stepwise, instead, instead_of, sign

from ..losses import CHOICES

# -- checking gradients -------------------------------------------------------------------


def difference_quotient(f, x, h=1e-5, *, up=1.0, down=1.0, over=2.0, where=None):
    """(f(x + up·h) − f(x − down·h)) / (over·h) for each entry of x, or with the entries `where` moved at once."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[where or i] += up * h
        below[where or i] -= down * h
        gradient[i] = (f(above) - f(below)) / (over * h)
    return gradient


QUOTIENT = Stepwise(difference_quotient, "gradient")
CENTRAL = "the central one, (f(x + h) − f(x − h)) / 2h, is far more accurate."

NUMERICAL_GRADIENT = (
    QUOTIENT.mistake("one-sided", f"This is the one-sided difference (f(x + h) − f(x)) / h; {CENTRAL}", down=0, over=1),
    QUOTIENT.mistake(
        "one-sided/backward", f"This is the one-sided difference (f(x) − f(x − h)) / h; {CENTRAL}", up=0, over=1
    ),
    sign("gradient"),
    QUOTIENT.instead(
        "precedence",
        "`a / 2 * h` divides by 2 and multiplies by h: write a / (2 * h).",
        lambda f, x, h=1e-5: difference_quotient(f, x, h, over=2 / h**2),
    ),
    QUOTIENT.mistake(
        "all-at-once", "All entries of x are moved at once: move one, and put it back before the next.", where=...
    ),
    QUOTIENT.mistake("scale", "The gradient is twice too large: the two points lie 2h apart, so divide by 2h.", over=1),
    QUOTIENT.instead(
        "h-ignored",
        "The step h that was given is not the one that is used.",
        lambda f, x, h=1e-5: difference_quotient(f, x),
    ),
)


def relative_error(a, b, size=lambda a, b: abs(a) + abs(b), pick=np.max):
    """The largest |a − b| / max(1e-8, size(a, b)) of all entries."""
    return pick(np.abs(a - b) / np.maximum(1e-8, size(a, b)))


ERROR = Stepwise(relative_error, "error")

RELATIVE_ERROR = (
    ERROR.mistake(
        "mean-for-max",
        "This is the mean over the entries; the largest is asked for, so that one wrong entry cannot hide.",
        pick=np.mean,
    ),
    ERROR.mistake("sum-for-max", "This is the sum over the entries; the largest is asked for.", pick=np.sum),
    ERROR.instead(
        "ratio-of-norms",
        "This divides one norm by others; here the division comes first, entry by entry, and then the maximum.",
        lambda a, b: np.linalg.norm(a - b) / np.maximum(1e-8, np.linalg.norm(a) + np.linalg.norm(b)),
    ),
    ERROR.mistake(
        "floor-added",
        "The 1e-8 is added to |a| + |b|; it is a floor: max(1e-8, |a| + |b|).",
        size=lambda a, b: 1e-8 + abs(a) + abs(b),
    ),
    ERROR.instead(
        "not-relative",
        "This is the absolute error: divide by |a| + |b|, entry by entry.",
        lambda a, b: np.max(np.abs(a - b)),
    ),
    ERROR.mistake(
        "max-in-denominator",
        "The denominator here is |a| + |b|, not the larger of the two.",
        size=lambda a, b: np.maximum(abs(a), abs(b)),
    ),
    ERROR.mistake(
        "sign-in-denominator", "The denominator needs absolute values: |a| + |b|.", size=lambda a, b: abs(a + b)
    ),
)

# -- learning-rate schedules --------------------------------------------------------------

_rate = instead_of("rate")


def _reached(t, milestones):
    return sum(t >= m for m in milestones)


STEP_DECAY = (
    _rate(
        "off-by-one",
        "At a milestone itself the rate has already dropped: count the milestones m with t >= m.",
        lambda t, lr0, milestones, factor=0.1: lr0 * factor ** _reached(t - 1, milestones),
    ),
    _rate(
        "one-drop-only",
        "The rate drops once for every milestone that is reached, so the factors multiply.",
        lambda t, lr0, milestones, factor=0.1: lr0 * factor ** min(_reached(t, milestones), 1),
    ),
    _rate(
        "factors-added",
        "The factor is raised to the number of milestones reached, not multiplied by it.",
        lambda t, lr0, milestones, factor=0.1: lr0 * (factor * _reached(t, milestones) or 1),
    ),
    _rate(
        "rising",
        "The rate rises at each milestone: multiply by the factor, do not divide.",
        lambda t, lr0, milestones, factor=0.1: lr0 / factor ** _reached(t, milestones),
    ),
    _rate(
        "factor-ignored",
        "The `factor` that was given is not the one that is used.",
        lambda t, lr0, milestones, factor=0.1: lr0 * 0.1 ** _reached(t, milestones),
    ),
)


def half_cosine(t, T, lr0, periods=1.0, side=1.0):
    """Decay from lr0 to 0 along half a cosine."""
    return 0.5 * lr0 * (1 + side * np.cos(periods * np.pi * t / T))


COSINE = Stepwise(half_cosine, "rate")


def straight_line(t, T, lr0):
    """Decay from lr0 to 0 along a straight line."""
    return lr0 * (1 - t / T)


def one_step_off(formula):
    """Start or end the schedule `formula` one step early or late."""
    message = "This is one step off: t runs from 0, where the rate is lr0, to T, where it is 0."
    return tuple(
        _rate(f"off-by-one/{form}", message, lambda t, T, lr0, a=a, b=b: formula(t + a, T + b, lr0))
        for form, a, b in (("start", 1, 0), ("before", -1, 0), ("end", 0, -1), ("after", 0, 1), ("both", 1, 1))
    )


COSINE_DECAY = (
    _rate("scale", "The ½ is missing: at t = 0 the rate is lr0.", lambda *args: 2 * half_cosine(*args)),
    COSINE.mistake("pi-missing", "The cosine runs from 0 to π: cos(πt/T).", periods=1 / np.pi),
    COSINE.mistake(
        "pi-doubled",
        "Half a period is asked for, from 0 to π; this is a whole one, and back at lr0 at the end.",
        periods=2,
    ),
    COSINE.mistake("reversed", "This rises from 0 to lr0; the rate falls: 1 + cos, not 1 − cos.", side=-1),
    *one_step_off(half_cosine),
)

LINEAR_DECAY = (
    _rate("reversed", "This rises from 0 to lr0; the rate falls: lr0 · (1 − t/T).", lambda t, T, lr0: lr0 * t / T),
    _rate(
        "integer-division",
        "t // T is a whole number, 0 until the end: divide with /.",
        lambda t, T, lr0: lr0 * (1 - t // T),
    ),
    *one_step_off(straight_line),
)

INVERSE_SQRT_DECAY = (
    _rate("root-missing", "This is lr0 / t: the square root is missing.", lambda t, lr0: lr0 / t),
    _rate("rising", "This rises: divide by √t.", lambda t, lr0: lr0 * np.sqrt(t)),
    _rate("off-by-one", "t counts from 1 already: divide by √t, not √(t + 1).", lambda t, lr0: lr0 / np.sqrt(t + 1)),
)

# -- prediction ---------------------------------------------------------------------------

PREDICT = tuple(
    instead(code, message, lambda W, X, choose=choose: choose(X @ W), "labels") for code, message, choose in CHOICES
)

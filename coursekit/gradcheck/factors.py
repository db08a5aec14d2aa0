"""Reading a factor between two gradients: a sign, a size, or the share of a regulariser."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations

from coursekit.reporting import Finding

SIGN = Finding("sign", "The sign is flipped: this is the negative of the gradient.")
ZERO = Finding("gradient-zero", "The gradient is all zeros.")
BIAS = Finding("regularizer-on-bias", "The bias is regularised in this gradient; in the function only the weights are.")
MISSING = Finding("regularizer-missing", "The gradient of the regulariser is missing (for reg·ΣW² it is 2·reg·W).")
HALF = Finding(
    "regularizer-half", "The regulariser counts half in the gradient: that of reg·ΣW² is 2·reg·W, not reg·W."
)
DOUBLE = Finding("regularizer-double", "The regulariser counts twice in the gradient: that of reg·ΣW² is 2·reg·W.")


def readings(
    a: float, b: float, sizes: dict[int, str], alone: bool
) -> Iterator[tuple[tuple[Finding, ...], float, float]]:
    """Yield readings of a·data + b·penalty: one factor for both, or a factor for each.

    A reading is the findings, and the exact values of a and b.
    """
    exact_a, exact_b = meant_by(a, sizes), meant_by(b, sizes)
    # One factor for both, and a wrong share of the regulariser.
    if exact_a not in (None, 0, 1):
        assert exact_a is not None
        ratio = meant_by(b / a, {})
        if ratio is not None:
            yield (*of_factor(exact_a, sizes, "The gradient"), *_of_penalty(ratio, sizes)), exact_a, exact_a * ratio
    elif exact_a is None and alone and abs(b / a - 1) < 1e-4:
        yield of_factor(a, sizes, "The gradient"), a, a
    # A factor for each.
    if exact_a is None or exact_b is None:
        return
    claims: tuple[Finding, ...] = ()
    if exact_a == 0:
        claims += (Finding("gradient-zero", "Of the data nothing is in the gradient, only the regulariser is."),)
    elif exact_a != 1:
        claims += of_factor(exact_a, sizes, "The data's part of the gradient")
    claims += _of_penalty(exact_b, sizes)
    if claims:
        yield claims, exact_a, exact_b


def _of_penalty(share: float, sizes: dict[int, str]) -> tuple[Finding, ...]:
    if share == 1:
        return ()
    known = {0.0: MISSING, 0.5: HALF, 2.0: DOUBLE}.get(share)
    return (known,) if known else of_factor(share, sizes, "The regulariser's part of the gradient")


def of_factor(factor: float, sizes: dict[int, str], what: str) -> tuple[Finding, ...]:
    """Return the findings on a factor: its sign, its size, or both."""
    claims: tuple[Finding, ...] = ()
    if factor < 0:
        message = SIGN.message if what == "The gradient" else f"{what} has the wrong sign."
        claims += (Finding("sign", message),)
        factor = -factor
    if factor != 1:
        meaning = _meaning(factor, sizes)
        claims += (Finding("scale", f"{what} is {meaning}{'' if meaning.endswith('?') else '.'}"),)
    return claims


def _meaning(factor: float, sizes: dict[int, str]) -> str:
    for size, what in sizes.items():
        if _near(factor, size) and size > 2:
            return f"{size} times too large, and {what}: is a division by it missing?"
        if _near(factor, 1 / size) and size > 2:
            return f"{size} times too small, and {what}: is it divided by it once too often?"
    if factor == 2:
        return "twice too large"
    if factor == 0.5:
        return "half of what it should be: is the 2 of the derivative of a square missing?"
    for one, what in sizes.items():
        for other, of_other in sizes.items():
            if one <= other and _near(factor, one * other):
                return f"{one * other} times too large, and {what}, {of_other}: are divisions by both missing?"
            if one <= other and _near(factor, 1 / (one * other)):
                return f"{one * other} times too small, and {what}, {of_other}: is it divided once too often?"
            if one != other and _near(factor, one / other):
                return (
                    f"{factor:.4g} times what it should be: divided by {other} ({of_other}) in place of {one} ({what})"
                )
    simple = Fraction(factor).limit_denominator(12)
    return f"{simple if _near(factor, float(simple)) else format(factor, '.6g')} times what it should be"


def meant_by(number: float, sizes: dict[int, str], products: bool = True) -> float | None:
    """Return the exact value of a measured number, or None.

    It is one of 0, 1, 2, 4, ½, ¼, a size, 1/size, or with `products` the product or ratio of two of these.
    """
    sign, number = (-1.0, -number) if number < 0 else (1.0, number)
    if number < 1e-8:
        return 0.0
    single = [1.0, 2.0, 0.5, 4.0, 0.25, *map(float, sizes), *(1 / size for size in sizes)]
    for exact in single:
        if _near(number, exact):
            return sign * exact
    if not products:  # there are so many that a single number may be close to one by chance
        return None
    for one, other in combinations([1.0, 2.0, 0.5, *map(float, sizes)], 2):
        for exact in (one * other, 1 / (one * other), one / other, other / one):
            if _near(number, exact):
                return sign * exact
    for size in sizes:
        for exact in (float(size) ** 2, 1 / float(size) ** 2):
            if _near(number, exact):
                return sign * exact
    return None


def _near(number: float, exact: float) -> bool:
    return abs(number - exact) <= 1e-4 * exact

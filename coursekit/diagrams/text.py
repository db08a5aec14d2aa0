"""Words and numbers in a diagram."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from typing import Any


def shown(value: Any, decimals: int) -> str:
    """Format a number for a diagram; an array as its shape, and None as "?".

    >>> [shown(x, 2) for x in (3.0, -0.19661, 0.0004, 2e9, None, "(N, D)", float("nan"))]
    ['3', '−0.20', '0.0004', '2e+09', '?', '(N, D)', 'nan']
    """
    if value is None:
        return "?"
    if isinstance(value, str):
        return value
    shape = getattr(value, "shape", ())
    if math.prod(shape) != 1:
        return str(tuple(shape))
    try:
        number = float(value.reshape(-1)[0] if shape else value)
    except (TypeError, ValueError):
        return str(value)[:12]  # a student's function may return anything: the picture must not fail
    if not math.isfinite(number):
        return str(number).replace("-", "−")
    if abs(number) >= 1e6:
        return f"{number:.3g}".replace("-", "−")
    whole = round(number)
    if abs(number - whole) < 1e-7 and (whole or not number):  # the precision of measured gradients
        return str(whole).replace("-", "−")
    text = f"{number:.{decimals}f}"
    return (text if float(text) else f"{number:.1g}").replace("-", "−")


def listed(value: Any, decimals: int) -> str:
    """Format as `shown` does, but list the numbers of an array of up to four, with the same decimals."""
    if isinstance(value, str) or value is None:
        return shown(value, decimals)
    size = math.prod(getattr(value, "shape", (len(value),) if isinstance(value, Sequence) else ()))
    if size > 4 or size == 0:
        return shown(value, decimals)
    entries = flat(value)
    if all(entry == int(entry) for entry in entries if math.isfinite(entry)):
        return ", ".join(shown(entry, decimals) for entry in entries)
    return ", ".join(f"{entry:.{decimals}f}".replace("-", "−") for entry in entries)


def flat(value: Any) -> list[float]:
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, Sequence):
        return [entry for part in value for entry in flat(part)]
    return [float(value)]


def width_of(words: object, size: float) -> float:
    """Return the approximate width of words, in pixels."""
    return 0.6 * size * len(str(words))


def clean(words: object) -> str:
    """Replace the characters that XML does not allow."""
    return re.sub(r"[^\t\n\r -\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]", "\ufffd", str(words))


def escaped(words: object) -> str:
    return html.escape(clean(words))

"""Can results be compared: is the comparison there, and does it accept the right result itself?"""

from __future__ import annotations

import difflib
from typing import Any

from coursekit.checks.cases import Exercise, Expected
from coursekit.checks.codec import Opaque
from coursekit.checks.compare import COMPARISONS
from coursekit.checks.run import StepOutcome, plain

from .errors import Refused

CLOSE = ("rtol", "atol", "large", "code", "row")
# Comparisons that the right result itself has to pass, with their options; others look at a bound or at many losses.
OF_RESULTS = {
    "close": CLOSE,
    "one_of": (*CLOSE, "others"),
    "own": ("function",),
    "labels": (),
    "at_least": (),
    "at_most": (),
}


def require_comparable(where: str, exercise: Exercise) -> None:
    """Refuse an exercise with a result whose comparison is not there, or rejects the right result itself."""
    for made in exercise.cases:
        for step in made.steps:
            for item in step.expected:
                if why := _why_not_comparable(item):
                    raise Refused(f"{where}: in the case {made.title!r}, {item.name} {why}")


def _why_not_comparable(item: Expected) -> str:
    if item.compare not in COMPARISONS:
        near = difflib.get_close_matches(item.compare, COMPARISONS, 1)
        meant = f"; was {near[0]!r} meant?" if near else ""
        return f"is compared by {item.compare!r}, which is none of {', '.join(COMPARISONS)}{meant}"
    if item.compare not in OF_RESULTS:
        return ""
    if foreign := [name for name in item.options if name not in OF_RESULTS[item.compare]]:
        known = ", ".join(OF_RESULTS[item.compare]) or "none"
        return f"is compared by {item.compare!r} with an option {foreign[0]!r}, which is none of its options ({known})"
    value = plain(item.value)
    if strange := _strange(value):
        return (
            f"holds {strange}, which is no data: let it be numbers, arrays, text, True, None, or sets or lists of them"
        )
    try:
        compared = COMPARISONS[item.compare](value, item, StepOutcome(returned=value), ())
    except Exception as error:
        return f"cannot be compared by {item.compare!r}: {type(error).__name__}: {error}"
    return (
        ""
        if compared.ok
        else f"is rejected by its own comparison {item.compare!r}: the right result {compared.message}"
    )


def _strange(value: Any) -> str:
    """Name what in a value is no data."""
    if isinstance(value, Opaque):
        return f"an object of type {value.kind}"
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return next(filter(None, map(_strange, inner)), "")

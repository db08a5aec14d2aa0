"""Score test cells that make no check, by their outputs.

nbgrader scores them in the same way (`nbgrader.utils.determine_grade`): an error is worth zero, the first
result is the score, and a test that shows neither has passed.  Some of what nbgrader decides is plainly not meant,
and is decided otherwise here: warnings cost nothing, a result before an error is no score, `False` does not pass,
`np.float64(2.5)` is worth two and a half points, a score outside the range from zero to the maximum is clipped, and
one that is not finite is zero.
"""

from __future__ import annotations

import math
import re

from .notebook import Cell

NUMPY = re.compile(r"(?:(?:np|numpy)\.\w+|array)\((.*)\)", re.DOTALL)
TRUTH = {"True": 1.0, "np.True_": 1.0, "False": 0.0, "np.False_": 0.0}


def settle(cell: Cell, points: float) -> float:
    """Return the score of an executed test cell, and change its outputs so that nbgrader gives the same."""
    outputs = cell["outputs"]
    failed = any(output["output_type"] == "error" for output in outputs)
    for output in outputs:
        if output["output_type"] == "stream":
            output["name"] = "stdout"  # nbgrader scores stderr as zero
        elif output["output_type"] == "execute_result" and failed:  # … and by what comes first
            output["output_type"] = "display_data"
            del output["execution_count"]
    if failed:
        return 0.0
    for output in outputs:
        if output["output_type"] == "execute_result":
            text = "".join(output["data"].get("text/plain", ""))
            earned = score(text, points)
            if earned is None and text:
                return points  # as nbgrader: a test that ends with something else has passed
            earned = points if earned is None else earned
            output["data"]["text/plain"] = repr(earned)
            return earned
    return points


def score(text: str, points: float) -> float | None:
    """Return the score out of `points` that a result means, or None if it means none.

    `text` is the result's `repr`.
    """
    if text in TRUTH:
        return points * TRUTH[text]
    number = NUMPY.fullmatch(text)
    try:
        earned = float(number[1] if number else text)
    except ValueError:
        return None
    return min(max(earned, 0.0), points) if math.isfinite(earned) else 0.0

"""What a test cell without a check has earned, by its outputs.

nbgrader decides by them too (`nbgrader.utils.determine_grade`): the first error is worth nothing, the first
result is the score, and a test that shows neither has passed.  This differs where nbgrader is wrong on purpose
of nobody: warnings cost nothing, `False` is no pass, `np.float64(2.5)` is two and a half points, what is no
number between nothing and the maximum is neither full marks nor the end of the submission.
"""

from __future__ import annotations

import math
import re
from typing import Any

NUMPY = re.compile(r"(?:(?:np|numpy)\.\w+|array)\((.*)\)", re.DOTALL)
TRUTH = {"True": 1.0, "np.True_": 1.0, "False": 0.0, "np.False_": 0.0}


def settle(cell: dict[str, Any], points: float) -> float:
    """The score of an executed test cell; its outputs are made such that nbgrader comes to the same."""
    outputs = cell["outputs"]
    for output in outputs:
        if output["output_type"] == "stream":
            output["name"] = "stdout"  # nbgrader scores stderr as zero
    for output in outputs:
        if output["output_type"] == "error":
            return 0.0
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
    """The score that a test's result means, of `points`; `text` is how Python writes it.  None if it means none."""
    if text in TRUTH:
        return points * TRUTH[text]
    number = NUMPY.fullmatch(text)
    try:
        earned = float(number[1] if number else text)
    except ValueError:
        return None
    return min(max(earned, 0.0), points) if math.isfinite(earned) else 0.0

"""Comparisons: is what came back right, and if not, what exactly is wrong with it?

Each comparison is a function of what was seen and what was expected, registered here under the name
by which cases ask for it.  Those of single values are in `values`, those of what a training did in `training`.
"""

from __future__ import annotations

from collections.abc import Callable

from . import training, values
from .values import Comparison, agrees

__all__ = ["COMPARISONS", "Comparison", "agrees"]

COMPARISONS: dict[str, Callable[..., Comparison]] = {
    function.__name__: function
    for function in (
        values.anything,
        values.at_least,
        values.at_most,
        values.between,
        values.close,
        values.inputs_first,
        values.labels,
        values.one_of,
        values.unchanged,
        training.falling,
        training.in_ball,
        training.reaches,
        training.repeats,
        training.training_batches,
        training.training_history,
        training.training_start,
        training.training_updates,
    )
}

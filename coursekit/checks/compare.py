"""The table of comparisons, by the names that cases use.

A comparison is a function of a result and the expected one.  Those of single values are in `values`, those of
trainings and searches in `training`.
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
        values.own,
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

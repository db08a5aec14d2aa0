"""`check("NAME", NAME)`: the one line in every test cell.

In a student's notebook it runs the public cases that lie beside the notebook, and shows a report.
When the notebook is graded, the grader answers the same line: :func:`answer_with` puts its examiner in place of the
public cases.

Read on in `codec`, `probes`, `cases` (a case is data), `run` (a case meets a student's code), `values`, `training` and
`compare` (is a result right?), `lines` and `loops` (is it vectorised?), `judge` (from results to points), `findings`
(from results to mistakes), `report`, `public` (all of it on the cases beside the notebook).
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .report import Report

__all__ = ["CheckFailed", "check", "when_written"]

Examiner = Callable[[str, tuple[Any, ...]], "Report | float"]


class CheckFailed(AssertionError):
    """An exercise is not right yet.  A notebook shows the message alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def check(name: str, *functions: Any) -> float:
    """Check an exercise and show what was found.

    Parameters
    ----------
    name : str
        The exercise's name, as in the notebook: ``"svm_loss_naive"``.
    *functions
        What you wrote for it: a function, a class, or the functions of a pair.

    Returns
    -------
    float
        The points earned.

    Raises
    ------
    CheckFailed
        Outside a notebook, if not all points were earned.  In a notebook the same message
        is shown in red and the cells below still run.
    """
    report = _examiner(name, functions)
    if isinstance(report, float):
        return report
    failed = not report.passed and report.status != "not written"
    message = CheckFailed(report.summary())
    shell = _notebook()
    if shell is None:
        print(report.text())
        if failed:
            raise message
    else:
        from IPython.display import display

        display(report)
        if failed:
            shell.showtraceback((CheckFailed, message, None))
    return report.score


@contextlib.contextmanager
def when_written(*functions: Callable[..., Any]) -> Iterator[None]:
    """Run a demonstration that needs exercises; if one is not written yet, print that instead.

    >>> def svm_loss_naive(W, X, y, reg):
    ...     raise NotImplementedError()
    >>> with when_written(svm_loss_naive):
    ...     svm_loss_naive(1, 2, 3, 4)
    svm_loss_naive is not written yet: this cell comes alive when it is.
    """
    try:
        yield
    except NotImplementedError as error:
        names = [getattr(function, "__name__", str(function)) for function in functions]
        raised_in = traceback.extract_tb(error.__traceback__)[-1].name
        missing = raised_in if raised_in in names or not names else " or ".join(names)
        print(f"{missing} is not written yet: this cell comes alive when it is.")


def answer_with(examiner: Examiner) -> None:
    """Let `examiner` answer every `check` from now on; it returns a report to show, or only the points."""
    global _examiner
    _examiner = examiner


def _public_cases(name: str, functions: tuple[Any, ...]) -> Report:
    # What judges is on the grader's side alone while a notebook is graded, so `check` itself does without it.
    from .public import examined

    return examined(name, functions)


def _notebook() -> Any:
    """Return the running IPython, or None outside a notebook or an IPython prompt."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


_examiner: Examiner = _public_cases

"""Stubs of the gradient checker, where it is forbidden.

A notebook shows the checker's reports in cells that are not graded.  Behind the wall, these cells show one
sentence in place of the report, instead of an error.
"""

from __future__ import annotations

from typing import Any

import coursekit

CHECKER = "coursekit.gradcheck"
SENTENCE = "The gradient checker is not available while a notebook is graded."


class NoReport:
    """A stub of `GradientReport` that finds nothing wrong, so that a cell goes on as with a right gradient."""

    ok = True
    error = float("nan")
    findings = compared = ()

    def raise_if_wrong(self) -> None:
        """Raise nothing: no gradient is known to be wrong."""

    def headline(self) -> str:
        return SENTENCE

    section = text = html = __repr__ = headline

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": SENTENCE}


def check_nothing(*args: Any, **kwargs: Any) -> NoReport:
    """Take the place of `check_gradient` and `check_backward`."""
    return NoReport()


def install() -> None:
    """Make `from coursekit import check_gradient` give the stub."""
    for name in ("check_gradient", "check_backward"):
        setattr(coursekit, name, check_nothing)

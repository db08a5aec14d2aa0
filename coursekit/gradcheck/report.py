"""The report of the gradient checker, with a map of the wrong entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import numpy as np

from coursekit._typing import Array
from coursekit.reporting import (
    RIGHT,
    WRONG,
    Block,
    Finding,
    Found,
    Marked,
    Paragraph,
    Preformatted,
    Renderable,
    Section,
    entries_are,
)

SHOWN = 3  # the worst entries of each parameter
CELLS = 24  # the most rows and columns of a map


class GradientError(AssertionError):
    """A gradient is wrong; the message is the report."""


@dataclass(frozen=True)
class ParameterReport:
    """One parameter: its claimed gradient beside the numerical one.

    Attributes
    ----------
    name : str
    shape : tuple of int
        Of the parameter.
    wrong : array of bool, or None
        The wrong entries; None if the two gradients have different shapes.
    got, right : arrays, or None
    error : float
        ‖got − right‖ relative to the larger of the two norms.
    """

    name: str
    shape: tuple[int, ...]
    wrong: Array | None = None
    got: Array | None = None
    right: Array | None = None
    error: float = 0.0

    @property
    def ok(self) -> bool:
        return self.wrong is not None and not self.wrong.any()


@dataclass(frozen=True, repr=False)
class GradientReport(Renderable):
    """What `check_gradient` found.

    Attributes
    ----------
    ok : bool
        Whether the gradient is right.
    error : float
        The largest relative error of a parameter's gradient, in norm.
    findings : tuple of Finding
        The mistakes and remarks, the cause first.
    compared : tuple of ParameterReport
        One for each parameter.

    Examples
    --------
    >>> from coursekit.gradcheck import check_gradient
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> report = check_gradient(lambda x: np.sum(x ** 3), x, 3 * x)
    >>> report.ok
    False
    >>> print(check_gradient(lambda x: np.sum(x ** 3), x, 3 * x ** 2))
    The gradient is right (relative error in norm 0).
    """

    ok: bool
    error: float
    findings: tuple[Finding, ...] = ()
    compared: tuple[ParameterReport, ...] = ()

    def raise_if_wrong(self) -> None:
        """Raise a `GradientError` with this report, unless the gradient is right."""
        if not self.ok:
            raise GradientError(self.text())

    def headline(self) -> str:
        if self.ok:
            return f"The gradient is right (relative error in norm {_error(self.error)})."
        if not self.compared:
            return "The gradient could not be compared."
        right = all(one.ok for one in self.compared)
        return "The numbers are right, but something else is not." if right else "The gradient is not right."

    def section(self) -> Section:
        blocks: list[Block] = [Found(finding, code_style="white-space:nowrap") for finding in self.findings]
        for one in self._shown():
            blocks += _numbers(one)
        return Section(RIGHT if self.ok else WRONG, self.headline(), tuple(blocks))

    def _shown(self) -> tuple[ParameterReport, ...]:
        """Return the parameters to show: all, or none if everything is right."""
        return () if all(one.ok for one in self.compared) else self.compared


def _numbers(one: ParameterReport) -> list[Block]:
    """Return the blocks on one parameter: its error, its worst entries, and their map."""
    return [
        Paragraph((Marked(f"d{one.name}", "code"), f": {_summary(one)}"), indent="  ", margin=".6em 0 .2em"),
        Preformatted(tuple(_worst(one)), indent="    "),
        _ErrorMap(one),
    ]


def _error(error: float) -> str:
    return "0" if error < 1e-8 else f"{error:.2g}"


def _summary(one: ParameterReport) -> str:
    if one.wrong is None:
        return f"shape {np.shape(np.asarray(one.got))} in place of {one.shape}"
    if one.ok:
        return f"right (relative error in norm {_error(one.error)})"
    return f"relative error in norm {_error(one.error)}, {int(one.wrong.sum())} of {one.wrong.size} entries wrong"


def _worst(one: ParameterReport) -> Iterator[str]:
    """Yield the entries with the largest errors beside the numerical ones."""
    if one.wrong is None or one.ok or one.got is None or one.right is None:
        return
    with np.errstate(invalid="ignore"):
        off = np.where(one.wrong, np.nan_to_num(np.abs(one.got - one.right), nan=np.inf, posinf=np.inf), -1.0)
    for flat in np.argsort(-off, axis=None, kind="stable")[: min(SHOWN, int(one.wrong.sum()))]:
        index = np.unravel_index(int(flat), one.wrong.shape)
        place = f"[{', '.join(str(int(i)) for i in index)}]" if index else ""
        yield f"d{one.name}{place}: yours {one.got[index] + 0.0:.6g}, numerical {one.right[index] + 0.0:.6g}"


@dataclass(frozen=True)
class _ErrorMap:
    """A block: a table with a redder cell for a larger error; each cell of a large table is a block of entries."""

    of: ParameterReport

    def lines(self) -> list[str]:
        return []

    def html(self) -> str:
        one = self.of
        if one.wrong is None or one.ok or one.got is None or one.right is None or one.wrong.size < 2:
            return ""
        with np.errstate(invalid="ignore"):
            off = np.nan_to_num(np.abs(one.got - one.right), nan=np.inf, posinf=np.inf) * one.wrong
        finite = off[np.isfinite(off)]
        largest = float(np.max(finite, initial=0)) or 1.0
        off = np.where(np.isfinite(off), off, largest)
        rows = off.reshape(1, -1) if off.ndim == 1 else off.reshape(off.shape[0], -1)
        blocks = _blocks(rows)
        columns_wrong = np.flatnonzero(rows.any(axis=0))
        rows_wrong = np.flatnonzero(rows.any(axis=1))
        alt = (
            f"Map of the error of d{one.name}, shape {one.shape}: {entries_are(one.wrong)} wrong, "
            f"in {len(rows_wrong)} of {rows.shape[0]} rows and "
            f"{len(columns_wrong)} of {rows.shape[1]} columns."
        )
        cells = "".join(
            "<tr>"
            + "".join(
                f"<td title='{value:.2g}' style='width:1em;height:1em;padding:0;border:1px solid #8884;"
                f"background:rgba(207,34,46,{_strength(value / largest):.2f})'></td>"
                for value in row
            )
            + "</tr>"
            for row in blocks
        )
        each = "" if blocks.shape == rows.shape else " Each cell shows the largest error of several entries."
        return (
            f"<figure role='img' aria-label='{escape(alt, quote=True)}' style='margin:.4em 0'>"
            f"<table aria-hidden='true' style='border-collapse:collapse;margin:0'>{cells}</table>"
            f"<figcaption style='font-size:smaller'>Where d{escape(str(one.name))} is wrong: "
            f"the stronger the red, the more.{each}</figcaption></figure>"
        )


def _strength(share: float) -> float:
    """Return how red a cell is; every wrong one is red enough to be seen."""
    return 0.15 + 0.85 * share if share else 0.0


def _blocks(rows: Array) -> Array:
    for axis in (0, 1):
        if rows.shape[axis] > CELLS:
            starts = np.linspace(0, rows.shape[axis], CELLS, endpoint=False).astype(int)
            rows = np.maximum.reduceat(rows, starts, axis=axis)
    return rows

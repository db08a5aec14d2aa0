"""The comparison entry by entry with the numerical gradient, and the findings from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from coursekit._typing import Array
from coursekit.reporting import Finding, entries_are

from .diagnose import Wrong, explain
from .kinks import AT_KINK, right_beside
from .numeric import Measured, Scalar, measure
from .precision import Precision, is_rounded, precision_of, relative_error, remarks_on
from .problem import Problem, measurable
from .report import GradientReport, ParameterReport
from .shapes import brought_to_shape
from .stability import overflowed

REMARKS = ("kink", "float32", "imprecise")  # findings on a right gradient
ROUNDED = "The gradient is rounded to whole numbers, as in an array of integers (np.zeros_like of one?)."


def compare(
    problem: Problem,
    scalar: Scalar,
    got: dict[str, Array],
    loss: float | None,
    findings: Sequence[Finding],
    check: Callable[[Problem], GradientReport],
) -> GradientReport:
    """Compare the gradients `got` with the numerical ones.

    Parameters
    ----------
    problem : Problem
    scalar : Scalar
        The function as one number.
    got : dict of arrays
    loss : float or None
        The loss that was returned with the gradient.
    findings : sequence of Finding
        The findings so far.
    check : callable
        Checks the gradient function at another point.
    """
    value = scalar(None)
    exact = measurable(problem, scalar, value)
    precision = precision_of(problem, got, exact, value)
    parts = [
        _compare_one(problem, key, got[key], measure(exact.along(key), exact.point[key], got[key]), precision)
        for key in problem.point
    ]
    findings = [*findings, *(finding for part in parts for finding in part.findings)]
    if _wrong_only_at_kinks(parts) and right_beside(problem, scalar, got, check):
        parts = [part if part.compared.ok else part.accepted() for part in parts]
        findings.append(AT_KINK)
    right = all(part.compared.ok for part in parts)
    rounded = {part.compared.name: part.rounded for part in parts if part.rounded}
    if any(finding.code == "input-modified" for finding in findings):
        parts = [part for part in parts if part.compared.ok]  # the others belong to another point
    findings += _explanations(problem, scalar, parts, rounded, findings)
    findings += _about_loss(loss, value, right, precision.single)
    compared = tuple(part.compared for part in parts)
    ok = right and all(finding.code in REMARKS for finding in findings)
    return GradientReport(ok, max((one.error for one in compared), default=0.0), _once(findings), compared)


# --- One parameter -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """The result of comparing one parameter's gradient.

    Attributes
    ----------
    compared : ParameterReport
    kinks : array of bool
        Where the function has no derivative.
    findings : tuple of Finding
        Findings that need no explanation.
    wrong : Wrong or None
        The wrong numbers to explain.
    arranged : tuple of Finding
        Findings on a wrong shape, unless the explanation has them.
    rounded : Finding or None
        The finding on a rounded gradient, unless there is an explanation.
    """

    compared: ParameterReport
    kinks: Array
    findings: tuple[Finding, ...] = ()
    wrong: Wrong | None = None
    arranged: tuple[Finding, ...] = ()
    rounded: Finding | None = None

    def accepted(self) -> _Part:
        """Return the same part, taken as right."""
        right = replace(self.compared, wrong=np.zeros(self.compared.shape, bool), error=0.0)
        return replace(self, compared=right, wrong=None)


def _compare_one(problem: Problem, key: str, got: Array, measured: Measured, precision: Precision) -> _Part:
    x, right = problem.point[key], measured.gradient
    close = partial(measured.close, tolerance=precision.tolerance, more=precision.rounding_at(x))
    wrong = Wrong(key, np.asarray(x, float), got.astype(float), right, ~measured.kinks, precision.of_mistakes)
    if got.shape != x.shape:
        compared = ParameterReport(key, x.shape, None, got, right, 1.0)
        fitted, claims = brought_to_shape(got, x.shape, close)
        usable = None if fitted is None else replace(wrong, got=fitted, usable=np.isfinite(fitted) & ~measured.kinks)
        return _Part(compared, measured.kinks, wrong=usable, arranged=tuple(claims))

    bad = ~close(wrong.got)
    compared = ParameterReport(key, x.shape, bad, wrong.got, right, relative_error(got, measured))
    part = _Part(compared, measured.kinks)
    infinite = ~np.isfinite(got) & np.isfinite(right)
    if not bad.any():
        return replace(part, findings=tuple(remarks_on(key, got, measured, precision.single)))
    if infinite.any():
        return replace(part, findings=(overflowed(problem, key, infinite, got),))
    if not right.any() and not measured.kinks.any():
        text = f"The function does not change when {key} moves. Does it use {key}, or round its result?"
        return replace(part, findings=(Finding("unknown", text, of=(key,)),))
    if is_rounded(got, measured):
        rounded = Finding("integer-input", ROUNDED, 1.0, (key,))
        if got.dtype.kind in "iu":
            return replace(part, findings=(rounded,))
        part = replace(part, rounded=rounded)
    return replace(part, wrong=wrong)


def _wrong_only_at_kinks(parts: Sequence[_Part]) -> bool:
    """Return whether the only wrong entries are at kinks."""
    wrong = [part for part in parts if not part.compared.ok]
    return bool(wrong) and all(
        part.compared.wrong is not None and not np.any(part.compared.wrong & ~part.kinks) for part in wrong
    )


# --- Findings ------------------------------------------------------------------------------------


def _explanations(
    problem: Problem,
    scalar: Scalar,
    parts: Sequence[_Part],
    rounded: dict[str, Finding],
    known: Sequence[Finding],
) -> list[Finding]:
    """Return further findings, so that each wrong gradient has at least one, together with the `known` ones."""
    arranged = {part.compared.name: part.arranged for part in parts if part.arranged}
    findings = [*known, *explain(problem, scalar, [part.wrong for part in parts if part.wrong], arranged)]
    named = _named_in(findings)
    for key, claims in arranged.items():
        codes = {claim.code for claim in claims}
        if key not in named or not any(finding.code in codes for finding in findings):
            findings += [replace(claim, of=(key,)) for claim in claims]
    named = _named_in(finding for finding in findings if finding.code not in REMARKS)
    findings += [finding for key, finding in rounded.items() if key not in named]
    named |= set(rounded)
    wrong = [part.compared for part in parts if not part.compared.ok]
    findings += [_unexplained(one) for one in wrong if one.name not in named]
    return findings[len(known) :]


def _named_in(findings: Iterable[Finding]) -> set[str]:
    return {key for finding in findings for key in finding.of}


def _once(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(dict.fromkeys(findings))


def _unexplained(one: ParameterReport) -> Finding:
    """Return the finding on a gradient that no known mistake explains: where it is wrong."""
    if one.wrong is None or one.got is None or one.right is None:
        return Finding("unknown", "It cannot be compared.", of=(one.name,))
    text = f"{entries_are(one.wrong)} wrong{_place(one.wrong)}; no known mistake explains it."
    return Finding("unknown", text, of=(one.name,))


def _place(wrong: Array) -> str:
    """Return the rows or columns that hold all wrong entries, in words, if these are few."""
    if wrong.ndim != 2 or wrong.all():
        return ""
    rows, columns = np.flatnonzero(wrong.any(axis=1)), np.flatnonzero(wrong.any(axis=0))
    if len(rows) * 2 <= wrong.shape[0] and len(rows) <= len(columns):
        return _lines("row", rows)
    return _lines("column", columns) if len(columns) * 2 <= wrong.shape[1] else ""


def _lines(what: str, numbers: Array) -> str:
    return f", all in {what}{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers[:5]))}{', …' * (len(numbers) > 5)}"


def _about_loss(loss: float | None, value: float, right: bool, single: bool) -> list[Finding]:
    """Return a finding if either the loss or the gradient is wrong, but not both."""
    if loss is None:
        return []
    loss_right = abs(loss - value) <= (1e-4 if single else 1e-6) * max(abs(value), 1e-12)
    if right and not loss_right:
        text = f"The gradient is right, but the loss that comes with it is {loss:.6g} in place of {value:.6g}."
        return [Finding("loss-wrong-gradient-right", text)]
    if loss_right and not right:
        return [Finding("loss-right-gradient-wrong", "The loss that comes with it is right; it is the gradient alone.")]
    return []

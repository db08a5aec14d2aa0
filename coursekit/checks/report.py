"""What a check found, and how it is told: as text, as HTML and as data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from .cases import Exercise, Expected, Step
from .codec import Generator, Opaque, Ref
from .probes import Probe
from .run import Failure
from .shipped import ShippedCode

SHOWN_CASES = 2  # more than this nobody reads; the record keeps them all
SHOWN_ENTRIES = 24
SHOWN_STEPS = 12
# Where these are found, there is no value that came back in the place of the expected one.
NOTHING_THERE = ("wrong-number-of-values", "no-dictionary", "no-key")


@dataclass(frozen=True)
class Finding:
    """What explains a failure: a `code` to count by, a `message` to read, and the student's lines it came from."""

    code: str
    message: str
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A share of an exercise's points."""

    name: str
    earned: float
    points: float


@dataclass(frozen=True)
class Verdict:
    """Whether one expectation of one case holds."""

    case: str
    name: str
    part: str
    ok: bool
    message: str = ""
    code: str | None = None
    error: float | None = None
    step: Step | None = None
    before: tuple[Step, ...] = ()
    expected: Expected | None = None
    got: Any = None
    failure: Failure | None = None

    def to_dict(self) -> dict[str, Any]:
        """What the grading record keeps; the arguments are kept apart from it, with the cases."""
        error = self.error if self.error is None or math.isfinite(self.error) else None
        return {
            "case": self.case,
            "name": self.name,
            "part": self.part,
            "ok": self.ok,
            "code": self.code,
            "message": printable(self.message),
            "error": error,
        }


@dataclass(frozen=True)
class Report:
    """The outcome of checking one exercise.

    `status` is one of ``passed``, ``partly``, ``failed``, ``error``, ``timeout``, ``not written``,
    ``not defined`` and ``not run``.
    """

    exercise: str
    status: str
    parts: tuple[Part, ...]
    findings: tuple[Finding, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @classmethod
    def unanswered(cls, exercise: Exercise, status: str, message: str) -> Report:
        """The report on an exercise of which nothing could be checked, for the reason in `message`."""
        parts = tuple(Part(name, 0.0, points) for name, points in exercise.parts.items())
        return cls(exercise.name, status, parts, (Finding(status.replace(" ", "-"), message),))

    @property
    def score(self) -> float:
        return float(sum(part.earned for part in self.parts))

    @property
    def points(self) -> float:
        return float(sum(part.points for part in self.parts))

    @property
    def passed(self) -> bool:
        return self.status == "passed"

    def to_dict(self) -> dict[str, Any]:
        return {
            "exercise": self.exercise,
            "status": self.status,
            "score": self.score,
            "max": self.points,
            "parts": {part.name: [part.earned, part.points] for part in self.parts},
            "findings": [{"code": finding.code, "message": printable(finding.message)} for finding in self.findings],
            "cases": [verdict.to_dict() for verdict in self.verdicts],
            "notes": [printable(note) for note in self.notes],
            "seconds": round(self.seconds, 4),
        }

    def summary(self) -> str:
        """One line: the exercise, its points, and what was found first."""
        if self.status == "not written":
            return f"{self.exercise}: not written yet."
        line = f"{self.exercise}: {number(self.score)} of {number(self.points)} points."
        return line if not self.findings else f"{line} {' '.join(printable(self.findings[0].message).split())}"

    def text(self) -> str:
        """The report as plain text."""
        if self.status in ("not written", "not defined", "not run"):
            return "\n".join([self.summary(), *self._where()])
        lines = [f"{self.exercise}: {number(self.score)} of {number(self.points)} points"]
        for finding in self.findings:
            lines.append(f"Finding: {printable(finding.message)} [{finding.code}]")
        lines.extend(self._where())
        for part in self.parts:
            mark = "ok  " if part.earned == part.points else "MISS"
            lines.append(f"  {mark} {part.name}: {number(part.earned)} of {number(part.points)}")
        for verdict in self._shown():
            lines.append(f"In the case '{verdict.case}':")
            if verdict.step:
                lines.extend(f"  {line}" for line in [*_earlier(verdict.before), *_call(verdict.step)])
            lines.append(f"  {verdict.name} {printable(verdict.message)}")
            for label, value in _values(verdict):
                lines.extend(f"  {line}" for line in _indent(f"{label}: ", value))
        rest = sum(not verdict.ok for verdict in self.verdicts) - len(self._shown())
        if rest > 0:
            lines.append(f"({rest} more expectation{'s' * (rest != 1)} did not hold.)")
        lines.extend(f"Note: {printable(note)}" for note in self.notes)
        return "\n".join(lines)

    def transcript(self) -> str:
        """Everything that was looked at, case by case: what was called, what was expected, what came back."""
        lines = [self.text()]
        case, called = "", None
        for verdict in self.verdicts:
            if verdict.case != case:
                case, called = verdict.case, None
                lines += ["", f"Case '{case}'"]
            if verdict.step is not None and verdict.step is not called:
                called = verdict.step
                lines += [f"  {line}" for line in _call(called)]
            told = "ok" if verdict.ok else f"{printable(verdict.message)}" + f" [{verdict.code}]" * bool(verdict.code)
            lines.append(f"  {verdict.name} ({verdict.part}): {told}")
            for label, value in _values(verdict):
                lines.extend(f"    {line}" for line in _indent(f"{label}: ", value))
        return "\n".join(lines)

    def html(self) -> str:
        """The report as HTML that stands alone: inline styles, no scripts, everything of the student's escaped."""
        if self.status in ("not written", "not defined", "not run"):
            return _section(self.status, self.summary(), _pre("\n".join(self._where())))
        rows = "".join(
            f"<tr><td style='{CELL}'>{_mark(part.earned == part.points)}</td><td style='{CELL}'>{escape(part.name)}"
            f"</td><td style='{CELL}'>{number(part.earned)} of {number(part.points)}</td></tr>"
            for part in self.parts
        )
        body = [
            f"<p style='margin:.4em 0'><strong>{_text(finding.message)}</strong> "
            f"<code>{escape(finding.code)}</code></p>"
            for finding in self.findings
        ]
        body.append(_pre("\n".join(self._where())))
        body.append(f"<table style='border-collapse:collapse;margin:.4em 0'>{rows}</table>")
        for verdict in self._shown():
            body.append(f"<p style='margin:.6em 0 .2em'>In the case <em>{escape(verdict.case)}</em>:</p>")
            if verdict.step:
                body.append(_pre("\n".join([*_earlier(verdict.before), *_call(verdict.step)])))
            body.append(f"<p style='margin:.2em 0'><code>{escape(verdict.name)}</code> {_text(verdict.message)}</p>")
            for label, value in _values(verdict):
                body.append(_pre("\n".join(_indent(f"{label}: ", value))))
        rest = sum(not verdict.ok for verdict in self.verdicts) - len(self._shown())
        if rest > 0:
            body.append(f"<p>{rest} more expectation{'s' * (rest != 1)} did not hold.</p>")
        body.extend(f"<p style='margin:.2em 0'>Note: {_text(note)}</p>" for note in self.notes)
        title = f"{self.exercise}: {number(self.score)} of {number(self.points)} points"
        return _section(self.status, title, "".join(body))

    def _shown(self) -> list[Verdict]:
        """The first failure under each name, for the smallest cases come first."""
        first: dict[str, Verdict] = {}
        for verdict in self.verdicts:
            if not verdict.ok:
                first.setdefault(verdict.name, verdict)
        raised = [verdict for verdict in first.values() if verdict.failure]
        return raised[:1] or list(first.values())[:SHOWN_CASES]

    def _where(self) -> list[str]:
        return [printable(line) for finding in self.findings for line in finding.where]

    def __repr__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self.text(), "text/html": self.html()}


# -- how things are written -------------------------------------------------------------

CELL = "text-align:left;padding:.1em .8em .1em 0;border:none;background:none"
# Dark enough on white and light enough on JupyterLab's dark theme to be read on both.
COLOURS = {"passed": "#1a7f37", "partly": "#9a6700", "not written": "#57606a"}


def _section(status: str, title: str, body: str) -> str:
    colour = COLOURS.get(status, "#cf222e")
    sign = {"passed": "✓", "not written": "…"}.get(status, "✗")
    return (
        f"<section style='border-left:4px solid {colour};padding:.2em .8em;margin:.4em 0'>"
        f"<p style='margin:.2em 0'><strong><span aria-hidden='true'>{sign}</span> {_text(title)}</strong></p>"
        f"{body}</section>"
    )


def _mark(ok: bool) -> str:
    return "✓ right" if ok else "✗ missed"


def _pre(text: str) -> str:
    return text and f"<pre style='margin:.2em 0;white-space:pre-wrap'>{_text(text)}</pre>"


def _text(text: str) -> str:
    return escape(printable(text))


def printable(text: str) -> str:
    """`text` without control characters: a terminal or a page must not obey what a student's code says."""
    return "".join(
        char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text.expandtabs(4)
    )


def number(value: float) -> str:
    return f"{value:g}"


def _earlier(steps: Sequence[Step]) -> list[str]:
    """What was done before, a line for each step, as a program would have it."""
    lines = []
    for step in steps:
        given = [*zip(step.names, step.args, strict=False), *step.kwargs.items()]
        values = ", ".join(f"{name}={' '.join(show(value).split())}" for name, value in given)
        done = step.target + (f" with {values}" * bool(values) if step.evaluate else f"({values})")
        lines.append(f"{step.save_as} = {done}" if step.save_as else done)
    left_out = [f"(… {len(lines) - SHOWN_STEPS} steps more)"] if len(lines) > SHOWN_STEPS else []
    return [*left_out, *lines[-SHOWN_STEPS:]]


def _call(step: Step) -> list[str]:
    """The call and its arguments, one line each."""
    names = step.names or tuple(f"argument {i + 1}" for i in range(len(step.args)))
    if step.evaluate:
        lines = [f"evaluated {step.target}" + (" with" if names else "")]
    else:
        lines = [f"called {step.target}({', '.join([*names, *step.kwargs])}) with"]
    for name, value in [*zip(names, step.args, strict=True), *step.kwargs.items()]:
        lines.extend(f"  {line}" for line in _indent(f"{name} = ", show(value)))
    return lines


def _values(verdict: Verdict) -> Iterable[tuple[str, str]]:
    item = verdict.expected
    if item is None or verdict.failure or item.where != "returned" or verdict.code in NOTHING_THERE:
        return []
    right = item.value
    if item.options.get("row") and verdict.code is None:  # the shape is not what is wrong, so it is not to look so
        right = np.reshape(right, np.shape(verdict.got))
    return [("expected", show(right)), ("came back", show(verdict.got))]


def show(value: Any) -> str:
    """A value in a few readable lines: small arrays whole, large ones by shape."""
    if isinstance(value, Generator):
        return f"np.random.default_rng({value.seed})"
    if isinstance(value, Opaque):
        return f"an object of type {printable(value.kind)}" + (f": {printable(value.text)}" if value.text else "")
    if isinstance(value, ShippedCode):
        return f"{value.name}, which comes with the case"
    if isinstance(value, Ref):
        return f"{value.name}, from above" if value.item is None else f"{value.name}[{value.item}], from above"
    if isinstance(value, Probe):
        return f"a function of ({', '.join(value.parameters)})"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, np.generic):
        return f"{value.item():.6g}" if value.dtype.kind == "f" else str(value.item())
    if isinstance(value, np.ndarray):
        if value.size > SHOWN_ENTRIES:
            return f"array of shape {value.shape}"
        shape = f" (shape {value.shape})" if value.ndim != 1 else ""
        return np.array2string(np.asarray(value), precision=4, suppress_small=False) + shape
    text = printable(str(value))
    return text if len(text) <= 200 else text[:200] + " …"


def _indent(label: str, value: str) -> list[str]:
    first, *rest = value.split("\n")
    return [label + first, *(" " * len(label) + line for line in rest)]

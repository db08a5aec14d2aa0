"""The report on an exercise, as text, as HTML and as data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, TypedDict

import numpy as np

from coursekit.reporting import (
    PARTLY,
    RIGHT,
    WAITING,
    WRONG,
    Block,
    Finding,
    FindingRecord,
    Found,
    Marked,
    Paragraph,
    Preformatted,
    Renderable,
    Section,
    number,
    printable,
)

from .cases import Exercise, Expected, Step
from .codec import Generator, Opaque, Ref
from .probes import Probe
from .run import Failure
from .shipped import ShippedCode

SHOWN_CASES = 2  # failing cases; the record keeps all
SHOWN_ENTRIES = 24
SHOWN_STEPS = 12
SHOWN_TEXT = 200  # characters of a value that is no array
UNANSWERED = ("not written", "not defined", "not run")
# With these codes there is no value to show beside the expected one.
NOTHING_THERE = ("wrong-number-of-values", "no-dictionary", "no-key")


class VerdictRecord(TypedDict):
    """A verdict in a grading record."""

    case: str
    name: str
    part: str
    ok: bool
    code: str | None
    message: str
    error: float | None


class ReportRecord(TypedDict):
    """An exercise in a grading record; `parts` has (earned, points) by the part's name."""

    exercise: str
    status: str
    score: float
    max: float
    parts: dict[str, list[float]]
    findings: list[FindingRecord]
    cases: list[VerdictRecord]
    notes: list[str]
    seconds: float


@dataclass(frozen=True)
class Part:
    """A share of an exercise's points."""

    name: str
    earned: float
    points: float

    @property
    def right(self) -> bool:
        return self.earned == self.points

    @property
    def share(self) -> str:
        return f"{number(self.earned)} of {number(self.points)}"


@dataclass(frozen=True)
class Verdict:
    """Whether one expected result of a case came back."""

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

    def to_dict(self) -> VerdictRecord:
        """Return what the grading record keeps; the arguments are kept apart from it, with the cases."""
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


@dataclass(frozen=True, repr=False)
class Report(Renderable):
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
        """Return the report on an exercise that could not be checked; `message` is the reason."""
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

    def to_dict(self) -> ReportRecord:
        """Return what the grading record keeps."""
        return {
            "exercise": self.exercise,
            "status": self.status,
            "score": self.score,
            "max": self.points,
            "parts": {part.name: [part.earned, part.points] for part in self.parts},
            "findings": [finding.to_dict() for finding in self.findings],
            "cases": [verdict.to_dict() for verdict in self.verdicts],
            "notes": [printable(note) for note in self.notes],
            "seconds": round(self.seconds, 4),
        }

    def summary(self) -> str:
        """Return one line: the exercise, its points and the first finding."""
        if self.status == "not written":
            return f"{self.exercise}: not written yet."
        line = f"{self.exercise}: {number(self.score)} of {number(self.points)} points."
        return line if not self.findings else f"{line} {' '.join(printable(self.findings[0].message).split())}"

    def section(self) -> Section:
        where = Preformatted(tuple(line for finding in self.findings for line in finding.where))
        if self.status in UNANSWERED:
            return Section(TONES.get(self.status, WRONG), self.summary(), (where,))
        blocks: list[Block] = [*map(Found, self.findings), where, _Marks(self.parts)]
        for verdict in self._shown():
            blocks += _failure(verdict)
        if rest := sum(not verdict.ok for verdict in self.verdicts) - len(self._shown()):
            blocks.append(_Rest(rest))
        blocks += [Paragraph(("Note: ", note)) for note in self.notes]
        headline = f"{self.exercise}: {number(self.score)} of {number(self.points)} points"
        return Section(TONES.get(self.status, WRONG), headline, tuple(blocks))

    def transcript(self) -> str:
        """Return everything as text, case by case: the calls, the expected results and the results."""
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

    def _shown(self) -> list[Verdict]:
        """Return the failures to show: the first under each name, since the smallest cases come first."""
        first: dict[str, Verdict] = {}
        for verdict in self.verdicts:
            if not verdict.ok:
                first.setdefault(verdict.name, verdict)
        raised = [verdict for verdict in first.values() if verdict.failure]
        return raised[:1] or list(first.values())[:SHOWN_CASES]


# -- blocks and values -------------------------------------------------------------

TONES = {"passed": RIGHT, "partly": PARTLY, "not written": WAITING}
CELL = "text-align:left;padding:.1em .8em .1em 0;border:none;background:none"


@dataclass(frozen=True)
class _Marks:
    """A block: the parts of the points, and which of them were earned."""

    parts: tuple[Part, ...]

    def lines(self) -> list[str]:
        return [f"  {'ok  ' if part.right else 'MISS'} {part.name}: {part.share}" for part in self.parts]

    def html(self) -> str:
        rows = "".join(
            f"<tr><td style='{CELL}'>{'✓ right' if part.right else '✗ missed'}</td>"
            f"<td style='{CELL}'>{escape(part.name)}</td><td style='{CELL}'>{part.share}</td></tr>"
            for part in self.parts
        )
        return f"<table style='border-collapse:collapse;margin:.4em 0'>{rows}</table>"


@dataclass(frozen=True)
class _Rest:
    """A block: the number of failed expectations that are not shown."""

    count: int

    def lines(self) -> list[str]:
        return [f"({self._words()})"]

    def html(self) -> str:
        return f"<p>{self._words()}</p>"

    def _words(self) -> str:
        return f"{self.count} more expectation{'s' * (self.count != 1)} did not hold."


def _failure(verdict: Verdict) -> list[Block]:
    """Return the blocks on one failed expectation: the case, the call, the message and the values."""
    blocks: list[Block] = [Paragraph(("In the case ", Marked(verdict.case, "em", "'"), ":"), margin=".6em 0 .2em")]
    if verdict.step:
        blocks.append(Preformatted((*_earlier(verdict.before), *_call(verdict.step)), indent="  "))
    blocks.append(Paragraph((Marked(verdict.name, "code"), " ", verdict.message), indent="  "))
    for label, value in _values(verdict):
        blocks.append(Preformatted(tuple(_indent(f"{label}: ", value)), indent="  "))
    return blocks


def _earlier(steps: Sequence[Step]) -> list[str]:
    """Return the earlier steps, one line of code each."""
    lines = []
    for step in steps:
        given = [*zip(step.names, step.args, strict=False), *step.kwargs.items()]
        values = ", ".join(f"{name}={' '.join(show(value).split())}" for name, value in given)
        done = step.target + (f" with {values}" * bool(values) if step.evaluate else f"({values})")
        lines.append(f"{step.save_as} = {done}" if step.save_as else done)
    left_out = [f"(… {len(lines) - SHOWN_STEPS} steps more)"] if len(lines) > SHOWN_STEPS else []
    return [*left_out, *lines[-SHOWN_STEPS:]]


def _call(step: Step) -> list[str]:
    """Return the call and its arguments, one line each."""
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
    if item.options.get("row") and verdict.code is None:  # the shape is right either way, so show the same one
        right = np.reshape(right, np.shape(verdict.got))
    return [("expected", show(right)), ("came back", show(verdict.got))]


def show(value: Any) -> str:
    """Return a value in a few readable lines: a small array whole, a large one by its shape."""
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
    text = printable(value[: SHOWN_TEXT + 1] if isinstance(value, str) else _beginning(value))
    return text if len(text) <= SHOWN_TEXT else text[:SHOWN_TEXT] + " …"


def _beginning(value: Any) -> str:
    """Return `value` as Python writes it, or somewhat more of its beginning than is shown: all could take minutes."""
    text = ""
    for piece in _pieces(value):
        text += piece
        if len(text) > SHOWN_TEXT:
            break
    return text


def _pieces(value: Any) -> Iterator[str]:
    match value:
        case list() | tuple():
            yield "[" if isinstance(value, list) else "("
            for number_of_item, item in enumerate(value):
                yield ", " * (number_of_item > 0)
                yield from _pieces(item)
            yield "]" if isinstance(value, list) else "," * (len(value) == 1) + ")"
        case dict():
            yield "{"
            for number_of_item, (key, item) in enumerate(value.items()):
                yield ", " * (number_of_item > 0) + f"{key!r}: "
                yield from _pieces(item)
            yield "}"
        case set() | frozenset():
            items = sorted(map(repr, value))
            yield "{" + ", ".join(items) + "}" if items else "set()"
        case np.ndarray() if value.size > SHOWN_TEXT:
            yield f"array of shape {value.shape}"
        case _:
            yield repr(value)


def _indent(label: str, value: str) -> list[str]:
    first, *rest = value.split("\n")
    return [label + first, *(" " * len(label) + line for line in rest)]

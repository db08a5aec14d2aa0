"""Run the steps of a case with a student's code, and keep what happens.

Arguments are copied and results become plain data (:mod:`.codec`): exactly what the grader sees on the other side of
the wall.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, Any

import numpy as np

from coursekit._typing import Array

from .cases import Case, Step
from .codec import Ref, decode, encode
from .lines import Line, count_lines, is_students, source_of
from .shipped import CASE

if TYPE_CHECKING:  # this runs behind the wall, where there are no probes
    from .probes import ProbeCall


@dataclass(frozen=True)
class Failure:
    """An exception from the student's code, as text."""

    kind: str
    message: str
    where: tuple[str, ...] = ()  # "in NAME, line N: CODE", outermost first


@dataclass
class StepOutcome:
    """The outcome of one step.

    `arrays` holds the arrays among the arguments, by position, as they are after the call, and
    `changed` those of them that are not what they were; `calls` the calls of a probe among the
    arguments; `notes` the warnings; `lines` how often each line ran, if the step asks for it and it
    could be counted.
    """

    returned: Any = None
    failure: Failure | None = None
    arrays: dict[int, Any] = field(default_factory=dict)
    changed: dict[int, Any] = field(default_factory=dict)
    calls: list[ProbeCall] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lines: list[Line] | None = None
    seconds: float = 0.0


Runner = Callable[[Case], list[StepOutcome]]


class Session:
    """The student's functions, and the objects that the steps of one case have saved."""

    def __init__(self, functions: Mapping[str, Any]) -> None:
        self.functions = dict(functions)
        self.saved: dict[str, Any] = {}

    def run(self, step: Step) -> StepOutcome:
        """Run `step`.  An exception from the student's code is part of the outcome."""
        outcome = StepOutcome()
        given: list[Any] = []
        started = time.perf_counter()
        with _noting_warnings() as caught:
            try:
                if step.counted:
                    outcome.lines = self._count(step)
                else:
                    given, named = self._arguments(step)
                    result = self._call(step, given, named)
                    outcome.returned = self._data(result)
                    if step.save_as is not None:
                        self.saved[step.save_as] = result
            except (Exception, SystemExit) as error:
                outcome.failure = describe(error)
        outcome.seconds = time.perf_counter() - started
        outcome.notes = sorted({f"{w.category.__name__}: {str(w.message)[:200]}" for w in caught})[:5]
        for position, (before, after) in enumerate(zip(step.args, given, strict=False)):
            if hasattr(before, "calls"):  # a probe
                outcome.calls = after.calls
            elif isinstance(before, np.ndarray):
                outcome.arrays[position] = self._data(after)
        return outcome

    def _count(self, step: Step) -> list[Line] | None:
        """Count the lines of a second call, without what is done only once, and without what both print."""
        with contextlib.redirect_stdout(_Nowhere()) as nowhere, contextlib.redirect_stderr(nowhere):
            self._call(step, *self._arguments(step))
            given, named = self._arguments(step)
            return count_lines(lambda: self._call(step, given, named))

    def _arguments(self, step: Step) -> tuple[list[Any], dict[str, Any]]:
        given = [self._argument(value) for value in step.args]
        return given, {key: self._argument(value) for key, value in step.kwargs.items()}

    def _call(self, step: Step, given: list[Any], named: dict[str, Any]) -> Any:
        if step.evaluate:
            return self._value_of(step.target, dict(zip(step.names, given, strict=True)) | named)
        return self._target(step.target)(*given, **named)

    def _data(self, value: Any) -> Any:
        """Return what an outcome keeps of a value that the student's code made."""
        return plain(value)

    def _argument(self, value: Any) -> Any:
        if hasattr(value, "make"):  # a generator, a probe or shipped code
            return value.make()
        if isinstance(value, Ref):
            return self._saved(value)
        return copy.deepcopy(value)

    def _saved(self, ref: Ref) -> Any:
        kept = self.saved[ref.name]
        if ref.item is None:
            return kept
        if not isinstance(kept, tuple | list) or len(kept) <= ref.item:
            raise TypeError(f"the call before this one has to return at least {ref.item + 1} values")
        return kept[ref.item]

    def _value_of(self, expression: str, arguments: dict[str, Any]) -> Any:
        names = {"np": np, **self.functions, **self.saved, **arguments}
        return eval(_compiled(expression), names)

    def _target(self, dotted: str) -> Any:
        first, *attributes = dotted.split(".")
        found = self.saved[first] if first in self.saved else self.functions[first]
        for name in attributes:
            found = getattr(found, name)
        return found


@functools.lru_cache(maxsize=256)
def _compiled(expression: str) -> CodeType:
    return compile(expression, CASE, "eval")


class _Nowhere(io.TextIOBase):
    """A stream that forgets what is written to it."""

    def write(self, text: str) -> int:
        return len(text)


def run_case(case: Case, functions: Mapping[str, Any]) -> list[StepOutcome]:
    """Run `case`; return the outcomes of its steps, up to the first that raises."""
    session = Session(functions)
    outcomes = []
    for step in case.steps:
        outcome = session.run(step)
        outcome.changed = changed(step, outcome.arrays)
        outcomes.append(outcome)
        if outcome.failure:
            break
    return outcomes


def changed(step: Step, arrays: Mapping[int, Any]) -> dict[int, Any]:
    """Return those of the `arrays`, the arguments of `step` after the call, that are not what they were before.

    Who asks for the step compares, for the student's process could say that all is as it was.
    """
    return {position: after for position, after in arrays.items() if not _same(step.args[position], after)}


@contextlib.contextmanager
def _noting_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Collect warnings, and redirect stderr to stdout: nbgrader gives zero points for output on stderr.

    The notebook's `np.seterr` has no effect: an underflow in `exp` must not raise.
    """
    with (
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stderr(sys.stdout),
        np.errstate(divide="warn", over="warn", invalid="warn", under="ignore"),
    ):
        warnings.simplefilter("always")
        yield caught


def plain(value: Any) -> Any:
    """Return `value` as the data that would cross the wall, with copies of its arrays."""
    tree, arrays = encode(value)
    return decode(tree, [np.array(array) for array in arrays])


def describe(error: BaseException) -> Failure:
    """Return the exception with the student's lines of its traceback, without those of the kit."""
    trace = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in trace if is_students(frame.filename)]
    where = tuple(
        f"in {frame.name}, line {frame.lineno}" + (f": {source}" if source else "")
        for frame in frames[:2] + frames[2:][-4:]
        for source in [source_of(frame.filename, frame.lineno or 0)]
    )
    try:
        message = str(error)[:1000]
    except Exception as second:
        message = f"(its message could not be made: {type(second).__name__})"
    return Failure(type(error).__name__, message, where)


def _same(before: Array, after: Any) -> bool:
    if not isinstance(after, np.ndarray) or (after.shape, after.dtype) != (before.shape, before.dtype):
        return False
    return bool(np.array_equal(before, after, equal_nan=before.dtype.kind in "fc"))

"""What the reference and the known mistakes give in a case."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from coursekit.checks.cases import Case, Exercise, Expected, Step
from coursekit.checks.codec import Opaque
from coursekit.checks.compare import COMPARISONS, agrees
from coursekit.checks.judge import observed
from coursekit.checks.run import StepOutcome, plain, run_case

from .errors import Refused

Results = dict[str, Any]

FROM_REFERENCE = Opaque("FROM_REFERENCE")
"""Stands for the result that the exercise's reference gives."""


@dataclass(frozen=True)
class Mistake:
    """A mistake that students are known to make.

    Attributes
    ----------
    code : str
        A short name to count by: ``"regularizer-missing"``; another form of the same
        mistake has a slash and a word more.
    message : str
        What to tell the student: one sentence that says what is wrong and hints at why.
    gives : callable
        ``gives(right, args)``: the results that the mistake changes, by name, from the
        right results and the arguments (both by name).
    runs : dict
        In place of `gives`: functions or classes, by name, with which the steps of a case
        give what this mistake gives.
    """

    code: str
    message: str
    gives: Callable[[Results, Results], Results] | None = None
    runs: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if (self.gives is None) == (not self.runs):
            raise Refused(f"the mistake {self.code!r} needs either `gives` or `runs`")


@dataclass(frozen=True)
class OfObjects:
    """A reference that is a function of an object of the student's.

    Where it stands in, it sees the `attribute` of this object and of all that it leads to, and nothing else of them.
    """

    function: Callable[[Any], Any]
    attribute: str

    def __call__(self, output: Any) -> Any:
        return self.function(output)


class KnownMistakes(Mapping[str, Any]):
    """What the known mistakes give in place of one result, by their codes.

    Most submissions are right, so this is computed only when it is first read.
    """

    def __init__(self, of_case: _MistakesOfCase, step: int, item: Expected) -> None:
        self.of_case, self.step, self.item = of_case, step, item

    @functools.cached_property
    def values_by_code(self) -> Mapping[str, Any]:
        return {**self.item.mistakes, **self.of_case.values[self.step].get(self.item.name, {})}

    def __getitem__(self, code: str) -> Any:
        return self.values_by_code[code]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_code)

    def __len__(self) -> int:
        return len(self.values_by_code)


@contextlib.contextmanager
def running_references(where: str) -> Iterator[None]:
    """Run functions of a `checks.py` without their output; what they raise is refused as the fault of `where`."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"{where}: its cases cannot be made: {type(error).__name__}: {error}") from error


def complete(made: Case, reference: Mapping[str, Any], mistakes: Iterable[Mistake], where: str) -> Case:
    """Return `made` with the results that it leaves to the reference, and with those of the known `mistakes`.

    `where` names the exercise, for messages.
    """
    if any(item.value is FROM_REFERENCE for step in made.steps for item in step.expected):
        made = _answered(made, reference)
    of_case = _MistakesOfCase(made, reference, tuple(mistakes), where)
    return _mapped(
        made,
        lambda number, item: replace(item, mistakes=KnownMistakes(of_case, number, item)) if _compared(item) else item,
    )


def with_all_mistakes(exercise: Exercise) -> Exercise:
    """Return `exercise` with the values of all known mistakes computed."""
    return _with(exercise, dict)


def with_read_mistakes(exercise: Exercise) -> Exercise:
    """Return `exercise` with those values of known mistakes that have been read, and without the others."""

    def read(mistakes: Mapping[str, Any]) -> Mapping[str, Any]:
        unread = isinstance(mistakes, KnownMistakes) and "values_by_code" not in vars(mistakes)
        return {} if unread else dict(mistakes)

    return _with(exercise, read)


def _with(exercise: Exercise, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Exercise:
    def changed(number: int, item: Expected) -> Expected:
        return replace(item, mistakes=change(item.mistakes))

    return replace(exercise, cases=tuple(_mapped(made, changed) for made in exercise.cases))


def _mapped(made: Case, change: Callable[[int, Expected], Expected]) -> Case:
    """Apply `change` to what each step expects; it takes the step's number and what is expected."""
    steps = (
        replace(step, expected=tuple(change(number, item) for item in step.expected))
        for number, step in enumerate(made.steps)
    )
    return Case(made.title, tuple(steps))


def noticed(exercise: Exercise) -> set[str]:
    """Return the codes of those known mistakes that the cases of an exercise, which was just made, reject."""
    expected = [item for made in exercise.cases for step in made.steps for item in step.expected]
    # The message about a mistake that a comparison finds by itself: a known mistake that gives nothing.
    found = {str(item.options.get("code", "unstable")) for item in expected if item.options.get("large")}
    for made in exercise.cases:
        known = (item.mistakes for step in made.steps for item in step.expected)
        of_case = next((one.of_case for one in known if isinstance(one, KnownMistakes)), None)
        for mistake in of_case.mistakes if of_case else ():
            if mistake.code not in found and of_case and of_case.rejects(mistake):
                found.add(mistake.code)
    return found


# -- the reference ------------------------------------------------------------------------


def _answered(made: Case, reference: Mapping[str, Any]) -> Case:
    outcomes = run_case(made, reference)
    if failure := outcomes[-1].failure:
        step = made.steps[len(outcomes) - 1]
        raise Refused(
            f"the reference cannot do {step.target} in the case {made.title!r}: {failure.kind}: {failure.message}"
        )

    def answered(number: int, item: Expected) -> Expected:
        if item.value is not FROM_REFERENCE:
            return item
        value, problem = observed(item, outcomes[number], made.steps[number])
        if problem or isinstance(value, Opaque):
            what = problem.message if problem else f"is an object of type {value.kind}, which is no data"
            raise Refused(f"of the reference, in the case {made.title!r}, {item.name} {what}")
        return replace(item, value=value)

    return _mapped(made, answered)


# -- the known mistakes -------------------------------------------------------------------

Change = tuple[int, str, Any]  # the step's number, the result's name, what the mistake gives there


class _MistakesOfCase:
    """What each known mistake changes in one case."""

    def __init__(self, made: Case, reference: Mapping[str, Any], mistakes: tuple[Mistake, ...], where: str) -> None:
        self.made, self.reference, self.mistakes, self.where = made, reference, mistakes, where

    @functools.cached_property
    def values(self) -> list[dict[str, Results]]:
        """For each step, by the name of a result and the code of a mistake."""
        found: list[dict[str, Results]] = [{name: {} for name in _by_name(step)} for step in self.made.steps]
        # A mistake may well overflow: that is the mistake.
        with running_references(self.where), np.errstate(all="ignore"):
            for mistake in self.mistakes:
                for number, name, value in self._changes(mistake):
                    found[number][name][mistake.code] = value
        return found

    def rejects(self, mistake: Mistake) -> bool:
        """Return whether some comparison fails for what `mistake` gives, or it raises."""
        with running_references(self.where), np.errstate(all="ignore"):
            if mistake.runs and any(one.failure for one in run_case(self.made, {**self.reference, **mistake.runs})):
                return True
            return any(
                _rejected(self.made.steps[number], name, value) for number, name, value in self._changes(mistake)
            )

    def _changes(self, mistake: Mistake) -> Iterable[Change]:
        return _formula(mistake, self.made) if mistake.gives else _replayed(mistake, self.made, self.reference)


def _rejected(step: Step, name: str, value: Any) -> bool:
    item = _by_name(step)[name]
    try:
        return not COMPARISONS[item.compare](plain(value), item, StepOutcome(returned=value), ()).ok
    except Exception:  # it needs more of the call than this result
        return True


def _formula(mistake: Mistake, made: Case) -> Iterable[Change]:
    assert mistake.gives is not None
    for number, step in enumerate(made.steps):
        items = _by_name(step)
        if not items:
            continue
        right: Results = {}
        for name, item in items.items():
            top, _, inner = name.partition("[")
            if inner:
                right.setdefault(top, {})[str(item.at[-1])] = item.value
            else:
                right[name] = item.value
        changed = mistake.gives(right, dict(zip(step.names, step.args, strict=False)))
        for name, item in items.items():
            top, _, inner = name.partition("[")
            there = changed if not inner else changed.get(top, {})
            key = str(item.at[-1]) if inner else name
            if key in there and not agrees(there[key], item.value):  # this step may not return all of them
                yield number, name, there[key]


def _replayed(mistake: Mistake, made: Case, reference: Mapping[str, Any]) -> Iterable[Change]:
    outcomes = run_case(made, {**reference, **mistake.runs})
    for number, (step, outcome) in enumerate(zip(made.steps, outcomes, strict=False)):
        if outcome.failure:
            return
        for name, item in _by_name(step).items():
            value, problem = observed(item, outcome, step)
            if not problem and not agrees(value, item.value):
                yield number, name, value


def _by_name(step: Step) -> dict[str, Expected]:
    return {item.name: item for item in step.expected if _compared(item)}


def _compared(item: Expected) -> bool:
    return item.where == "returned" and item.compare != "anything"

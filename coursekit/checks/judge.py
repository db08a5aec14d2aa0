"""From the outcomes of cases to a report: which expectations hold, and the points for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .cases import Case, Exercise, Expected, Step
from .compare import COMPARISONS, Comparison
from .findings import findings_of
from .loops import ENOUGH, experiment, first_loop
from .report import Part, Report, Verdict
from .run import Failure, Runner, StepOutcome


def examine(exercise: Exercise, run: Runner) -> Report:
    """Check one exercise.

    Parameters
    ----------
    exercise : Exercise
        The cases with their expected results.
    run : callable
        Runs a case, in this process or behind the wall.
    """
    verdicts: list[Verdict] = []
    notes: list[str] = []
    worked: list[Case] = []
    seconds = 0.0
    for case in exercise.cases:
        outcomes = run(case)
        seconds += sum(outcome.seconds for outcome in outcomes)
        notes.extend(_notes(case, outcomes))
        verdicts.extend(_judge_case(case, outcomes))
        failure = outcomes[-1].failure
        if failure and failure.kind == "NotImplementedError" and not any(verdict.ok for verdict in verdicts):
            return Report.unanswered(exercise, "not written", f"{exercise.name} is not written yet.")
        if failure and failure.kind == "Timeout":
            break  # every further case would take as long
        if not failure:
            worked.append(case)
    verdicts.extend(_vectorised(exercise, run, worked))
    parts = _parts(exercise, verdicts)
    with np.errstate(all="ignore"):
        findings = tuple(findings_of(exercise, verdicts))
    return Report(
        exercise=exercise.name,
        status=_status(parts, verdicts),
        parts=tuple(parts),
        findings=findings,
        verdicts=tuple(verdicts),
        notes=tuple(dict.fromkeys(notes)),
        seconds=seconds,
    )


def inherited(own: Report, repeated: Report | None, wrong: Sequence[str]) -> Report:
    """Return the better report: on the student's `own` code, or with right functions for the exercises in `wrong`.

    The second is None where that could not be found out.
    """
    names = " and ".join(f"`{name}`" for name in wrong)
    if repeated and repeated.score > own.score:
        note = f"this was checked with a right {names}, because yours does not pass its own check"
        return replace(repeated, notes=(*repeated.notes, note))
    return replace(own, notes=(*own.notes, mend_first(wrong)))


def mend_first(wrong: Sequence[str]) -> str:
    """Return the note on an exercise that may fail because of mistakes in earlier ones."""
    names = " and ".join(f"`{name}`" for name in wrong)
    that, it = ("that", "it does") if len(wrong) == 1 else ("those", "they do")
    own = "its own check" if len(wrong) == 1 else "their own checks"
    return f"if this calls your {names}, mend {that} first: {it} not pass {own}"


def _notes(case: Case, outcomes: list[StepOutcome]) -> Iterator[str]:
    """Yield notes that cost no points: warnings, and arguments that were changed."""
    for outcome, step in zip(outcomes, case.steps, strict=False):
        yield from outcome.notes
        for position in sorted(set(outcome.changed) - {_position(item) for item in step.expected}):
            yield f"argument number {position + 1} is changed by the call (it costs nothing here)"


def _judge_case(case: Case, outcomes: list[StepOutcome]) -> Iterator[Verdict]:
    for number, step in enumerate(case.steps):
        outcome = outcomes[number] if number < len(outcomes) else None
        failure = outcomes[min(number, len(outcomes) - 1)].failure  # an exception ends the case
        for item in step.expected:
            got: Any = None
            if outcome is None:
                comparison = Comparison(False, "was not reached", "error")
            elif failure:
                comparison = _raised(failure)
            else:
                got, problem = observed(item, outcome, step)
                with np.errstate(all="ignore"):  # what overflows here is only wrong
                    comparison = problem or COMPARISONS[item.compare](got, item, outcome, outcomes[:number])
            yield Verdict(
                case=case.title,
                name=item.name,
                part=item.part,
                ok=comparison.ok,
                message=comparison.message,
                code=comparison.code,
                error=comparison.error,
                step=step,
                before=case.steps[:number],
                expected=item,
                got=got,
                failure=failure,
            )


def observed(item: Expected, outcome: StepOutcome, step: Step) -> tuple[Any, Comparison | None]:
    """Return the result that `item` is about, and the failed comparison if there is none."""
    if item.where == "step":
        return outcome, None
    if item.where != "returned":
        return outcome.changed.get(_position(item)), None
    value = outcome.returned
    for depth, key in enumerate(item.at):
        beside = [one for one in step.expected if one.where == "returned" and one.at[:depth] == item.at[:depth]]
        if isinstance(key, str):
            problem = _no_dictionary(value, [str(one.at[depth]) for one in beside], key)
        else:
            problem = _not_so_many(value, list(dict.fromkeys(one.name.partition("[")[0] for one in beside)))
        if problem:
            return None, problem
        value = value[key]
    return value, None


def _not_so_many(values: Any, names: list[str]) -> Comparison | None:
    """Return the failed comparison if there are not as many `values` as `names`."""
    asked = f"return ({', '.join(names)})"
    if values is None:
        return Comparison(False, f"is missing: {asked}", "returned-none")
    if isinstance(values, tuple | list) and len(values) == len(names):
        return None
    count = len(values) if isinstance(values, tuple | list) else 1
    message = f"is missing: the call returned {count} value{'s' * (count != 1)}; {asked}"
    return Comparison(False, message, "wrong-number-of-values")


def _no_dictionary(value: Any, keys: list[str], key: str) -> Comparison | None:
    """Return the failed comparison if `value` is not a dictionary with `key`."""
    if value is None:
        return Comparison(False, f"is missing: return a dictionary with the keys {', '.join(keys)}", "returned-none")
    if not isinstance(value, dict):
        return Comparison(False, f"is missing: expected a dictionary with the keys {', '.join(keys)}", "no-dictionary")
    if key not in value:
        there = ", ".join(map(str, value)) or "none"
        return Comparison(False, f"is missing: the dictionary has no key {key!r}; its keys are: {there:.200}", "no-key")
    return None


def _position(item: Expected) -> int:
    kind, _, position = item.where.partition(" ")
    return int(position) if kind == "argument" else -1


def _raised(failure: Failure) -> Comparison:
    if failure.kind == "Timeout":
        return Comparison(False, f"is missing: {failure.message}", "timeout")
    return Comparison(False, f"is missing: {failure.kind}: {failure.message}", "error")


def _vectorised(exercise: Exercise, run: Runner, worked: Sequence[Case]) -> Iterator[Verdict]:
    """Judge whether a call loops over the examples, in the smallest case that `worked` with `ENOUGH` of them."""
    found = [one for case in worked if (one := experiment(case, exercise.no_loop_over))]
    if not found:
        return
    best = max(found, key=lambda one: (min(one.rows, ENOUGH), -one.rows))
    few, many = run(best.few)[-1], run(best.many)[-1]
    loop = None
    if failure := few.failure or many.failure:
        comparison = _raised(failure)
    elif few.lines is None or many.lines is None:
        comparison = Comparison(False, "cannot be counted: leave Python's trace function (sys.settrace) as it is")
    elif loop := first_loop(few.lines, many.lines, best.added):
        comparison = Comparison(False, f"loops over the examples: {loop}", "loops-over-examples")
    else:
        comparison = Comparison(True)
    yield Verdict(
        case="no Python loop over the examples",
        name=exercise.functions[0],
        part="vectorised",
        ok=comparison.ok,
        message=comparison.message,
        code=comparison.code,
        failure=failure,
    )


def _parts(exercise: Exercise, verdicts: list[Verdict]) -> list[Part]:
    """Return the parts of the points; a part is earned if all its expectations were reached and hold."""
    asked = Counter(item.part for case in exercise.cases for step in case.steps for item in step.expected)
    parts = []
    for name, points in exercise.parts.items():
        of_part = [verdict for verdict in verdicts if verdict.part == name]
        right = bool(of_part) and len(of_part) >= asked[name] and all(verdict.ok for verdict in of_part)
        parts.append(Part(name, points if right else 0.0, points))
    # Code that computes nothing right earns no points for having no loop, or for leaving its arguments unchanged.
    conduct = {"vectorised"} | {part for part in exercise.parts if _asks_only_unchanged(part, verdicts)}
    if not any(part.earned for part in parts if part.name not in conduct):
        return [Part(part.name, 0.0, part.points) for part in parts]
    return parts


def _asks_only_unchanged(part: str, verdicts: list[Verdict]) -> bool:
    """Return whether `part` only asks that arguments stay unchanged."""
    of_part = [verdict.expected for verdict in verdicts if verdict.part == part]
    return bool(of_part) and all(item is not None and item.compare == "unchanged" for item in of_part)


def _status(parts: list[Part], verdicts: list[Verdict]) -> str:
    if all(verdict.ok for verdict in verdicts):
        return "passed"
    codes = {verdict.code for verdict in verdicts if not verdict.ok}
    if "timeout" in codes:
        return "timeout"
    if any(part.earned for part in parts):
        return "partly"
    return "error" if codes == {"error"} else "failed"

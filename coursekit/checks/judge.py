"""From outcomes to a report: which expectations hold, what they are worth, and what explains a failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from coursekit.reporting import Finding

from .cases import Case, Exercise, Expected, Step
from .compare import COMPARISONS, Comparison, agrees
from .loops import experiment, first_loop
from .report import Part, Report, Verdict
from .run import Failure, Runner, StepOutcome

# Mistakes that show in an array of any exercise, with what they make of it.
ANYWHERE: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "sign": ("The sign is flipped.", np.negative),
    "transposed": (
        "Rows and columns are exchanged: the result is transposed.",
        lambda right: right.T if right.ndim == 2 and right.shape[0] == right.shape[1] else None,
    ),
    "scale/double": ("The result is twice what it should be.", lambda right: 2 * right),
    "scale/half": ("The result is half of what it should be.", lambda right: right / 2),
    "gradient-zero": ("The result is all zeros: nothing was added to it.", np.zeros_like),
}

# What any exercise may meet.  An exercise's own known mistakes come on top of these.
MEANINGS = {
    "returned-none": "The function returns None: is there a `return` at its end?",
    "wrong-number-of-values": "The function does not return the number of values that was asked for.",
    "not-a-number": "Something that is not a number came back.",
    "wrong-shape": "A result has the wrong shape.",
    "transposed": "A result has the right size with rows and columns exchanged: it is transposed.",
    "not-finite": "There is a nan or inf in a result.",
    "unstable": "Large scores overflow: the formula needs a shift before the exponential.",
    "input-modified": "An argument was changed and not put back.",
    "loops-over-examples": "There is a Python loop over the examples; NumPy should do all of them at once.",
    "wrong-initialisation": "The first weights are not drawn as asked for.",
    "wrong-batch-size": "A minibatch does not have the size asked for.",
    "label-shift": "In a minibatch the labels do not belong to the examples.",
    "reg-not-handed-on": "The regularisation strength `reg` is not handed on to the loss function.",
    "sampled-once": "The minibatch is drawn once, outside the loop, instead of in every iteration.",
    "sign": "The update adds the gradient: it climbs the loss where it should descend.",
    "no-update": "The weights are not updated.",
    "last-update-missing": "The returned weights are those from before the last update.",
    "lr-ignored": "The step is dW itself: the learning rate is not used.",
    "wrong-length": "The loss function is not called once in each of the iterations asked for.",
    "wrong-first-loss": "The first loss, before anything was learned, is not what it has to be.",
    "no-learning": "The loss does not fall as it should: the training does not learn.",
    "history-length": "The history does not hold one loss for each iteration.",
    "swapped": "Two results are returned in the wrong order.",
    "rng-ignored": "Random numbers are not drawn from the `rng` that was given.",
    "loss-function-not-called": "The loss function that was given is never called.",
}


def examine(exercise: Exercise, run: Runner) -> Report:
    """Check one exercise.

    Parameters
    ----------
    exercise : Exercise
        The cases with what they should give.
    run : callable
        Runs a case: here in this process, or behind the wall.
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
            break  # each further case would wait as long again
        if not failure:
            worked.append(case)
    verdicts.extend(_vectorised(exercise, run, worked))
    parts = _parts(exercise, verdicts)
    return Report(
        exercise=exercise.name,
        status=_status(parts, verdicts),
        parts=tuple(parts),
        findings=tuple(_findings(exercise, verdicts)),
        verdicts=tuple(verdicts),
        notes=tuple(dict.fromkeys(notes)),
        seconds=seconds,
    )


def inherited(own: Report, repeated: Report, wrong: Sequence[str]) -> Report:
    """The better of two reports: on the student's `own` code, and with right functions for the exercises in `wrong`."""
    names = " and ".join(f"`{name}`" for name in wrong)
    if repeated.score > own.score:
        note = f"this was checked with a right {names}, because yours does not pass its own check"
        return replace(repeated, notes=(*repeated.notes, note))
    return replace(own, notes=(*own.notes, mend_first(wrong)))


def mend_first(wrong: Sequence[str]) -> str:
    """What to tell somebody whose exercise may fail for the mistakes in earlier ones."""
    names = " and ".join(f"`{name}`" for name in wrong)
    that, it = ("that", "it does") if len(wrong) == 1 else ("those", "they do")
    own = "its own check" if len(wrong) == 1 else "their own checks"
    return f"if this calls your {names}, mend {that} first: {it} not pass {own}"


def _notes(case: Case, outcomes: list[StepOutcome]) -> Iterator[str]:
    """Yield what is worth knowing of a case and costs nothing: warnings, and arguments that were changed."""
    for outcome, step in zip(outcomes, case.steps, strict=False):
        yield from outcome.notes
        for position in sorted(set(outcome.changed) - {_position(item) for item in step.expected}):
            yield f"argument number {position + 1} is changed by the call (it costs nothing here)"


def _judge_case(case: Case, outcomes: list[StepOutcome]) -> Iterator[Verdict]:
    for number, step in enumerate(case.steps):
        outcome = outcomes[number] if number < len(outcomes) else None
        failure = outcomes[min(number, len(outcomes) - 1)].failure  # an earlier step that raised ends the case
        for item in step.expected:
            got: Any = None
            if outcome is None:
                comparison = Comparison(False, "was not reached", "error")
            elif failure:
                comparison = _raised(failure)
            else:
                got, problem = observed(item, outcome, step)
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
    """What `item` looks at, and the complaint if it cannot be found."""
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
    """The complaint if `values` are not as many as `names`."""
    asked = f"return ({', '.join(names)})"
    if values is None:
        return Comparison(False, f"is missing: {asked}", "returned-none")
    if isinstance(values, tuple | list) and len(values) == len(names):
        return None
    count = len(values) if isinstance(values, tuple | list) else 1
    message = f"is missing: the call returned {count} value{'s' * (count != 1)}; {asked}"
    return Comparison(False, message, "wrong-number-of-values")


def _no_dictionary(value: Any, keys: list[str], key: str) -> Comparison | None:
    """The complaint if `value` is no dictionary that has `key`."""
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
    """Judge whether a call loops over the examples, in the one of the cases that `worked` with the most of them."""
    found = [one for case in worked if (one := experiment(case, exercise.no_loop_over))]
    if not found:
        return
    most = max(found, key=lambda one: one.rows)
    few, many = run(most.few)[-1], run(most.many)[-1]
    loop = None
    if failure := few.failure or many.failure:
        comparison = _raised(failure)
    elif few.lines is None or many.lines is None:
        comparison = Comparison(False, "cannot be counted: leave Python's trace function (sys.settrace) as it is")
    elif loop := first_loop(few.lines, many.lines, most.added):
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
    """Return the parts of the points; a part is earned if all that is asked for it was reached and is right."""
    asked = Counter(item.part for case in exercise.cases for step in case.steps for item in step.expected)
    parts = []
    for name, points in exercise.parts.items():
        of_part = [verdict for verdict in verdicts if verdict.part == name]
        right = bool(of_part) and len(of_part) >= asked[name] and all(verdict.ok for verdict in of_part)
        parts.append(Part(name, points if right else 0.0, points))
    # Who computes nothing right has not earned the points for using no loop, or for leaving the arguments alone.
    manners = {"vectorised"} | {part for part in exercise.parts if _is_of_manners(part, verdicts)}
    if not any(part.earned for part in parts if part.name not in manners):
        return [Part(part.name, 0.0, part.points) for part in parts]
    return parts


def _is_of_manners(part: str, verdicts: list[Verdict]) -> bool:
    """Whether all that `part` asks is that arguments stay as they are."""
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


def _findings(exercise: Exercise, verdicts: list[Verdict]) -> Iterator[Finding]:
    """Yield what explains the failures: what was raised; else known mistakes, then what comparisons proved.

    A known mistake is named only if every value that came back under that name is what
    the mistake gives, the right ones included: one lucky agreement proves nothing.
    """
    failing = [verdict for verdict in verdicts if not verdict.ok]
    failure = next((verdict.failure for verdict in failing if verdict.failure), None)
    if failure:
        yield _exception(failure)
        return
    names = list(dict.fromkeys(verdict.name for verdict in failing if verdict.expected))
    looked_at = {name: [v for v in verdicts if v.name == name and v.expected] for name in names}
    stories = _stories(exercise, looked_at)
    messages = {code: _meaning(exercise, code) for story in stories.values() for code in story}
    for code, text in _proved(failing, stories):
        messages.setdefault(code, _meaning(exercise, code) or text)
    for code, message in messages.items():
        yield Finding(code.partition("/")[0], message)


def _exception(failure: Failure) -> Finding:
    """Return the finding on an exception, or on a call that took too long."""
    if failure.kind == "Timeout":
        return Finding("timeout", failure.message, where=failure.where)
    return Finding("error", f"{failure.kind}: {failure.message}", where=failure.where)


def _proved(failing: list[Verdict], stories: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    """Yield the code and a sentence of what comparisons proved, where no story says it.

    Of each name the first counts, and of each part of the points only the case where it began, for one cause can
    show in many ways.
    """
    told: set[str] = set()
    began: dict[str, str] = {}
    for verdict in failing:
        story = stories.get(verdict.name)
        if not verdict.code or verdict.name in told:
            continue
        if story and (_fits(verdict, story) or verdict.code == "not-finite"):
            continue
        told.add(verdict.name)
        if began.setdefault(verdict.part, verdict.case) == verdict.case:
            yield verdict.code, f"{verdict.name} {verdict.message}"


def _meaning(exercise: Exercise, code: str) -> str:
    return exercise.mistakes.get(code) or (ANYWHERE[code][0] if code in ANYWHERE else MEANINGS.get(code, ""))


def _stories(exercise: Exercise, looked_at: dict[str, list[Verdict]]) -> dict[str, tuple[str, ...]]:
    """For each name the mistakes that explain it, or none; one for all, if it can be, is the better story.

    Two mistakes at once are thought of only where none alone explains a name.
    """
    codes = [*exercise.mistakes, *(code for code in ANYWHERE if code not in exercise.mistakes)]
    stories: dict[str, tuple[str, ...]] = {}
    for candidates in ([(code,) for code in codes], list(combinations(exercise.mistakes, 2))):
        left = [name for name in looked_at if name not in stories]
        explained = {name: [story for story in candidates if _explains(story, looked_at[name])] for name in left}
        common = next((story for story in candidates if left and all(story in explained[name] for name in left)), None)
        stories |= {name: common or told[0] for name, told in explained.items() if told}
    return {name: stories.get(name, ()) for name in looked_at}


def _explains(story: tuple[str, ...], verdicts: list[Verdict]) -> bool:
    """Whether every value is what the mistakes of `story` give together, and some wrong one is the doing of each.

    A value in which the comparison itself has proved something (an overflow, a shape) may
    disagree, for it has a story of its own; but such values must not be the most, and the
    mistake must then be seen in another value than one of that kind.
    """
    others = 0
    its_doing = []
    for verdict in verdicts:
        if _fits(verdict, story):
            if not verdict.ok:
                its_doing.append(verdict)
        elif verdict.code:
            others += 1
        else:
            return False
    if not all(any(_gives(verdict, code) is not None for verdict in its_doing) for code in story):
        return False
    if not others:
        return bool(its_doing)
    return 2 * others < len(verdicts) and not all(verdict.code for verdict in its_doing)


def _fits(verdict: Verdict, story: tuple[str, ...]) -> bool:
    assert verdict.expected is not None
    row = bool(verdict.expected.options.get("row"))
    values = [value for value in (_gives(verdict, code) for code in story) if value is not None]
    if not values:
        return verdict.ok  # a mistake that says nothing of this value leaves it right
    if len(values) == 1:
        return agrees(verdict.got, values[0], row=row)
    right = verdict.expected.value  # two mistakes at once: what each adds to the right value
    if verdict.expected.compare != "close" or any(np.shape(value) != np.shape(right) for value in values):
        return False
    with np.errstate(all="ignore"):
        together = sum((np.asarray(value) - right for value in values), np.asarray(right))
    return bool(np.isfinite(together).all()) and agrees(verdict.got, together, row=row)


def _gives(verdict: Verdict, code: str) -> Any:
    """What the mistake `code` gives in place of this value, if it changes it."""
    assert verdict.expected is not None
    if code in verdict.expected.mistakes:
        return verdict.expected.mistakes[code]
    right = verdict.expected.value
    if code not in ANYWHERE or verdict.expected.where != "returned" or verdict.expected.compare != "close":
        return None
    if not isinstance(right, np.ndarray) or right.dtype.kind != "f" or right.size < 3:
        return None  # of fewer numbers it may be chance
    value = ANYWHERE[code][1](right)
    return None if value is None or agrees(value, right) else value

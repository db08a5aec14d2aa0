"""What explains the failures of an exercise: what was raised, known mistakes, and what comparisons proved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import numpy as np

from coursekit.reporting import Finding

from .cases import Exercise
from .compare import agrees
from .report import Verdict
from .run import Failure

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


def findings_of(exercise: Exercise, verdicts: list[Verdict]) -> Iterator[Finding]:
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

"""Findings on a failed exercise: exceptions, known mistakes, and what comparisons prove."""

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
from .values import is_numeric

# Mistakes that are possible in any array: the message, and the wrong result.
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

# Messages for codes that any exercise may have, besides those of its own known mistakes.
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
    """Yield the findings: an exception, or else known mistakes and then what comparisons prove.

    A known mistake is named only if every value under a name agrees with it, also where the mistake changes nothing:
    one agreement proves nothing.
    """
    failing = [verdict for verdict in verdicts if not verdict.ok]
    failure = next((verdict.failure for verdict in failing if verdict.failure), None)
    if failure:
        yield _exception(failure)
        return
    names = list(dict.fromkeys(verdict.name for verdict in failing if verdict.expected))
    looked_at = {name: [v for v in verdicts if v.name == name and v.expected] for name in names}
    known = _Known()
    explanations = _explanations(exercise, looked_at, known)
    messages = {code: _meaning(exercise, code) for explanation in explanations.values() for code in explanation}
    for code, text in _proved(failing, explanations, known):
        messages.setdefault(code, _meaning(exercise, code) or text)
    for code, message in messages.items():
        yield Finding(code.partition("/")[0], message)


def _exception(failure: Failure) -> Finding:
    """Return the finding on an exception or a timeout."""
    if failure.kind == "Timeout":
        return Finding("timeout", failure.message, where=failure.where)
    return Finding("error", f"{failure.kind}: {failure.message}", where=failure.where)


def _proved(
    failing: list[Verdict], explanations: dict[str, tuple[str, ...]], known: _Known
) -> Iterator[tuple[str, str]]:
    """Yield code and message of each mistake that a comparison proves and no explanation covers.

    Only the first under each name counts, and for each part of the points only its first failing case, since one cause
    can show in many ways.
    """
    named: set[str] = set()
    began: dict[str, str] = {}
    for verdict in failing:
        explanation = explanations.get(verdict.name)
        if not verdict.code or verdict.name in named:
            continue
        if explanation and (known.fit(verdict, explanation) or verdict.code == "not-finite"):
            continue
        named.add(verdict.name)
        if began.setdefault(verdict.part, verdict.case) == verdict.case:
            yield verdict.code, f"{verdict.name} {verdict.message}"


def _meaning(exercise: Exercise, code: str) -> str:
    return exercise.mistakes.get(code) or (ANYWHERE[code][0] if code in ANYWHERE else MEANINGS.get(code, ""))


def _explanations(exercise: Exercise, looked_at: dict[str, list[Verdict]], known: _Known) -> dict[str, tuple[str, ...]]:
    """Return for each name the mistakes that explain its failures, if possible the same ones for all names.

    Two mistakes at once are tried only where no single one explains a name.
    """
    codes = [*exercise.mistakes, *(code for code in ANYWHERE if code not in exercise.mistakes)]
    explanations: dict[str, tuple[str, ...]] = {}
    for candidates in ([(code,) for code in codes], list(combinations(exercise.mistakes, 2))):
        left = [name for name in looked_at if name not in explanations]
        fitting = {name: [those for those in candidates if _explain(those, looked_at[name], known)] for name in left}
        common = next((mistakes for mistakes in candidates if left and all(mistakes in fitting[n] for n in left)), None)
        explanations |= {name: common or fits[0] for name, fits in fitting.items() if fits}
    return {name: explanations.get(name, ()) for name in looked_at}


def _explain(mistakes: tuple[str, ...], verdicts: list[Verdict], known: _Known) -> bool:
    """Return whether the mistakes together give every value, and each of them changes a wrong one.

    A value with a mistake that its comparison proves (an overflow, a shape) may disagree; but less than half of the
    values may be of this kind, and the mistakes must then change a value of another kind.
    """
    others = 0
    changed = []
    for verdict in verdicts:
        if known.fit(verdict, mistakes):
            if not verdict.ok:
                changed.append(verdict)
        elif verdict.code:
            others += 1
        else:
            return False
    if not all(any(known.gives(verdict, code) is not None for verdict in changed) for code in mistakes):
        return False
    if not others:
        return bool(changed)
    return 2 * others < len(verdicts) and not all(verdict.code for verdict in changed)


class _Known:
    """What mistakes give for the values under check.  Every pair of mistakes asks for it, so it is computed once."""

    def __init__(self) -> None:
        self._given: dict[tuple[int, str], Any] = {}
        self._fitting: dict[tuple[int, str], bool] = {}

    def gives(self, verdict: Verdict, code: str) -> Any:
        """Return the value that the mistake `code` gives, or None if it does not change this value."""
        key = id(verdict), code
        if key not in self._given:
            self._given[key] = _gives(verdict, code)
        return self._given[key]

    def fit(self, verdict: Verdict, mistakes: tuple[str, ...]) -> bool:
        """Return whether the mistakes together give the value that came back."""
        changing = [code for code in mistakes if self.gives(verdict, code) is not None]
        if not changing:
            return verdict.ok  # a mistake without a result for this value does not change it
        if len(changing) == 1:
            return self._fits(verdict, changing[0])
        return _fit_together(verdict, [self.gives(verdict, code) for code in changing])

    def _fits(self, verdict: Verdict, code: str) -> bool:
        key = id(verdict), code
        if key not in self._fitting:
            self._fitting[key] = _agrees(verdict, self.gives(verdict, code))
        return self._fitting[key]


def _fit_together(verdict: Verdict, values: list[Any]) -> bool:
    """Return whether what came back is the right value with the changes of several mistakes added to it."""
    assert verdict.expected is not None
    right = verdict.expected.value
    if (
        verdict.expected.compare != "close"
        or not is_numeric(right)
        or any(np.shape(value) != np.shape(right) for value in values)
    ):
        return False
    with np.errstate(all="ignore"):
        together = sum((np.asarray(value) - right for value in values), np.asarray(right))
    return bool(np.isfinite(together).all()) and _agrees(verdict, together)


def _agrees(verdict: Verdict, value: Any) -> bool:
    assert verdict.expected is not None
    return agrees(verdict.got, value, row=bool(verdict.expected.options.get("row")))


def _gives(verdict: Verdict, code: str) -> Any:
    """Return the value that the mistake `code` gives, or None if it does not change this value."""
    assert verdict.expected is not None
    if code in verdict.expected.mistakes:
        return verdict.expected.mistakes[code]
    right = verdict.expected.value
    if code not in ANYWHERE or verdict.expected.where != "returned" or verdict.expected.compare != "close":
        return None
    if not isinstance(right, np.ndarray) or right.dtype.kind != "f" or right.size < 3:
        return None  # fewer numbers may agree by chance
    value = ANYWHERE[code][1](right)
    return None if value is None or agrees(value, right) else value

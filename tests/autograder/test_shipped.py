"""Nothing that is shipped as text with a released assignment answers an exercise, of this or of another assignment.

Each shipped function is called with the exercises' own arguments, in the ways of `kit_answers.py`.  What puts functions
into an object that it is given, as a loss into a network, puts them into an empty one, and they are tried as well.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kit_answers import CASES, Asked, TooLong, answers, calls_of, given, size_of, ways

from coursekit.checks import probes  # noqa: F401  # so that cases with probes can be read
from coursekit.checks.cases import Exercise, load
from coursekit.checks.shipped import ShippedCode

# The end of a call may fall into a callback, where Python tells of it and goes on.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

REPOSITORY = Path(__file__).resolve().parents[2]
SLUGS = sorted(path.parent.name for path in (REPOSITORY / "assignments").glob("*/cases.json"))
EXERCISES = {slug: load(REPOSITORY / "assignments" / slug)[1] for slug in SLUGS}


@pytest.fixture(autouse=True)
def _calls_have_an_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def late(number: int, frame: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, late)
    with np.errstate(all="ignore"):
        yield
    signal.signal(signal.SIGPROF, before)


def shipped() -> dict[str, ShippedCode]:
    """What is shipped with any assignment, by its name there; of several with other constants, the first."""
    found: dict[str, ShippedCode] = {}
    for slug, exercises in EXERCISES.items():
        for step in (step for one in exercises.values() for case in one.cases for step in case.steps):
            options = [value for item in step.expected for value in item.options.values()]
            for value in (*step.args, *step.kwargs.values(), *options):
                if isinstance(value, ShippedCode):
                    found.setdefault(f"{slug}: {value.name}", value)
    return found


def asked(exercise: Exercise) -> list[Asked]:
    calls = (call for case in exercise.cases for call in calls_of(case.steps))
    return sorted(calls, key=lambda call: size_of(call.args))


class Empty:
    """An object that is a table of arrays wherever one looks, until something else is put there."""

    def __init__(self, held: dict[str, Any]) -> None:
        self._held = held

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._held


def put_there(function: Callable[..., Any], call: Asked) -> Iterator[tuple[str, set[str]]]:
    """What the functions that `function` puts into an object answer, by the way in which they are called."""
    thing = Empty(call.held)
    try:
        function(thing)
    except Exception:
        return
    for name, method in vars(thing).items():
        if callable(method):
            for way, made in ways(method, call.args, []):
                yield f" puts .{name}{way} there", given(made, call)[0]


def answered(function: Callable[..., Any], calls: list[Asked]) -> list[str]:
    """One line for each result of an exercise that `function` gives in all of the first cases."""
    found = [f"{way} gives {name}" for way, name in answers(function, calls, [])]
    for form in {tuple(call.args) for call in calls}:
        alike = [call for call in calls if tuple(call.args) == form and call.held][:CASES]
        given = [{(way, name) for way, names in put_there(function, call) for name in names} for call in alike]
        found += [f"{way} and gives {name}" for way, name in sorted(set.intersection(*given) if given else ())]
    return found


@pytest.mark.parametrize("what", shipped())
def test_nothing_that_is_shipped_answers_an_exercise(what: str) -> None:
    function = shipped()[what].make()
    found = [
        f"{slug}/{name}: {what}{line}"
        for slug, exercises in EXERCISES.items()
        for name, exercise in exercises.items()
        for line in answered(function, asked(exercise))
    ]
    assert found == []


ANSWERS = {
    "the answer itself": "def helper(x, W):\n    return np.maximum(0, W @ x)",
    "an object with the answer": "def helper(net):\n    net.f = lambda x, y=1: np.maximum(0, net.params['W'] @ x)",
    "an object with one of them": "def helper(net):\n    net.f = lambda x: (1.0, {'s': net.held['W'] @ x})",
}


@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_that_is_shipped_would_be_noticed(what: str) -> None:
    rng = np.random.default_rng(0)
    calls = []
    for _ in range(CASES):
        W, x = rng.normal(size=(3, 4)), rng.normal(size=4)
        args = {"x": x, "W": W} if what == "the answer itself" else {"x": x}
        calls.append(Asked(args, {"h": np.maximum(0, W @ x), "s": W @ x}, {"W": W}))
    found = answered(ShippedCode("helper", ANSWERS[what]).make(), calls)
    assert found, what
    assert answered(ShippedCode("helper", "def helper(net):\n    net.f = lambda x: 2 * x").make(), calls) == []

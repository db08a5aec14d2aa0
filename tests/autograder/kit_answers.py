"""Try everything that a kit offers on the exercises of an assignment: ``kit_answers.py SLUG FOLDER MODULE``.

`FOLDER` holds the kit: what would lie in /kit behind the wall; of it, `MODULE` and what is in it is tried.  Nothing is
changed after it was loaded, so all is as a student's `importlib.reload` would make it.  Each function and class, also a
private one, is called with the exercise's own arguments: some or all of them, in any order if they are few, by name,
one entry at a time, with the formulas that the notebook has as texts; and so are the methods of what comes back.  One
line is printed for each that gives an expected result in every case: nothing, if the kit answers no exercise.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib
import inspect
import io
import itertools
import json
import os
import pkgutil
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 0.2  # of the processor, for one call
CASES = 3  # in which an expected result must come back
OBJECTS = 6  # that one function has made, of which the methods are tried
FEW = 3  # arguments, of which every order is tried


@dataclass
class Asked:
    """One call that an exercise asks for: arguments by name, and the expected numbers by name.

    `held` are the arrays, by name, that an object of the exercise was given earlier in the case.
    """

    args: dict[str, Any]
    expected: dict[str, np.ndarray]
    held: dict[str, Any] = field(default_factory=dict)


class TooLong(BaseException):
    """A call takes too long."""


# -- what is asked ----------------------------------------------------------------------------


def exercises_of(slug: str) -> dict[str, list[Asked]]:
    """The calls of each exercise of an assignment, and what is expected to come back."""
    from autograder.bundle import Bundle
    from autograder.spec import load

    assignment = load(Bundle.read(REPOSITORY / "solutions" / slug))
    asked = {}
    for name in assignment.described:
        made = assignment.make(name, np.random.default_rng(1), lazy_mistakes=True)
        calls = [call for case in made.cases for call in calls_of(case.steps)]
        asked[name] = sorted(calls, key=lambda call: size_of(call.args))
    return asked


def calls_of(steps: Any) -> Iterator[Asked]:
    before: dict[str, Any] = {}
    held: dict[str, Any] = {}
    for step in steps:
        names = (*step.names, *(f"argument {n}" for n in range(len(step.names), len(step.args))))
        args = {name: resolved(value, before) for name, value in zip(names, step.args, strict=True)}
        args |= {name: resolved(value, before) for name, value in step.kwargs.items()}
        expected = {}
        for item in step.expected:
            numbers = as_numbers(item.value) if item.compare in ("close", "labels") else None
            if numbers is not None and not set(numbers.flat) <= entries_of(args):
                expected[item.name] = numbers
        before = args or before
        if expected and args:
            yield Asked(args, expected, dict(held))
        for value in args.values():
            held |= value if isinstance(value, dict) else {}


def resolved(value: Any, before: dict[str, Any]) -> Any:
    """An argument as a student's code gets it; for a cache, the first argument of the step before."""
    if hasattr(value, "make"):
        return value.make()
    if type(value).__name__ == "Ref":
        return next(iter(before.values()), None)
    return value


def entries_of(args: dict[str, Any]) -> set[float]:
    """Numbers that anything might give: 0, ±1, and those among the arguments."""
    given = [numbers for value in args.values() if (numbers := as_numbers(value)) is not None]
    return {0.0, 1.0, -1.0}.union(*(set(numbers.flat) for numbers in given))


def size_of(args: dict[str, Any]) -> int:
    return sum(np.size(value) for value in args.values() if isinstance(value, np.ndarray))


def formulas_of(slug: str) -> dict[str, set[str]]:
    """The texts in the released notebook that could be formulas, and the names in each."""
    nb = json.loads((REPOSITORY / "assignments" / slug / f"{slug}.ipynb").read_text())
    found = {}
    for cell in nb["cells"]:
        with contextlib.suppress(SyntaxError):
            for node in ast.walk(ast.parse("".join(cell["source"]) if cell["cell_type"] == "code" else "")):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"\w = ", node.value):
                    with contextlib.suppress(SyntaxError):
                        found[node.value] = names_in(node.value)
    return found


def names_in(text: str) -> set[str]:
    lines = "\n".join(line.strip() for line in text.splitlines())
    return {node.id for node in ast.walk(ast.parse(lines)) if isinstance(node, ast.Name)}


# -- what is offered --------------------------------------------------------------------------


def offered(folder: Path) -> dict[str, Any]:
    """All callables of coursekit as it lies in `folder`, each once, by name."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "coursekit"]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    kit = importlib.import_module("coursekit")
    assert Path(str(kit.__file__)).is_relative_to(folder)
    found = {}
    for info in list(pkgutil.walk_packages(kit.__path__, "coursekit.")):
        module = importlib.import_module(info.name)
        for name, value in list(vars(module).items()):
            tables = value.items() if isinstance(value, dict) and name != "__builtins__" else ()
            for said, one in [(name, value), *((f"{name}[{key!r}]", item) for key, item in tables)]:
                if callable(one) and getattr(one, "__module__", info.name) == info.name:
                    found[f"{info.name}.{said}"] = one
    return found


def ours(one: Any) -> bool:
    """Whether it is of coursekit, and not of NumPy or Python."""
    return str(getattr(one, "__module__", None) or type(one).__module__).partition(".")[0] == "coursekit"


# -- trying ---------------------------------------------------------------------------------------


def answers(function: Any, asked: list[Asked], formulas: list[str]) -> Iterator[tuple[str, str]]:
    """How `function` gives expected results, and which, in all of the first `CASES` calls in which it is expected."""
    forms = {tuple(call.args): call for call in reversed(asked)}
    for call in forms.values():
        found, left = set[str](), OBJECTS
        for way, made in ways(function, call.args, formulas):
            names, was_object = given(made, call, left > 0)
            left -= was_object
            for name in names - found:
                others = [one for one in asked if name in one.expected and one.args.keys() == call.args.keys()]
                if all(name in given(made, one)[0] for one in others[:CASES]):
                    found.add(name)
                    yield way, name


Way = Callable[[dict[str, Any]], Any]


def ways(function: Any, args: dict[str, Any], formulas: list[str]) -> Iterator[tuple[str, Way]]:
    """The ways of calling it with arguments of these names."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return
    kinds = {one.kind for one in parameters}
    places = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    required = [one for one in places if one.default is one.empty]
    most = len(args) if inspect.Parameter.VAR_POSITIONAL in kinds else len(places)
    for count in range(max(1, len(required)), min(most, len(args)) + 1):
        chosen = itertools.permutations(args, count) if len(args) <= FEW else itertools.combinations(args, count)
        for order in chosen:
            yield f"({', '.join(order)})", lambda given, order=order: function(*(given[name] for name in order))
    if set(args) & {one.name for one in parameters} or inspect.Parameter.VAR_KEYWORD in kinds:
        accepted = [
            one for one in args if inspect.Parameter.VAR_KEYWORD in kinds or one in {p.name for p in parameters}
        ]
        yield "(by name)", lambda given: function(**{name: given[name] for name in accepted if name in given})
    if len(required) <= 1 and most:
        for name in args:
            yield f"(each entry of {name})", lambda given, name=name: np.vectorize(function, [float])(given[name])
    exact = {"decimals": 15} if "decimals" in {one.name for one in parameters} else {}
    for text in formulas:
        if inspect.Parameter.VAR_KEYWORD in kinds and required:
            yield f"({text!r}, by name)", lambda given, text=text: function(text, **exact, **given)
        if len(required) == 2:
            yield f"({text!r}, arguments)", lambda given, text=text: function(text, given)
        if len(required) == 3:
            for word in ("operation", "statement"):
                way = f"({text!r}, {word!r}, arguments)"
                yield way, lambda given, text=text, word=word: function(text, word, given)


def given(way: Way, call: Asked, further: bool = True) -> tuple[set[str], bool]:
    """Which of the expected results the call gives, and whether what comes back is an object of the kit's.

    A result is given by what comes back or, if `further`, by a method or attribute of that.
    """
    try:
        result = in_time(partial(way, copied(call.args)))
    except (Exception, SystemExit, TooLong):
        return set(), False
    numbers = list(numbers_in(result))
    was_object = ours(type(result)) and not isinstance(result, type)
    if was_object and further:
        with contextlib.suppress(TooLong):
            in_time(lambda: numbers.extend(asked_further(result, call.args)))
    sizes = {one.size for one in numbers}
    found = set()
    for name, wanted in call.expected.items():
        entries = [np.asarray(entry) for entry in wanted.flat] if wanted.size <= FEW and 1 in sizes else [wanted]
        for parts in ([wanted], entries):  # at once, or number by number
            if all(any(same(part, one) for one in numbers) for part in parts):
                found.add(name)
    return found, was_object


def asked_further(result: Any, args: dict[str, Any]) -> Iterator[np.ndarray]:
    """The numbers that the methods of `result`, or of what it holds, give for each argument, or for its name."""
    held = [one for one in getattr(result, "__dict__", {}).values() if ours(type(one))]
    for thing in (result, *held):
        own = {name for base in type(thing).__mro__ if ours(base) for name in vars(base) if not name.startswith("__")}
        for name in sorted(own):
            with contextlib.suppress(Exception):
                method = getattr(thing, name)
                yield from numbers_in(method)
                each = [(one,) for one in (*args, *args.values())] if takes(method) else [()]
                for values in each:
                    with contextlib.suppress(Exception, SystemExit):
                        yield from numbers_in(method(*map(copy.copy, values)))


def takes(method: Any) -> bool:
    """Whether a method needs an argument."""
    parameters = inspect.signature(method).parameters.values()
    return any(one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD for one in parameters)


def in_time(call: Callable[[], Any]) -> Any:
    signal.setitimer(signal.ITIMER_PROF, SECONDS, SECONDS)  # and again, where Python swallows what is raised
    try:
        return call()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def copied(args: dict[str, Any]) -> dict[str, Any]:
    return {name: copy.copy(value) for name, value in args.items()}


# -- numbers ----------------------------------------------------------------------------------


def numbers_in(value: Any, depth: int = 0) -> Iterator[np.ndarray]:
    """The numbers that a result holds, in any form."""
    if depth > 3:
        return
    numbers = as_numbers(value)
    if numbers is not None:
        yield numbers
    if isinstance(value, str):
        for text in re.findall(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", value.replace("−", "-"))[:200]:
            yield np.asarray(float(text))
    elif isinstance(value, dict):
        for item in list(value.values())[:20]:
            yield from numbers_in(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value[:20]:
            yield from numbers_in(item, depth + 1)
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        for item in list(vars(value).values())[:20]:
            yield from numbers_in(item, depth + 1)
    for name in ("value", "grad"):  # of tensors, which have slots
        if ours(type(value)) and hasattr(value, name):
            yield from numbers_in(getattr(value, name), depth + 1)


def as_numbers(value: Any) -> np.ndarray | None:
    """The value as an array of floats, or None."""
    if isinstance(value, str | bytes | bool | dict) or value is None or callable(value):
        return None
    try:
        array = np.asarray(value, dtype=float)
    except Exception:
        return None
    return array if array.size and np.isfinite(array).all() else None


def same(one: np.ndarray, other: np.ndarray | None) -> bool:
    return (
        other is not None
        and one.squeeze().shape == other.squeeze().shape
        and bool(np.allclose(other.squeeze(), one.squeeze(), rtol=1e-5, atol=1e-9))
    )


def main(slug: str, folder: str, tried: str) -> None:
    exercises, formulas = exercises_of(slug), formulas_of(slug)
    kit = {said: one for said, one in offered(Path(folder)).items() if said.startswith(f"{tried}.")}

    def late(number: int, frame: object) -> None:
        raise TooLong

    signal.signal(signal.SIGPROF, late)
    found = []
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for name, asked in exercises.items():
            known = [text for text, names in formulas.items() if asked and set(asked[0].args) <= names]
            for said, function in kit.items():
                found += [f"{name}: {said}{way} gives {what}" for way, what in answers(function, asked, known)]
    print(f"{len(kit)} callables")
    print("\n".join(found))


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "agg")
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    main(*sys.argv[1:])

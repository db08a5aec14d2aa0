"""A case is data: what to call with which arguments, and the expected results.

Cases are used in two places.  The public ones lie beside the released notebook as `cases.json` and `cases.npz`, and
`check` runs them in the student's kernel.  The grader makes fresh ones for every student and keeps them on its side
of the wall.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np

from coursekit._typing import Array

from .codec import Malformed, decode, encode, renumbered

FORMAT = 3
# What json, zipfile and zlib raise for damaged files.
DAMAGED = (
    *(ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, OSError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True)
class Expected:
    """An expected result of a step, and the part of the points that depends on it.

    Attributes
    ----------
    name : str
        The result's name for the student: ``"loss"``, ``'grads["W1"]'``.
    value : object
        The reference's result.
    part : str
        The part of the exercise's points that depends on it.
    compare : str
        The name of a comparison in :mod:`coursekit.checks.compare`.
    where : str
        ``"returned"`` (in the returned value), ``"argument 1"`` (the argument at this
        position, after the call) or ``"step"`` (the whole outcome of the step).
    options : dict
        Further settings of the comparison.
    mistakes : dict
        The results of known mistakes, by code.
    at : tuple of int and str
        The place in the returned value: ``()`` is all of it, ``(1,)`` the second value, ``(1, "W1")``
        the entry of that under a key.
    """

    name: str
    value: Any
    part: str
    compare: str = "close"
    where: str = "returned"
    options: Mapping[str, Any] = field(default_factory=dict)
    mistakes: Mapping[str, Any] = field(default_factory=dict)
    at: tuple[int | str, ...] = ()


@dataclass(frozen=True)
class Step:
    """One call of the student's code.

    `target` is the name of what is called: a function or class that was passed to `check`
    (``"TwoLayerNet"``), or a method of an object that an earlier step saved
    (``"net.loss"``).  `names` are the names of `args`, for readers.  With
    `evaluate`, `target` is a Python expression that uses all of these, and
    `args` by name: ``"2.0 * a + b"``, ``"net.params.update(new)"``.  If it is
    `counted`, the lines that run are counted; no stored step is.
    """

    target: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    evaluate: bool = False
    save_as: str | None = None
    expected: tuple[Expected, ...] = ()
    names: tuple[str, ...] = ()
    counted: bool = False


@dataclass(frozen=True)
class Case:
    """Steps that belong together; `title` says what is special about them."""

    title: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Exercise:
    """Everything needed to check one exercise.

    Attributes
    ----------
    name : str
        As in ``check("NAME", …)``.
    functions : tuple of str
        The names in steps of what is passed to `check`, in order.
    parts : dict
        The points of each part, by name.
    mistakes : dict
        The messages about known mistakes, by code; forms of one mistake
        differ after a slash, as ``"sign"`` and ``"sign/data"``.
    no_loop_over : tuple of str
        All arguments that have a row for each example, over which a vectorised function must not
        loop; this is worth the points of the part ``"vectorised"``.
    uses : tuple of str
        Earlier exercises that this one may call.
    """

    name: str
    functions: tuple[str, ...]
    parts: Mapping[str, float]
    cases: tuple[Case, ...]
    mistakes: Mapping[str, str] = field(default_factory=dict)
    no_loop_over: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()

    @property
    def points(self) -> float:
        return float(sum(self.parts.values()))


# -- to and from files ------------------------------------------------------------------


class ExpectedJson(TypedDict):
    """An `Expected` in ``cases.json``; `value`, `options` and `mistakes` are trees of the codec."""

    name: str
    value: Any
    part: str
    compare: str
    where: str
    at: list[int | str]
    options: Any
    mistakes: Any


class StepJson(TypedDict):
    """A `Step` in ``cases.json``; `args` and `kwargs` are trees of the codec."""

    target: str
    args: Any
    kwargs: Any
    evaluate: bool
    save_as: str | None
    names: list[str]
    expected: list[ExpectedJson]


class CaseJson(TypedDict):
    """A `Case` in ``cases.json``."""

    title: str
    steps: list[StepJson]


class ExerciseJson(TypedDict):
    """An `Exercise` in ``cases.json``."""

    name: str
    functions: list[str]
    parts: dict[str, float]
    mistakes: dict[str, str]
    no_loop_over: list[str]
    uses: list[str]
    cases: list[CaseJson]


def save(folder: Path, assignment: str, exercises: tuple[Exercise, ...]) -> None:
    """Write `exercises` as ``cases.json`` and ``cases.npz`` into `folder`."""
    for name, content in to_files(assignment, exercises).items():
        (folder / name).write_bytes(content)


def to_files(assignment: str, exercises: tuple[Exercise, ...]) -> dict[str, bytes]:
    """Return the two files that hold `exercises`, by name, with the same bytes every time."""
    arrays: list[Array] = []

    def write(value: Any) -> Any:
        tree, own = encode(value)
        offset = len(arrays)
        arrays.extend(own)
        return renumbered(tree, offset)

    lines = [json.dumps(_exercise_to_json(exercise, write), ensure_ascii=False) for exercise in exercises]
    places, packed = _pack(arrays)
    head = json.dumps({"format": FORMAT, "assignment": assignment, "arrays": places}, ensure_ascii=False)
    text = head[:-1] + ', "exercises": [\n' + ",\n".join(lines) + "\n]}\n"  # one line per exercise
    stream = io.BytesIO()
    np.savez_compressed(stream, **packed)  # type: ignore[arg-type]
    return {"cases.json": text.encode(), "cases.npz": stream.getvalue()}


def _pack(arrays: list[Array]) -> tuple[list[Any], dict[str, Array]]:
    """Join all `arrays` of one dtype, since a file has hundreds of small ones; return also the form of each."""
    of_dtype: dict[str, list[Array]] = {}
    places = []
    for array in arrays:
        order: Literal["F", "C"] = "F" if array.flags.fnc else "C"
        of_dtype.setdefault(array.dtype.str, []).append(array.ravel(order))
        places.append([array.dtype.str, list(array.shape), order])
    return places, {dtype: np.concatenate(flat) for dtype, flat in of_dtype.items()}


def _unpack(places: list[Any], packed: Mapping[str, Array]) -> list[Array]:
    """Undo :func:`_pack`."""
    used = dict.fromkeys(packed, 0)
    arrays = []
    for dtype, shape, order in places:
        start, used[dtype] = used[dtype], used[dtype] + math.prod(shape)
        arrays.append(packed[dtype][start : used[dtype]].reshape(shape, order=order).copy(order="K"))
    return arrays


def load(folder: Path) -> tuple[str, dict[str, Exercise]]:
    """Read what :func:`save` wrote: the assignment's name, and its exercises by name.

    Raises
    ------
    FileNotFoundError
        If one of the two files is missing.
    ValueError
        If they are damaged, or were written by another version of the kit.
    """
    try:
        document = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
        with np.load(folder / "cases.npz", allow_pickle=False) as stored:
            packed = {name: stored[name] for name in stored.files}
        if document["format"] != FORMAT:
            raise Malformed(f"format {document['format']}, where this version of coursekit reads {FORMAT}")
        arrays = _unpack(document["arrays"], packed)
        read = partial(decode, arrays=arrays)
        exercises = {item["name"]: _exercise_from_json(item, read) for item in document["exercises"]}
        return document["assignment"], exercises
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error.filename} is missing: cases.json and cases.npz belong together") from None
    except DAMAGED as error:
        raise ValueError(
            f"the test cases in {folder} cannot be read ({error}). "
            "Fetch a fresh copy of cases.json and cases.npz from where you got the assignment."
        ) from error


def _exercise_to_json(exercise: Exercise, write: Callable[[Any], Any]) -> ExerciseJson:
    return {
        "name": exercise.name,
        "functions": list(exercise.functions),
        "parts": dict(exercise.parts),
        "mistakes": dict(exercise.mistakes),
        "no_loop_over": list(exercise.no_loop_over),
        "uses": list(exercise.uses),
        "cases": [
            {"title": case.title, "steps": [_step_to_json(step, write) for step in case.steps]}
            for case in exercise.cases
        ],
    }


def _step_to_json(step: Step, write: Callable[[Any], Any]) -> StepJson:
    return {
        "target": step.target,
        "args": write(list(step.args)),
        "kwargs": write(dict(step.kwargs)),
        "evaluate": step.evaluate,
        "save_as": step.save_as,
        "names": list(step.names),
        "expected": [
            {
                "name": item.name,
                "value": write(item.value),
                "part": item.part,
                "compare": item.compare,
                "where": item.where,
                "at": list(item.at),
                "options": write(dict(item.options)),
                "mistakes": write(dict(item.mistakes)),
            }
            for item in step.expected
        ],
    }


def _exercise_from_json(item: ExerciseJson, read: Callable[[Any], Any]) -> Exercise:
    return Exercise(
        name=item["name"],
        functions=tuple(item["functions"]),
        parts=item["parts"],
        cases=tuple(
            Case(case["title"], tuple(_step_from_json(step, read) for step in case["steps"])) for case in item["cases"]
        ),
        mistakes=item["mistakes"],
        no_loop_over=tuple(item["no_loop_over"]),
        uses=tuple(item["uses"]),
    )


def _step_from_json(item: StepJson, read: Callable[[Any], Any]) -> Step:
    return Step(
        target=item["target"],
        args=tuple(read(item["args"])),
        kwargs=read(item["kwargs"]),
        evaluate=item["evaluate"],
        save_as=item["save_as"],
        expected=tuple(_expected_from_json(one, read) for one in item["expected"]),
        names=tuple(item["names"]),
    )


def _expected_from_json(item: ExpectedJson, read: Callable[[Any], Any]) -> Expected:
    return Expected(
        name=item["name"],
        value=read(item["value"]),
        part=item["part"],
        compare=item["compare"],
        where=item["where"],
        options=read(item["options"]),
        mistakes=read(item["mistakes"]),
        at=tuple(item["at"]),
    )

"""References answer from outside: what can be asked of them, and what can be won by asking."""

from __future__ import annotations

import hashlib
import inspect
import json
import random
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from sampled import some

from autograder.answers import OfObjects
from autograder.bundle import Bundle
from autograder.errors import Refused
from autograder.grade import grade
from autograder.results import Graded, Submission
from autograder.spec import Assignment, case, load, shipped
from autograder.wall import oracle as module
from autograder.wall.box import Limits
from autograder.wall.guard import Words, without_text
from autograder.wall.oracle import OBJECTS, Oracle
from autograder.wall.remote import Objects, stand_in
from coursekit.checks.codec import Opaque, decode, encode
from coursekit.checks.lines import Line
from coursekit.checks.run import Failure, StepOutcome

SOLUTIONS = Path(__file__).resolve().parents[2] / "solutions"
SLUGS = sorted(path.parent.name for path in SOLUTIONS.glob("*/checks.py"))
LIMITS = Limits(cell_seconds=10, call_seconds=5, notebook_seconds=120)


class Number:
    """A number that knows what it was made from."""

    rules = {"double": 2}  # noqa: RUF012

    def __init__(self, value: float, inputs: tuple[Any, ...] = ()) -> None:
        self.value, self.inputs, self._secret = float(value), inputs, 42.0

    def __add__(self, other: Any) -> Number:
        other = other if isinstance(other, Number) else Number(other)
        return Number(self.value + other.value, (self, other))

    __radd__ = __add__

    def __lt__(self, other: Any) -> bool:
        return self.value < other.value

    def same(self) -> Number:
        return self

    def parts(self) -> list[Any]:
        return [self, *self.inputs]

    def power(self, exponent: float = 2.0) -> Number:
        return Number(self.value**exponent)

    def rename(self, text: str) -> str:
        return text * 10

    def clear(self) -> None:
        self.value = 0.0

    def fails(self) -> None:
        raise ZeroDivisionError("by hand")


def order(output: Any) -> list[Any]:
    found: list[Any] = []
    todo = [output]
    while todo:
        node = todo.pop()
        if node not in found:
            found.append(node)
            todo += node.inputs
    return found[::-1]


def double(x: Any, times: float = 2.0) -> Any:
    return times * x


class Wire:
    """Both sides in one process, with the messages between them."""

    def __init__(self) -> None:
        self.oracle = Oracle({"Number": Number, "double": double, "order": OfObjects(order, "inputs")})
        self.messages: list[Any] = []
        objects = Objects(self.ask)
        self.made = {name: stand_in(self.ask, objects, name, *how) for name, how in self.oracle.description().items()}

    def ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        self.messages.append((name, args, kwargs))
        sent, named = (decode(*encode(value)) for value in (list(args), kwargs))
        return decode(*encode(self.oracle.answer(name, sent, named, time.monotonic() + 10)))


@pytest.fixture
def wire() -> Wire:
    return Wire()


# -- objects that are elsewhere --------------------------------------------------------------


def test_objects_outside_behave_as_if_they_were_here(wire: Wire) -> None:
    make = wire.made["Number"]
    a, b = make(1), make(value=2.0)
    c = 3 + (a + b) + 4.0
    assert c.value == 10
    assert isinstance(c, make)
    assert a < b
    assert not b < a
    assert c.power(exponent=3).value == 1000
    a.value = 7
    assert (a + a).value == 14
    a.clear()
    assert a.value == 0
    assert len({a, b, a}) == 2


def test_one_object_is_one_object_here(wire: Wire) -> None:
    a = wire.made["Number"](1)
    b = a + 1
    for _ in range(2):  # the second time it is known what the method gives
        assert b.inputs[0] is a
        assert b.parts()[0] is b
        assert b.inputs[1] is b.inputs[1]
    again = [a.same(), a.same()]
    assert [one.value for one in again] == [1, 1]


def test_what_nobody_looks_at_is_sent_with_what_somebody_does(wire: Wire) -> None:
    total = wire.made["Number"](0)
    total = total + 1
    for _ in range(500):
        total = total + 1
    assert total.value == 501
    assert len(wire.messages) < 5


def test_what_is_not_used_any_more_is_forgotten_outside(wire: Wire) -> None:
    total = wire.made["Number"](0)
    for _ in range(5000):
        total = wire.made["Number"](1) + 1
    assert total.value == 2
    assert len(wire.oracle.objects) < 5000
    del total
    assert wire.made["Number"](0).value == 0
    assert len(wire.oracle.alive) < 10


def test_attributes_that_are_not_there_are_kept_here(wire: Wire) -> None:
    a = wire.made["Number"](1)
    a.velocity = [1, 2]
    a._mine = 3
    assert (a.velocity, a._mine) == ([1, 2], 3)
    with pytest.raises(AttributeError):
        a.missing  # noqa: B018


def test_what_a_reference_raises_is_raised_here(wire: Wire) -> None:
    with pytest.raises(ZeroDivisionError, match="by hand"):
        wire.oracle.answer(
            OBJECTS, ['[[1, "Number", [1.0], {}], [2, ".fails", [[1]], {}]]', []], {}, time.monotonic() + 9
        )


def test_a_function_of_objects_sees_one_attribute(wire: Wire) -> None:
    class Mine:
        def __init__(self, *inputs: Any) -> None:
            self.inputs, self.secret = inputs, "mine"

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    x, y = Mine(), Mine()
    z = Mine(x, y, x)
    found = wire.made["order"](z)
    assert [id(one) for one in found] == [id(one) for one in (y, x, z)]
    assert "mine" not in repr(wire.messages)


# -- what can be asked of an oracle ------------------------------------------------------------

MALFORMED = [
    "[",
    "5",
    "[5]",
    "[[1]]",
    '[[1, "Number", [1.0]]]',
    '[[1, "Number", [1], {}]]',  # a whole number could grow without end
    '[[1, "Number", ["text"], {}]]',
    '[[1, "Number", [[2]], {}]]',
    '[[1, "Number", [[true]], {}]]',
    '[[1, "Number", [null], {}]]',
    '[[1, "Oracle", [1.0], {}]]',
    '[[1, "double", [1.0], {}]]',
    '[["x", "Number", [1.0], {}]]',
    "[" * 100_000,
]
REFUSED = [
    ".__init__",
    ".__class__",
    ".__reduce__",
    ".__getattribute__",
    ".value",
    ".missing",
    "?_secret",
    "?__dict__",
    "?__class__",
    "?rules",
    "?power",
    "?missing",
    "=missing",
    "=_secret",
    "=power",
    "=__class__",
    "",
    "value",
]


@pytest.mark.parametrize("operations", MALFORMED)
def test_operations_that_are_none_are_refused(wire: Wire, operations: str) -> None:
    with pytest.raises((TypeError, ValueError, RecursionError, KeyError)):
        wire.oracle.answer(OBJECTS, [operations, []], {}, time.monotonic() + 9)
    assert wire.oracle.objects == {}


@pytest.mark.parametrize("what", REFUSED)
def test_only_public_names_and_operators_can_be_asked_for(wire: Wire, what: str) -> None:
    value = [0.0] if what.startswith("=") else []
    operations = json.dumps([[1, "Number", [1.0], {}], [2, what, [[1], *value], {}]])
    with pytest.raises((AttributeError, TypeError)):
        wire.oracle.answer(OBJECTS, [operations, []], {}, time.monotonic() + 9)


def test_an_attribute_is_set_to_numbers_alone(wire: Wire) -> None:
    a = wire.made["Number"](1)
    for value in ("text", [1.0], None, 1j, np.ones(2)):
        with pytest.raises(TypeError):
            a.value = value
    with pytest.raises(TypeError):
        a.rename("text")
    with pytest.raises(OverflowError):
        a.value = 10**400


def test_what_exists_at_once_has_an_end(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OBJECTS", 100)
    total = wire.made["Number"](0)
    for _ in range(90):
        total = total + 1  # of which one handle is left, and all the others are its inputs
    assert total.value == 90
    for _ in range(90):
        total = total + 1
    with pytest.raises(MemoryError):
        total.value  # noqa: B018


def test_operations_end_when_the_time_is_over(wire: Wire) -> None:
    with pytest.raises(TimeoutError):
        wire.oracle.answer(OBJECTS, ['[[1, "Number", [1.0], {}]]', []], {}, time.monotonic() - 1)


def test_a_graph_that_is_none_is_refused(wire: Wire) -> None:
    soon = time.monotonic() + 60
    for counts, followers in (([1], [5]), ([2], [0]), ([-1], []), ([0.5], [0]), ([[1]], [[0]]), (["x"], [0]), ([], [])):
        with pytest.raises((ValueError, TypeError, IndexError)):
            wire.oracle.answer("order", [np.array(counts), np.array(followers, int)], {}, soon)
    many = np.zeros(module.MAX_NODES + 1, int)
    with pytest.raises(ValueError, match="too many"):
        wire.oracle.answer("order", [many, many[:0]], {}, soon)


def test_a_case_knows_no_object_of_the_last_one(wire: Wire) -> None:
    a = wire.made["Number"](1)
    assert a.value == 1
    wire.oracle.begin_case()
    with pytest.raises(TypeError):
        a.value  # noqa: B018


def test_numbers_leave_a_second_check_and_no_text() -> None:
    exercise = Assignment("tiny")
    exercise.exercise("f", parts={"dW": 1})(lambda rng: [case("", "f", {"x": "known"}, {"dW": 1.0})])
    words = Words(exercise.make("f", np.random.default_rng(0)), ["def f(x):\n    for i in x:\n        pass"])
    outcome = StepOutcome(
        returned=[1.0, "stolen", "known", {"known": np.ones(2), "stolen": 1.0}, Opaque("stolen", "stolen")],
        failure=Failure("Stolen", "stolen", ("stolen",)),
        changed={0: Opaque("stolen"), 1: np.ones(3)},
        notes=["stolen"],
        lines=[Line("1", "for i in x:", 3), Line("2", "stolen", 3)],
    )
    bare = without_text(outcome, words)
    assert "tolen" not in repr(bare)
    assert bare.returned[:1] + bare.returned[2:3] == [1.0, "known"]
    assert bare.lines[0] == outcome.lines[0]  # type: ignore[index]
    assert without_text(StepOutcome(failure=Failure("KeyError", "stolen")), words).failure.kind == "KeyError"  # type: ignore[union-attr]


# -- what a teacher cannot do by accident --------------------------------------------------------


def answer(x: Any) -> Any:
    """Answer the exercise."""
    hidden = np.tanh(x) + 1
    return hidden * x


def driver(f: Any) -> Any:
    def the_same_as_the_reference(x: Any) -> Any:
        hidden = np.tanh(x) + 1
        return hidden * x

    return f(1.0) - the_same_as_the_reference(1.0)


def test_a_reference_that_would_be_sent_as_text_is_refused() -> None:
    with pytest.raises(Refused, match="students could read its text"):
        Assignment("tiny").exercise("f", parts={"y": 1}, reference={"f": shipped(answer)})


def test_a_shipped_function_with_the_text_of_a_reference_is_refused() -> None:
    assignment = Assignment("tiny")
    described = assignment.exercise("f", parts={"y": 1}, reference={"answer": answer})
    described(lambda rng: [case("", "f", {"x": 1.0}, {"y": answer(1.0)})])
    described = assignment.exercise("g", parts={"y": 1}, uses=["f"])
    described(lambda rng: [case("", "g", {"driver": shipped(driver)}, {"y": 0.0})])
    assignment.make("f", np.random.default_rng(0))
    with pytest.raises(Refused, match="the text of the reference f/answer would be shipped"):
        assignment.make("g", np.random.default_rng(0))


# -- what can be won by asking: every exercise of the course that uses another --------------------


def using() -> list[tuple[str, str]]:
    found = []
    for slug in SLUGS:
        described = load(Bundle.read(SOLUTIONS / slug)).described  # type: ignore[arg-type]
        found += [(slug, name) for name, one in described.items() if one.uses]
    return found


def lines_of(reference: Any) -> set[str]:
    """The lines of a reference that nobody writes by chance, as hashes."""
    reference = reference.function if isinstance(reference, OfObjects) else reference
    source = textwrap.dedent(inspect.getsource(reference))
    lines = {
        line.strip() for line in source.splitlines() if len(line.strip()) > 24 and not line.strip().startswith('"')
    }
    return {hashlib.sha256(line.encode()).hexdigest() for line in lines}


THIEF = """
import gc, hashlib, inspect, sys, types
kept = globals().setdefault("kept", {})

def keep(*given):
    for name in USED:
        found = get_ipython().user_ns.get(name)
        if found not in kept.setdefault(name, []):
            kept[name].append(found)
    kept.setdefault("", []).append(given)
    for frame in inspect.stack():
        kept[""].append(dict(frame.frame.f_locals))
    for name in USED:
        try:
            kept[name].append(get_ipython().user_ns[name](*given))
        except Exception:
            pass
"""
STEAL = """
globals().update({name: values[-2] if len(values) > 1 else values[0] for name, values in kept.items() if name})
texts = set()
for one in gc.get_objects():
    if type(one) in (dict, list, tuple, set):
        texts.update(text for text in (one.values() if type(one) is dict else one) if type(text) is str)
    elif isinstance(one, types.FunctionType):
        try:
            texts.add(inspect.getsource(one) if one.__module__ not in sys.modules else "")
        except Exception:
            pass
lines = {line.strip().encode("utf-8", "replace") for text in texts for line in text.splitlines()}
stolen = [line for line in lines if hashlib.sha256(line).hexdigest() in LINES]
print("STO" + "LEN" if stolen else "nothing", stolen, len(texts) > 1000)
"""


def hand_in(slug: str, name: str, seed: int | None) -> Graded:
    """Grade a notebook in which `name` keeps all that it gets, and what it uses is wrong until it is stolen."""
    bundle = Bundle.read(SOLUTIONS / slug)
    assert bundle is not None
    described = load(bundle).described
    one = described[name]
    used = {key for earlier in one.uses for key in (*described[earlier].functions, *described[earlier].reference)}
    lines = set().union(*(lines_of(ref) for earlier in one.uses for ref in described[earlier].reference.values()))
    nb = nbformat.read(SOLUTIONS / slug / f"{slug}.ipynb", as_version=4)
    checks = {cell.id: cell for cell in nb.cells if cell.id.startswith("check_")}

    def plain(source: str) -> nbformat.NotebookNode:
        return nbformat.v4.new_code_cell(source)

    first = plain(f"from coursekit import check\nUSED, LINES = {sorted(used)!r}, {lines!r}\n" + THIEF)
    wrong = plain("".join(f"def {key}(*args):\n    raise ValueError\n" for key in sorted(used)))
    thief = plain("".join(f"def {key}(*args, **kwargs):\n    keep(*args, *kwargs.values())\n" for key in one.functions))
    steal = plain(STEAL)
    cells = [wrong, thief, checks[f"check_{name}"], steal, *(checks[f"check_{earlier}"] for earlier in one.uses)]
    if seed is not None:
        random.Random(seed).shuffle(cells)
    notebook = nbformat.v4.new_notebook(cells=[first, *cells, plain(STEAL)])
    return grade(Submission("thief", slug, slug, json.dumps(notebook)), bundle, b"secret", LIMITS)


@pytest.mark.slow
@pytest.mark.needs("bwrap")
@pytest.mark.parametrize(
    ("slug", "name", "shuffled"), some([(*one, shuffled) for one in using() for shuffled in (False, True)], 8)
)
def test_whoever_keeps_what_stands_in_wins_nothing(slug: str, name: str, shuffled: bool) -> None:
    seed = random.randrange(10**6) if shuffled else None  # not in the test's name: each process collects its own
    print(f"seed {seed}", file=sys.stderr)
    graded = hand_in(slug, name, seed)
    earned = {exercise: result["score"] for exercise, result in graded.record["exercises"].items()}
    assert earned == dict.fromkeys(earned, 0.0), earned
    assert len(earned) >= 2
    assert "STOLEN" not in graded.content
    assert "nothing [] True" in graded.content
    assert graded.record["lost_cells"] == {}

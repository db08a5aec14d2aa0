"""Whatever well-formed results come out of a check, judging them costs that exercise alone, and seconds at most."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable

import hostile_results
import numpy as np
import pytest
from hostile_results import Writer, attempt, message

from autograder.wall import guard, messages, outputs
from autograder.wall.guard import Answers, Words
from autograder.wall.messages import _parse
from autograder.wall.oracle import OBJECTS, Oracle
from coursekit.checks.codec import MAX_INTEGER_KEYS, Malformed, Opaque, encode
from coursekit.checks.report import SHOWN_TEXT, show
from coursekit.checks.values import agrees

SECONDS = 5.0  # of processor time that a thing may take here, which takes less than one


def test_random_results_are_judged_shown_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # `hostile_results.main(seconds, seed, 2000)` goes on from it
    end = time.process_time() + 5
    while time.process_time() < end:
        report = attempt(seed, 2000)
        assert report is None or 0 <= report.score <= report.points
        assert not caplog.records, f"seed {seed}"
        seed += 1


def test_such_results_are_what_a_process_may_send() -> None:
    """Or nothing of the above would be tried."""
    count = 0
    for seed in range(200):
        writer = Writer(random.Random(seed), 2000)
        tree = writer.value()
        data = message("result", {"returned": tree}, writer.arrays)
        text = data[messages.HEADER.size : messages.HEADER.size + messages.HEADER.unpack_from(data)[0]]
        try:
            _parse(text, writer.arrays)
            count += 1
        except (Malformed, ValueError):  # a scalar of many entries, a number of thousands of digits
            pass
    assert count > 120


# -- what was found so, each as small as it can be --------------------------------------------------


def test_integers_that_meet_each_other_in_a_dictionary_are_not_many() -> None:
    """Each is looked for among all before it: the 300 000 that there is room for would take a quarter of an hour."""
    keys = [number * (2**61 - 1) for number in range(1, MAX_INTEGER_KEYS + 2)]
    pairs = ",".join(f"[{key},0]" for key in keys)
    with pytest.raises(Malformed, match=f"{MAX_INTEGER_KEYS + 1} integers as keys"):
        _parse(f'["result", {{"$dict": [["returned", {{"$dict": [{pairs}]}}]]}}]'.encode(), [])
    tree, _ = encode(dict.fromkeys(keys))
    assert list(tree) == ["$opaque"]  # so that no honest process sends it
    tree, _ = encode(dict.fromkeys(keys[1:]))
    assert list(tree) == ["$dict"]


def test_a_container_pays_for_all_that_it_holds_before_that_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each of millions of numbers would be replaced, one by one, by what says that it is too much."""
    monkeypatch.setattr(guard, "MAX_ANSWERS", 1000 * guard.OBJECT)
    many = [0] * 10_000
    for value in (many, tuple(many), dict(enumerate(many)), [many], [[[many]]]):
        assert held(Answers().plain(value)) < 5
    assert Answers().plain([0] * 500) == [0] * 500
    assert isinstance(Answers().plain(["é" * guard.MAX_TEXT] * 300)[-1], Opaque)
    assert isinstance(Answers().plain([Opaque("k" * guard.MAX_NAME, "t")] * 300)[-1], Opaque)


def held(value: object) -> int:
    if isinstance(value, dict):
        return len(value)
    return sum(held(item) for item in value) if isinstance(value, list | tuple) else 1


def test_a_text_among_numbers_makes_no_texts_of_them() -> None:
    """NumPy would: half a gigabyte."""
    started = time.process_time()
    assert not agrees(["é" * 200] + [1] * 600_000, 1.0)
    assert not agrees([["é" * 200], *[[1]] * 100_000], 1.0)
    assert time.process_time() - started < SECONDS


def test_an_integer_that_is_no_float_is_no_number() -> None:
    assert not agrees(2**1024 - 1, 1.0)
    assert not agrees([2**1024 - 1], [1.0])
    assert isinstance(Answers().plain(2**1024 - 1), Opaque)


LARGE = {
    "tabs": lambda: "\t" * 10**6,
    "texts": lambda: ["a"] * 600_000,
    "objects": lambda: [Opaque("é" * 200, "é" * 200)] * 600_000,
    "lists": lambda: [[[[0] * 80] * 80] * 80],
    "an array in a list": lambda: [np.zeros((2,) * 20)],
    "an array in a dictionary": lambda: {"W1": [np.zeros((2,) * 20)]},
    "keys": lambda: dict.fromkeys(range(600_000)),
    "an array": lambda: np.zeros((2,) * 20),
}


@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE)
def test_of_a_large_value_the_beginning_is_written_out(make: Callable[[], object]) -> None:
    """The whole took up to half a minute and three gigabytes, for the 200 characters that are shown."""
    value = make()
    started = time.process_time()
    assert len(show(value)) <= SHOWN_TEXT + 2
    assert time.process_time() - started < 1


def test_words_are_looked_for_in_a_notebook_as_long_as_there_is_time() -> None:
    """A result of 600 000 texts and a notebook of 20 MB took eleven hours."""
    words = Words(hostile_results.drawn("worked_example", "forward"), ["x = 'first layer'", "a" * 2**20])
    assert "first layer" in words
    started = time.process_time()
    found = ["a" * 199 in words for _ in range(5000)]
    assert found[0]
    assert not found[-1]
    assert time.process_time() - started < SECONDS


def test_an_update_counts_for_every_output_that_it_changes() -> None:
    """Each of them is written out: one message of 8 MB could make 40 GB of a notebook."""
    kept, cells = outputs.Outputs(), []
    for number in range(12):
        kept.begin_cell()
        for _ in range(400):
            kept.keep({"output_type": "display_data", "data": {"text/plain": "x"}, "display_id": f"{number % 2}"})
        cells.append(kept.cell)
    for _ in range(5):
        kept.begin_cell()
        cells.append(kept.cell)
        for number in range(2):
            update = {"output_type": "update_display_data", "data": {"text/plain": "y" * 2**18}}
            kept.keep({**update, "display_id": f"{number}"})
            kept.keep({**update, "data": {"text/plain": f"{number}" * 900}, "display_id": f"{number}"})
            kept.keep({"output_type": "clear_output"})
    assert len(json.dumps(cells)) < 2 * outputs.MAX_OF_NOTEBOOK
    assert kept.size == sum(outputs._size(output) for cell in cells for output in cell)


def test_the_name_of_an_output_is_short() -> None:
    """5000 names of 16 MB would be kept."""
    kept = outputs.Outputs()
    kept.begin_cell()
    for name in ("x" * 10**6, "x" * 10**6 + "y"):
        kept.keep({"output_type": "display_data", "data": {"text/plain": "x"}, "display_id": name})
    assert sum(map(len, kept.displayed)) <= 2 * outputs.MAX_ID


# -- what references answer ---------------------------------------------------------------------------


def loops(n: float) -> float:
    while n:
        n += 1
    return n


def test_a_reference_that_loops_as_often_as_it_is_told_is_ended_in_time() -> None:
    oracle = Oracle({"loops": loops})
    with pytest.raises(TimeoutError, match="the time of this call is over"):
        oracle.answer("loops", [1.0], {}, time.monotonic() + 0.2)
    assert oracle.answer("loops", [0.0], {}, time.monotonic() + 5) == 0.0


class Thing:
    """A class that stays outside."""

    def same(self) -> Thing:
        return self


def test_names_of_objects_are_not_many_and_forgetting_them_takes_no_longer_than_the_call(monkeypatch) -> None:
    monkeypatch.setattr("autograder.wall.oracle.MAX_OBJECTS", 1000)
    oracle = Oracle({"Thing": Thing})
    oracle.begin_case()
    soon = time.monotonic() + 60
    oracle.answer(OBJECTS, ['[[1, "Thing", [], {}]]', []], {}, soon)
    again = json.dumps([[number * (2**61 - 1), ".same", [[1]], {}] for number in range(2, 3000)])
    with pytest.raises(MemoryError, match="more than 2000 names"):
        oracle.answer(OBJECTS, [again, []], {}, soon)
    with pytest.raises(TimeoutError):
        oracle.answer(OBJECTS, ["[]", [number * (2**61 - 1) for number in range(100_000)]], {}, time.monotonic() + 0.1)
    with pytest.raises(Malformed, match="values"):
        oracle.answer(OBJECTS, ["[" + "[]," * messages.MAX_VALUES + "[]]", []], {}, soon)

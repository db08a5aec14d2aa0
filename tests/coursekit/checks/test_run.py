"""How a case runs a student's code."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from coursekit.checks.cases import Case, Step
from coursekit.checks.codec import Generator, Opaque, Ref
from coursekit.checks.probes import MAX_KEPT, Probe
from coursekit.checks.run import StepOutcome, plain, run_case

Cell = Callable[..., Any]


def once(function: Any, *args: Any, **settings: Any) -> StepOutcome:
    return run_case(Case("", (Step("f", args, **settings),)), {"f": function})[0]


# -- arguments -----------------------------------------------------------------------------------


def test_arguments_go_in_as_copies() -> None:
    X, names = np.ones((2, 2)), [3, 1, 2]

    def spoil(X: np.ndarray, names: list[int]) -> float:
        X *= 0
        names.sort()
        return float(X.sum())

    outcome = once(spoil, X, names)
    assert outcome.returned == 0
    assert X.sum() == 4
    assert names == [3, 1, 2]


def test_a_changed_argument_is_noted_with_what_it_is_afterwards() -> None:
    def spoil(a: np.ndarray, b: np.ndarray) -> None:
        b[0] = 7

    outcome = once(spoil, np.zeros(2), np.zeros(2))
    assert list(outcome.changed) == [1]
    np.testing.assert_array_equal(outcome.changed[1], [7, 0])


def test_an_argument_that_is_put_back_or_only_read_is_not_noted() -> None:
    def careful(x: np.ndarray) -> None:
        old = x[0]
        x[0] = 5
        x[0] = old

    assert once(careful, np.array([1.0, np.nan])).changed == {}


@pytest.mark.parametrize(
    "change",
    ["x.shape = (4,)", "x.shape = (1, 4)", "x.dtype = np.int64", "x.dtype = [('a', 'f8'), ('b', 'f8')]"],
)
def test_a_changed_shape_or_dtype_is_noted(change: str, cell: Cell) -> None:
    spoil = cell(f"import warnings\ndef f(x):\n    warnings.simplefilter('ignore')\n    {change}\n", "f")
    assert list(once(spoil, np.zeros((2, 2))).changed) == [0]


def test_arguments_by_name_are_handed_over() -> None:
    outcome = once(lambda a, b=1, *, c=2: (a, b, c), 5, kwargs={"c": 9})
    assert outcome.returned == (5, 1, 9)


def test_a_generator_is_made_afresh_for_each_call() -> None:
    def draw(rng: np.random.Generator) -> float:
        return float(rng.random())

    first, second = once(draw, Generator(3)).returned, once(draw, Generator(3)).returned
    assert first == second == np.random.default_rng(3).random()
    assert once(draw, Generator(4)).returned != first


# -- results -------------------------------------------------------------------------------------


def test_results_are_copies_of_what_is_returned() -> None:
    kept = np.zeros(2)
    outcome = once(lambda: kept)
    kept += 1
    np.testing.assert_array_equal(outcome.returned, [0, 0])


def test_what_could_not_cross_the_wall_does_not_cross_here_either() -> None:
    assert isinstance(once(lambda: (i for i in range(3))).returned, Opaque)
    assert plain({"a": object()})["a"].kind == "object"


# -- what goes wrong -----------------------------------------------------------------------------


def test_an_exception_becomes_a_failure_with_the_students_lines_alone(cell: Cell) -> None:
    f = cell(
        """
        def helper(x):
            return np.linalg.inv(x)

        def f(x):
            return helper(x) + 1
        """,
        "f",
    )
    failure = once(f, np.zeros((2, 2))).failure
    assert failure is not None
    assert failure.kind == "LinAlgError"
    assert failure.message == "Singular matrix"
    assert failure.where == ("in f, line 6: return helper(x) + 1", "in helper, line 3: return np.linalg.inv(x)")


def test_a_deep_recursion_is_told_in_six_lines(cell: Cell) -> None:
    failure = once(cell("def f(x):\n    return f(x)\n", "f"), 1).failure
    assert failure is not None
    assert failure.kind == "RecursionError"
    assert len(failure.where) == 6


@pytest.mark.parametrize("statement", ["raise SystemExit(1)", "exit()", "import sys; sys.exit('bye')"])
def test_ending_the_program_is_a_failure_like_others(statement: str, cell: Cell) -> None:
    failure = once(cell(f"def f():\n    {statement}\n", "f", exit=sys.exit)).failure
    assert failure is not None
    assert failure.kind == "SystemExit"


def test_the_users_interrupt_is_not_swallowed() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once(interrupted)


def test_an_exception_that_cannot_be_printed_is_a_failure_too() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    def f() -> None:
        raise Mute

    failure = once(f).failure
    assert failure is not None
    assert failure.kind == "Mute"
    assert "ValueError" in failure.message


def test_a_wrong_number_of_arguments_is_a_failure_without_lines_of_the_kit() -> None:
    failure = once(lambda x: x, 1, 2).failure
    assert failure is not None
    assert failure.kind == "TypeError"
    assert failure.where == ()


# -- what it says --------------------------------------------------------------------------------


def test_warnings_become_notes_and_cost_nothing() -> None:
    def f(x: np.ndarray) -> np.ndarray:
        warnings.warn("careful", UserWarning, stacklevel=1)
        return np.log(x)

    outcome = once(f, np.zeros(2))
    assert outcome.failure is None
    assert outcome.notes == ["RuntimeWarning: divide by zero encountered in log", "UserWarning: careful"]


def test_warnings_made_into_errors_by_the_notebook_are_notes_all_the_same() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert once(lambda: np.log(np.zeros(1))).failure is None


def test_what_the_notebook_set_with_seterr_stops_no_one() -> None:
    with np.errstate(all="raise"):
        outcome = once(lambda: np.exp(np.array([-1000.0, 1000.0])))
    assert outcome.failure is None
    assert outcome.notes == ["RuntimeWarning: overflow encountered in exp"]


def test_what_is_written_to_stderr_comes_out_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    once(lambda: print("progress", file=sys.stderr))
    captured = capsys.readouterr()
    assert captured.out == "progress\n"
    assert captured.err == ""


# -- probes --------------------------------------------------------------------------------------


def test_a_probe_records_its_calls_with_copies() -> None:
    def walk(f: Callable[..., float]) -> None:
        x = np.zeros(2)
        for _ in range(3):
            f(x)
            x += 1

    probe = Probe("wave", {"a": np.ones(2)})
    outcome = once(walk, probe)
    assert [call.arguments["x"].tolist() for call in outcome.calls] == [[0, 0], [1, 1], [2, 2]]
    assert [call.result for call in outcome.calls] == [0.0, np.sin(2.0), np.sin(4.0)]
    assert probe.calls == [], "the case's own probe stays as it is, for the next student"


def test_a_probe_takes_its_arguments_by_name_too() -> None:
    probe = Probe("cubic", {name: np.ones(1) for name in "abc"})
    assert probe(x=np.array([2.0])) == 14.0


@pytest.mark.parametrize("args", [(), (1, 2)])
def test_a_probe_says_what_it_takes(args: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match=r"takes 1 arguments, \(x\)"):
        Probe("wave", {"a": np.ones(1)})(*args)
    with pytest.raises(TypeError, match=r"by name"):
        Probe("wave", {"a": np.ones(1)})(np.ones(1), y=2)


def test_an_unknown_probe_is_refused() -> None:
    with pytest.raises(ValueError, match="no probe 'exec'"):
        Probe("exec")


@pytest.mark.parametrize(
    "arguments",
    [
        {"X": np.ones((4, 2))},
        {"X": np.ones(3)},
        {"W": np.ones((2, 3))},
        {"W": np.ones((3, 100_000))},
        {"X": np.ones((100_000, 3)), "y": np.zeros((100_000, 1), dtype=int)},
        {"y": np.zeros((4, 1), dtype=int)},
        {"y": 0},
        {"reg": np.ones((1000, 1, 1))},
    ],
)
def test_a_loss_probe_refuses_shapes_that_do_not_fit_before_it_computes(arguments: dict[str, Any]) -> None:
    right = {"W": np.ones((3, 2)), "X": np.ones((4, 3)), "y": np.zeros(4, dtype=int), "reg": 0.5}
    probe = Probe("least_squares", {"targets": np.ones((2, 2))})
    assert np.isfinite(probe(**right)[0])
    with pytest.raises(ValueError, match="came as"):
        probe(**{**right, **arguments})


def test_a_function_probe_refuses_another_shape() -> None:
    with pytest.raises(ValueError, match=r"x has to be of shape \(2, 3\); it came as one of shape \(6,\)"):
        Probe("cubic", {name: np.ones((2, 3)) for name in "abc"})(np.ones(6))


def test_a_probe_does_not_fill_the_memory() -> None:
    probe = Probe("wave", {"a": np.ones(1)})
    probe.kept = MAX_KEPT
    with pytest.raises(RuntimeError, match="too often"):
        probe(np.ones(1))


# -- steps ---------------------------------------------------------------------------------------


class Counter:
    def __init__(self, start: int) -> None:
        self.total = np.array(start)

    def add(self, amount: int) -> tuple[str, dict[str, int]]:
        self.total = self.total + amount
        return "cache", {"amount": amount}

    def undo(self, cache: dict[str, int]) -> None:
        self.total = self.total - cache["amount"]


def test_an_object_is_made_used_and_read() -> None:
    steps = (
        Step("Counter", (3,), save_as="counter"),
        Step("counter.add", (4,), save_as="added"),
        Step("counter.total", evaluate=True),
        Step("counter.undo", (Ref("added", 1),)),
        Step("counter.total", evaluate=True),
        Step("f", (Ref("counter"),)),
    )
    outcomes = run_case(Case("a counter", steps), {"Counter": Counter, "f": lambda counter: int(counter.total)})
    assert [outcome.failure for outcome in outcomes] == [None] * 6
    assert isinstance(outcomes[0].returned, Opaque), "objects stay on the student's side"
    assert [int(outcomes[2].returned), int(outcomes[4].returned), outcomes[5].returned] == [7, 3, 3]


def test_each_case_starts_with_nothing_saved() -> None:
    case = Case("one", (Step("Counter", (0,), save_as="c"), Step("c.add", (1,)), Step("c.total", evaluate=True)))
    assert [int(run_case(case, {"Counter": Counter})[-1].returned) for _ in range(2)] == [1, 1]


def test_a_case_ends_with_the_first_step_that_raises() -> None:
    case = Case("one", (Step("Counter", (0,), save_as="c"), Step("c.nothing", (1,)), Step("c.total", evaluate=True)))
    outcomes = run_case(case, {"Counter": Counter})
    assert len(outcomes) == 2
    assert outcomes[1].failure is not None
    assert outcomes[1].failure.kind == "AttributeError"


@pytest.mark.parametrize("returned", [None, 5, np.zeros(3), (1,), []])
def test_a_cache_that_was_not_returned_is_a_failure_in_words(returned: Any) -> None:
    case = Case("one", (Step("f", save_as="forward"), Step("g", (Ref("forward", 1),))))
    outcomes = run_case(case, {"f": lambda: returned, "g": lambda cache: cache})
    assert outcomes[0].failure is None
    assert outcomes[1].failure is not None
    assert outcomes[1].failure.message == "the call before this one has to return at least 2 values"


def test_code_of_exec_shows_no_source_of_another_program() -> None:
    # `python -c` and `exec` both call their file "<string>", and Python 3.13 knows the source of the first.
    code = """
from coursekit.checks.cases import Case, Step
from coursekit.checks.run import run_case
namespace = {}
exec("def f():\\n    return 1 / 0", namespace)
print(run_case(Case("c", (Step("f", ()),)), namespace)[0].failure.where)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "('in f, line 2',)\n"

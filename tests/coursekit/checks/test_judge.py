"""From results to points, and to an explanation only where it is certain."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coursekit.checks.cases import Case, Exercise, Expected, Step
from coursekit.checks.judge import examine
from coursekit.checks.report import Report
from coursekit.checks.run import Failure, StepOutcome, run_case

# An exercise: f(x) returns the sum of x² and its gradient 2x; for large x, too.  Halving is a known mistake.
MISTAKES = {"half": "It is half of it.", "sign": "The sign is flipped.", "sign/second": "The second sign is flipped."}


def wrong(value: Any, **mistakes: Any) -> dict[str, Any]:
    return {"half": np.asarray(value) / 2, "sign": -np.asarray(value), **mistakes}


def square_case(x: Any, part: str = "", **options: Any) -> Case:
    x = np.asarray(x, dtype=float)
    loss, gradient = float(np.sum(x**2)), 2 * x
    expected = (
        Expected("loss", loss, part or "loss", options=options, mistakes=wrong(loss), at=(0,)),
        Expected("dx", gradient, part or "gradient", options=options, mistakes=wrong(gradient), at=(1,)),
    )
    return Case(f"x = {x.tolist()}", (Step("f", (x,), expected=expected, names=("x",)),))


EXERCISE = Exercise(
    name="f",
    functions=("f",),
    parts={"loss": 2.0, "gradient": 3.0, "large": 1.0},
    cases=(square_case([1.0, 2.0]), square_case([0.5]), square_case([300.0, 1.0], "large", large="large x")),
    mistakes=MISTAKES,
)


def judged(f: Any, exercise: Exercise = EXERCISE) -> Report:
    return examine(exercise, lambda case: run_case(case, {"f": f}))


def earned(report: Report) -> dict[str, float]:
    return {part.name: part.earned for part in report.parts}


def codes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings]


def right(x: np.ndarray) -> Any:
    return np.sum(x**2), 2 * x


# -- points --------------------------------------------------------------------------------------


def test_whoever_is_right_gets_every_point() -> None:
    report = judged(right)
    assert (report.status, report.score, report.points) == ("passed", 6.0, 6.0)
    assert report.findings == ()


def test_each_part_is_earned_by_itself() -> None:
    assert earned(judged(lambda x: (np.sum(x**2), 0 * x))) == {"loss": 2, "gradient": 0, "large": 0}
    assert earned(judged(lambda x: (0.0, 2 * x))) == {"loss": 0, "gradient": 3, "large": 0}
    assert earned(judged(lambda x: (np.sum(x**2), 2 * x * (1 if x[0] < 100 else 2)))) == {
        "loss": 2,
        "gradient": 3,
        "large": 0,
    }
    assert judged(lambda x: (np.sum(x**2), 0 * x)).status == "partly"
    assert judged(lambda x: (0.0, 0 * x)).status == "failed"


def test_a_part_is_lost_with_any_one_of_its_cases() -> None:
    assert earned(judged(lambda x: (np.sum(x**2), 2 * x if len(x) > 1 else x)))["gradient"] == 0


def test_a_result_that_is_slightly_wrong_earns_nothing() -> None:
    assert judged(lambda x: (1.0005 * np.sum(x**2), 2 * x)).score == 3
    assert judged(lambda x: (np.sum(x**2), 2.001 * x)).score == 2


def test_an_exception_costs_only_what_it_touches() -> None:
    def f(x: np.ndarray) -> Any:
        if x[0] > 100:
            raise OverflowError("too large")
        return right(x)

    report = judged(f)
    assert earned(report) == {"loss": 2, "gradient": 3, "large": 0}
    assert codes(report) == ["error"]
    assert report.findings[0].message == "OverflowError: too large"
    assert any("raise OverflowError" in line for line in report.findings[0].where)


def test_exceptions_everywhere_are_an_error() -> None:
    report = judged(lambda x: 1 / 0)
    assert (report.status, report.score) == ("error", 0.0)
    assert codes(report) == ["error"]


# -- not written, too late -----------------------------------------------------------------------


def test_what_is_not_written_is_told_calmly() -> None:
    def f(x: np.ndarray) -> Any:
        raise NotImplementedError()

    report = judged(f)
    assert (report.status, report.score, report.points) == ("not written", 0.0, 6.0)
    assert codes(report) == ["not-written"]
    assert report.summary() == "f: not written yet."


def test_what_is_half_written_keeps_its_points() -> None:
    def f(x: np.ndarray) -> Any:
        if x[0] > 100:
            raise NotImplementedError("large x")
        return right(x)

    report = judged(f)
    assert report.status == "partly"
    assert earned(report) == {"loss": 2, "gradient": 3, "large": 0}


def late(case: Case) -> list[StepOutcome]:
    return [StepOutcome(failure=Failure("Timeout", "Not finished after 3 s."))]


def test_after_a_timeout_nothing_more_is_run_and_what_was_right_stays() -> None:
    ran = []

    def run(case: Case) -> list[StepOutcome]:
        ran.append(case.title)
        return late(case) if len(ran) == 3 else run_case(case, {"f": right})

    exercise = replace(EXERCISE, cases=(*EXERCISE.cases, square_case([7.0], "large")))
    report = examine(exercise, run)
    assert len(ran) == 3
    assert report.status == "timeout"
    assert codes(report) == ["timeout"]
    assert earned(report) == {"loss": 2, "gradient": 3, "large": 0}


def test_what_was_never_run_earns_nothing() -> None:
    """Not even if a verdict of another kind (on loops) makes up their number."""
    last = square_case([7.0], "large")
    alone = Case(last.title, (replace(last.steps[0], expected=last.steps[0].expected[:1]),))
    exercise = replace(
        EXERCISE,
        parts={**EXERCISE.parts, "vectorised": 1.0},
        no_loop_over=("x",),
        cases=(EXERCISE.cases[2], square_case([1.0, 2.0]), alone),
    )
    ran = []

    def run(case: Case) -> list[StepOutcome]:
        ran.append(case)
        return late(case) if len(ran) == 2 else run_case(case, {"f": right})

    report = examine(exercise, run)
    assert earned(report)["large"] == 0
    assert report.score == 0


# -- what came back ------------------------------------------------------------------------------


def test_none_is_called_a_missing_return() -> None:
    report = judged(lambda x: None)
    assert codes(report) == ["returned-none"]
    assert "return (loss, dx)" in report.verdicts[0].message


@pytest.mark.parametrize("result", [1.0, (1.0,), (1.0, 2.0, 3.0), np.zeros(2), "two"])
def test_a_wrong_number_of_values_is_counted(result: Any) -> None:
    report = judged(lambda x: result)
    assert report.score == 0
    assert codes(report) == ["wrong-number-of-values"]
    count = len(result) if isinstance(result, tuple) else 1
    assert f"the call returned {count} value" in report.verdicts[0].message


def test_a_list_of_the_right_length_is_as_good_as_a_tuple() -> None:
    assert judged(lambda x: list(right(x))).passed


def test_changed_arguments_are_noted_and_cost_nothing() -> None:
    def f(x: np.ndarray) -> Any:
        result = right(x.copy())
        x *= 0
        return result

    report = judged(f)
    assert report.passed
    assert report.notes == ("argument number 1 is changed by the call (it costs nothing here)",)


def test_changed_arguments_cost_points_where_the_exercise_says_so() -> None:
    x = np.array([1.0])
    untouched = Expected("x", x, "kept", compare="unchanged", where="argument 0")
    exercise = Exercise("f", ("f",), {"kept": 1.0}, (Case("one", (Step("f", (x,), expected=(untouched,)),)),))

    def spoil(x: np.ndarray) -> None:
        x += 1

    report = judged(spoil, exercise)
    assert codes(report) == ["input-modified"]
    assert report.notes == ()
    assert judged(lambda x: None, exercise).passed


# -- explanations --------------------------------------------------------------------------------


def test_a_known_mistake_is_named_where_it_explains_everything() -> None:
    report = judged(lambda x: (np.sum(x**2) / 2, x))
    assert [(finding.code, finding.message) for finding in report.findings] == [("half", "It is half of it.")]


def test_a_known_mistake_in_one_result_is_named_alone() -> None:
    assert codes(judged(lambda x: (np.sum(x**2), x))) == ["half"]


def test_two_mistakes_in_two_results_are_both_named() -> None:
    assert codes(judged(lambda x: (np.sum(x**2) / 2, -2 * x))) == ["half", "sign"]


def test_nothing_is_named_where_nothing_known_explains_it() -> None:
    for f in (lambda x: (0.3 * np.sum(x**2), 2 * x), lambda x: (np.sum(x**2), x + 0.01), lambda x: (7.0, x**3)):
        report = judged(f)
        assert report.score < report.points
        assert codes(report) == []


def test_one_lucky_agreement_proves_nothing() -> None:
    """Right in one case and half in the other is not what halving does."""
    assert codes(judged(lambda x: (np.sum(x**2), x * (1 if len(x) > 1 else 2)))) == []
    assert codes(judged(lambda x: (np.sum(x**2), x * (1 if len(x) > 1 else 0.9)))) == []


def test_what_a_mistake_says_nothing_of_must_be_right() -> None:
    silent = square_case([3.0])
    step = silent.steps[0]
    step = replace(step, expected=tuple(replace(item, mistakes={}) for item in step.expected))
    exercise = replace(EXERCISE, cases=(*EXERCISE.cases, Case("three", (step,))))
    assert codes(judged(lambda x: (np.sum(x**2), x), exercise)) == []
    assert codes(judged(lambda x: (np.sum(x**2), x * (1 if x[0] != 3 else 2)), exercise)) == ["half"]


def test_the_form_of_a_mistake_is_not_part_of_its_code() -> None:
    def second(item: Expected) -> Expected:
        flipped = np.asarray(item.value) * np.where(np.arange(np.size(item.value)) == 1, -1, 1)
        return replace(item, mistakes={"sign/second": flipped} if item.name == "dx" else {})

    cases = tuple(
        Case(case.title, (replace(case.steps[0], expected=tuple(map(second, case.steps[0].expected))),))
        for case in EXERCISE.cases
    )

    def f(x: np.ndarray) -> Any:
        dx = 2 * x
        dx[1:2] *= -1
        return np.sum(x**2), dx

    report = judged(f, replace(EXERCISE, cases=cases))
    assert [(finding.code, finding.message) for finding in report.findings] == [("sign", MISTAKES["sign/second"])]


@pytest.mark.parametrize("layout", [np.ravel, np.atleast_2d])
def test_a_mistake_is_named_in_either_layout_of_a_row_vector(layout: Callable[[Any], Any]) -> None:
    exercise = replace(EXERCISE, cases=(square_case([1.0, 2.0], row=True),), parts={"loss": 2.0, "gradient": 3.0})
    assert judged(lambda x: (np.sum(x**2), layout(2 * x)), exercise).passed
    report = judged(lambda x: (np.sum(x**2), layout(x)), exercise)
    assert (report.score, codes(report)) == (2, ["half"])


def test_an_overflow_is_named_beside_the_mistake_that_explains_the_rest() -> None:
    def f(x: np.ndarray) -> Any:
        return np.sum(x**2) / 2 * (np.nan if x[0] > 100 else 1), 2 * x

    assert codes(judged(f)) == ["half", "unstable"]


def test_an_overflow_alone_does_not_prove_a_mistake() -> None:
    report = judged(lambda x: (np.sum(x**2) * (np.nan if x[0] > 100 else 1), 2 * x))
    assert codes(report) == ["unstable"]


def test_one_overflow_that_shows_in_two_results_is_told_once_and_where_it_began() -> None:
    first, second = square_case([300.0], "large", large="x", code="unstable"), square_case([900.0], "large", large="x")
    step = second.steps[0]
    later = replace(
        step, expected=tuple(replace(item, options={"large": "x", "code": "half"}) for item in step.expected)
    )
    exercise = replace(EXERCISE, cases=(*EXERCISE.cases[:2], first, Case("later", (later,))))

    def f(x: np.ndarray) -> Any:
        return np.sum(x**2) * (np.nan if x[0] > 100 else 1), 2 * x * (np.nan if x[0] > 500 else 1)

    assert codes(judged(f, exercise)) == ["unstable"]


def test_wrong_shapes_are_named() -> None:
    assert codes(judged(lambda x: (np.sum(x**2), (2 * x)[:, None]))) == ["wrong-shape"]
    assert codes(judged(lambda x: (x**2, 2 * x))) == ["wrong-shape"]


def test_a_code_that_nobody_described_is_told_by_its_comparison() -> None:
    exercise = replace(
        EXERCISE, cases=(square_case([300.0], "large", large="x", code="strange"),), parts={"large": 1.0}
    )
    report = judged(lambda x: (np.nan, 2 * x), exercise)
    assert codes(report) == ["strange"]
    assert "not finite" in report.findings[0].message


# -- without loops -------------------------------------------------------------------------------

VECTORISED = replace(EXERCISE, parts={**EXERCISE.parts, "vectorised": 2.0}, no_loop_over=("x",))


def looping(x: np.ndarray) -> Any:
    return sum(number**2 for number in x), 2 * x


def test_a_loop_costs_the_points_for_vectorising_and_nothing_else() -> None:
    report = judged(looping, VECTORISED)
    assert earned(report) == {"loss": 2, "gradient": 3, "large": 1, "vectorised": 0}
    assert codes(report) == ["loops-over-examples"]
    assert "f loops over the examples: return sum(number**2 for number in x), 2 * x" in report.text()
    assert judged(right, VECTORISED).score == 8


def test_a_function_that_is_wrong_earns_nothing_for_having_no_loop() -> None:
    report = judged(lambda x: (0.0, 0 * x), VECTORISED)
    assert report.score == 0
    assert report.status == "failed"


def test_one_right_part_keeps_the_points_for_having_no_loop() -> None:
    assert judged(lambda x: (np.sum(x**2), 0 * x), VECTORISED).score == 4


def test_lines_are_counted_in_a_case_that_works_and_has_examples_enough() -> None:
    def works_for_two(x: np.ndarray) -> Any:
        if len(x) == 1:
            raise ValueError("one is too few")
        return looping(x)

    report = judged(works_for_two, VECTORISED)
    assert [verdict.ok for verdict in report.verdicts if verdict.part == "vectorised"] == [False]
    assert earned(report) == {"loss": 0, "gradient": 0, "large": 1, "vectorised": 0}


def test_what_works_for_no_case_is_not_counted() -> None:
    report = judged(lambda x: x[99], VECTORISED)
    assert not [verdict for verdict in report.verdicts if verdict.part == "vectorised"]
    assert (report.score, report.status) == (0, "error")


def test_what_cannot_be_counted_earns_no_points_for_vectorising() -> None:
    def untraced(x: np.ndarray) -> Any:
        sys.settrace(None)
        return looping(x)

    report = judged(untraced, VECTORISED)
    assert earned(report) == {"loss": 2, "gradient": 3, "large": 1, "vectorised": 0}
    assert "sys.settrace" in report.text()


def test_a_call_that_fails_for_many_examples_earns_no_points_for_vectorising() -> None:
    def few_only(x: np.ndarray) -> Any:
        assert len(x) < 100, "too many"
        return right(x)

    report = judged(few_only, VECTORISED)
    assert earned(report) == {"loss": 2, "gradient": 3, "large": 1, "vectorised": 0}
    assert "AssertionError: too many" in report.text()


def test_what_is_printed_while_lines_are_counted_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    def talking(x: np.ndarray) -> Any:
        print("called")
        return right(x)

    assert judged(talking, VECTORISED).passed
    assert capsys.readouterr().out == "called\n" * len(VECTORISED.cases)


# -- several steps -------------------------------------------------------------------------------


def test_steps_that_were_not_reached_are_wrong_and_the_one_that_raised_is_told() -> None:
    def step(target: str, value: float) -> Step:
        return Step(target, expected=(Expected(target, value, "all"),))

    exercise = Exercise("g", ("f", "g"), {"all": 1.0}, (Case("both", (step("f", 1.0), step("g", 2.0))),))

    def runner(f: Callable[[], Any]) -> Callable[[Case], list[StepOutcome]]:
        return lambda case: run_case(case, {"f": f, "g": lambda: 2.0})

    assert examine(exercise, runner(lambda: 1.0)).passed
    report = examine(exercise, runner(lambda: 1 / 0))
    assert [verdict.message for verdict in report.verdicts] == [
        "is missing: ZeroDivisionError: division by zero",
        "was not reached",
    ]
    assert codes(report) == ["error"]


def test_the_time_of_all_calls_is_added_up() -> None:
    def slow(x: np.ndarray) -> Any:
        time.sleep(0.01)
        return right(x)

    assert judged(slow).seconds >= 0.03


# -- two mistakes at once, and those of any exercise -----------------------------------------------

# f(W) = ΣW + ΣW² with the gradient 1 + 2W.  Known mistakes: the first term doubled, the second missing.


def sum_and_squares(shape: tuple[int, ...]) -> Case:
    W = np.arange(1.0, 1 + np.prod(shape)).reshape(shape) / 3
    right = 1 + 2 * W
    known = {"first-twice": 2 + 2 * W, "second-missing": np.ones(shape)}
    step = Step("f", (W,), expected=(Expected("dW", right, "all", mistakes=known),), names=("W",))
    return Case(str(shape), (step,))


TWO_TERMS = Exercise(
    name="f",
    functions=("f",),
    parts={"all": 1.0},
    cases=(sum_and_squares((2, 2)), sum_and_squares((2, 3))),
    mistakes={"first-twice": "The first counts twice.", "second-missing": "The second is missing."},
)


def test_two_mistakes_at_once_are_both_named() -> None:
    assert codes(judged(lambda W: 2 * np.ones_like(W), TWO_TERMS)) == ["first-twice", "second-missing"]
    assert codes(judged(lambda W: np.ones_like(W), TWO_TERMS)) == ["second-missing"]


def test_nearly_two_mistakes_are_not_named() -> None:
    assert codes(judged(lambda W: 2.001 * np.ones_like(W), TWO_TERMS)) == []


def test_two_mistakes_must_both_have_been_made() -> None:
    at_one_size = lambda W: 2 * np.ones_like(W) if W.size == 4 else np.ones_like(W)  # noqa: E731
    assert codes(judged(at_one_size, TWO_TERMS)) == []


def test_what_shows_in_any_array_needs_no_telling() -> None:
    for wrong_gradient, code in (
        (lambda W: -(1 + 2 * W), "sign"),
        (lambda W: 2 * (1 + 2 * W), "scale"),
        (lambda W: (1 + 2 * W) / 2, "scale"),
        (lambda W: 0 * W, "gradient-zero"),
    ):
        assert codes(judged(wrong_gradient, TWO_TERMS)) == [code]
    square = Exercise("f", ("f",), {"all": 1.0}, (sum_and_squares((3, 3)),))
    assert codes(judged(lambda W: (1 + 2 * W).T, square)) == ["transposed"]

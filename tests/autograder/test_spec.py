"""How an assignment says what is graded, and what it is told where it says it wrongly."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pytest

from autograder import spec
from autograder.answers import with_read_mistakes
from autograder.bundle import Bundle
from autograder.cases import public
from autograder.mistakes import instead, sign, zero
from autograder.spec import (
    ANYTHING,
    FROM_REFERENCE,
    Assignment,
    Mistake,
    Refused,
    call,
    case,
    evaluate,
    expect,
    shipped,
    value_and_gradient,
)
from coursekit.checks.cases import Case, Exercise, Expected, load, save
from coursekit.checks.compare import agrees
from coursekit.checks.judge import examine
from coursekit.checks.probes import Probe
from coursekit.checks.report import Report
from coursekit.checks.run import run_case

GOOD = """
    from autograder.spec import Assignment, case
    assignment = Assignment("tiny")

    @assignment.exercise("double", parts={"value": 3})
    def double_cases(rng):
        x = rng.normal(size=3)
        yield case("3 numbers", "double", {"x": x}, {"result": 2 * x}, parts="value")
"""


def loaded(source: str) -> Assignment:
    return spec.load(Bundle("tiny", {"checks.py": textwrap.dedent(source)}))


# -- loading -------------------------------------------------------------------------------------


def test_a_description_becomes_an_exercise() -> None:
    exercise = loaded(GOOD).make("double", np.random.default_rng(0))
    assert (exercise.name, exercise.functions, dict(exercise.parts)) == ("double", ("double",), {"value": 3})
    (only,) = exercise.cases
    assert only.title == "3 numbers"
    assert only.steps[0].names == ("x",)
    np.testing.assert_array_equal(only.steps[0].expected[0].value, 2 * only.steps[0].args[0])


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("", r"defines no `assignment = Assignment\(...\)`"),
        ("assignment = 5", "defines no `assignment"),
        ("assignment = ", "SyntaxError"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise KeyError('x')", "KeyError"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_its_name(source: str, told: str) -> None:
    with pytest.raises(Refused, match=told) as refusal:
        loaded(source)
    assert "tiny/checks.py" in str(refusal.value)


def test_an_exercise_that_is_described_twice_is_refused() -> None:
    again = GOOD + GOOD[GOOD.index("    @assignment") :]
    with pytest.raises(Refused, match="tiny: the exercise 'double' is described twice"):
        loaded(again)


def test_a_refusal_keeps_its_own_words() -> None:
    with pytest.raises(Refused, match=r"^in my own words$"):
        loaded("from autograder.spec import Refused\nraise Refused('in my own words')")


def test_points_for_vectorising_need_arguments_without_loops_and_the_other_way_round() -> None:
    with pytest.raises(Refused, match="go together"):
        loaded(GOOD.replace('{"value": 3}', '{"value": 3, "vectorised": 1}'))
    with pytest.raises(Refused, match="go together"):
        loaded(GOOD.replace('{"value": 3}', '{"value": 3}, no_loop_over=["x"]'))
    both = loaded(GOOD.replace('{"value": 3}', '{"value": 3, "vectorised": 1}, no_loop_over=["x"]'))
    assert both.make("double", np.random.default_rng(0)).points == 4
    other = loaded(GOOD.replace('{"value": 3}', '{"value": 3, "vectorised": 1}, no_loop_over=["z"]'))
    with pytest.raises(Refused, match=r"tiny/double: no call has rows in one of the arguments \['z'\]"):
        other.make("double", np.random.default_rng(0))


@pytest.mark.parametrize("parts", ['{"value": 3, "shape": 1}', '{"result": 3}', "{}"])
def test_parts_that_no_case_awards_are_refused(parts: str) -> None:
    with pytest.raises(Refused, match="tiny/double: the cases award"):
        loaded(GOOD.replace('{"value": 3}', parts)).make("double", np.random.default_rng(0))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("x = rng.normal(size='three')", "TypeError"),
        ("x = 1 / 0", "ZeroDivisionError"),
        ("x = rng.normal(size=3); yield 5", "AttributeError"),
    ],
)
def test_cases_that_cannot_be_made_are_refused_with_the_exercises_name(line: str, told: str) -> None:
    assignment = loaded(GOOD.replace("x = rng.normal(size=3)", line))
    with pytest.raises(Refused, match=f"tiny/double: its cases cannot be made: {told}"):
        assignment.make("double", np.random.default_rng(0))


def test_a_mistake_that_cannot_be_computed_is_refused_too() -> None:
    broken = Mistake("broken", "", lambda right, args: {"result": args["no such argument"]})
    with pytest.raises(Refused, match="its cases cannot be made: KeyError"):
        described([broken]).make("double", np.random.default_rng(0))


def test_what_mistakes_give_is_computed_only_where_something_is_wrong() -> None:
    broken = Mistake("broken", "", lambda right, args: {"result": args["no such argument"]})
    exercise = described([broken]).make("double", np.random.default_rng(0), lazy_mistakes=True)
    assert examine(exercise, lambda made: run_case(made, {"double": lambda x: 2 * x})).passed
    with pytest.raises(Refused, match="tiny/double: its cases cannot be made: KeyError"):
        examine(exercise, lambda made: run_case(made, {"double": lambda x: 3 * x}))


def test_only_what_mistakes_give_that_was_read_is_stored() -> None:
    exercise = described([sign("result")]).make("double", np.random.default_rng(0), lazy_mistakes=True)
    first, _ = with_read_mistakes(exercise).cases
    assert first.steps[0].expected[0].mistakes == {}
    assert not examine(exercise, lambda made: run_case(made, {"double": lambda x: -2 * x})).passed
    first, _ = with_read_mistakes(exercise).cases
    assert set(first.steps[0].expected[0].mistakes) == {"sign"}


def test_two_mistakes_with_one_code_are_refused() -> None:
    with pytest.raises(Refused, match="two mistakes have the code 'sign'"):
        described([sign("result"), zero("result"), sign("result")])


def test_the_engine_is_forbidden_unless_it_is_allowed_and_others_always_are() -> None:
    for engine in ("coursekit.autograd", "coursekit.tracing"):  # the second writes the gradients as a program
        assert engine in Assignment("a").forbidden
        assert engine not in Assignment("a", engine_allowed=True).forbidden
    assert "coursekit.gradcheck" in Assignment("a").forbidden  # its numerical gradient is an answer
    assert "coursekit.gradcheck" not in Assignment("a", engine_allowed=True).forbidden
    for assignment in (Assignment("a"), Assignment("a", engine_allowed=True)):
        assert {"torch", "jax", "tensorflow"} <= set(assignment.forbidden)


# -- mistakes ------------------------------------------------------------------------------------


def described(mistakes: list[Mistake], *more: Case) -> Assignment:
    """`double` with these mistakes: a case that tells them apart, one that does not, and `more`."""
    assignment = Assignment("tiny")

    @assignment.exercise("double", parts={"value": 3}, mistakes=mistakes)
    def cases(rng: np.random.Generator) -> Any:
        for x in (rng.normal(size=3), np.zeros(3)):
            yield case("x", "double", {"x": x}, {"result": 2 * x}, parts="value")
        yield from more

    return assignment


def test_what_a_mistake_gives_is_stored_where_it_differs_from_what_is_right() -> None:
    mistakes = [sign("result"), instead("half", "Halved.", lambda x: x / 2, "result")]
    exercise = described(mistakes).make("double", np.random.default_rng(0))
    first, second = (made.steps[0] for made in exercise.cases)
    given = first.expected[0].mistakes
    assert set(given) == {"sign", "half"}
    np.testing.assert_array_equal(given["sign"], -2 * first.args[0])
    np.testing.assert_array_equal(given["half"], first.args[0] / 2)
    assert second.expected[0].mistakes == {}
    assert exercise.mistakes["half"] == "Halved."


def test_a_mistake_may_speak_of_results_that_a_step_does_not_return() -> None:
    both = Mistake("both", "", lambda right, args: {"result": 0 * args["x"] - 1, "elsewhere": 1.0})
    exercise = described([both]).make("double", np.random.default_rng(0))
    assert set(exercise.cases[0].steps[0].expected[0].mistakes) == {"both"}


def test_a_mistake_that_overflows_makes_no_noise() -> None:
    loud = instead("loud", "", lambda x: np.exp(1000 + 0 * x) / 0, "result")
    with np.errstate(all="raise"):
        exercise = described([loud]).make("double", np.random.default_rng(0))
    assert np.isinf(exercise.cases[0].steps[0].expected[0].mistakes["loud"]).all()


# -- the language --------------------------------------------------------------------------------


def test_results_count_for_the_parts_that_are_named() -> None:
    def parts(**settings: Any) -> list[str]:
        return [item.part for item in call("f", {}, {"loss": 1.0, "dW": 2.0}, **settings).expected]

    assert parts() == ["loss", "dW"]
    assert parts(parts="all") == ["all", "all"]
    assert parts(parts={"dW": "gradient"}) == ["loss", "gradient"]


def test_a_call_says_how_its_results_are_compared() -> None:
    step = call("f", {"a": 1}, {"r": 1.0}, compare="labels", rtol=0.1, also=[Expected("a", 1, "kept")], save_as="r")
    assert (step.args, step.names, step.save_as) == ((1,), ("a",), "r")
    assert [item.compare for item in step.expected] == ["labels", "close"]
    assert step.expected[0].options == {"rtol": 0.1}


def test_gradients_come_from_the_forward_definition() -> None:
    rng = np.random.default_rng(3)
    A, x = rng.normal(size=(3, 3)), rng.normal(size=3)
    value, gradient = value_and_gradient(lambda x, A: x @ A @ x)(x, A)
    assert isinstance(value, float)
    assert type(gradient) is np.ndarray
    assert agrees(value, x @ A @ x)
    assert agrees(gradient, (A + A.T) @ x)
    assert not agrees(gradient, 1.0005 * (A + A.T) @ x)


def drawn(assignment: Assignment, name: str = "f") -> Exercise:
    return assignment.make(name, np.random.default_rng(0))


def report_on(exercise: Exercise, *functions: Any) -> Report:
    by_name = dict(zip(exercise.functions, functions, strict=True))
    return examine(exercise, lambda made: run_case(made, by_name))


def codes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings]


# -- results in dictionaries, and what is the student's own business -----------------------------


def in_dictionaries() -> Assignment:
    assignment = Assignment("tiny")
    flipped = Mistake("sign", "Flipped.", lambda right, args: {"grads": {"a": -args["x"]}})
    transposed = Mistake("transposed", "Turned.", lambda right, args: {"row": right["row"].T})

    @assignment.exercise("f", parts={"value": 1, "a": 2, "b": 3}, mistakes=[flipped])
    def f_cases(rng: np.random.Generator) -> Any:
        x = rng.normal(size=3)
        right = {"value": float(np.sum(x)), "grads": {"a": x, "b": 2 * x}, "cache": ANYTHING}
        yield case("3 numbers", "f", {"x": x}, right, parts={'grads["a"]': "a", "b": "b"})

    @assignment.exercise("g", parts={"all": 1}, mistakes=[transposed])
    def g_cases(rng: np.random.Generator) -> Any:
        right = {"row": expect(np.array([[1.0, 2.0]]), row=True), "label": expect(np.array([1]), "labels")}
        yield case("a row", "g", {}, right, returns=dict, parts="all")

    return assignment


def test_entries_of_a_returned_dictionary_are_looked_at_one_by_one() -> None:
    exercise = drawn(in_dictionaries())
    assert report_on(exercise, lambda x: (np.sum(x), {"b": 2 * x, "a": x, "more": 1}, object())).passed
    wrong = report_on(exercise, lambda x: [np.sum(x), {"a": x, "b": x}, None])
    assert [part.earned for part in wrong.parts] == [1, 2, 0]
    assert codes(report_on(exercise, lambda x: (np.sum(x), {"a": -x, "b": 2 * x}, None))) == ["sign"]


@pytest.mark.parametrize(
    ("returned", "told", "code"),
    [
        (lambda x: None, "return (value, grads, cache)", "returned-none"),
        (
            lambda x: (1.0, {"a": x, "b": x}),
            "returned 2 values; return (value, grads, cache)",
            "wrong-number-of-values",
        ),
        (lambda x: (np.sum(x), None, 0), "return a dictionary with the keys a, b", "returned-none"),
        (lambda x: (np.sum(x), [x, 2 * x], 0), "expected a dictionary with the keys a, b", "no-dictionary"),
        (lambda x: (np.sum(x), {"a": x, "B": 2 * x}, 0), "has no key 'b'; its keys are: a, B", "no-key"),
        (lambda x: (np.sum(x), {}, 0), "has no key 'a'; its keys are: none", "no-key"),
    ],
)
def test_what_is_missing_in_a_result_is_said(returned: Any, told: str, code: str) -> None:
    report = report_on(drawn(in_dictionaries()), returned)
    assert code in codes(report)
    assert told in report.text()


def test_each_result_can_have_a_comparison_of_its_own() -> None:
    exercise = drawn(in_dictionaries(), "g")
    for row in ([1.0, 2.0], [[1.0, 2.0]]):
        assert report_on(exercise, lambda row=row: {"row": np.array(row), "label": [1]}).passed
    assert codes(report_on(exercise, lambda: {"row": np.array([[1.0], [2.0]]), "label": [1]})) == ["transposed"]
    assert not report_on(exercise, lambda: {"row": np.array([1.0, 2.001]), "label": [1]}).passed
    assert not report_on(exercise, lambda: {"row": np.array([1.0, 2.0]), "label": [2]}).passed


# -- programs, and the reference that goes through them ------------------------------------------


class Counter:
    first = 0.0

    def __init__(self, start: float) -> None:
        self.total = start + self.first

    def add(self, x: float) -> Any:
        self.total += x
        return self


class FromOne(Counter):
    first = 1.0


def of_programs(reference: Any = Counter) -> Assignment:
    assignment = Assignment("tiny")
    mistakes = [Mistake("off-by-one", "It starts at 1.", runs={"Counter": FromOne})]

    @assignment.exercise("Counter", parts={"total": 4}, mistakes=mistakes, reference={"Counter": reference})
    def counter_cases(rng: np.random.Generator) -> Any:
        steps = (
            call("Counter", {"start": 3.0}, save_as="c"),
            evaluate("c.add(more).add(np.sum(more))", args={"more": rng.normal()}),
            evaluate("[c.total, 2 * c.total]", {"total": FROM_REFERENCE}),
        )
        yield Case("two steps", steps)

    return assignment


def test_the_reference_says_what_a_program_gives_and_a_broken_one_what_a_mistake_gives(tmp_path: Any) -> None:
    exercise = drawn(of_programs(), "Counter")
    save(tmp_path, "tiny", (exercise,))  # and nothing is lost on the way to the students
    for one in (exercise, load(tmp_path)[1]["Counter"]):
        assert report_on(one, Counter).passed
        assert codes(report_on(one, FromOne)) == ["off-by-one"]

    class Forgetful(Counter):
        def add(self, x: float) -> Any:
            return self

    report = report_on(exercise, Forgetful)
    assert report.findings == ()
    assert "c = Counter(start=3)" in report.text()
    assert "evaluated [c.total, 2 * c.total]" in report.text()


def test_a_reference_that_cannot_do_its_program_is_refused() -> None:
    with pytest.raises(Refused, match=r"the reference cannot do c\.add.*in the case 'two steps': AttributeError"):
        drawn(of_programs(lambda start: start), "Counter")


GIVEN = """
    from autograder.spec import Assignment, case, shipped
    assignment = Assignment("tiny")

    def line(x):
        return slope * x + np.ones(1)[0]

    @assignment.exercise("twice", parts={"value": 3})
    def twice_cases(rng):
        yield case("a line", "twice", {"f": shipped(line, slope=3.0), "x": 2.0}, {"result": 14.0}, parts="value")
"""


def test_a_given_function_runs_where_the_students_code_runs() -> None:
    exercise = drawn(loaded(GIVEN), "twice")
    assert report_on(exercise, lambda f, x: 2 * f(x)).passed
    report = report_on(exercise, lambda f, x: f(x))
    assert not report.passed
    assert "f = line, which comes with the case" in report.text()


@pytest.mark.parametrize("settings", [{}, {"gives": lambda right, args: {}, "runs": {"f": abs}}])
def test_a_mistake_gives_something_or_runs_something(settings: Any) -> None:
    with pytest.raises(Refused, match="'odd' needs either `gives` or `runs`"):
        Mistake("odd", "Odd.", **settings)


def test_one_step_takes_one_probe() -> None:
    assignment = Assignment("tiny")
    probe = Probe("wave", {"a": np.ones(2)})

    @assignment.exercise("f", parts={"value": 1})
    def f_cases(rng: np.random.Generator) -> Any:
        yield case("two", "f", {"g": probe, "h": probe}, {"value": 1.0})

    with pytest.raises(Refused, match="tiny/f: in the case 'two', f gets more than one probe"):
        drawn(assignment)


def test_what_is_used_must_have_a_reference() -> None:
    with pytest.raises(Refused, match="tiny/f uses 'g': describe that before"):
        Assignment("tiny").exercise("f", parts={"value": 1}, uses=["g"])


# -- what can be expected --------------------------------------------------------------------------------


def same_letters(got, right):
    if sorted(got) == sorted(right):
        return True
    return f"has the letters of {got!r}"


def never(got, right):
    return False


def wanted(**settings: Any) -> Assignment:
    assignment = Assignment("tiny")

    @assignment.exercise("f", parts={"y": 1}, mistakes=[Mistake("wrong", "Wrong.", lambda right, args: {"y": "wrong"})])
    def cases(rng: np.random.Generator) -> Any:
        yield case("a case", "f", {"x": 1.0}, **settings)

    return assignment


@pytest.mark.parametrize("right", ["text", True, None, {1, 2}, ["two", "words"], [("ada", 1.5)], {"k": ["x"]}])
def test_any_data_can_be_the_right_result(right: Any) -> None:
    (exercise,) = public(wanted(right={"y": right}, parts="y"))
    assert examine(exercise, lambda case: run_case(case, {"f": lambda x: right})).passed
    if not isinstance(right, dict):
        failed = examine(exercise, lambda case: run_case(case, {"f": lambda x: "wrong"}))
        assert [finding.code for finding in failed.findings] == ["wrong"]


def test_a_comparison_may_be_the_instructors_own_and_goes_with_the_public_cases(tmp_path: Any) -> None:
    for settings in ({"right": {"y": "abc"}, "compare": same_letters}, {"right": {"y": expect("abc", same_letters)}}):
        save(tmp_path, "tiny", public(wanted(**settings)))
        exercise = load(tmp_path)[1]["f"]
        assert examine(exercise, lambda case: run_case(case, {"f": lambda x: "cab"})).passed
        failed = examine(exercise, lambda case: run_case(case, {"f": lambda x: "x"}))
        assert [verdict.message for verdict in failed.verdicts] == ["has the letters of 'x'"]
        odd = examine(exercise, lambda case: run_case(case, {"f": lambda x: 3}))
        assert "cannot be compared: TypeError" in odd.verdicts[0].message
    with pytest.raises(Refused, match="write it with `def`"):
        expect("abc", lambda got, right: True)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"right": {"y": 1.0}, "compare": "clos"}, "is compared by 'clos', which is none of .*; was 'close' meant"),
        ({"right": {"y": {"k": object()}}, "parts": "y"}, "holds an object of type object, which is no data"),
        ({"right": {"y": 1.0}, "rtoll": 1e-3}, "an option 'rtoll', which is none of its options"),
        ({"right": {"y": 1.0}, "rtol": "small"}, "cannot be compared by 'close'"),
        ({"right": {"y": "text"}, "compare": "labels"}, "'labels'"),
        ({"right": {"y": "abc"}, "compare": shipped(never)}, "rejected by its own comparison 'own'"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_case(settings: Any, told: str) -> None:
    with pytest.raises(Refused, match=f"tiny/f: in the case 'a case', y.* {told}"):
        public(wanted(**settings))

"""What is known of mistakes is named, and only where it is certain.

Most tests make somebody up who returns just what is to be tried, wherever something is expected to be returned.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from assessed import assessed, codes, items
from programs import SLUGS

from coursekit.checks.cases import Exercise, Expected

EXERCISES = [(slug, name) for slug in SLUGS for name in assessed(slug).assignment.described]
# On how many students' cases each is tried, where it is not on three.
CASES = {"linear_classifiers": 5, "matmul_backward": 5, "worked_example": 4, "logistic_regression": 4}
SEEN = {"unstable", "one-maximum-for-all"}  # where something overflows: most have no values of their own
# Mistakes that cannot be told from another one.
SAME = {("two_layer_net", "train_sigmoid_net", "last-update-missing"): "off-by-one"}
COUNTS = ("jacobian_bytes", "chain_flops")  # whole numbers, which must be exact

each_exercise = pytest.mark.parametrize(("slug", "name"), EXERCISES)


def students(slug: str) -> list[str]:
    return [f"student-{number}" for number in range(CASES.get(slug, 3))]


def is_judged_by(exercise: Exercise, *comparisons: str) -> bool:
    return all(item.compare in comparisons for item in items(exercise))


def is_judged_by_values(exercise: Exercise) -> bool:
    """Whether all that is expected are values, so that somebody can be made up who returns others."""
    return is_judged_by(exercise, "close", "labels", "unchanged", "anything")


def known_in(exercise: Exercise) -> list[str]:
    """List the mistakes that show in some case."""
    return list(dict.fromkeys(code for item in items(exercise) for code in item.mistakes))


def mistaken(code: str) -> Callable[[Expected], Any]:
    return lambda item: item.mistakes.get(code, item.value)


# -- what is known ------------------------------------------------------------------------------


@each_exercise
def test_every_listed_mistake_shows_in_some_case(slug: str, name: str) -> None:
    listed = {mistake.code for mistake in assessed(slug).assignment.described[name].mistakes}
    for student in students(slug):
        known = {*known_in(assessed(slug).exercise(name, student))}
        assert known <= listed, student
        assert known - SEEN == listed - SEEN, student


@each_exercise
def test_every_known_mistake_is_rejected_and_named(slug: str, name: str) -> None:
    for student in students(slug):
        exercise = assessed(slug).exercise(name, student)
        for code in known_in(exercise) if is_judged_by_values(exercise) else ():
            report = assessed(slug).answers(name, student, mistaken(code))
            assert report.score < report.points, f"{student}, {code}: this earned every point"
            named = SAME.get((slug, name, code), code).partition("/")[0]
            assert codes(report) == (named,), f"{student}, {code}\n{report.text()}"


@pytest.mark.parametrize("name", [name for slug, name in EXERCISES if slug == "build_autograd"])
def test_every_known_mistake_of_a_class_is_rejected_and_nine_of_ten_are_named(name: str) -> None:
    """In `build_autograd` mistakes are classes and functions, which are run as a student's are."""
    if name == "topological_order":
        pytest.skip("its comparison says what is wrong, and wrong programs show that")
    asked, unnamed = 0, []
    for mistake in assessed("build_autograd").assignment.described[name].mistakes:
        # The training of `MLP` and the long chain of `Value` come last, and take long for whoever is wrong.
        left_out = int(name == "MLP" or (name == "Value" and mistake.code != "recursion"))
        for student in students("build_autograd")[:2]:
            report = assessed("build_autograd").examined(name, dict(mistake.runs), student, leave_out=left_out)
            assert report.score < report.points, f"{student}, {mistake.code}"
            asked += 1
            if mistake.code.partition("/")[0] not in codes(report):
                unnamed.append(f"{student}: {codes(report)} for {mistake.code}")
    assert len(unnamed) <= 0.1 * asked, "\n".join(unnamed)


# -- what is nearly so --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slug", "name"), [one for one in EXERCISES if one[0] in ("linear_classifiers", "matmul_backward")]
)
def test_what_is_only_nearly_a_known_mistake_is_not_called_by_its_name(slug: str, name: str) -> None:
    """A twentieth of a percent off: rejected all the same, and nobody is told what they did not do."""
    seen = {"linear_classifiers": {"not-finite", *SEEN}, "matmul_backward": {"transposed"}}[slug] | {"wrong-shape"}

    def nearly(item: Expected) -> Any:
        value = np.asarray(item.mistakes.get(code, item.value))
        finite = np.abs(value[np.isfinite(value)])
        return value + 5e-4 * max(float(np.max(finite, initial=0)), float(np.max(np.abs(item.value))))

    for student in students(slug):
        for code in known_in(assessed(slug).exercise(name, student)):
            report = assessed(slug).answers(name, student, nearly)
            assert report.score < report.points, f"{student}, {code}"
            assert {*codes(report)} <= seen, f"{student}, {code}"


def slightly_wrong(item: Expected) -> Any:
    """What is expected, a twentieth of a percent off, or the least that is wrong where it is no number."""
    match item.compare:
        case "labels":
            return np.asarray(item.value) + (np.arange(np.size(item.value)) == 0)
        case "at_least":
            return 0.999 * np.asarray(item.value)
        case "inputs_first":
            return [*list(item.value)[:-1], "n"]
        case "unchanged" | "anything":
            return item.value
    return 1.0005 * np.asarray(item.value) + 1e-9


@each_exercise
def test_what_is_slightly_wrong_is_rejected_and_nothing_is_said_of_why(slug: str, name: str) -> None:
    exercise = assessed(slug).exercise(name, students(slug)[0])
    if not is_judged_by(exercise, "close", "labels", "unchanged", "anything", "one_of", "at_least", "inputs_first"):
        pytest.skip("judged by what it does: programs show what is slightly wrong")
    for student in students(slug):
        report = assessed(slug).answers(name, student, slightly_wrong)
        assert report.score < report.points, student
        assert not report.findings or name == "topological_order", f"{student}\n{report.text()}"


@pytest.mark.parametrize(
    ("slug", "name"),
    [one for one in EXERCISES if one[0] in ("linear_classifiers", "matmul_backward") and one[1] != "train"],
)
def test_what_is_wrong_in_one_entry_is_rejected_and_nothing_is_said_of_why(slug: str, name: str) -> None:
    for student, seed in itertools.product(students(slug), range(3)):
        rng = np.random.default_rng(seed)

        def off_in_one_entry(item: Expected, rng: np.random.Generator = rng) -> Any:
            value = np.array(item.value, dtype=float)
            value.flat[rng.integers(value.size)] += 0.01 * max(1e-3, float(np.max(np.abs(value))))
            return value

        report = assessed(slug).answers(name, student, off_in_one_entry)
        assert report.score < report.points, f"{student}, seed {seed}"
        assert report.findings == (), f"{student}, seed {seed}\n{report.text()}"


@each_exercise
def test_what_is_right_but_for_rounding_is_right(slug: str, name: str) -> None:
    def rounded(item: Expected) -> Any:
        by = 1e-16 if name in COUNTS else 1e-7
        return item.value if item.compare == "labels" else np.asarray(item.value) * (1 + by)

    exercise = assessed(slug).exercise(name, students(slug)[0])
    if not is_judged_by(exercise, "close", "labels", "unchanged", "anything", "at_least"):
        pytest.skip("judged by what it does")
    for student in students(slug):
        assert assessed(slug).answers(name, student, rounded).passed, student

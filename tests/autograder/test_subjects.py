"""The bank of known mistakes is right about what is right, and every mistake in it is one."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import pytest
from subjects import SUBJECTS, Subject

from autograder.spec import Mistake
from coursekit import autograd

CODES = {
    "sign",
    "scale",
    "regularizer-missing",
    "regularizer-half",
    "regularizer-double",
    "regularizer-on-bias",
    "transposed",
    "wrong-shape",
    "permuted",
    "relu-mask",
    "fan-out-overwritten",
    "upstream-ignored",
    "batch-not-summed",
    "label-shift",
    "correct-class-missing",
    "unstable",
    "integer-input",
}
SEEDS = range(3)
MISTAKES = [(subject, mistake) for subject in SUBJECTS for mistake in subject.mistakes]
EXTREME = [subject for subject in SUBJECTS if subject.large]

by_name = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
sizes = pytest.mark.parametrize("size", range(3))
each = pytest.mark.parametrize(
    ("subject", "mistake"),
    MISTAKES,
    ids=[f"{subject.name}-{mistake.code or 'unnamed'}" for subject, mistake in MISTAKES],
)


def head(mistake: Mistake) -> str:
    return mistake.code.split("/")[0]


@functools.cache
def drawn(subject: Subject, size: int | None, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments, and the right gradient by hand."""
    args = subject.draw(np.random.default_rng(seed), size)
    return args, subject.gradient(**args)


def results(subject: Subject, mistake: Mistake, size: int | None, seed: int) -> dict[str, Any]:
    """The gradient of a student who makes this mistake."""
    args, right = drawn(subject, size, seed)
    with np.errstate(all="ignore"):
        return right | mistake.gives(dict(right), args)


def far_apart(a: dict[str, Any], b: dict[str, Any], share: float = 1e-3) -> bool:
    """Whether a gradient of `a` differs from that of `b` in shape, or by more than `share` of its length."""
    return any(
        np.shape(a[name]) != np.shape(b[name])
        or not np.linalg.norm(a[name] - b[name]) <= share * max(np.linalg.norm(a[name]), np.linalg.norm(b[name]))
        for name in b
    )


def by_engine(subject: Subject, args: dict[str, Any]) -> dict[str, Any]:
    places = tuple(list(args).index(name) for name in subject.parameters)
    upstream = args.get("dout", 1.0)
    inputs = [value for name, value in args.items() if name != "dout"]
    gradients = autograd.grad(lambda *given: np.sum(subject.forward(*given) * upstream), places)(*inputs)
    return {f"d{name}": gradient for name, gradient in zip(subject.parameters, gradients, strict=True)}


# -- what is right --------------------------------------------------------------------------------


@by_name
@sizes
def test_the_gradient_by_hand_is_that_of_the_engine(subject: Subject, size: int) -> None:
    for seed in SEEDS:
        args, right = drawn(subject, size, seed)
        expected = by_engine(subject, args)
        assert list(right) == list(expected)
        for name, gradient in expected.items():
            np.testing.assert_allclose(right[name], gradient, rtol=1e-9, atol=1e-12, err_msg=f"{name}, seed {seed}")
            assert np.shape(right[name]) == np.shape(args[name[1:]])


@pytest.mark.parametrize("subject", EXTREME, ids=lambda subject: subject.name)
def test_large_scores_are_no_trouble_for_what_is_right(subject: Subject) -> None:
    for seed in SEEDS:
        args, right = drawn(subject, None, seed)
        with np.errstate(over="raise", invalid="raise"):
            subject.gradient(**args)
            expected = by_engine(subject, args)
        for name, gradient in expected.items():
            np.testing.assert_allclose(right[name], gradient, rtol=1e-9, atol=1e-12, err_msg=f"{name}, seed {seed}")


@by_name
def test_arguments_can_be_drawn_again(subject: Subject) -> None:
    first, second = (subject.draw(np.random.default_rng(5), 1) for _ in range(2))
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


def test_large_arguments_are_asked_for_in_vain_where_there_are_none() -> None:
    (circuit,) = (subject for subject in SUBJECTS if subject.name == "logistic_graph")
    with pytest.raises(ValueError, match="logistic_graph has no large arguments"):
        circuit.draw(np.random.default_rng(0), None)


# -- what is wrong --------------------------------------------------------------------------------


@each
def test_a_mistake_is_far_from_what_is_right(subject: Subject, mistake: Mistake) -> None:
    for size, seed in itertools.product((None,) if head(mistake) == "unstable" else (1, 2), SEEDS):
        right = drawn(subject, size, seed)[1]
        assert far_apart(results(subject, mistake, size, seed), right), f"size {size}, seed {seed}"


@each
def test_a_mistake_changes_neither_what_is_right_nor_the_arguments(subject: Subject, mistake: Mistake) -> None:
    args, right = drawn(subject, 1, 0)
    before = [np.copy(value) for value in (*args.values(), *right.values())]
    given = mistake.gives(dict(right), args).keys()
    assert given <= right.keys()
    for value, old in zip((*args.values(), *right.values()), before, strict=True):
        np.testing.assert_array_equal(value, old)


@pytest.mark.parametrize("subject", EXTREME, ids=lambda subject: subject.name)
def test_an_unstable_gradient_is_right_until_scores_are_large(subject: Subject) -> None:
    unstable = [mistake for mistake in subject.mistakes if head(mistake) == "unstable"]
    assert unstable
    for mistake, seed in itertools.product(unstable, SEEDS):
        assert not far_apart(results(subject, mistake, 1, seed), drawn(subject, 1, seed)[1], 1e-9)
        large = results(subject, mistake, None, seed)
        assert not all(np.isfinite(value).all() for value in large.values()), f"{mistake.code}, seed {seed}"


@by_name
def test_no_two_mistakes_are_the_same(subject: Subject) -> None:
    mistakes = [mistake for mistake in subject.mistakes if head(mistake) != "unstable"]
    for size, seed in itertools.product((1, 2), SEEDS):
        wrong = [results(subject, mistake, size, seed) for mistake in mistakes]
        for i, j in itertools.combinations(range(len(mistakes)), 2):
            told = f"{mistakes[i].code} and {mistakes[j].code}, size {size}, seed {seed}"
            same_type = all(np.asarray(wrong[i][name]).dtype == np.asarray(wrong[j][name]).dtype for name in wrong[i])
            assert not same_type or far_apart(wrong[i], wrong[j]), told


def test_what_is_compared_here_may_be_the_same_or_not() -> None:
    right = {"dW": np.array([[1.0, -2.0]]), "db": np.array([3.0])}
    assert not far_apart({name: (1 + 1e-6) * value for name, value in right.items()}, right)
    for wrong in ({"db": np.array([3.01])}, {"db": np.array(3.0)}, {"dW": np.array([[1.0, np.nan]])}):
        assert far_apart({**right, **wrong}, right)


# -- the bank -------------------------------------------------------------------------------------


def test_the_bank_is_large() -> None:
    assert len({subject.name for subject in SUBJECTS}) == len(SUBJECTS) >= 13
    assert len(MISTAKES) >= 170
    assert {head(mistake) for _, mistake in MISTAKES} == CODES | {""}
    assert sum(mistake.code == "" for _, mistake in MISTAKES) <= 12


@by_name
def test_every_subject_has_enough_mistakes_each_with_a_code_of_its_own(subject: Subject) -> None:
    codes = [mistake.code for mistake in subject.mistakes if mistake.code]
    assert len(subject.mistakes) >= 12
    assert sorted(set(codes)) == sorted(codes)
    assert all(mistake.message for mistake in subject.mistakes)

"""The known mistakes and the right gradients of tests/benchmarks/diagnosis.py, for one size and seed."""

from __future__ import annotations

from typing import Any

import pytest
from correct_gradients import Correct, correct_gradients
from diagnosis import attempt, check_bank, check_pair, chosen_pairs, explain
from subjects import SUBJECTS

pytestmark = pytest.mark.slow

CORRECT = correct_gradients()


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_every_mistake_is_rejected_and_none_named_falsely(subject: Any) -> None:
    checks = list(check_bank(subject, sizes=[1], seeds=[0]))
    assert not [str(checked) for checked in checks if not checked.rejected or checked.false_names]


def test_nearly_every_mistake_is_named() -> None:
    checks = [checked for subject in SUBJECTS for checked in check_bank(subject, sizes=[1], seeds=[0])]
    unnamed = [str(checked) for checked in checks if not checked.named_first]
    assert len(unnamed) <= 0.05 * len(checks), unnamed


def test_two_mistakes_at_once_are_rejected() -> None:
    checks = [check_pair(*pair) for pair in chosen_pairs()[::6]]
    assert not [str(checked) for checked in checks if not checked.rejected]


@pytest.mark.parametrize("case", CORRECT[::4], ids=lambda case: case.name)
def test_right_gradients_are_accepted(case: Correct) -> None:
    report = attempt(case.check)
    assert not isinstance(report, Exception), report
    assert report.ok, explain(report)


def test_names_of_right_gradients_are_unique() -> None:
    names = [case.name for case in CORRECT]
    assert len(set(names)) == len(names)

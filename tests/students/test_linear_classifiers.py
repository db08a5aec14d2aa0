"""What is special about `linear_classifiers`: its cases, and the notebook's own gradient checker."""

from __future__ import annotations

from typing import Any

import nbformat
import numpy as np
import pytest
from assessed import assessed

from coursekit import check_gradient

ASSESSED = assessed("linear_classifiers")
exercise = ASSESSED.exercise
MANY = [f"student-{i}" for i in range(20)]


def test_either_slope_is_right_at_a_kink_because_no_case_is_near_one() -> None:
    for student in MANY:
        for made in exercise("svm_loss_naive", student).cases:
            W, X, y, _ = made.steps[0].args
            scores = X @ W
            margins = scores - scores[np.arange(len(y)), y][:, None] + 1
            assert np.min(np.abs(margins)) > 1e-9, f"{student}: {made.title}"


def test_the_cases_are_what_the_curriculum_asks_for() -> None:
    titles = {made.title for made in exercise("softmax_loss_vectorized", MANY[0]).cases}
    assert {
        "one example",
        "a class that no example has",
        "more features than examples",
        "all scores negative",
    } <= titles
    for student in MANY:
        made = {one.title: one.steps[0].args for one in exercise("softmax_loss_naive", student).cases}
        W, X, y, _ = made["a class that no example has"]
        assert set(range(W.shape[1])) - set(y)
        W, X, y, _ = made["more features than examples"]
        assert X.shape[1] > X.shape[0]
        W, X, y, _ = made["all scores negative"]
        assert np.all(X @ W < 0)
        for title, (W, X, y, _) in made.items():
            scores = X @ W
            log_p = scores - np.logaddexp.reduce(scores, axis=1)[:, None]
            assert np.min(log_p[np.arange(len(y)), y]) > -700, f"{student}: {title}"


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("", "", []),
        ("dW / N + 2 * reg * W", "dW / N + reg * W", ["regularizer-half"]),
        ("dW / N + 2 * reg * W", "dW + 2 * reg * W", ["scale"]),
        ("dW / N + 2 * reg * W", "dW / N", ["regularizer-missing"]),
    ],
)
def test_who_compares_gradients_reads_what_is_wrong_before_asking_check(
    old: str, new: str, found: list[str], capsys: Any
) -> None:
    displayed: list[Any] = []
    namespace: dict[str, Any] = {"np": np, "check_gradient": check_gradient, "display": displayed.append}
    solution = nbformat.read(ASSESSED.folder / "linear_classifiers.ipynb", as_version=4)
    source = {cell.id: cell.source for cell in solution.cells}
    assert old in source["svm_loss_naive"]
    source["svm_loss_naive"] = source["svm_loss_naive"].replace(old, new)
    for cell in ("numerical_gradient", "relative_error", "gradient-check-helper", "svm_loss_naive"):
        exec(source[cell], namespace)
    namespace["compare_gradients"](namespace["svm_loss_naive"], reg=0.1)
    assert [finding.code for report in displayed for finding in report.findings] == found
    assert capsys.readouterr().out.startswith("reg = 0.1: relative error of the gradient ")

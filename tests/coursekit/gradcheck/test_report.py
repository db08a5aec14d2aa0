"""The report: the finding first, then the numbers; as text, and as HTML with a map of the error."""

from __future__ import annotations

import re

import numpy as np
import pytest

from coursekit.gradcheck import GradientReport, check_gradient
from coursekit.gradcheck.report import CELLS

W = np.linspace(-1, 1, 12).reshape(3, 4)


def cubes(W: np.ndarray) -> float:
    return float(np.sum(W**3))


def report_of(gradient: np.ndarray, at: np.ndarray = W) -> GradientReport:
    return check_gradient(cubes, at, gradient, name="W")


def one_wrong() -> GradientReport:
    gradient = 3 * W**2
    gradient[2, 1] += 0.25
    return report_of(gradient)


def test_a_right_gradient_needs_one_line() -> None:
    assert str(report_of(3 * W**2)) == "The gradient is right (relative error in norm 0)."


def test_the_finding_comes_before_the_numbers() -> None:
    lines = report_of(2 * W**2).text().splitlines()
    assert lines[0] == "The gradient is not right."
    assert lines[1].startswith("Finding: dW: The gradient is 2/3 times what it should be")
    assert "[scale, explains 100 %]" in lines[1]
    assert lines[2] == "  dW: relative error in norm 0.33, 12 of 12 entries wrong"
    assert lines[3].strip().startswith("dW[")


def test_an_unknown_cause_is_told_as_where_and_how_large() -> None:
    text = one_wrong().text()
    assert "1 of 12 entries is wrong, all in row 2" in text
    assert "dW[2, 1]: yours 1.46488, numerical 1.21488" in text


def test_the_worst_entries_come_first() -> None:
    gradient = 3 * W**2 + np.array([0.0, 0.1, 0.3, 0.2])
    entries = re.findall(r"dW\[(\d), (\d)\]", report_of(gradient).text())
    assert [column for _, column in entries] == ["2", "2", "2"]


def test_html_has_a_map_of_the_error_with_words_for_it() -> None:
    html = one_wrong().html()
    assert html.count("<td") == 12
    assert "role='img'" in html
    label = re.search(r"aria-label='([^']*)'", html)
    assert label is not None
    assert "1 of 12 entries is wrong, in 1 of 3 rows and 1 of 4 columns" in label[1]
    assert "<figcaption" in html
    strengths = re.findall(r"rgba\(207,34,46,([\d.]+)\)", html)
    assert strengths.count("1.00") == 1
    assert strengths.count("0.00") == 11


def test_an_entry_that_is_little_wrong_is_not_white() -> None:
    gradient = 3 * W**2
    gradient[0, 0] += 1
    gradient[1, 1] += 1e-3
    strengths = re.findall(r"rgba\(207,34,46,([\d.]+)\)", report_of(gradient).html())
    assert sorted(map(float, strengths))[-2:] == [0.15, 1.0]


@pytest.mark.slow
def test_a_large_map_is_drawn_in_blocks() -> None:
    big = np.random.default_rng(0).normal(size=(100, 40))
    gradient = 3 * big**2
    gradient[99, 39] += 1
    html = report_of(gradient, big).html()
    assert html.count("<td") == CELLS * CELLS
    assert "Each cell shows the largest error of several entries" in html
    assert re.findall(r"rgba\(207,34,46,([\d.]+)\)", html)[-1] == "1.00"


def test_a_vector_is_one_row_and_a_number_needs_no_map() -> None:
    x = np.array([1.0, 2.0, 3.0])
    assert check_gradient(lambda x: np.sum(x**2), x, x).html().count("<tr>") == 1
    assert "<table" not in check_gradient(lambda x: x**2, np.array(3.0), np.array(1.0)).html()


def test_names_are_escaped() -> None:
    report = check_gradient(cubes, W, -3 * W**2, name="<b>'W'</b>")
    assert "<b>'W'" not in report.html()


def test_jupyter_gets_text_and_html() -> None:
    bundle = one_wrong()._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"] == one_wrong().text()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_shown_too(bad: float) -> None:
    gradient = 3 * W**2
    gradient[0, 0] = bad
    report = report_of(gradient)
    assert "dW[0, 0]: yours" in report.text()
    assert report.html().count("<td") == 12

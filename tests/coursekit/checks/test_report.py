"""What a student reads: all that matters, and nothing that a page or a terminal would execute."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from coursekit.checks.cases import Case, Exercise, Expected, Step
from coursekit.checks.codec import Generator, Opaque
from coursekit.checks.judge import examine
from coursekit.checks.probes import Probe
from coursekit.checks.report import Report, show
from coursekit.checks.run import run_case
from coursekit.reporting import printable

EVIL = "<script>alert('x')</script>\x1b[31m\x07\x00\u202e&amp;\"'"


def exercise(value: Any = 4.0, arg: Any = 2.0, name: str = "square") -> Exercise:
    step = Step("square", (arg,), expected=(Expected("result", value, "value", mistakes={"half": 2.0}),), names=("x",))
    return Exercise(name, ("square",), {"value": 3.0}, (Case("a small number", (step,)),), {"half": "Half of it."})


def report(f: Any, **settings: Any) -> Report:
    return examine(exercise(**settings), lambda case: run_case(case, {"square": f}))


class Tags(HTMLParser):
    """Collects the tags and attributes of a page, and checks that the tags are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


# -- harmless ------------------------------------------------------------------------------------


def raising(x: Any) -> Any:
    raise ValueError(EVIL)


def named_badly(x: Any) -> Any:
    raise type(EVIL.replace("\0", ""), (Exception,), {})


class Evil:
    def __repr__(self) -> str:
        return EVIL


HOSTILE = {
    "an exception's message": raising,
    "an exception's name": named_badly,
    "text": lambda x: EVIL,
    "a list of text": lambda x: [EVIL],
    "a dictionary": lambda x: {EVIL: EVIL},
    "an object's repr": lambda x: Evil(),
    "a type's name": lambda x: type(EVIL.replace("\0", ""), (), {})(),
    "half a surrogate pair": lambda x: "\ud800",
}


@pytest.mark.parametrize("f", HOSTILE.values(), ids=HOSTILE)
def test_html_escapes_everything_that_a_students_code_says(f: Any) -> None:
    page = report(f).html()
    found = Tags(page)
    assert set(found.tags) <= {"section", "p", "strong", "span", "table", "tr", "td", "code", "em", "pre"}
    assert found.attributes <= {"style", "aria-hidden"}
    assert found.open == []
    assert "<script" not in page


@pytest.mark.parametrize("f", HOSTILE.values(), ids=HOSTILE)
def test_nothing_that_a_terminal_or_a_file_would_trip_over_is_left(f: Any) -> None:
    made = report(f)
    for text in (made.text(), made.html(), made.summary(), json.dumps(made.to_dict(), ensure_ascii=False)):
        assert not any(char in text for char in "\x1b\x07\x00\u202e")
        text.encode("utf-8")


def test_a_warning_is_escaped_too() -> None:
    import warnings

    def f(x: Any) -> float:
        warnings.warn(EVIL, stacklevel=1)
        return 4.0

    made = report(f)
    assert made.passed
    assert "<script" not in made.html()
    assert "\x1b" not in made.text()


def test_printable_keeps_lines_letters_and_tabs_as_spaces() -> None:
    assert printable("a\nb\tc é 漢 Σ −") == "a\nb   c é 漢 Σ −"
    assert (
        printable("a\rb\x1b[2Jc\x9b")
        == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[2Jc\N{REPLACEMENT CHARACTER}"
    )


# -- what it says --------------------------------------------------------------------------------


def test_text_shows_the_call_what_was_expected_what_came_back_and_how_far_off_it_is() -> None:
    text = report(lambda x: 5.0).text()
    for line in (
        "square: 0 of 3 points",
        "MISS value: 0 of 3",
        "In the case 'a small number':",
        "called square(x) with",
        "x = 2",
        "result is not right: relative error 0.2",
        "expected: 4",
        "came back: 5",
    ):
        assert line in text
    assert "Finding" not in text


def test_text_shows_small_arrays_whole_and_large_ones_by_shape() -> None:
    small = report(lambda x: np.eye(2), value=np.ones((2, 2)), arg=np.arange(3.0)).text()
    assert "x = [0. 1. 2.]" in small
    assert "[1. 1.]] (shape (2, 2))" in small
    assert "2 of 4 entries are wrong" in small
    large = report(lambda x: np.zeros((50, 40)), value=np.ones((50, 40))).text()
    assert "expected: array of shape (50, 40)" in large
    assert len(large) < 1000


def test_a_finding_stands_in_text_html_and_the_summary() -> None:
    made = report(lambda x: 2.0)
    assert made.summary() == "square: 0 of 3 points. Half of it."
    assert "Finding: Half of it. [half]" in made.text()
    assert "<strong>Half of it.</strong> <code>half</code>" in made.html()
    assert made.text().index("Finding:") < made.text().index("value: 0 of 3"), "what is wrong comes before the numbers"
    assert made.html().index("Half of it.") < made.html().index("0 of 3</td>")


def test_the_students_own_line_is_shown_where_it_raised() -> None:
    made = report(raising)
    assert "in raising, line" in made.text()
    assert "in raising, line" in made.html()
    assert "came back" not in made.text(), "nothing came back"


def test_the_summary_is_one_line_even_of_a_message_of_many() -> None:
    def f(x: Any) -> Any:
        raise ValueError("one\ntwo\n\n three")

    assert report(f).summary() == "square: 0 of 3 points. ValueError: one two three"


def test_a_right_answer_is_told_in_few_words() -> None:
    made = report(lambda x: 4.0)
    assert made.text() == "square: 3 of 3 points\n  ok   value: 3 of 3"
    assert "✓" in made.html()
    assert made.summary() == "square: 3 of 3 points."


def test_what_is_not_written_is_told_in_one_line() -> None:
    def f(x: Any) -> Any:
        raise NotImplementedError()

    assert report(f).text() == "square: not written yet."
    assert "points" not in report(f).html()


def test_an_unanswered_exercise_gives_its_reason_and_no_points() -> None:
    made = Report.unanswered(exercise(), "not defined", f"square is not defined {EVIL}")
    assert (made.score, made.points, made.passed) == (0.0, 3.0, False)
    assert made.findings[0].code == "not-defined"
    assert "square is not defined" in made.text()
    assert "<script" not in made.html()


def test_no_more_cases_are_shown_than_anybody_reads_and_the_rest_is_counted() -> None:
    one = exercise().cases[0]
    many = Exercise("square", ("square",), {"value": 3.0}, (one,) * 9)
    text = examine(many, lambda case: run_case(case, {"square": lambda x: 0.0})).text()
    assert text.count("In the case") == 1
    assert "(8 more expectations did not hold.)" in text


def test_a_notebook_gets_both_forms() -> None:
    made = report(lambda x: 2.0)
    bundle = made._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"] == made.text() == repr(made)
    assert bundle["text/html"] == made.html()


def test_the_record_is_plain_json_and_complete() -> None:
    made = report(lambda x: np.nan)
    record = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert record["score"] == 0
    assert record["max"] == 3
    assert record["parts"] == {"value": [0, 3]}
    assert record["findings"][0]["code"] == "not-finite"
    assert record["cases"][0]["error"] is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1 + 0.2, "0.3"),
        (np.float64(1 / 3), "0.333333"),
        (np.int64(4), "4"),
        (True, "True"),
        (None, "None"),
        (Generator(5), "np.random.default_rng(5)"),
        (Probe("wave", {"a": np.ones(1)}), "a function of (x)"),
        (Opaque("generator", "<generator object>"), "an object of type generator: <generator object>"),
        (np.array(2.5), "2.5 (shape ())"),
        (np.zeros((0, 2)), "[] (shape (0, 2))"),
        ([1] * 1000, "[" + "1, " * 66 + "1 …"),
    ],
)
def test_values_are_shown_as_a_student_would_write_them(value: Any, shown: str) -> None:
    assert show(value) == shown

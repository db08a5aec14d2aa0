"""The summary tells the instructor which mistakes the class makes, and how often."""

from __future__ import annotations

import json
import weakref
from pathlib import Path

import pytest
from rich.console import Console

from autograder import cli
from autograder.marks import KINDS, MAX_MARKS, MAX_REASON, MAX_WHERE, Marks
from autograder.nbgrader_plugin import STATE
from autograder.summary import class_summary, tally
from autograder.table import MARK, ROWS, SHOWN_MARKS, found, show_class

SLUG = "numbers"


def result(*findings: tuple[str, str], score: float = 0, **more) -> dict:
    return {
        "score": score,
        "max": 2,
        "findings": [{"code": code, "message": message} for code, message in findings],
        **more,
    }


def record(student: str, status: str = "graded", **exercises: dict) -> dict:
    return {"student": student, "notebook": SLUG, "status": status, "score": 0, "max": 2, "exercises": exercises}


def printed(*records: dict, width: int = 120) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(class_summary(records))
    return capture.get()


SCALE = ("scale", "not divided by N")
SIGN = ("sign", "the sign is flipped")
LATE = ("timeout", "not finished after 10 s")


# -- what is counted ------------------------------------------------------------------------


def test_a_student_with_one_mistake_in_two_exercises_counts_once() -> None:
    (scale,) = tally([record("ada", svm=result(SCALE), softmax=result(SCALE))])
    assert scale.students == {"ada"}
    assert scale.where == "svm 1, softmax 1"


def test_a_student_with_a_mistake_in_two_forms_in_one_exercise_counts_once_there() -> None:
    (sign,) = tally([record("ada", svm=result(SIGN, ("sign", "another form"))), record("ben", svm=result(SIGN))])
    assert len(sign.students) == 2
    assert sign.where == "svm 2"


def test_mistakes_stand_in_the_order_of_how_many_students_made_them() -> None:
    one_often = record("ada", a=result(SIGN), b=result(SIGN), c=result(SIGN))
    tallies = tally([one_often, record("ben", a=result(SCALE)), record("cleo", b=result(SCALE))])
    assert [(one.code, len(one.students)) for one in tallies] == [("scale", 2), ("sign", 1)]


def test_exercises_stand_in_the_order_of_how_many_students_made_the_mistake_there() -> None:
    (sign,) = tally([record("ada", a=result(SIGN), b=result(SIGN)), record("ben", b=result(SIGN))])
    assert sign.where == "b 2, a 1"


def test_of_many_exercises_the_most_frequent_are_named_and_the_rest_counted() -> None:
    (sign,) = tally([record("ada", **{name: result(SIGN) for name in "abcdefg"}), record("ben", g=result(SIGN))])
    assert sign.where == "g 2, a 1, b 1, c 1 and 3 more"


def test_the_example_is_the_message_that_came_most_often() -> None:
    rare, usual = ("error", "KeyError: 'W'"), ("error", "IndexError: out of bounds")
    (error,) = tally([record("ada", a=result(rare)), record("ben", a=result(usual)), record("cleo", a=result(usual))])
    assert error.example == "IndexError: out of bounds"


def test_what_was_refused_as_a_whole_counts_as_refused_and_not_as_an_unanswered_exercise_each() -> None:
    (refused,) = tally([record("ivo", "refused: rename the notebook", a=result(("not-run", "rename the notebook")))])
    assert (refused.code, refused.where, refused.example) == ("refused", "", "rename the notebook")


def test_a_wrong_result_that_nothing_explains_is_told_with_what_was_seen_first() -> None:
    cases = [
        {"name": "loss", "ok": True, "message": ""},
        {"name": "dW", "ok": False, "message": "is not right: relative error 0.3"},
    ]
    submission = record("ada", svm=result(cases=cases))
    (unexplained,) = tally([submission])
    assert (unexplained.code, unexplained.example) == ("unexplained", "dW is not right: relative error 0.3")
    assert found(submission) == ["unexplained (svm)"], "the table does not say that nothing is wrong"


def test_right_answers_and_what_is_graded_by_hand_are_no_findings() -> None:
    by_hand = {"status": "graded by hand", "score": None, "max": 6}
    assert tally([record("ada", svm=result(score=2), essay=by_hand)]) == []


# -- how it is told -----------------------------------------------------------------------


def test_a_class_without_mistakes_is_told_so_in_a_sentence() -> None:
    assert printed(record("ada", svm=result(score=2))) == "No mistakes were found.\n"


def test_what_gave_nothing_to_check_stands_after_the_mistakes_however_frequent() -> None:
    text = printed(record("ada", a=result(LATE)), record("ben", a=result(LATE)), record("cleo", a=result(SIGN)))
    mistakes, rest = text.split("Nothing to check: 2 of 3 students")
    assert mistakes.startswith("Mistakes: 1 of 3 students")
    assert "sign" in mistakes
    assert "timeout" not in mistakes
    assert rest.splitlines()[2].split() == ["2", "timeout", "a", "2"]


def test_a_class_that_wrote_nothing_made_no_mistakes() -> None:
    text = printed(record("ada", a=result(("not-written", "a is not written yet."))))
    assert text.startswith("No mistakes were found.\n\nNothing to check: 1 of 1 student\n")


def test_it_names_no_student() -> None:
    assert "ada" not in printed(record("ada", a=result(SIGN)), record("ben", "refused: it is empty"))


@pytest.mark.parametrize("width", [80, 120, 200])
def test_long_messages_are_cut_to_one_line_and_no_line_is_wider_than_120_columns(width: int) -> None:
    long = ("sign", "first\nsecond " + "and so on " * 100)
    lines = printed(record("ada", **{f"an_exercise_with_a_long_name_{i}": result(long) for i in range(9)}), width=width)
    assert max(len(line) for line in lines.splitlines()) <= min(width, 120)
    (message,) = (line for line in lines.splitlines() if "first" in line)
    assert "first second and so on" in message
    assert message.rstrip().endswith("…")


def test_neither_terminal_escapes_nor_markup_of_a_student_reach_the_terminal() -> None:
    evil = ("error\x1b[2J", "NameError: \x1b]0;mine\x07 \u202e[bold red]x[/]")
    text = printed(record("ada", **{"a\x1b[1m": result(evil)}), record("ben", "refused: no \x1b[31m notebook"))
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "[bold red]x[/]" in text, "what looks like markup is shown as it is"


# -- from the records of earlier runs ---------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, repository: Path) -> Path:
    """A course folder with an assignment that is neither released nor graded."""
    (tmp_path / "nbgrader_config.py").write_text((repository / "nbgrader_config.py").read_text())
    (tmp_path / "solutions" / SLUG).mkdir(parents=True)
    (tmp_path / "solutions" / SLUG / f"{SLUG}.ipynb").write_text("{}")
    return tmp_path


def keep(folder: Path, student: str, text: str) -> None:
    records = folder / STATE / "records" / SLUG / student / SLUG
    records.mkdir(parents=True)
    (records / "record.json").write_text(text)
    (records / "cases.json").write_text("{}")
    (folder / "submitted" / student / SLUG).mkdir(parents=True)


def test_the_summary_is_printed_again_from_what_was_graded_before(folder: Path, capsys) -> None:
    for student in ("ada", "ben [2]"):
        keep(folder, student, json.dumps(record(student, svm=result(SCALE))))
    assert cli.main(["summary", SLUG, "--course", str(folder)]) == 0
    assert "Mistakes: 2 of 2 students" in capsys.readouterr().out


def test_a_submission_that_was_taken_away_no_longer_counts(folder: Path, capsys) -> None:
    for student in ("ada", "ben"):
        keep(folder, student, json.dumps(record(student, svm=result(SCALE))))
    (folder / "submitted" / "ben" / SLUG).rmdir()
    assert cli.main(["summary", SLUG, "--course", str(folder)]) == 0
    assert "Mistakes: 1 of 1 student" in capsys.readouterr().out


def test_there_is_no_summary_of_what_was_never_graded(folder: Path, capsys) -> None:
    assert cli.main(["summary", SLUG, "--course", str(folder)]) == 1
    assert "nothing has been graded for 'numbers' yet: run `autograder grade numbers`" in capsys.readouterr().err


def test_a_damaged_record_is_named_with_what_to_do(folder: Path, capsys) -> None:
    keep(folder, "ada", '{"student": "a')
    assert cli.main(["summary", SLUG, "--course", str(folder)]) == 1
    complaint = capsys.readouterr().err
    assert "record.json is damaged" in complaint
    assert "grade 'ada' again" in complaint


# -- marks --------------------------------------------------------------------------------------


def mark(reason: str, **more) -> dict:
    return {"kind": "limit", "reason": reason, "count": 1, **more}


def table(*records: dict, width: int = 140) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        show_class(SLUG, records, {}, {}, console)
    return capture.get()


def test_the_table_shows_who_is_marked_and_why() -> None:
    marks = [mark("its process was ended: too much", where="cell 3"), mark("called bpf", count=7)]
    text = table(record("ada", svm=result(score=2)), {**record("ben", svm=result(score=2)), "marks": marks})
    scores, _, seen = text.partition(f"{MARK} Marked")
    assert [line.split()[:2] for line in scores.splitlines() if MARK in line] == [["ben", MARK]]
    assert "cell 3: its process was ended: too much" in seen
    assert "called bpf (7 times)" in seen
    assert "ada" not in seen
    assert "what was seen, not what was meant" in seen


def test_a_class_without_marks_hears_nothing_of_them_and_neither_do_old_records() -> None:
    text = table(record("ada", svm=result(score=2)), {**record("ben", svm=result(score=2)), "marks": []})
    assert MARK not in text
    assert "mark" not in text.lower()


def test_of_many_marks_of_one_student_the_first_are_shown_and_the_rest_counted() -> None:
    text = table({**record("ada", svm=result()), "marks": [mark(f"reason {number}!") for number in range(20)]})
    assert text.count("reason ") == SHOWN_MARKS
    assert f"and {20 - SHOWN_MARKS} more" in text


def test_neither_terminal_escapes_nor_markup_in_a_mark_reach_the_terminal() -> None:
    marks = [mark("is hidden: [bold]\x1b[2J[/]", where="\x1b[31m[red]x")]
    text = table({**record("a\x1b[1m", svm=result()), "marks": marks})
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "[red]x: is hidden: [bold]" in text


def test_the_summary_lists_the_marks_and_the_part_for_the_class_names_nobody(folder: Path, capsys) -> None:
    keep(folder, "ada", json.dumps({**record("ada", svm=result(SCALE)), "marks": [mark("called bpf")]}))
    keep(folder, "ben", json.dumps(record("ben", svm=result(SCALE))))
    assert cli.main(["summary", SLUG, "--course", str(folder)]) == 0
    for_the_class, _, marked = capsys.readouterr().out.partition(MARK)
    assert "Mistakes: 2 of 2 students" in for_the_class
    assert "ada" not in for_the_class
    assert "called bpf" in marked
    assert "ben" not in marked


# -- what marks hold ----------------------------------------------------------------------------


def test_what_is_seen_again_is_counted_and_there_is_an_end_of_what_is_kept() -> None:
    marks = Marks([mark("a"), mark("a", count=2), mark("a", where="x")])
    assert [(one["reason"], one.get("where"), one["count"]) for one in marks.list()] == [("a", None, 3), ("a", "x", 1)]
    for number in range(1000):
        marks.add(KINDS[0], f"{number} " + "\x1b[2J\n" * 1000, "\u202e" * 1000)
    assert len(marks.list()) == MAX_MARKS
    for one in marks.list():
        assert len(one["reason"]) <= MAX_REASON
        assert len(one.get("where", "")) <= MAX_WHERE
        assert (one["reason"] + one.get("where", "")).isprintable()
    marks.add("limit", "a")
    assert marks.list()[0]["count"] == 4


# -- a large class --------------------------------------------------------------------------


class Weighed(dict):
    """A record that tells whether it is still in memory."""


def test_a_summary_keeps_none_of_the_records_it_has_read() -> None:
    alive: list[weakref.ref] = []

    def read():
        for number in range(20):
            one = Weighed(record(f"student{number}", svm=result(SIGN)))
            alive.append(weakref.ref(one))
            yield one

    console = Console(width=120)
    with console.capture() as capture:
        console.print(class_summary(read()))
        assert not any(reference() for reference in alive)
    assert "Mistakes: 20 of 20 students" in capture.get()


def test_the_table_of_a_large_class_names_everybody_once_and_has_its_head_again() -> None:
    students = [f"student{number:04}" for number in range(2 * ROWS + 1)]
    console = Console(width=140)
    with console.capture() as capture:
        show_class(SLUG, [record(student, svm=result(score=2)) for student in students], {}, {}, console)
    words = capture.get().split()
    assert [word for word in words if word.startswith("student0")] == students
    assert words.count("total") == 3
    assert capture.get().count(f"{len(students)} submissions") == 1


def test_on_a_narrow_screen_the_findings_stand_below_the_table() -> None:
    console = Console(width=60)
    with console.capture() as capture:
        show_class(SLUG, [record("ada", svm=result(SIGN))], {}, {}, console)
    head, _, below = capture.get().partition("Points are those of the gradebook")
    assert "sign" not in head
    assert "ada: sign (svm)" in below

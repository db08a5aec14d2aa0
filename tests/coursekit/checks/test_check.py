"""`check("NAME", NAME)`, the one line in every test cell: in a script and in a notebook."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import coursekit.checks
from coursekit import CheckFailed, check, when_written
from coursekit.checks.cases import Case, Exercise, Expected, Step, load, save, to_files
from coursekit.checks.report import Report

Cell = Callable[..., Any]


def exercises() -> tuple[Exercise, ...]:
    """`double(x)`, and a pair of functions of which the second takes the result of the first."""
    x = np.array([1.0, -2.0])
    expected = (Expected("result", 2 * x, "value", mistakes={"half": x / 2}),)
    double = Case("two numbers", (Step("double", (x,), expected=expected, names=("x",)),))
    pair = Case("there and back", (Step("there", (3.0,), expected=(Expected("out", 4.0, "value"),)),))
    return (
        Exercise("double", ("double",), {"value": 3.0, "vectorised": 1.0}, (double,), {"half": "Halved."}, ("x",)),
        Exercise("pair", ("there", "back"), {"value": 2.0}, (pair,)),
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with the public cases, as a student has it."""
    save(tmp_path, "tiny", exercises())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def double(x: np.ndarray) -> np.ndarray:
    return x + x


# -- where the cases are -------------------------------------------------------------------------


def test_the_cases_beside_the_notebook_are_used(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("double", double) == 4.0
    assert "double: 4 of 4 points" in capsys.readouterr().out


def test_an_instructors_notebook_finds_the_released_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "assignments" / "tiny").mkdir(parents=True)
    (tmp_path / "solutions" / "tiny").mkdir(parents=True)
    save(tmp_path / "assignments" / "tiny", "tiny", exercises())
    monkeypatch.chdir(tmp_path / "solutions" / "tiny")
    assert check("double", double) == 4.0


def test_without_cases_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="must lie beside the notebook"):
        check("double", double)


def test_half_of_the_cases_are_missed(folder: Path) -> None:
    (folder / "cases.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"cases\.npz is missing"):
        check("double", double)


@pytest.mark.parametrize("name", ["cases.json", "cases.npz"])
@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"{}", b"[]", b"null", b"\xff\xfe", b"PK\x03\x04", b"\x93NUMPY"])
def test_damaged_cases_are_refused_with_what_to_do(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match="Fetch a fresh copy"):
        check("double", double)


def test_cases_cut_short_are_refused(folder: Path) -> None:
    for name, content in to_files("tiny", exercises()).items():
        for keep in (10, len(content) // 2, len(content) - 3):
            save(folder, "tiny", exercises())
            (folder / name).write_bytes(content[:keep])
            with pytest.raises(ValueError, match="Fetch a fresh copy"):
                check("double", double)


@pytest.mark.parametrize("name", ["cases.json", "cases.npz"])
@pytest.mark.filterwarnings("ignore")
def test_a_single_wrong_byte_is_refused_or_does_no_harm(folder: Path, name: str) -> None:
    good = (folder / name).read_bytes()
    for position in range(0, len(good), 3):
        content = bytearray(good)
        content[position] ^= 0x01 if position % 2 else 0xFF
        (folder / name).write_bytes(content)
        with contextlib.suppress(ValueError):  # and no error of zipfile or json
            load(folder)


def test_cases_of_another_version_are_refused(folder: Path) -> None:
    document = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    (folder / "cases.json").write_text(json.dumps({**document, "format": 99}))
    with pytest.raises(ValueError, match="format 99"):
        check("double", double)


def test_cases_come_back_from_their_files_as_they_were_and_the_files_are_always_the_same(tmp_path: Path) -> None:
    files = to_files("tiny", exercises())
    assert files == to_files("tiny", exercises())
    save(tmp_path, "tiny", exercises())
    name, found = load(tmp_path)
    assert name == "tiny"
    assert to_files(name, tuple(found.values())) == files


# -- how it is called ----------------------------------------------------------------------------


def test_an_unknown_exercise_is_told_with_those_that_there_are(folder: Path) -> None:
    with pytest.raises(ValueError, match="no exercise 'triple'; it has double, pair"):
        check("triple", double)


@pytest.mark.parametrize("functions", [(), (double,), (double, double, double)])
def test_a_wrong_number_of_functions_is_told_with_the_right_line(folder: Path, functions: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match=r'check\("pair", there, back\)'):
        check("pair", *functions)


def test_a_function_that_was_called_instead_of_passed_is_told(folder: Path) -> None:
    with pytest.raises(TypeError, match="takes the function itself, without calling it"):
        check("double", double(np.ones(2)))


def test_a_pair_is_checked_together(folder: Path) -> None:
    assert check("pair", lambda x: x + 1, lambda x: x - 1) == 2.0


# -- in a script ---------------------------------------------------------------------------------


def test_in_a_script_a_wrong_answer_raises_after_its_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CheckFailed, match=r"double: 0 of 4 points\. Halved\."):
        check("double", lambda x: x / 2)
    assert "came back: [ 0.5 -1. ]" in capsys.readouterr().out


def test_in_a_script_what_is_not_written_raises_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def double(x: np.ndarray) -> np.ndarray:
        raise NotImplementedError()

    assert check("double", double) == 0.0
    assert capsys.readouterr().out == "double: not written yet.\n"


def test_the_source_is_read_for_loops(folder: Path) -> None:
    def double(x: np.ndarray) -> np.ndarray:
        return np.array([2 * one for one in x])

    with pytest.raises(CheckFailed, match="3 of 4 points"):
        check("double", double)


def test_a_function_without_source_is_taken_as_it_is(folder: Path) -> None:
    import functools

    assert check("double", functools.partial(np.multiply, 2)) == 4.0


def test_a_graders_answer_takes_the_place_of_the_public_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def examiner(name: str, functions: tuple[Any, ...]) -> float:
        asked.append((name, functions))
        return 1.5

    monkeypatch.setattr(coursekit.checks, "_examiner", coursekit.checks._examiner)  # put back afterwards
    coursekit.checks.answer_with(examiner)
    assert check("anything", double, 1) == 1.5
    assert asked == [("anything", (double, 1))]


# -- demonstrations that wait --------------------------------------------------------------------


def test_a_demonstration_waits_for_what_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    def first() -> None:
        raise NotImplementedError()

    def second() -> None:
        first()

    with when_written(second, first):
        second()
    assert capsys.readouterr().out == "first is not written yet: this cell comes alive when it is.\n"
    with when_written(second):
        second()
    assert capsys.readouterr().out == "second is not written yet: this cell comes alive when it is.\n"
    with when_written():
        first()
    assert capsys.readouterr().out.startswith("first is not")


def test_a_demonstration_runs_when_everything_is_written_and_hides_no_other_error() -> None:
    ran = []
    with when_written(double):
        ran.append(double(np.ones(1)))
    assert len(ran) == 1
    with pytest.raises(ZeroDivisionError), when_written(double):
        ran.append(1 / 0)


# -- in a notebook -------------------------------------------------------------------------------

CELLS = {
    "import": "import numpy as np\nfrom coursekit import check, when_written",
    "not yet": "def double(x):\n    raise NotImplementedError()",
    "check not yet": "check('double', double)",
    "waiting": "with when_written(double):\n    print(double(1))",
    "wrong": "def double(x):\n    return x / 2",
    "check wrong": "check('double', double)",
    "after": "print('still running')",
    "raising": "def helper(x):\n    return x @ np.eye(3)\n\ndef double(x):\n    return helper(x)",
    "check raising": "check('double', double)",
    "loop": "def double(x):\n    return np.array([2 * one for one in x])",
    "check loop": "check('double', double)",
    "helper": "def twice(x):\n    for one in x:\n        pass\n    return x + x\n\ndef double(x):\n    return twice(x)",
    "check helper": "check('double', double)",
    "right": "def double(x):\n    return x + x",
    "check right": "check('double', double)",
    "not last": "check('double', lambda x: x / 2)\nprint('further')",
}


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Return the outputs of each of `CELLS`, run in a kernel as a student runs them."""
    folder = tmp_path_factory.mktemp("student")
    save(folder, "tiny", exercises())
    nb = nbformat.v4.new_notebook()
    nb.cells = [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    NotebookClient(nb, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    return {name: cell.outputs for name, cell in zip(CELLS, nb.cells, strict=True)}


def kinds(outputs: list[Any]) -> list[str]:
    return [output.output_type for output in outputs]


def test_a_failing_check_shows_the_report_an_error_and_the_score(notebook: dict[str, list[Any]]) -> None:
    outputs = notebook["check wrong"]
    assert sorted(kinds(outputs)) == ["display_data", "error", "execute_result"]
    by_kind = dict(zip(kinds(outputs), outputs, strict=True))
    assert "came back" in by_kind["display_data"].data["text/plain"]
    assert "<section" in by_kind["display_data"].data["text/html"]
    assert by_kind["error"].ename == "CheckFailed"
    assert by_kind["error"].evalue == "double: 0 of 4 points. Halved."
    assert by_kind["error"].traceback == ["double: 0 of 4 points. Halved."], "no lines of the kit's"
    assert by_kind["execute_result"].data["text/plain"] == "0.0"


def test_a_failing_check_does_not_stop_the_notebook(notebook: dict[str, list[Any]]) -> None:
    assert notebook["after"][0].text == "still running\n"
    assert notebook["not last"][-1].text == "further\n"


def test_a_right_answer_shows_the_report_and_the_score(notebook: dict[str, list[Any]]) -> None:
    outputs = notebook["check right"]
    assert kinds(outputs) == ["display_data", "execute_result"]
    assert outputs[1].data["text/plain"] == "4.0"


def test_what_is_not_written_is_no_error(notebook: dict[str, list[Any]]) -> None:
    outputs = notebook["check not yet"]
    assert kinds(outputs) == ["display_data", "execute_result"]
    assert outputs[0].data["text/plain"] == "double: not written yet."
    assert outputs[1].data["text/plain"] == "0.0"
    assert notebook["waiting"][0].text == "double is not written yet: this cell comes alive when it is.\n"


def test_an_exception_is_shown_with_the_students_own_lines(notebook: dict[str, list[Any]]) -> None:
    report = notebook["check raising"][0].data["text/plain"]
    assert "in double, line 5: return helper(x)" in report
    assert "in helper, line 2: return x @ np.eye(3)" in report
    assert "coursekit" not in report


@pytest.mark.parametrize("name", ["check loop", "check helper"])
def test_a_loop_is_found_in_a_cells_source_and_in_the_helpers_of_other_cells(
    notebook: dict[str, list[Any]], name: str
) -> None:
    assert "double: 3 of 4 points" in notebook[name][0].data["text/plain"]
    assert "[loops-over-examples]" in notebook[name][0].data["text/plain"]


def test_every_report_of_these_tests_is_a_report(folder: Path) -> None:
    report = coursekit.checks._public_cases("double", (double,))
    assert isinstance(report, Report)
    assert report.passed

"""Nothing is lost and nothing is done twice: what is graded again, and what an interruption costs."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory
from sampled import some
from sqlalchemy import event
from sqlalchemy.engine import Engine
from tiny import CHECKS, RIGHT, SLUG, STUDENTS, grade_here, hand_in, lose_patience, notebook, scores

from autograder import cli, course, gradebook, records, workers
from autograder.course import Course
from autograder.errors import Refused
from autograder.run import ClassRun
from coursekit.checks import cases

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]


def when_run(here: Course) -> dict[str, str]:
    """Return what each graded notebook printed when it ran."""
    found = {}
    for student in STUDENTS:
        path = here.folder("autograded", student, SLUG) / f"{SLUG}.ipynb"
        if path.is_file():
            found[student] = nbformat.read(path, as_version=4).cells[0].outputs[0]["text"]
    return found


def test_the_folders_are_those_that_nbgrader_means(tiny: Course) -> None:
    directory = CourseDirectory()
    for name, default in course.DEFAULTS.items():
        assert getattr(directory, name) == default
    assert tiny.db_url == tiny.directory.db_url
    assert str(tiny.folder("submitted", "ada", SLUG)) == tiny.directory.format_path("submitted", "ada", SLUG)


# -- what is graded again ------------------------------------------------------------------


def test_a_second_run_grades_nobody_and_gives_the_same_records(tiny: Course) -> None:
    first = ClassRun(tiny, SLUG).run()
    before = when_run(tiny)
    second = ClassRun(tiny, SLUG)
    assert second.run() == first
    assert second.unchanged == list(STUDENTS)
    assert when_run(tiny) == before
    assert scores(tiny) == RIGHT


def change_notebook(here: Course) -> None:
    hand_in(here, "ben", notebook("3.0 * x"))


def add_file(here: Course) -> None:
    (here.folder("submitted", "ben", SLUG) / "data.txt").write_text("new")


def lose_record(here: Course) -> None:
    (records.folder(here.root, SLUG, "ben", SLUG) / records.RECORD).unlink()


def damage_record(here: Course) -> None:
    (records.folder(here.root, SLUG, "ben", SLUG) / records.RECORD).write_text('{"key": ')


def lose_graded_notebook(here: Course) -> None:
    (here.folder("autograded", "ben", SLUG) / f"{SLUG}.ipynb").unlink()


def lose_submission_in_gradebook(here: Course) -> None:
    with Gradebook(here.db_url) as gradebook_:
        gradebook_.remove_submission(SLUG, "ben")


@pytest.mark.parametrize(
    "change",
    [change_notebook, add_file, lose_record, damage_record, lose_graded_notebook, lose_submission_in_gradebook],
)
def test_only_the_submission_that_changed_is_graded_again(tiny: Course, change: Callable[[Course], None]) -> None:
    ClassRun(tiny, SLUG).run()
    before = when_run(tiny)
    change(tiny)
    run = ClassRun(tiny, SLUG)
    run.run()
    assert run.unchanged == ["ada", "cleo"]
    after = when_run(tiny)
    assert {student for student in STUDENTS if before[student] != after[student]} == {"ben"}
    assert scores(tiny) == RIGHT


@pytest.mark.parametrize("what", ["secret", "limits", "release", "again"])
def test_what_concerns_everybody_has_everybody_graded_again(tiny: Course, what: str, monkeypatch) -> None:
    ClassRun(tiny, SLUG).run()
    settings = {"cell_seconds": 7.0} if what == "limits" else {}
    if what == "secret":
        monkeypatch.setenv("AUTOGRADER_SECRET", "another one")
    if what == "release":
        path = tiny.folder("source", ".", SLUG) / f"{SLUG}.ipynb"
        nb = nbformat.read(path, as_version=4)
        nb.cells.append(nbformat.v4.new_markdown_cell("The end.", id="end"))
        nbformat.write(nb, path)
        assert cli.main(["release", SLUG, "--course", str(tiny.root)]) == 0
    run = ClassRun(tiny, SLUG, settings, again=what == "again")
    run.run()
    assert run.unchanged == []
    assert scores(tiny) == RIGHT


def test_after_a_fix_in_checks_what_it_touches_is_graded_again_and_changes_are_printed(tiny: Course, capsys) -> None:
    ClassRun(tiny, SLUG).run()
    checks = tiny.folder("source", ".", SLUG) / "checks.py"
    checks.write_text(CHECKS + "# a comment changes nothing\n")
    run = ClassRun(tiny, SLUG)
    run.run()
    assert run.unchanged == list(STUDENTS)

    checks.write_text(CHECKS.replace('"y": 3 * x', '"y": 4 * x'))
    reports = {s: outputs_of(tiny, s, "check_double") for s in STUDENTS}
    capsys.readouterr()
    assert cli.main(["grade", SLUG, "--course", str(tiny.root)]) == 0
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed[printed.index("Changed since") :].splitlines()]
    assert [line for line in lines if line and line[0] in STUDENTS] == [
        ["ada", "triple", "3", "0", "−3"],
        ["ben", "triple", "3", "0", "−3"],
        ["cleo", "triple", "0", "3", "+3"],
    ]
    assert {s: outputs_of(tiny, s, "check_double") for s in STUDENTS} == reports
    assert {key: score for key, score in scores(tiny).items() if key[1] == "check_triple"} == {
        ("ada", "check_triple"): (0.0, 0.0),
        ("ben", "check_triple"): (0.0, 0.0),
        ("cleo", "check_triple"): (3.0, 3.0),
    }


def outputs_of(here: Course, student: str, grade_id: str) -> list[dict]:
    nb = json.loads((here.folder("autograded", student, SLUG) / f"{SLUG}.ipynb").read_text())
    return next(c["outputs"] for c in nb["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == grade_id)


def test_points_that_are_not_those_of_the_release_are_refused(tiny: Course) -> None:
    path = tiny.folder("source", ".", SLUG) / "checks.py"
    path.write_text(CHECKS.replace('parts={"y": 2}', 'parts={"y": 4}'))
    with pytest.raises(Refused, match=r"(?s)run `autograder release tiny` again.* 'check_double' is worth 2 points"):
        ClassRun(tiny, SLUG).run()


def test_links_and_pipes_beside_a_notebook_are_not_copied(tiny: Course, tmp_path: Path) -> None:
    folder = tiny.folder("submitted", "ada", SLUG)
    (tmp_path / "secret").write_text("of the grader")
    (folder / "link.txt").symlink_to(tmp_path / "secret")
    (folder / "folder").symlink_to(tmp_path)
    (folder / "own.txt").write_text("of the student")
    os.mkfifo(folder / "pipe")
    ClassRun(tiny, SLUG).run()
    assert scores(tiny) == RIGHT
    graded = tiny.folder("autograded", "ada", SLUG)
    assert sorted(path.name for path in graded.iterdir()) == ["own.txt", f"{SLUG}.ipynb"]
    (folder / "pipe").unlink()
    assert cli.main(["grade", SLUG, "--course", str(tiny.root)]) == 0
    shutil.rmtree(graded)
    subprocess.run(
        [sys.executable, "-m", "nbgrader", "autograde", SLUG, "--student", "ada", "--force"], cwd=tiny.root, check=True
    )
    assert sorted(path.name for path in graded.iterdir()) == ["own.txt", f"{SLUG}.ipynb"]


def drawn(here: Course, student: str = "ada") -> list[float]:
    """Return the arguments that a student was graded on."""
    _, stored = cases.load(records.folder(here.root, SLUG, student, SLUG))
    return [case.steps[0].args[0] for exercise in stored.values() for case in exercise.cases]


def other_code(folder: Path, nb: nbformat.NotebookNode) -> None:
    nb.cells[-2].source = "def triple(x):\n    return x + x + x"


def other_notes(folder: Path, nb: nbformat.NotebookNode) -> None:
    (folder / "notes.json").write_text("{}")


def other_content_of_the_notes(folder: Path, nb: nbformat.NotebookNode) -> None:
    (folder / "notes.json").write_text('{"x": 1.5}')


def other_name_of_the_notes(folder: Path, nb: nbformat.NotebookNode) -> None:
    (folder / "notes.json").rename(folder / "Notes.json")


def other_folder_of_the_notes(folder: Path, nb: nbformat.NotebookNode) -> None:
    (folder / "more").mkdir()
    (folder / "Notes.json").rename(folder / "more" / "Notes.json")


def a_hidden_file(folder: Path, nb: nbformat.NotebookNode) -> None:
    (folder / ".notes").write_text("[]")


def other_prose(folder: Path, nb: nbformat.NotebookNode) -> None:
    nb.cells.append(nbformat.v4.new_markdown_cell("x is 1.5", id="prose"))


def other_metadata(folder: Path, nb: nbformat.NotebookNode) -> None:
    nb.metadata["x"] = 1.5


def another_notebook(folder: Path, nb: nbformat.NotebookNode) -> None:
    nbformat.write(nbformat.v4.new_notebook(), folder / "other.ipynb")


def test_whoever_hands_in_anything_else_gets_other_cases(tiny: Course) -> None:
    """What stands in a file could be what the last cases printed: names and contents count, of all files."""
    ClassRun(tiny, SLUG).run()
    seen = [drawn(tiny)]
    nb, folder = notebook(), tiny.folder("submitted", "ada", SLUG)
    notes = (other_notes, other_content_of_the_notes, other_name_of_the_notes, other_folder_of_the_notes)
    for change in (*notes, *some([other_code, a_hidden_file, other_prose, other_metadata, another_notebook], 2)):
        change(folder, nb)
        hand_in(tiny, "ada", nb)
        ClassRun(tiny, SLUG).run()
        assert drawn(tiny) not in seen, change.__name__
        seen.append(drawn(tiny))
    assert scores(tiny) == RIGHT


def test_the_same_hand_in_has_the_same_cases_however_it_is_graded(tiny: Course) -> None:
    """Nothing can stand in it that an earlier grading has shown."""
    (tiny.folder("submitted", "ada", SLUG) / "notes.json").write_text("{}")
    ClassRun(tiny, SLUG).run()
    first = drawn(tiny)
    hand_in(tiny, "ada", notebook())  # once more, and nothing is different
    ClassRun(tiny, SLUG).run()
    assert drawn(tiny) == first
    ClassRun(tiny, SLUG, again=True).run()
    assert drawn(tiny) == first
    command = [sys.executable, "-m", "nbgrader", "autograde", SLUG, "--student", "ada", "--force"]
    subprocess.run(command, cwd=tiny.root, check=True)
    assert drawn(tiny) == first


def test_feedback_names_those_whom_it_has_no_page_for(tiny: Course, capsys) -> None:
    ClassRun(tiny, SLUG, students=["ada"]).run()
    assert cli.main(["feedback", SLUG, "--course", str(tiny.root)]) == 0
    printed = capsys.readouterr().out
    assert "Wrote 1 feedback pages" in printed
    assert "Not graded, so without a page: ben, cleo. Run `autograder grade tiny` first." in printed


def test_half_of_a_surrogate_pair_costs_nothing(tiny: Course) -> None:
    path = tiny.folder("submitted", "ada", SLUG) / f"{SLUG}.ipynb"
    nb = notebook()
    nb.cells.insert(0, nbformat.v4.new_markdown_cell("HALF", id="half"))
    path.write_text(nbformat.writes(nb).replace("HALF", "half \\ud800 and \\ud83d\\ude00"))
    ClassRun(tiny, SLUG).run()
    assert scores(tiny) == RIGHT
    graded = nbformat.read(tiny.folder("autograded", "ada", SLUG) / f"{SLUG}.ipynb", as_version=4)
    assert graded.cells[0].source == "half ? and 😀"


def test_manual_scores_and_comments_stay(tiny: Course) -> None:
    ClassRun(tiny, SLUG).run()
    with Gradebook(tiny.db_url) as gradebook_:
        grade = gradebook_.find_grade("check_triple", SLUG, SLUG, "cleo")
        grade.manual_score = 1.5
        gradebook_.find_comment("triple", SLUG, SLUG, "cleo").manual_comment = "nearly"
        gradebook_.db.commit()
    ClassRun(tiny, SLUG, again=True).run()
    assert scores(tiny)["cleo", "check_triple"] == (0.0, 1.5)
    with Gradebook(tiny.db_url) as gradebook_:
        assert gradebook_.find_comment("triple", SLUG, SLUG, "cleo").manual_comment == "nearly"


def test_a_course_that_was_moved_is_not_graded_again(tiny: Course, tmp_path: Path) -> None:
    ClassRun(tiny, SLUG).run()
    moved = Course.at(shutil.move(tiny.root, tmp_path / "elsewhere"))
    run = ClassRun(moved, SLUG)
    run.run()
    assert run.unchanged == list(STUDENTS)


# -- what stops a run ------------------------------------------------------------------------


@pytest.fixture
def killed_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Course, int], int]]:
    """A run whose coordinator dies at the nth step that writes; it returns the number of steps."""
    steps: list[str] = []
    dies = [0]

    class Died(BaseException):
        pass

    def count(*anything: object) -> None:
        steps.append("step")
        if len(steps) == dies[0]:
            raise Died

    def watched(owner: object, name: str) -> None:
        own = getattr(owner, name)

        def step(*args: object, **kwargs: object) -> object:
            count()
            return own(*args, **kwargs)

        monkeypatch.setattr(owner, name, step)

    for owner, name in (
        (gradebook.Recorder, "_copy_files"),
        (gradebook.Recorder, "_write"),
        (gradebook.Gradebook, "update_or_create_student"),
        (gradebook.Gradebook, "update_or_create_submission"),
        (gradebook.Recorder, "_save_scores"),
        (records, "_write"),
    ):
        watched(owner, name)
    event.listen(Engine, "commit", count)

    def run(here: Course, at: int) -> int:
        steps.clear()
        dies[0] = at
        with contextlib.suppress(Died):
            ClassRun(here, SLUG, {"sandbox": "none"}).run(jobs=1)
        return len(steps)

    yield run
    event.remove(Engine, "commit", count)


def test_wherever_the_coordinator_dies_a_second_run_gives_every_submission_one_right_grade(
    tiny: Course, killed_at: Callable[[Course, int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    grade_here(monkeypatch)
    pristine = shutil.copytree(tiny.root, tiny.root.with_name("pristine"))
    count = killed_at(tiny, 0)
    assert count > 10
    assert scores(tiny) == RIGHT
    for at in some(sorted({1, 2, 3, *range(4, count, max(1, count // 12)), count - 1, count}), 6):
        shutil.rmtree(tiny.root)
        shutil.copytree(pristine, tiny.root)
        assert killed_at(tiny, at) == at
        run = ClassRun(tiny, SLUG, {"sandbox": "none"})
        found = run.run(jobs=1)
        assert [record["score"] for record in found] == [5.0, 5.0, 2.0], f"killed at write {at} of {count}"
        assert scores(tiny) == RIGHT, f"killed at write {at} of {count}"


def test_what_the_gradebook_speaks_of_is_on_the_disk_before_it_says_so(tiny: Course, monkeypatch) -> None:
    done: list[str] = []
    fsync = os.fsync

    def flushed(descriptor: int) -> None:
        done.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def committed(connection: object) -> None:
        done.append("gradebook")

    monkeypatch.setattr(os, "fsync", flushed)
    event.listen(Engine, "commit", committed)
    ClassRun(tiny, SLUG, {"sandbox": "none"}, ["ada"]).run()
    event.remove(Engine, "commit", committed)
    notebook = str(tiny.folder("autograded", "ada", SLUG) / f"{SLUG}.ipynb")
    records = [path for path in done if ".autograder/records" in path]
    last_commit = len(done) - 1 - done[::-1].index("gradebook")
    assert done.index(notebook) < last_commit < done.index(records[0])


def of_session(number: int) -> list[str]:
    """Return the processes of a session, by the number of its first one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == number and fields[0] != "Z":
                found.append(path.parent.name)
    return found


def until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_kill_9_costs_nothing(tiny: Course) -> None:
    command = [sys.executable, "-m", "autograder.cli", "grade", SLUG, "--course", str(tiny.root), "--jobs", "1"]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    end = time.monotonic() + 60
    while not list((tiny.root / ".autograder").glob("records/*/*/*/record.json")) and time.monotonic() < end:
        time.sleep(0.01)
    run.kill()
    run.wait()
    assert until(lambda: not of_session(run.pid)), "its workers end with it"
    again = ClassRun(tiny, SLUG)
    again.run()
    assert scores(tiny) == RIGHT


def pids(pool: workers._Processes) -> list[int]:
    """Return the process ids of a pool."""
    assert until(lambda: bool(pool.crew.workers))
    return [worker.process.pid for worker in pool.crew.workers]


def test_workers_that_are_killed_cost_a_retry(tiny: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    rounds = itertools.count()
    honest = workers._Processes.submit

    def submit(self, function, *args):
        future = honest(self, function, *args)
        if function.__name__ == "grade_all" and next(rounds) < 2:
            for pid in set(pids(self)).difference(killed):
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)
        return future

    monkeypatch.setattr(workers._Processes, "submit", submit)
    ClassRun(tiny, SLUG).run(jobs=2)
    assert killed
    assert scores(tiny) == RIGHT


def test_a_worker_that_dies_while_it_grades_costs_a_retry(tiny: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    died: list[str] = []
    honest = workers._Processes.submit

    def submit(self, function, *args):
        if function.__name__ == "grade_all" and len(died) < 2:
            died.append(args[0][0][0].student)
            return honest(self, signal.raise_signal, signal.SIGKILL)
        return honest(self, function, *args)

    monkeypatch.setattr(workers._Processes, "submit", submit)
    ClassRun(tiny, SLUG).run(jobs=2)
    assert len(died) == 2
    assert scores(tiny) == RIGHT


def test_a_submission_that_kills_every_worker_is_refused_and_the_others_are_graded(tiny, monkeypatch) -> None:
    honest = workers._Processes.submit

    def submit(self, function, *args):
        if function.__name__ == "grade_all" and args[0][0][0].student == "ben":
            return honest(self, signal.raise_signal, signal.SIGKILL)
        return honest(self, function, *args)

    monkeypatch.setattr(workers._Processes, "submit", submit)
    found = {record["student"]: record for record in ClassRun(tiny, SLUG).run(jobs=2)}
    assert found["ben"]["status"] == "refused: grading it failed in the grader: its worker died, time and again"
    assert (found["ada"]["score"], found["cleo"]["score"]) == (5.0, 2.0)


def test_a_worker_that_hangs_costs_a_retry(tiny: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[int] = []
    honest = workers._Processes.submit

    def submit(self, function, *args):
        future = honest(self, function, *args)
        if function.__name__ == "grade_all" and not stopped:
            assert until(lambda: len(pids(self)) == 2)
            for pid in pids(self):
                stopped.append(pid)
                os.kill(pid, signal.SIGSTOP)
        return future

    monkeypatch.setattr(workers._Processes, "submit", submit)
    lose_patience(workers._Processes, monkeypatch)
    ClassRun(tiny, SLUG).run(jobs=2)
    assert stopped
    assert scores(tiny) == RIGHT
    assert until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in stopped))


def test_what_a_worker_cannot_send_back_is_the_exception_of_this_one_call() -> None:
    with workers.workers(1, None) as pool:
        assert pool.submit(divmod, 7, 2).result() == (3, 1)
        with pytest.raises(TypeError, match="pickle"):
            pool.submit(memoryview, b"").result()
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 7, 0).result()
        assert pool.submit(divmod, 7, 3).result() == (2, 1)


def test_clocks_that_jump_change_nothing(tiny: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, jumps = time.time, itertools.cycle([0.0, -1e8, 1e8])
    monkeypatch.setattr(time, "time", lambda: honest() + next(jumps))
    ClassRun(tiny, SLUG).run()
    assert scores(tiny) == RIGHT
    for number, path in enumerate(path for path in tiny.root.rglob("*") if path.is_file()):
        os.utime(path, (number * 1e8, (number * 1e8) % 4e9))
    run = ClassRun(tiny, SLUG)
    run.run()
    assert run.unchanged == list(STUDENTS)
    assert scores(tiny) == RIGHT


def test_two_runs_at_once_grade_everybody_once(tiny: Course) -> None:
    command = [sys.executable, "-m", "autograder.cli", "grade", SLUG, "--course", str(tiny.root), "--jobs", "1"]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [run.communicate(timeout=120)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sum("3 of 3 had been graded before" in text for text in printed) == 1
    assert sum("Another run is grading tiny; waiting for its end." in text for text in printed) == 1
    assert scores(tiny) == RIGHT


def test_a_locked_gradebook_is_waited_for_and_then_told(tiny: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    monkeypatch.setattr(gradebook, "WAIT_FOR_LOCK", 0.5)
    other = sqlite3.connect(tiny.root / "gradebook.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Refused, match=r"gradebook .* cannot be used: database is locked. What was recorded stays"):
        ClassRun(tiny, SLUG).run()
    other.execute("ROLLBACK")
    other.close()
    ClassRun(tiny, SLUG).run()
    assert scores(tiny) == RIGHT


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES], ids=errno.errorcode.get)
def test_a_full_disk_or_a_read_only_folder_ends_the_run_with_what_to_do_and_loses_nothing(
    tiny: Course, monkeypatch, number: int
) -> None:
    honest = records._write
    written: list[Path] = []

    def write(path: Path, content: bytes) -> None:
        written.append(path)
        if len(written) == 4:
            raise OSError(number, os.strerror(number), str(path))
        honest(path, content)

    monkeypatch.setattr(records, "_write", write)
    with pytest.raises(Refused, match=rf"cannot write .*: {os.strerror(number)}. What was recorded stays"):
        ClassRun(tiny, SLUG).run()
    monkeypatch.undo()
    ClassRun(tiny, SLUG).run()
    assert scores(tiny) == RIGHT


# -- replay ------------------------------------------------------------------------------------


def test_a_check_is_replayed_with_its_stored_arguments(tiny: Course, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    ClassRun(tiny, SLUG).run()
    before = {path: path.read_bytes() for path in (tiny.root / ".autograder").rglob("*") if path.is_file()}
    monkeypatch.setenv("AUTOGRADER_SECRET", "lost and replaced")  # the arguments are not drawn again
    capsys.readouterr()
    assert cli.main(["replay", "cleo", "triple", "--course", str(tiny.root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "triple: 0 of 3 points"
    stored = json.loads((records.folder(tiny.root, SLUG, "cleo", SLUG) / "cases.json").read_text())
    (case,) = stored["exercises"][1]["cases"]
    x = case["steps"][0]["args"][0]
    assert "Case 'a number'" in lines
    assert f"    x = {x:.6g}" in lines
    assert f"    expected: {3 * x:.6g}" in lines
    assert f"    came back: {4 * x:.6g}" in lines
    assert {path: path.read_bytes() for path in (tiny.root / ".autograder").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("student", "exercise", "complaint"),
    [
        ("ada", "quadruple", "there is no record of 'quadruple' for 'ada'; there are double, triple"),
        ("eve", "double", "there is no record of 'double' for 'eve'; nothing of this student has been graded"),
    ],
)
def test_what_was_never_graded_cannot_be_replayed(tiny: Course, capsys, student, exercise, complaint) -> None:
    ClassRun(tiny, SLUG, {"sandbox": "none"}).run()
    assert cli.main(["replay", student, exercise, "--course", str(tiny.root)]) == 1
    assert complaint in capsys.readouterr().err

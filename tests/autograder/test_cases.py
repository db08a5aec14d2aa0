"""Cases are fresh for every student and the same for the same student, and the secret is kept."""

from __future__ import annotations

import itertools
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from autograder import cases, spec
from autograder.bundle import Bundle
from autograder.spec import Assignment, Refused
from coursekit.checks.cases import to_files

SOURCE = """
from autograder.spec import Assignment, case
assignment = Assignment("tiny")

for name in ("double", "triple"):
    @assignment.exercise(name, parts={"value": 1})
    def cases(rng, name=name):
        x = rng.normal(size=3)
        yield case("3 numbers", name, {"x": x}, {"result": 2 * x}, parts="value")
"""


@pytest.fixture
def assignment() -> Assignment:
    return spec.load(Bundle("tiny", {"checks.py": SOURCE}))


def drawn(assignment: Assignment, name: str, secret: bytes, student: str) -> tuple[float, ...]:
    return tuple(cases.fresh(assignment, name, secret, student).cases[0].steps[0].args[0])


# -- fresh cases ---------------------------------------------------------------------------------


def test_cases_differ_between_students_exercises_secrets_and_assignments(assignment: Assignment) -> None:
    other = spec.load(Bundle("small", {"checks.py": SOURCE.replace('"tiny"', '"small"')}))
    found = [
        drawn(which, name, secret, student)
        for which, name, secret, student in itertools.product(
            (assignment, other), ("double", "triple"), (b"one secret", b"another"), ("ada", "ben", "Ada", "adaa", "")
        )
    ]
    found += [tuple(exercise.cases[0].steps[0].args[0]) for exercise in cases.public(assignment)]
    assert len(set(found)) == len(found)


def test_names_that_run_into_each_other_are_told_apart() -> None:
    """("ab", "c") and ("a", "bc") are not the same assignment and student."""
    one = cases._generator(b"s", "ab", "c", "double").random()
    assert one != cases._generator(b"s", "a", "bc", "double").random()
    assert one != cases._generator(b"s", "ab", "", "cdouble").random()
    assert one != cases._generator(b"s", "1:a", "c", "double").random()


def test_cases_are_the_same_for_the_same_student(assignment: Assignment) -> None:
    def files() -> dict[str, bytes]:
        return to_files("tiny", (cases.fresh(assignment, "double", b"secret", "ada"),))

    assert files() == files()


def test_cases_are_the_same_in_another_process_whatever_the_hash_seed(assignment: Assignment) -> None:
    code = (
        f"from autograder import bundle, cases, spec; a = spec.load(bundle.Bundle('x', {{'checks.py': {SOURCE!r}}}));"
        "print(repr(tuple(map(float, cases.fresh(a, 'double', b'secret', 'ada').cases[0].steps[0].args[0]))))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == repr(tuple(map(float, drawn(assignment, "double", b"secret", "ada"))))


def test_public_cases_are_always_the_same_and_need_no_secret(assignment: Assignment) -> None:
    assert to_files("tiny", cases.public(assignment)) == to_files("tiny", cases.public(assignment))
    assert [exercise.name for exercise in cases.public(assignment)] == ["double", "triple"]


def test_a_students_name_may_be_any_text(assignment: Assignment) -> None:
    assert drawn(assignment, "double", b"s", "åsa 漢") != drawn(assignment, "double", b"s", "asa 漢")


# -- the secret ----------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cases.SECRET_VARIABLE, raising=False)


def test_the_secret_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "state"
    secret = cases.course_secret(state)
    assert re.fullmatch(rb"[0-9a-f]{64}", secret)
    assert stat.S_IMODE((state / "secret").stat().st_mode) == 0o600
    assert cases.course_secret(state) == secret
    assert [path.name for path in state.iterdir()] == ["secret"], "nothing is left behind"


def test_each_course_has_a_secret_of_its_own(tmp_path: Path) -> None:
    assert cases.course_secret(tmp_path / "a") != cases.course_secret(tmp_path / "b")


def test_a_generous_umask_does_not_open_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        cases.course_secret(tmp_path / "state")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "state" / "secret").stat().st_mode) == 0o600


def test_several_processes_at_once_agree_on_one_secret(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib; from autograder.cases import course_secret\n"
        "sys.stdin.read(1)\n"  # all have imported everything: now!
        "print(course_secret(pathlib.Path(sys.argv[1])).decode())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "state")]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("x")
        process.stdin.flush()
    found = {process.communicate()[0].strip() for process in running}
    assert [process.returncode for process in running] == [0] * 4
    assert found == {(tmp_path / "state" / "secret").read_text().strip()}


def test_a_secret_that_another_process_made_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("a" * 64)
    cases._create(path, "b" * 64)
    assert path.read_text() == "a" * 64
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"  " * 100, b"\xff\xfe\n"])
def test_a_damaged_secret_is_refused_and_never_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(Refused, match="damaged") as refusal:
        cases.course_secret(tmp_path)
    assert str(path) in str(refusal.value)
    assert path.read_bytes() == content


def test_the_variable_wins_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = cases.course_secret(tmp_path)
    monkeypatch.setenv(cases.SECRET_VARIABLE, "given by the environment")
    assert cases.course_secret(tmp_path) == b"given by the environment"
    assert cases.course_secret(tmp_path / "new") == b"given by the environment"
    assert not (tmp_path / "new").exists()
    monkeypatch.setenv(cases.SECRET_VARIABLE, "")
    assert cases.course_secret(tmp_path) == kept

"""An assignment travels as a bundle: `checks.py`, what it imports from beside it, and nothing else."""

from __future__ import annotations

import inspect
import pickle
import re
from pathlib import Path

import pytest
from tiny import CHECKS, SLUG, hand_in, notebook

from autograder import cases, spec
from autograder.bundle import Bundle
from autograder.course import Course
from autograder.errors import Refused
from autograder.release import release
from autograder.run import ClassRun

FILES = {
    "tiny/checks.py": "from .mistakes import OFF, Twice\nfrom ..shared import double\n" + CHECKS,
    "tiny/mistakes.py": """
from . import numbers
from ..shared import double

OFF = numbers.ONE

class Twice:
    \"\"\"Found by inspect.\"\"\"
""",
    "tiny/numbers.py": "ONE = 1\n",
    "tiny/not_imported.py": "raise SystemExit('nobody imports this')\n",
    "shared.py": "from .lower import double\n",
    "lower.py": "def double(x):\n    return 2 * x\n",
    "other.py": "raise SystemExit('nobody imports this')\n",
}


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root / "tiny"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path, FILES)


def test_it_holds_what_is_imported_and_nothing_else(folder: Path) -> None:
    bundle = Bundle.read(folder)
    assert bundle is not None
    assert set(bundle.files) == {"checks.py", "mistakes.py", "numbers.py", "../shared.py", "../lower.py"}
    assert bundle.own == {"checks.py", "mistakes.py", "numbers.py"}


def test_without_checks_there_is_none(tmp_path: Path) -> None:
    assert Bundle.read(tmp_path) is None


def test_it_is_loaded_where_the_folder_is_not(folder: Path) -> None:
    travelled = pickle.loads(pickle.dumps(Bundle.read(folder)))
    for path in folder.parent.rglob("*.py"):
        path.unlink()
    assignment = spec.load(travelled)
    assert [one.name for one in cases.public(assignment)] == ["double", "triple"]


def test_the_source_of_what_it_defines_is_found_also_while_another_is_loaded(folder: Path, tmp_path: Path) -> None:
    first = Bundle.read(folder)
    other = Bundle.read(written(tmp_path / "b", {**FILES, "tiny/mistakes.py": FILES["tiny/mistakes.py"] + "\nX = 1\n"}))
    assert first is not None
    assert other is not None
    found = first.load().Twice
    other.load()
    assert '"""Found by inspect."""' in inspect.getsource(found)
    assert "return 2 * x" in inspect.getsource(first.load().double)


@pytest.mark.parametrize("name", [name for name in FILES if "imported" not in name and "other" not in name])
def test_a_change_in_any_of_its_modules_changes_its_digest(folder: Path, name: str) -> None:
    before = Bundle.read(folder)
    path = folder.parent / name
    path.write_text(path.read_text() + "\n# changed\n")
    after = Bundle.read(folder)
    assert before is not None
    assert after is not None
    assert before.digest != after.digest
    assert hash(before) != hash(after)


def test_packages_of_an_assignments_own_are_taken_along(tmp_path: Path) -> None:
    files = {
        "tiny/checks.py": "from .parts.first import A\nfrom .parts import B\nfrom .bare.inner import C\n" + CHECKS,
        "tiny/parts/__init__.py": "from .second import B\n",
        "tiny/parts/first.py": "A = 1\n",
        "tiny/parts/second.py": "B = 2\n",
        "tiny/bare/inner.py": "from ..parts.first import A\nC = 2 + A\n",
    }
    bundle = Bundle.read(written(tmp_path, files))
    assert bundle is not None
    assert {f"tiny/{path}" for path in bundle.files} == set(files)
    module = bundle.load()
    assert (module.A, module.B, module.C) == (1, 2, 3)


@pytest.mark.parametrize("name", ["week 1", "hw-2.b", "class", "übung"])
def test_the_name_of_the_assignment_need_not_be_one_of_python(folder: Path, name: str) -> None:
    bundle = Bundle.read(folder.rename(folder.parent / name))
    assert bundle is not None
    assert spec.load(bundle).name == SLUG


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("from .mistaks import OFF", "tiny/checks.py: `from .mistaks import OFF`: there is no tiny/mistaks.py"),
        ("from ..losess import SVM", "tiny/checks.py: `from ..losess import SVM`: there is no losess.py"),
        ("from ..other_assignment.mistakes import A", "leaves the assignment. Import from its own folder"),
        ("from ...elsewhere import A", "leaves the assignment"),
        ("import own_mistakes", "tiny/checks.py cannot be run: ModuleNotFoundError: No module named 'own_mistakes'"),
        ("from .numbers import TWO", "tiny/checks.py cannot be run: ImportError: cannot import name 'TWO'"),
        ("from .broken import A", "tiny/checks.py cannot be run: SyntaxError: .*(broken.py, line 1)"),
    ],
)
def test_what_cannot_be_imported_is_refused_and_named(folder: Path, line: str, complaint: str) -> None:
    written(folder.parent, {"tiny/broken.py": "A = (\n", "tiny/checks.py": f"{line}\n{CHECKS}"})
    with pytest.raises(Refused, match=re.escape(complaint).replace(r"\.\*", ".*")):
        spec.load(Bundle.read(folder))


def test_a_file_that_is_no_text_is_refused_by_name(folder: Path) -> None:
    (folder / "mistakes.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refused, match=r"mistakes\.py cannot be read"):
        Bundle.read(folder)


# -- in a course --------------------------------------------------------------------------------


@pytest.fixture
def split(tiny: Course) -> Course:
    """The tiny course with a `checks.py` in several modules; a student hands in a notebook that looks for them."""
    (tiny.root / "solutions" / SLUG / "helper.py").write_text("HELP = 'for students'\n")
    written(tiny.root / "solutions", {name: text for name, text in FILES.items() if "imported" not in name})
    release(tiny, SLUG)
    return tiny


def test_no_module_of_it_is_released_and_other_files_are(split: Course) -> None:
    released = {path.name for path in split.folder("release", ".", SLUG).iterdir()}
    assert released == {"cases.json", "cases.npz", "helper.py", f"{SLUG}.ipynb"}


@pytest.mark.needs("bwrap")
def test_it_grades_and_no_module_of_it_is_behind_the_wall(split: Course) -> None:
    nb = notebook()
    nb.cells[0].source += "\nimport os; print(sorted(os.listdir('.')))"
    hand_in(split, "ada", nb)
    (record,) = ClassRun(split, SLUG, students=["ada"]).run()
    assert record["score"] == 5
    graded = (split.folder("autograded", "ada", SLUG) / f"{SLUG}.ipynb").read_text()
    assert "helper.py" in graded
    assert not {"checks.py", "mistakes.py", "numbers.py", "shared.py", "lower.py"} & set(re.findall(r"\w+\.py", graded))


@pytest.mark.slow
@pytest.mark.needs("bwrap")
def test_a_change_in_a_shared_module_is_noticed(split: Course) -> None:
    ClassRun(split, SLUG, students=["ada"]).run()
    unchanged = ClassRun(split, SLUG, students=["ada"])
    unchanged.run()
    assert unchanged.unchanged == ["ada"]
    path = split.root / "solutions" / SLUG / "checks.py"
    path.write_text(path.read_text().replace('{"y": 3 * x}', '{"y": double(1.5 * x) + 1}'))
    changed = ClassRun(split, SLUG, students=["ada"])
    (record,) = changed.run()
    assert changed.unchanged == []
    assert record["score"] == 2

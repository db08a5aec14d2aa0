"""What lies in /kit behind the wall: the files that a notebook of the assignment needs, and no answer in them."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from autograder.errors import Refused
from autograder.spec import Assignment
from autograder.wall import uncomputed
from autograder.wall.box import Box, Limits
from autograder.wall.kit import NOT_HERE, kit_of
from autograder.wall.python import Installed
from autograder.wall.sandbox import Setup, _masked
from coursekit.diagrams.computing import Computed

FORBIDDEN = Assignment("any").forbidden
LIMITS = Limits(cell_seconds=20, call_seconds=20, notebook_seconds=100)
# Of `coursekit.checks`, what behind the wall would show how results are judged, or compute some.
JUDGING = {"compare", "findings", "judge", "loops", "probes", "public", "report", "training", "values"}
OUTSIDE = {"box", "guard", "kit", "markup", "outputs", "python", "sandbox", "server"}
WITHHELD = ("coursekit.autograd.hvp", "coursekit.optim.Momentum")
HESSIAN_VECTOR = '_leaves_like(x, v, "the direction")'
SENTENCE = "{} is what you are asked to write here, so it is not there while that is graded"


def names(files: Any, folder: str) -> set[str]:
    """The modules in a folder of the kit."""
    return {Path(name).stem for name in files if str(Path(name).parent) == folder}


# -- which files ------------------------------------------------------------------------------


def test_the_graders_side_is_not_in_it() -> None:
    for forbidden in (FORBIDDEN, {}):
        files = kit_of(forbidden, ()).files
        assert not names(files, "wall") & OUTSIDE
        assert names(files, "coursekit/checks") == {"__init__", "cases", "codec", "lines", "run", "shipped"}
        assert not names(files, "coursekit/checks") & JUDGING


def test_what_is_forbidden_is_not_in_it_nor_what_needs_that() -> None:
    kit = kit_of(FORBIDDEN, ())
    parts = {name.split("/")[1].removesuffix(".py") for name in kit.files if name.startswith("coursekit/")}
    assert parts == {"__init__", "_data", "_typing", "checks", "data", "diagrams", "plots", "widgets"}
    assert "it needs coursekit.autograd; this assignment is about" in kit.missing["coursekit.nn"]
    assert {"coursekit.losses", "coursekit.nn", "coursekit.optim", "coursekit.training"} <= kit.missing.keys()


def test_every_part_is_in_it_where_the_engine_is_allowed() -> None:
    kit = kit_of(Assignment("any", engine_allowed=True).forbidden, ())
    assert {"autograd/ops.py", "tracing/flat.py", "gradcheck/numeric.py", "nn.py"} <= {
        name.removeprefix("coursekit/") for name in kit.files
    }


@pytest.mark.parametrize("forbidden", [FORBIDDEN, {}])
def test_every_module_is_there_or_is_missing_for_a_reason(forbidden: dict[str, str]) -> None:
    kit = kit_of(forbidden, ())
    package = Path(str(__import__("coursekit").__file__)).parent
    for path in package.rglob("*.py"):
        name = f"coursekit/{path.relative_to(package).as_posix()}"
        module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        told = [reason for one, reason in kit.missing.items() if f"{module}.".startswith(f"{one}.")]
        assert (name in kit.files) != bool(told), module


def test_two_assignments_have_two_kits() -> None:
    assert kit_of(FORBIDDEN, ()).files != kit_of({}, ()).files
    assert kit_of({}, WITHHELD).files != kit_of({}, ()).files


# -- withheld functions -----------------------------------------------------------------------


def test_a_withheld_function_is_cut_out_and_the_lines_after_it_stay_where_they_were() -> None:
    before, after = (
        kit_of({}, withheld).files["coursekit/autograd/transforms.py"].decode() for withheld in ((), WITHHELD)
    )
    assert "def hvp(*args, **kwargs):\n    raise RuntimeError(" in after
    assert HESSIAN_VECTOR in before
    assert HESSIAN_VECTOR not in after
    trees = [ast.parse(text) for text in (before, after)]
    places = [{one.name: one.lineno for one in tree.body if hasattr(one, "name")} for tree in trees]
    assert places[0] == places[1]


def test_a_withheld_class_says_so_when_it_is_made_and_so_does_what_is_built_on_it() -> None:
    cut = ModuleType("cut")
    sys.modules["cut"] = cut
    exec(kit_of({}, WITHHELD).files["coursekit/optim.py"], vars(cut))
    del sys.modules["cut"]
    for made in (cut.Momentum, cut.Nesterov):
        with pytest.raises(RuntimeError, match=SENTENCE.format("coursekit.optim.Momentum")):
            made([], 0.1, 0.9)


def test_what_coursekit_does_not_have_cannot_be_withheld() -> None:
    for name in ("coursekit.autograd.hessian_product", "numpy.dot", "hvp"):
        with pytest.raises(Refused, match="there is no function or class"):
            kit_of({}, [name])


TAKEN_BACK = """
import importlib, inspect, sys
import coursekit.autograd.transforms as transforms
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "Forbidden"]
for get in (
    lambda: transforms.hvp,
    lambda: importlib.reload(transforms).hvp,
    lambda: importlib.reload(sys.modules["coursekit.autograd"]).hvp,
    lambda: [sys.modules.pop(name) for name in list(sys.modules) if "autograd" in name]
    and importlib.import_module("coursekit.autograd").hvp,
):
    hvp = get()
    try:
        print("WON", hvp(lambda x: x[0] ** 2, np.ones(1), np.ones(1)))
    except RuntimeError as error:
        print(error)
    print(len(inspect.getsource(hvp).splitlines()))
print(sum('"the direction"' in open(path).read() for path in glob.glob("/kit/**/*.py", recursive=True)))
print(glob.glob("/kit/**/*.pyc", recursive=True))
"""


@pytest.mark.slow
@pytest.mark.needs("bwrap")
@pytest.mark.parametrize("kind", ["bwrap", "none"])
def test_neither_reloading_nor_reading_brings_a_withheld_function_back(kind: str) -> None:
    with Box(LIMITS, Setup(kind, withheld=WITHHELD)) as box:
        [output] = box.run_cell(0, f"import glob\nimport numpy as np\n{TAKEN_BACK}")
    told = SENTENCE.format("coursekit.autograd.hvp")
    assert output["text"].splitlines() == 4 * [told, "2"] + ["0", "[]"]


# -- behind the wall --------------------------------------------------------------------------

LOOK = """
import json, os
found = {}
for folder, _, names in os.walk('/kit'):
    for name in names:
        path = os.path.join(folder, name)
        found[path.removeprefix('/kit/')] = [len(open(path, 'rb').read()), os.access(path, os.W_OK)]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def box() -> Any:
    with Box(LIMITS, Setup(forbidden=FORBIDDEN)) as box:
        yield box


@pytest.mark.slow
@pytest.mark.needs("bwrap")
def test_what_lies_behind_the_wall_is_the_kit(box: Box) -> None:
    [output] = box.run_cell(0, LOOK)
    files = kit_of(FORBIDDEN, ()).files
    assert json.loads(output["text"]) == {name: [len(content), False] for name, content in files.items()}


@pytest.mark.slow
@pytest.mark.needs("bwrap")
def test_whoever_imports_what_is_not_there_reads_why(box: Box) -> None:
    for module in kit_of(FORBIDDEN, ()).missing:
        if module.startswith("coursekit."):
            [error] = box.run_cell(0, f"import {module}")
            assert error["ename"] == "ModuleNotFoundError"
            assert (
                NOT_HERE in error["evalue"] or "not available" in error["evalue"] or "not to do it" in error["evalue"]
            )


@pytest.mark.slow
@pytest.mark.needs("bwrap")
def test_what_answers_nothing_can_be_imported_whether_or_not_the_notebook_does(box: Box) -> None:
    code = """
from coursekit import CheckFailed, check, check_gradient, data, diagrams, plots, when_written, widgets
from coursekit.data import load_digits
from coursekit.widgets import LossCurve
print(load_digits().X_train.shape[1])
with when_written():
    raise NotImplementedError
"""
    [output] = box.run_cell(0, code)
    assert (
        output["text"] == "65\n<cell> is not written yet: this cell comes alive when it is.\n"
        or "65\n" in output["text"]
    )


@pytest.mark.slow
@pytest.mark.needs("bwrap")
def test_a_circuit_is_drawn_with_the_numbers_that_are_known_and_a_sentence_about_the_others(box: Box) -> None:
    code = """
from coursekit.diagrams import show_circuit
print(show_circuit("q = x + y; f = q * z", x=-2, y=5, z=-4).text)
print(show_circuit("q = x + y", x=-2, y=5, values={"q": 3}, gradients={"x": 1, "y": 1, "q": 1}).text)
picture = show_circuit("q = x + y", x=-2, y=5)
print(picture._repr_mimebundle_()["text/html"].count("not shown while a notebook is graded"))
"""
    [output] = box.run_cell(0, code)
    lines = output["text"].splitlines()
    assert lines[:5] == [
        "x: input, value −2, gradient ?",
        "y: input, value 5, gradient ?",
        "q = x + y: value ?, gradient ?",
        "z: input, value −4, gradient ?",
        "f = q * z: value ?, gradient ?",
    ]
    assert "q = x + y: value 3, gradient 1" in lines
    assert int(lines[-1]) >= 1


def test_the_stub_has_what_the_numbers_of_a_circuit_have() -> None:
    stub = uncomputed.Computed({"x": None, "f": ast.Name("x")}, {"x": 2.0}, {})
    assert (stub.values, stub.gradient("x")) == ({"x": 2.0, "f": None}, None)
    assert not Computed.note
    assert "graded" in stub.note


# -- other copies -----------------------------------------------------------------------------


def test_a_copy_among_the_packages_is_covered(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for package in ("coursekit", "autograder", "numpy"):
        (packages / package).mkdir(parents=True)
        (packages / package / "__init__.py").touch()
    python = Installed(Path("/venv/bin/python"), {tmp_path: Path("/venv")}, {}, None, None)
    covered = {seen for _, seen in _masked(FORBIDDEN, python)}
    assert {Path("/venv/lib/python3.11/site-packages") / name for name in ("coursekit", "autograder")} <= covered
    assert not any("numpy" in str(seen) for seen in covered)

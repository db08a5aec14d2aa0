"""What is special about `build_autograd`: a class in parts, a training that ends, exercises that call earlier ones."""

from __future__ import annotations

import nbformat
from assessed import assessed, defined
from programs import first, wrong

ASSESSED = assessed("build_autograd")
STUDENT = "student-0"


def test_what_cannot_separate_the_moons_is_rejected_in_time() -> None:
    report = ASSESSED.graded("MLP", wrong("build_autograd")["MLP"]["no tanh"].source, STUDENT)
    assert "two moons" not in {part.name for part in report.parts if part.earned}
    assert report.seconds < 20


def test_what_comes_first_in_an_unfinished_value_earns_its_points() -> None:
    methods = ("exp", "log", "tanh", "sigmoid", "relu", "__truediv__", "__sub__", "__rsub__", "__pow__")
    source = first("build_autograd", "Value").replace(*((f"def {name}(", f"def later_{name}(") for name in methods))
    report = ASSESSED.graded("Value", source, STUDENT)
    earned = {part.name for part in report.parts if part.earned}
    assert earned == {"+ and *", "fan-out", "long chains", "a second backward"}
    assert report.findings[0].code == "error"


def test_an_earlier_mistake_is_not_punished_twice() -> None:
    """As the grader does it: what failed is run again with the references of what it uses."""
    cells = {cell.id: cell for cell in nbformat.read(ASSESSED.folder / "build_autograd.ipynb", as_version=4).cells}
    value = "import math\ndef topological_order(output): return [output]\n" + cells["Value"].source
    network = wrong("build_autograd")["Value"]["sign"].source + first("build_autograd", "MLP").text
    for name, source, uses in (("Value", value, ["topological_order"]), ("MLP", network, ["Value"])):
        assert set(uses) <= set(ASSESSED.exercise(name, STUDENT).uses)
        functions = defined(source)
        assert not ASSESSED.examined(name, functions, STUDENT, leave_out=1).passed
        for one in uses:
            functions[one] = ASSESSED.assignment.described[one].reference[one]
        report = ASSESSED.examined(name, {name: functions[name]}, STUDENT)
        assert report.passed, report.text()

"""What students install holds the tool and the reference library, and no answer to an exercise."""

from __future__ import annotations

import re
import tarfile
import zipfile
from pathlib import Path

import nbformat
import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from autograder.bundle import Bundle

REPOSITORY = Path(__file__).resolve().parents[1]

# The reference library has these by the same names. What an assignment asks for does not exist behind the wall.
LIBRARY = {
    "coursekit/autograd/scalar.py": {"AddGate", "MultiplyGate", "MaxGate", "CopyGate", "Value"},
    "coursekit/autograd/tensor.py": {"unbroadcast"},
    "coursekit/autograd/transforms.py": {"hvp"},
    "coursekit/gradcheck/numeric.py": {"numerical_gradient"},
    "coursekit/gradcheck/precision.py": {"relative_error"},
    "coursekit/nn.py": {"Sigmoid", "MLP"},
    "coursekit/checks/__init__.py": {"svm_loss_naive"},  # an example that raises NotImplementedError
    "coursekit/gradcheck/check.py": {"relu_forward", "relu_backward"},  # an example of a wrong backward pass
}
WORDS = {"loss", "forward", "backward", "update", "train", "predict"}  # exercises with a name that any program has


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The text of each file of the wheel, by its path."""
    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(REPOSITORY)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode(errors="replace") for name in archive.namelist()}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The text of each file of the source distribution, by its path below the top folder."""
    folder = tmp_path_factory.mktemp("sdist")
    (path,) = SdistBuilder(str(REPOSITORY)).build(directory=str(folder), versions=["standard"])
    with tarfile.open(path) as archive:
        files = [member for member in archive.getmembers() if member.isfile()]
        return {
            file.name.partition("/")[2]: archive.extractfile(file).read().decode(errors="replace") for file in files
        }


@pytest.fixture(scope="module")
def exercises() -> set[str]:
    """The functions and classes that the assignments ask for."""
    bundles = [Bundle.read(path.parent) for path in (REPOSITORY / "solutions").glob("*/checks.py")]
    described = [one for bundle in bundles for one in bundle.load().assignment.described.values()]
    return {function for one in described for function in one.functions} - WORDS


def defined(text: str, names: set[str]) -> set[str]:
    """Which of `names` are functions or classes that `text` defines, in code or in a string; methods do not count."""
    found = re.findall(r"\b(?:def|class) +(\w+)\b(?! *\(\s*(?:self|cls|ctx)\b)", text)
    return names & set(found)


def test_the_wheel_is_the_two_packages(wheel: dict[str, str]) -> None:
    assert {path.partition("/")[0] for path in wheel if ".dist-info/" not in path} == {"coursekit", "autograder"}
    tracked = {"coursekit/py.typed", "autograder/py.typed", "autograder/skeleton/notebook.ipynb"}
    assert tracked <= set(wheel)


def test_the_source_distribution_is_what_builds_the_wheel(sdist: dict[str, str], wheel: dict[str, str]) -> None:
    packages = {path for path in wheel if ".dist-info/" not in path}
    assert packages <= set(sdist)
    assert set(sdist) - packages == {".gitignore", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}


def test_no_file_that_is_installed_answers_an_exercise(wheel: dict[str, str], exercises: set[str]) -> None:
    assert len(exercises) >= 70
    answers = {path: defined(text, exercises) for path, text in wheel.items()}
    assert {path: names for path, names in answers.items() if names} == LIBRARY


def test_no_line_of_a_solution_is_installed(wheel: dict[str, str]) -> None:
    """Shorter lines, such as `return X @ W`, may well stand elsewhere."""
    installed = "\n".join(wheel.values())
    for path in (REPOSITORY / "solutions").glob("*/*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            for hidden in re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", cell.source, re.DOTALL):
                lines = [line.strip() for line in hidden.splitlines()]
                assert not [line for line in lines if len(line) >= 40 and line in installed], f"{path.stem}/{cell.id}"


def test_a_solution_stands_in_the_skeleton_alone(wheel: dict[str, str]) -> None:
    assert [path for path, text in wheel.items() if "### BEGIN SOLUTION" in text] == [
        "autograder/skeleton/notebook.ipynb"
    ]


def test_definitions_are_found_in_code_and_in_strings() -> None:
    names = {"svm_loss_naive", "forward", "Value"}
    assert defined("def svm_loss_naive(W):\n    pass", names) == {"svm_loss_naive"}
    assert defined('ANSWER = """\n    class Value:\n        pass"""', names) == {"Value"}
    assert defined("class Gate:\n    def forward(self, x):\n        return forward(x)", names) == set()

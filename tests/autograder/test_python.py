"""Where Python and the course lie does not matter behind the wall, and is not told there."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]

REPOSITORY = Path(__file__).resolve().parents[2]
LARGE = ("torch", "playwright", "sympy", "babel", "sqlalchemy", "mypy", "distributed", "tests", "_editable_*")
LOOK = """
import contextlib, json, os, subprocess, sys, sysconfig, coursekit, numpy
told = [sys.prefix, sys.base_prefix, sys.executable, *sys.path, *sys.orig_argv, *os.environ.values()]
told += [sysconfig.get_path(name) for name in sysconfig.get_path_names()]
told += [module.__file__ for module in list(sys.modules.values()) if getattr(module, '__file__', None)]
words = ['python', '-c', 'import numpy; print(numpy.__file__)']
found = subprocess.run(words, capture_output=True, text=True).stdout
packages = sysconfig.get_path('purelib')
for name in os.listdir(packages):
    if name.endswith('.pth'):
        with contextlib.suppress(PermissionError):
            told.append(open(f'{packages}/{name}').read())
open('/tmp/file', 'w').close()
print(json.dumps([os.listdir('/tmp'), found.strip() == numpy.__file__, told]))
"""
RUN = f"""
import json
from autograder.wall.box import Box, Limits
from autograder.wall.sandbox import Setup
with Box(Limits(cell_seconds=60), Setup()) as box:
    print(json.dumps([box.run_cell(0, {LOOK!r}), box.run_cell(1, "numpy.linalg.inv(numpy.zeros((2, 2)))")]))
"""


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


@pytest.fixture
def clone(tmp_path: Path):
    """The packages, in a clone with a virtual environment of its own: in a folder of a folder of /tmp."""
    folder = tmp_path / "clone of somebody"
    environment = folder / ".venv"
    venv.create(environment, with_pip=False, symlinks=True)
    packages = environment / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    packages.rmdir()
    leave = shutil.ignore_patterns(*LARGE)
    shutil.copytree(sysconfig.get_path("purelib"), packages, ignore=leave, copy_function=link_or_copy)
    for package in ("coursekit", "autograder"):
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (packages / "clone.pth").write_text(f"{folder}\n")  # as an editable installation does
    yield folder
    shutil.rmtree(folder)


def test_a_clone_below_tmp_is_walled_in_and_its_place_is_not_told(clone: Path) -> None:
    command = [clone / ".venv" / "bin" / "python", "-P", "-c", RUN]
    done = subprocess.run(command, cwd=clone.parent, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    looked, failed = json.loads(done.stdout)
    assert [output["output_type"] for output in looked] == ["stream"], looked
    in_tmp, found, told = json.loads(looked[0]["text"])
    assert in_tmp == ["file"]
    assert found, "a program that is started finds the packages too"
    told += failed[-1]["traceback"]
    assert any("linalg" in line for line in failed[-1]["traceback"])
    own = [str(clone), str(REPOSITORY), str(Path.home()), sys.prefix, sys.base_prefix]
    for place in own:
        if not Path("/usr").is_relative_to(place) and not Path(place).is_relative_to("/usr"):
            assert [text for text in told if place in text] == []

"""Binder can build the repository: repo2docker understands `binder/`, and the requirements hold only pins."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.mark.needs("repo2docker")
def test_repo2docker_writes_a_dockerfile_from_the_binder_folder() -> None:
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(REPOSITORY)]
    made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert made.returncode == 0, made.stderr[-2000:]
    dockerfile = made.stdout + made.stderr
    assert "Building conda environment for python=3.11" in dockerfile, "the Python of binder/runtime.txt"
    assert 'pip install --no-cache-dir -r "binder/requirements.txt"' in dockerfile
    assert "RUN ./binder/postBuild" in dockerfile


def test_the_requirements_are_a_cached_layer_of_their_own() -> None:
    lines = (REPOSITORY / "binder" / "requirements.txt").read_text().splitlines()
    for line in lines:
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line


def test_the_pins_hold_what_the_project_declares() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    declared = project["dependencies"] + project["optional-dependencies"]["grader"]
    pinned = {line.partition("==")[0].lower() for line in (REPOSITORY / "binder/requirements.txt").read_text().split()}
    for requirement in declared:
        assert re.split(r"[<>=]", requirement)[0].lower() in pinned


@pytest.mark.parametrize("python", ["3.11.2", "3.12.0", "3.13.0"])  # the first is Debian 12's own
def test_every_pin_is_for_every_python(python: str) -> None:
    compared = 0
    for file in ("binder/requirements.txt", "requirements-dev.txt"):
        for pin in re.findall(r"^(\S+)==(\S+)$", (REPOSITORY / file).read_text(), re.MULTILINE):
            installed = {f.metadata["Name"]: f for f in metadata.distributions(name=pin[0])}.get(pin[0])
            if installed is not None and installed.version == pin[1]:
                compared += 1
                needs = installed.metadata.get("Requires-Python") or ""
                assert SpecifierSet(needs).contains(python), f"{pin[0]}=={pin[1]} needs Python {needs}: run `make pins`"
    assert compared > 100, "this environment holds other versions than the pins: run `make test`"


def test_the_post_build_script_is_executable_and_installs_the_kit_without_its_dependencies() -> None:
    script = REPOSITORY / "binder" / "postBuild"
    assert script.stat().st_mode & 0o111
    assert "pip install --no-cache-dir --no-deps ." in script.read_text()

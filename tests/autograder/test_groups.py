"""Control groups: a notebook's limits are written, its end is read, and nothing of it is left.

A folder stands for the kernel's: what is not tried here is that the kernel obeys.  Where this machine offers groups,
the last test does.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.wall import groups
from autograder.wall.box import Box, BoxDied, Limits
from autograder.wall.sandbox import Setup

FILES = ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max", "cgroup.procs", "cgroup.kill")


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A folder in which new folders have the files of a control group, and can be removed with them."""
    mkdir, rmdir = Path.mkdir, Path.rmdir

    def make(path, *rest, **also):
        mkdir(path, *rest, **also)
        if path.is_relative_to(tmp_path):
            for name in FILES:
                (path / name).write_text("")
            (path / "memory.events").write_text("low 0\noom 0\noom_kill 0\n")

    def remove(path):
        if path.is_relative_to(tmp_path):
            for file in path.iterdir():
                file.unlink()
        rmdir(path)

    monkeypatch.setattr(Path, "mkdir", make)
    monkeypatch.setattr(Path, "rmdir", remove)
    (tmp_path / "cgroup.controllers").write_text("cpu io memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("")
    monkeypatch.setattr(groups, "_home", lambda: tmp_path)
    groups._found.cache_clear()
    yield tmp_path
    groups._found.cache_clear()


def test_a_notebook_s_limits_are_written_and_its_group_is_removed(kernel):
    assert groups.who_counts() == "control groups"
    with groups.group(2**30, 64) as group:
        written = {name: (group.folder / name).read_text() for name in FILES[:5]}
        assert written == dict(zip(FILES, (str(2**30), "0", "1", "65", "200000 100000"), strict=False))
        os.write(group.entrance, b"0")
        assert (group.folder / "cgroup.procs").read_text() == "0"
        assert group.reason() is None
        assert group.most() == 0  # an older kernel does not say it
        (group.folder / "pids.peak").write_text("65\n")
        assert group.most() == 64
        (group.folder / "memory.events").write_text("low 0\noom 3\noom_kill 2\noom_group_kill 1\n")
        assert group.reason() == "all its processes together used more than 1024 MB of memory"
    assert [path.name for path in kernel.iterdir() if path.is_dir()] == []


def test_groups_of_a_killed_grader_are_removed_and_those_of_a_living_one_are_not(kernel):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    for number in (ended.pid, os.getpid()):
        (kernel / f"notebook-{number}-7").mkdir()
    assert groups.place() == kernel
    assert [path.name for path in kernel.glob("notebook-*")] == [f"notebook-{os.getpid()}-7"]


@pytest.mark.parametrize("controllers", ["", "hugetlb", "memory", "pids cpu io"])
def test_without_the_controllers_the_warden_counts(kernel, controllers):
    (kernel / "cgroup.controllers").write_text(controllers)
    assert groups.place() is None
    assert groups.who_counts().startswith("counting, for control groups of version 2 do not have `")
    with groups.group(2**30, 64) as group:
        assert group is None


def test_a_group_that_cannot_be_made_is_no_error(kernel, monkeypatch):
    monkeypatch.setattr(groups, "_home", lambda: kernel / "is not there")
    assert groups.place() is None
    assert "there is no control group for it" in groups.who_counts()


@pytest.mark.needs("bwrap")
@pytest.mark.slow
def test_where_there_are_groups_the_kernel_keeps_the_limits():
    groups._found.cache_clear()
    home = groups.place()
    if home is None:
        pytest.skip(groups.why_none())
    code = "import os, time\nfor _ in range(8):\n    if os.fork() == 0:\n        x = bytearray(b'x') * 2**26\n        "
    code += "time.sleep(60)\ntime.sleep(60)"
    with Box(Limits(20, 20, 60, memory=2**29), Setup()) as box:
        folder = box.process.group.folder
        assert len((folder / "cgroup.procs").read_text().split()) == 2  # init, and the notebook
        with pytest.raises(BoxDied, match="used more than 512 MB"):
            box.run_cell(0, code)
    with contextlib.suppress(FileNotFoundError):
        assert not folder.exists()

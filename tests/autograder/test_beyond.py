"""Beyond one process and one file: a Dask cluster, and a gradebook in PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nbgrader.api import Gradebook
from tiny import RIGHT, SLUG, lose_patience, make, scores

from autograder import cli, workers
from autograder.course import Course
from autograder.errors import Refused
from autograder.run import ClassRun

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]


@pytest.fixture
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL"
    ) as cluster:
        yield cluster


def test_a_dask_cluster_gives_the_same_grades(tiny: Course, cluster: Any) -> None:
    arguments = ["grade", SLUG, "--course", str(tiny.root), "--scheduler", cluster.scheduler_address]
    assert cli.main(arguments) == 0
    assert scores(tiny) == RIGHT


def test_a_worker_that_is_killed_in_a_large_class_costs_no_grade(
    tmp_path: Path, repository: Path, cluster: Any
) -> None:
    students = tuple(f"student{number:03}" for number in range(80))
    here = make(tmp_path / "course", repository, students)
    graded = []

    def progress(done: int, total: int, student: str) -> None:
        graded.append(student)
        if done == 25:
            os.kill(pids_of(cluster)[0], signal.SIGKILL)

    found = ClassRun(here, SLUG, scheduler=cluster.scheduler_address).run(progress=progress)
    assert sorted(graded) == sorted(students)
    assert {record["score"] for record in found} == {5.0}
    with Gradebook(here.db_url) as gradebook:
        submissions = gradebook.find_assignment(SLUG).submissions
        assert sorted(one.student.id for one in submissions) == sorted(students)
        assert {one.score for one in submissions} == {5.0}


def pids_of(cluster: Any) -> list[int]:
    """Return the ids of the cluster's worker processes."""
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:
        return sorted(client.run(os.getpid).values())


def test_a_cluster_worker_that_hangs_costs_a_retry(tiny: Course, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_patience(workers._Cluster, monkeypatch)
    for pid in pids_of(cluster):
        os.kill(pid, signal.SIGSTOP)
    ClassRun(tiny, SLUG, scheduler=cluster.scheduler_address).run()
    assert scores(tiny) == RIGHT


def test_a_scheduler_that_is_not_there_is_told_in_one_line(tiny: Course) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(Refused, match=r"there is no Dask scheduler at tcp://127.0.0.1:9"):
        ClassRun(tiny, SLUG, scheduler="tcp://127.0.0.1:9").run()


# -- PostgreSQL ---------------------------------------------------------------------------------


@pytest.fixture
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a database server; yield the URL of a database in it."""
    pytest.importorskip("psycopg")
    folder = Path("/tmp") / f"pg-{os.getpid()}"  # the path of a socket must be short
    program = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))), None)
    assert program is not None
    who = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    folder.mkdir()
    if who:
        shutil.chown(folder, "postgres", "postgres")
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **who}
    data = folder / "data"
    subprocess.run(
        [program.with_name("initdb"), "-D", data, "-U", "teacher", "--auth=trust", "-E", "UTF8"], check=True, **quiet
    )
    server = subprocess.Popen([program, "-D", data, "-k", folder, "-c", "listen_addresses=", "-F"], **quiet)
    try:
        end = time.monotonic() + 30
        while not (folder / ".s.PGSQL.5432").exists() and time.monotonic() < end:
            time.sleep(0.05)
        yield f"postgresql+psycopg://teacher@/postgres?host={folder}"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.needs("postgres")
def test_the_gradebook_may_be_in_postgresql(tmp_path: Path, repository: Path, postgres: str) -> None:
    here = make(tmp_path / "course", repository, config=f"\nc.CourseDirectory.db_url = {postgres!r}\n")
    assert here.db_url == here.directory.db_url == postgres
    ClassRun(here, SLUG).run()
    assert scores(here) == RIGHT
    again = ClassRun(here, SLUG)
    again.run()
    assert len(again.unchanged) == 3
    assert not (here.root / "gradebook.db").exists()

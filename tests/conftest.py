"""What all tests share: programs that may be missing, and the order (slow files first, quick ones fill the gaps)."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import sampled


def _no_bwrap() -> str | None:
    from autograder.wall.sandbox import why_no_wall

    return why_no_wall()


def _program(name: str) -> Callable[[], str | None]:
    return lambda: None if shutil.which(name) else f"the program {name} is not installed"


def _no_postgres() -> str | None:
    return None if any(Path("/usr/lib/postgresql").glob("*/bin/postgres")) else "PostgreSQL is not installed"


def _module(name: str) -> Callable[[], str | None]:
    return lambda: None if importlib.util.find_spec(name) else f"the Python package {name} is not installed"


# What @pytest.mark.needs may name: each gives the reason why it is missing, or None.
NEEDS = {
    "bwrap": _no_bwrap,
    "chromium": _program("chromium"),
    "git": _program("git"),
    "playwright": _module("playwright"),
    "postgres": _no_postgres,
    "repo2docker": _module("repo2docker"),
}


def pytest_report_header() -> str:
    return "all of every list" if sampled.ALL else f"samples of long lists: COURSEKIT_SAMPLE={sampled.SEED}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            reason = NEEDS[name]()
            if reason and os.environ.get("COURSEKIT_NO_SKIP"):
                pytest.fail(f"nothing may be skipped here, but {reason}", pytrace=False)
            if reason:
                pytest.skip(reason)


STUDENTS = Path(__file__).parent / "students"  # whose programs take a minute to grade


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(STUDENTS):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)

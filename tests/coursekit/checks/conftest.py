"""A function as a student writes it, in its own cell."""

from __future__ import annotations

import itertools
import linecache
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

_numbers = itertools.count(1)


@pytest.fixture
def cell() -> Callable[..., Any]:
    """``cell(source, name)``: run `source` as a notebook runs a cell; returns its `name`."""

    def run(source: str, name: str, **known: Any) -> Any:
        source = textwrap.dedent(source)
        filename = f"/tmp/ipykernel_1/{next(_numbers)}.py"
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        namespace: dict[str, Any] = {"np": np, "__name__": "__main__", **known}
        exec(compile(source, filename, "exec"), namespace)
        return namespace[name]

    return run

"""Functions and classes that a case brings along, as source text: they run where the student's code runs.

A probe is called across the grader's wall, so only numbers and arrays reach it.  What a
student's code is to differentiate, or to be driven by, has to be in the same process as
that code: a loss as an argument of `hvp`, a training loop for a network of `Value` objects.

>>> line = ShippedCode("line", "def line(x):\\n    return a * x + b\\n", {"a": 2.0, "b": 1.0})
>>> line.make()(3.0)
7.0
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CASE = "<case>"  # stands for a file's name in tracebacks


@dataclass(frozen=True)
class ShippedCode:
    """What `source` defines under `name`, with `constants` and `np` as global names; made afresh for each call."""

    name: str
    source: str
    constants: dict[str, Any] = field(default_factory=dict)

    def make(self) -> Any:
        names = {"np": np, "__name__": CASE, **copy.deepcopy(self.constants)}
        exec(compile(self.source, CASE, "exec"), names)
        return names[self.name]

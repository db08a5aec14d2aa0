"""Functions and classes that are shipped with a case as source text, and run beside the student's code.

A probe is called across the wall, so it gets only numbers and arrays.  A function that the student's code
differentiates, or that drives this code, must be in the same process: a loss as an argument of `hvp`, or a training
loop for a network of `Value` objects.

>>> line = ShippedCode("line", "def line(x):\\n    return a * x + b\\n", {"a": 2.0, "b": 1.0})
>>> line.make()(3.0)
7.0
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CASE = "<case>"  # the file name in tracebacks


@dataclass(frozen=True)
class ShippedCode:
    """The definition of `name` in `source`, with `constants` and `np` as globals; made anew for each call."""

    name: str
    source: str
    constants: dict[str, Any] = field(default_factory=dict)

    def make(self) -> Any:
        names = {"np": np, "__name__": CASE, **copy.deepcopy(self.constants)}
        exec(compile(self.source, CASE, "exec"), names)
        return names[self.name]

"""Takes the place of `coursekit.diagrams.computing` behind the wall: circuits are drawn without computed numbers.

An exercise may ask for just these numbers.  Inputs keep their own, and what the notebook says itself is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Computed:
    """A stub of `Computed` that knows the inputs alone; None is drawn as a question mark."""

    note = "The numbers that coursekit would compute are not shown while a notebook is graded."

    def __init__(self, expressions: Mapping[str, Any], numbers: Mapping[str, float], said: Mapping[str, str]) -> None:
        self.values = {name: numbers.get(name) for name in expressions}

    def gradient(self, name: str) -> None:
        """Return None: it is not known."""

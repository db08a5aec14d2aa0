"""A part of a long list, drawn anew in each run of the tests; with COURSEKIT_TRY_ALL=1, as in CI, all of it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

# The processes of a run draw the same: this is loaded before they are started, and they inherit it.
SEED = os.environ.setdefault("COURSEKIT_SAMPLE", str(random.randrange(10**6)))
ALL = bool(os.environ.get("COURSEKIT_TRY_ALL"))


def some(items: Iterable[T], count: int) -> list[T]:
    """Draw `count` of `items`, in their order."""
    found = list(items)
    if ALL or count >= len(found):
        return found
    return [found[index] for index in sorted(random.Random(SEED).sample(range(len(found)), count))]

"""Compare two releases of an assignment: the same but for the last bits of numbers."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np


def assert_same_cases(made: Path, committed: Path, hint: str) -> None:
    """The public cases in two folders are the same to 1e-9."""
    new, old = (json.loads((folder / "cases.json").read_text()) for folder in (made, committed))
    assert numbers_apart(new) == numbers_apart(old), hint
    assert_close(numbers_in(new), numbers_in(old), hint)
    with np.load(made / "cases.npz") as ours, np.load(committed / "cases.npz") as theirs:
        assert ours.files == theirs.files, hint
        for name in ours.files:
            assert_close(ours[name], theirs[name], f"{name}: {hint}")


def numbers_apart(tree: Any) -> Any:
    """The tree without its floats: their last bits depend on the machine's BLAS."""
    if isinstance(tree, dict):
        return {key: numbers_apart(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [numbers_apart(value) for value in tree]
    return "a number" if isinstance(tree, float) else tree


def numbers_in(tree: Any) -> list[float]:
    if isinstance(tree, dict | list):
        inner = tree.values() if isinstance(tree, dict) else tree
        return list(itertools.chain.from_iterable(map(numbers_in, inner)))
    return [tree] if isinstance(tree, float) else []


def assert_close(new: Any, old: Any, hint: str) -> None:
    np.testing.assert_allclose(new, old, rtol=1e-9, atol=1e-9, err_msg=hint)

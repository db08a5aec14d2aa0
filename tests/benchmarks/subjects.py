"""The functions that the gradient checker is tried on, with their known mistakes: from the modules in `solutions/`."""

from __future__ import annotations

from pathlib import Path

from autograder.bundle import Bundle

SOLUTIONS = Path(__file__).resolve().parents[2] / "solutions"
IMPORTED = """
from ..subject import Subject
from .. import layers, losses, nets, regression
SUBJECTS = (*losses.SUBJECTS, *regression.SUBJECTS, *layers.SUBJECTS, *nets.SUBJECTS)
"""

shared = {f"../{path.name}": path.read_text(encoding="utf-8") for path in SOLUTIONS.glob("*.py")}
bank = Bundle("subjects", {**shared, "checks.py": IMPORTED}).load()
SUBJECTS, Subject = bank.SUBJECTS, bank.Subject

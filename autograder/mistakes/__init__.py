"""Known mistakes, as data: what a student's mistake would give, from the right results and the arguments.

One bank for two readers.  A `checks.py` takes from it what an exercise's mistakes would return, so that
the feedback can name them.  The benchmark of the gradient checker takes `SUBJECTS`: functions, each with
its gradient written by hand and the ways in which students get it wrong.

``general.py`` has what goes wrong with any gradient, ``losses.py``, ``layers.py`` and ``nets.py`` what goes
wrong with these, and ``subject.py`` says what a subject is.  The other files are named after the assignment
whose mistakes they have.
"""

from __future__ import annotations

from . import layers, losses, nets
from .general import instead, sign, zero
from .subject import Subject

__all__ = ["SUBJECTS", "instead", "sign", "zero"]

SUBJECTS: tuple[Subject, ...] = (*losses.SUBJECTS, *layers.SUBJECTS, *nets.SUBJECTS)

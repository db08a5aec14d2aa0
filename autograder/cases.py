"""Draw cases: one public set, and fresh ones for every student.

A student's cases are drawn from HMAC(course secret, assignment, student and everything that was handed in, exercise):
nobody can predict them without the secret, not even from those of an earlier hand-in.  Whoever changes nothing is
graded on the same cases, and cannot have written down anything about them.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

import numpy as np

from coursekit.checks.cases import Exercise

from .bundle import Bundle
from .comparable import require_comparable
from .spec import Assignment, Refused, load

PUBLIC = b"public"
SECRET_VARIABLE = "AUTOGRADER_SECRET"


def fresh(assignment: Assignment, exercise: str, secret: bytes, student: str) -> Exercise:
    """Draw the cases of an exercise that `student` is graded on; what the known mistakes give is computed if read."""
    return assignment.make(exercise, _generator(secret, assignment.name, student, exercise), lazy_mistakes=True)


def public(assignment: Assignment) -> tuple[Exercise, ...]:
    """Draw the cases of all exercises that are released with the notebook."""
    exercises = tuple(assignment.make(name, public_generator(assignment, name)) for name in assignment.described)
    for exercise in exercises:
        require_comparable(f"{assignment.name}/{exercise.name}", exercise)
    return exercises


@functools.lru_cache(maxsize=4)
def public_of(checks: Bundle) -> tuple[Exercise, ...]:
    """Draw the public cases of what a bundle describes, once in this process."""
    return public(load(checks))


def public_generator(assignment: Assignment, exercise: str) -> np.random.Generator:
    """Return the generator that the public cases of an exercise are drawn from."""
    return _generator(PUBLIC, assignment.name, "", exercise)


def course_secret(state: Path) -> bytes:
    """Return the secret of the course whose state is kept in `state`.

    It is made on first use, and readable by its owner alone.

    The environment variable AUTOGRADER_SECRET takes precedence.
    """
    given = os.environ.get(SECRET_VARIABLE)
    if given:
        return given.encode()
    path = state / "secret"
    if not path.exists():
        _create(path, secrets.token_hex(32) + "\n")
    text = path.read_bytes().strip()
    if len(text) < 32:
        raise Refused(
            f"the course secret in {path} is damaged (it has {len(text)} characters). "
            "Restore it from a backup, or remove it to get a new one; students' test cases then change."
        )
    return text


def _create(path: Path, text: str) -> None:
    """Create `path` with `text`, as a whole; a file that another process has made meanwhile stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)  # mode 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    try:
        os.link(name, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(name)


def _generator(secret: bytes, *what: str) -> np.random.Generator:
    # Lengths come first, so that no two lists of names give the same message.
    message = "".join(f"{len(item)}:{item}" for item in what).encode()
    digest = hmac.new(secret, message, hashlib.sha256).digest()
    return np.random.default_rng(int.from_bytes(digest))

"""Random edits of a `checks.py` and of what it imports, each of which leaves an assignment that can be graded."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = ("double", "triple", "square")
POINTS = {"double": 2, "triple": 3, "square": 4}
RIGHT = {"double": "2 * x", "triple": "3 * x", "square": "x * x"}
# What a reference may be by mistake: most differ from the right one on some students' numbers alone.
WRONG = (
    "{right} + (x > {a})",
    "{right} if x < {a} else -({right})",
    "{right} * (1 + {tiny})",
    "{right} + {tiny} * (x < {a})",
    "abs({right})",
    "{right} if round(10 * x) % {k} else 0.0",
)

CHECKS = '''
"""What is graded in `tiny`. {docs}"""

import numpy as np

from autograder.spec import Assignment, Mistake, case
from ..shared import SHIFT, scale
from .helper import titled

assignment = Assignment("tiny")
{exercises}
'''
EXERCISE = """

def {name}_reference(x):
    return float({reference})


@assignment.exercise("{name}", parts={{"{part}": {points}}}, mistakes=[{mistakes}])
def {name}_cases(rng):
    rng = np.random.default_rng(rng.integers(2**32) + {seed})
    for number in range({count}):
        x = float(rng.normal()) * scale() + SHIFT
        yield case(titled(number), "{name}", {{"x": x}}, {{"y": {name}_reference(x)}}, parts="{part}"{options})
"""
MISTAKE = 'Mistake("{code}", "{message}", lambda right, args: {{"y": {gives}}})'
SHARED = "SHIFT = {shift}\n\n\ndef scale():\n    return {scale}\n"
HELPER = '{comment}\n\ndef titled(number):\n    return "{title}" % number\n'


class Edited:
    """The state of an assignment's programs; `edit` changes it, `write` writes it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now: dict[str, Any] = {
            **{"docs": "", "order": list(NAMES), "shift": 0.0, "scale": 1.0, "title": "number %d", "comment": ""},
            **{name: self._exercise(name) for name in NAMES},
        }
        self.past: list[dict[str, Any]] = []

    def _exercise(self, name: str) -> dict[str, Any]:
        return {"reference": RIGHT[name], "part": "y", "mistakes": [], "seed": 0, "count": 1, "options": ""}

    def edit(self) -> str:
        """Change something; return what."""
        before = copy.deepcopy(self.now)
        self.past.append(before)
        while self.now == before:
            kind = self.random.choice(KINDS)
            kind(self, self.now[self.random.choice(NAMES)])
        return kind.__name__.strip("_")

    def write(self, folder: Path) -> None:
        """Write `checks.py` and its modules into the assignment's folder, and above it."""
        exercises = "".join(self._text(name, **self.now[name]) for name in self.now["order"])
        (folder / "checks.py").write_text(CHECKS.format(exercises=exercises, **self.now))
        (folder / "helper.py").write_text(HELPER.format(**self.now))
        (folder.parent / "shared.py").write_text(SHARED.format(**self.now))

    def _text(self, name: str, mistakes: list[dict[str, str]], **settings: Any) -> str:
        known = ", ".join(MISTAKE.format(**one) for one in mistakes)
        return EXERCISE.format(name=name, points=POINTS[name], mistakes=known, **settings)

    # -- the edits ------------------------------------------------------------------------------

    def _reference(self, exercise: dict[str, Any]) -> None:
        name = next(name for name in NAMES if self.now[name] is exercise)
        a, k, tiny = round(self.random.gauss(0, 1), 2), self.random.randint(2, 5), 10.0 ** -self.random.randint(3, 9)
        forms = [form.format(right=RIGHT[name], a=a, k=k, tiny=tiny) for form in WRONG]
        exercise["reference"] = self.random.choice([RIGHT[name], *forms])

    def _tolerance(self, exercise: dict[str, Any]) -> None:
        exercise["options"] = self.random.choice(["", ", rtol=0.5", ", rtol=1e-11", ", atol=1.0"])

    def _comparison(self, exercise: dict[str, Any]) -> None:
        exercise["options"] = self.random.choice(
            ["", ', compare="at_least"', ', compare="at_most"', ', compare="anything"']
        )

    def _mistakes(self, exercise: dict[str, Any]) -> None:
        code = self.random.choice(["scale", "sign", "zero", "off"])
        gives = self.random.choice(["2 * right['y']", "-right['y']", "0.0", "right['y'] + 1", "args['x']"])
        message = self.random.choice(["It is not scaled.", "The sign is wrong.", "One is missing."])
        others = [one for one in exercise["mistakes"] if one["code"] != code]
        exercise["mistakes"] = [*others, {"code": code, "message": message, "gives": gives}][-2:]

    def _cases(self, exercise: dict[str, Any]) -> None:
        exercise["count"] = self.random.randint(1, 3)

    def _seed(self, exercise: dict[str, Any]) -> None:
        exercise["seed"] = self.random.randint(0, 3)

    def _name_of_a_part(self, exercise: dict[str, Any]) -> None:
        exercise["part"] = self.random.choice(["y", "value", "result"])

    def _order(self, exercise: dict[str, Any]) -> None:
        self.random.shuffle(self.now["order"])

    def _shared_module(self, exercise: dict[str, Any]) -> None:
        self.now[self.random.choice(["shift", "scale"])] = self.random.choice([0.0, 0.5, 1.0, 2.0])

    def _own_module(self, exercise: dict[str, Any]) -> None:
        self.now["title"] = self.random.choice(["number %d", "case %d", "%d"])

    def _comment(self, exercise: dict[str, Any]) -> None:
        self.now["comment"] = f"# {self.random.random()}"

    def _docs(self, exercise: dict[str, Any]) -> None:
        self.now["docs"] = str(self.random.random())

    def _undo(self, exercise: dict[str, Any]) -> None:
        self.now = copy.deepcopy(self.random.choice(self.past))


KINDS: list[Callable[[Edited, dict[str, Any]], None]] = [
    *(
        Edited._reference,
        Edited._reference,
        Edited._reference,
        Edited._tolerance,
        Edited._comparison,
        Edited._mistakes,
        Edited._cases,
    ),
    *(Edited._seed, Edited._name_of_a_part, Edited._order, Edited._shared_module, Edited._own_module),
    *(Edited._comment, Edited._docs, Edited._undo),
]

"""What is special about `worked_example`: layouts of gradients, and what is said of them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from assessed import assessed, codes
from programs import first, wrong

ASSESSED = assessed("worked_example")
graded = ASSESSED.graded
STUDENT = "student-0"
BACKWARD = first("worked_example", "backward")


def test_a_wrong_forward_costs_nothing_in_what_does_not_call_it() -> None:
    broken = "def forward(W0, W1, x0): raise ValueError('wrong')\ndef loss(x3, y): return None\n"
    for name in ("backward", "update", "train"):
        assert graded(name, broken + first("worked_example", name).source, STUDENT).passed


@pytest.mark.parametrize("layout", ["g2", "g2[None]"])
def test_what_is_expected_is_shown_in_the_layout_that_came_back(layout: str) -> None:
    source = BACKWARD.replace(('"dL_dx2": g2', f'"dL_dx2": 2 * {layout}'))
    shown = re.findall(r"(?:expected|came back): (.*)", graded("backward", source, STUDENT).text())[:2]
    assert ["(shape (1, 2))" in line for line in shown] == 2 * [layout == "g2[None]"]


def test_a_missing_key_is_told_with_the_keys_that_are_there() -> None:
    report = graded("backward", BACKWARD.replace(('"dL_dW0"', '"dL_dw0"')), STUDENT)
    assert report.findings[0].message.startswith("dL_dW0 is missing: the dictionary has no key 'dL_dW0'; its keys are")
    assert "dL_dw0" in report.findings[0].message
    assert report.score == 30 - 7


@pytest.mark.parametrize("layout", ["g2, g1 = g2[None], g1[None]", "g2, g1 = np.asmatrix(g2), np.asmatrix(g1)"])
def test_a_mistake_is_named_for_rows_of_two_axes_too(layout: str) -> None:
    asked = 0
    for program in wrong("worked_example")["backward"].values():
        source = program.source.replace("    return {", f"    {layout}\n    return {{")
        if layout in source and program.says != (("error",),):
            report = graded("backward", source, STUDENT)
            assert codes(report) in program.says, f"{program}\n{report.text()}"
            asked += 1
    assert asked > 20


@pytest.mark.parametrize("name", ASSESSED.assignment.described)
def test_what_the_mistakes_are_made_from_is_right(name: str) -> None:
    """The bank has the network by hand, the references have their gradients from the engine."""
    known = ASSESSED.module("mistakes")
    by_hand = {"forward": known.PASS, "loss": known.HALF_SQUARE, "backward": known.BACK}
    by_hand |= {"update": known.UPDATED, "train": known.TRAINING}
    for made in ASSESSED.exercise(name, STUDENT).cases:
        (step,) = made.steps
        results = by_hand[name](**dict(zip(step.names, step.args, strict=True)))
        for item in step.expected:
            if item.where == "returned":
                np.testing.assert_allclose(results[item.name], item.value)

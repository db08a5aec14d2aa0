"""What is special about `two_layer_net`: a training that is judged with room for chance."""

from __future__ import annotations

import pytest
from assessed import assessed, items
from programs import first, right, wrong

ASSESSED = assessed("two_layer_net")
graded = ASSESSED.graded
STUDENTS = ("student-0", "student-1", "student-2")
NET = first("two_layer_net", "TwoLayerNet")


def test_an_earlier_mistake_is_not_punished_twice() -> None:
    """Whoever calls no earlier function may have got it wrong."""
    broken = "def sigmoid_forward(x): raise ValueError('wrong')\n"
    for name, title in (("three_layer_forward", "in a loop, as a float"), ("train_sigmoid_net", "flat")):
        assert graded(name, broken + right("two_layer_net")[name][title].source, STUDENTS[0]).passed


def test_a_wrong_loss_costs_nothing_in_the_training() -> None:
    program = wrong("two_layer_net")["TwoLayerNet"]["b1 twice"]
    earned = {part.name: part.earned for part in graded("TwoLayerNet", program.source, STUDENTS[0]).parts}
    assert (earned["params"], earned["train"]) == (3, 6)
    assert earned["scores"] == earned["loss"] == 0


def test_what_the_training_is_judged_by_leaves_room_for_chance_but_not_for_mistakes() -> None:
    """The one case of a run that learns: a little off in any other result is rejected, as for all assignments."""
    title = "an epoch is four iterations"
    late, never = "it % epoch == epoch - 1", "it % epoch == 0 and it < 0"
    for condition, passes in (("it % epoch == 0", True), (late, True), (never, False), ("True", False)):
        report = graded("TwoLayerNet", NET.replace(("if it % epoch == 0:", f"if {condition}:")), STUDENTS[0])
        assert report.passed == passes, condition
        assert any(not verdict.ok for verdict in report.verdicts if verdict.case == title) != passes, condition


def test_both_ends_of_what_is_right_leave_room_for_rounding() -> None:
    for student in STUDENTS:
        expected = {item.name: item.value for item in items(ASSESSED.exercise("TwoLayerNet", student))}
        low, high = expected["last loss"]
        for condition in ("it % epoch == 0", "it % epoch == epoch - 1"):
            source = NET.replace(("if it % epoch == 0:", f"if {condition}:"))
            verdicts = graded("TwoLayerNet", source, student).verdicts
            (got,) = (verdict.got for verdict in verdicts if verdict.name == "last loss")
            assert low + 1e-6 < got < high - 1e-6, (student, condition)


@pytest.mark.parametrize(
    ("old", "new"),
    [("dS /= N", "dS /= 1.0005 * N"), ("loss += reg", "loss += 1.0005 * reg"), ("2 * reg", "2.001 * reg")],
)
def test_a_loss_that_is_slightly_wrong_is_rejected(old: str, new: str) -> None:
    report = graded("TwoLayerNet", NET.replace((old, new)), STUDENTS[1])
    assert report.score < report.points
    assert not report.findings

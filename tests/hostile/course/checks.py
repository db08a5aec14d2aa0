"""What is graded in `doubling`, the assignment that the attacks attack.  CANARY-solution-SECRET"""

from autograder.spec import Assignment, Mistake, case

assignment = Assignment("doubling")


@assignment.exercise(
    "double",
    parts={"values": 3},
    mistakes=[Mistake("unchanged", "The argument came back as it was.", lambda right, args: {"values": args["x"]})],
)
def double_cases(rng):
    for title, shape in (("3 entries", (3,)), ("one entry", (1,)), ("a 2×3 matrix", (2, 3))):
        x = rng.normal(size=shape)
        yield case(title, "double", {"x": x}, {"values": 2 * x})

"""What is graded in `SLUG`: references, cases and known mistakes."""

import numpy as np

from autograder.mistakes import sign
from autograder.spec import Assignment, Mistake, case, value_and_gradient

assignment = Assignment("SLUG")


def sum_of_squares(x):
    """The reference, as a forward definition: its gradient comes from the engine."""
    return np.sum(x**2)


@assignment.exercise(
    "sum_of_squares",
    parts={"f": 2, "dx": 3},
    mistakes=[
        sign("dx"),
        Mistake(
            "scale",
            "The 2 is missing: the derivative of x² is 2x.",
            lambda right, args: {"dx": right["dx"] / 2},
        ),
    ],
)
def sum_of_squares_cases(rng):
    evaluate = value_and_gradient(sum_of_squares)
    for title, shape in (("3 entries", (3,)), ("one entry", (1,)), ("a 2×3 matrix", (2, 3))):
        x = rng.normal(size=shape)
        f, dx = evaluate(x)
        yield case(title, "sum_of_squares", {"x": x}, {"f": f, "dx": dx})

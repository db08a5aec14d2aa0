"""A mistake is a reference with some steps done otherwise."""

from __future__ import annotations

import pytest

from autograder.errors import Refused
from autograder.mistakes import Stepwise, exchanged

NEURON = Stepwise(
    {
        "z": lambda w, x: w * x,
        "h": lambda z: max(0.0, z),
        "dz": lambda z: float(z > 0),
        "dw": lambda dz, x: dz * x,
        "grads": lambda **values: {"w": values["dw"]},
    },
    "h",
    "grads",
)
ARGS = {"w": 2.0, "x": 3.0}


def test_steps_run_in_order_on_the_values_that_their_parameters_name() -> None:
    assert NEURON(**ARGS) == {"h": 6.0, "grads": {"w": 3.0}}


def test_what_follows_from_a_replaced_step_is_replaced_too() -> None:
    mistake = NEURON.mistake("sign", "", z=lambda w, x: -w * x)
    assert mistake.gives({}, ARGS) == {"h": 0.0, "grads": {"w": 0.0}}
    mistake = NEURON.mistake("upstream-ignored", "", dw=lambda x, factor=10: factor * x)
    assert mistake.gives({}, ARGS) == {"h": 6.0, "grads": {"w": 30.0}}
    assert NEURON(**ARGS) == {"h": 6.0, "grads": {"w": 3.0}}, "the reference stays as it is"


def scaled_sum(x: list[float], factor: float = 1.0, add=sum) -> tuple[float, int]:
    return factor * add(x), len(x)


def test_the_steps_of_a_function_are_its_keyword_parameters() -> None:
    reference = Stepwise(scaled_sum, "total", "count")
    assert reference(x=[1.0, 2.0]) == {"total": 3.0, "count": 2}
    assert reference.mistake("max", "", add=max).gives({}, {"x": [1.0, 2.0]}) == {"total": 2.0, "count": 2}
    whole = reference.instead("swapped", "", lambda x: (len(x), sum(x)))
    assert whole.gives({}, {"x": [1.0, 2.0]}) == {"total": 2, "count": 3.0}


class Counter:
    def __init__(self) -> None:
        self.total = self.start()

    def add(self, number: int) -> None:
        self.total += self.counted(number)

    @staticmethod
    def start() -> int:
        return 0

    @staticmethod
    def counted(number: int) -> int:
        return number


def test_the_steps_of_a_class_are_its_methods_static_ones_stay_static() -> None:
    mistake = Stepwise(Counter, runs="Counter").mistake("off-by-one", "", start=lambda: 1)
    counter = mistake.runs["Counter"]()
    counter.add(5)
    assert (counter.total, Counter().total) == (6, 0)


@pytest.mark.parametrize("reference", [{"z": lambda x: x}, scaled_sum, Counter])
def test_a_step_that_the_reference_does_not_have_is_refused(reference: object) -> None:
    with pytest.raises(Refused, match=r"the reference of z has no step 'zz'"):
        Stepwise(reference, "z").mistake("typo", "", zz=lambda x: x)


def test_results_can_be_exchanged() -> None:
    assert exchanged("swapped", "", "dX", "dW").gives({"dX": 1, "dW": 2}, {}) == {"dX": 2, "dW": 1}

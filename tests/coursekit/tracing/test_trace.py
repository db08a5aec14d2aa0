"""What cannot be traced is refused, and the error says why and what to write instead."""

import math

import numpy as np
import pytest

from coursekit.autograd import (
    stop_gradient,
)
from coursekit.tracing import flat

# --- What has no flat code -------------------------------------------------------------------------


def for_loop(x):
    total = x[0]
    for number in x:
        total = total + (number if number > 0 else 0)
    return total


REFUSED = {
    "if": lambda x: np.sum(x) if np.sum(x) > 0 else np.sum(x * 2),
    "if any": lambda x: np.sum(x) if np.any(x > 0) else np.sum(x * 2),
    "while": lambda x: np.sum(x * 2) if not (np.max(x) <= 1) else np.sum(x),
    "for": for_loop,
    "and": lambda x: np.sum(x) if x[0] > 0 and x[1] > 0 else np.sum(x * 2),
    "max": lambda x: max(x[0], x[1]),
    "sorted": lambda x: sorted(x)[0],
    "float of value": lambda x: np.sum(x) * float(x.value[0]),
    "int of value": lambda x: np.sum(x) * int(x.value[0]),
    "range": lambda x: sum(x[i] for i in range(np.argmax(x))),
    "asarray of value": lambda x: np.sum(x * np.asarray(x.value)),
    "stop_gradient": lambda x: np.sum(x) if stop_gradient(x)[0] > 0 else np.sum(x * 2),
    "array of numbers": lambda x: np.sum(x) * np.array([x.value[0], x.value[1]]).sum(),
    "math": lambda x: np.sum(x) * math.exp(x.value[0]),
    "item": lambda x: np.sum(x) * x[0].item(),
    "item of an input": lambda x: np.sum(x) * stop_gradient(x)[0].item(),
}


@pytest.mark.parametrize("label", REFUSED)
def test_a_computation_that_depends_on_numbers_is_refused_with_advice(label):
    with pytest.raises(TypeError, match=r"depends on a number.*np\.where"):
        flat(REFUSED[label], np.array([1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    ("f", "advice"),
    [
        (lambda x: np.sum(x) * float(x[0]), r"float\(\) would lose the gradient.*item"),
        (lambda x: math.exp(x[0]), r"np\.exp, not math\.exp"),
        (lambda x: np.sum(np.asarray(x)), r"lose its gradient.*tensor\.value"),
        (lambda x: np.sum(np.array([x[0], x[1]])), r"lose its gradient.*np\.stack"),
    ],
    ids=["float", "math", "asarray", "array"],
)
def test_what_would_lose_a_gradient_is_refused_with_advice(f, advice):
    with pytest.raises(TypeError, match=advice):
        flat(f, np.array([1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    ("f", "described"),
    [
        (lambda x: x * 2, r"an array of shape \(3,\)"),
        (lambda x: None, "None"),
        (lambda x: 2.5, r"2\.5"),
        (lambda x: (np.sum(x), 1.0), r"\(.*1\.0\)"),
    ],
    ids=["array", "None", "number", "tuple"],
)
def test_a_function_that_does_not_return_one_number_is_refused(f, described):
    with pytest.raises(TypeError, match=rf"returned {described}"):
        flat(f, np.ones(3))


def test_a_function_without_a_rule_is_named():
    with pytest.raises(NotImplementedError, match=r"np\.sinc has no gradient rule"):
        flat(lambda x: np.sum(np.sinc(x)), np.ones(3))


def test_changing_an_argument_in_place_is_refused():
    def f(x):
        x[0] = 1.0
        return np.sum(x)

    with pytest.raises(TypeError, match="cannot be changed in place"):
        flat(f, np.ones(3))


# --- What a fresh reader found ---------------------------------------------------------------------


@pytest.mark.parametrize("example", [None, "mean", {"a": 1.0}, [None]], ids=str)
def test_an_example_that_is_no_array_is_refused_by_name(example):
    with pytest.raises(TypeError, match=r"argument red is .*examples are arrays and numbers"):
        flat(lambda W, red: np.sum(W), np.ones(3), example)

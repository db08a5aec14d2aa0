"""Helpers that several tests of the engine share."""

from hypothesis import HealthCheck, settings

from coursekit.autograd import Tensor

SEEDS = range(40)


def parameter(value):
    return Tensor(value, requires_grad=True)


def examples(number):
    return settings(max_examples=number, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def _plainly(x):
    return x.value if isinstance(x, Tensor) else x

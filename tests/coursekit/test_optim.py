"""Optimizers against their written-out formulas, schedules at their ends, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from coursekit.autograd import Tensor
from coursekit.optim import (
    SGD,
    Adam,
    CosineDecay,
    InverseSqrtDecay,
    LinearDecay,
    Momentum,
    Nesterov,
    Optimizer,
    RMSprop,
    StepDecay,
)

ALL = [SGD, Momentum, Nesterov, RMSprop, Adam]


def variable(value: Any) -> Tensor:
    return Tensor(value, requires_grad=True)


def follow(optimizer: Optimizer, gradients: list[Any]) -> list[Any]:
    """Return the value of the only parameter after each of the gradients."""
    (theta,) = optimizer.parameters
    places = []
    for gradient in gradients:
        theta.grad = np.asarray(gradient, theta.dtype)
        optimizer.step()
        places.append(np.array(theta.value))
    return places


# --- The first steps by hand -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda p: SGD(p, lr=0.1), [0.8, 0.9, 0.5]),
        # m: −0.2, −0.1 + 0.1 = 0, 0 − 0.4
        (lambda p: Momentum(p, lr=0.1, mu=0.5), [0.8, 0.8, 0.4]),
        # m as above; θ moves by −0.2 − 0.1, 0 + 0.1, −0.4 − 0.2
        (lambda p: Nesterov(p, lr=0.1, mu=0.5), [0.7, 0.8, 0.2]),
        # v: 2, 1.5, 8.75
        (
            lambda p: RMSprop(p, lr=0.1, rho=0.5, eps=0.0),
            [1 - 0.2 / 2**0.5, 1 - 0.2 / 2**0.5 + 0.1 / 1.5**0.5, 1 - 0.2 / 2**0.5 + 0.1 / 1.5**0.5 - 0.4 / 8.75**0.5],
        ),
        # m: 1, 0, 2, corrected by 1/2, 3/4, 7/8; v: 1, 1, 4.75 with β₂ = 3/4, corrected by 1/4, 7/16, 37/64
        (
            lambda p: Adam(p, lr=0.1, betas=(0.5, 0.75), eps=0.0),
            [0.9, 0.9, 0.9 - 0.1 * (2 * 8 / 7) / (4.75 * 64 / 37) ** 0.5],
        ),
    ],
    ids=[kind.__name__ for kind in ALL],
)
def test_three_steps_by_hand(make: Callable[[list[Tensor]], Optimizer], expected: list[float]) -> None:
    np.testing.assert_allclose(follow(make([variable(1.0)]), [2.0, -1.0, 4.0]), expected, rtol=1e-14)


# --- Many steps against the formulas ---------------------------------------------------------------


def momentum(gradients: Any, lr: float, mu: float) -> Iterator[Any]:
    """Write out the sum over all gradients so far, with decaying weights."""
    theta = 0.0
    for t in range(len(gradients)):
        theta = theta - lr * sum(mu ** (t - s) * gradients[s] for s in range(t + 1))
        yield theta


def nesterov(gradients: Any, lr: float, mu: float) -> Iterator[Any]:
    """Use Nesterov's own variable, with the gradient taken at mu · m ahead of it."""
    behind, m = 0.0, 0.0
    for gradient in gradients:
        m = mu * m - lr * gradient
        behind = behind + m
        yield behind + mu * m


def rmsprop(gradients: Any, lr: float, rho: float, eps: float) -> Iterator[Any]:
    theta = 0.0
    for t in range(len(gradients)):
        v = (1 - rho) * sum(rho ** (t - s) * gradients[s] ** 2 for s in range(t + 1))
        theta = theta - lr * gradients[t] / (v**0.5 + eps)
        yield theta


def adam(gradients: Any, lr: float, beta1: float, beta2: float, eps: float) -> Iterator[Any]:
    """Write the corrected moments as weighted averages, whose weights add up to 1."""
    theta = 0.0
    for t in range(len(gradients)):
        w1 = beta1 ** np.arange(t, -1, -1)
        w2 = beta2 ** np.arange(t, -1, -1)
        m = np.tensordot(w1 / w1.sum(), gradients[: t + 1], 1)
        v = np.tensordot(w2 / w2.sum(), gradients[: t + 1] ** 2, 1)
        theta = theta - lr * m / (v**0.5 + eps)
        yield theta


REFERENCES = [
    (SGD, {}, lambda g: np.cumsum(-0.01 * g, axis=0)),
    (Momentum, {}, lambda g: momentum(g, 0.01, 0.9)),
    (Nesterov, {}, lambda g: nesterov(g, 0.01, 0.9)),
    (RMSprop, {}, lambda g: rmsprop(g, 1e-3, 0.9, 1e-8)),
    (Adam, {}, lambda g: adam(g, 1e-3, 0.9, 0.999, 1e-8)),
    (Adam, {"lr": 0.1, "betas": (0.5, 0.9), "eps": 0.3}, lambda g: adam(g, 0.1, 0.5, 0.9, 0.3)),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("kind", "options", "reference"), REFERENCES)
def test_many_steps_by_the_formula(kind: Any, options: dict[str, Any], reference: Any, seed: int) -> None:
    gradients = np.random.default_rng(seed).normal(size=(25, 3, 2))
    got = follow(kind([variable(np.zeros((3, 2)))], **options), list(gradients))
    np.testing.assert_allclose(got, list(reference(gradients)), rtol=1e-9, atol=1e-15, err_msg=f"seed {seed}")


class UncorrectedAdam(Adam):
    def change(self, i: int, gradient: Any, lr: float) -> Any:
        super().change(i, gradient, lr)
        return -lr * self._m[i] / (np.sqrt(self._v[i]) + self.eps)


class PlainMomentumAsNesterov(Nesterov):
    change = Momentum.change


@pytest.mark.parametrize(
    ("kind", "options", "reference"),
    [
        (UncorrectedAdam, {}, REFERENCES[4][2]),
        (PlainMomentumAsNesterov, {}, REFERENCES[2][2]),
        (Momentum, {"mu": 0.9005}, REFERENCES[1][2]),
        (RMSprop, {"rho": 0.9005}, REFERENCES[3][2]),
        (Adam, {"eps": 1e-5}, REFERENCES[4][2]),
    ],
)
def test_a_slightly_wrong_optimizer_is_rejected(kind: Any, options: dict[str, Any], reference: Any) -> None:
    with pytest.raises(AssertionError, match="seed 0"):
        test_many_steps_by_the_formula(kind, options, reference, seed=0)


# --- What they do to parameters --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_they_find_the_bottom_of_a_valley(kind: Any) -> None:
    theta, steepness = variable([3.0, -2.0]), np.array([1.0, 10.0])
    optimizer = kind([theta], lr=CosineDecay(400, 0.05))
    for _ in range(400):
        optimizer.zero_grad()
        np.sum(steepness * theta * theta).backward()
        optimizer.step()
    np.testing.assert_allclose(theta.value, 0, atol=1e-2)


@pytest.mark.parametrize("kind", ALL)
def test_nobody_elses_array_is_written_to(kind: Any) -> None:
    mine = np.ones(3)
    theta = variable(mine)
    gradient = np.array([1.0, 2.0, 3.0])
    optimizer = kind([theta], lr=0.1)
    for _ in range(3):
        theta.grad = gradient
        before = theta.value
        optimizer.step()
        assert theta.value is not before
    np.testing.assert_array_equal(mine, 1)
    np.testing.assert_array_equal(gradient, [1, 2, 3])


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("lr", [0.1, np.float64(0.1), lambda t: np.float64(0.1)])
def test_dtypes_stay(kind: Any, lr: Any) -> None:
    for dtype in np.float32, np.float64:
        for value in np.ones((2, 2), dtype), dtype(1):
            theta = variable(value)
            follow(kind([theta], lr=lr), [np.ones_like(value)] * 3)
            assert theta.value.dtype == dtype
            assert theta.shape == np.shape(value)


@pytest.mark.parametrize("kind", ALL)
def test_a_parameter_without_a_gradient_stays_and_loses_no_time(kind: Any) -> None:
    used, late = variable(1.0), variable(1.0)
    optimizer = kind([used, late], lr=0.1)
    used.grad = np.array(1.0)
    optimizer.step()
    assert late.value == 1
    first = used.value
    late.grad = np.array(1.0)
    optimizer.step()
    assert late.value == first  # its own first step, independent of the other's


def test_zero_grad_and_steps() -> None:
    a, b = variable(1.0), variable(2.0)
    optimizer = SGD(iter([a, b]))
    (a * b).backward()
    optimizer.step()
    assert optimizer.t == 1
    optimizer.zero_grad()
    assert a.grad is None
    assert b.grad is None
    with pytest.raises(RuntimeError, match=r"SGD.step: no parameter has a gradient. Call loss.backward\(\)"):
        optimizer.step()
    assert repr(optimizer) == "SGD(2 parameters, lr=0.01, t=1)"


# --- Schedules -------------------------------------------------------------------------------------


def test_an_optimizer_asks_its_schedule_with_the_number_of_steps_taken() -> None:
    asked = []

    def schedule(t: int) -> float:
        asked.append(t)
        return [1.0, 0.5, 0.25][t]

    optimizer = SGD([variable(0.0)], lr=schedule)
    del asked[:]
    np.testing.assert_array_equal(follow(optimizer, [-1.0, -1.0, -1.0]), [1, 1.5, 1.75])
    assert asked == [0, 1, 2]
    optimizer.lr = 10.0
    assert optimizer.learning_rate() == 10
    assert follow(optimizer, [-1.0]) == [11.75]


def test_momentum_under_a_schedule_keeps_the_speed_it_has() -> None:
    # Only new gradients are scaled by the new rate: m holds steps, which contain the old rate.
    optimizer = Momentum([variable(0.0)], lr=StepDecay(1.0, [1], 0.1), mu=0.5)
    np.testing.assert_allclose(follow(optimizer, [-1.0, -1.0]), [1, 1 + 0.5 + 0.1])


LR0, T = 0.3, 80


@pytest.mark.parametrize(
    ("schedule", "formula"),
    [
        (StepDecay(LR0, [30, 60, 70]), lambda t: LR0 * 0.1 ** sum(t >= m for m in (30, 60, 70))),
        (StepDecay(LR0, (10, 11), factor=0.5), lambda t: LR0 * 0.5 ** sum(t >= m for m in (10, 11))),
        (CosineDecay(T, LR0), lambda t: 0.5 * LR0 * (1 + np.cos(np.pi * t / T))),
        (LinearDecay(T, LR0), lambda t: LR0 * (1 - t / T)),
    ],
)
def test_schedules_are_those_of_the_lecture(schedule: Any, formula: Callable[[int], float]) -> None:
    rates = [schedule(t) for t in range(T + 1)]
    np.testing.assert_allclose(rates, [formula(t) for t in range(T + 1)], rtol=1e-14, atol=1e-16)
    assert rates[0] == LR0
    assert {type(rate) for rate in rates} == {float}


def test_inverse_square_root_counts_from_1_and_can_be_asked_for_0() -> None:
    schedule = InverseSqrtDecay(LR0)
    np.testing.assert_allclose([schedule(t) for t in (1, 2, 9)], [LR0, LR0 / np.sqrt(2), LR0 / 3])
    assert schedule(0) == LR0


@pytest.mark.parametrize("schedule", [CosineDecay(T, LR0), LinearDecay(T, LR0)])
def test_after_the_end_the_rate_stays_0(schedule: Any) -> None:
    assert schedule(T - 1) > 0
    assert [schedule(t) for t in (T, T + 1, 2 * T, 10 * T)] == [0, 0, 0, 0]
    theta = variable(1.0)
    optimizer = SGD([theta], lr=schedule)
    optimizer.t = T
    assert follow(optimizer, [5.0]) == [1.0]


# --- Refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("parameters", "options", "error", "words"),
    [
        ([], {}, ValueError, "no parameters"),
        ([np.ones(2)], {}, TypeError, r"parameters\[0\] is no Tensor, but of type ndarray"),
        ([Tensor(1.0, requires_grad=False)], {}, ValueError, "requires_grad=True"),
        (variable([1.0]), {}, TypeError, r"model\.parameters\(\)"),
        ([variable(1.0)] * 2, {}, ValueError, "given twice"),
        ([variable(1.0)], {"lr": 0}, ValueError, "positive number"),
        ([variable(1.0)], {"lr": -0.1}, ValueError, "not -0.1"),
        ([variable(1.0)], {"lr": np.nan}, ValueError, "not nan"),
        ([variable(1.0)], {"lr": "0.1"}, ValueError, "not '0.1'"),
        ([variable(1.0)], {"lr": None}, ValueError, "not None"),
        ([variable(1.0)], {"lr": lambda t: -1.0}, ValueError, "schedule"),
    ],
)
def test_refusals(kind: Any, parameters: Any, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=rf"^{kind.__name__}: .*{words}"):
        kind(parameters, **options)


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        (Momentum, {"mu": 1.0}, "mu"),
        (Nesterov, {"mu": -0.1}, "mu"),
        (RMSprop, {"rho": 1.5}, "rho"),
        (Adam, {"betas": (0.9, 1.0)}, r"betas\[1\]"),
    ],
)
def test_decay_rates_lie_below_1(kind: Any, options: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=rf"{kind.__name__}: {name} is at least 0 and less than 1"):
        kind([variable(1.0)], **options)


def test_an_optimizer_of_ones_own_needs_change() -> None:
    with pytest.raises(NotImplementedError, match="change"):
        follow(Optimizer([variable(1.0)], lr=0.1), [1.0])


@pytest.mark.parametrize("kind", [CosineDecay, LinearDecay])
def test_a_schedule_needs_time(kind: Any) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__}: T is .* more than 0, not 0"):
        kind(0, 0.1)

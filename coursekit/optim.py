"""Optimizers, which move parameters along their gradients, and schedules of the learning rate.

>>> import numpy as np
>>> from coursekit.autograd import Tensor
>>> from coursekit.optim import CosineDecay, Momentum
>>> theta = Tensor(np.array([4.0, -2.0]), requires_grad=True)
>>> optimizer = Momentum([theta], lr=CosineDecay(T=200, lr0=0.1))
>>> for t in range(200):
...     optimizer.zero_grad()
...     np.sum(theta * theta).backward()
...     optimizer.step()
>>> bool(np.all(np.abs(theta.value) < 0.01))
True

θ is a parameter, g its gradient, η the learning rate.  A step gives ``parameter.value`` a new
array of the same dtype and never writes into the old one, which other code may hold.

Source: the update rules and schedules of the lectures, and the papers named in each docstring.
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from coursekit.autograd import Tensor

__all__ = [
    "SGD", "Adam", "CosineDecay", "InverseSqrtDecay", "LinearDecay", "Momentum", "Nesterov", "Optimizer", "RMSprop",
    "StepDecay",
]  # fmt: skip

Parameters: TypeAlias = Iterable[Tensor]
Schedule: TypeAlias = Callable[[int], float]
Rate: TypeAlias = float | Schedule
# The state of parameter i: 0 until its first gradient, which gives it its shape.
_memory = functools.partial(defaultdict[int, Any], float)


# --- Optimizers ------------------------------------------------------------------------------------


class Optimizer:
    """The base of all optimizers.  To write your own, derive from it and define ``change``.

    `parameters` are Tensors that require a gradient, such as ``model.parameters()``.  `lr` is a positive number, or
    a schedule: a function of `t`, the number of steps taken so far; it may be set between steps.  Anything else
    raises a TypeError or ValueError; `step` raises a RuntimeError when no parameter has a gradient.

    >>> class SignDescent(Optimizer):
    ...     def change(self, i, gradient, lr):
    ...         return -lr * np.sign(gradient)
    >>> theta = Tensor(np.array([4.0, -2.0]), requires_grad=True)
    >>> np.sum(theta * theta).backward()
    >>> SignDescent([theta], lr=0.5).step()
    >>> theta.value
    array([ 3.5, -1.5])
    """

    def __init__(self, parameters: Parameters, lr: Rate = 0.01) -> None:
        name = type(self).__name__
        if isinstance(parameters, Tensor) or not isinstance(parameters, Iterable):
            raise TypeError(f"{name}: parameters is a list of Tensors, such as model.parameters() or [W, b].")
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError(f"{name}: there are no parameters. (An iterator is empty the second time.)")
        for i, parameter in enumerate(self.parameters):
            if not isinstance(parameter, Tensor):
                raise TypeError(f"{name}: parameters[{i}] is no Tensor, but of type {type(parameter).__name__}.")
            if not parameter.requires_grad:
                raise ValueError(f"{name}: parameters[{i}] gets no gradient. Make it Tensor(..., requires_grad=True).")
        if len(set(map(id, self.parameters))) < len(self.parameters):
            raise ValueError(f"{name}: a parameter is given twice, and would be moved twice in each step.")
        self.lr = lr
        self.t = 0
        self.learning_rate()  # raises now if it is wrong

    def learning_rate(self) -> float:
        """Return the learning rate of the next step."""
        lr = self.lr(self.t) if callable(self.lr) else self.lr
        if isinstance(lr, str | bool | None) or not 0 <= float(lr) < math.inf or (lr == 0 and not callable(self.lr)):
            raise ValueError(f"{type(self).__name__}: lr is a positive number or a schedule, not {lr!r}.")
        return float(lr)  # a NumPy float64 would turn float32 parameters into float64

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        if all(parameter.grad is None for parameter in self.parameters):
            raise RuntimeError(f"{type(self).__name__}.step: no parameter has a gradient. Call loss.backward() first.")
        lr = self.learning_rate()
        for i, parameter in enumerate(self.parameters):
            if parameter.grad is not None:
                parameter.value = parameter.value + self.change(i, parameter.grad, lr)
        self.t += 1

    def change(self, i: int, gradient: Any, lr: float) -> Any:
        """Return what to add to parameter i.  Every optimizer defines its own."""
        raise NotImplementedError(f"{type(self).__name__} needs a method change(self, i, gradient, lr)")

    def zero_grad(self) -> None:
        """Clear all gradients, because `backward` adds to them."""
        for parameter in self.parameters:
            parameter.grad = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.parameters)} parameters, lr={self.lr}, t={self.t})"

    def _decay_rate(self, name: str, rate: float) -> float:
        if not 0 <= rate < 1:
            raise ValueError(f"{type(self).__name__}: {name} is at least 0 and less than 1, not {rate!r}.")
        return float(rate)


class SGD(Optimizer):
    """(Stochastic) gradient descent: ``θ ← θ − η g``.

    >>> theta = Tensor(1.0, requires_grad=True)
    >>> (theta * theta).backward()
    >>> SGD([theta], lr=0.25).step()
    >>> float(theta.value)
    0.5
    """

    def change(self, i: int, gradient: Any, lr: float) -> Any:
        return -lr * gradient


class Momentum(Optimizer):
    """Heavy ball: ``m ← μ m − η g``, ``θ ← θ + m`` (Polyak, 1964); steps approach 1 / (1 − μ) times those of `SGD`.

    >>> theta = Tensor(0.0, requires_grad=True)
    >>> optimizer = Momentum([theta], lr=1.0, mu=0.5)
    >>> for _ in range(3):
    ...     theta.grad = np.array(-1.0)
    ...     optimizer.step()
    >>> float(theta.value)      # 1 + 1.5 + 1.75
    4.25
    """

    def __init__(self, parameters: Parameters, lr: Rate = 0.01, mu: float = 0.9) -> None:
        super().__init__(parameters, lr)
        self.mu, self._m = self._decay_rate("mu", mu), _memory()

    def change(self, i: int, gradient: Any, lr: float) -> Any:
        self._m[i] = self.mu * self._m[i] - lr * gradient
        return self._m[i]


class Nesterov(Momentum):
    """Momentum that looks ahead: ``m' ← μ m − η g``, ``θ ← θ + m' + μ (m' − m)``.

    Nesterov evaluates the gradient at θ + μ m, where the momentum is about to carry θ.  Here,
    as in the notes of CS231n ("Neural Networks Part 3"), θ is already that point.

    >>> theta = Tensor(0.0, requires_grad=True)
    >>> theta.grad = np.array(-1.0)
    >>> Nesterov([theta], lr=1.0, mu=0.5).step()
    >>> float(theta.value)
    1.5
    """

    def change(self, i: int, gradient: Any, lr: float) -> Any:
        before = self._m[i]
        after = super().change(i, gradient, lr)
        return after + self.mu * (after - before)


class RMSprop(Optimizer):
    """Steps of like size in every direction (Hinton, 2012, lecture 6.5).

    ``v ← ρ v + (1 − ρ) g²``, ``θ ← θ − η g / (√v + ε)``.

    >>> theta = Tensor(np.array([0.0, 0.0]), requires_grad=True)
    >>> theta.grad = np.array([-0.001, 1000.0])
    >>> RMSprop([theta], lr=0.1, rho=0.75).step()
    >>> theta.value.round(3)
    array([ 0.2, -0.2])
    """

    def __init__(self, parameters: Parameters, lr: Rate = 1e-3, rho: float = 0.9, eps: float = 1e-8) -> None:
        super().__init__(parameters, lr)
        self.rho, self.eps, self._v = self._decay_rate("rho", rho), float(eps), _memory()

    def change(self, i: int, gradient: Any, lr: float) -> Any:
        self._v[i] = self.rho * self._v[i] + (1 - self.rho) * gradient**2
        return -lr * gradient / (np.sqrt(self._v[i]) + self.eps)


class Adam(Optimizer):
    """Momentum and RMSprop together, each corrected for starting at 0 (Kingma and Ba, ICLR 2015, algorithm 1).

    ``m ← β₁ m + (1 − β₁) g``, ``v ← β₂ v + (1 − β₂) g²``, and with k the number of gradients
    of this parameter so far, ``θ ← θ − η · m / (1 − β₁ᵏ) / (√(v / (1 − β₂ᵏ)) + ε)``.

    >>> theta = Tensor(np.array([0.0, 0.0]), requires_grad=True)
    >>> theta.grad = np.array([-0.001, 1000.0])
    >>> Adam([theta], lr=0.1).step()
    >>> theta.value.round(3)
    array([ 0.1, -0.1])
    """

    def __init__(
        self, parameters: Parameters, lr: Rate = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        super().__init__(parameters, lr)
        self.betas = self._decay_rate("betas[0]", betas[0]), self._decay_rate("betas[1]", betas[1])
        self.eps, self._m, self._v, self._k = float(eps), _memory(), _memory(), _memory()

    def change(self, i: int, gradient: Any, lr: float) -> Any:
        beta1, beta2 = self.betas
        self._k[i] += 1
        self._m[i] = beta1 * self._m[i] + (1 - beta1) * gradient
        self._v[i] = beta2 * self._v[i] + (1 - beta2) * gradient**2
        m, v = self._m[i] / (1 - beta1 ** self._k[i]), self._v[i] / (1 - beta2 ** self._k[i])
        return -lr * m / (np.sqrt(v) + self.eps)


# --- The four schedules of the lecture.  After T the rate stays 0, where the formulas would go on. ---


@dataclass(frozen=True)
class StepDecay:
    """``lr0 · factor^(number of milestones m with t >= m)``.

    >>> [round(StepDecay(1.0, milestones=[30, 60])(t), 4) for t in (0, 29, 30, 60)]
    [1.0, 1.0, 0.1, 0.01]
    """

    lr0: float
    milestones: Sequence[int]
    factor: float = 0.1

    def __call__(self, t: int) -> float:
        return float(self.lr0 * self.factor ** sum(t >= milestone for milestone in self.milestones))


@dataclass(frozen=True)
class _ToZero:
    T: int
    lr0: float

    def __post_init__(self) -> None:
        if not self.T > 0:
            raise ValueError(f"{type(self).__name__}: T is the number of steps to 0, more than 0, not {self.T!r}.")


class CosineDecay(_ToZero):
    """``½ lr0 (1 + cos(π t / T))``: from lr0 at t = 0 to 0 at T.

    >>> [round(CosineDecay(T=100, lr0=1.0)(t), 4) for t in (0, 25, 50, 100, 150)]
    [1.0, 0.8536, 0.5, 0.0, 0.0]
    """

    def __call__(self, t: int) -> float:
        return 0.5 * self.lr0 * (1 + math.cos(math.pi * min(t / self.T, 1)))


class LinearDecay(_ToZero):
    """``lr0 (1 − t / T)``: from lr0 at t = 0 to 0 at T.

    >>> [LinearDecay(T=100, lr0=1.0)(t) for t in (0, 25, 100, 150)]
    [1.0, 0.75, 0.0, 0.0]
    """

    def __call__(self, t: int) -> float:
        return self.lr0 * (1 - min(t / self.T, 1))


@dataclass(frozen=True)
class InverseSqrtDecay:
    """``lr0 / √t``, for t from 1; at t = 0 it is lr0 too.

    >>> [InverseSqrtDecay(1.0)(t) for t in (0, 1, 4, 100)]
    [1.0, 1.0, 0.5, 0.1]
    """

    lr0: float

    def __call__(self, t: int) -> float:
        return self.lr0 / math.sqrt(max(t, 1))

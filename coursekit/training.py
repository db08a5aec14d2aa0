"""The training loop: minibatches, loss, backward, step, again.

`fit` runs to the end; `training_steps` is the same loop as a generator, which lets you act
after each step::

    from coursekit.widgets import LossCurve

    with LossCurve("spirals") as curve:
        fit(model, X, y, callback=lambda step: curve.append(step.loss))

    async def train():                      # in a notebook: its buttons keep working
        for step in training_steps(model, X, y):
            curve.append(step.loss)
            await asyncio.sleep(0)

Source: the loop of the lectures over minibatches: scores, loss, backward, step.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from coursekit._typing import Array
from coursekit.autograd import Tensor, no_grad, stop_gradient
from coursekit.losses import l2, softmax_cross_entropy
from coursekit.nn import Module, Seed
from coursekit.optim import Adam, Optimizer

__all__ = ["DivergedError", "History", "Step", "accuracy", "fit", "training_steps"]

Loss: TypeAlias = Callable[[Any, Any], Any]


class DivergedError(FloatingPointError):
    """The loss is no longer a finite number.

    >>> from coursekit.nn import Linear
    >>> steps = training_steps(Linear(1, 2), [[np.nan]], [0])
    >>> next(steps).loss
    nan
    >>> next(steps)                                                         # doctest: +ELLIPSIS
    Traceback (most recent call last):
    coursekit.training.DivergedError: The loss is nan at step 0: training diverged. Try a smaller learning rate ...
    """


@dataclass(frozen=True)
class Step:
    """One step of training, as `training_steps` yields it and a callback gets it.

    >>> Step(t=0, total=20, loss=2.3, lr=0.1, epoch=0, ends_epoch=False).loss
    2.3
    """

    t: int  # from 0
    total: int  # number of steps of the whole training
    loss: float  # on its minibatch, with regularisation, before the update
    lr: float  # learning rate of this step
    epoch: int  # number of full passes over the data before this step
    ends_epoch: bool  # whether it is the last step of its epoch


@dataclass
class History:
    """What `fit` returns; ``LossCurve().extend(history.losses)`` draws it.

    >>> History(losses=[2.3, 0.7], val_losses=[0.9], val_accuracies=[0.8])
    History: 2 steps, first loss 2.3, now loss 0.7, validation loss 0.9, validation accuracy 80.0%.
    """

    losses: list[float] = field(default_factory=list)  # one per step
    val_losses: list[float] = field(default_factory=list)  # one per epoch, without regularisation
    val_accuracies: list[float] = field(default_factory=list)  # one per epoch, if the model is a classifier
    stopped: str = ""  # why training ended early, if it did

    def __repr__(self) -> str:
        words = f"{len(self.losses)} steps, first loss {self.losses[0]:.4g}, now {_words(self)}" if self.losses else ""
        return f"History: {words or 'no steps'}. {self.stopped}".rstrip()


def fit(
    model: Module,
    X: Any,
    y: Any,
    loss: Loss = softmax_cross_entropy,
    optimizer: Optimizer | None = None,
    *,
    epochs: int | None = None,
    num_iters: int | None = None,
    batch_size: int = 64,
    reg: float = 0.0,
    X_val: Any = None,
    y_val: Any = None,
    rng: Seed = None,
    callback: Callable[[Step], object] | None = None,
    progress: bool = True,
) -> History:
    """Train a model in place.  It can be interrupted at any time (the notebook's ■) and keeps what it has learned.

    Arguments that do not fit together raise a TypeError or ValueError before the first step; a wrong label raises in
    the step that meets it.  A loss that is not finite ends the training with a RuntimeWarning, before that step
    changes a parameter.

    Parameters
    ----------
    model : Module
    X, y : arrays with one example in each of their N rows
    loss : function of (model(X), y)
    optimizer : Optimizer
        `Adam` with its default settings if left out.
    epochs, num_iters : int
        The number of passes over the data, or of steps: one or the other; 10 epochs if neither is given.
    batch_size : int
        Examples per step.  Each epoch shuffles the examples anew; its last batch may be smaller.
    reg : float
        Adds ``reg * Σ ‖W‖²`` to the loss, over the weights but not the biases (`Module.weights`).
    X_val, y_val : arrays, evaluated at the end of each epoch
    rng : numpy.random.Generator, int or None, for the order of the examples
    callback : function of a `Step`, called after every step
    progress : bool, whether to print about ten lines of progress

    Examples
    --------
    >>> from coursekit.data import spirals
    >>> from coursekit.nn import MLP
    >>> X, y = spirals(50, num_classes=2)
    >>> model = MLP([2, 32, 2], rng=0)
    >>> optimizer = Adam(model.parameters(), lr=0.05)
    >>> history = fit(model, X, y, optimizer=optimizer, epochs=40, X_val=X, y_val=y, rng=0, progress=False)
    >>> len(history.losses), len(history.val_losses), history.val_accuracies[-1] > 0.95
    (80, 40, True)
    """
    if (X_val is None) != (y_val is None):
        raise ValueError("fit: X_val and y_val go together; one of them is missing.")
    steps = training_steps(
        model, X, y, loss, optimizer, epochs=epochs, num_iters=num_iters, batch_size=batch_size, reg=reg, rng=rng
    )
    history = History()
    try:
        for step in steps:
            history.losses.append(step.loss)
            last = step.t == step.total - 1
            if X_val is not None and (step.ends_epoch or last):
                _evaluate(model, X_val, y_val, loss, history)
            if callback is not None:
                callback(step)
            if progress and (step.t % math.ceil(step.total / 10) == 0 or last):
                print(f"step {step.t + 1} of {step.total}: {_words(history)}", flush=True)
    except KeyboardInterrupt:
        history.stopped = f"Interrupted after {len(history.losses)} steps."
    except DivergedError as error:
        history.stopped = str(error)
        warnings.warn(f"fit: {error}", RuntimeWarning, stacklevel=2)
    return history


def training_steps(
    model: Module,
    X: Any,
    y: Any,
    loss: Loss = softmax_cross_entropy,
    optimizer: Optimizer | None = None,
    *,
    epochs: int | None = None,
    num_iters: int | None = None,
    batch_size: int = 64,
    reg: float = 0.0,
    rng: Seed = None,
) -> Iterator[Step]:
    """Run the loop of `fit` as a generator of `Step`; parameters and errors are those of `fit`.

    A step whose loss is not finite changes no parameter; after it, the generator raises `DivergedError`.

    >>> from coursekit.nn import Linear
    >>> X, y = np.ones((100, 2)), np.zeros(100, int)
    >>> [step.epoch for step in training_steps(Linear(2, 3), X, y, num_iters=5, batch_size=50)]
    [0, 0, 1, 1, 2]
    """
    X, y = np.asarray(stop_gradient(X)), np.asarray(stop_gradient(y))
    _require_settings(X, y, epochs, num_iters, batch_size, reg)
    _require_parts(model, loss, optimizer)
    mover = optimizer or Adam(model.parameters())
    if not {id(p) for p in mover.parameters} & {id(p) for p in model.parameters()}:
        raise ValueError("fit: this optimizer moves the parameters of another model. Make it from model.parameters().")
    random = np.random.default_rng(rng)
    per_epoch = math.ceil(len(X) / batch_size)
    total = num_iters or (epochs or 10) * per_epoch

    def steps() -> Iterator[Step]:
        for t in range(total):
            epoch, i = divmod(t, per_epoch)
            if i == 0:
                order = random.permutation(len(X))
            batch, lr = order[i * batch_size : (i + 1) * batch_size], mover.learning_rate()
            value = _one_step(model, X[batch], y[batch], loss, mover, reg)
            yield Step(t, total, value, lr, epoch, ends_epoch=i == per_epoch - 1)
            if not math.isfinite(value):
                advice = f"Try a smaller learning rate (it was {lr:g})."
                raise DivergedError(f"The loss is {value} at step {t}: training diverged. {advice}")

    return steps()  # a generator function would check its arguments only at the first step


def _require_settings(
    X: Array, y: Array, epochs: int | None, num_iters: int | None, batch_size: int, reg: float
) -> None:
    if X.ndim == 0 or y.ndim == 0 or len(X) != len(y) or len(X) == 0:
        raise ValueError(f"fit: X and y have one example in each row, but their shapes are {X.shape} and {y.shape}.")
    if epochs is not None and num_iters is not None:
        raise TypeError("fit: give epochs or num_iters, not both.")
    for name, count in ("epochs", epochs), ("num_iters", num_iters), ("batch_size", batch_size):
        if count is not None and (isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1):
            raise ValueError(f"fit: {name} is a whole number, 1 or more, not {count!r}.")
    if not 0 <= reg < math.inf:
        raise ValueError(f"fit: reg is a number, 0 or more, not {reg!r}.")


def _require_parts(model: Module, loss: Loss, optimizer: Optimizer | None) -> None:
    if not isinstance(model, Module):
        raise TypeError(f"fit: model is a Module, such as MLP([64, 100, 10]), not {_kind(model)}.")
    if isinstance(loss, Optimizer):
        raise TypeError("fit: the fourth argument is the loss. Write optimizer=... before the optimizer.")
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"fit: optimizer is made first, SGD(model.parameters(), lr=0.1), and is not {_kind(optimizer)}."
        )
    if not model.parameters():
        name = type(model).__name__
        raise ValueError(
            f"fit: {name} has no parameters. Keep modules, or Tensors with requires_grad=True, in its attributes."
        )


def _kind(thing: Any) -> str:
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"of type {type(thing).__name__}"


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # a loss that is not finite is reported anyway
def _one_step(model: Module, X: Any, y: Any, loss: Loss, optimizer: Optimizer, reg: float) -> float:
    optimizer.zero_grad()
    total = loss(model(X), y)
    if reg:
        total = total + reg * l2(model.weights())
    if not isinstance(total, Tensor) or not total.requires_grad or total.size != 1:
        what = f"an array of shape {total.shape}" if hasattr(total, "shape") else repr(total)
        raise TypeError(
            f"fit: loss(model(X), y) is one number that depends on the model, not {what}. "
            "Compute it with NumPy functions from the Tensor that model(X) is, and sum or average it."
        )
    value = float(total.item())
    if math.isfinite(value):
        total.backward()
        optimizer.step()
    return value


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def _evaluate(model: Module, X: Any, y: Any, loss: Loss, history: History) -> None:
    with no_grad():
        scores = stop_gradient(model(X))
        history.val_losses.append(float(loss(scores, y)))
    if scores.ndim == 2 and np.ndim(y) == 1 and np.asarray(y).dtype.kind in "iu":
        history.val_accuracies.append(accuracy(scores, y))


def _words(history: History) -> str:
    words = f"loss {history.losses[-1]:.4g}"
    words += f", validation loss {history.val_losses[-1]:.4g}" if history.val_losses else ""
    return words + (f", validation accuracy {history.val_accuracies[-1]:.1%}" if history.val_accuracies else "")


def accuracy(scores: Any, y: Any) -> float:
    """Compute the fraction of examples whose largest score, in (N, C), belongs to the right class, in y of shape (N,).

    >>> accuracy(np.array([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]]), np.array([0, 1, 1])) == 2 / 3
    True
    """
    scores, y = np.asarray(stop_gradient(scores)), np.asarray(stop_gradient(y))
    if scores.ndim != 2 or y.shape != scores.shape[:1]:
        raise ValueError(f"accuracy: scores should be (N, C) and y (N,), but they are {scores.shape} and {y.shape}.")
    return float(np.mean(np.argmax(scores, axis=1) == y))

"""The training loop learns, uses the order it promises, can be interrupted, and says why it stops."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from coursekit.autograd import Tensor, no_grad
from coursekit.data import load_digits, spirals
from coursekit.losses import binary_cross_entropy, l2, mean_squared_error, softmax_cross_entropy, svm_loss
from coursekit.nn import MLP, Linear, Maxout, Module, Sequential, Tanh, zeros
from coursekit.optim import SGD, Adam, CosineDecay, Momentum, Nesterov, RMSprop
from coursekit.training import DivergedError, History, Step, accuracy, fit, training_steps

pytestmark = pytest.mark.filterwarnings("error")


def two_moons(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    angle = np.pi * rng.uniform(size=n)
    y = np.arange(n) % 2
    upper = np.column_stack([np.cos(angle), np.sin(angle)])
    X = np.where(y[:, None] == 0, upper, [1.0, 0.5] - upper)
    return X + 0.1 * rng.normal(size=X.shape), y


def regression(n: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(seed).normal(size=(n, 3))
    return X, X @ [[1.0], [-2.0], [0.5]]


# --- It learns -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("loss", [softmax_cross_entropy, svm_loss])
def test_two_moons(loss: Any, seed: int) -> None:
    X, y = two_moons(200, np.random.default_rng(seed))
    model = MLP([2, 16, 2], rng=seed)
    optimizer = Adam(model.parameters(), lr=0.05)
    history = fit(model, X, y, loss, optimizer, epochs=50, rng=seed, X_val=X, y_val=y, progress=False)
    assert history.val_accuracies[-1] >= 0.98, f"seed {seed}: {history}"
    linear = MLP([2, 2], rng=seed)
    fit(linear, X, y, loss, Adam(linear.parameters(), lr=0.05), epochs=50, rng=seed, progress=False)
    assert accuracy(linear(X), y) < 0.95, "a line should not do"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_xor(dtype: Any, seed: int) -> None:
    X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0], [1], [1], [0]])

    def loss(scores: Any, y: Any) -> Any:
        return binary_cross_entropy(scores, y, from_logits=True)

    model = MLP([2, 8, 1], activation=Tanh, rng=seed, dtype=dtype)
    history = fit(model, X, y, loss, Adam(model.parameters(), lr=0.1), num_iters=300, rng=0, progress=False)
    np.testing.assert_array_equal(model(X).value > 0, y, err_msg=f"seed {seed}: {history}")
    assert {value.dtype for value in model.state().values()} == {np.dtype(dtype)}


@pytest.mark.parametrize(("kind", "lr"), [(SGD, 0.5), (Momentum, 0.1), (Nesterov, 0.1), (RMSprop, 0.01), (Adam, 0.02)])
def test_spirals_with_every_optimizer(kind: Any, lr: float) -> None:
    X, y = spirals(60)
    model = Sequential(Maxout(2, 32, rng=0), Linear(32, 3, rng=1))
    fit(model, X, y, optimizer=kind(model.parameters(), CosineDecay(600, lr)), num_iters=600, rng=0, progress=False)
    assert accuracy(model(X), y) > 0.9


def test_digits() -> None:
    digits = load_digits(bias=False)
    model = MLP([64, 32, 10], rng=0, dtype=np.float32)
    optimizer = Adam(model.parameters(), lr=0.01)
    val = {"X_val": digits.X_val, "y_val": digits.y_val}
    history = fit(model, digits.X_train, digits.y_train, optimizer=optimizer, epochs=10, rng=0, progress=False, **val)
    assert history.val_accuracies[-1] > 0.93
    assert history.losses[-1] < 0.3 < history.losses[0]


# --- It does what it says --------------------------------------------------------------------------


def test_full_batches_are_gradient_descent() -> None:
    X, y = regression()
    model = Linear(3, 1, bias=False, init=zeros)
    history = fit(
        model, X, y, mean_squared_error, SGD(model.parameters(), 0.1), num_iters=5, batch_size=99, progress=False
    )
    W, losses = np.zeros((3, 1)), []
    for _ in range(5):
        losses.append(np.mean((X @ W - y) ** 2))
        W = W - 0.1 * 2 * X.T @ (X @ W - y) / len(X)
    np.testing.assert_allclose(model.W.value, W, rtol=1e-12)
    np.testing.assert_allclose(history.losses, losses, rtol=1e-12)


class Recorder(Module):
    """A model that records its inputs."""

    def __init__(self) -> None:
        self.b = Tensor(0.0, requires_grad=True)
        self.seen: list[Any] = []

    def forward(self, x: Any) -> Any:
        self.seen.append(np.ravel(x).tolist())
        return x + self.b


def test_an_epoch_shows_every_example_once_in_an_order_of_its_own() -> None:
    X = np.arange(10.0)[:, None]
    model = Recorder()
    steps = list(training_steps(model, X, X, mean_squared_error, epochs=2, batch_size=4, rng=0))
    assert [len(batch) for batch in model.seen] == [4, 4, 2, 4, 4, 2]
    first, second = np.concatenate(model.seen[:3]).tolist(), np.concatenate(model.seen[3:]).tolist()
    assert sorted(first) == sorted(second) == X.ravel().tolist()
    assert first != second != X.ravel().tolist()
    assert [(step.t, step.epoch, step.ends_epoch) for step in steps] == [
        (0, 0, False), (1, 0, False), (2, 0, True), (3, 1, False), (4, 1, False), (5, 1, True),
    ]  # fmt: skip


def test_labels_go_with_their_examples() -> None:
    X = np.arange(50.0)[:, None]
    pairs = []

    def loss(y_hat: Any, y: Any) -> Any:
        pairs.append((y_hat.value.copy(), y))
        return 0.0 * np.sum(y_hat)

    fit(Recorder(), X, 3 * X, loss, epochs=1, batch_size=7, rng=0, progress=False)
    assert all(np.array_equal(3 * x, y) for x, y in pairs)
    assert len(pairs) == 8


def test_a_seed_fixes_the_training() -> None:
    X, y = spirals(20)
    runs = [fit(MLP([2, 4, 3], rng=0), X, y, num_iters=20, rng=seed, progress=False).losses for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_regularisation_is_reg_times_squares_of_weights_and_no_biases() -> None:
    X, y = regression()
    model = Linear(3, 1, rng=0)
    model.load_state({"W": [[1.0], [2.0], [3.0]], "b": [100.0]})
    without = float(mean_squared_error(model(X), y).value)
    optimizer = SGD(model.parameters(), lr=1e-12)
    history = fit(
        model,
        X,
        y,
        mean_squared_error,
        optimizer,
        num_iters=1,
        reg=0.5,
        batch_size=20,
        progress=False,
        X_val=X,
        y_val=y,
    )
    assert history.losses[0] == pytest.approx(without + 0.5 * 14)
    assert history.val_losses[0] == pytest.approx(without)
    model.zero_grad()
    (0.5 * l2(model.weights())).backward()
    np.testing.assert_allclose(model.W.grad, model.W.value)
    assert model.b is not None
    assert model.b.grad is None


def test_each_step_tells_the_rate_it_used() -> None:
    X, y = regression()
    model = Linear(3, 1, rng=0)
    optimizer = SGD(model.parameters(), CosineDecay(4, 0.1))
    rates = [step.lr for step in training_steps(model, X, y, mean_squared_error, optimizer, num_iters=4)]
    np.testing.assert_allclose(rates, [CosineDecay(4, 0.1)(t) for t in range(4)])


def test_validation_at_the_end_of_each_epoch_and_of_training() -> None:
    X, y = spirals(20)
    common: dict[str, Any] = {"batch_size": 30, "X_val": X, "y_val": y, "progress": False}
    assert len(fit(MLP([2, 3], rng=0), X, y, epochs=3, **common).val_losses) == 3
    assert len(fit(MLP([2, 3], rng=0), X, y, num_iters=5, **common).val_accuracies) == 3
    assert len(fit(MLP([2, 3], rng=0), X, y, num_iters=4, **common).val_accuracies) == 2
    X, y = regression()
    history = fit(Linear(3, 1), X, y, mean_squared_error, epochs=2, X_val=X, y_val=y, progress=False)
    assert len(history.val_losses) == 2
    assert history.val_accuracies == []


def test_validation_records_nothing() -> None:
    X, y = spirals(20)
    outputs: list[Tensor] = []

    class Watched(Linear):
        def forward(self, x: Any) -> Any:
            outputs.append(super().forward(x))
            return outputs[-1]

    model = Watched(2, 3, rng=0)
    history = fit(model, X, y, lambda scores, y: softmax_cross_entropy(scores, y) + l2(model.weights()), epochs=1,
                  X_val=X[:7], y_val=y[:7], progress=False)  # fmt: skip
    assert [output.requires_grad for output in outputs] == [len(output) != 7 for output in outputs] == [True, False]
    assert len(history.val_losses) == 1


def test_under_no_grad_there_is_nothing_to_train() -> None:
    X, y = spirals(20)
    with no_grad(), pytest.raises(TypeError, match="depends on the model"):
        fit(MLP([2, 3], rng=0), X, y, progress=False)


# --- It can be watched and stopped -----------------------------------------------------------------


def test_the_loss_curve_takes_the_losses_as_they_come() -> None:
    from coursekit.widgets import LossCurve

    X, y = spirals(20)
    curve = LossCurve()
    history = fit(MLP([2, 3], rng=0), X, y, num_iters=7, callback=lambda step: curve.append(step.loss), progress=False)
    assert curve.history == history.losses
    assert len(history.losses) == 7
    curve.extend(history.losses)
    assert len(curve.history) == 14


def test_as_a_task_it_leaves_time_for_others() -> None:
    X, y = spirals(20)
    events: list[str] = []

    async def train() -> None:
        for _ in training_steps(MLP([2, 3], rng=0), X, y, num_iters=3):
            events.append("step")
            await asyncio.sleep(0)

    async def click() -> None:
        for _ in range(3):
            events.append("click")
            await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(train(), click())

    asyncio.run(both())
    assert events == ["step", "click"] * 3


def test_an_interrupt_keeps_what_was_learned() -> None:
    X, y = regression()
    model = Linear(3, 1, init=zeros)

    def interrupt(step: Step) -> None:
        if step.t == 4:
            raise KeyboardInterrupt

    history = fit(model, X, y, mean_squared_error, num_iters=100, callback=interrupt, progress=False)
    assert len(history.losses) == 5
    assert history.stopped == "Interrupted after 5 steps."
    assert history.stopped in repr(history)
    assert np.all(model.W.value != 0)


def test_a_loss_that_diverges_ends_training_with_advice() -> None:
    X, y = regression()
    model = Linear(3, 1, rng=0)
    optimizer = SGD(model.parameters(), lr=50.0)
    with pytest.warns(RuntimeWarning, match=r"training diverged\. Try a smaller learning rate \(it was 50\)") as caught:
        history = fit(model, X, y, mean_squared_error, optimizer, num_iters=5000, rng=0, progress=False)
    assert [warning.category for warning in caught] == [RuntimeWarning]  # and no warning of NumPy's
    assert not np.isfinite(history.losses[-1])
    assert np.all(np.isfinite(history.losses[:-1]))
    assert "diverged" in history.stopped
    assert optimizer.t == len(history.losses) - 1  # the last step changed nothing

    steps = training_steps(model, X, y * np.inf, mean_squared_error)
    assert not np.isfinite(next(steps).loss)
    with pytest.raises(DivergedError, match="smaller learning rate"):
        next(steps)


def test_errors_of_the_callback_are_not_mistaken_for_divergence() -> None:
    X, y = regression()

    def callback(step: Step) -> None:
        raise FloatingPointError("mine")

    with pytest.raises(FloatingPointError, match="mine"):
        fit(Linear(3, 1), X, y, mean_squared_error, callback=callback, progress=False)


@pytest.mark.parametrize(("num_iters", "lines"), [(1, 1), (7, 7), (10, 10), (95, 11), (3000, 11)])
def test_progress_is_about_ten_lines(num_iters: int, lines: int, capsys: pytest.CaptureFixture[str]) -> None:
    X, y = regression()
    fit(Linear(3, 1, rng=0), X, y, mean_squared_error, num_iters=num_iters, rng=0)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == lines
    assert printed[0].startswith(f"step 1 of {num_iters}: loss ")
    assert printed[-1].startswith(f"step {num_iters} of {num_iters}: loss ")
    fit(Linear(3, 1, rng=0), X, y, mean_squared_error, num_iters=num_iters, rng=0, progress=False)
    assert capsys.readouterr().out == ""


def test_history_in_words() -> None:
    assert repr(History()) == "History: no steps."
    history = History([2.0, 0.5], [0.75], [0.9])
    assert repr(history) == (
        "History: 2 steps, first loss 2, now loss 0.5, validation loss 0.75, validation accuracy 90.0%."
    )


# --- Refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"y": np.zeros((19, 1))}, ValueError, r"\(20, 3\) and \(19, 1\)"),
        ({"X": np.zeros((0, 3)), "y": np.zeros((0, 1))}, ValueError, "shapes"),
        ({"epochs": 2, "num_iters": 3}, TypeError, "not both"),
        ({"epochs": 0}, ValueError, "epochs is a whole number, 1 or more, not 0"),
        ({"batch_size": 2.5}, ValueError, "batch_size"),
        ({"reg": -1.0}, ValueError, "reg"),
        ({"X_val": np.zeros((2, 3))}, ValueError, "X_val and y_val go together"),
        ({"loss": lambda y_hat, y: 3.0}, TypeError, "one number that depends on the model, not 3.0"),
        ({"loss": lambda y_hat, y: y_hat - y}, TypeError, "sum or average"),
        ({"optimizer": SGD(Linear(3, 1).parameters())}, ValueError, "another model"),
    ],
)
def test_refusals(options: dict[str, Any], error: type[Exception], words: str) -> None:
    X, y = regression()
    model = Linear(3, 1, rng=0)
    before = model.state()
    arguments = {"X": X, "y": y, "loss": mean_squared_error, "progress": False, **options}
    with pytest.raises(error, match=rf"^fit: .*{words}"):
        fit(model, **arguments)
    np.testing.assert_array_equal(model.W.value, before["W"])


def test_accuracy_wants_scores_and_labels() -> None:
    assert accuracy(Tensor(np.eye(3), requires_grad=False), [0, 1, 0]) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match=r"\(3, 3\) and \(3, 1\)"):
        accuracy(np.eye(3), [[0], [1], [2]])


class Plain(Module):
    def forward(self, x):
        return x


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: {"model": lambda x: x}, r"model is a Module.*not of type function"),
        (lambda model: {"model": MLP}, r"model is a Module.*not the class MLP"),
        (lambda model: {"loss": SGD(model.parameters())}, r"the fourth argument is the loss"),
        (lambda model: {"optimizer": SGD}, r"SGD\(model\.parameters\(\).*not the class SGD"),
        (lambda model: {"model": Plain()}, r"Plain has no parameters.*requires_grad=True"),
    ],
    ids=["function", "class", "optimizer as loss", "optimizer class", "no parameters"],
)
def test_arguments_in_the_wrong_place_are_named_before_the_first_step(change, message):
    model = MLP([2, 3], rng=0)
    before = model.state()
    arguments = {"model": model, "X": np.ones((4, 2)), "y": np.zeros(4, int), "progress": False} | change(model)
    with pytest.raises((TypeError, ValueError), match=message):
        fit(**arguments)
    for name, array in model.state().items():
        np.testing.assert_array_equal(array, before[name])

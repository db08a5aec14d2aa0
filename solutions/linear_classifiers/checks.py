"""What is graded in `linear_classifiers`: references, cases and known mistakes.

The losses are stated as forward definitions; their gradients come from the engine. What goes wrong with them is in
`../losses.py`, and all else in `mistakes.py`.
"""

import numpy as np

from autograder.spec import Assignment, Case, Expected, call, case, value_and_gradient
from coursekit.checks.codec import Generator
from coursekit.checks.probes import Probe

from ..losses import SOFTMAX, SVM, softmax_loss, svm_loss
from . import mistakes as known

assignment = Assignment("linear_classifiers")


# -- checking gradients -------------------------------------------------------------------


def numerical_gradient(f, x, h=1e-5):
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = h
        gradient[i] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient


@assignment.exercise(
    "numerical_gradient",
    parts={"values": 5, "any shape": 2, "x unchanged": 1},
    mistakes=known.NUMERICAL_GRADIENT,
)
def numerical_gradient_cases(rng):
    for title, shape, part, step in (
        ("3 entries", (3,), "values", {}),
        ("3 entries and a large step h", (3,), "values", {"h": 0.1}),
        ("a 2×3 matrix", (2, 3), "any shape", {}),
        ("a 2×2×3 array and the step h = 0.01", (2, 2, 3), "any shape", {"h": 0.01}),
        ("a single number, shape ()", (), "any shape", {}),
    ):
        x = np.asarray(rng.normal(size=shape))
        untouched = Expected("x after the call", x, "x unchanged", compare="unchanged", where="argument 1")
        for f in (
            Probe("cubic", {name: rng.normal(size=shape) for name in "abc"}),
            Probe("wave", {"a": rng.normal(size=shape)}),
        ):
            args = {"f": f, "x": x, **step}
            right = {"gradient": numerical_gradient(f, x, **step)}
            yield Case(title, (call("numerical_gradient", args, right, parts=part, also=[untouched]),))


def relative_error(a, b):
    return np.max(np.abs(a - b) / np.maximum(1e-8, np.abs(a) + np.abs(b)))


@assignment.exercise("relative_error", parts={"value": 3, "zeros": 1}, mistakes=known.RELATIVE_ERROR)
def relative_error_cases(rng):
    def one(title, a, b, part="value"):
        return case(title, "relative_error", {"a": a, "b": b}, {"error": relative_error(a, b)}, parts=part)

    a = rng.normal(size=4)
    yield one("4 entries", a, a + rng.normal(size=4))
    yield one("a small difference", a, a * (1 + 1e-4 * rng.random(4)))
    yield one("opposite signs", a, -2 * a)
    yield one("matrices", rng.normal(size=(2, 3)), rng.normal(size=(2, 3)))
    yield one("two numbers", float(rng.normal()), float(rng.normal()))
    yield one("both zero", np.zeros(3), np.zeros(3), "zeros")
    yield one("one entry zero in both", np.array([0.0, *a]), np.array([0.0, *a * 1.5]), "zeros")
    yield one("differences too small to matter", np.full(2, 1e-11), np.full(2, 3e-11), "zeros")


# -- the two losses -----------------------------------------------------------------------

STABLE = "stable for large scores"


def loss_cases(rng, target, loss):
    """Yield cases for an averaged and regularised loss: one example, few, more features than examples, …"""
    evaluate = value_and_gradient(loss)

    def one(title, W, X, y, reg=0.0, **options):
        args = {"W": W, "X": X, "y": np.asarray(y), "reg": reg}
        result = dict(zip(("loss", "dW"), evaluate(*args.values()), strict=True))
        parts = {"loss": "regularised loss", "dW": "regularised gradient"} if reg else {"dW": "gradient"}
        return case(title, target, args, result, **{"parts": parts, **options})

    W, X = rng.normal(size=(4, 3)), rng.normal(size=(5, 4))
    W = -W if np.all(W > 0) else W  # if all weights were positive, |W| would be right
    y = rng.permutation([0, 1, 2, 0, 1])
    yield one("one example", W, X[:1], y[:1])
    yield one("5 examples, 4 features, 3 classes", W, X, y)
    yield one("a class that no example has", rng.normal(size=(4, 5)), X, y)
    yield one("more features than examples", rng.normal(size=(9, 4)), rng.normal(size=(3, 9)), [3, 0, 1])
    yield one("all scores negative", -np.abs(W), np.abs(X), y)
    if target.startswith("svm"):
        yield one("scores far apart", 50 * W, X, y)
    yield one("with regularisation", W, X, y, reg=float(rng.uniform(0.1, 0.5)))
    yield one("one example, strong regularisation", W, X[:1], y[:1], reg=float(rng.uniform(1, 2)))
    if target.startswith("softmax"):
        high, gap = rng.uniform(990, 1010, size=(3, 4)), rng.uniform(-5, 5, size=(3, 4))
        gap[:, 3] += 728  # exp(718) overflows, exp(−738) is not yet 0
        rows = np.array([[1000.0], [0.0], [-1000.0]]) + rng.normal(size=(3, 4))
        apart, wide = rng.uniform(-600, -500, size=(3, 4)), rng.uniform(-1000, -100, size=(3, 4))
        apart[:, 2], wide[:, 1] = rng.uniform(290, 300, size=3), rng.uniform(900, 1000, size=3)
        # Each case finds what those before it let through; only for the first two is the cause certain.
        for phrase, scores, code in (
            ("scores near +1000", high, "unstable"),
            ("scores near +1000 in one row and near −1000 in another", rows, "one-maximum-for-all"),
            ("scores between −600 and +300", apart, "not-finite"),
            ("scores of ±1000", wide, "not-finite"),
            ("scores that lie about 728 apart", gap, "not-finite"),
        ):
            labels = scores.argmax(axis=1)  # the loss stays small: no probability whose log is asked for vanishes
            X = np.linalg.qr(rng.normal(size=(5, 5)))[0][:3]
            yield one(phrase, X.T @ scores, X, labels, parts=STABLE, large=phrase, code=code)


@assignment.exercise(
    "svm_loss_naive",
    parts={"loss": 4, "gradient": 5, "regularised loss": 1, "regularised gradient": 2},
    mistakes=SVM,
)
def svm_loss_naive_cases(rng):
    yield from loss_cases(rng, "svm_loss_naive", svm_loss)


@assignment.exercise(
    "svm_loss_vectorized",
    parts={"loss": 3, "gradient": 4, "regularised loss": 1, "regularised gradient": 2, "vectorised": 2},
    mistakes=SVM,
    no_loop_over=["X", "y"],
)
def svm_loss_vectorized_cases(rng):
    yield from loss_cases(rng, "svm_loss_vectorized", svm_loss)


@assignment.exercise(
    "softmax_loss_naive",
    parts={"loss": 3, "gradient": 4, "regularised loss": 1, "regularised gradient": 2, STABLE: 2},
    mistakes=SOFTMAX,
)
def softmax_loss_naive_cases(rng):
    yield from loss_cases(rng, "softmax_loss_naive", softmax_loss)


@assignment.exercise(
    "softmax_loss_vectorized",
    parts={"loss": 3, "gradient": 3, "regularised loss": 1, "regularised gradient": 1, STABLE: 2, "vectorised": 2},
    mistakes=SOFTMAX,
    no_loop_over=["X", "y"],
)
def softmax_loss_vectorized_cases(rng):
    yield from loss_cases(rng, "softmax_loss_vectorized", softmax_loss)


# -- learning-rate schedules ----------------------------------------------------------------


def step_decay(t, lr0, milestones, factor=0.1):
    return lr0 * factor ** sum(t >= m for m in milestones)


@assignment.exercise("step_decay", parts={"rate": 2}, mistakes=known.STEP_DECAY)
def step_decay_cases(rng):
    lr0, milestones = float(rng.uniform(0.1, 1)), sorted(int(m) for m in rng.choice(np.arange(5, 90), 3, replace=False))
    for title, t, factor in (
        ("before the first milestone", milestones[0] - 1, {}),
        ("at the first milestone", milestones[0], {}),
        ("between milestones", milestones[1], {}),
        ("after the last milestone", milestones[2] + 5, {}),
        ("another factor", milestones[1] + 1, {"factor": 0.5}),
    ):
        args = {"t": t, "lr0": lr0, "milestones": milestones, **factor}
        yield case(title, "step_decay", args, {"rate": step_decay(**args)})


def cosine_decay(t, T, lr0):
    return 0.5 * lr0 * (1 + np.cos(np.pi * t / T))


def linear_decay(t, T, lr0):
    return lr0 * (1 - t / T)


def decay_cases(formula, rng):
    lr0, T = float(rng.uniform(0.1, 1)), int(rng.integers(40, 200))
    for title, t in (("at the start", 0), ("early", T // 5), ("late", 3 * T // 4), ("at the end", T)):
        args = {"t": t, "T": T, "lr0": lr0}
        yield case(title, formula.__name__, args, {"rate": formula(**args)})


@assignment.exercise("cosine_decay", parts={"rate": 2}, mistakes=known.COSINE_DECAY)
def cosine_decay_cases(rng):
    yield from decay_cases(cosine_decay, rng)


@assignment.exercise("linear_decay", parts={"rate": 2}, mistakes=known.LINEAR_DECAY)
def linear_decay_cases(rng):
    yield from decay_cases(linear_decay, rng)


@assignment.exercise("inverse_sqrt_decay", parts={"rate": 2}, mistakes=known.INVERSE_SQRT_DECAY)
def inverse_sqrt_decay_cases(rng):
    lr0 = float(rng.uniform(0.1, 1))
    for title, t in (("the first step, t = 1", 1), ("t = 4", 4), ("a later step", int(rng.integers(50, 500)))):
        yield case(title, "inverse_sqrt_decay", {"t": t, "lr0": lr0}, {"rate": lr0 / np.sqrt(t)})


# -- training and prediction ----------------------------------------------------------------


@assignment.exercise(
    "train", parts={"first weights": 2, "minibatches": 3, "updates": 3, "loss history": 1, "only rng": 1}
)
def train_cases(rng):
    """Judge `train` by its calls of a loss function that it is given: the student's own loss does not matter."""

    def look(name, value, part, compare, **options):
        return Expected(name, value, part, compare=compare, where="step", options=options)

    D, C = 20, 5
    seed, lr, reg = int(rng.integers(2**31)), float(rng.uniform(0.01, 0.03)), float(rng.uniform(0.1, 0.5))
    for title, N, batch_size, num_iters in (
        ("12 iterations with minibatches of 4", 30, 4, 12),
        ("minibatches larger than the data", 6, 16, 5),
    ):
        X, y = rng.normal(size=(N, D)), rng.integers(C, size=N)
        loss_function = Probe("least_squares", {"targets": rng.normal(size=(C, D))[:, :C]})
        args = {"X": X, "y": y, "num_classes": C, "loss_function": loss_function, "lr": lr, "reg": reg}
        args |= {"batch_size": batch_size, "num_iters": num_iters}
        batches = {"X": X, "y": y, "batch_size": batch_size, "reg": reg}
        first = [
            look("the first weights", (D, C), "first weights", "training_start", std=0.001),
            look("the minibatches", batches, "minibatches", "training_batches"),
            look("the updates", {"lr": lr, "num_iters": num_iters}, "updates", "training_updates"),
            look("loss_history", None, "loss history", "training_history"),
        ]
        runs = (
            ("first", seed, first),
            ("again", seed, [look("train", 0, "only rng", "repeats")]),
            ("other", seed + 1, [look("train", 0, "only rng", "repeats", differs=True)]),
        )
        steps = (call("train", {**args, "rng": Generator(s)}, also=also, save_as=name) for name, s, also in runs)
        yield Case(title, tuple(steps))


@assignment.exercise("predict", parts={"labels": 4}, mistakes=known.PREDICT)
def predict_cases(rng):
    for title, N, W in (
        ("7 examples, 3 classes", 7, rng.normal(size=(4, 3))),
        ("one example", 1, rng.normal(size=(4, 3))),
        ("as many examples as classes", 5, rng.normal(size=(4, 5))),
        ("all scores negative", 6, -np.abs(rng.normal(size=(4, 3)))),
    ):
        X = np.abs(rng.normal(size=(N, 4)))
        yield case(title, "predict", {"W": W, "X": X}, {"labels": (X @ W).argmax(axis=1)}, compare="labels")

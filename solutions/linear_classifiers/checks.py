"""What is graded in `linear_classifiers`: references, cases and known mistakes.

The losses are stated as forward definitions; their gradients come from the engine.
"""

import numpy as np

from autograder.mistakes import SOFTMAX, SVM, instead, sign, softmax_loss, svm_loss
from autograder.spec import Assignment, Case, Expected, call, case, value_and_gradient
from coursekit.checks.codec import Generator
from coursekit.checks.probes import Probe

assignment = Assignment("linear_classifiers")


# -- checking gradients -------------------------------------------------------------------


def numerical_gradient(f, x, h=1e-5, up=1, down=1, divisor=2.0, where=None):
    """(f(x + up·h) − f(x − down·h)) / (divisor·h), in each entry; or moved in the entries `where` at once."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[where or i] += up * h
        below[where or i] -= down * h
        gradient[i] = (f(above) - f(below)) / (divisor * h)
    return gradient


@assignment.exercise(
    "numerical_gradient",
    parts={"values": 5, "any shape": 2, "x unchanged": 1},
    mistakes=[
        instead(
            "one-sided",
            "This is the one-sided difference (f(x + h) − f(x)) / h; the central one, (f(x + h) − f(x − h)) / 2h, "
            "is far more accurate.",
            lambda f, x, h=1e-5: numerical_gradient(f, x, h, down=0, divisor=1),
            "gradient",
        ),
        instead(
            "one-sided/backward",
            "This is the one-sided difference (f(x) − f(x − h)) / h; the central one, (f(x + h) − f(x − h)) / 2h, "
            "is far more accurate.",
            lambda f, x, h=1e-5: numerical_gradient(f, x, h, up=0, divisor=1),
            "gradient",
        ),
        sign("gradient"),
        instead(
            "precedence",
            "`a / 2 * h` divides by 2 and multiplies by h: write a / (2 * h).",
            lambda f, x, h=1e-5: numerical_gradient(f, x, h, divisor=2 / h**2),
            "gradient",
        ),
        instead(
            "all-at-once",
            "All entries of x are moved at once: move one, and put it back before the next.",
            lambda f, x, h=1e-5: numerical_gradient(f, x, h, where=...),
            "gradient",
        ),
        instead(
            "scale",
            "The gradient is twice too large: the two points lie 2h apart, so divide by 2h.",
            lambda f, x, h=1e-5: numerical_gradient(f, x, h, divisor=1.0),
            "gradient",
        ),
        instead(
            "h-ignored",
            "The step h that was given is not the one that is used.",
            lambda f, x, h=1e-5: numerical_gradient(f, x, 1e-5),
            "gradient",
        ),
    ],
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


@assignment.exercise(
    "relative_error",
    parts={"value": 3, "zeros": 1},
    mistakes=[
        instead(
            "mean-for-max",
            "This is the mean over the entries; the largest is asked for, so that one wrong entry cannot hide.",
            lambda a, b: np.mean(np.abs(a - b) / np.maximum(1e-8, np.abs(a) + np.abs(b))),
            "error",
        ),
        instead(
            "sum-for-max",
            "This is the sum over the entries; the largest is asked for.",
            lambda a, b: np.sum(np.abs(a - b) / np.maximum(1e-8, np.abs(a) + np.abs(b))),
            "error",
        ),
        instead(
            "ratio-of-norms",
            "This divides one norm by others; here the division comes first, entry by entry, and then the maximum.",
            lambda a, b: np.linalg.norm(a - b) / max(1e-8, np.linalg.norm(a) + np.linalg.norm(b)),
            "error",
        ),
        instead(
            "floor-added",
            "The 1e-8 is added to |a| + |b|; it is a floor: max(1e-8, |a| + |b|).",
            lambda a, b: np.max(np.abs(a - b) / (1e-8 + np.abs(a) + np.abs(b))),
            "error",
        ),
        instead(
            "not-relative",
            "This is the absolute error: divide by |a| + |b|, entry by entry.",
            lambda a, b: np.max(np.abs(a - b)),
            "error",
        ),
        instead(
            "max-in-denominator",
            "The denominator here is |a| + |b|, not the larger of the two.",
            lambda a, b: np.max(np.abs(a - b) / np.maximum(1e-8, np.maximum(np.abs(a), np.abs(b)))),
            "error",
        ),
        instead(
            "sign-in-denominator",
            "The denominator needs absolute values: |a| + |b|.",
            lambda a, b: np.max(np.abs(a - b) / np.maximum(1e-8, np.abs(a + b))),
            "error",
        ),
    ],
)
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


def loss_cases(rng, target, loss):
    """Cases that every averaged and regularised loss must pass: one example, few, more features than examples, …"""
    evaluate = value_and_gradient(loss)

    def one(title, W, X, y, reg=0.0, **options):
        args = {"W": W, "X": X, "y": np.asarray(y), "reg": reg}
        result = dict(zip(("loss", "dW"), evaluate(*args.values()), strict=True))
        parts = {"loss": "regularised loss", "dW": "regularised gradient"} if reg else {"dW": "gradient"}
        return case(title, target, args, result, **{"parts": parts, **options})

    W, X = rng.normal(size=(4, 3)), rng.normal(size=(5, 4))
    W = -W if np.all(W > 0) else W  # of weights that are all positive, |W| would be right
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
        stable = {"parts": "stable for large scores"}
        high, gap = rng.uniform(990, 1010, size=(3, 4)), rng.uniform(-5, 5, size=(3, 4))
        gap[:, 3] += 728  # exp(718) overflows, exp(−738) is not yet 0
        rows = np.array([[1000.0], [0.0], [-1000.0]]) + rng.normal(size=(3, 4))
        apart, wide = rng.uniform(-600, -500, size=(3, 4)), rng.uniform(-1000, -100, size=(3, 4))
        apart[:, 2], wide[:, 1] = rng.uniform(290, 300, size=3), rng.uniform(900, 1000, size=3)
        # In this order each finds what those before it let through; only of the first two is the cause certain.
        for phrase, scores, code in (
            ("scores near +1000", high, "unstable"),
            ("scores near +1000 in one row and near −1000 in another", rows, "one-maximum-for-all"),
            ("scores between −600 and +300", apart, "not-finite"),
            ("scores of ±1000", wide, "not-finite"),
            ("scores that lie about 728 apart", gap, "not-finite"),
        ):
            labels = scores.argmax(axis=1)  # the loss stays small: no probability whose log is asked for vanishes
            X = np.linalg.qr(rng.normal(size=(5, 5)))[0][:3]
            yield one(phrase, X.T @ scores, X, labels, **stable, large=phrase, code=code)


VECTORISED = {"no_loop_over": ["X", "y"]}


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
    **VECTORISED,
)
def svm_loss_vectorized_cases(rng):
    yield from loss_cases(rng, "svm_loss_vectorized", svm_loss)


@assignment.exercise(
    "softmax_loss_naive",
    parts={"loss": 3, "gradient": 4, "regularised loss": 1, "regularised gradient": 2, "stable for large scores": 2},
    mistakes=SOFTMAX,
)
def softmax_loss_naive_cases(rng):
    yield from loss_cases(rng, "softmax_loss_naive", softmax_loss)


@assignment.exercise(
    "softmax_loss_vectorized",
    parts={
        "loss": 3,
        "gradient": 3,
        "regularised loss": 1,
        "regularised gradient": 1,
        "stable for large scores": 2,
        "vectorised": 2,
    },
    mistakes=SOFTMAX,
    **VECTORISED,
)
def softmax_loss_vectorized_cases(rng):
    yield from loss_cases(rng, "softmax_loss_vectorized", softmax_loss)


# -- learning-rate schedules ----------------------------------------------------------------


def schedule(name, formula, mistakes, arguments):
    """An exercise that returns one learning rate; `arguments(rng)` yields a title and the arguments by name."""

    @assignment.exercise(name, parts={"rate": 2}, mistakes=mistakes)
    def cases(rng):
        for title, args in arguments(rng):
            yield case(title, name, args, {"rate": formula(**args)})


def step_decay(t, lr0, milestones, factor=0.1):
    return lr0 * factor ** sum(t >= m for m in milestones)


def step_decay_arguments(rng):
    lr0, milestones = float(rng.uniform(0.1, 1)), sorted(int(m) for m in rng.choice(np.arange(5, 90), 3, replace=False))
    for title, t in (
        ("before the first milestone", milestones[0] - 1),
        ("at the first milestone", milestones[0]),
        ("between milestones", milestones[1]),
        ("after the last milestone", milestones[2] + 5),
    ):
        yield title, {"t": t, "lr0": lr0, "milestones": milestones}
    yield "another factor", {"t": milestones[1] + 1, "lr0": lr0, "milestones": milestones, "factor": 0.5}


schedule(
    "step_decay",
    step_decay,
    [
        instead(
            "off-by-one",
            "At a milestone itself the rate has already dropped: count the milestones m with t >= m.",
            lambda t, lr0, milestones, factor=0.1: lr0 * factor ** sum(t > m for m in milestones),
            "rate",
        ),
        instead(
            "one-drop-only",
            "The rate drops once for every milestone that is reached, so the factors multiply.",
            lambda t, lr0, milestones, factor=0.1: lr0 * factor ** any(t >= m for m in milestones),
            "rate",
        ),
        instead(
            "factors-added",
            "The factor is raised to the number of milestones reached, not multiplied by it.",
            lambda t, lr0, milestones, factor=0.1: lr0 * (factor * sum(t >= m for m in milestones) or 1),
            "rate",
        ),
        instead(
            "rising",
            "The rate rises at each milestone: multiply by the factor, do not divide.",
            lambda t, lr0, milestones, factor=0.1: lr0 / factor ** sum(t >= m for m in milestones),
            "rate",
        ),
        instead(
            "factor-ignored",
            "The `factor` that was given is not the one that is used.",
            lambda t, lr0, milestones, factor=0.1: lr0 * 0.1 ** sum(t >= m for m in milestones),
            "rate",
        ),
    ],
    step_decay_arguments,
)


def fractions_of_training(rng):
    lr0, T = float(rng.uniform(0.1, 1)), int(rng.integers(40, 200))
    for title, t in (("at the start", 0), ("early", T // 5), ("late", 3 * T // 4), ("at the end", T)):
        yield title, {"t": t, "T": T, "lr0": lr0}


def one_step_off(formula):
    """The schedule `formula` as if time began or ended a step earlier or later."""
    message = "This is one step off: t runs from 0, where the rate is lr0, to T, where it is 0."
    return [
        instead(f"off-by-one/{form}", message, lambda t, T, lr0, a=a, b=b: formula(t + a, T + b, lr0), "rate")
        for form, a, b in (("start", 1, 0), ("before", -1, 0), ("end", 0, -1), ("after", 0, 1), ("both", 1, 1))
    ]


schedule(
    "cosine_decay",
    lambda t, T, lr0: 0.5 * lr0 * (1 + np.cos(np.pi * t / T)),
    [
        instead(
            "scale",
            "The ½ is missing: at t = 0 the rate is lr0.",
            lambda t, T, lr0: lr0 * (1 + np.cos(np.pi * t / T)),
            "rate",
        ),
        instead(
            "pi-missing",
            "The cosine runs from 0 to π: cos(πt/T).",
            lambda t, T, lr0: 0.5 * lr0 * (1 + np.cos(t / T)),
            "rate",
        ),
        instead(
            "pi-doubled",
            "Half a period is asked for, from 0 to π; this is a whole one, and back at lr0 at the end.",
            lambda t, T, lr0: 0.5 * lr0 * (1 + np.cos(2 * np.pi * t / T)),
            "rate",
        ),
        instead(
            "reversed",
            "This rises from 0 to lr0; the rate falls: 1 + cos, not 1 − cos.",
            lambda t, T, lr0: 0.5 * lr0 * (1 - np.cos(np.pi * t / T)),
            "rate",
        ),
        *one_step_off(lambda t, T, lr0: 0.5 * lr0 * (1 + np.cos(np.pi * t / T))),
    ],
    fractions_of_training,
)
schedule(
    "linear_decay",
    lambda t, T, lr0: lr0 * (1 - t / T),
    [
        instead(
            "reversed",
            "This rises from 0 to lr0; the rate falls: lr0 · (1 − t/T).",
            lambda t, T, lr0: lr0 * t / T,
            "rate",
        ),
        instead(
            "integer-division",
            "t // T is a whole number, 0 until the end: divide with /.",
            lambda t, T, lr0: lr0 * (1 - t // T),
            "rate",
        ),
        *one_step_off(lambda t, T, lr0: lr0 * (1 - t / T)),
    ],
    fractions_of_training,
)


def inverse_sqrt_arguments(rng):
    lr0 = float(rng.uniform(0.1, 1))
    for title, t in (("the first step, t = 1", 1), ("t = 4", 4), ("a later step", int(rng.integers(50, 500)))):
        yield title, {"t": t, "lr0": lr0}


schedule(
    "inverse_sqrt_decay",
    lambda t, lr0: lr0 / np.sqrt(t),
    [
        instead("root-missing", "This is lr0 / t: the square root is missing.", lambda t, lr0: lr0 / t, "rate"),
        instead("rising", "This rises: divide by √t.", lambda t, lr0: lr0 * np.sqrt(t), "rate"),
        instead(
            "off-by-one",
            "t counts from 1 already: divide by √t, not √(t + 1).",
            lambda t, lr0: lr0 / np.sqrt(t + 1),
            "rate",
        ),
    ],
    inverse_sqrt_arguments,
)


# -- training and prediction ----------------------------------------------------------------


@assignment.exercise(
    "train", parts={"first weights": 2, "minibatches": 3, "updates": 3, "loss history": 1, "only rng": 1}
)
def train_cases(rng):
    """Judged by what `train` asks of the loss function that it is given, so no loss of the student's is involved."""
    D, C = 20, 5
    seed, lr, reg = int(rng.integers(2**31)), float(rng.uniform(0.01, 0.03)), float(rng.uniform(0.1, 0.5))
    for title, N, batch_size, num_iters in (
        ("12 iterations with minibatches of 4", 30, 4, 12),
        ("minibatches larger than the data", 6, 16, 5),
    ):
        X, y = rng.normal(size=(N, D)), rng.integers(C, size=N)
        loss_function = Probe("least_squares", {"targets": rng.normal(size=(C, D))[:, :C]})

        def run(name, seed, expected, N=N, X=X, y=y, loss_function=loss_function, size=batch_size, iters=num_iters):
            args = {"X": X, "y": y, "num_classes": C, "loss_function": loss_function, "lr": lr, "reg": reg}
            args |= {"batch_size": size, "num_iters": iters, "rng": Generator(seed)}
            return call("train", args, also=expected, save_as=name)

        def look(name, value, part, compare, **options):
            return Expected(name, value, part, compare=compare, where="step", options=options)

        batches = {"X": X, "y": y, "batch_size": batch_size, "reg": reg}
        steps = [
            run(
                "first",
                seed,
                [
                    look("the first weights", (D, C), "first weights", "training_start", std=0.001),
                    look("the minibatches", batches, "minibatches", "training_batches"),
                    look("the updates", {"lr": lr, "num_iters": num_iters}, "updates", "training_updates"),
                    look("loss_history", None, "loss history", "training_history"),
                ],
            ),
            run("again", seed, [look("train", 0, "only rng", "repeats")]),
            run("other", seed + 1, [look("train", 0, "only rng", "repeats", differs=True)]),
        ]
        yield Case(title, tuple(steps))


@assignment.exercise(
    "predict",
    parts={"labels": 4},
    mistakes=[
        instead(
            "scores-not-labels",
            "These are the largest scores; the labels are where they stand: argmax instead of max.",
            lambda W, X: (X @ W).max(axis=1),
            "labels",
        ),
        instead(
            "wrong-axis",
            "The largest score is taken over the examples; take it over the classes (axis=1).",
            lambda W, X: (X @ W).argmax(axis=0),
            "labels",
        ),
        instead(
            "smallest",
            "The predicted class is the one with the largest score.",
            lambda W, X: (X @ W).argmin(axis=1),
            "labels",
        ),
        instead(
            "off-by-one",
            "The labels count from 0, so the place of the largest score is the label as it is.",
            lambda W, X: (X @ W).argmax(axis=1) + 1,
            "labels",
        ),
    ],
)
def predict_cases(rng):
    for title, N, W in (
        ("7 examples, 3 classes", 7, rng.normal(size=(4, 3))),
        ("one example", 1, rng.normal(size=(4, 3))),
        ("as many examples as classes", 5, rng.normal(size=(4, 5))),
        ("all scores negative", 6, -np.abs(rng.normal(size=(4, 3)))),
    ):
        X = np.abs(rng.normal(size=(N, 4)))
        yield case(title, "predict", {"W": W, "X": X}, {"labels": (X @ W).argmax(axis=1)}, compare="labels")

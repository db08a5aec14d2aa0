"""What is graded in `linear_classifiers`: references, cases and known mistakes.

The losses are stated as forward definitions; their gradients come from the engine.
"""

import numpy as np

from autograder.mistakes import REGULARIZED, instead
from autograder.spec import Assignment, Case, Expected, Mistake, call, case, value_and_gradient
from coursekit.checks.codec import Generator
from coursekit.checks.probes import Probe

assignment = Assignment("linear_classifiers")


# -- checking gradients -------------------------------------------------------------------


def numerical_gradient(f, x, h=1e-5, one_sided=False, divisor=2.0):
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += h
        if one_sided:
            gradient[i] = (f(up) - f(down)) / h
        else:
            down[i] -= h
            gradient[i] = (f(up) - f(down)) / (divisor * h)
    return gradient


@assignment.exercise(
    "numerical_gradient",
    parts={"values": 5, "any shape": 2, "x unchanged": 1},
    mistakes=[
        instead(
            "one-sided",
            "This is the one-sided difference (f(x + h) − f(x)) / h; the central one, (f(x + h) − f(x − h)) / 2h, "
            "is far more accurate.",
            lambda f, x, h=1e-5: numerical_gradient(f, x, h, one_sided=True),
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
    untouched = Expected("x after the call", None, "x unchanged", compare="unchanged", where="argument 1")
    for title, shape, part, step in (
        ("3 entries", (3,), "values", {}),
        ("3 entries and a large step h", (3,), "values", {"h": 0.1}),
        ("a 2×3 matrix", (2, 3), "any shape", {}),
        ("a 2×2×3 array and the step h = 0.01", (2, 2, 3), "any shape", {"h": 0.01}),
        ("a single number, shape ()", (), "any shape", {}),
    ):
        x = rng.normal(size=shape)
        for f in (
            Probe("cubic", {name: rng.normal(size=shape) for name in "abc"}),
            Probe("wave", {"a": rng.normal(size=shape)}),
        ):
            args = {"f": f, "x": np.asarray(x), **step}
            right = {"gradient": numerical_gradient(f, np.asarray(x), **step)}
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


def svm_loss(W, X, y, reg, margin=1.0, hinge=np.maximum):
    scores = X @ W
    correct = scores[np.arange(len(y)), y]
    margins = hinge(0, scores - correct[:, None] + margin)
    # The correct class's own margin is no loss: it is the same in every row.
    return (np.sum(margins) - margin * len(y)) / len(y) + reg * np.sum(W * W)


def softmax_loss(W, X, y, reg):
    logits = X @ W
    shifted = logits - np.max(logits, axis=1, keepdims=True)
    correct = shifted[np.arange(len(y)), y]
    return np.mean(np.log(np.sum(np.exp(shifted), axis=1)) - correct) + reg * np.sum(W * W)


def without_correct_class(W, X, y, reg):
    logits = X @ W
    shifted = logits - np.max(logits, axis=1, keepdims=True)
    others = 1.0 * (np.arange(W.shape[1]) != y[:, None])
    return np.mean(np.log(np.sum(np.exp(shifted) * others, axis=1)) - shifted[np.arange(len(y)), y]) + reg * np.sum(
        W * W
    )


def added_to_correct_class(factor):
    """`dW` with `factor` times the mean of each example added to its correct class's column, and what else changes."""

    def gives(right, args):
        W, X, y = args["W"], args["X"], args["y"]
        onehot = np.eye(W.shape[1])[y]
        return {"dW": right["dW"] + X.T @ (factor(W, X, y)[:, None] * onehot) / len(y)}

    return gives


def over_margin(W, X, y):
    """How many classes violate the margin, for each example."""
    scores = X @ W
    onehot = np.eye(W.shape[1], dtype=bool)[y]
    return np.sum((scores - scores[onehot][:, None] + 1 > 0) & ~onehot, axis=1)


def correct_class_probability_everywhere(right, args):
    W, X, y, reg = args["W"], args["X"], args["y"], args["reg"]
    logits = X @ W
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    onehot = np.eye(W.shape[1])[y]
    return {"dW": X.T @ (p[onehot.astype(bool)][:, None] - onehot) / len(y) + 2 * reg * W}


SVM_MISTAKES = [
    *REGULARIZED,
    Mistake(
        "correct-class-counted",
        "The correct class is counted among the margins: it must be left out (it adds 1 for every example).",
        lambda right, args: {
            "loss": right["loss"] + 1,
            **added_to_correct_class(lambda W, X, y: -np.ones(len(y)))(right, args),
        },
    ),
    Mistake(
        "correct-class-missing",
        "In dW the column of the correct class is not pushed: it gets −x for every margin that is violated.",
        added_to_correct_class(over_margin),
    ),
    instead(
        "margin-missing",
        "The margin of 1 is missing: max(0, s_j − s_y + 1).",
        value_and_gradient(lambda W, X, y, reg: svm_loss(W, X, y, reg, margin=0.0)),
        "loss",
        "dW",
    ),
    instead(
        "hinge-missing",
        "Margins below zero are added up too: max(0, ·) is missing.",
        value_and_gradient(lambda W, X, y, reg: svm_loss(W, X, y, reg, hinge=np.add)),
        "loss",
        "dW",
    ),
]

SOFTMAX_MISTAKES = [
    *REGULARIZED,
    Mistake(
        "correct-class-missing",
        "The correct class is missing: the loss is −s_y + log Σ exp s_j, and the gradient of the scores is p − onehot.",
        lambda right, args: {
            "loss": right["loss"] + np.mean((args["X"] @ args["W"])[np.arange(len(args["y"])), args["y"]]),
            **added_to_correct_class(lambda W, X, y: np.ones(len(y)))(right, args),
        },
    ),
    instead(
        "correct-class-not-in-denominator",
        "The sum in the denominator runs over all classes, the correct one included.",
        value_and_gradient(without_correct_class),
        "loss",
        "dW",
    ),
    Mistake(
        "one-probability-for-all",
        "Each column of dW needs the probability of its own class, not that of the correct class.",
        correct_class_probability_everywhere,
    ),
]


def loss_cases(rng, target, loss):
    """Cases that every averaged and regularised loss must pass: one example, few, more features than examples, …"""
    evaluate = value_and_gradient(loss)

    def one(title, W, X, y, reg=0.0, **options):
        args = {"W": W, "X": X, "y": np.asarray(y), "reg": reg}
        result = dict(zip(("loss", "dW"), evaluate(*args.values()), strict=True))
        parts = {"loss": "regularised loss", "dW": "regularised gradient"} if reg else {"dW": "gradient"}
        return case(title, target, args, result, **{"parts": parts, **options})

    W, X = rng.normal(size=(4, 3)), rng.normal(size=(5, 4))
    y = rng.permutation([0, 1, 2, 0, 1])
    yield one("one example", W, X[:1], y[:1])
    yield one("5 examples, 4 features, 3 classes", W, X, y)
    yield one("a class that no example has", rng.normal(size=(4, 5)), X, y)
    yield one("more features than examples", rng.normal(size=(9, 4)), rng.normal(size=(3, 9)), [3, 0, 1])
    yield one("all scores negative", -np.abs(W), np.abs(X), y)
    yield one("with regularisation", W, X, y, reg=float(rng.uniform(0.1, 0.5)))
    yield one("one example, strong regularisation", W, X[:1], y[:1], reg=float(rng.uniform(1, 2)))
    if target.startswith("softmax"):
        stable = {"parts": "stable for large scores"}
        wide = rng.uniform(-1000, 800, size=(3, 4))
        wide[:, 1] = rng.uniform(900, 1000, size=3)
        for phrase, scores, code in (
            ("scores of ±1000", wide, "unstable"),
            ("scores that are all near +1000", rng.uniform(990, 1010, size=(3, 4)), "unstable"),
            (
                "scores near +1000 in one row and near −1000 in another",
                np.array([[1000.0], [0.0], [-1000.0]]) + rng.normal(size=(3, 4)),
                "one-maximum-for-all",
            ),
        ):
            labels = scores.argmax(axis=1)  # the loss stays small: no probability whose log is asked for vanishes
            X = np.linalg.qr(rng.normal(size=(5, 5)))[0][:3]
            yield one(phrase, X.T @ scores, X, labels, **stable, large=phrase, code=code)


STABILITY = {
    "unstable": "Large scores overflow in exp: subtract each row's maximum from its scores first.",
    "one-maximum-for-all": "Subtract the maximum of each row, not one maximum of the whole matrix: others vanish.",
}
SOFTMAX_MISTAKES += [Mistake(code, message, lambda right, args: {}) for code, message in STABILITY.items()]

VECTORISED = {"no_loop_over": ["X", "y"]}


@assignment.exercise(
    "svm_loss_naive",
    parts={"loss": 4, "gradient": 5, "regularised loss": 1, "regularised gradient": 2},
    mistakes=SVM_MISTAKES,
)
def svm_loss_naive_cases(rng):
    yield from loss_cases(rng, "svm_loss_naive", svm_loss)


@assignment.exercise(
    "svm_loss_vectorized",
    parts={"loss": 3, "gradient": 4, "regularised loss": 1, "regularised gradient": 2, "vectorised": 2},
    mistakes=SVM_MISTAKES,
    **VECTORISED,
)
def svm_loss_vectorized_cases(rng):
    yield from loss_cases(rng, "svm_loss_vectorized", svm_loss)


@assignment.exercise(
    "softmax_loss_naive",
    parts={"loss": 3, "gradient": 4, "regularised loss": 1, "regularised gradient": 2, "stable for large scores": 2},
    mistakes=SOFTMAX_MISTAKES,
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
    mistakes=SOFTMAX_MISTAKES,
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
    ],
    step_decay_arguments,
)


def fractions_of_training(rng):
    lr0, T = float(rng.uniform(0.1, 1)), int(rng.integers(40, 200))
    for title, t in (("at the start", 0), ("early", T // 5), ("late", 3 * T // 4), ("at the end", T)):
        yield title, {"t": t, "T": T, "lr0": lr0}


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

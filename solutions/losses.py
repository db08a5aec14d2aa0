"""The SVM loss and the softmax loss, and their known mistakes.

Arguments `W, X, y, reg` and results `loss` and `dW` are those of CS231n. Two such losses
differ only in the gradient of the scores S = XW (N, C), because dW = Xᵀ · ∂L/∂S. So most mistakes are formulas of
the scores and of the one-hot labels.
"""

import numpy as np

from autograder.mistakes import Stepwise, instead, misshapen, permuted, scaled, sign, transposed, whole_numbers, zero
from autograder.spec import Mistake, value_and_gradient

from .subject import SIZES, Subject, of_gradient

# -- the losses, and the gradients of their scores ------------------------------------------------


def svm_loss(W, X, y, reg, margin=1.0, hinge=np.maximum, compare=np.subtract):
    """The multiclass SVM loss, averaged over the examples, plus reg·ΣW². Its keyword parameters are steps."""
    scores = X @ W
    correct = scores[np.arange(len(y)), y]
    others = 1.0 * (np.arange(W.shape[1]) != y[:, None])
    margins = hinge(0, compare(scores, correct[:, None]) + margin)
    return np.sum(margins * others) / len(y) + reg * np.sum(W * W)


def softmax_loss(W, X, y, reg):
    """The cross entropy of softmax probabilities, averaged over the examples, plus reg·ΣW²."""
    logits = X @ W
    shifted = logits - np.max(logits, axis=1, keepdims=True)
    correct = shifted[np.arange(len(y)), y]
    return np.mean(np.log(np.sum(np.exp(shifted), axis=1)) - correct) + reg * np.sum(W * W)


def without_correct_class(W, X, y, reg):
    """`softmax_loss` without the correct class in the denominator."""
    logits = X @ W
    shifted = logits - np.max(logits, axis=1, keepdims=True)
    correct = shifted[np.arange(len(y)), y]
    others = 1.0 * (np.arange(W.shape[1]) != y[:, None])
    return np.mean(np.log(np.sum(np.exp(shifted) * others, axis=1)) - correct) + reg * np.sum(W * W)


def svm_scores_gradient(scores, onehot, margin=1.0):
    """∂/∂S of the summed SVM loss (N, C): 1 for each violated margin, minus their number for the correct class."""
    violated = (1 - onehot) * (scores - row_sums(scores * onehot) + margin > 0)
    return violated - row_sums(violated) * onehot


def softmax_scores_gradient(scores, onehot):
    """∂/∂S of the summed softmax loss (N, C)."""
    return probabilities(scores) - onehot


def probabilities(scores):
    """The softmax of each row."""
    return normalised(exponentials(scores))


def exponentials(scores):
    """exp of the scores after the largest of each row is subtracted."""
    return np.exp(scores - scores.max(axis=1, keepdims=True))


def row_sums(S):
    """The sum of each row, as a column."""
    return np.sum(S, axis=1, keepdims=True)


def normalised(e):
    """Divide each row by its sum."""
    return e / row_sums(e)


def gradient_of(scores_gradient):
    """Compute `dW` (D, C) of an averaged and regularised loss from ``scores_gradient(scores, onehot)`` = N · ∂L/∂S."""
    return Stepwise(
        {
            "scores": lambda X, W: X @ W,
            "onehot": lambda y, W: np.eye(W.shape[1])[y],
            "dscores": scores_gradient,
            "dW": lambda X, dscores, y, reg, W: X.T @ dscores / len(y) + 2 * reg * W,
        },
        "dW",
    )


SVM_GRADIENT, SOFTMAX_GRADIENT = gradient_of(svm_scores_gradient), gradient_of(softmax_scores_gradient)

# -- averaged over examples, and regularised ------------------------------------------------------


def regularised(code, message, form, *only):
    """Put ``form(whole, part, n)`` in place of each result, or of `only` some; `part` is the regulariser's."""

    def gives(right, args):
        parts, n = _regularizer(args), len(args["X"])
        return {name: form(right[name], parts.get(name, 0.0), n) for name in right if not only or name in only}

    return Mistake(code, message, gives)


def regularizer_unweighted():
    """Put ΣW² in place of reg·ΣW²."""

    def gives(right, args):
        missing = _regularizer({**args, "reg": 1 - args["reg"]})
        return {name: value + missing.get(name, 0.0) for name, value in right.items()}

    return Mistake("reg-ignored", "The regulariser is added without its strength `reg`.", gives)


def absolute_regularizer(*weights):
    """Put |W| in place of W in the gradient of the regulariser."""

    def gives(right, args):
        return {f"d{w}": right[f"d{w}"] + 2 * args["reg"] * (np.abs(args[w]) - args[w]) for w in weights}

    return Mistake("regularizer-absolute", "The gradient of reg·ΣW² is 2·reg·W, with the signs of W.", gives)


REGULARIZED = (
    regularised(
        "scale",
        "The sum over the examples is not divided by their number N.",
        lambda whole, part, n: (whole - part) * n + part,
    ),
    regularised(
        "averaged-twice",
        "The sum over the examples is divided by their number N twice.",
        lambda whole, part, n: (whole - part) / n + part,
    ),
    regularised(
        "regularizer-missing",
        "The regulariser reg·ΣW² is missing (its gradient is 2·reg·W).",
        lambda whole, part, n: whole - part,
    ),
    regularised(
        "regularizer-half",
        "The regulariser counts half. In this course it is reg·ΣW², without a ½, and its gradient is 2·reg·W.",
        lambda whole, part, n: whole - 0.5 * part,
    ),
    regularised(
        "regularizer-double",
        "The regulariser counts double: it is reg·ΣW², with gradient 2·reg·W.",
        lambda whole, part, n: whole + part,
    ),
    regularizer_unweighted(),
    regularised(
        "regularizer-averaged",
        "The regulariser is divided by N too: average the examples first, then add it.",
        lambda whole, part, n: whole + (1 / n - 1) * part,
    ),
    regularised(
        "regularizer-in-loop",
        "The regulariser is added once for every example: add it once, after the loop.",
        lambda whole, part, n: whole + (n - 1) * part,
    ),
    regularised(
        "precedence",
        "`a /= N + b` divides by N + b: divide by N first and add the regulariser in a line of its own.",
        lambda whole, part, n: (whole - part) * n / (n + part),
    ),
    absolute_regularizer("W"),
    sign("dW"),
    regularised(
        "sign/data",
        "The sign of the data loss's gradient is flipped: it points uphill where it should point downhill.",
        lambda whole, part, n: 2 * part - whole,
        "dW",
    ),
    regularised("sign/loss", "The sign of the data loss is flipped.", lambda whole, part, n: 2 * part - whole, "loss"),
    zero("dW"),
    regularised(
        "gradient-zero/data",
        "The gradient is that of the regulariser alone: nothing of the data is added to it.",
        lambda whole, part, n: part,
        "dW",
    ),
)


def averaged_inside(evaluate):
    """Divide the sums by N inside the loop over the examples; `evaluate` is the right loss with its gradient."""

    def gives(right, args):
        W, X, y = args["W"], args["X"], args["y"]
        parts = _regularizer(args)
        loss, dW = 0.0, np.zeros_like(W)
        for i in range(len(X)):
            one, gradient = evaluate(W, X[i : i + 1], y[i : i + 1], 0.0)
            loss, dW = (loss + one) / len(X), (dW + gradient) / len(X)
        return {"loss": loss + parts["loss"], "dW": dW + parts["dW"]}

    message = "The sum is divided by N inside the loop, so again for each example: divide once, after the loop."
    return Mistake("averaged-in-loop", message, gives)


OFF_BY_ONE = "The labels are off by one: they count from 0, so y[i] is the column of the correct class."


def label_shift(evaluate):
    """Take the class before the correct one, as if labels counted from 1."""
    return instead(
        "label-shift", OFF_BY_ONE, lambda W, X, y, reg: evaluate(W, X, (y - 1) % W.shape[1], reg), "loss", "dW"
    )


def _regularizer(args):
    """What the regulariser adds to the loss, and to the gradient of each matrix of weights."""
    weights, reg = {name: w for name, w in args.items() if name[0] in "Ww"}, args["reg"]
    penalty = float(reg * sum(np.sum(w * w) for w in weights.values()))
    return {"loss": penalty, **{f"d{name}": 2 * reg * w for name, w in weights.items()}}


# -- the SVM loss, as in assignments --------------------------------------------------------------


def added_to_correct_class(factor):
    """Add ``factor(scores, onehot)`` (N, 1) times each example to the column of its correct class in `dW`."""

    def gives(right, args):
        W, X, y = args["W"], args["X"], args["y"]
        onehot = np.eye(W.shape[1])[y]
        return {"dW": right["dW"] + X.T @ (factor(X @ W, onehot) * onehot) / len(y)}

    return gives


def over_margin(scores, onehot):
    """How many classes violate the margin, for each example (N, 1)."""
    return row_sums((1 - onehot) * (scores - row_sums(scores * onehot) + 1 > 0))


def wrong_svm(*names, half=False, **form):
    """Compute the results `names` with other steps of `svm_loss`; with `half`, of half the data loss."""
    evaluate = value_and_gradient(lambda W, X, y, reg: svm_loss(W, X, y, reg, **form))

    def gives(right, args):
        W, X, y, reg = args.values()
        share = 0.5 if half else 1.0
        loss, dW = evaluate(W, X, y, reg / share)
        return {name: share * value for name, value in (("loss", loss), ("dW", dW)) if name in names}

    return gives


SVM = (
    *REGULARIZED,
    Mistake(
        "correct-class-counted",
        "The correct class is counted among the margins: it must be left out (it adds 1 for every example).",
        lambda right, args: {
            "loss": right["loss"] + 1,
            **added_to_correct_class(lambda scores, onehot: -1.0)(right, args),
        },
    ),
    Mistake(
        "correct-class-missing",
        "In dW the column of the correct class is not pushed: it gets −x for every margin that is violated.",
        added_to_correct_class(over_margin),
    ),
    Mistake(
        "correct-class-once",
        "In dW the column of the correct class gets −x for every margin that is violated, not just once.",
        added_to_correct_class(lambda scores, onehot: over_margin(scores, onehot) - 1),
    ),
    Mistake(
        "margin-missing", "The margin of 1 is missing: max(0, s_j − s_y + 1).", wrong_svm("loss", "dW", margin=0.0)
    ),
    Mistake(
        "hinge-missing",
        "Margins below zero count too: max(0, ·) is missing, or in the gradient its 0 where the margin is negative.",
        wrong_svm("loss", "dW", hinge=np.add),
    ),
    Mistake(
        "margin-reversed",
        "The margin is reversed: it is s_j − s_y + 1, the other class's score minus the correct one's.",
        wrong_svm("loss", "dW", compare=lambda scores, correct: correct - scores),
    ),
    Mistake(
        "margin-sum",
        "The correct class's score is added to the margin; it is subtracted: s_j − s_y + 1. (A slide has it wrong.)",
        wrong_svm("loss", "dW", compare=np.add),
    ),
    Mistake(
        "hinge-squared",
        "The margins are squared; the loss of this course is their sum as they are.",
        wrong_svm("loss", "dW", hinge=lambda zero, margins: np.maximum(zero, margins) ** 2),
    ),
    Mistake(
        "margin-in-gradient",
        "The gradient of max(0, m) is 1 where m > 0, not m itself.",
        wrong_svm("dW", half=True, hinge=lambda zero, margins: np.maximum(zero, margins) ** 2),
    ),
    averaged_inside(value_and_gradient(svm_loss)),
    label_shift(value_and_gradient(svm_loss)),
)

# -- the softmax loss, as in assignments ----------------------------------------------------------


def log_of_zero(right, args):
    """The loss as onehot · log p, where a p is rounded to 0."""
    return {"loss": np.nan if np.any(probabilities(args["X"] @ args["W"]) == 0) else right["loss"]}


def correct_class_score(shift):
    """Leave the correct class's score out of the loss: the score as it is, or shifted by the row's maximum."""

    def gives(right, args):
        logits = args["X"] @ args["W"]
        rows = np.arange(len(logits))
        return {"loss": right["loss"] + np.mean(logits[rows, args["y"]] - shift * logits.max(axis=1))}

    return gives


OVERFLOW = "Large scores overflow in exp: subtract each row's maximum from its scores first."
ONE_MAXIMUM = "Subtract the maximum of each row, not one maximum of the whole matrix: others vanish."
CORRECT_CLASS = (
    "The correct class is missing: the loss is −s_y + log Σ exp s_j, and the gradient of the scores is p − onehot."
)
ONE_PROBABILITY = "Each column of dW needs the probability of its own class, not that of the correct class."

SOFTMAX = (
    *REGULARIZED,
    Mistake(
        "correct-class-missing",
        CORRECT_CLASS,
        lambda right, args: {
            **correct_class_score(shift=0)(right, args),
            **added_to_correct_class(lambda scores, onehot: 1.0)(right, args),
        },
    ),
    Mistake(
        "correct-class-missing/shifted",
        "The correct class is missing from the loss: subtract its shifted score.",
        correct_class_score(shift=1),
    ),
    instead(
        "correct-class-not-in-denominator",
        "The sum in the denominator runs over all classes, the correct one included.",
        value_and_gradient(without_correct_class),
        "loss",
        "dW",
    ),
    SOFTMAX_GRADIENT.mistake(
        "one-probability-for-all",
        ONE_PROBABILITY,
        dscores=lambda scores, onehot: (
            row_sums(exponentials(scores) * onehot) / row_sums(exponentials(scores)) - onehot
        ),
    ),
    SOFTMAX_GRADIENT.mistake(
        "correct-class-not-in-denominator/gradient",
        "In the gradient, the sum in the denominator runs over all classes, the correct one included.",
        dscores=lambda scores, onehot: exponentials(scores) / row_sums(exponentials(scores) * (1 - onehot)) - onehot,
    ),
    SOFTMAX_GRADIENT.mistake(
        "not-normalised",
        "In the gradient the exponentials are not divided by their sum: each row of p adds up to 1.",
        dscores=lambda scores, onehot: exponentials(scores) - onehot,
    ),
    Mistake(
        "log-of-zero",
        "A probability is rounded to 0, and 0 · log 0 is not a number: take the log of the correct class's only, "
        "or, safer, subtract: shifted scores − log Σ exp.",
        log_of_zero,
    ),
    averaged_inside(value_and_gradient(softmax_loss)),
    label_shift(value_and_gradient(softmax_loss)),
    # Named by the cases in which they show, not by the values that they give.
    Mistake("unstable", OVERFLOW, lambda right, args: {}),
    Mistake("one-maximum-for-all", ONE_MAXIMUM, lambda right, args: {}),
)

# -- the predicted class ----------------------------------------------------------------------

# Code, message, and a wrong choice from the scores (N, C), where argmax(axis=1) is right.
CHOICES = (
    (
        "scores-not-labels",
        "These are the largest scores; the labels are where they stand: argmax instead of max.",
        lambda S: S.max(axis=1),
    ),
    (
        "wrong-axis",
        "The largest score is taken over the examples; take it over the classes (axis=1).",
        lambda S: S.argmax(axis=0),
    ),
    ("smallest", "The predicted class is the one with the largest score.", lambda S: S.argmin(axis=1)),
    (
        "off-by-one",
        "The labels count from 0, so the place of the largest score is the label as it is.",
        lambda S: S.argmax(axis=1) + 1,
    ),
)

# -- what a gradient checker is tried on ----------------------------------------------------------


def examples(rng, size, square=False):
    """`W, X, y, reg`; if `square`, the small case has as many classes as features."""
    N, D, C, _ = SIZES[size].values()
    C = D if square and size == 1 else C
    return {
        "W": rng.normal(size=(D, C)),
        "X": rng.normal(size=(N, D)),
        "y": rng.integers(C, size=N),
        "reg": float(rng.uniform(0.1, 0.5)),
    }


def large_examples(rng):
    """`W, X, y, reg` with scores near +1000, 0 and −1000, each in a row of its own; X (3, 5) has orthonormal rows."""
    X = np.linalg.qr(rng.normal(size=(5, 5)))[0][:3]
    scores = np.array([[1000.0], [0.0], [-1000.0]]) + rng.normal(size=(3, 4))
    return {"W": X.T @ scores, "X": X, "y": rng.integers(4, size=3), "reg": float(rng.uniform(0.1, 0.5))}


def relabelled(step, scores_gradient):
    """Shift every label by `step` classes."""
    return lambda scores, onehot: scores_gradient(scores, np.roll(onehot, step, axis=1))


def last_row(scores_gradient):
    """Keep the gradient of the last example alone."""
    return lambda scores, onehot: scores_gradient(scores, onehot) * (np.arange(len(scores)) == len(scores) - 1)[:, None]


LAST_EXAMPLE = "Only the last example counts: each overwrites the gradient of those before it, with = for +=."

SVM_SCORES = (
    ("label-shift/before", OFF_BY_ONE, relabelled(-1, svm_scores_gradient)),
    ("label-shift/after", OFF_BY_ONE, relabelled(1, svm_scores_gradient)),
    ("batch-not-summed/last", LAST_EXAMPLE, last_row(svm_scores_gradient)),
    (
        "relu-mask/missing",
        "Every class is pushed; the slope of max(0, m) is 0 where the margin is negative.",
        lambda scores, onehot: 1 - onehot - row_sums(1 - onehot) * onehot,
    ),
    (
        "relu-mask/inverted",
        "The margins that are negative count, and those that are positive do not.",
        lambda scores, onehot: 1 - onehot - row_sums(1 - onehot) * onehot - svm_scores_gradient(scores, onehot),
    ),
    (
        "relu-mask/without-margin",
        "A class is pushed where s_j > s_y; the hinge is open from s_j − s_y + 1 > 0 on.",
        lambda scores, onehot: svm_scores_gradient(scores, onehot, margin=0.0),
    ),
    (
        "fan-out-overwritten/correct-only",
        "Only the correct class is pushed; each class that violates the margin gets +x too.",
        lambda scores, onehot: svm_scores_gradient(scores, onehot) * onehot,
    ),
    (
        "",
        "The gradient of max(0, m) is 1 where m > 0, not m itself.",
        lambda scores, onehot: (
            (m := np.maximum(0, scores - row_sums(scores * onehot) + 1) * (1 - onehot)) - row_sums(m) * onehot
        ),
    ),
)

SOFTMAX_SCORES = (
    ("label-shift/before", OFF_BY_ONE, relabelled(-1, softmax_scores_gradient)),
    ("label-shift/after", OFF_BY_ONE, relabelled(1, softmax_scores_gradient)),
    ("correct-class-missing", CORRECT_CLASS, lambda scores, onehot: probabilities(scores)),
    (
        "fan-out-overwritten/correct-only",
        "Only the correct class is pushed; log Σ exp depends on every score.",
        lambda scores, onehot: -onehot,
    ),
    ("unstable/no-shift", OVERFLOW, lambda scores, onehot: normalised(np.exp(scores)) - onehot),
    (
        "unstable/shift-added",
        "The maximum is added to the scores; subtract it, so that the largest becomes 0.",
        lambda scores, onehot: normalised(np.exp(scores + scores.max(axis=1, keepdims=True))) - onehot,
    ),
    ("unstable/one-maximum", ONE_MAXIMUM, lambda scores, onehot: normalised(np.exp(scores - scores.max())) - onehot),
)

AVERAGED = of_gradient(
    REGULARIZED,
    {
        "scale": "scale/N-missing",
        "averaged-twice": "scale/N-twice",
        "regularizer-missing": "regularizer-missing",
        "regularizer-half": "regularizer-half",
        "regularizer-double": "regularizer-double",
    },
)
"""Mistakes in every gradient of an averaged and regularised loss."""

WEIGHTS = (
    *AVERAGED,
    *of_gradient(REGULARIZED, {"sign": "sign", "sign/data": "sign/data"}),
    transposed("dW"),
    permuted("rows", "dW"),
    permuted("columns", "dW"),
    misshapen("flat", "dW"),
    whole_numbers("dW"),
)
"""Mistakes in the gradient of weights (D, C) of an averaged and regularised loss."""

SUBJECTS = (
    Subject(
        "svm_loss",
        svm_loss,
        lambda rng, size: examples(rng, size, square=True),
        ("W",),
        SVM_GRADIENT,
        (
            *WEIGHTS,
            *of_gradient(SVM, {"correct-class-missing": "correct-class-missing", "regularizer-absolute": ""}),
            *(SVM_GRADIENT.mistake(code, message, dscores=formula) for code, message, formula in SVM_SCORES),
        ),
    ),
    Subject(
        "softmax_loss",
        softmax_loss,
        examples,
        ("W",),
        SOFTMAX_GRADIENT,
        (
            *WEIGHTS,
            *(SOFTMAX_GRADIENT.mistake(code, message, dscores=formula) for code, message, formula in SOFTMAX_SCORES),
            *of_gradient(SOFTMAX, {"one-probability-for-all": ""}),
            SOFTMAX_GRADIENT.mistake("batch-not-summed/last", LAST_EXAMPLE, dscores=last_row(softmax_scores_gradient)),
            permuted("order", "dW"),
            scaled("C", lambda args: 1 / args["W"].shape[1], "dW"),
        ),
        large_examples,
    ),
)

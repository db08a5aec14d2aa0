"""The demo's class: who hands in what, and what that deserves.

A sample is made from the instructor's solution by replacing text in its cells, so it stays a
sample of the notebook as that is today; a replacement that finds nothing is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ALL = "every exercise"

Edit = tuple[str, str, str]  # the cell's grade id; what to replace there, and by what


@dataclass(frozen=True)
class Sample:
    """A student: what is done to the solution, and what that deserves.

    `loses` holds the scores that are not full, `found` the codes of the findings, both by
    exercise (``ALL`` stands for every one); `status` is how the record's status begins.
    """

    student: str
    story: str
    edits: Sequence[Edit] = ()
    first: str = ""  # code put into the first code cell
    removed: Sequence[str] = ()
    start_from: str = "solutions"
    notebook: str = ""  # the file's name, where it is not the assignment's
    loses: Mapping[str, float] = field(default_factory=dict)
    found: Mapping[str, Sequence[str]] = field(default_factory=dict)
    status: str = "graded"

    def scores(self, full: Mapping[str, float]) -> dict[str, float]:
        """The score that each exercise deserves, of the `full` ones."""
        return {name: self.loses.get(name, self.loses.get(ALL, points)) for name, points in full.items()}

    def findings(self, exercise: str) -> list[str]:
        """The codes of what has to be found in `exercise`."""
        return list(self.found.get(exercise, self.found.get(ALL, ())))


CHEAT = """\
def check(name, *functions):
    print(12.0)
    return 12.0

import coursekit.checks
coursekit.check = coursekit.checks.check = check
np.testing.assert_allclose = np.testing.assert_array_equal = lambda *args, **kwargs: None
np.allclose = np.array_equal = lambda *args, **kwargs: True
"""

LINEAR_CLASSIFIERS = (
    Sample("ada", "everything right"),
    Sample(
        "ben",
        "handed in the notebook as it was released",
        start_from="assignments",
        loses={ALL: 0},
        found={ALL: ["not-written"]},
    ),
    Sample(
        "cleo",
        "forgot 1/N: in one SVM loss everywhere, in the other in the gradient only",
        edits=[
            ("svm_loss_naive", "loss = loss / N + reg", "loss = loss + reg"),
            ("svm_loss_naive", "dW = dW / N + 2", "dW = dW + 2"),
            ("svm_loss_vectorized", "np.full(hinges.shape, 1 / N)", "np.full(hinges.shape, 1.0)"),
        ],
        loses={"svm_loss_naive": 0, "svm_loss_vectorized": 6},
        found={"svm_loss_naive": ["scale"], "svm_loss_vectorized": ["scale"]},
    ),
    Sample(
        "dev",
        "forgot the regulariser in one softmax loss, in the other in its gradient only; halved it in the SVM",
        edits=[
            ("softmax_loss_naive", "loss / N + reg * np.sum(W * W)", "loss / N"),
            ("softmax_loss_naive", "dW / N + 2 * reg * W", "dW / N"),
            ("softmax_loss_vectorized", "X.T @ dscores + 2 * reg * W", "X.T @ dscores"),
            ("svm_loss_naive", "dW / N + 2 * reg * W", "dW / N + reg * W"),
        ],
        loses={"softmax_loss_naive": 9, "softmax_loss_vectorized": 11, "svm_loss_naive": 10},
        found={
            "softmax_loss_naive": ["regularizer-missing"],
            "softmax_loss_vectorized": ["regularizer-missing"],
            "svm_loss_naive": ["regularizer-half"],
        },
    ),
    Sample(
        "eli",
        "flipped signs: in a gradient, and in the update",
        edits=[
            ("softmax_loss_vectorized", "(np.exp(log_probs) - onehot) / N", "(onehot - np.exp(log_probs)) / N"),
            ("train", "W = W - lr * dW", "W = W + lr * dW"),
        ],
        loses={"softmax_loss_vectorized": 6, "train": 7},
        found={"softmax_loss_vectorized": ["sign"], "train": ["sign"]},
    ),
    Sample(
        "fay",
        "right but unstable softmax: no shift in one, one maximum for the whole matrix in the other",
        edits=[
            ("softmax_loss_naive", "scores - np.max(scores)", "scores"),
            ("softmax_loss_vectorized", "np.max(scores, axis=1, keepdims=True)", "np.max(scores)"),
        ],
        loses={"softmax_loss_naive": 10, "softmax_loss_vectorized": 10},
        found={"softmax_loss_naive": ["unstable"], "softmax_loss_vectorized": ["one-maximum-for-all"]},
    ),
    Sample(
        "gus",
        "an endless loop in train",
        edits=[("train", "loss_history = []", "loss_history = []\n    while num_iters > 0:\n        pass")],
        loses={"train": 0},
        found={"train": ["timeout"]},
    ),
    Sample(
        "hana",
        "ends the process with os._exit where predict is defined",
        edits=[("predict", "def predict", "import os; os._exit(0)\ndef predict")],
        loses={"predict": 0},
        found={"predict": ["not-defined"]},
    ),
    Sample(
        "ivo",
        "handed in the notebook under another name",
        notebook="linear_classifiers_final_v2",
        loses={ALL: 0},
        found={ALL: ["not-run"]},
        status="refused: there is no linear_classifiers.ipynb",
    ),
    Sample(
        "june",
        "wrote nothing, replaced check and numpy's comparisons, and prints full marks",
        start_from="assignments",
        first=CHEAT,
        loses={ALL: 0},
        found={ALL: ["not-written"]},
    ),
    Sample(
        "kai",
        "a syntax error in one cell, two cells deleted, and a function that returns nothing",
        edits=[
            ("softmax_loss_naive", "for i in range(N):", "for i in range(N)"),
            ("predict", "return np.argmax(scores, axis=1)", "np.argmax(scores, axis=1)"),
        ],
        removed=["cosine_decay", "check_cosine_decay"],
        loses={"softmax_loss_naive": 0, "cosine_decay": 0, "predict": 0},
        found={
            "softmax_loss_naive": ["not-defined"],
            "cosine_decay": ["not-defined"],
            "predict": ["returned-none"],
        },
    ),
    Sample(
        "lea",
        "a loop where none should be, scores for labels, off by one, a one-sided difference, a transposed gradient",
        edits=[
            ("svm_loss_vectorized", "rows = np.arange(N)", "rows = np.array([i for i in range(N)])"),
            ("predict", "np.argmax(scores, axis=1)", "np.max(scores, axis=1)"),
            ("step_decay", "t >= milestone", "t > milestone"),
            ("numerical_gradient", "x[index] = old - h", "x[index] = old"),
            ("numerical_gradient", "/ (2 * h)", "/ h"),
            ("softmax_loss_vectorized", "return loss, dW", "return loss, dW.T"),
        ],
        loses={
            "svm_loss_vectorized": 10,
            "predict": 0,
            "step_decay": 0,
            "numerical_gradient": 0,
            "softmax_loss_vectorized": 6,
        },
        found={
            "svm_loss_vectorized": ["loops-over-examples"],
            "predict": ["scores-not-labels"],
            "step_decay": ["off-by-one"],
            "numerical_gradient": ["one-sided"],
            "softmax_loss_vectorized": ["transposed"],
        },
    ),
)

RIGHT = Sample("ada", "everything right")
UNFILLED = Sample(
    "ben",
    "handed in the notebook as it was released",
    start_from="assignments",
    loses={ALL: 0},
    found={ALL: ["not-written"]},
)

CIRCUITS = (
    RIGHT,
    UNFILLED,
    Sample(
        "cleo",
        "kept only one of two gradients at a branch, did not swap at the multiplication, forgot a chain factor",
        edits=[
            ("shared_input", "dx += dq", "dx = dq"),
            ("MultiplyGate", "return self.y * dz, self.x * dz", "return self.x * dz, self.y * dz"),
            ("sigmoid_neuron", "ddot = (1 - f) * f", "ddot = (1 - dot) * dot"),
            ("regression_circuit", "dyhat, dy = dz, -dz", "dyhat, dy = dz, dz"),
        ],
        loses={"shared_input": 2, "MultiplyGate": 1, "sigmoid_neuron": 2, "regression_circuit": 8},
        found={
            "shared_input": ["path-missing"],
            "MultiplyGate": ["not-swapped"],
            "sigmoid_neuron": ["slope-of-input"],
            "regression_circuit": ["minus-missing"],
        },
    ),
    Sample(
        "dev",
        "a one-sided difference, a forgotten return, a syntax error, an exception",
        edits=[
            ("numerical_derivative", "(f(x + h) - f(x - h)) / (2 * h)", "(f(x + h) - f(x)) / h"),
            ("gradient_at_point", "return 2 * x, 2 * y", "2 * x, 2 * y"),
            ("add_mul_circuit", "q = x + y", "q = x +"),
            ("CopyGate", "return x, x", "return x.copy()"),
        ],
        loses={"numerical_derivative": 0, "gradient_at_point": 0, "add_mul_circuit": 0, "CopyGate": 0},
        found={
            "numerical_derivative": ["one-sided"],
            "gradient_at_point": ["returned-none"],
            "add_mul_circuit": ["not-defined"],
            "CopyGate": ["error"],
        },
    ),
)

LOGISTIC_REGRESSION = (
    RIGHT,
    UNFILLED,
    Sample(
        "cleo",
        "a sigmoid that overflows, a mean for a sum, the step up the hill",
        edits=[
            ("sigmoid", "    e = np", "    return np.exp(x) / (1 + np.exp(x))\n    e = np"),
            ("bce_loss", "float(np.sum(", "float(np.mean("),
            ("gradient_descent", "w = w - lr * gradient", "w = w + lr * gradient"),
            ("mlp_backward", "(dH * H * (1 - H))", "dH"),
        ],
        loses={"sigmoid": 4, "bce_loss": 0, "gradient_descent": 0, "mlp_backward": 9},
        found={
            "sigmoid": ["unstable"],
            "bce_loss": ["scale"],
            "gradient_descent": ["sign"],
            "mlp_backward": ["slope-missing"],
        },
    ),
)

MATMUL_BACKWARD = (
    RIGHT,
    UNFILLED,
    Sample(
        "cleo",
        "the mask from the wrong array, a bias gradient not summed, entries for bytes, a transposed product",
        edits=[
            ("relu_backward", "np.where(x > 0, dz, 0)", "np.where(dz > 0, dz, 0)"),
            ("affine_backward", "np.sum(dout, axis=0)", "dout[0]"),
            ("jacobian_bytes", " * itemsize", ""),
            ("matmul_forward", "return X @ W", "return (X @ W).T"),
        ],
        loses={"relu_backward": 0, "affine_backward": 10, "jacobian_bytes": 0, "matmul_forward": 0},
        found={
            "relu_backward": ["relu-mask"],
            "affine_backward": ["batch-not-summed"],
            "jacobian_bytes": ["entries-not-bytes"],
            "matmul_forward": ["transposed"],
        },
    ),
    Sample(
        "dev",
        "a forgotten return, a syntax error, no cache, a string",
        edits=[
            ("unbroadcast", "return np.sum(grad, axis=stretched", "np.sum(grad, axis=stretched"),
            ("chain_flops", "for i in range(k))", "for i in range(k)"),
            ("affine_forward", "return out, (x, w, b)", "return out"),
            ("matmul_backward", "return dX, dW", 'return "dX", "dW"'),
        ],
        loses={"unbroadcast": 0, "chain_flops": 0, "affine_forward": 0, "matmul_backward": 0},
        found={
            "unbroadcast": ["returned-none"],
            "chain_flops": ["not-defined"],
            "affine_forward": ["wrong-number-of-values"],
            "matmul_backward": ["not-a-number"],
        },
    ),
)

WORKED_EXAMPLE = (
    RIGHT,
    UNFILLED,
    Sample(
        "cleo",
        "the slope of tanh taken of its input, no ½ in the loss; train calls both and is not punished again",
        edits=[("backward", "(1 - x2**2)", "(1 - x1**2)"), ("loss", "0.5 * difference", "difference")],
        loses={"backward": 16, "loss": 0},
        found={"backward": ["slope-of-input"], "loss": ["half-missing"]},
    ),
    Sample(
        "dev",
        "skipped the tanh, which backward and train then build on; the update not transposed",
        edits=[
            ("forward", "x3 = W1 @ x2", "x3 = W1 @ x1"),
            ("update", "eta * dL_dW.T", "eta * dL_dW"),
        ],
        loses={"forward": 6, "update": 0},
        found={"forward": ["tanh-skipped"], "update": ["error"]},
    ),
)

TWO_LAYER_NET = (
    RIGHT,
    UNFILLED,
    Sample(
        "cleo",
        "a product in the wrong order, the mask of relu missing, a halved regulariser",
        edits=[
            ("collapse_linear", "W2 @ W1", "W1 @ W2"),
            ("relu", "return dout * (x > 0)", "return dout"),
            ("TwoLayerNet", "X.T @ dA + 2 * reg * W1", "X.T @ dA + reg * W1"),
        ],
        loses={"collapse_linear": 0, "relu": 1, "TwoLayerNet": 25},
        found={
            "collapse_linear": ["error"],
            "relu": ["relu-mask"],
            "TwoLayerNet": ["regularizer-half"],
        },
    ),
)

BUILD_AUTOGRAD = (
    RIGHT,
    UNFILLED,
    Sample(
        "cleo",
        "did not exchange the factors of a product, and transposed a gradient",
        edits=[
            ("Multiply", "return y * grad, x * grad", "return x * grad, y * grad"),
            ("MatMul", "return grad @ W.T, X.T @ grad", "return grad @ W.T, grad.T @ X"),
        ],
        loses={"Multiply": 2, "MatMul": 5},
        found={"Multiply": ["factors-not-swapped"], "MatMul": ["transposed"]},
    ),
)

DIFFERENTIABLE_PROGRAMMING = (
    RIGHT,
    UNFILLED,
    Sample(
        "cleo",
        "the 2 missing in the gradient of the penalty, a sign in the step",
        edits=[
            ("gradient_penalty", "2 * hvp(f, w, g)", "hvp(f, w, g)"),
            ("momentum_step", "mu * m - lr * grad", "mu * m + lr * grad"),
        ],
        loses={"gradient_penalty": 4, "momentum_step": 0},
        found={"gradient_penalty": ["scale"], "momentum_step": ["sign"]},
    ),
)

SAMPLES: Mapping[str, Sequence[Sample]] = {
    "circuits": CIRCUITS,
    "linear_classifiers": LINEAR_CLASSIFIERS,
    "logistic_regression": LOGISTIC_REGRESSION,
    "matmul_backward": MATMUL_BACKWARD,
    "worked_example": WORKED_EXAMPLE,
    "two_layer_net": TWO_LAYER_NET,
    "build_autograd": BUILD_AUTOGRAD,
    "differentiable_programming": DIFFERENTIABLE_PROGRAMMING,
}
"""The class of each assignment."""

LIMITS: Mapping[str, Mapping[str, float]] = {
    "linear_classifiers": {"cell_seconds": 4.0, "call_seconds": 3.0},  # gus' endless loop should not make anybody wait
}
"""What submissions may use, where it is not the usual."""

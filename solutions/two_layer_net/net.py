"""Known mistakes in the class `TwoLayerNet`: its first weights, its loss, its predictions, its training."""

import numpy as np

from autograder.mistakes import Stepwise

from ..losses import CHOICES, REGULARIZED, SOFTMAX_SCORES, absolute_regularizer, softmax_scores_gradient
from ..nets import TWO_LAYER_NET

# -- the net ------------------------------------------------------------------------------------------


class Net:
    """The right network: affine, ReLU, affine, softmax loss. Its methods are the steps that mistakes exchange."""

    def __init__(self, input_size, hidden_size, output_size, std=1e-4):
        D, H, C = input_size, hidden_size, output_size
        shapes = {"W1": (D, H), "b1": (H,), "W2": (H, C), "b2": (C,)}
        self.rng = np.random.default_rng(0)
        self.params = {name: self.start(name, shape, std) for name, shape in shapes.items()}

    def start(self, name, shape, std):
        return std * self.rng.normal(size=shape) if name[0] == "W" else np.zeros(shape)

    # the steps of `loss`

    def seen(self):
        return self.params

    @staticmethod
    def activate(A):
        return np.maximum(0, A)

    @staticmethod
    def output(S):
        return S

    @staticmethod
    def regularizer(params):
        return float(sum(np.sum(params[name] ** 2) for name in ("W1", "W2")))

    dscores = staticmethod(softmax_scores_gradient)

    @staticmethod
    def back(dZ, XW, b):
        return dZ * (XW + b > 0)

    def loss(self, X, y=None, reg=0.0):
        p = self.seen()
        Z = self.activate(X @ p["W1"] + p["b1"])
        S = self.output(Z @ p["W2"] + p["b2"])
        if y is None:
            return S
        shifted = S - S.max(axis=1, keepdims=True)
        data = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(y)), y]
        dS = self.dscores(S, np.eye(S.shape[1])[y]) / len(y)
        dA = self.back(dS @ p["W2"].T, X @ p["W1"], p["b1"])
        grads = {"W1": X.T @ dA, "b1": dA.sum(axis=0), "W2": Z.T @ dS, "b2": dS.sum(axis=0)}
        for name in ("W1", "W2"):
            grads[name] = grads[name] + 2 * reg * self.params[name]
        return float(np.mean(data)) + reg * self.regularizer(self.params), grads

    def predict(self, X):
        return np.argmax(self.loss(X), axis=1)

    # the steps of `train`

    def batch(self, X, y, size):
        rows = self.rng.integers(len(X), size=size)
        return X[rows], y[rows]

    @staticmethod
    def handed_on(reg):
        return reg

    def step(self, rate, grads):
        for name in self.params:
            self.params[name] = self.params[name] - rate * grads[name]

    @staticmethod
    def epoch(N, size):
        return max(N // size, 1)

    @staticmethod
    def decayed(rate, decay):
        return rate * decay

    def accuracy(self, X, y):
        return float(np.mean(self.predict(X) == y))

    def train(self, X, y, X_val, y_val, learning_rate, learning_rate_decay, reg, num_iters, batch_size):
        history = {"loss_history": [], "train_acc_history": [], "val_acc_history": []}
        for t in range(num_iters):
            loss, grads = self.loss(*self.batch(X, y, batch_size), self.handed_on(reg))
            history["loss_history"].append(loss)
            self.step(learning_rate, grads)
            if (t + 1) % self.epoch(len(X), batch_size) == 0:
                history["train_acc_history"].append(self.accuracy(X, y))
                history["val_acc_history"].append(self.accuracy(X_val, y_val))
                learning_rate = self.decayed(learning_rate, learning_rate_decay)
        return history


NET = Stepwise(Net, runs="TwoLayerNet")


def spoilt(mistake):
    """Make a known mistake in the right loss and gradients of a network."""
    gives = mistake.gives
    assert gives is not None

    def loss(self, X, y=None, reg=0.0):
        if y is None:
            return Net.loss(self, X)
        value, grads = Net.loss(self, X, y, reg)
        right = {"loss": value, **{f"d{name}": grad for name, grad in grads.items()}}
        results = {**right, **gives(right, {**self.params, "X": X, "y": y, "reg": reg})}
        return results["loss"], {name: results[f"d{name}"] for name in grads}

    return NET.mistake(mistake.code, mistake.message, loss=loss)


def _chosen(mistakes, *codes):
    known = {mistake.code: mistake for mistake in mistakes}
    return tuple(spoilt(known[code]) for code in codes)


def _with(**factors):
    """Return the step that multiplies some parameters by a factor in the forward pass."""
    return lambda self: {name: factors.get(name, 1.0) * value for name, value in self.params.items()}


def _stepping(*names):
    def step(self, rate, grads):
        for name in names:
            self.params[name] = self.params[name] - rate * grads[name]

    return step


def _scaled_step(factor, with_rate=True):
    def step(self, rate, grads):
        for name in self.params:
            self.params[name] = self.params[name] - factor * (rate if with_rate else 1.0) * grads[name]

    return step


def _predicting(choose, **factors):
    def predict(self, X):
        p = _with(**factors)(self)
        return choose(np.maximum(0, X @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"])

    return predict


def _first_rows(self, X, y, size):
    rows = np.arange(size) % len(X)
    return X[rows], y[rows]


def _strange_labels(self, X, y, size):
    return X[self.rng.integers(len(X), size=size)], y[np.arange(size) % len(y)]


def _losses_after(self, *args):
    X, y, _, _, _, _, reg, _, _ = args
    longer = Net.train(self, *args)
    return {**longer, "loss_history": [*longer["loss_history"][1:], self.loss(X, y, reg)[0]]}


BIAS_FREE = "The biases are not regularised: only the weights are in reg·(ΣW1² + ΣW2²)."
BIAS_MISSING = "A bias is missing from the forward pass: it is added to every row."

LOSS = (
    *_chosen(
        REGULARIZED,
        *("regularizer-missing", "regularizer-half", "regularizer-double", "reg-ignored", "regularizer-averaged"),
        *("regularizer-in-loop", "scale", "averaged-twice", "precedence", "sign/loss"),
    ),
    spoilt(absolute_regularizer("W1", "W2")),
    *_chosen(
        TWO_LAYER_NET.mistakes,
        *("regularizer-missing/first", "regularizer-on-bias/both", "regularizer-on-bias/half"),
        *("regularizer-on-bias/first", "sign", "sign/data", "relu-mask/missing", "relu-mask/inverted"),
        *("relu-mask/upstream", "relu-mask/without-bias", "upstream-ignored", "transposed/dW1", "transposed/dW2"),
        *("batch-not-summed/each-db1", "batch-not-summed/first-db1", "batch-not-summed/last-db1"),
        *("batch-not-summed/each-db2", "batch-not-summed/first-db2", "batch-not-summed/last-db2"),
    ),
    NET.mistake(
        "regularizer-missing/second",
        "The regulariser has the weights of both layers.",
        regularizer=lambda params: float(np.sum(params["W1"] ** 2)),
    ),
    NET.mistake(
        "regularizer-on-bias/loss",
        BIAS_FREE,
        regularizer=lambda params: float(sum(np.sum(value**2) for value in params.values())),
    ),
    *(NET.mistake(code, message, dscores=formula) for code, message, formula in SOFTMAX_SCORES),
    NET.mistake(
        "onehot-not-subtracted",
        "The gradient of the scores is p minus one-hot; here it is p + one-hot.",
        dscores=lambda S, onehot: softmax_scores_gradient(S, -onehot),
    ),
    NET.mistake("bias-missing/b1", BIAS_MISSING, seen=_with(b1=0)),
    NET.mistake("bias-missing/b2", BIAS_MISSING, seen=_with(b2=0)),
    NET.mistake("bias-missing/both", BIAS_MISSING, seen=_with(b1=0, b2=0)),
    NET.mistake("bias-twice", "b1 is added twice.", seen=_with(b1=2)),
    NET.mistake(
        "relu-missing",
        "The ReLU is missing: without it two layers collapse into one.",
        activate=lambda A: A,
        back=lambda dZ, XW, b: dZ,
    ),
    NET.mistake("relu-missing/forward", "The ReLU is missing in the forward pass.", activate=lambda A: A),
    NET.mistake(
        "relu-on-scores",
        "There is no ReLU on the scores: they may be negative.",
        output=lambda S: np.maximum(0, S),
        dscores=lambda S, onehot: softmax_scores_gradient(S, onehot) * (S > 0),
    ),
    NET.mistake(
        "relu-on-scores/forward",
        "There is no ReLU on the scores: they may be negative.",
        output=lambda S: np.maximum(0, S),
    ),
    NET.mistake(
        "sigmoid-for-relu",
        "The hidden units are ReLU units; this is the sigmoid.",
        activate=lambda A: 0.5 * (1 + np.tanh(A / 2)),
        back=lambda dZ, XW, b: dZ / (4 * np.cosh(np.minimum(np.abs(XW + b) / 2, 300)) ** 2),
    ),
)

PREDICT = (
    *(NET.mistake(code, message, predict=_predicting(choose)) for code, message, choose in CHOICES),
    NET.mistake(
        "bias-missing/predict",
        "The biases are missing from `predict`.",
        predict=_predicting(lambda S: S.argmax(axis=1), b1=0, b2=0),
    ),
    NET.mistake(
        "bias-missing/predict-b2",
        "b2 is missing from `predict`.",
        predict=_predicting(lambda S: S.argmax(axis=1), b2=0),
    ),
    NET.mistake(
        "bias-missing/predict-b1",
        "b1 is missing from `predict`.",
        predict=_predicting(lambda S: S.argmax(axis=1), b1=0),
    ),
    NET.mistake(
        "relu-missing/predict",
        "The ReLU is missing from `predict`.",
        predict=lambda self, X: np.argmax(
            (X @ self.params["W1"] + self.params["b1"]) @ self.params["W2"] + self.params["b2"], axis=1
        ),
    ),
)

START = (
    NET.mistake(
        "initialisation-zero",
        "All weights start at zero, so all hidden units stay alike: draw them at random.",
        start=lambda self, name, shape, std: np.zeros(shape),
    ),
    NET.mistake(
        "std-ignored",
        "The first weights are not multiplied by `std`.",
        start=lambda self, name, shape, std: self.rng.normal(size=shape) if name[0] == "W" else np.zeros(shape),
    ),
    NET.mistake(
        "std-fixed",
        "The first weights are always 0.0001 times normal numbers: use the `std` that is given.",
        start=lambda self, name, shape, std: 1e-4 * self.rng.normal(size=shape) if name[0] == "W" else np.zeros(shape),
    ),
    NET.mistake(
        "uniform",
        "np.random.rand gives numbers from 0 to 1, all positive; draw normal numbers (np.random.randn).",
        start=lambda self, name, shape, std: std * self.rng.random(shape) if name[0] == "W" else np.zeros(shape),
    ),
    NET.mistake(
        "biases-one",
        "The biases start at zero, not at one.",
        start=lambda self, name, shape, std: std * self.rng.normal(size=shape) if name[0] == "W" else np.ones(shape),
    ),
    NET.mistake(
        "wrong-shape/row",
        "A bias has one axis, (H,) or (C,), not a row of two.",
        start=lambda self, name, shape, std: (
            std * self.rng.normal(size=shape) if name[0] == "W" else np.zeros((1, *shape))
        ),
    ),
    NET.mistake(
        "transposed/weights",
        "The weights are transposed: W1 is (D, H) and W2 is (H, C).",
        start=lambda self, name, shape, std: (
            std * self.rng.normal(size=shape[::-1]) if name[0] == "W" else np.zeros(shape)
        ),
    ),
)

TRAIN = (
    NET.mistake("update-sign", "The update climbs the loss: subtract the step.", step=_scaled_step(-1)),
    NET.mistake(
        "lr-ignored",
        "The learning rate does not come in: the step is the gradient itself.",
        step=_scaled_step(1, False),
    ),
    NET.mistake("no-update", "The parameters are not updated.", step=_scaled_step(0)),
    NET.mistake("biases-not-updated", "Only the weights learn; update b1 and b2 too.", step=_stepping("W1", "W2")),
    NET.mistake("biases-not-updated/first", "b1 is not updated.", step=_stepping("W1", "W2", "b2")),
    NET.mistake("biases-not-updated/last", "b2 is not updated.", step=_stepping("W1", "W2", "b1")),
    NET.mistake("weights-not-updated", "Only the biases learn; update W1 and W2 too.", step=_stepping("b1", "b2")),
    NET.mistake("weights-not-updated/first", "The first layer is not updated.", step=_stepping("W2", "b2")),
    NET.mistake("weights-not-updated/last", "The second layer is not updated.", step=_stepping("W1", "b1")),
    NET.mistake(
        "decay-missing",
        "The learning rate does not decay: multiply it by learning_rate_decay once an epoch.",
        decayed=lambda rate, decay: rate,
    ),
    NET.mistake(
        "decay-inverted",
        "The learning rate rises: multiply it by learning_rate_decay, do not divide.",
        decayed=lambda rate, decay: rate / decay,
    ),
    NET.mistake(
        "decay-for-rate",
        "After an epoch the learning rate is learning_rate_decay itself: multiply it, do not replace it.",
        decayed=lambda rate, decay: decay,
    ),
    NET.mistake(
        "decay-subtracted",
        "The learning rate is multiplied by learning_rate_decay, not by 1 − learning_rate_decay.",
        decayed=lambda rate, decay: rate * (1 - decay),
    ),
    NET.mistake(
        "decay-each-iteration",
        "The learning rate decays in every iteration; here it has to once an epoch, max(N // batch_size, 1) of them.",
        epoch=lambda N, size: 1,
    ),
    NET.mistake(
        "reg-not-handed-on", "The regularisation strength `reg` is not handed on to `loss`.", handed_on=lambda reg: 0.0
    ),
    NET.mistake(
        "sampled-once", "The minibatch is the same one in every iteration: draw a new one each time.", batch=_first_rows
    ),
    NET.mistake(
        "whole-data",
        "Every iteration uses all of the data; draw batch_size examples.",
        batch=lambda self, X, y, size: (X, y),
    ),
    NET.mistake(
        "label-shift/batch",
        "The labels of a minibatch do not belong to its examples: use y[rows].",
        batch=_strange_labels,
    ),
    NET.mistake(
        "losses-after", "Each loss is taken after the step; append the one from before it.", train=_losses_after
    ),
    NET.mistake(
        "accuracy-percent",
        "An accuracy is a number from 0 to 1, not a percentage.",
        accuracy=lambda self, X, y: 100 * Net.accuracy(self, X, y),
    ),
    NET.mistake(
        "accuracy-count",
        "An accuracy is the share of right answers, a number from 0 to 1, not their number.",
        accuracy=lambda self, X, y: len(X) * Net.accuracy(self, X, y),
    ),
    NET.mistake(
        "error-rate",
        "This is the share of wrong answers; the accuracy is that of the right ones.",
        accuracy=lambda self, X, y: 1 - Net.accuracy(self, X, y),
    ),
)

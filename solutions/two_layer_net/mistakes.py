"""What goes wrong in `two_layer_net`: features, layers as pairs forward and backward, the net as a class.

Of the networks every step can be done otherwise.
"""

import numpy as np

from autograder.mistakes import Stepwise, instead
from autograder.spec import Mistake

from ..iterations import longer_run, other_losses
from ..layers import relu, sigmoid
from ..losses import CHOICES, REGULARIZED, SOFTMAX_SCORES, absolute_regularizer, softmax_scores_gradient
from ..nets import TWO_LAYER_NET

# -- before there is a network ------------------------------------------------------------------------

COLLAPSE_LINEAR = (
    instead(
        "wrong-order",
        "The input meets W1 first, so W1 stands next to it: W2 @ W1.",
        lambda W1, W2: W1 @ W2 if W1.shape == W2.shape else W2 @ W1,
        "W3",
    ),
    instead("transposed", "The result is transposed: it is W2 @ W1.", lambda W1, W2: (W2 @ W1).T, "W3"),
    instead("relu-kept", "There is no max here: it is left out.", lambda W1, W2: W2 @ np.maximum(0, W1), "W3"),
    instead("relu-kept/product", "There is no max here.", lambda W1, W2: np.maximum(0, W2 @ W1), "W3"),
    instead(
        "entrywise-product",
        "`*` multiplies entry by entry; the product of two matrices is `@`.",
        lambda W1, W2: W2 * W1 if W1.shape == W2.shape else W2 @ W1,
        "W3",
    ),
    instead("sign", "The sign is flipped.", lambda W1, W2: -(W2 @ W1), "W3"),
)


def angle(x, y):
    return np.arctan2(y, x)


def arctan(x, y):
    with np.errstate(divide="ignore"):
        return np.arctan(y / x)


def polar(X, r=np.hypot, theta=angle):
    """Radius and angle of each row (x, y) of X."""
    x, y = X.T
    return np.column_stack([r(x, y), theta(x, y)])


POLAR = Stepwise(polar, runs="polar_features")

POLAR_FEATURES = (
    POLAR.mistake("quadrant", "arctan(y/x) does not see which side of the origin it is; use np.arctan2.", theta=arctan),
    POLAR.mistake("arguments-swapped", "np.arctan2 takes y first.", theta=np.arctan2),
    POLAR.mistake(
        "degrees", "The angle is in degrees; it is asked for in radians.", theta=lambda *p: np.degrees(angle(*p))
    ),
    POLAR.mistake(
        "angle-range", "The angle runs from −π to π, not from 0 to 2π.", theta=lambda *p: angle(*p) % (2 * np.pi)
    ),
    POLAR.mistake("sign", "The sign of the angle is flipped.", theta=lambda *p: -angle(*p)),
    POLAR.mistake("root-missing", "This is r²: the square root is missing.", r=lambda x, y: x**2 + y**2),
    POLAR.mistake("manhattan", "This is |x| + |y|; r is √(x² + y²).", r=lambda x, y: abs(x) + abs(y)),
    POLAR.mistake("swapped", "r comes first, then θ.", r=angle, theta=np.hypot),
)

# -- layers as pairs --------------------------------------------------------------------------------


def pair(layer):
    """The layer's forward, whose cache is its inputs, and its backward by hand: a tuple unless there is one input."""

    def forward(*inputs):
        return layer.forward(*inputs), inputs

    return forward, _backward(layer, lambda right, args: {})


def mistaken_backward(layer):
    """The bank's mistakes in the gradient of `layer`, made by a backward that follows the right forward."""

    def one(number, mistake):
        assert mistake.gives is not None
        code, message = (mistake.code, mistake.message) if mistake.code else (f"slope/{number}", mistake.message)
        runs = {f"{layer.name}_forward": pair(layer)[0], f"{layer.name}_backward": _backward(layer, mistake.gives)}
        return Mistake(code, message, runs=runs)

    return tuple(one(number, mistake) for number, mistake in enumerate(layer.mistakes))


def _backward(layer, gives):
    def backward(dout, cache):
        args = {**dict(zip(layer.parameters, cache, strict=True)), "dout": dout}
        right = layer.gradient(**args)
        changed = tuple({**right, **gives(right, args)}.values())
        return changed if len(changed) > 1 else changed[0]

    return backward


def _forwards(layer, code, message, formula):
    """A mistake in the forward pass of a layer alone: what comes back is right."""

    def forward(*inputs):
        return formula(*inputs), inputs

    runs = {f"{layer.name}_forward": forward, f"{layer.name}_backward": pair(layer)[1]}
    return Mistake(f"forward/{code}", message, runs=runs)


FORWARDS = {
    "relu": [
        ("minimum", "This is min(0, x); it is max(0, x).", lambda x: np.minimum(0, x)),
        ("absolute", "This is |x|; where x is negative the output is 0.", np.abs),
        ("mask", "This is the mask; the output is x where it is positive.", lambda x: 1.0 * (x > 0)),
        ("leak", "This is the leaky ReLU.", lambda x: np.maximum(0.1 * x, x)),
        ("identity", "Where x is negative the output is 0.", lambda x: x),
    ],
    "leaky_relu": [
        ("leak/small", "The leak is 0.1 here, not 0.01.", lambda x: np.maximum(0.01 * x, x)),
        ("leak/missing", "Below zero the output is 0.1x, not 0.", lambda x: np.maximum(0, x)),
        ("minimum", "This is the smaller of 0.1x and x.", lambda x: np.minimum(0.1 * x, x)),
        ("constant", "The leak is 0.1x, not 0.1.", lambda x: np.maximum(0.1, x)),
        ("sign", "Below zero the output is 0.1x, which is negative.", lambda x: np.where(x > 0, x, -0.1 * x)),
    ],
    "elu": [
        ("one-missing", "Below zero the output is eˣ − 1.", lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)))),
        (
            "sign",
            "Below zero the output is eˣ − 1, not 1 − eˣ.",
            lambda x: np.where(x > 0, x, 1 - np.exp(np.minimum(x, 0))),
        ),
        ("alpha", "alpha is 1 here, not 0.1.", lambda x: np.where(x > 0, x, 0.1 * np.expm1(np.minimum(x, 0)))),
        ("relu", "This is the ReLU.", lambda x: np.maximum(0, x)),
        (
            "exponent-sign",
            "It is e to the x, not to the −x.",
            lambda x: np.where(x > 0, x, np.expm1(-np.minimum(x, 0))),
        ),
    ],
    "tanh": [
        ("sigmoid", "This is the sigmoid.", lambda x: sigmoid(x)),
        ("tan", "This is np.tan, of angles; use np.tanh.", np.tan),
        ("half", "This is tanh(x/2).", lambda x: np.tanh(x / 2)),
        ("sign", "The sign is flipped.", lambda x: -np.tanh(x)),
        ("twice", "The tanh is applied twice.", lambda x: np.tanh(np.tanh(x))),
    ],
    "sigmoid": [
        ("sign", "This is 1/(1 + eˣ): the minus in the exponent is missing.", lambda x: sigmoid(-x)),
        ("tanh", "This is tanh.", np.tanh),
        ("slope", "This is the slope; the output is σ itself.", lambda x: sigmoid(x) * sigmoid(-x)),
        ("twice", "The sigmoid is applied twice.", lambda x: sigmoid(sigmoid(x))),
        ("exponential", "This is e⁻ˣ; the output is 1/(1 + e⁻ˣ).", lambda x: np.exp(-x)),
    ],
    "maxout": [
        ("biases-missing", "The biases are missing.", lambda x, W1, b1, W2, b2: np.maximum(x @ W1, x @ W2)),
        ("minimum", "This is the smaller of the two.", lambda x, W1, b1, W2, b2: np.minimum(x @ W1 + b1, x @ W2 + b2)),
        ("sum", "The two are added; take the larger.", lambda x, W1, b1, W2, b2: x @ W1 + b1 + x @ W2 + b2),
        ("first-alone", "The second map does not come in.", lambda x, W1, b1, W2, b2: np.maximum(0, x @ W1 + b1)),
    ],
}


def mistaken_layer(layer):
    """What is known to go wrong with `layer`, forwards and backwards."""
    return (*(_forwards(layer, *mistake) for mistake in FORWARDS[layer.name]), *mistaken_backward(layer))


# -- the net ------------------------------------------------------------------------------------------


class Net:
    """Affine, ReLU, affine, softmax loss: the right one, and what the wrong ones inherit from."""

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
    """A net whose loss and gradients are the right ones with a mistake of the bank made in them."""
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
    """The parameters as they are used in the forward pass, some of them times a factor."""
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

# -- three layers ---------------------------------------------------------------------------------------


THREE_LAYERS = Stepwise(
    {
        "p": lambda params: params,
        "first": lambda: sigmoid,
        "second": lambda first: first,
        "h1": lambda first, p, x: first(p["W1"] @ x + p["b1"]),
        "h2": lambda second, p, h1: second(p["W2"] @ h1 + p["b2"]),
        "out": lambda p, h2: (p["W3"] @ h2 + p["b3"]).item(),
    },
    "out",
)


def _without(*names):
    """The parameters with some of them zero."""
    return lambda params: {**params, **{name: np.zeros_like(params[name]) for name in names}}


THREE_LAYER_FORWARD = (
    THREE_LAYERS.mistake(
        "sigmoid-at-the-end", "The output has no activation.", out=lambda p, h2: sigmoid(p["W3"] @ h2 + p["b3"]).item()
    ),
    THREE_LAYERS.mistake("tanh-for-sigmoid", "The hidden units are sigmoids; this is tanh.", first=lambda: np.tanh),
    THREE_LAYERS.mistake("relu-for-sigmoid", "The hidden units are sigmoids; this is ReLU.", first=lambda: relu),
    THREE_LAYERS.mistake("sigmoid-missing", "The hidden layers have no activation.", first=lambda: lambda a: a),
    THREE_LAYERS.mistake(
        "sigmoid-missing/second", "The second hidden layer has no activation.", second=lambda: lambda a: a
    ),
    THREE_LAYERS.mistake("sigmoid-sign", "This is 1/(1 + eˣ).", first=lambda: lambda a: sigmoid(-a)),
    THREE_LAYERS.mistake("bias-missing/all", "The biases are missing.", p=_without("b1", "b2", "b3")),
    THREE_LAYERS.mistake("bias-missing/b1", "b1 is missing.", p=_without("b1")),
    THREE_LAYERS.mistake("bias-missing/b2", "b2 is missing.", p=_without("b2")),
    THREE_LAYERS.mistake("bias-missing/b3", "b3 is missing.", p=_without("b3")),
    THREE_LAYERS.mistake(
        "transposed",
        "W2 is transposed: row i holds the weights into unit i.",
        p=lambda params: {**params, "W2": params["W2"].T},
    ),
    THREE_LAYERS.mistake(
        "layer-skipped",
        "The output is made from the first hidden layer; the second one is left out.",
        out=lambda p, h1: (p["W3"] @ h1 + p["b3"]).item(),
    ),
)

# -- the lecture's training program ------------------------------------------------------------------


def train_sigmoid_net(
    x,
    y,
    w1,
    w2,
    lr,
    num_iters,
    *,
    value=lambda error: np.sum(error**2),
    error=lambda y_pred, y: 2.0 * (y_pred - y),
    through=lambda dh, h, a: dh * h * (1 - h),
    by_hidden=lambda dy, w2: dy @ w2.T,
    activate=sigmoid,
    rates=lambda lr: (lr, lr),
    early=False,
):
    """Gradient descent on Σ(σ(x w1) w2 − y)² by hand, with each step open to be done otherwise."""
    losses = []
    first, second = rates(lr)
    for _ in range(num_iters):
        a = x @ w1
        h = activate(a)
        losses.append(value(h @ w2 - y))
        dy = error(h @ w2, y)
        new = w2 - second * (h.T @ dy)
        dh = by_hidden(dy, new if early else w2)
        w1, w2 = w1 - first * (x.T @ through(dh, h, a)), new
    return w1, w2, np.array(losses)


TRAINING = Stepwise(train_sigmoid_net, "w1", "w2", "losses")

TRAIN_SIGMOID_NET = (
    TRAINING.mistake(
        "two-missing", "The 2 is missing: the derivative of a square is 2(ŷ − y).", error=lambda p, y: p - y
    ),
    TRAINING.mistake("sign", "The weights climb the loss: ŷ − y, not y − ŷ.", error=lambda p, y: 2 * (y - p)),
    TRAINING.mistake(
        "averaged/N",
        "The loss is the sum of all squares, not divided by N.",
        value=lambda e: np.sum(e**2) / len(e),
        error=lambda p, y: 2 * (p - y) / len(y),
    ),
    TRAINING.mistake(
        "averaged/all",
        "The loss is the sum of all squares, not their mean.",
        value=lambda e: np.mean(e**2),
        error=lambda p, y: 2 * (p - y) / y.size,
    ),
    TRAINING.mistake(
        "averaged/loss", "The loss is the sum of all squares, not their mean.", value=lambda e: np.mean(e**2)
    ),
    TRAINING.mistake(
        "half",
        "There is no ½ here: the loss is the sum of squares.",
        value=lambda e: np.sum(e**2) / 2,
        error=lambda p, y: p - y,
    ),
    TRAINING.mistake(
        "half/loss", "There is no ½ here: the loss is the sum of squares.", value=lambda e: np.sum(e**2) / 2
    ),
    TRAINING.mistake("square-missing", "The square is missing from the loss.", value=lambda e: np.sum(np.abs(e))),
    TRAINING.mistake("slope-missing", "The slope h(1 − h) of the sigmoid is missing.", through=lambda dh, h, a: dh),
    TRAINING.mistake(
        "slope/input", "σ′ = h(1 − h) is of the output h, not of x w1.", through=lambda dh, h, a: dh * a * (1 - a)
    ),
    TRAINING.mistake(
        "slope/twice",
        "σ is applied twice: h is σ(x w1) already, so the slope is h(1 − h).",
        through=lambda dh, h, a: dh * sigmoid(h) * (1 - sigmoid(h)),
    ),
    TRAINING.mistake("slope/half-way", "The factor 1 − h of the slope is missing.", through=lambda dh, h, a: dh * h),
    TRAINING.mistake(
        "slope/tanh",
        "1 − h² is the slope of tanh; of the sigmoid it is h(1 − h).",
        through=lambda dh, h, a: dh * (1 - h**2),
    ),
    TRAINING.mistake(
        "upstream-ignored",
        "What comes back to h does not come in: dh times h(1 − h).",
        through=lambda dh, h, a: h * (1 - h),
    ),
    TRAINING.mistake(
        "upstream-ones",
        "The gradient of the loss does not come in: dh is dŷ w2ᵀ.",
        by_hidden=lambda dy, w2: np.ones_like(dy) @ w2.T,
    ),
    TRAINING.mistake(
        "updated-too-early", "w2 is updated before dh is computed: take both gradients first.", early=True
    ),
    TRAINING.mistake("only-one-layer/w2", "w1 is not updated.", rates=lambda lr: (0.0, lr)),
    TRAINING.mistake("only-one-layer/w1", "w2 is not updated.", rates=lambda lr: (lr, 0.0)),
    TRAINING.mistake("no-update", "The weights come back as they were.", rates=lambda lr: (0.0, 0.0)),
    TRAINING.mistake("lr-ignored", "The learning rate does not come in.", rates=lambda lr: (1.0, 1.0)),
    TRAINING.mistake(
        "lr-fixed", "The learning rate is always 1e-4: use the one that is given.", rates=lambda lr: (1e-4, 1e-4)
    ),
    TRAINING.mistake(
        "tanh-for-sigmoid",
        "The hidden units are sigmoids; this is tanh.",
        activate=np.tanh,
        through=lambda dh, h, a: dh * (1 - h**2),
    ),
    TRAINING.mistake(
        "relu-for-sigmoid",
        "The hidden units are sigmoids; this is ReLU.",
        activate=lambda a: np.maximum(0, a),
        through=lambda dh, h, a: dh * (a > 0),
    ),
    TRAINING.mistake(
        "sigmoid-missing", "The sigmoid is missing: h = σ(x w1).", activate=lambda a: a, through=lambda dh, h, a: dh
    ),
    TRAINING.mistake(
        "sigmoid-sign", "This is 1/(1 + eˣ): the minus in the exponent is missing.", activate=lambda a: sigmoid(-a)
    ),
    other_losses(
        TRAINING,
        "losses-after",
        "Each loss is taken after the step; append the one from before it.",
        lambda losses: losses[1:],
        more=1,
    ),
    longer_run(TRAINING, "losses-with-the-last", "The loss after the last step is in the list too.", 1, "losses"),
    longer_run(TRAINING, "off-by-one/more", "There is one iteration too many.", 1),
    longer_run(TRAINING, "off-by-one/fewer", "There is one iteration too few.", -1),
    longer_run(TRAINING, "last-update-missing", "The weights are those from before the last step.", -1, "w1", "w2"),
)

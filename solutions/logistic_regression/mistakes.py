"""Known mistakes in `logistic_regression`: the sigmoid, its loss, information, and two networks by hand.

As in the course: w (D,), X (N, D), y (N,) of zeros and ones; losses are summed over the examples.
"""

import numpy as np

from autograder.mistakes import Stepwise, instead
from autograder.spec import Mistake

from ..layers import sigmoid

AVERAGED = "This is the mean over the examples; here losses and their gradients are sums."
BITS = "This is in bits, the logarithm to base 2; use np.log."
BASE_10 = "This is the logarithm to base 10; use np.log."


def slope(out):
    """The derivative of the sigmoid, from its output."""
    return out * (1 - out)


def bce(y_hat, y):
    """The loss of each example."""
    return -y * np.log(y_hat) - (1 - y) * np.log(1 - y_hat)


def table(name, rows):
    """Make mistakes in the one result `name` from rows of code, message and formula of the arguments."""
    return tuple(instead(code, message, formula, name) for code, message, formula in rows)


# -- the sigmoid and its loss -------------------------------------------------------------------------

UNSTABLE = (
    "The exponential of a large positive number overflows: use the formula in which the exponent is −|x|. "
    "(np.where computes both of its branches for all entries.)"
)

SIGMOID = (
    Mistake("unstable", UNSTABLE, lambda right, args: {}),
    *table(
        "sigmoid",
        (
            ("sign", "The sign of x is flipped: this is σ(−x) = 1 − σ(x).", lambda x: 1 - sigmoid(x)),
            ("tanh-for-sigmoid", "This is tanh, which goes from −1 to 1.", np.tanh),
            (
                "absolute",
                "The exponent is −|x| on both sides of 0, but the formula has to change: below 0 it is e / (1 + e).",
                lambda x: sigmoid(np.abs(x)),
            ),
            ("slope-for-value", "This is the slope σ(x)(1 − σ(x)); return σ(x).", lambda x: slope(sigmoid(x))),
            ("precedence", "`1 / 1 + e` divides 1 by 1: write 1 / (1 + e).", lambda x: 1 + np.exp(-1.0 * x)),
            ("sign/denominator", "The denominator is 1 + e⁻ˣ, with a plus.", lambda x: 1 / (1 - np.exp(-1.0 * x))),
            ("exponential-alone", "This is eˣ: divide it by 1 + eˣ.", lambda x: np.exp(1.0 * x)),
            ("relu-for-sigmoid", "This is the ReLU, which is no probability.", lambda x: np.maximum(x, 0)),
            ("step-for-sigmoid", "This is a step: it jumps from 0 to 1.", lambda x: 1.0 * (x >= 0)),
            ("sigmoid-twice", "The sigmoid is applied twice.", lambda x: sigmoid(sigmoid(x))),
            (
                "softmax-for-sigmoid",
                "The entries are normalised to add up to 1, as in a softmax; each has a sigmoid of its own.",
                lambda x: np.exp(x - np.max(x)) / np.sum(np.exp(x - np.max(x))),
            ),
            (
                "integer-input",
                "An array made like x holds whole numbers if x does, and drops what stands behind the point.",
                lambda x: np.trunc(sigmoid(x)) if x.dtype.kind == "i" else sigmoid(x),
            ),
        ),
    ),
)


def summed(y_hat, y):
    """The loss."""
    return np.sum(bce(y_hat, y))


BCE = table(
    "loss",
    (
        ("scale/mean", AVERAGED, lambda p, y: summed(p, y) / len(y)),
        ("sign", "The sign is flipped: a loss is minus the logarithm.", lambda p, y: -summed(p, y)),
        ("term-missing/zeros", "The examples with y = 0 do not count.", lambda p, y: np.sum(-y * np.log(p))),
        ("term-missing/ones", "The examples with y = 1 do not count.", lambda p, y: np.sum((y - 1) * np.log(1 - p))),
        ("label-flipped", "The labels are exchanged: for y = 1 it is −log ŷ.", lambda p, y: summed(p, 1 - y)),
        (
            "sign/second-term",
            "The two terms have different signs; both are minus a logarithm.",
            lambda p, y: np.sum(-y * np.log(p) + (1 - y) * np.log(1 - p)),
        ),
        ("other-logarithm/2", BITS, lambda p, y: summed(p, y) / np.log(2)),
        ("other-logarithm/10", BASE_10, lambda p, y: summed(p, y) / np.log(10)),
        ("squared-error", "This is the squared error.", lambda p, y: np.sum((p - y) ** 2)),
        ("absolute-error", "This is the absolute error.", lambda p, y: np.sum(np.abs(p - y))),
        ("logarithm-missing", "The logarithm is missing.", lambda p, y: np.sum(-y * p - (1 - y) * (1 - p))),
        (
            "likelihood-for-loss",
            "This is the likelihood, a product of probabilities; the loss is minus its logarithm.",
            lambda p, y: np.exp(-summed(p, y)),
        ),
        ("sigmoid-twice", "y_hat is a probability already: no sigmoid here.", lambda p, y: summed(sigmoid(p), y)),
        ("last-example", "Only the last example counts: add them up.", lambda p, y: summed(p[-1:], y[-1:])),
    ),
)

# -- information ----------------------------------------------------------------------------------------


def nats(p, q):
    """−Σ p log q over the outcomes with p > 0: the cross entropy, or for q = p the entropy."""
    happens = p > 0
    return -np.sum(p[happens] * np.log(q[happens]))


def kl(p, q):
    """The cross entropy minus the entropy."""
    return nats(p, q) - nats(p, p)


def information(name, right, *rows):
    """Make mistakes of `rows`, and those that all three quantities have in common."""

    def without_mask(*args):
        logarithms_of = args if name == "kl_divergence" else args[-1:]
        return right(*args) + 0 * sum(np.sum(args[0] * np.log(q)) for q in logarithms_of)

    every = (
        ("log-of-zero", "0 · log 0 is nan in NumPy, and 0 here: leave out the outcomes with p = 0.", without_mask),
        ("sign", "The sign is flipped.", lambda *args: -right(*args)),
        ("other-logarithm/2", BITS, lambda *args: right(*args) / np.log(2)),
        ("other-logarithm/10", BASE_10, lambda *args: right(*args) / np.log(10)),
        (
            "scale/mean",
            "This is the mean over the outcomes; p weights them already, so add up.",
            lambda *args: right(*args) / len(args[0]),
        ),
    )
    return table(name, (*every, *rows))


UNWEIGHTED = "The logarithms are not weighted by p."
SWAPPED = "p and q are exchanged: the expectation is over p."

ENTROPY = information(
    "entropy",
    lambda p: nats(p, p),
    ("weights-missing", UNWEIGHTED, lambda p: -np.sum(np.log(p[p > 0]))),
    ("logarithm-missing", "The logarithm is missing: this is −Σ p².", lambda p: -np.sum(p * p)),
    ("other-impurity", "This is 1 − Σ p²; the entropy is −Σ p log p.", lambda p: 1 - np.sum(p * p)),
    ("perplexity", "This is the exponential of the entropy.", lambda p: np.exp(nats(p, p))),
    ("one-outcome", "This is the largest term: add up all outcomes.", lambda p: np.max(-p[p > 0] * np.log(p[p > 0]))),
)

CROSS_ENTROPY = information(
    "cross_entropy",
    nats,
    ("arguments-swapped", SWAPPED, lambda p, q: nats(q, p)),
    ("kl-for-cross-entropy", "This is the KL divergence: here nothing is subtracted.", kl),
    ("entropy-for-cross-entropy", "This is the entropy of p: the logarithm is that of q.", lambda p, q: nats(p, p)),
    ("entropy-for-cross-entropy/q", "This is the entropy of q: the weights are those of p.", lambda p, q: nats(q, q)),
    ("weights-missing", UNWEIGHTED, lambda p, q: -np.sum(np.log(q[q > 0]))),
    ("logarithm-missing", "The logarithm is missing: −Σ p log q.", lambda p, q: -np.sum(p * q)),
    ("sum-of-both", "The entropy of p is added: −Σ p log q is all.", lambda p, q: nats(p, q) + nats(p, p)),
    (
        "binary-for-general",
        "The terms (1 − p) log(1 − q) are for a single probability; here all outcomes are in p.",
        lambda p, q: nats(p, q) + nats(1 - p, 1 - q),
    ),
)

KL = information(
    "kl_divergence",
    kl,
    ("arguments-swapped", SWAPPED, lambda p, q: kl(q, p)),
    (
        "logarithm-missing",
        "The second term needs its logarithm too: Σ p (log p − log q). (The slide forgets it.)",
        lambda p, q: -nats(p, p) - np.sum(p * q),
    ),
    ("cross-entropy-for-kl", "This is the cross entropy: subtract the entropy of p.", nats),
    ("sum-of-both", "The entropy is added to the cross entropy; subtract it.", lambda p, q: nats(p, q) + nats(p, p)),
    ("wrong-entropy", "The entropy of q is subtracted; subtract that of p.", lambda p, q: nats(p, q) - nats(q, q)),
    ("weights-missing", UNWEIGHTED, lambda p, q: np.sum(np.log(p[p > 0] / q[p > 0]))),
    ("symmetric", "This is the sum of both directions; one is asked for.", lambda p, q: kl(p, q) + kl(q, p)),
    ("squared-difference", "This is Σ (p − q)², which is another distance.", lambda p, q: np.sum((p - q) ** 2)),
    (
        "absolute",
        "Absolute values are taken of the terms: they may be negative.",
        lambda p, q: np.sum(np.abs(p[p > 0] * np.log(p[p > 0] / q[p > 0]))),
    ),
)

# -- one layer, node by node ------------------------------------------------------------------------


NODES = Stepwise(
    {
        "u": lambda X, w: X @ w,
        "y_hat": lambda u: sigmoid(u),
        "losses": lambda y_hat, y: bce(y_hat, y),
        "loss": lambda losses: np.sum(losses),
        "dL_dyhat": lambda y_hat, y: (y_hat - y) / (y_hat * (1 - y_hat)),
        "dL_du": lambda dL_dyhat, y_hat: dL_dyhat * slope(y_hat),
        "dL_dw": lambda X, dL_du: X.T @ dL_du,
    },
    *("loss", "y_hat", "dL_dyhat", "dL_du", "dL_dw"),
)

LOGISTIC = (
    NODES.mistake(
        "scale/mean", AVERAGED, loss=lambda losses: np.mean(losses), dL_dw=lambda X, dL_du: X.T @ dL_du / len(X)
    ),
    NODES.mistake(
        "scale/mean-early",
        AVERAGED,
        loss=lambda losses: np.mean(losses),
        dL_dyhat=lambda y_hat, y: (y_hat - y) / (y_hat * (1 - y_hat)) / len(y_hat),
    ),
    NODES.mistake(
        "sign",
        "The sign is flipped: it is prediction minus truth.",
        dL_dyhat=lambda y_hat, y: (y - y_hat) / (y_hat * (1 - y_hat)),
    ),
    NODES.mistake("label-flipped", "The labels are exchanged in the loss.", losses=lambda y_hat, y: bce(y_hat, 1 - y)),
    NODES.mistake("sign/loss", "The sign of the loss is flipped.", losses=lambda y_hat, y: -bce(y_hat, y)),
    NODES.mistake(
        "slope-applied-twice/multiplied",
        "The slope is multiplied in twice: ŷ − y holds it already.",
        dL_du=lambda dL_dyhat, y_hat: dL_dyhat * slope(y_hat) ** 2,
    ),
    NODES.mistake(
        "denominator-missing",
        "∂L/∂ŷ is divided by ŷ (1 − ŷ); it is the gradient by u that is ŷ − y alone.",
        dL_dyhat=lambda y_hat, y: y_hat - y,
    ),
    NODES.mistake(
        "denominator-missing/half",
        "∂L/∂ŷ is divided by ŷ (1 − ŷ), not by ŷ alone.",
        dL_dyhat=lambda y_hat, y: (y_hat - y) / y_hat,
    ),
    NODES.mistake(
        "term-missing/zeros",
        "The examples with y = 0 do not count: (1 − y) / (1 − ŷ) is missing from ∂L/∂ŷ.",
        dL_dyhat=lambda y_hat, y: -y / y_hat,
    ),
    NODES.mistake(
        "sign/second-term",
        "The second term of ∂L/∂ŷ is + (1 − y) / (1 − ŷ): the minus of 1 − ŷ turns its sign.",
        dL_dyhat=lambda y_hat, y: -y / y_hat - (1 - y) / (1 - y_hat),
    ),
    NODES.mistake("wrong-node", "∂L/∂w is made from ∂L/∂ŷ; it needs ∂L/∂u.", dL_dw=lambda X, dL_dyhat: X.T @ dL_dyhat),
    NODES.mistake("slope-missing", "The slope of the sigmoid, ŷ (1 − ŷ), is missing.", dL_du=lambda dL_dyhat: dL_dyhat),
    NODES.mistake(
        "slope-of-input",
        "The slope of the sigmoid is ŷ (1 − ŷ), of its output ŷ; this is u (1 − u).",
        dL_du=lambda dL_dyhat, u: dL_dyhat * u * (1 - u),
    ),
    NODES.mistake(
        "slope-applied-twice",
        "The sigmoid is applied to ŷ once more before its slope is taken: the slope is ŷ (1 − ŷ).",
        dL_du=lambda dL_dyhat, y_hat: dL_dyhat * slope(sigmoid(y_hat)),
    ),
    NODES.mistake(
        "slope-of-tanh", "1 − ŷ² is the slope of tanh.", dL_du=lambda dL_dyhat, y_hat: dL_dyhat * (1 - y_hat**2)
    ),
    NODES.mistake("upstream-ignored", "This is the slope alone: multiply by ∂L/∂ŷ.", dL_du=lambda y_hat: slope(y_hat)),
    NODES.mistake(
        "batch-not-summed/last",
        "Only the last example counts in ∂L/∂w: add the gradients of all of them.",
        dL_dw=lambda X, dL_du: X[-1] * dL_du[-1],
    ),
    NODES.mistake(
        "batch-not-summed/first",
        "Only the first example counts in ∂L/∂w: add the gradients of all of them.",
        dL_dw=lambda X, dL_du: X[0] * dL_du[0],
    ),
    NODES.mistake(
        "batch-not-summed", "∂L/∂w has a row for each example: add them up.", dL_dw=lambda X, dL_du: X * dL_du[:, None]
    ),
    NODES.mistake(
        "summed-too-early",
        "Inputs and gradients are summed over the examples one without the other: multiply first, then add.",
        dL_dw=lambda X, dL_du: X.sum(axis=0) * dL_du.sum(),
    ),
    NODES.mistake("gradient-zero", "∂L/∂w is all zeros: nothing is added to it.", dL_dw=lambda X: 0 * X[0]),
    NODES.mistake(
        "sigmoid-twice", "The sigmoid is applied twice on the way forward.", y_hat=lambda u: sigmoid(sigmoid(u))
    ),
    NODES.mistake(
        "sign/score", "This is the probability that y is 0: σ(−u) in place of σ(u).", y_hat=lambda u: sigmoid(-u)
    ),
    NODES.mistake("tanh-for-sigmoid", "This is tanh, which is not a probability.", y_hat=lambda u: np.tanh(u)),
    NODES.mistake(
        "term-missing/loss-zeros",
        "The examples with y = 0 do not count in the loss.",
        losses=lambda y_hat, y: -y * np.log(y_hat),
    ),
    NODES.mistake(
        "squared-error",
        "The loss is a squared error; here it is the cross entropy.",
        losses=lambda y_hat, y: (y_hat - y) ** 2,
    ),
)

# -- two layers ---------------------------------------------------------------------------------------


NETWORK = Stepwise(
    {
        "U": lambda X, W1: X @ W1,
        "H": lambda U: sigmoid(U),
        "y_hat": lambda H, w2: sigmoid(H @ w2),
        "loss": lambda y_hat, y: np.sum(bce(y_hat, y)),
        "error": lambda y_hat, y: y_hat - y,
        "dw2": lambda H, error: H.T @ error,
        "dH": lambda error, w2: np.outer(error, w2),
        "slopes": lambda H: slope(H),
        "dU": lambda dH, slopes: dH * slopes,
        "dW1": lambda X, dU: X.T @ dU,
    },
    *("loss", "dW1", "dw2"),
)

MLP = (
    NETWORK.mistake(
        "scale/mean",
        AVERAGED,
        loss=lambda y_hat, y: np.mean(bce(y_hat, y)),
        error=lambda y_hat, y: (y_hat - y) / len(y),
    ),
    NETWORK.mistake("sign", "The sign is flipped: it is prediction minus truth.", error=lambda y_hat, y: y - y_hat),
    NETWORK.mistake("sign/dW1", "The sign of dW1 is flipped.", dU=lambda dH, slopes: -dH * slopes),
    NETWORK.mistake(
        "slope-applied-twice/output",
        "The slope of the last sigmoid is multiplied in once more: ŷ − y holds it already.",
        error=lambda y_hat, y: (y_hat - y) * y_hat * (1 - y_hat),
    ),
    NETWORK.mistake(
        "slope-missing/output",
        "The slope of the last sigmoid is missing: (ŷ − y) / (ŷ (1 − ŷ)) is the gradient by ŷ, before it.",
        error=lambda y_hat, y: (y_hat - y) / (y_hat * (1 - y_hat)),
    ),
    NETWORK.mistake("target-ignored", "The labels do not come in: it is ŷ − y.", error=lambda y_hat: y_hat),
    NETWORK.mistake(
        "slope-missing",
        "The slope of the hidden sigmoids, H (1 − H), is missing from dW1.",
        slopes=lambda H: np.ones_like(H),
    ),
    NETWORK.mistake(
        "slope-of-input",
        "The slope of the hidden sigmoids is H (1 − H), of their output; this takes it of their input.",
        slopes=lambda U: U * (1 - U),
    ),
    NETWORK.mistake(
        "slope-applied-twice",
        "The sigmoid is applied to H once more before its slope is taken: the slope is H (1 − H).",
        slopes=lambda H: slope(sigmoid(H)),
    ),
    NETWORK.mistake("slope-of-tanh", "1 − H² is the slope of tanh.", slopes=lambda H: 1 - H**2),
    NETWORK.mistake("slope-sign", "The slope is H (1 − H), with a minus.", slopes=lambda H: H * (1 + H)),
    NETWORK.mistake(
        "upstream-ignored",
        "What comes back from the output does not reach dW1: multiply the slope by ∂L/∂H.",
        dU=lambda slopes: slopes,
    ),
    NETWORK.mistake(
        "weights-ignored",
        "w2 does not come in on the way back: ∂L/∂H is (ŷ − y) times w2.",
        dH=lambda error, w2: np.outer(error, np.ones_like(w2)),
    ),
    NETWORK.mistake(
        "error-ignored",
        "ŷ − y does not come in on the way back to the hidden layer: ∂L/∂H is (ŷ − y) times w2.",
        dH=lambda error, w2: np.outer(np.ones_like(error), w2),
    ),
    NETWORK.mistake(
        "wrong-input",
        "dw2 is made from X W1; it needs what goes into the last layer, H.",
        dw2=lambda U, error: U.T @ error,
    ),
    NETWORK.mistake(
        "batch-not-summed/last",
        "Only the last example counts: add the gradients of all of them.",
        dW1=lambda X, dU: np.outer(X[-1], dU[-1]),
        dw2=lambda H, error: H[-1] * error[-1],
    ),
    NETWORK.mistake("gradient-zero/dW1", "dW1 is all zeros: nothing is added to it.", dW1=lambda X, dU: 0 * (X.T @ dU)),
    NETWORK.mistake("transposed", "dW1 is transposed: it has the shape of W1, (D, M).", dW1=lambda X, dU: dU.T @ X),
    NETWORK.mistake(
        "sigmoid-missing",
        "The hidden layer has no sigmoid: H = σ(X W1).",
        H=lambda U: U,
        slopes=lambda H: np.ones_like(H),
    ),
    NETWORK.mistake(
        "tanh-for-sigmoid",
        "The hidden layer is tanh; here it is the sigmoid.",
        H=lambda U: np.tanh(U),
        slopes=lambda H: 1 - H**2,
    ),
    NETWORK.mistake(
        "relu-for-sigmoid",
        "The hidden layer is a ReLU; here it is the sigmoid.",
        H=lambda U: np.maximum(0, U),
        slopes=lambda U: 1.0 * (U > 0),
    ),
)

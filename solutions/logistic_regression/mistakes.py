"""Logistic regression by hand, its loss, a network of one hidden layer, and ways downhill: what goes wrong with each.

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
    """Mistakes in the one result `name`: code, message and formula of the arguments."""
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
    """−Σ p log q over the outcomes with p > 0: the cross entropy, and of p and p the entropy."""
    happens = p > 0
    return -np.sum(p[happens] * np.log(q[happens]))


def kl(p, q):
    """How much the cross entropy is above the entropy."""
    return nats(p, q) - nats(p, p)


def information(name, right, *rows):
    """`rows` as a :func:`table`, and what goes wrong with all three quantities."""

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

# -- downhill ------------------------------------------------------------------------------------------


def descend(
    f,
    w0,
    lr,
    tol,
    max_iters,
    *,
    step=lambda w, g, lr: w - lr * g,
    measure=lambda g, lr, values: np.linalg.norm(g),
    further=0,
):
    """Gradient descent as the notebook has it: the last w, and the value before each step.

    With `further`, so many more steps than the stopping rules allow.
    """
    w, values = w0, []
    for _ in range(max_iters + further):
        value, gradient = f(w)
        values.append(value)
        if measure(gradient, lr, values) < tol:
            break
        w = step(w, gradient, lr)
    return w, values


DESCEND = Stepwise(descend, "w", "history")


def of_descent(code, message, change):
    """``change(w, history, *args)`` of the right results."""
    return DESCEND.instead(code, message, lambda *args: change(*descend(*args), *args))


def last_change(g, lr, values):
    """By how much the value fell in the last step."""
    return abs(values[-2] - values[-1]) if len(values) > 1 else np.inf


OTHER_NORM = "The stopping rule needs the Euclidean norm of the gradient: the root of the sum of squares."

DESCENT = (
    DESCEND.mistake("sign", "The step goes uphill: subtract lr times the gradient.", step=lambda w, g, lr: w + lr * g),
    DESCEND.mistake("lr-ignored", "The step is the gradient itself: lr is not used.", step=lambda w, g, lr: w - g),
    DESCEND.mistake(
        "gradient-normalised",
        "The gradient is divided by its norm; the step is lr times the gradient as it is.",
        step=lambda w, g, lr: w - lr * g / np.linalg.norm(g),
    ),
    DESCEND.instead(
        "gradient-taken-once",
        "The gradient is computed once; take it anew at each w.",
        lambda f, w0, *rest: descend(lambda w: (f(w)[0], f(w0)[1]), w0, *rest),
    ),
    DESCEND.mistake("no-update", "w stays where it was.", step=lambda w, g, lr: w),
    DESCEND.mistake("step-alone", "This is the step alone: subtract it from w.", step=lambda w, g, lr: -lr * g),
    DESCEND.mistake(
        "tol-squared", "The squared norm is compared with tol; take its root.", measure=lambda g, lr, values: g @ g
    ),
    DESCEND.mistake("other-norm/max", OTHER_NORM, measure=lambda g, lr, values: np.max(np.abs(g))),
    DESCEND.mistake("other-norm/sum", OTHER_NORM, measure=lambda g, lr, values: np.sum(np.abs(g))),
    DESCEND.mistake("other-norm/min", OTHER_NORM, measure=lambda g, lr, values: np.min(np.abs(g))),
    DESCEND.mistake(
        "sum-for-norm",
        "The sum of the entries of the gradient is compared with tol: they cancel; take the norm.",
        measure=lambda g, lr, values: np.sum(g),
    ),
    DESCEND.mistake(
        "step-for-gradient",
        "The length of the step is compared with tol; compare the norm of the gradient.",
        measure=lambda g, lr, values: np.linalg.norm(lr * g),
    ),
    DESCEND.mistake(
        "value-for-gradient",
        "The value of f is compared with tol; compare the norm of the gradient.",
        measure=lambda g, lr, values: values[-1],
    ),
    DESCEND.mistake(
        "change-for-gradient",
        "The change of the value is compared with tol; compare the norm of the gradient.",
        measure=last_change,
    ),
    DESCEND.mistake("tol-ignored", "tol is not used: it goes on to max_iters.", measure=lambda g, lr, values: np.inf),
    DESCEND.instead(
        "tol-reversed",
        "It stops where the gradient is still large.",
        lambda f, w0, lr, tol, max_iters: descend(
            f, w0, lr, -tol, max_iters, measure=lambda g, lr, values: -np.linalg.norm(g)
        ),
    ),
    DESCEND.mistake("off-by-one/more", "There is a step too many: max_iters is the limit.", further=1),
    of_descent(
        "last-update-missing",
        "The returned w is the one from before the last step.",
        lambda w, values, *args: (descend(*args, further=-1)[0], values),
    ),
    DESCEND.mistake("off-by-one/fewer", "There is a step too few.", further=-1),
    of_descent(
        "history-reversed",
        "The history is in the wrong order: the first value comes first.",
        lambda w, values, *args: (w, values[::-1]),
    ),
    of_descent(
        "history-of-norms",
        "The history holds the norms of the gradients; append the values of f.",
        lambda w, values, f, w0, lr, tol, max_iters: (
            w,
            [float(np.linalg.norm(f(descend(f, w0, lr, tol, k)[0])[1])) for k in range(len(values))],
        ),
    ),
    of_descent(
        "history-is-last", "Only the last value comes back: return them all.", lambda w, values, *args: (w, values[-1])
    ),
    of_descent("swapped", "Return (w, history), in this order.", lambda w, values, *args: (values, w)),
)


def search(
    f,
    w,
    direction,
    alpha0=1.0,
    rho=0.5,
    c=1e-4,
    *,
    along=lambda g, d, after: g @ d,
    promised=lambda alpha, alpha0, slope: alpha * slope,
    tries=200,
):
    """The backtracking line search, with what it asks for open to be something else; `tries` limits it."""
    value, gradient = f(w)
    alpha = alpha0
    for _ in range(tries):
        new, after = f(w + alpha * direction)
        if new <= value + c * promised(alpha, alpha0, along(gradient, direction, after)):
            break
        alpha *= rho
    return alpha


LINE_SEARCH = Stepwise(search, "alpha")


def other_search(code, message, formula):
    """``formula(f, w, direction, alpha0, rho, c)`` in place of the step length."""

    def with_defaults(f, w, d, alpha0=1.0, rho=0.5, c=1e-4):
        return formula(f, w, d, alpha0, rho, c)

    return LINE_SEARCH.instead(code, message, with_defaults)


SEARCH = (
    other_search(
        "slope-missing",
        "It is enough for this search that f falls; the condition asks for f(w) + c α slope, with the c that is given.",
        lambda f, w, d, alpha0, rho, c: search(f, w, d, alpha0, rho, 0.0),
    ),
    other_search(
        "slope-sign",
        "The slope has the wrong sign: it is negative along a direction that goes down, and is added.",
        lambda f, w, d, alpha0, rho, c: search(f, w, d, alpha0, rho, -c),
    ),
    LINE_SEARCH.mistake(
        "norm-for-slope",
        "The slope along the direction is gradient · direction; −‖gradient‖² is right only for minus the gradient.",
        along=lambda g, d, after: -(g @ g),
    ),
    LINE_SEARCH.mistake(
        "norm-for-slope/direction",
        "The slope along the direction is gradient · direction, not the direction's own length.",
        along=lambda g, d, after: -(d @ d),
    ),
    LINE_SEARCH.mistake(
        "norm-for-slope/root",
        "The slope along the direction is gradient · direction, not the norm of the gradient.",
        along=lambda g, d, after: -np.linalg.norm(g),
    ),
    LINE_SEARCH.mistake(
        "slope-at-the-new-point",
        "The gradient is taken at the new point; the slope in the condition is the one at w.",
        along=lambda g, d, after: after @ d,
    ),
    LINE_SEARCH.mistake(
        "alpha-missing",
        "α is missing from the condition: f(w) + c α slope.",
        promised=lambda alpha, alpha0, slope: slope,
    ),
    LINE_SEARCH.mistake(
        "alpha-stale",
        "The condition keeps the first α: it changes with every try.",
        promised=lambda alpha, alpha0, slope: alpha0 * slope,
    ),
    other_search(
        "rho-ignored",
        "α is always halved here: multiply it by rho.",
        lambda f, w, d, alpha0, rho, c: search(f, w, d, alpha0, 0.5, c),
    ),
    other_search(
        "rho-ignored/complement",
        "α is multiplied by 1 − rho; multiply it by rho.",
        lambda f, w, d, alpha0, rho, c: search(f, w, d, alpha0, 1 - rho, c),
    ),
    other_search(
        "alpha0-ignored",
        "The first try is always 1 here: begin with alpha0.",
        lambda f, w, d, alpha0, rho, c: search(f, w, d, 1.0, rho, c),
    ),
    other_search("no-search", "This is alpha0 itself: it is never shortened.", lambda f, w, d, alpha0, rho, c: alpha0),
    LINE_SEARCH.mistake("if-for-while", "α is shortened once at most: repeat until the condition holds.", tries=1),
    other_search(
        "shortened-once-more",
        "α is shortened once more after it was good enough.",
        lambda f, w, d, alpha0, rho, c: rho * search(f, w, d, alpha0, rho, c),
    ),
    other_search(
        "direction-ignored",
        "The search goes along minus the gradient; go along `direction`.",
        lambda f, w, d, *rest: search(f, w, -f(w)[1], *rest),
    ),
    other_search(
        "sign",
        "It goes against the direction: w + α direction.",
        lambda f, w, d, alpha0, rho, c: search(f, w, -d, alpha0, rho, -c),
    ),
    other_search(
        "point-for-length",
        "This is the new w; return the step length α.",
        lambda f, w, d, *rest: w + search(f, w, d, *rest) * d,
    ),
    other_search(
        "point-for-length/step",
        "This is the step α · direction; return its length α.",
        lambda f, w, d, *rest: search(f, w, d, *rest) * d,
    ),
    other_search(
        "value-for-length",
        "This is the value of f at the new point; return the step length α.",
        lambda f, w, d, *rest: f(w + search(f, w, d, *rest) * d)[0],
    ),
)

"""Logistic regression by hand, its loss, a network of one hidden layer, and ways downhill: what goes wrong with each.

As in the course: w (D,), X (N, D), y (N,) of zeros and ones; losses are summed over the examples.
"""

import numpy as np

from autograder.mistakes import instead
from autograder.spec import Mistake

from ..layers import sigmoid

AVERAGED = "This is the mean over the examples; here losses and their gradients are sums."
BITS = "This is in bits, the logarithm to base 2; use np.log."
BASE_10 = "This is the logarithm to base 10; use np.log."


def slope(u, out):
    """Of the sigmoid, from its output."""
    return out * (1 - out)


def slope_of_slope(u, out):
    """The sigmoid taken of its output before the slope is."""
    return slope(u, sigmoid(out))


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
            ("slope-for-value", "This is the slope σ(x)(1 − σ(x)); return σ(x).", lambda x: slope(x, sigmoid(x))),
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


def nodes(
    w,
    X,
    y,
    *,
    activation=sigmoid,
    losses=bce,
    by_y_hat=lambda p, y: (p - y) / (p * (1 - p)),
    to_u=lambda g, u, p: g * slope(u, p),
    to_w=lambda X, du, dp: X.T @ du,
    reduce=np.sum,
):
    """All that `logistic_backward` returns, with each step open to be done otherwise."""
    u = X @ w
    y_hat = activation(u)
    dL_dyhat = by_y_hat(y_hat, y)
    dL_du = to_u(dL_dyhat, u, y_hat)
    return {
        "loss": reduce(losses(y_hat, y)),
        "y_hat": y_hat,
        "dL_dyhat": dL_dyhat,
        "dL_du": dL_du,
        "dL_dw": to_w(X, dL_du, dL_dyhat),
    }


def wrong_node(code, message, **steps):
    """`steps` of :func:`nodes` done otherwise, and what follows from them."""
    return Mistake(code, message, lambda right, args: nodes(**args, **steps))


LOGISTIC = (
    wrong_node("scale/mean", AVERAGED, reduce=np.mean, to_w=lambda X, du, dp: X.T @ du / len(X)),
    wrong_node("scale/mean-early", AVERAGED, reduce=np.mean, by_y_hat=lambda p, y: (p - y) / (p * (1 - p)) / len(p)),
    wrong_node(
        "sign", "The sign is flipped: it is prediction minus truth.", by_y_hat=lambda p, y: (y - p) / (p * (1 - p))
    ),
    wrong_node("label-flipped", "The labels are exchanged in the loss.", losses=lambda p, y: bce(p, 1 - y)),
    wrong_node("sign/loss", "The sign of the loss is flipped.", losses=lambda p, y: -bce(p, y)),
    wrong_node(
        "slope-applied-twice/multiplied",
        "The slope is multiplied in twice: ŷ − y holds it already.",
        to_u=lambda g, u, p: g * slope(u, p) ** 2,
    ),
    wrong_node(
        "denominator-missing",
        "∂L/∂ŷ is divided by ŷ (1 − ŷ); it is the gradient by u that is ŷ − y alone.",
        by_y_hat=lambda p, y: p - y,
    ),
    wrong_node(
        "denominator-missing/half",
        "∂L/∂ŷ is divided by ŷ (1 − ŷ), not by ŷ alone.",
        by_y_hat=lambda p, y: (p - y) / p,
    ),
    wrong_node(
        "term-missing/zeros",
        "The examples with y = 0 do not count: (1 − y) / (1 − ŷ) is missing from ∂L/∂ŷ.",
        by_y_hat=lambda p, y: -y / p,
    ),
    wrong_node(
        "sign/second-term",
        "The second term of ∂L/∂ŷ is + (1 − y) / (1 − ŷ): the minus of 1 − ŷ turns its sign.",
        by_y_hat=lambda p, y: -y / p - (1 - y) / (1 - p),
    ),
    wrong_node("wrong-node", "∂L/∂w is made from ∂L/∂ŷ; it needs ∂L/∂u.", to_w=lambda X, du, dp: X.T @ dp),
    wrong_node("slope-missing", "The slope of the sigmoid, ŷ (1 − ŷ), is missing.", to_u=lambda g, u, p: g),
    wrong_node(
        "slope-of-input",
        "The slope of the sigmoid is ŷ (1 − ŷ), of its output ŷ; this is u (1 − u).",
        to_u=lambda g, u, p: g * u * (1 - u),
    ),
    wrong_node(
        "slope-applied-twice",
        "The sigmoid is applied to ŷ once more before its slope is taken: the slope is ŷ (1 − ŷ).",
        to_u=lambda g, u, p: g * slope_of_slope(u, p),
    ),
    wrong_node("slope-of-tanh", "1 − ŷ² is the slope of tanh.", to_u=lambda g, u, p: g * (1 - p**2)),
    wrong_node("upstream-ignored", "This is the slope alone: multiply by ∂L/∂ŷ.", to_u=lambda g, u, p: slope(u, p)),
    wrong_node(
        "batch-not-summed/last",
        "Only the last example counts in ∂L/∂w: add the gradients of all of them.",
        to_w=lambda X, du, dp: X[-1] * du[-1],
    ),
    wrong_node(
        "batch-not-summed/first",
        "Only the first example counts in ∂L/∂w: add the gradients of all of them.",
        to_w=lambda X, du, dp: X[0] * du[0],
    ),
    wrong_node(
        "batch-not-summed",
        "∂L/∂w has a row for each example: add them up.",
        to_w=lambda X, du, dp: X * du[:, None],
    ),
    wrong_node(
        "summed-too-early",
        "Inputs and gradients are summed over the examples one without the other: multiply first, then add.",
        to_w=lambda X, du, dp: X.sum(axis=0) * du.sum(),
    ),
    wrong_node("gradient-zero", "∂L/∂w is all zeros: nothing is added to it.", to_w=lambda X, du, dp: 0 * X[0]),
    wrong_node(
        "sigmoid-twice", "The sigmoid is applied twice on the way forward.", activation=lambda u: sigmoid(sigmoid(u))
    ),
    wrong_node(
        "sign/score", "This is the probability that y is 0: σ(−u) in place of σ(u).", activation=lambda u: sigmoid(-u)
    ),
    wrong_node("tanh-for-sigmoid", "This is tanh, which is not a probability.", activation=np.tanh),
    wrong_node(
        "term-missing/loss-zeros",
        "The examples with y = 0 do not count in the loss.",
        losses=lambda p, y: -y * np.log(p),
    ),
    wrong_node(
        "squared-error",
        "The loss is a squared error; here it is the cross entropy.",
        losses=lambda p, y: (p - y) ** 2,
    ),
)

# -- two layers ---------------------------------------------------------------------------------------


def network(
    W1,
    w2,
    X,
    y,
    *,
    hidden=sigmoid,
    error=lambda p, y: p - y,
    to_w2=lambda H, U, g: H.T @ g,
    to_H=np.outer,
    hidden_slope=slope,
    combine=np.multiply,
    to_W1=lambda X, dU, dH: X.T @ dU,
    reduce=np.sum,
):
    """All that `mlp_backward` returns, with each step open to be done otherwise."""
    U = X @ W1
    H = hidden(U)
    y_hat = sigmoid(H @ w2)
    g = error(y_hat, y)
    dH = to_H(g, w2)
    dU = combine(dH, hidden_slope(U, H))
    return {"loss": reduce(bce(y_hat, y)), "dW1": to_W1(X, dU, dH), "dw2": to_w2(H, U, g)}


def wrong_layer(code, message, **steps):
    """`steps` of :func:`network` done otherwise, and what follows from them."""
    return Mistake(code, message, lambda right, args: network(**args, **steps))


MLP = (
    wrong_layer("scale/mean", AVERAGED, reduce=np.mean, error=lambda p, y: (p - y) / len(p)),
    wrong_layer("sign", "The sign is flipped: it is prediction minus truth.", error=lambda p, y: y - p),
    wrong_layer("sign/dW1", "The sign of dW1 is flipped.", combine=lambda dH, slopes: -dH * slopes),
    wrong_layer(
        "slope-applied-twice/output",
        "The slope of the last sigmoid is multiplied in once more: ŷ − y holds it already.",
        error=lambda p, y: (p - y) * p * (1 - p),
    ),
    wrong_layer(
        "slope-missing/output",
        "The slope of the last sigmoid is missing: (ŷ − y) / (ŷ (1 − ŷ)) is the gradient by ŷ, before it.",
        error=lambda p, y: (p - y) / (p * (1 - p)),
    ),
    wrong_layer("target-ignored", "The labels do not come in: it is ŷ − y.", error=lambda p, y: p),
    wrong_layer(
        "slope-missing",
        "The slope of the hidden sigmoids, H (1 − H), is missing from dW1.",
        hidden_slope=lambda U, H: np.ones_like(H),
    ),
    wrong_layer(
        "slope-of-input",
        "The slope of the hidden sigmoids is H (1 − H), of their output; this takes it of their input.",
        hidden_slope=lambda U, H: U * (1 - U),
    ),
    wrong_layer(
        "slope-applied-twice",
        "The sigmoid is applied to H once more before its slope is taken: the slope is H (1 − H).",
        hidden_slope=slope_of_slope,
    ),
    wrong_layer("slope-of-tanh", "1 − H² is the slope of tanh.", hidden_slope=lambda U, H: 1 - H**2),
    wrong_layer(
        "slope-sign",
        "The slope is H (1 − H), with a minus.",
        hidden_slope=lambda U, H: H * (1 + H),
    ),
    wrong_layer(
        "upstream-ignored",
        "What comes back from the output does not reach dW1: multiply the slope by ∂L/∂H.",
        combine=lambda dH, slopes: slopes,
    ),
    wrong_layer(
        "weights-ignored",
        "w2 does not come in on the way back: ∂L/∂H is (ŷ − y) times w2.",
        to_H=lambda g, w2: np.outer(g, np.ones_like(w2)),
    ),
    wrong_layer(
        "error-ignored",
        "ŷ − y does not come in on the way back to the hidden layer: ∂L/∂H is (ŷ − y) times w2.",
        to_H=lambda g, w2: np.outer(np.ones_like(g), w2),
    ),
    wrong_layer(
        "wrong-input",
        "dw2 is made from X W1; it needs what goes into the last layer, H.",
        to_w2=lambda H, U, g: U.T @ g,
    ),
    wrong_layer(
        "batch-not-summed/last",
        "Only the last example counts: add the gradients of all of them.",
        to_W1=lambda X, dU, dH: np.outer(X[-1], dU[-1]),
        to_w2=lambda H, U, g: H[-1] * g[-1],
    ),
    wrong_layer(
        "gradient-zero/dW1", "dW1 is all zeros: nothing is added to it.", to_W1=lambda X, dU, dH: 0 * (X.T @ dU)
    ),
    wrong_layer("transposed", "dW1 is transposed: it has the shape of W1, (D, M).", to_W1=lambda X, dU, dH: dU.T @ X),
    wrong_layer(
        "sigmoid-missing",
        "The hidden layer has no sigmoid: H = σ(X W1).",
        hidden=lambda U: U,
        hidden_slope=lambda U, H: np.ones_like(H),
    ),
    wrong_layer(
        "tanh-for-sigmoid",
        "The hidden layer is tanh; here it is the sigmoid.",
        hidden=np.tanh,
        hidden_slope=lambda U, H: 1 - H**2,
    ),
    wrong_layer(
        "relu-for-sigmoid",
        "The hidden layer is a ReLU; here it is the sigmoid.",
        hidden=lambda U: np.maximum(0, U),
        hidden_slope=lambda U, H: 1.0 * (U > 0),
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


def wrong_descent(code, message, **changes):
    """:func:`descend` with `changes`."""
    return instead(code, message, lambda *args: descend(*args, **changes), "w", "history")


def of_descent(code, message, change):
    """``change(w, history, f, w0, …)`` of what comes out right."""
    return instead(code, message, lambda *args: change(*descend(*args), *args), "w", "history")


def last_change(g, lr, values):
    """By how much the value fell in the last step."""
    return abs(values[-2] - values[-1]) if len(values) > 1 else np.inf


OTHER_NORM = "The stopping rule needs the Euclidean norm of the gradient: the root of the sum of squares."

DESCENT = (
    wrong_descent("sign", "The step goes uphill: subtract lr times the gradient.", step=lambda w, g, lr: w + lr * g),
    wrong_descent("lr-ignored", "The step is the gradient itself: lr is not used.", step=lambda w, g, lr: w - g),
    wrong_descent(
        "gradient-normalised",
        "The gradient is divided by its norm; the step is lr times the gradient as it is.",
        step=lambda w, g, lr: w - lr * g / np.linalg.norm(g),
    ),
    instead(
        "gradient-taken-once",
        "The gradient is computed once; take it anew at each w.",
        lambda f, w0, *rest: descend(lambda w: (f(w)[0], f(w0)[1]), w0, *rest),
        "w",
        "history",
    ),
    wrong_descent("no-update", "w stays where it was.", step=lambda w, g, lr: w),
    wrong_descent("step-alone", "This is the step alone: subtract it from w.", step=lambda w, g, lr: -lr * g),
    wrong_descent(
        "tol-squared",
        "The squared norm is compared with tol; take its root.",
        measure=lambda g, lr, values: g @ g,
    ),
    wrong_descent("other-norm/max", OTHER_NORM, measure=lambda g, lr, values: np.max(np.abs(g))),
    wrong_descent("other-norm/sum", OTHER_NORM, measure=lambda g, lr, values: np.sum(np.abs(g))),
    wrong_descent("other-norm/min", OTHER_NORM, measure=lambda g, lr, values: np.min(np.abs(g))),
    wrong_descent(
        "sum-for-norm",
        "The sum of the entries of the gradient is compared with tol: they cancel; take the norm.",
        measure=lambda g, lr, values: np.sum(g),
    ),
    wrong_descent(
        "step-for-gradient",
        "The length of the step is compared with tol; compare the norm of the gradient.",
        measure=lambda g, lr, values: np.linalg.norm(lr * g),
    ),
    wrong_descent(
        "value-for-gradient",
        "The value of f is compared with tol; compare the norm of the gradient.",
        measure=lambda g, lr, values: values[-1],
    ),
    wrong_descent(
        "change-for-gradient",
        "The change of the value is compared with tol; compare the norm of the gradient.",
        measure=last_change,
    ),
    wrong_descent("tol-ignored", "tol is not used: it goes on to max_iters.", measure=lambda g, lr, values: np.inf),
    instead(
        "tol-reversed",
        "It stops where the gradient is still large.",
        lambda f, w0, lr, tol, max_iters: descend(
            f, w0, lr, -tol, max_iters, measure=lambda g, lr, values: -np.linalg.norm(g)
        ),
        "w",
        "history",
    ),
    wrong_descent("off-by-one/more", "There is a step too many: max_iters is the limit.", further=1),
    of_descent(
        "last-update-missing",
        "The returned w is the one from before the last step.",
        lambda w, values, *args: (descend(*args, further=-1)[0], values),
    ),
    wrong_descent("off-by-one/fewer", "There is a step too few.", further=-1),
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


def wrong_search(code, message, formula):
    """``formula(f, w, direction, alpha0, rho, c)`` in place of the step length."""

    def with_defaults(f, w, d, alpha0=1.0, rho=0.5, c=1e-4):
        return formula(f, w, d, alpha0, rho, c)

    return instead(code, message, with_defaults, "alpha")


SEARCH = (
    wrong_search(
        "slope-missing",
        "It is enough for this search that f falls; the condition asks for f(w) + c α slope, with the c that is given.",
        lambda f, w, d, alpha0, rho, c: search(f, w, d, alpha0, rho, 0.0),
    ),
    wrong_search(
        "slope-sign",
        "The slope has the wrong sign: it is negative along a direction that goes down, and is added.",
        lambda f, w, d, alpha0, rho, c: search(f, w, d, alpha0, rho, -c),
    ),
    wrong_search(
        "norm-for-slope",
        "The slope along the direction is gradient · direction; −‖gradient‖² is right only for minus the gradient.",
        lambda *args: search(*args, along=lambda g, d, after: -(g @ g)),
    ),
    wrong_search(
        "norm-for-slope/direction",
        "The slope along the direction is gradient · direction, not the direction's own length.",
        lambda *args: search(*args, along=lambda g, d, after: -(d @ d)),
    ),
    wrong_search(
        "norm-for-slope/root",
        "The slope along the direction is gradient · direction, not the norm of the gradient.",
        lambda *args: search(*args, along=lambda g, d, after: -np.linalg.norm(g)),
    ),
    wrong_search(
        "slope-at-the-new-point",
        "The gradient is taken at the new point; the slope in the condition is the one at w.",
        lambda *args: search(*args, along=lambda g, d, after: after @ d),
    ),
    wrong_search(
        "alpha-missing",
        "α is missing from the condition: f(w) + c α slope.",
        lambda *args: search(*args, promised=lambda alpha, alpha0, slope: slope),
    ),
    wrong_search(
        "alpha-stale",
        "The condition keeps the first α: it changes with every try.",
        lambda *args: search(*args, promised=lambda alpha, alpha0, slope: alpha0 * slope),
    ),
    wrong_search(
        "c-ignored/missing",
        "c is missing from the condition: f(w) + c α slope.",
        lambda f, w, d, alpha0, rho, c: search(f, w, d, alpha0, rho, 1.0),
    ),
    wrong_search(
        "rho-ignored",
        "α is always halved here: multiply it by rho.",
        lambda f, w, d, alpha0, rho, c: search(f, w, d, alpha0, 0.5, c),
    ),
    wrong_search(
        "rho-ignored/complement",
        "α is multiplied by 1 − rho; multiply it by rho.",
        lambda f, w, d, alpha0, rho, c: search(f, w, d, alpha0, 1 - rho, c),
    ),
    wrong_search(
        "alpha0-ignored",
        "The first try is always 1 here: begin with alpha0.",
        lambda f, w, d, alpha0, rho, c: search(f, w, d, 1.0, rho, c),
    ),
    wrong_search("no-search", "This is alpha0 itself: it is never shortened.", lambda f, w, d, alpha0, rho, c: alpha0),
    wrong_search(
        "if-for-while",
        "α is shortened once at most: repeat until the condition holds.",
        lambda *args: search(*args, tries=1),
    ),
    wrong_search(
        "shortened-once-more",
        "α is shortened once more after it was good enough.",
        lambda f, w, d, alpha0, rho, c: rho * search(f, w, d, alpha0, rho, c),
    ),
    wrong_search(
        "direction-ignored",
        "The search goes along minus the gradient; go along `direction`.",
        lambda f, w, d, *rest: search(f, w, -f(w)[1], *rest),
    ),
    wrong_search(
        "sign",
        "It goes against the direction: w + α direction.",
        lambda f, w, d, alpha0, rho, c: search(f, w, -d, alpha0, rho, -c),
    ),
    wrong_search(
        "point-for-length",
        "This is the new w; return the step length α.",
        lambda f, w, d, *rest: w + search(f, w, d, *rest) * d,
    ),
    wrong_search(
        "point-for-length/step",
        "This is the step α · direction; return its length α.",
        lambda f, w, d, *rest: search(f, w, d, *rest) * d,
    ),
    wrong_search(
        "value-for-length",
        "This is the value of f at the new point; return the step length α.",
        lambda f, w, d, *rest: f(w + search(f, w, d, *rest) * d)[0],
    ),
)

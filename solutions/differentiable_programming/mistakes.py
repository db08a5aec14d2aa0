"""Known mistakes in `differentiable_programming`: second derivatives, momentum, gradient ascent on inputs.

With no step exchanged, the functions here are those of `checks.py`.
"""

import numpy as np

from autograder.mistakes import Stepwise
from coursekit.autograd import grad, hvp, log_softmax, softmax, stop_gradient, value_and_grad

# -- second derivatives ----------------------------------------------------------------------


def unit(f, x, v):
    return hvp(f, x, v / np.linalg.norm(v))


wrong_hvp = Stepwise(hvp, runs="hvp").instead

HVP = [
    wrong_hvp("gradient-only", "This is the gradient itself: v does not come in.", lambda f, x, v: grad(f)(x)),
    wrong_hvp(
        "not-differentiated-again",
        "This is gradient times v, entry by entry: sum it to one number and differentiate that.",
        lambda f, x, v: grad(f)(x) * v,
    ),
    wrong_hvp(
        "not-differentiated-again/along",
        "This is v times the slope along v; the slope along v has to be differentiated.",
        lambda f, x, v: np.sum(grad(f)(x) * v) * v,
    ),
    wrong_hvp(
        "v-ignored",
        "The second gradient is there, but v is not: multiply the first gradient by v before the sum.",
        lambda f, x, v: hvp(f, x, np.ones_like(x)),
    ),
    wrong_hvp(
        "v-after",
        "v is multiplied in at the end, entry by entry: it belongs inside, before the second gradient.",
        lambda f, x, v: hvp(f, x, np.ones_like(x)) * v,
    ),
    wrong_hvp("swapped", "x and v are exchanged: H is taken at x.", lambda f, x, v: hvp(f, v, x)),
    wrong_hvp("gradient-for-v", "This is H times the gradient: multiply by v.", lambda f, x, v: hvp(f, x, grad(f)(x))),
    wrong_hvp(
        "product-of-gradients",
        "The squares of the gradient come in: the bracket is gradient · v, with one gradient.",
        lambda f, x, v: grad(lambda x: np.sum(grad(f)(x) ** 2 * v))(x),
    ),
    wrong_hvp("v-normalised", "v is scaled to length 1: use it as it is.", lambda f, x, v: unit(f, x, v)),
    wrong_hvp(
        "step-too-large",
        "This is the difference of two gradients a whole v apart; Hv is its limit for small steps.",
        lambda f, x, v: grad(f)(x + v) - grad(f)(x),
    ),
    wrong_hvp("applied-twice", "H is applied twice.", lambda f, x, v: hvp(f, x, hvp(f, x, v))),
]


def penalty(f, w, of=lambda g: np.sum(g**2)):
    """Compute a number from the gradient of f at w, and the gradient of that number."""
    return value_and_grad(lambda w: of(grad(f)(w)))(w)


PENALTY = Stepwise(penalty, runs="gradient_penalty")

GRADIENT_PENALTY = [
    PENALTY.mistake("norm-not-squared", "This is the norm; R is its square.", of=lambda g: np.sqrt(np.sum(g**2))),
    PENALTY.instead(
        "scale/half",
        "The 2 is missing: both factors of g · g depend on w.",
        lambda f, w: (penalty(f, w)[0], penalty(f, w)[1] / 2),
    ),
    PENALTY.mistake("half-added", "There is no ½: R = ‖g‖².", of=lambda g: np.sum(g**2) / 2),
    PENALTY.mistake("mean-for-sum", "This is the mean of the squares; R is their sum.", of=lambda g: np.mean(g**2)),
    PENALTY.mistake("square-missing", "The square is missing: this is the sum of the gradient.", of=np.sum),
    PENALTY.mistake(
        "absolute-for-square", "These are absolute values; R sums the squares.", of=lambda g: np.sum(np.abs(g))
    ),
    PENALTY.mistake(
        "distance-to-one",
        "R is ‖g‖² itself, not (‖g‖ − 1)², which the paper uses.",
        of=lambda g: (np.sqrt(np.sum(g**2)) - 1) ** 2,
    ),
    PENALTY.instead(
        "hessian-missing",
        "This is 2g: the derivative of g · g by w goes through g, which brings in H.",
        lambda f, w: (penalty(f, w)[0], 2 * grad(f)(w)),
    ),
    PENALTY.instead(
        "gradient-only",
        "This is the gradient of f; asked for is that of R.",
        lambda f, w: (penalty(f, w)[0], grad(f)(w)),
    ),
    PENALTY.instead("penalises-w", "This is ‖w‖²: R is made of the gradient.", lambda f, w: (np.sum(w**2), 2 * w)),
    PENALTY.instead("value-for-R", "This is f(w), not R.", lambda f, w: (f(w), penalty(f, w)[1])),
    PENALTY.instead(
        "value-squared",
        "This is the square of f; R is that of its gradient.",
        lambda f, w: value_and_grad(lambda w: f(w) ** 2)(w),
    ),
]


# -- momentum --------------------------------------------------------------------------------


def momentum(theta, m, grad, lr, mu):
    m = mu * m - lr * grad
    return theta + m, m


wrong_momentum = Stepwise(momentum, "theta", "m").instead

MOMENTUM_STEP = [
    wrong_momentum(
        "sign",
        "The gradient is added: the step goes downhill, so m = μm − η · gradient.",
        lambda t, m, g, lr, mu: momentum(t, m, -g, lr, mu),
    ),
    wrong_momentum(
        "sign/momentum",
        "The velocity is turned round: it is carried on, so m = +μm − η · gradient.",
        lambda t, m, g, lr, mu: momentum(t, m, g, lr, -mu),
    ),
    wrong_momentum(
        "sign/step",
        "The step is subtracted; m points along the step already, so θ + m.",
        lambda t, m, g, lr, mu: (2 * t - momentum(t, m, g, lr, mu)[0], momentum(t, m, g, lr, mu)[1]),
    ),
    wrong_momentum(
        "old-velocity",
        "θ moves with the old velocity: compute the new m first.",
        lambda t, m, g, lr, mu: (t + m, mu * m - lr * g),
    ),
    wrong_momentum(
        "no-momentum",
        "The velocity is not kept: this is plain gradient descent.",
        lambda t, m, g, lr, mu: momentum(t, m, g, lr, 0),
    ),
    wrong_momentum(
        "mu-ignored",
        "All of the old velocity is kept: multiply it by μ.",
        lambda t, m, g, lr, mu: momentum(t, m, g, lr, 1),
    ),
    wrong_momentum(
        "mu-fixed",
        "μ is always 0.9 here: use the one that is given.",
        lambda t, m, g, lr, mu: momentum(t, m, g, lr, 0.9),
    ),
    wrong_momentum("lr-ignored", "The learning rate is not used.", lambda t, m, g, lr, mu: momentum(t, m, g, 1, mu)),
    wrong_momentum(
        "averaged",
        "This is a running average, μm + (1 − μ) · gradient; the heavy ball does not weight the gradient by 1 − μ.",
        lambda t, m, g, lr, mu: momentum(t, m, g, (1 - mu) * lr, mu),
    ),
    wrong_momentum(
        "lr-at-the-end",
        "Here m holds gradients, and the rate comes in with θ; asked for is m = μm − η · gradient, θ + m.",
        lambda t, m, g, lr, mu: (t - lr * (mu * m + g), mu * m + g),
    ),
    wrong_momentum(
        "lr-on-everything",
        "The rate multiplies the old velocity too.",
        lambda t, m, g, lr, mu: momentum(t, lr * m, g, lr, mu),
    ),
    wrong_momentum(
        "nesterov",
        "This is Nesterov's momentum; the heavy ball moves by m alone.",
        lambda t, m, g, lr, mu: (t + mu * momentum(t, m, g, lr, mu)[1] - lr * g, momentum(t, m, g, lr, mu)[1]),
    ),
    wrong_momentum(
        "theta-decays",
        "μ multiplies θ; it belongs to m.",
        lambda t, m, g, lr, mu: (mu * t - lr * g + m * 0, mu * m - lr * g),
    ),
    wrong_momentum(
        "swapped", "Return (theta, m), in this order.", lambda t, m, g, lr, mu: momentum(t, m, g, lr, mu)[::-1]
    ),
    wrong_momentum(
        "m-not-updated",
        "The m that is returned is the old one.",
        lambda t, m, g, lr, mu: (momentum(t, m, g, lr, mu)[0], m),
    ),
    wrong_momentum(
        "theta-not-updated",
        "The theta that is returned is the old one.",
        lambda t, m, g, lr, mu: (t, momentum(t, m, g, lr, mu)[1]),
    ),
]


# -- ascent on an input -------------------------------------------------------------------------


def ascend(objective, x, lr, num_iters, pull=lambda x: x):
    for _ in range(num_iters):
        x = pull(x + lr * grad(objective)(x))
    return x


def into_ball(eps):
    return lambda r: r * min(1.0, eps / max(float(np.linalg.norm(r)), 1e-300))


def onto_sphere(eps):
    return lambda r: r * eps / max(float(np.linalg.norm(r)), 1e-300)


def log_probability(model, x, target):
    return lambda r: log_softmax(model(x + r))[target]


def adversarial(model, x, target, eps, lr, num_iters, of=log_probability, pull=into_ball):
    return ascend(of(model, x, target), np.zeros_like(x), lr, num_iters, pull(eps))


def climbs_p(model, x, target):
    return lambda r: softmax(model(x + r))[target]


def gradient_at_x(model, x, target):
    return lambda r: np.sum(r * grad(log_probability(model, x, target))(0 * x))


SIGNAL = Stepwise(adversarial, runs="adversarial_signal")

ADVERSARIAL_SIGNAL = [
    SIGNAL.mistake(
        "bound-ignored",
        "The signal leaves the ball: after each step, scale r to length eps if it is longer.",
        pull=lambda eps: lambda r: r,
    ),
    SIGNAL.mistake(
        "bound-per-pixel",
        "The bound is put on single pixels; it is on the norm of the whole signal.",
        pull=lambda eps: lambda r: np.clip(r, -eps, eps),
    ),
    SIGNAL.mistake(
        "bound-squared",
        "The norm is compared without its square root: ‖r‖² ≤ eps is another ball.",
        pull=lambda eps: into_ball(np.sqrt(eps)),
    ),
    SIGNAL.mistake("climbs-p", "This climbs p itself, which is flat where p is small: climb log p.", of=climbs_p),
    SIGNAL.mistake(
        "sign",
        "This makes the target less likely: climb log p, add the gradient.",
        of=lambda model, x, target: lambda r: -log_softmax(model(x + r))[target],
    ),
    SIGNAL.mistake(
        "untargeted",
        "This drives the network away from its own answer; asked for is the way to the target.",
        of=lambda model, x, target: lambda r: -log_softmax(model(x + r))[int(np.argmax(model(x)))],
    ),
    SIGNAL.mistake(
        "gradient-at-x", "The gradient is always taken at x; take it at x + r, where you are now.", of=gradient_at_x
    ),
    SIGNAL.instead(
        "input-included", "This is x + r; return r alone.", lambda model, x, *rest: x + adversarial(model, x, *rest)
    ),
    SIGNAL.instead(
        "one-step",
        "Only one step is taken: repeat num_iters times.",
        lambda model, x, target, eps, lr, num_iters: adversarial(model, x, target, eps, lr, 1),
    ),
    SIGNAL.instead(
        "input-bounded",
        "The ball is drawn around zero for x + r; it is r that has to stay short.",
        lambda model, x, target, eps, lr, num_iters: (
            ascend(lambda z: log_softmax(model(z))[target], x, lr, num_iters, into_ball(eps)) - x
        ),
    ),
]


def visualise(
    model,
    layer,
    unit,
    x0,
    lr,
    num_iters,
    reg,
    *,
    penalty=lambda x: np.sum(x**2),
    weight=lambda reg: reg,
    of=lambda h, unit: h[unit],
):
    """Climb the activation of a unit, minus reg · ‖x‖², from x0."""

    def objective(x):
        return of(model[: layer + 1](x), unit) - weight(reg) * penalty(x)

    return ascend(objective, x0, lr, num_iters)


IMAGE = Stepwise(visualise, runs="visualise_unit")

VISUALISE_UNIT = [
    IMAGE.instead(
        "sign",
        "This descends: the unit becomes less active. Add the gradient.",
        lambda model, layer, unit, x0, lr, *rest: visualise(model, layer, unit, x0, -lr, *rest),
    ),
    IMAGE.mistake("sign/activation", "The activation is made small; only ‖x‖² shall be.", of=lambda h, unit: -h[unit]),
    IMAGE.mistake(
        "sign/regulariser",
        "The regulariser is added, so x is driven outwards: subtract reg · ‖x‖².",
        weight=lambda reg: -reg,
    ),
    IMAGE.mistake("regularizer-missing", "The regulariser is missing.", weight=lambda reg: 0.0),
    IMAGE.mistake(
        "regularizer-scale", "The 2 is missing: the gradient of reg · ‖x‖² is 2 · reg · x.", weight=lambda reg: reg / 2
    ),
    IMAGE.mistake(
        "norm-not-squared", "The regulariser is reg · ‖x‖², with the square.", penalty=lambda x: np.sqrt(np.sum(x**2))
    ),
    IMAGE.mistake(
        "all-units", "All units of the layer are summed; take the one asked for.", of=lambda h, unit: np.sum(h)
    ),
    IMAGE.mistake("wrong-unit", "This is another unit: units are counted from 0.", of=lambda h, unit: h[unit - 1]),
    IMAGE.instead(
        "wrong-layer",
        "This is the layer before: what comes out of layer l is model[:l + 1](x).",
        lambda model, layer, *rest: visualise(model, max(layer - 1, 0), *rest),
    ),
    IMAGE.instead(
        "whole-network",
        "The layer is ignored: this unit belongs to the end of the network.",
        lambda model, layer, *rest: visualise(model, len(model) - 1, *rest),
    ),
    IMAGE.instead(
        "one-step",
        "Only one step is taken: repeat num_iters times.",
        lambda model, layer, unit, x0, lr, num_iters, reg: visualise(model, layer, unit, x0, lr, 1, reg),
    ),
    IMAGE.instead("no-update", "This is x0: nothing has happened to it.", lambda model, layer, unit, x0, *rest: x0),
]


def cosine(e, t):
    return np.sum(e * t) / np.sqrt(np.sum(e**2) * np.sum(t**2))


def nearness(e, t):
    """Minus the distance of the two after scaling to length 1: as good as the cosine."""
    return -np.sqrt(np.sum((e / np.sqrt(np.sum(e**2)) - t / np.sqrt(np.sum(t**2))) ** 2))


def with_length_of_target(e, t):
    return np.sum(e * t) / np.sqrt(np.sum(e**2))


def without_length_of_embedding(e, t):
    return np.sum(e * t) / np.sqrt(np.sum(t**2))


def with_constant_length(e, t):
    return np.sum(e * t) / np.sqrt(np.sum(stop_gradient(e) ** 2) * np.sum(t**2))


def match(encoder, target, x0, lr, num_iters, similarity=cosine):
    return ascend(lambda x: similarity(encoder(x), target), x0, lr, num_iters)


MATCH = Stepwise(match, runs="match_embedding")

MATCH_EMBEDDING = [
    MATCH.mistake("sign", "The cosine goes down: climb it, add its gradient.", similarity=lambda e, t: -cosine(e, t)),
    MATCH.mistake(
        "not-normalised",
        "This is the dot product: divide by both lengths, or long embeddings win.",
        similarity=lambda e, t: np.sum(e * t),
    ),
    MATCH.mistake(
        "not-normalised/embedding",
        "The length of the embedding is not divided by, so long embeddings win.",
        similarity=without_length_of_embedding,
    ),
    MATCH.mistake(
        "not-normalised/target",
        "The length of the target is not divided by, so a long target makes the steps too large.",
        similarity=with_length_of_target,
    ),
    MATCH.mistake(
        "length-squared",
        "The embedding's length is divided by twice.",
        similarity=lambda e, t: np.sum(e * t) / (np.sum(e**2) * np.sqrt(np.sum(t**2))),
    ),
    MATCH.mistake(
        "length-is-constant",
        "The length of the embedding depends on x too: it has to be part of what is differentiated.",
        similarity=with_constant_length,
    ),
    MATCH.mistake(
        "distance-for-direction",
        "This brings the embedding close to the target; asked for is the same direction.",
        similarity=lambda e, t: -np.sum((e - t) ** 2),
    ),
    MATCH.mistake(
        "target-ignored",
        "The target does not come in: this makes the embedding long.",
        similarity=lambda e, t: np.sqrt(np.sum(e**2)),
    ),
    MATCH.instead(
        "one-step",
        "Only one step is taken: repeat num_iters times.",
        lambda encoder, target, x0, lr, num_iters: match(encoder, target, x0, lr, 1),
    ),
    MATCH.instead("no-update", "This is x0: nothing has happened to it.", lambda *args: args[2]),
    MATCH.instead(
        "embedding-for-input",
        "This is the embedding; asked for is the input that has it.",
        lambda *args: args[0](match(*args)),
    ),
]

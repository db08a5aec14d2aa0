"""What is graded in `differentiable_programming`: references, cases and known mistakes.

Functions and networks that students differentiate are given as source text, so that they live beside the student's
code. What an optimisation finds is judged by how high its objective is there, which the grader computes for itself.
"""

import functools
import itertools

import numpy as np

from autograder.spec import FROM_REFERENCE, Assignment, Case, Expected, call, case, shipped
from coursekit.autograd import grad, hvp, value_and_grad
from coursekit.checks.shipped import ShippedCode

from . import mistakes as known

WITHHELD = ["coursekit.autograd.hvp", "coursekit.optim.Momentum", "coursekit.optim.Nesterov"]
assignment = Assignment("differentiable_programming", engine_allowed=True, withheld=WITHHELD)


# -- functions to differentiate -------------------------------------------------------------


def quartic(x):
    return np.sum(a * x**4) / 4 + np.sum((B @ x) ** 2) / 2  # noqa: F821


def log_sum_exp(x):
    return np.log(np.sum(np.exp(A @ x + b)))  # noqa: F821


def rosenbrock(x):
    return np.sum(c * (x[1:] - x[:-1] ** 2) ** 2) + np.sum((1 - x) ** 2)  # noqa: F821


def layer(W):
    return np.sum(u * np.tanh(X @ W))  # noqa: F821


def functions(rng):
    """Yield a title, a function and a point; no function has a constant Hessian."""
    B = rng.normal(size=(3, 4))
    yield "x₀² x₁, as by hand", shipped(by_hand), np.array([3.0, 5.0])
    yield "a quartic of 4 entries", shipped(quartic, a=rng.uniform(0.5, 2, 4), B=B), rng.normal(size=4)
    yield "log-sum-exp of 3 entries", shipped(log_sum_exp, A=2 * rng.normal(size=(5, 3)), b=rng.normal(size=5)), B[:, 0]
    yield "Rosenbrock's valley, 6 entries", shipped(rosenbrock, c=float(rng.uniform(2, 9))), rng.normal(size=6)
    X, u = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    yield "of a 4×3 matrix", shipped(layer, X=X, u=u), rng.normal(size=(4, 3))
    yield "one entry", shipped(quartic, a=np.array([1.5]), B=rng.normal(size=(2, 1))), rng.normal(size=1)


def by_hand(x):
    return x[0] ** 2 * x[1]


# -- second derivatives ----------------------------------------------------------------------


@assignment.exercise(
    "hvp",
    parts={"Hv": 8, "without H": 4},
    reference={"hvp": hvp},
    mistakes=known.HVP,
)
def hvp_cases(rng):
    for title, f, x in functions(rng):
        v = np.array([1.0, 0.0]) if f.name == "by_hand" else 2 * rng.normal(size=x.shape)
        yield case(title, "hvp", {"f": f, "x": x, "v": v}, {"Hv": FROM_REFERENCE})
    # Repeated numbers, so that the file stays small.
    x, v = (np.tile(rng.integers(-15, 16, 50) / 10, 4000) for _ in range(2))
    valley = shipped(rosenbrock, c=float(rng.integers(2, 9)))
    title = "200,000 entries, of which H would take 298 GiB"
    yield case(title, "hvp", {"f": valley, "x": x, "v": v}, {"Hv": FROM_REFERENCE}, parts="without H")


def penalty(f, w):
    return value_and_grad(lambda w: np.sum(grad(f)(w) ** 2))(w)


@assignment.exercise(
    "gradient_penalty",
    parts={"R": 4, "dR_dw": 8},
    reference={"gradient_penalty": penalty},
    uses=("hvp",),
    mistakes=known.GRADIENT_PENALTY,
)
def gradient_penalty_cases(rng):
    for title, f, w in functions(rng):
        yield case(title, "gradient_penalty", {"f": f, "w": w}, {"R": FROM_REFERENCE, "dR_dw": FROM_REFERENCE})


# -- momentum --------------------------------------------------------------------------------


def momentum(theta, m, grad, lr, mu):
    m = mu * m - lr * grad
    return theta + m, m


@assignment.exercise(
    "momentum_step",
    parts={"theta": 4, "m": 4},
    mistakes=known.MOMENTUM_STEP,
)
def momentum_step_cases(rng):
    for title, shape, mu in (
        ("3 parameters", (3,), 0.7),
        ("a 2×4 matrix", (2, 4), 0.6),
        ("μ = 0: plain gradient descent", (3,), 0.0),
        ("strong momentum, one parameter", (1,), 0.98),
    ):
        theta, m, slope = rng.normal(size=(3, *shape))
        args = {"theta": theta, "m": m, "grad": slope, "lr": float(rng.uniform(0.05, 0.4)), "mu": mu}
        yield case(title, "momentum_step", args, dict(zip(("theta", "m"), momentum(**args), strict=True)))
    args = {"theta": np.array([1.0]), "m": np.array([0.0]), "grad": np.array([1.0]), "lr": 0.1, "mu": 0.9}
    yield case("the first step, m = 0", "momentum_step", args, {"theta": np.array([0.9]), "m": np.array([-0.1])})


# -- inputs as parameters: one loop, three objectives -----------------------------------------


NETWORK = """
import coursekit.nn
network = coursekit.nn.MLP(sizes, getattr(coursekit.nn, activation), rng=0)
for layer, W, b in zip(network.layers[::2], weights, biases):
    layer.W, layer.b = W, b
"""


def network(rng, sizes, activation):
    """Draw a frozen network of coursekit.nn."""
    pairs = list(itertools.pairwise(sizes))
    weights = [rng.normal(size=pair) * 1.5 / np.sqrt(pair[0]) for pair in pairs]
    biases = [0.3 * rng.normal(size=outputs) for _, outputs in pairs]
    constants = {"sizes": list(sizes), "activation": activation, "weights": weights, "biases": biases}
    return ShippedCode("network", NETWORK, constants)


def judged(name, start, network, body, part, share, **constants):
    """Judge the result `name` by the objective `body` there: at least `share` of what the reference gains."""
    objective = ShippedCode(
        "objective", NETWORK + "\n\ndef objective(x):\n    " + body, {**network.constants, **constants}
    )
    options = {"objective": objective, "start": start, "share": share}
    return Expected(name, FROM_REFERENCE, part, compare="reaches", options=options)


def rise(item, search, args):
    """Return how far a search raises the objective of `item`, and where it ends."""
    objective = item.options["objective"].make()
    end = objective(search(*(value.make() if isinstance(value, ShippedCode) else value for value in args.values())))
    return end - objective(item.options["start"]), end


def suitable(draw, search, low, high, gain, as_good=(), too_low=()):
    """Draw with `draw()` until `search` gains enough and ends between `low` and `high`.

    The searches `as_good` then reach what is asked for with room to spare, and those `too_low` clearly do not.
    """
    while True:
        args, item = draw()
        best, end = rise(item, search, args)
        if not (low <= end <= high and best >= gain):
            continue
        share, room = item.options["share"], (1 - item.options["share"]) / 3
        enough = all(rise(item, one, args)[0] >= (share + room) * best for one in as_good)
        if enough and all(rise(item, one, args)[0] <= (share - room) * best for one in too_low):
            return args, item


def adversarial(model, x, target, eps, lr, num_iters):
    objective = known.log_probability(model, x, target)
    return known.ascend(objective, np.zeros_like(x), lr, num_iters, known.into_ball(eps))


@assignment.exercise(
    "adversarial_signal",
    parts={"in the ball": 4, "probability": 10},
    reference={"adversarial_signal": adversarial},
    mistakes=known.ADVERSARIAL_SIGNAL,
)
def adversarial_signal_cases(rng):
    body = "from coursekit.autograd import softmax\n    x = x * min(1.0, eps / max(np.linalg.norm(x), 1e-300))\n"
    body += "    return softmax(network(image + x))[target]"
    on_sphere = functools.partial(known.adversarial, pull=known.onto_sphere)
    flat = functools.partial(known.adversarial, of=known.climbs_p)
    straight = functools.partial(known.adversarial, of=known.gradient_at_x)

    def draw(sizes, activation, size, radius):
        model, target = network(rng, sizes, activation), int(rng.integers(sizes[-1]))
        x = size * rng.normal(size=sizes[0])
        eps = float(rng.uniform(*radius) * np.linalg.norm(x))
        args = {"model": model, "x": x, "target": target, "eps": eps, "lr": 0.2, "num_iters": 60}
        return args, judged("r", 0 * x, model, body, "probability", 0.85, image=x, target=target, eps=eps)

    for title, sizes, activation, size, radius, too_low in (
        ("a ReLU network of 8 inputs", (8, 6, 4), "ReLU", 1.5, (0.3, 0.6), ()),
        ("a tanh network of 12 inputs", (12, 10, 3), "Tanh", 1.5, (0.3, 0.6), ()),
        ("two hidden layers", (10, 8, 8, 5), "Tanh", 1.5, (0.3, 0.6), (straight,)),
        ("a target that seems impossible", (6, 3), "ReLU", 4.0, (0.7, 0.9), (flat,)),
    ):
        one = functools.partial(draw, sizes, activation, size, radius)
        args, probability = suitable(one, adversarial, 0.5, 0.97, 0.4, (on_sphere,), too_low)
        norm = Expected("norm of r", args["eps"], "in the ball", compare="in_ball")
        yield Case(title, (call("adversarial_signal", args, also=[probability, norm]),))


def visualise(model, layer, unit, x0, lr, num_iters, reg):
    return known.ascend(lambda x: model[: layer + 1](x)[unit] - reg * np.sum(x**2), x0, lr, num_iters)


@assignment.exercise(
    "visualise_unit",
    parts={"image": 12},
    reference={"visualise_unit": visualise},
    mistakes=known.VISUALISE_UNIT,
)
def visualise_unit_cases(rng):
    body = "return network[: layer_number + 1](x)[unit] - reg * np.sum(x**2)"

    def one(model, layer, unit, x0, reg):
        args = {"model": model, "layer": layer, "unit": unit, "x0": x0, "lr": 0.15, "num_iters": 60, "reg": reg}
        return args, judged("image", x0, model, body, "image", 0.97, layer_number=layer, unit=unit, reg=reg)

    def draw(sizes, activation, layer):
        model, x0 = network(rng, sizes, activation), rng.normal(size=sizes[0])
        unit = int(np.argmax(model.make()[: layer + 1](x0)))  # active, if it is a ReLU
        return one(model, layer, unit, x0, float(rng.uniform(0.2, 0.4)))

    line = {"sizes": [2, 1], "activation": "ReLU", "weights": [np.array([[2.0], [-1.0]])], "biases": [np.array([0.3])]}
    by_hand = one(ShippedCode("network", NETWORK, line), 0, 0, np.zeros(2), 0.5)
    yield Case("w = (2, −1), as by hand", (call("visualise_unit", by_hand[0], also=[by_hand[1]]),))
    for title, sizes, activation, layer in (
        ("an output of a tanh network", (8, 6, 6), "Tanh", 2),
        ("a hidden tanh unit", (8, 6, 6), "Tanh", 1),
        ("a unit before its activation", (6, 5, 5), "ReLU", 0),
        ("a hidden ReLU unit", (7, 6, 6), "ReLU", 1),
    ):
        args, image = suitable(functools.partial(draw, sizes, activation, layer), visualise, 0.3, np.inf, 1.0)
        yield Case(title, (call("visualise_unit", args, also=[image]),))


def match(encoder, target, x0, lr, num_iters):
    return known.ascend(lambda x: known.cosine(encoder(x), target), x0, lr, num_iters)


@assignment.exercise(
    "match_embedding",
    parts={"input": 6, "any target": 4},
    reference={"match_embedding": match},
    mistakes=known.MATCH_EMBEDDING,
)
def match_embedding_cases(rng):
    body = "e = network(x)\n    return np.sum(e * target) / np.sqrt(np.sum(e**2) * np.sum(target**2))"

    def draw(sizes, length, part):
        encoder, (x0, there) = network(rng, sizes, "Tanh"), rng.normal(size=(2, sizes[0]))
        target = encoder.make()(there)
        target = length * target / np.linalg.norm(target)
        # After more iterations, those of some mistakes are chaotic.
        args = {"encoder": encoder, "target": target, "x0": x0, "lr": 0.5, "num_iters": 20}
        return args, judged("input", x0, encoder, body, part, 0.9, target=target)

    def with_similarity(similarity):
        return functools.partial(known.match, similarity=similarity)

    longer = (with_similarity(known.without_length_of_embedding), with_similarity(known.with_constant_length))
    for title, sizes, length, part, too_low in (
        ("a tanh encoder of 8 inputs", (8, 10, 5), 1.0, "input", ()),
        ("a linear encoder", (6, 4), 1.0, "input", longer),
        ("a long target", (10, 8, 4), 6.0, "any target", ()),
        ("a short target", (8, 8, 3), 0.02, "any target", (with_similarity(known.with_length_of_target),)),
    ):
        one = functools.partial(draw, sizes, length, part)
        args, found = suitable(one, match, 0.98, 1.0 + 1e-9, 0.6, (with_similarity(known.nearness),), too_low)
        yield Case(title, (call("match_embedding", args, also=[found]),))

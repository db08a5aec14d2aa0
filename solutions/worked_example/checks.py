"""What is graded in `worked_example`: references, cases and known mistakes.

The network is stated forwards; its gradients come from the engine, and are turned to the row layout of the lecture.
What goes wrong is in `mistakes.py`.
"""

import numpy as np

from autograder.spec import Assignment, Case, Expected, call, case, expect, value_and_gradient

from . import mistakes as known

assignment = Assignment("worked_example")

LECTURE = {
    "W0": np.array([[1.0, -3.0], [0.2, 1.0]]),
    "W1": np.array([[1.0, -1.0]]),
    "x0": np.array([1.0, 0.1]),
    "y": 0.5,
}


def networks(rng):
    """Yield a title, and a network with its input and target: first the lecture's, then others of all shapes."""
    yield "the lecture's network", dict(LECTURE)
    for title, inputs, hidden in (
        ("another of 2 inputs and 2 hidden units", 2, 2),
        ("2 inputs, 3 hidden units", 2, 3),
        ("4 inputs, 3 hidden units", 4, 3),
        ("3 inputs, 1 hidden unit", 3, 1),
    ):
        # One decimal, so that a case can be copied from the feedback and worked out by hand; no weight is 0 or ±1.
        W0, W1, x0 = (
            rng.choice([-1, 1], shape) * rng.integers(2, 10, shape) / 10
            for shape in ((hidden, inputs), (1, hidden), (inputs,))
        )
        yield title, {"W0": W0, "W1": W1, "x0": x0, "y": float(rng.choice([-1, 1]) * rng.integers(12, 20) / 10)}


# -- the forward pass ---------------------------------------------------------------------


def forward(W0, W1, x0):
    x1 = W0 @ x0
    x2 = np.tanh(x1)
    return x1, x2, W1 @ x2


@assignment.exercise(
    "forward",
    parts={"x1": 3, "x2": 3, "x3": 4},
    reference={"forward": forward},
    mistakes=known.FORWARD,
)
def forward_cases(rng):
    for title, net in networks(rng):
        args = {name: net[name] for name in ("W0", "W1", "x0")}
        x1, x2, x3 = forward(**args)
        yield case(title, "forward", args, {"x1": x1, "x2": x2, "x3": x3.item()})


def loss(x3, y):
    return 0.5 * np.sum((x3 - y) ** 2)


@assignment.exercise("loss", parts={"L": 4}, reference={"loss": loss}, mistakes=known.LOSS)
def loss_cases(rng):
    for title, x3, y in (
        ("x3 too small, as in the lecture", 0.3131, 0.5),
        ("x3 too large", float(rng.uniform(1, 2)), float(rng.uniform(-1, 0.5))),
        ("both negative", float(rng.uniform(-2, -1)), float(rng.uniform(-0.9, -0.1))),
        ("x3 of shape (1,)", rng.uniform(1, 2, size=1), float(rng.uniform(3, 4))),
    ):
        yield case(title, "loss", {"x3": x3, "y": y}, {"L": loss(x3, y)})


# -- the backward pass ----------------------------------------------------------------------


def gradients(W0, W1, x0, y):
    """Differentiate the rest of the network with respect to each node; turn a gradient of W to the row layout."""
    x1, x2, x3 = forward(W0, W1, x0)

    def by(node, rest):
        return value_and_gradient(rest)(node)[1]

    return {
        "dL_dx3": by(x3, lambda x3: loss(x3, y)),
        "dL_dx2": by(x2, lambda x2: loss(W1 @ x2, y))[None],
        "dL_dx1": by(x1, lambda x1: loss(W1 @ np.tanh(x1), y))[None],
        "dL_dW0": by(W0, lambda W0: loss(W1 @ np.tanh(W0 @ x0), y)).T,
        "dL_dW1": by(W1, lambda W1: loss(W1 @ x2, y)).T,
    }


@assignment.exercise(
    "backward",
    parts={"dL_dx3": 4, "dL_dx2": 5, "dL_dx1": 7, "dL_dW0": 7, "dL_dW1": 7},
    reference={"backward": gradients},
    uses=["forward"],
    mistakes=known.BACKWARD,
)
def backward_cases(rng):
    for title, net in networks(rng):
        right = gradients(**net)
        right["dL_dx3"] = right["dL_dx3"].item()
        for name in ("dL_dx2", "dL_dx1"):
            right[name] = expect(right[name], row=True)
        yield case(title, "backward", net, right, returns=dict)


# -- the update, and all of it again and again --------------------------------------------


def update(W, dL_dW, eta):
    return W + eta * dL_dW.T


@assignment.exercise(
    "update",
    parts={"new W": 6, "W untouched": 2},
    reference={"update": update},
    mistakes=known.UPDATE,
)
def update_cases(rng):
    def one(title, W, dL_dW, eta):
        untouched = Expected("W after the call", W, "W untouched", compare="unchanged", where="argument 0")
        right = {"new W": update(W, dL_dW, eta)}
        args = {"W": W, "dL_dW": dL_dW, "eta": eta}
        return Case(title, (call("update", args, right, also=[untouched]),))

    for name in ("W0", "W1"):
        yield one(f"{name} of the lecture", LECTURE[name], gradients(**LECTURE)[f"dL_d{name}"], -0.2)
    for title, shape, eta in (
        ("a 3×3 matrix", (3, 3), -0.5),
        ("a 2×4 matrix", (2, 4), -0.05),
        ("one row", (1, 3), float(rng.uniform(-0.4, -0.3))),
        ("one column", (3, 1), -1.0),
        ("a positive η, up the hill", (3, 2), 0.3),
    ):
        yield one(title, rng.normal(size=shape), rng.normal(size=shape[::-1]), eta)


def train(W0, W1, x0, y, eta, num_iters):
    losses = []
    for _ in range(num_iters):
        losses.append(loss(forward(W0, W1, x0)[2], y))
        at = gradients(W0, W1, x0, y)
        W0, W1 = update(W0, at["dL_dW0"], eta), update(W1, at["dL_dW1"], eta)
    return W0, W1, np.array(losses)


@assignment.exercise(
    "train",
    parts={"W0": 5, "W1": 5, "losses": 4},
    uses=["forward", "loss", "backward", "update"],
    mistakes=known.TRAIN,
)
def train_cases(rng):
    settings = ((-0.2, 5), (-0.2, 1), (-0.1, 4), (-0.05, 12), (-0.3, 3))
    for (title, net), (eta, num_iters) in zip(networks(rng), settings, strict=True):
        args = {**net, "eta": eta, "num_iters": num_iters}
        right = dict(zip(("W0", "W1", "losses"), train(**args), strict=True))
        iterations = f"{num_iters} iteration{'s' * (num_iters > 1)}"
        yield case(f"{title}, η = {eta:g}, {iterations}", "train", args, right)

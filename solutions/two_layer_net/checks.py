"""What is graded in `two_layer_net`: references, cases and known mistakes.

References are forward definitions, with gradients from the engine. The known mistakes are listed in
`mistakes.py` and `net.py`, and those of the activations in `../layers.py`.
"""

import numpy as np

from autograder.spec import (
    ANYTHING,
    FROM_REFERENCE,
    Assignment,
    Case,
    call,
    case,
    evaluate,
    expect,
    shipped,
    value_and_gradient,
)
from coursekit.checks.codec import Ref

from ..layers import ACTIVATIONS, MAXOUT
from ..nets import large_two_layer_arguments, two_layer_arguments, two_layer_net
from .mistakes import (
    COLLAPSE_LINEAR,
    POLAR_FEATURES,
    THREE_LAYER_FORWARD,
    THREE_LAYERS,
    TRAIN_SIGMOID_NET,
    mistaken_layer,
    pair,
    polar,
)
from .net import LOSS, PREDICT, START, TRAIN, Net

assignment = Assignment("two_layer_net")

# -- one matrix for two, and features -----------------------------------------------------------


@assignment.exercise("collapse_linear", parts={"W3": 4}, mistakes=COLLAPSE_LINEAR)
def collapse_cases(rng):
    for title, D, H, C in (
        ("3 inputs, 5 hidden units, 2 classes", 3, 5, 2),
        ("all square", 4, 4, 4),
        ("one hidden unit", 3, 1, 4),
        ("one class", 3, 2, 1),
    ):
        args = {"W1": rng.normal(size=(H, D)), "W2": rng.normal(size=(C, H))}
        yield case(title, "collapse_linear", args, {"W3": args["W2"] @ args["W1"]})


@assignment.exercise(
    "polar_features",
    parts={"r": 2, "θ": 2},
    reference={"polar_features": polar},
    mistakes=POLAR_FEATURES,
)
def polar_cases(rng):
    for title, X in (
        ("points of the notebook", np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, -3.0], [-1.0, 0.0]])),
        ("all around the origin", rng.normal(size=(12, 2))),
        ("to the left", np.column_stack([-rng.uniform(1, 2, 5), rng.normal(size=5)])),
        ("one point", rng.normal(size=(1, 2))),
    ):
        steps = [call("polar_features", {"X": X}, save_as="polar")]
        steps += [evaluate(f"np.asarray(polar)[:, {k}]", {"rθ"[k]: FROM_REFERENCE}) for k in (0, 1)]
        yield Case(title, tuple(steps))


# -- layers, forwards and backwards ---------------------------------------------------------------


def sigmoid_forward(x):
    t = np.exp(-np.abs(x))
    out = np.where(x >= 0, 1.0, t) / (1 + t)
    return out, out


def sigmoid_backward(dout, out):
    return dout * out * (1 - out)


def gradients(forward, inputs, dout):
    """Compute the gradients of Σ dout · forward(inputs) with respect to each input."""

    def gradient(name):
        return value_and_gradient(lambda x: np.sum(forward(*{**inputs, name: x}.values()) * dout))(inputs[name])[1]

    return {f"d{name}": gradient(name) for name in inputs}


def through_layer(title, name, forward, inputs, rng, parts, **options):
    """Make a case that runs a layer forwards and, with the student's own cache, backwards."""
    out = forward(*inputs.values())
    dout = rng.normal(size=np.shape(out))
    there, back = {"out": out, "cache": ANYTHING}, {"dout": dout, "cache": Ref("forward", 1)}
    steps = (
        call(f"{name}_forward", inputs, there, parts={"out": "forward"}, save_as="forward", **options),
        call(f"{name}_backward", back, gradients(forward, inputs, dout), parts=parts, **options),
    )
    return Case(title, steps)


def activation(layer):
    name = layer.name
    stands_in = (sigmoid_forward, sigmoid_backward) if name == "sigmoid" else pair(layer)
    right = dict(zip((f"{name}_forward", f"{name}_backward"), stands_in, strict=True))

    @assignment.exercise(
        name,
        parts={"forward": 1, "dx": 2},
        functions=tuple(right),
        reference=right,
        mistakes=mistaken_layer(layer),
    )
    def activation_cases(rng):
        for title, x in (
            ("3 × 4 numbers", rng.normal(size=(3, 4))),
            ("5 numbers", rng.normal(size=5)),
            ("all negative", -rng.uniform(0.2, 2, size=(2, 3))),
            ("as many rows as columns", rng.normal(size=(3, 3))),
            ("three axes", rng.normal(size=(2, 3, 2))),
            ("one number", rng.normal(size=(1, 1))),
        ):
            yield through_layer(title, name, layer.forward, {"x": x}, rng, {})
        large = rng.choice([-1, 1], size=(2, 3)) * np.array([[1000.0, 800.0, 1.0], [2.0, 1000.0, 0.5]])
        large[0, :2] = -1000.0, 800.0
        yield through_layer("large inputs", name, layer.forward, {"x": large}, rng, {}, large="inputs of ±1000")


for layer in ACTIVATIONS:
    activation(layer)


@assignment.exercise(
    "maxout",
    parts={"forward": 2, "dx": 2, "weights": 2, "biases": 2},
    functions=("maxout_forward", "maxout_backward"),
    reference=dict(zip(("maxout_forward", "maxout_backward"), pair(MAXOUT), strict=True)),
    mistakes=mistaken_layer(MAXOUT),
)
def maxout_cases(rng):
    parts = {"dW1": "weights", "dW2": "weights", "db1": "biases", "db2": "biases"}
    for title, N, D, H in (
        ("5 examples, 3 features, 4 units", 5, 3, 4),
        ("as many features as units", 6, 4, 4),
        ("one example", 1, 3, 2),
        ("more features than examples", 2, 6, 3),
        ("one unit", 4, 2, 1),
    ):
        shapes = {"x": (N, D), "W1": (D, H), "b1": (H,), "W2": (D, H), "b2": (H,)}
        inputs = {name: rng.normal(size=shape) for name, shape in shapes.items()}
        yield through_layer(title, "maxout", MAXOUT.forward, inputs, rng, parts)


# -- three layers, and the lecture's training program -----------------------------------------------


@assignment.exercise("three_layer_forward", parts={"out": 6}, uses=("sigmoid",), mistakes=THREE_LAYER_FORWARD)
def three_layer_cases(rng):
    shapes = {"W1": (4, 3), "b1": (4, 1), "W2": (4, 4), "b2": (4, 1), "W3": (1, 4), "b3": (1, 1)}
    zeros = {name: np.zeros(shape) for name, shape in shapes.items()} | {"W3": np.ones((1, 4))}
    yield case("all zero but W3", "three_layer_forward", {"x": np.ones((3, 1)), "params": zeros}, {"out": 2.0})
    for title, scale in (("random numbers", 1.0), ("other random numbers", 1.5), ("small weights", 0.3)):
        params = {name: scale * rng.normal(size=shape) for name, shape in shapes.items()}
        x = rng.normal(size=(3, 1))
        yield case(title, "three_layer_forward", {"x": x, "params": params}, THREE_LAYERS(x=x, params=params))


def squared_error(w1, w2, x, y):
    return np.sum((1 / (1 + np.exp(-(x @ w1))) @ w2 - y) ** 2)


def trained(x, y, w1, w2, lr, num_iters):
    """The training program, with gradients from the engine."""
    losses = []
    for _ in range(num_iters):
        loss, dw1 = value_and_gradient(squared_error)(w1, w2, x, y)
        _, dw2 = value_and_gradient(lambda w2, w1=w1: squared_error(w1, w2, x, y))(w2)
        losses.append(loss)
        w1, w2 = w1 - lr * dw1, w2 - lr * dw2
    return {"w1": w1, "w2": w2, "losses": np.array(losses)}


@assignment.exercise(
    "train_sigmoid_net", parts={"w1": 4, "w2": 4, "losses": 4}, uses=("sigmoid",), mistakes=TRAIN_SIGMOID_NET
)
def train_sigmoid_cases(rng):
    one = np.ones((1, 1))
    numbers = {"x": one, "y": 0 * one, "w1": 0 * one, "w2": 2 * one, "lr": 0.1, "num_iters": 1}
    yield case("one number, by hand", "train_sigmoid_net", numbers, trained(**numbers))
    for title, N, D, H, C, num_iters in (
        ("6 examples, 5 inputs, 4 units, 3 outputs", 6, 5, 4, 3, 5),
        ("one iteration", 5, 3, 6, 2, 1),
        ("all square", 4, 4, 4, 4, 3),
        ("one example", 1, 3, 4, 2, 4),
        ("more inputs than examples", 3, 20, 5, 2, 6),
    ):
        shapes = {"x": (N, D), "y": (N, C), "w1": (D, H), "w2": (H, C)}
        args = {name: rng.normal(size=shape) for name, shape in shapes.items()}
        args |= {"lr": float(rng.uniform(0.01, 0.02)), "num_iters": num_iters}
        yield case(title, "train_sigmoid_net", args, trained(**args))


# -- the network as a class ---------------------------------------------------------------------------

PARAMS = ("W1", "b1", "W2", "b2")
KINDS = {"W1": "weights' gradients", "W2": "weights' gradients", "b1": "biases' gradients", "b2": "biases' gradients"}


def with_simple_loss(net):
    """Give `net` a loss and scores that no exercise asks for, so that `train` is judged alone.

    Each example has a target: the entry of x that its label names. The loss pulls the square of every weight, and
    every bias, towards the targets; reg is the factor of the weights' sum. The scores are the features.
    """

    def loss(X, y=None, reg=0.0):
        if y is None:
            return X
        targets, value, grads = X[np.arange(len(y)), y], 0.0, {}
        for name in ("W1", "b1", "W2", "b2"):
            p = np.asarray(net.params[name])
            if name[0] == "W":
                off = np.subtract.outer(p**2, targets)
                value += np.mean(np.sqrt(1 + off**2) - 1) + reg * np.sum(p)
                grads[name] = 2 * p * np.mean(off / np.sqrt(1 + off**2), axis=-1) / p.size + reg
            else:
                off = np.subtract.outer(p, targets)
                value += np.mean(np.cosh(off / 2) - 1)
                grads[name] = np.mean(np.sinh(off / 2) / 2, axis=-1) / p.size
        return float(value), grads

    net.loss, net.predict = loss, lambda X: np.argmax(X, axis=1)


def new(sizes):
    """The step that makes a network; its result is looked at so that an error in it is shown."""
    return call("TwoLayerNet", sizes, {"the network": ANYTHING}, parts="params", save_as="net")


def made(params):
    """The steps that make a network with these parameters."""
    D, H = params["W1"].shape
    sizes = {"input_size": D, "hidden_size": H, "output_size": len(params["b2"])}
    return [new(sizes), evaluate("net.params.update(p)", args={"p": params})]


@assignment.exercise(
    "TwoLayerNet",
    parts={
        "params": 3,
        "scores": 4,
        "loss": 6,
        "weights' gradients": 5,
        "biases' gradients": 4,
        "predict": 2,
        "train": 6,
    },
    reference={"TwoLayerNet": Net},
    mistakes=[*LOSS, *PREDICT, *START, *TRAIN],
)
def net_cases(rng):
    yield from start_cases(rng)
    yield from loss_cases(rng)
    yield from training_cases(rng)


def start_cases(rng):
    for title, std in (("a new network", float(rng.uniform(0.03, 0.06))), ("a new network, std left out", None)):
        sizes = {"input_size": 40, "hidden_size": 60, "output_size": 12} | ({"std": std} if std else {})
        steps = [new(sizes)]
        for name, shape in zip(PARAMS, ((40, 60), (60,), (60, 12), (12,)), strict=True):
            steps.append(evaluate(f'np.shape(net.params["{name}"])', {f"shape of {name}": list(shape)}, parts="params"))
            if name[0] == "b":
                steps.append(evaluate(f'net.params["{name}"]', {name: np.zeros(shape)}, parts="params"))
                continue
            # Rounded so coarsely that chance does not matter: 1 means twice the spread, or a mean off by std/2.
            of_std = f'np.{{}}(net.params["{name}"]) / {std or 1e-4}'
            spread = f"np.round(np.log2({of_std.format('std')} + 1e-9))"
            steps.append(evaluate(spread, {f"log2 of {name}'s spread/std": 0.0}, parts="params"))
            mean = f"np.round(2 * {of_std.format('mean')})"
            steps.append(evaluate(mean, {f"{name}'s mean in units of std/2": 0.0}, parts="params"))
        yield Case(title, tuple(steps))
    X, y = rng.normal(size=(8, 5)), np.arange(8) % 10
    first = [new({"input_size": 5, "hidden_size": 6, "output_size": 10})]
    about = expect(np.log(10), rtol=1e-3)
    first.append(call("net.loss", {"X": X, "y": y}, {"loss at the start": about, "grads": ANYTHING}, parts="loss"))
    yield Case("the first loss is about log C", tuple(first))


def loss_cases(rng):
    cases = [
        (title, two_layer_arguments(rng, size)) for size, title in ((0, "N = 2"), (1, "as many units as features"))
    ]
    missing = two_layer_arguments(rng, 1)
    cases.append(("a class that no example has", {**missing, "y": missing["y"] % 2}))
    one = two_layer_arguments(rng, 0)
    cases.append(("one example", {**one, "X": one["X"][:1], "y": one["y"][:1]}))
    usual = two_layer_arguments(rng, 2)
    cases.append(("20 examples, 7 classes", usual))
    cases.append(("reg = 0", {**two_layer_arguments(rng, 1), "reg": 0.0}))
    negative = two_layer_arguments(rng, 1)
    cases.append(("all scores negative", {**negative, "b2": negative["b2"] - 60.0}))
    cases.append(("scores of ±1000", large_two_layer_arguments(rng)))
    for title, args in cases:
        params, (X, y, reg) = {name: args[name] for name in PARAMS}, (args[name] for name in ("X", "y", "reg"))
        scores = np.maximum(0, X @ params["W1"] + params["b1"]) @ params["W2"] + params["b2"]
        right = {"loss": two_layer_net(**args), "grads": {}}
        for name in PARAMS:
            by_name = value_and_gradient(lambda p, name=name, args=args: two_layer_net(**{**args, name: p}))
            right["grads"][name] = by_name(params[name])[1]
        large = {"large": "scores of ±1000"} if "1000" in title else {}
        steps = [
            *made(params),
            call("net.loss", {"X": X}, {"scores": scores}),
            call("net.loss", {"X": X, "y": y, "reg": reg}, right, parts=KINDS, **large),
            call("net.predict", {"X": X}, {"labels": scores.argmax(axis=1)}, parts="predict", compare="labels"),
        ]
        yield Case(title, tuple(steps))


def training(args, right, save_as=None):
    """The steps that train the network `net` with the simple loss."""
    alone = evaluate("with_simple_loss(net)", args={"with_simple_loss": shipped(with_simple_loss)})
    return [alone, call("net.train", args, right, returns=dict, parts="train", save_as=save_as)]


def training_cases(rng):
    """Yield runs on equal examples, which have one right result whatever is drawn, and runs judged by what they do."""
    # Both the simple scores of x and the network's own, where only the first column of W2 is positive, are largest for
    # class 0: who takes the accuracies from a forward pass of their own is right too.
    sizes = {"W1": (3, 4), "b1": (4,), "W2": (4, 3), "b2": (3,)}
    params = {name: rng.uniform(0.3, 0.9, size=shape) for name, shape in sizes.items()}
    params["W2"][:, 1:] *= -1
    x = rng.uniform([0.9, 0.1, 0.4], [1.2, 0.3, 0.6])

    def alike(N, num_iters, batch_size, decay):
        X, lr, reg = np.tile(x, (N, 1)), float(rng.uniform(0.3, 0.5)), float(rng.uniform(0.02, 0.05))
        y = np.zeros(N, int)
        args = {"X": X, "y": y, "X_val": X[:2], "y_val": y[:2], "learning_rate": lr}
        return args | {"learning_rate_decay": decay, "reg": reg, "num_iters": num_iters, "batch_size": batch_size}

    histories = dict.fromkeys(("loss_history", "train_acc_history", "val_acc_history"), FROM_REFERENCE)
    for title, batch_size in (("an epoch is one iteration", 6), ("a minibatch is larger than the data", 20)):
        steps = [*made(params), *training(alike(6, 5, batch_size, 0.7), histories)]
        steps.append(evaluate("net.params", {"params": dict.fromkeys(PARAMS, FROM_REFERENCE)}, parts="train"))
        yield Case(title, tuple(steps))

    # The rate may drop at the first or the last iteration of an epoch: both are right, and all between them.
    args = alike(12, 10, 3, 0.3)
    runs = []
    for first in (True, False):
        net = with_params(params)
        rate, losses = args["learning_rate"], []
        for counted in range(args["num_iters"]):
            loss, grads = net.loss(args["X"], args["y"], args["reg"])
            losses.append(loss)
            net.step(rate, grads)
            rate *= args["learning_rate_decay"] if counted % 4 == (0 if first else 3) else 1
        runs.append(losses[-1])
    low, high = sorted(runs)
    room = 1e-3 * (high - low)  # for rounding
    bounds = expect([low - room, high + room], "between")
    last = evaluate('history["loss_history"][-1]', {"last loss": bounds}, parts="train")
    run = training(args, {"loss_history": ANYTHING}, save_as="history")
    yield Case("an epoch is four iterations", (*made(params), *run, last))

    # With a learning rate of 0 the losses show which examples were drawn.
    X, y = np.vstack([x, -x]), np.array([0, 2])
    X_val, y_val = x + rng.uniform(0, 0.1, size=(4, 3)), np.array([1, 0, 0, 0])
    args = {"X": X, "y": y, "X_val": X_val, "y_val": y_val, "learning_rate": 0.0, "learning_rate_decay": 0.9}
    args |= {"reg": 0.05, "num_iters": 60, "batch_size": 1}
    each = [with_params(params).loss(X[[i]], y[[i]], 0.05)[0] for i in (0, 1)]
    history = 'history["loss_history"]'
    steps = [
        *made(params),
        *training(args, {"loss_history": ANYTHING, "val_acc_history": np.full(30, 0.75)}, save_as="history"),
        evaluate(f"np.max({history}) - np.min({history})", {"spread of the losses": np.ptp(each)}, parts="train"),
        evaluate(f"np.min({history})", {"smallest loss": min(each)}, parts="train"),
        evaluate(f"np.max({history})", {"largest loss": max(each)}, parts="train"),
    ]
    yield Case("minibatches of one example, learning rate 0", tuple(steps))

    def corners(n):
        centres = np.array([[1, -1], [-1, 1]])  # each label names the coordinate that is about 1
        return np.repeat(centres, n, axis=0) + 0.1 * rng.normal(size=(2 * n, 2)), np.repeat([0, 1], n)

    (X, y), (X_val, y_val) = corners(30), corners(10)
    args = {"X": X, "y": y, "X_val": X_val, "y_val": y_val, "learning_rate": 0.5, "learning_rate_decay": 0.97}
    args |= {"reg": 1e-4, "num_iters": 70, "batch_size": 20}
    sizes = {"input_size": 2, "hidden_size": 3, "output_size": 2, "std": 0.1}
    learned = expect(70, "falling", to=0.5, first=(0.8, 1.5))  # three quarters of it are the weights' to learn
    steps = [
        new(sizes),
        *training(args, {"loss_history": ANYTHING}, save_as="history"),
        evaluate(history, {"falling losses": learned}, parts="train"),
    ]
    yield Case("a loss that can fall to zero", tuple(steps))


def with_params(params):
    """Return a right network with these parameters and the simple loss."""
    net = Net(*params["W1"].shape, len(params["b2"]))
    net.params = dict(params)
    with_simple_loss(net)
    return net

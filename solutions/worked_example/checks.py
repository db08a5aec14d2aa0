"""What is graded in `worked_example`: references, cases and known mistakes.

The network is stated forwards; its gradients come from the engine, and are turned to the row layout of the lecture.
"""

import numpy as np

from autograder.mistakes import instead
from autograder.mistakes.worked_example import BACKWARD, FromCase
from autograder.spec import Assignment, Case, Expected, Mistake, call, case, value_and_gradient
from coursekit.checks.codec import Ref

assignment = Assignment("worked_example")

LECTURE = {
    "W0": np.array([[1.0, -3.0], [0.2, 1.0]]),
    "W1": np.array([[1.0, -1.0]]),
    "x0": np.array([1.0, 0.1]),
    "y": 0.5,
}


def networks(rng):
    """A title, and a network with its input and target: the lecture's first, then others of all shapes."""
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


def after_x1(W1, x1, f=np.tanh):
    x2 = f(x1)
    return x1, x2, np.asarray((W1 @ x2).item())


def forward(W0, W1, x0):
    return after_x1(W1, W0 @ x0)


def as_a_student(W0, W1, x0):
    """With x3 of shape (1,), which is what the matrix product gives and later exercises may build on."""
    x1, x2, x3 = forward(W0, W1, x0)
    return x1, x2, x3.reshape(1)


def wrong_forward(code, message, formula):
    return instead(code, message, formula, "x1", "x2", "x3")


@assignment.exercise(
    "forward",
    parts={"x1": 3, "x2": 3, "x3": 4},
    reference={"forward": as_a_student},
    mistakes=[
        wrong_forward(
            "tanh-skipped",
            "x3 is made from x1; it is W1 times x2, after the tanh.",
            lambda W0, W1, x0: (*forward(W0, W1, x0)[:2], (W1 @ W0 @ x0).item()),
        ),
        wrong_forward(
            "tanh-at-the-end",
            "There is no tanh after the last layer: x3 = W1 x2.",
            lambda W0, W1, x0: (*forward(W0, W1, x0)[:2], np.tanh(forward(W0, W1, x0)[2])),
        ),
        wrong_forward(
            "tanh-missing", "The tanh is missing: x2 = tanh(x1).", lambda W0, W1, x0: after_x1(W1, W0 @ x0, lambda x: x)
        ),
        wrong_forward(
            "sigmoid-for-tanh",
            "This is the sigmoid; the hidden units are tanh.",
            lambda W0, W1, x0: after_x1(W1, W0 @ x0, lambda x: 1 / (1 + np.exp(-x))),
        ),
        wrong_forward(
            "relu-for-tanh",
            "This is the ReLU; the hidden units are tanh.",
            lambda W0, W1, x0: after_x1(W1, W0 @ x0, lambda x: np.maximum(0, x)),
        ),
        wrong_forward(
            "tan-for-tanh",
            "This is np.tan, of angles; the hidden units are np.tanh.",
            lambda W0, W1, x0: after_x1(W1, W0 @ x0, np.tan),
        ),
        wrong_forward(
            "tanh-twice",
            "The tanh is applied twice.",
            lambda W0, W1, x0: after_x1(W1, W0 @ x0, lambda x: np.tanh(np.tanh(x))),
        ),
        wrong_forward(
            "transposed",
            "W0 is transposed: unit i of the hidden layer uses row i of W0, so x1 = W0 @ x0.",
            lambda W0, W1, x0: forward(W0.T if W0.shape[0] == W0.shape[1] else W0, W1, x0),
        ),
        wrong_forward(
            "swapped/x1-x2", "x1 and x2 are exchanged.", lambda W0, W1, x0: [forward(W0, W1, x0)[i] for i in (1, 0, 2)]
        ),
        wrong_forward(
            "entrywise-product",
            "`*` multiplies entry by entry; a matrix times a vector is `@`.",
            lambda W0, W1, x0: (W0 * x0, np.tanh(W0 * x0), forward(W0, W1, x0)[2]),
        ),
        wrong_forward(
            "swapped/reversed",
            "The order is (x1, x2, x3), from the input to the output.",
            lambda W0, W1, x0: forward(W0, W1, x0)[::-1],
        ),
    ],
)
def forward_cases(rng):
    for title, net in networks(rng):
        args = {name: net[name] for name in ("W0", "W1", "x0")}
        yield case(title, "forward", args, dict(zip(("x1", "x2", "x3"), forward(**args), strict=True)))


def loss(x3, y):
    return 0.5 * np.sum((x3 - y) ** 2)


@assignment.exercise(
    "loss",
    parts={"L": 4},
    reference={"loss": loss},
    mistakes=[
        instead("half-missing", "The ½ is missing.", lambda x3, y: np.sum((x3 - y) ** 2), "L"),
        instead(
            "half-inside",
            "The ½ is squared too: it stands before the square.",
            lambda x3, y: np.sum((0.5 * (x3 - y)) ** 2),
            "L",
        ),
        instead("square-missing", "The square is missing.", lambda x3, y: 0.5 * np.sum(x3 - y), "L"),
        instead("absolute", "This is ½|x3 − y|; square it.", lambda x3, y: 0.5 * np.sum(np.abs(x3 - y)), "L"),
        instead(
            "gradient-for-loss",
            "x3 − y is the derivative of the loss, not the loss.",
            lambda x3, y: np.sum(x3 - y),
            "L",
        ),
        instead("sign", "The sign is flipped: a square is not negative.", lambda x3, y: -loss(x3, y), "L"),
        instead("sum-for-difference", "Subtract y from x3; here it is added.", lambda x3, y: loss(x3, -y), "L"),
        instead(
            "difference-of-squares",
            "This is ½(x3² − y²): subtract first, then square.",
            lambda x3, y: 0.5 * np.sum(x3**2 - y**2),
            "L",
        ),
        instead(
            "rounded", "Do not round: return the number as it is.", lambda x3, y: round(float(loss(x3, y)), 3), "L"
        ),
    ],
)
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
    """Each by differentiating the rest of the network by that node; a gradient by W is turned to the row layout."""
    x1, x2, x3 = forward(W0, W1, x0)

    def by(node, rest):
        return value_and_gradient(rest)(node)[1]

    return {
        "dL_dx3": by(x3, lambda x3: loss(x3, y)),
        "dL_dW0": by(W0, lambda W0: loss(W1 @ np.tanh(W0 @ x0), y)).T,
        "dL_dW1": by(W1, lambda W1: loss(W1 @ x2, y)).T,
        "dL_dx2": by(x2, lambda x2: loss(W1 @ x2, y))[None],
        "dL_dx1": by(x1, lambda x1: loss(W1 @ np.tanh(x1), y))[None],
    }


MISSING = "A gradient is missing, or not a number; the keys are dL_dx3, dL_dx2, dL_dx1, dL_dW0 and dL_dW1."


@assignment.exercise(
    "backward",
    parts={"dL_dx3": 4, "dL_dx2": 5, "dL_dx1": 7, "dL_dW0": 7, "dL_dW1": 7},
    reference={"backward": gradients},
    uses=["forward"],
    mistakes=[
        *BACKWARD,
        Mistake("returned-none", MISSING, lambda right, args: {}),
        Mistake("not-finite", MISSING, lambda right, args: {}),
    ],
)
def backward_cases(rng):
    for title, net in networks(rng):
        numbers = ", ".join(f"{name}={np.asarray(value).tolist()}" for name, value in net.items())
        right = {name: FromCase.of(value, net) for name, value in gradients(**net).items()}
        rows = ("dL_dx2", "dL_dx1")
        steps = [
            # There is no fifth argument, so this holds unless the call raises.
            call(
                "backward",
                net,
                save_as="gradients",
                also=[Expected("the call", None, "dL_dx3", compare="unchanged", where="argument 4")],
            )
        ]
        steps += [
            call("gradients.get", {"key": name}, {name: value}) for name, value in right.items() if name not in rows
        ]
        # A row vector is right as (n,) and as (1, n): added to a row of zeros, both come out as (1, n).
        zeros = np.zeros_like(net["W1"])
        steps.append(call("gradients.get", {"key": "none", "default": zeros}, save_as="a_row_of_zeros"))
        for name in rows:
            missing = {"key": name, "default": np.full(right[name].shape, np.nan)}
            steps.append(call("gradients.get", missing, save_as=name))
            steps.append(call("a_row_of_zeros.__add__", {name: Ref(name)}, {name: right[name]}))
        yield Case(f"{title}: {numbers}", tuple(steps))


# -- the update, and all of it again and again --------------------------------------------


def update(W, dL_dW, eta):
    return W + eta * dL_dW.T


def without_transposing(W, dL_dW, eta):
    """W + η dL_dW where that is possible: for a square W, and for one row, which is broadcast."""
    return W + eta * dL_dW if W.shape[0] == W.shape[1] or 1 in W.shape else update(W, dL_dW, eta)


@assignment.exercise(
    "update",
    parts={"new W": 6, "W untouched": 2},
    reference={"update": update},
    mistakes=[
        instead(
            "transpose-missing",
            "The gradient is added as it is; it has the layout of Wᵀ, so transpose it first.",
            without_transposing,
            "new W",
        ),
        instead(
            "sign",
            "The step is subtracted; here η is negative already, so it is added.",
            lambda W, dL_dW, eta: W - eta * dL_dW.T,
            "new W",
        ),
        instead(
            "sign/forced",
            "The sign of η is thrown away: use η as it comes.",
            lambda W, dL_dW, eta: W - abs(eta) * dL_dW.T,
            "new W",
        ),
        instead("eta-ignored", "η does not come in.", lambda W, dL_dW, eta: W + dL_dW.T, "new W"),
        instead("eta-ignored/minus", "η does not come in.", lambda W, dL_dW, eta: W - dL_dW.T, "new W"),
        instead(
            "eta-fixed",
            "η is always −0.2 here: use the one that is given.",
            lambda W, dL_dW, eta: update(W, dL_dW, -0.2),
            "new W",
        ),
        instead("step-alone", "This is the step alone: add it to W.", lambda W, dL_dW, eta: eta * dL_dW.T, "new W"),
        instead("no-update", "W comes back as it was.", lambda W, dL_dW, eta: W, "new W"),
        instead(
            "eta-times-both",
            "η multiplies the gradient alone, not W.",
            lambda W, dL_dW, eta: eta * (W + dL_dW.T),
            "new W",
        ),
        instead(
            "wrong-layout",
            "W is transposed where the gradient should be: the result has the shape of W.",
            lambda W, dL_dW, eta: W.T + eta * dL_dW,
            "new W",
        ),
    ],
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


def step_both(W0, W1, x0, y, eta):
    """Both weights after one step, from gradients that were taken before either changed."""
    at = gradients(W0, W1, x0, y)
    return update(W0, at["dL_dW0"], eta), update(W1, at["dL_dW1"], eta)


def output_first(W0, W1, x0, y, eta):
    W1 = step_both(W0, W1, x0, y, eta)[1]
    return step_both(W0, W1, x0, y, eta)[0], W1


def input_first(W0, W1, x0, y, eta):
    W0 = step_both(W0, W1, x0, y, eta)[0]
    return W0, step_both(W0, W1, x0, y, eta)[1]


def new_W1_on_the_way_back(W0, W1, x0, y, eta):
    """W1 is updated as soon as its gradient is there, and the gradient of W0 then goes through the new one."""
    new, error = step_both(W0, W1, x0, y, eta)[1], gradients(W0, W1, x0, y)["dL_dx3"]
    dL_dx1 = error * new[0] * (1 - np.tanh(W0 @ x0) ** 2)
    return update(W0, np.outer(x0, dL_dx1), eta), new


def train(W0, W1, x0, y, eta, num_iters, step=step_both):
    losses = []
    for _ in range(num_iters):
        losses.append(loss(forward(W0, W1, x0)[2], y))
        W0, W1 = step(W0, W1, x0, y, eta)
    return W0, W1, np.array(losses)


def wrong_step(code, message, step):
    return wrong_training(code, message, lambda *args: train(*args, step=step))


def wrong_training(code, message, formula):
    return instead(code, message, formula, "W0", "W1", "losses")


def gradient_of_the_start(W0, W1, x0, y, eta, num_iters):
    """Always the first gradient."""
    new = step_both(W0, W1, x0, y, eta)
    moves = new[0] - W0, new[1] - W1
    return train(W0, W1, x0, y, eta, num_iters, lambda W0, W1, *_: (W0 + moves[0], W1 + moves[1]))


def losses_after(W0, W1, x0, y, eta, num_iters):
    longer = train(W0, W1, x0, y, eta, num_iters + 1)[2]
    return *train(W0, W1, x0, y, eta, num_iters)[:2], longer[1:]


@assignment.exercise(
    "train",
    parts={"W0": 5, "W1": 5, "losses": 4},
    uses=["forward", "loss", "backward", "update"],
    mistakes=[
        wrong_training(
            "half-missing",
            "The losses are twice too large: the ½ is missing.",
            lambda *args: (*train(*args)[:2], 2 * train(*args)[2]),
        ),
        wrong_training(
            "losses-after", "Each loss is taken after the update; append the one from before it.", losses_after
        ),
        wrong_training(
            "losses-with-the-last",
            "The loss after the last step is in the list too; it holds one loss for each iteration.",
            lambda *args: (*train(*args)[:2], train(*args[:-1], args[-1] + 1)[2]),
        ),
        wrong_training(
            "losses-reversed",
            "The losses are in the wrong order: the first iteration comes first.",
            lambda *args: (*train(*args)[:2], train(*args)[2][::-1]),
        ),
        wrong_training(
            "last-update-missing",
            "The returned weights are those from before the last update.",
            lambda *args: (*train(*args[:-1], args[-1] - 1)[:2], train(*args)[2]),
        ),
        wrong_step(
            "sign",
            "The weights climb the loss: add η times the gradient, η being negative.",
            lambda W0, W1, x0, y, eta: step_both(W0, W1, x0, y, -eta),
        ),
        wrong_step(
            "eta-fixed",
            "η is always −0.2 here: use the one that is given.",
            lambda W0, W1, x0, y, eta: step_both(W0, W1, x0, y, -0.2),
        ),
        wrong_step(
            "updated-too-early/way-back",
            "W1 is updated before dL_dx2 is computed: take all gradients first, with the old weights, then update.",
            new_W1_on_the_way_back,
        ),
        wrong_step(
            "updated-too-early/W1",
            "The gradient of W0 is computed with the new W1: take all gradients first, then update.",
            output_first,
        ),
        wrong_step(
            "updated-too-early/W0",
            "The gradient of W1 is computed with the new W0: take all gradients first, then update.",
            input_first,
        ),
        wrong_step(
            "only-one-layer/W0",
            "Only W0 is updated; both layers learn.",
            lambda W0, W1, *rest: (step_both(W0, W1, *rest)[0], W1),
        ),
        wrong_step(
            "only-one-layer/W1",
            "Only W1 is updated; both layers learn.",
            lambda W0, W1, *rest: (W0, step_both(W0, W1, *rest)[1]),
        ),
        wrong_step("no-update", "The weights stay as they were.", lambda W0, W1, *rest: (W0, W1)),
        wrong_training(
            "gradient-taken-once",
            "The gradient is computed once; take it anew in every iteration, with the new weights.",
            gradient_of_the_start,
        ),
        wrong_training(
            "off-by-one/more", "There is one iteration too many.", lambda *args: train(*args[:-1], args[-1] + 1)
        ),
        wrong_training("off-by-one/fewer", "One iteration is missing.", lambda *args: train(*args[:-1], args[-1] - 1)),
    ],
)
def train_cases(rng):
    settings = ((-0.2, 5), (-0.2, 1), (-0.1, 4), (-0.05, 12), (-0.3, 3))
    for (title, net), (eta, num_iters) in zip(networks(rng), settings, strict=True):
        args = {**net, "eta": eta, "num_iters": num_iters}
        right = dict(zip(("W0", "W1", "losses"), train(**args), strict=True))
        iterations = f"{num_iters} iteration{'s' * (num_iters > 1)}"
        yield case(f"{title}, η = {eta:g}, {iterations}", "train", args, right)

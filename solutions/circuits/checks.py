"""What is graded in `circuits`: references, cases and known mistakes.

A circuit is stated once, forwards. The gradient at a node is how the output follows a nudge there, which the engine
computes. What goes wrong on the way back is in `mistakes.py`, with gates in `gates.py`.
"""

import numpy as np

from autograder.mistakes import instead, parameters, sign
from autograder.spec import FROM_REFERENCE, Assignment, Case, call, case, evaluate, value_and_gradient
from coursekit.autograd import scalar
from coursekit.checks.probes import Probe

from .gates import GATE_MISTAKES
from .mistakes import (
    ADD_MUL_MISTAKES,
    ADD_MUL_NODES,
    NEURON_MISTAKES,
    REGRESSION_MISTAKES,
    REGRESSION_NODES,
    SHARED_MISTAKES,
    SHARED_NODES,
    SIGMOID_MISTAKES,
    SIGMOID_NODES,
)

assignment = Assignment("circuits")


def draw(rng, *names, low=12, high=40):
    """Draw a number for each name, to be worked out by hand: one decimal, all of different size, none 0 or ±1."""
    sizes = rng.choice(np.arange(low, high), len(names), replace=False) / 10
    return dict(zip(names, (sizes * rng.choice([-1, 1], len(names))).tolist(), strict=True))


def titled(title, args):
    return f"{title}: {', '.join(f'{name}={value}' for name, value in args.items())}"


# -- the gradient at a point --------------------------------------------------------------


def at_point(code, message, formula):
    return instead(code, message, formula, "(dz_dx, dz_dy)")


@assignment.exercise(
    "gradient_at_point",
    parts={"(dz_dx, dz_dy)": 4},
    mistakes=[
        at_point("scale/half", "The 2 is missing: the derivative of x² is 2x.", lambda x, y: (x, y)),
        at_point("value-for-gradient", "This is x² and y²; differentiate them.", lambda x, y: (x * x, y * y)),
        at_point("exponent-kept", "The derivative of x² is 2x, not 2x².", lambda x, y: (2 * x * x, 2 * y * y)),
        at_point("swapped", "The two are exchanged: the derivative by x comes first.", lambda x, y: (2 * y, 2 * x)),
        at_point("summed", "A gradient has a number for each input; do not add them.", lambda x, y: 2 * x + 2 * y),
        at_point("one-input-only", "The derivative by y is missing.", lambda x, y: (2 * x, 0.0)),
        at_point(
            "fixed-numbers",
            "These are the lecture's numbers, whatever x and y are: compute them from x and y.",
            lambda x, y: (10.0, 6.0),
        ),
        sign("(dz_dx, dz_dy)"),
    ],
)
def gradient_at_point_cases(rng):
    points = [("the lecture's point", {"x": 5, "y": 3}), *(("another point", draw(rng, "x", "y")) for _ in range(3))]
    for title, args in [*points, ("the bottom of the bowl", {"x": 0.0, "y": 0.0})]:
        _, gradient = value_and_gradient(lambda at: at[0] ** 2 + at[1] ** 2)(np.array([*args.values()], dtype=float))
        yield case(titled(title, args), "gradient_at_point", args, {"(dz_dx, dz_dy)": gradient})


def quotient(f, x, h=1e-5, up=1.0, down=1.0, over=2.0):
    return (f(x + up * h) - f(x - down * h)) / (over * h)


def wrong_quotient(code, message, formula):
    return instead(code, message, lambda f, x, h=1e-5: formula(f, x, h), "derivative")


CENTRAL = "the central difference, (f(x + h) − f(x − h)) / 2h, is far more accurate."


@assignment.exercise(
    "numerical_derivative",
    parts={"derivative": 6},
    mistakes=[
        wrong_quotient(
            "one-sided", f"This is (f(x + h) − f(x)) / h; {CENTRAL}", lambda f, x, h: quotient(f, x, h, down=0, over=1)
        ),
        wrong_quotient(
            "one-sided/backward",
            f"This is (f(x) − f(x − h)) / h; {CENTRAL}",
            lambda f, x, h: quotient(f, x, h, up=0, over=1),
        ),
        wrong_quotient("sign", "The sign is flipped: f(x + h) comes first.", lambda f, x, h: -quotient(f, x, h)),
        wrong_quotient(
            "precedence",
            "`a / 2 * h` divides by 2 and multiplies by h: write a / (2 * h).",
            lambda f, x, h: quotient(f, x, h) * h * h,
        ),
        wrong_quotient(
            "precedence/difference",
            "Put brackets around the difference: only f(x − h) is divided by 2h.",
            lambda f, x, h: f(x + h) - f(x - h) / (2 * h),
        ),
        wrong_quotient(
            "scale/double", "From x − h to x + h it is 2h, not h.", lambda f, x, h: quotient(f, x, h, over=1)
        ),
        wrong_quotient(
            "scale/half", "One side only, but divided by 2h: step to both.", lambda f, x, h: quotient(f, x, h, down=0)
        ),
        wrong_quotient("not-divided", "Divide by 2h: this is the difference.", lambda f, x, h: f(x + h) - f(x - h)),
        wrong_quotient("h-ignored", "Use the h that is given, not always 1e-5.", lambda f, x, h: quotient(f, x)),
        wrong_quotient(
            "half-step",
            "The steps are h/2 to each side; here h is the step to either side.",
            lambda f, x, h: quotient(f, x, h, up=0.5, down=0.5, over=1),
        ),
        wrong_quotient("value-for-slope", "This is f(x), not its slope.", lambda f, x, h: f(x)),
    ],
)
def numerical_derivative_cases(rng):
    def cubic():
        return Probe("cubic", {name: float(rng.uniform(1, 2)) for name in "abc"})

    def wave():
        return Probe("wave", {"a": float(rng.uniform(1, 2))})

    for title, f, args in (
        ("a cubic, h = 0.1", cubic(), {"x": 2.0, "h": 0.1}),
        ("a wave, h = 0.5", wave(), {"x": float(rng.uniform(0.5, 1)), "h": 0.5}),
        ("a cubic at a negative x, h = 0.01", cubic(), {"x": float(rng.uniform(-3, -2)), "h": 0.01}),
        ("a cubic at 0, h = 1", cubic(), {"x": 0.0, "h": 1.0}),
        ("a wave, the usual h", wave(), {"x": float(rng.uniform(2, 2.5))}),
        ("a cubic, the usual h", cubic(), {"x": float(rng.uniform(2, 3))}),
    ):
        yield case(title, "numerical_derivative", {"f": f, **args}, {"derivative": quotient(f, **args)})


# -- circuits -----------------------------------------------------------------------------


def passes(nodes, args):
    """Compute all values of a circuit, and the derivative of its output, the last node, with respect to each.

    `nodes` has each node as a function of the nodes that its arguments are named after.
    """
    names = [*args, *nodes]

    def forward(nudges):
        nudge = dict(zip(names, nudges, strict=True))
        values = {name: value + nudge[name] for name, value in args.items()}
        for name, node in nodes.items():
            values[name] = node(*(values[source] for source in parameters(node))) + nudge[name]
        return values

    def output(nudges):
        return forward([nudges[i] for i in range(len(names))])[names[-1]]

    zeros = np.zeros(len(names))
    _, gradient = value_and_gradient(output)(zeros)
    return forward(zeros), dict(zip(names, gradient.tolist(), strict=True))


def numbered(rng, first, *special, low=12, high=40):
    """Yield the lecture's numbers, three others, and others in which some are `special`."""
    yield "the lecture's numbers", first
    for _ in range(3):
        yield "other numbers", draw(rng, *first, low=low, high=high)
    for title, numbers in special:
        yield title, draw(rng, *first, low=low, high=high) | numbers


@assignment.exercise("add_mul_circuit", parts={"f": 2, "(dx, dy, dz)": 6}, mistakes=ADD_MUL_MISTAKES)
def add_mul_circuit_cases(rng):
    for title, args in numbered(rng, {"x": -2, "y": 5, "z": -4}, ("z is 0", {"z": 0.0})):
        values, grads = passes(ADD_MUL_NODES, args)
        right = {"f": values["f"], "(dx, dy, dz)": np.array([grads[name] for name in "xyz"])}
        yield case(titled(title, args), "add_mul_circuit", args, right)


FIVE = {"w0": 2, "x0": -1, "w1": -3, "x1": -2, "w2": -3}


@assignment.exercise(
    "sigmoid_circuit",
    parts={"values": 4, "gradients of nodes": 5, "gradients of inputs": 5},
    mistakes=SIGMOID_MISTAKES,
)
def sigmoid_circuit_cases(rng):
    parts = {"values": "values"} | {
        f'grads["{name}"]': "gradients of nodes" if name in SIGMOID_NODES else "gradients of inputs"
        for name in (*SIGMOID_NODES, *FIVE)
    }
    for title, args in numbered(rng, FIVE, ("x0 is 0", {"x0": 0.0}), low=3, high=20):
        values, grads = passes(SIGMOID_NODES, args)
        right = {"values": {name: float(values[name]) for name in SIGMOID_NODES}, "grads": grads}
        yield case(titled(title, args), "sigmoid_circuit", args, right, parts=parts)


@assignment.exercise("sigmoid_neuron", parts={"f": 2, "dw": 4, "dx": 4}, mistakes=NEURON_MISTAKES)
def sigmoid_neuron_cases(rng):
    for title, five in numbered(rng, FIVE, ("the inputs are 0", {"x0": 0.0, "x1": 0.0}), low=3, high=20):
        w, x = (np.array([five[name] for name in names], dtype=float) for names in (("w0", "w1", "w2"), ("x0", "x1")))
        values, grads = passes(SIGMOID_NODES, five)
        right = {
            "f": float(values["f"]),
            "dw": np.array([grads["w0"], grads["w1"], grads["w2"]]),
            "dx": np.array([grads["x0"], grads["x1"]]),
        }
        shown = titled(title, {"w": w.tolist(), "x": x.tolist()})
        yield case(shown, "sigmoid_neuron", {"w": w, "x": x}, right)


# -- gates --------------------------------------------------------------------------------


def gate_exercise(name, example, *pairs):
    """Describe a gate of two inputs, from an example (x, y, dz) and from `pairs`: titles, with x and y from rng."""

    def make(gate="gate"):
        return call(name, {}, save_as=gate)

    def forward(inputs, gate="gate"):
        return call(f"{gate}.forward", inputs, {"z": FROM_REFERENCE}, parts="forward")

    def backward(dz, gate="gate"):
        return call(f"{gate}.backward", {"dz": dz}, {"(dx, dy)": FROM_REFERENCE}, parts="backward")

    @assignment.exercise(
        name, parts={"forward": 1, "backward": 3}, mistakes=GATE_MISTAKES[name], reference={name: getattr(scalar, name)}
    )
    def cases(rng):
        x, y, dz = example
        yield Case("the lecture's numbers", (make(), forward({"x": x, "y": y}), backward(dz)))

        def upstream():
            return float(rng.choice([-1, 1]) * rng.integers(41, 60) / 10)

        for title, pair in pairs:
            yield Case(title, (make(), forward(pair(rng)), backward(upstream())))
        up, down = ({"x": one * number, "y": -one * number / 2} for one, number in ((1, 2.4), (-1, 1.6)))
        yield Case("forward twice, then backward", (make(), forward(up), forward(down), backward(upstream())))
        yield Case("backward twice", (make(), forward(up), backward(upstream()), backward(upstream())))
        a_and_b = (make("a"), make("b"), forward(up, "a"), forward(down, "b"))
        yield Case("two gates at once", (*a_and_b, backward(upstream(), "a"), backward(upstream(), "b")))
        if name == "MaxGate":
            for equal in (2.0, 0.0, -3.0):
                inputs, dz = {"x": equal, "y": equal}, upstream()
                split = evaluate("np.sum(gate.backward(dz))", {"dx + dy": dz}, args={"dz": dz}, parts="backward")
                yield Case(f"both are {equal:g}: any split of dz", (make(), forward(inputs), split))


def any_two(rng):
    return draw(rng, "x", "y")


def both(rng, first=1, second=-1):
    """Draw a small x and a large y with these signs."""
    return {"x": first * float(rng.integers(12, 25) / 10), "y": second * float(rng.integers(26, 40) / 10)}


gate_exercise("AddGate", (3, 4, 2), *[("other numbers", any_two)] * 3)
gate_exercise(
    "MultiplyGate", (2, 3, 5), *[("other numbers", any_two)] * 3, ("y is 0", lambda rng: {"x": 2.5, "y": 0.0})
)
gate_exercise(
    "MaxGate",
    (4, 5, 9),
    ("y is larger", lambda rng: both(rng, 1, 1)),
    ("both are negative", lambda rng: both(rng, -1, -1)),
    ("x is larger, and smaller in size", both),
    ("y is larger, x is negative", lambda rng: both(rng, -1, 1)),
)


@assignment.exercise(
    "CopyGate",
    parts={"forward": 1, "backward": 3},
    mistakes=GATE_MISTAKES["CopyGate"],
    reference={"CopyGate": scalar.CopyGate},
)
def copy_gate_cases(rng):
    numbers = [("the lecture's numbers", (7, 4, 2))]
    numbers += [("other numbers", draw(rng, "x", "da", "db").values()) for _ in range(3)]
    for title, (x, da, db) in [*numbers, ("nothing comes back from one copy", (1.5, -2.5, 0.0))]:
        yield Case(
            title,
            (
                call("CopyGate", {}, save_as="gate"),
                call("gate.forward", {"x": x}, {"(a, b)": FROM_REFERENCE}, parts="forward"),
                call("gate.backward", {"da": da, "db": db}, {"dx": FROM_REFERENCE}, parts="backward"),
            ),
        )


# -- fan-out, and three kinds of nodes ------------------------------------------------------


@assignment.exercise("shared_input", parts={"f": 2, "(dx, dy)": 6}, mistakes=SHARED_MISTAKES)
def shared_input_cases(rng):
    for title, args in numbered(rng, {"x": 3, "y": -1}, ("y is 0", {"y": 0.0}), ("x is 0", {"x": 0.0})):
        values, grads = passes(SHARED_NODES, args)
        right = {"f": values["f"], "(dx, dy)": np.array([grads["x"], grads["y"]])}
        yield case(titled(title, args).replace("lecture", "notebook"), "shared_input", args, right)


@assignment.exercise(
    "regression_circuit",
    parts={"L": 2, "gradients of nodes": 3, "gradients of parameters": 3, "gradients of data": 2},
    mistakes=REGRESSION_MISTAKES,
)
def regression_circuit_cases(rng):
    kinds = {"nodes": ("z", "yhat", "u"), "parameters": ("w0", "w1"), "data": ("x", "y")}
    parts = {name: f"gradients of {kind}" for kind, names in kinds.items() for name in names} | {"L": "L"}
    too_small = ("x is 0, and the prediction too small", {"x": 0.0, "y": 4.5})
    for title, args in numbered(rng, {"w0": 0.5, "w1": 2, "x": 3, "y": 4}, too_small):
        values, grads = passes(REGRESSION_NODES, args)
        right = {"L": values["L"], "grads": {name: grads[name] for name in parts if name != "L"}}
        shown = titled(title, args).replace("lecture", "notebook")
        yield case(shown, "regression_circuit", args, right, parts=parts)

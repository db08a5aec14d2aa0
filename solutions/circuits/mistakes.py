"""Known mistakes in `circuits`: each circuit by hand, forwards and backwards, with one step exchanged.

A circuit is a list of steps: the nodes, and then ``d<node>``, the gradient of the output with respect to each node.
"""

import numpy as np

from autograder.mistakes import Stepwise, instead

# -- what circuits have in common ----------------------------------------------------------


def start_mistakes(circuit, value):
    """Return the mistakes at the output, the node `value`."""

    def starting(code, message, start):
        return circuit.mistake(code, message, **{f"d{value}": start})

    return (
        starting(
            "starts-from-value",
            f"The backward pass starts from the value {value}; it starts from 1, the derivative of {value} by itself.",
            lambda **values: values[value],
        ),
        starting("sign", "The sign of all gradients is flipped.", lambda: -1.0),
        starting("gradient-zero", "All gradients are zero: the backward pass has to start from 1.", lambda: 0.0),
    )


def _together(*gradients):
    return np.array(gradients) + 0.0  # floats, and no −0


# -- f = (x + y) z ------------------------------------------------------------------------

ADD_MUL_NODES = {"q": lambda x, y: x + y, "f": lambda q, z: q * z}
ADD_MUL = Stepwise(
    {
        **ADD_MUL_NODES,
        "df": lambda: 1.0,
        "dq": lambda df, z: df * z,
        "dz": lambda df, q: df * q,
        "dx": lambda dq: dq,
        "dy": lambda dq: dq,
        "(dx, dy, dz)": lambda dx, dy, dz: _together(dx, dy, dz),
    },
    "f",
    "(dx, dy, dz)",
)


def _in_order(code, message, order):
    return ADD_MUL.mistake(code, message, **{"(dx, dy, dz)": order})


ADD_MUL_MISTAKES = (
    ADD_MUL.mistake(
        "upstream-ignored",
        "dx and dy are 1: that is the local gradient of the addition; multiply it by the upstream gradient dq.",
        dx=lambda: 1.0,
        dy=lambda: 1.0,
    ),
    ADD_MUL.mistake(
        "not-swapped",
        "A multiplication swaps: dq is z times the upstream gradient, and dz is q times it.",
        dq=lambda df, q: df * q,
        dz=lambda df, z: df * z,
    ),
    ADD_MUL.mistake(
        "addition-scales",
        "An addition hands the gradient on as it is: dx = dq and dy = dq, without x or y.",
        dx=lambda dq, x: dq * x,
        dy=lambda dq, y: dq * y,
    ),
    ADD_MUL.mistake(
        "addition-scales/swapped",
        "The addition is treated as a multiplication; it hands dq to both inputs, unchanged.",
        dx=lambda dq, y: dq * y,
        dy=lambda dq, x: dq * x,
    ),
    ADD_MUL.mistake(
        "addition-shares",
        "An addition does not share the gradient out: both inputs get all of it.",
        dx=lambda dq: dq / 2,
        dy=lambda dq: dq / 2,
    ),
    *start_mistakes(ADD_MUL, "f"),
    _in_order("order", "The order is (dx, dy, dz).", lambda dx, dy, dz: _together(dz, dy, dx)),
    _in_order("order/z-first", "The order is (dx, dy, dz).", lambda dx, dy, dz: _together(dz, dx, dy)),
    _in_order("dq-for-dz", "In the place of dz stands the gradient of q.", lambda dx, dy, dq: _together(dx, dy, dq)),
    ADD_MUL.mistake(
        "precedence", "This f is x + y·z: put brackets around x + y, or use q.", f=lambda x, y, z: x + y * z
    ),
    ADD_MUL.mistake("sum-for-product", "f is q + z here; it is q times z.", f=lambda q, z: q + z),
    ADD_MUL.mistake("output-missing", "What is returned as f is q: multiply it by z.", f=lambda q: q),
    instead(
        "fixed-numbers",
        "These are the lecture's numbers, whatever the inputs are: compute them from x, y and z.",
        lambda x, y, z: (-12.0, np.array([-4.0, -4.0, 3.0])),
        "f",
        "(dx, dy, dz)",
    ),
)

# -- the sigmoid, node by node --------------------------------------------------------------

SIGMOID_NODES = {
    "w0x0": lambda w0, x0: w0 * x0,
    "w1x1": lambda w1, x1: w1 * x1,
    "sum": lambda w0x0, w1x1: w0x0 + w1x1,
    "dot": lambda sum, w2: sum + w2,
    "neg": lambda dot: -dot,
    "exp": lambda neg: np.exp(neg),
    "plus1": lambda exp: exp + 1,
    "f": lambda plus1: 1 / plus1,
}
INPUTS = ("w0", "x0", "w1", "x1", "w2")


def _numbers(names):
    return lambda **values: {name: float(values[name]) for name in names}


def _gradients(names):
    return lambda **values: {name: float(values[f"d{name}"]) + 0.0 for name in names}  # + 0.0: no −0


def _rounded(step):
    return lambda **values: {name: round(number, 2) for name, number in step(**values).items()}


SIGMOID_STEPS = {
    **SIGMOID_NODES,
    "df": lambda: 1.0,
    "dplus1": lambda df, plus1: -df / plus1**2,
    "dexp": lambda dplus1: dplus1,
    "dneg": lambda dexp, exp: dexp * exp,
    "ddot": lambda dneg: -dneg,
    "dw2": lambda ddot: ddot,
    "dsum": lambda ddot: ddot,
    "dw0x0": lambda dsum: dsum,
    "dw1x1": lambda dsum: dsum,
    "dw0": lambda dw0x0, x0: dw0x0 * x0,
    "dx0": lambda dw0x0, w0: dw0x0 * w0,
    "dw1": lambda dw1x1, x1: dw1x1 * x1,
    "dx1": lambda dw1x1, w1: dw1x1 * w1,
    "values": _numbers(SIGMOID_NODES),
    "grads": _gradients([*SIGMOID_NODES, *INPUTS]),
}
SIGMOID = Stepwise(SIGMOID_STEPS, "values", "grads")

# Mistakes that change least come first.
SIGMOID_MISTAKES = (
    SIGMOID.mistake(
        "bias-times-itself", "w2 is added, not multiplied: its gradient is that of dot.", dw2=lambda ddot, w2: ddot * w2
    ),
    SIGMOID.mistake(
        "upstream-ignored/bias", "The gradient of w2 is 1 times the upstream gradient, not 1.", dw2=lambda: 1.0
    ),
    SIGMOID.mistake(
        "gradient-zero/bias", "The gradient of w2 is 0 here: the addition hands it that of dot.", dw2=lambda: 0.0
    ),
    SIGMOID.mistake(
        "not-swapped",
        "A multiplication swaps: the gradient of w0 has the factor x0, and that of x0 the factor w0.",
        dw0=lambda dw0x0, w0: dw0x0 * w0,
        dx0=lambda dw0x0, x0: dw0x0 * x0,
        dw1=lambda dw1x1, w1: dw1x1 * w1,
        dx1=lambda dw1x1, x1: dw1x1 * x1,
    ),
    SIGMOID.mistake(
        "upstream-ignored",
        "The gradients of w0, x0, w1, x1 are local ones: multiply by the gradient of the product.",
        dw0=lambda x0: x0,
        dx0=lambda w0: w0,
        dw1=lambda x1: x1,
        dx1=lambda w1: w1,
    ),
    SIGMOID.mistake(
        "products-skipped",
        "The multiplications are skipped: w0 gets the gradient of w0x0 times x0.",
        dw0=lambda dw0x0: dw0x0,
        dx0=lambda dw0x0: dw0x0,
        dw1=lambda dw1x1: dw1x1,
        dx1=lambda dw1x1: dw1x1,
    ),
    SIGMOID.mistake(
        "addition-scales",
        "An addition hands the gradient on as it is: w0x0 and w1x1 get that of sum.",
        dw0x0=lambda dsum, w0x0: dsum * w0x0,
        dw1x1=lambda dsum, w1x1: dsum * w1x1,
    ),
    SIGMOID.mistake(
        "addition-shares",
        "An addition does not share the gradient out: both inputs get all of it.",
        dw0x0=lambda dsum: dsum / 2,
        dw1x1=lambda dsum: dsum / 2,
    ),
    SIGMOID.mistake(
        "minus-missing/neg", "neg = −dot, so its local gradient is −1; here it is +1.", ddot=lambda dneg: dneg
    ),
    SIGMOID.mistake(
        "slope-of-input",
        "The slope of exp is its output, e^neg; here its input neg is taken.",
        dneg=lambda dexp, neg: dexp * neg,
    ),
    SIGMOID.mistake(
        "slope-applied-twice",
        "exp is applied twice: its slope is the value of the node exp, as it is.",
        dneg=lambda dexp, exp: dexp * np.exp(exp),
    ),
    SIGMOID.mistake("slope-missing", "The node exp is skipped: multiply by its slope, e^neg.", dneg=lambda dexp: dexp),
    SIGMOID.mistake(
        "upstream-ignored/exp",
        "The gradient of neg is the slope of exp alone: multiply it by the upstream gradient.",
        dneg=lambda exp: exp,
    ),
    SIGMOID.mistake(
        "power-rule-for-exp",
        "n x^(n−1) is the rule for powers; the derivative of e^x is e^x.",
        dneg=lambda dexp, neg: dexp * neg * np.exp(neg - 1),
    ),
    SIGMOID.mistake(
        "constant-multiplied",
        "A constant that is added has the slope 1: exp gets the gradient of plus1.",
        dexp=lambda dplus1, plus1: dplus1 * plus1,
    ),
    SIGMOID.mistake(
        "minus-missing/reciprocal",
        "The derivative of 1/x is −1/x²: the minus is missing.",
        dplus1=lambda df, plus1: df / plus1**2,
    ),
    SIGMOID.mistake(
        "square-missing", "The derivative of 1/x is −1/x²: the square is missing.", dplus1=lambda df, plus1: -df / plus1
    ),
    SIGMOID.mistake(
        "slope-of-output",
        "−1/x² is taken at the output f; the x in it is what goes into the node, plus1.",
        dplus1=lambda df, f: -df / f**2,
    ),
    SIGMOID.mistake(
        "logarithm",
        "ln x is what has 1/x as its derivative; the derivative of 1/x is −1/x².",
        dplus1=lambda df, plus1: df * np.log(plus1),
    ),
    SIGMOID.mistake(
        "slope-missing/reciprocal", "The node 1/x is skipped: multiply by its slope, −1/plus1².", dplus1=lambda df: df
    ),
    *start_mistakes(SIGMOID, "f"),
    SIGMOID.mistake("bias-missing", "The bias w2 is not added.", dot=lambda sum: sum),
    SIGMOID.mistake("minus-missing/forward", "neg is −dot: the minus is missing.", neg=lambda dot: dot),
    SIGMOID.mistake("one-missing", "plus1 is exp + 1: the 1 is missing.", plus1=lambda exp: exp),
    SIGMOID.mistake(
        "rounded",
        "Do not round: return the numbers as they are.",
        values=_rounded(SIGMOID_STEPS["values"]),
        grads=_rounded(SIGMOID_STEPS["grads"]),
    ),
)

# -- the sigmoid neuron ---------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


NEURON = Stepwise(
    {
        "dot": lambda w, x: w[:2] @ x + w[2],
        "f": lambda dot: sigmoid(dot),
        "ddot": lambda f: (1 - f) * f,
        "dw": lambda x, ddot: np.array([*x, 1.0]) * ddot,
        "dx": lambda w, ddot: w[:2] * ddot,
    },
    "f",
    "dw",
    "dx",
)
SWAPS = "A multiplication swaps: dw has the factors x, and dx has the factors w."

NEURON_MISTAKES = (
    NEURON.mistake(
        "bias-times-itself",
        "The bias is added, not multiplied: dw[2] is the gradient of dot.",
        dw=lambda w, x, ddot: np.array([*x, w[2]]) * ddot,
    ),
    NEURON.mistake(
        "gradient-zero/bias",
        "dw[2] is 0: the bias has a gradient too, that of dot.",
        dw=lambda x, ddot: np.array([*x, 0.0]) * ddot,
    ),
    NEURON.mistake(
        "upstream-ignored/bias",
        "dw[2] is 1: multiply by the gradient of dot.",
        dw=lambda x, ddot: np.array([*(x * ddot), 1.0]),
    ),
    NEURON.mistake(
        "bias-left-out", "dw has three entries: the last one is the gradient of the bias.", dw=lambda x, ddot: x * ddot
    ),
    NEURON.mistake("bias-as-weight", "dx has two entries: the bias belongs to no input.", dx=lambda w, ddot: w * ddot),
    NEURON.mistake("not-swapped", SWAPS, dw=lambda w, ddot: w * ddot, dx=lambda x, ddot: x * ddot),
    NEURON.mistake(
        "not-swapped/bias-right",
        SWAPS,
        dw=lambda w, ddot: np.array([w[0], w[1], 1.0]) * ddot,
        dx=lambda x, ddot: x * ddot,
    ),
    NEURON.mistake(
        "order",
        "The order is (f, dw, dx): the two gradients are exchanged.",
        dw=lambda w, ddot: w[:2] * ddot,
        dx=lambda x, ddot: np.array([*x, 1.0]) * ddot,
    ),
    NEURON.mistake(
        "slope-of-input",
        "The slope of the sigmoid is (1 − f) f, of its output; here its input is taken.",
        ddot=lambda dot: (1 - dot) * dot,
    ),
    NEURON.mistake(
        "slope-applied-twice",
        "The sigmoid is applied twice: f is σ(dot) already, so the slope is (1 − f) f.",
        ddot=lambda f: (1 - sigmoid(f)) * sigmoid(f),
    ),
    NEURON.mistake("slope-missing", "The sigmoid is skipped: multiply by its slope, (1 − f) f.", ddot=lambda: 1.0),
    NEURON.mistake(
        "slope-factor-missing", "The slope of the sigmoid is (1 − f) f; here it is 1 − f.", ddot=lambda f: 1 - f
    ),
    NEURON.mistake("slope-factor-missing/f", "The slope of the sigmoid is (1 − f) f; here it is f.", ddot=lambda f: f),
    NEURON.mistake(
        "slope-of-tanh", "1 − f² is the slope of tanh; that of the sigmoid is (1 − f) f.", ddot=lambda f: 1 - f * f
    ),
    NEURON.mistake("slope-sign", "The slope of the sigmoid is (1 − f) f, not (1 + f) f.", ddot=lambda f: (1 + f) * f),
    NEURON.mistake(
        "sign",
        "The sign of both gradients is flipped: the slope of the sigmoid is (1 − f) f.",
        ddot=lambda f: (f - 1) * f,
    ),
    NEURON.mistake("bias-missing", "The bias w[2] is not added.", dot=lambda w, x: w[:2] @ x),
    NEURON.mistake("minus-missing", "It is exp(−dot): the minus is missing.", f=lambda dot: sigmoid(-dot)),
    NEURON.mistake("sigmoid-missing", "f is the sum itself: the sigmoid is missing.", f=lambda dot: dot),
)

# -- an input that is used twice ---------------------------------------------------------------

SHARED_NODES = {"q": lambda x, y: x + y, "f": lambda q, x: q * x}
SHARED = Stepwise(
    {
        **SHARED_NODES,
        "df": lambda: 1.0,
        "dq": lambda df, x: df * x,
        "direct": lambda df, q: df * q,
        "through_q": lambda dq: dq,
        "dx": lambda direct, through_q: direct + through_q,
        "dy": lambda dq: dq,
        "(dx, dy)": lambda dx, dy: _together(dx, dy),
    },
    "f",
    "(dx, dy)",
)

SHARED_MISTAKES = (
    SHARED.mistake(
        "path-missing/direct",
        "x is used twice. Only its way through q is counted, or the other was overwritten: add both with +=.",
        direct=lambda: 0.0,
    ),
    SHARED.mistake(
        "path-missing/through-q",
        "x is used twice. Only its way straight into the multiplication is counted: add the one through q.",
        through_q=lambda: 0.0,
    ),
    SHARED.mistake("upstream-ignored", "The addition hands on dq, not 1.", through_q=lambda: 1.0, dy=lambda: 1.0),
    SHARED.mistake(
        "not-swapped",
        "A multiplication swaps: dq is x times the upstream gradient, and x gets q times it.",
        direct=lambda df, x: df * x,
        dq=lambda df, q: df * q,
    ),
    SHARED.mistake(
        "addition-scales",
        "An addition hands dq on as it is, without x or y.",
        through_q=lambda dq, x: dq * x,
        dy=lambda dq, y: dq * y,
    ),
    SHARED.mistake(
        "double-counting", "One of the two ways of x is counted twice: dx is 2x + y.", through_q=lambda dq: 2 * dq
    ),
    SHARED.mistake(
        "double-counting/direct",
        "One of the two ways of x is counted twice: dx is 2x + y.",
        direct=lambda df, q: 2 * df * q,
    ),
    SHARED.mistake(
        "multiplied",
        "The two gradients that come back to x are multiplied; they are added.",
        **{"(dx, dy)": lambda q, x: np.array([q * x, x])},
    ),
    SHARED.mistake(
        "averaged",
        "The two gradients that come back to x are averaged; they are added.",
        dx=lambda direct, through_q: (direct + through_q) / 2,
    ),
    *start_mistakes(SHARED, "f"),
    SHARED.mistake("order", "The order is (dx, dy).", **{"(dx, dy)": lambda dx, dy: _together(dy, dx)}),
    SHARED.mistake("wrong-factor", "f is q times x; here it is q times y.", f=lambda q, y: q * y),
    SHARED.mistake("sum-for-product", "f is q + x here; it is q times x.", f=lambda q, x: q + x),
    SHARED.mistake("output-missing", "What is returned as f is q: multiply it by x.", f=lambda q: q),
)

# -- linear regression -----------------------------------------------------------------------

REGRESSION_NODES = {
    "u": lambda w1, x: w1 * x,
    "yhat": lambda w0, u: w0 + u,
    "z": lambda yhat, y: yhat - y,
    "L": lambda z: z**2,
}
REGRESSION = Stepwise(
    {
        **REGRESSION_NODES,
        "dL": lambda: 1.0,
        "dz": lambda dL, z: dL * 2 * z,
        "dyhat": lambda dz: dz,
        "dy": lambda dz: -dz,
        "dw0": lambda dyhat: dyhat,
        "du": lambda dyhat: dyhat,
        "dw1": lambda du, x: du * x,
        "dx": lambda du, w1: du * w1,
        "grads": _gradients(("z", "yhat", "u", "w0", "w1", "x", "y")),
    },
    "L",
    "grads",
)

REGRESSION_MISTAKES = (
    REGRESSION.mistake("minus-missing", "z = ŷ − y, so the gradient of y has a minus.", dy=lambda dz: dz),
    REGRESSION.mistake(
        "gradient-zero/target", "The gradient of y is 0 here; a target has a gradient too: −dz.", dy=lambda: 0.0
    ),
    REGRESSION.mistake(
        "gradient-zero/input", "The gradient of x is 0 here; data has a gradient too: w1 du.", dx=lambda: 0.0
    ),
    REGRESSION.mistake(
        "addition-scales",
        "w0 is added, not multiplied: its gradient is that of yhat.",
        dw0=lambda dyhat, w0: dyhat * w0,
    ),
    REGRESSION.mistake(
        "upstream-ignored/w0", "The gradient of w0 is 1 times the upstream gradient, not 1.", dw0=lambda: 1.0
    ),
    REGRESSION.mistake(
        "not-swapped",
        "A multiplication swaps: the gradient of w1 has the factor x, and that of x the factor w1.",
        dw1=lambda du, w1: du * w1,
        dx=lambda du, x: du * x,
    ),
    REGRESSION.mistake(
        "upstream-ignored",
        "The gradients of w1 and x are local ones: multiply by the gradient of u.",
        dw1=lambda x: x,
        dx=lambda w1: w1,
    ),
    REGRESSION.mistake(
        "product-skipped",
        "The multiplication is skipped: w1 gets the gradient of u times x, and x gets it times w1.",
        dw1=lambda du: du,
        dx=lambda du: du,
    ),
    REGRESSION.mistake("factor-missing", "The derivative of z² is 2z: the 2 is missing.", dL=lambda: 0.5),
    REGRESSION.mistake("slope-missing", "The square is skipped: its slope is 2z, not 1.", dz=lambda dL: dL),
    REGRESSION.mistake("slope-missing/two", "The slope of z² is 2z, not 2.", dz=lambda dL: 2 * dL),
    REGRESSION.mistake("loss-for-gradient", "The gradient of z is 2z, not the loss z².", dz=lambda z: z**2),
    REGRESSION.mistake("square-kept", "The derivative of z² is 2z, not 2z².", dz=lambda z: 2 * z**2),
    REGRESSION.mistake(
        "difference-reversed",
        "z is ŷ − y, not y − ŷ. The loss is the same, but the gradient of z has the other sign.",
        z=lambda y, yhat: y - yhat,
        dyhat=lambda dz: -dz,
        dy=lambda dz: dz,
    ),
    *start_mistakes(REGRESSION, "L"),
    REGRESSION.mistake("half", "There is no ½ in this loss: L = z².", L=lambda z: z**2 / 2, dL=lambda: 0.5),
    REGRESSION.mistake("half/loss", "There is no ½ in this loss: L = z².", L=lambda z: z**2 / 2),
    REGRESSION.mistake("square-missing", "L is z²; the square is missing.", L=lambda z: z),
    REGRESSION.mistake("absolute", "L is z², not |z|.", L=lambda z: abs(z)),
    REGRESSION.mistake("sum-for-difference", "z is ŷ − y; here y is added.", z=lambda yhat, y: yhat + y),
    REGRESSION.mistake("bias-missing", "w0 is not added.", yhat=lambda u: u + 0.0),
)

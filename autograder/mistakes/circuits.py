"""The circuits of `circuits` by hand, and what goes wrong on the way back, gate by gate.

A circuit is a table of nodes and a table of ways back; in a mistake, some of either are replaced, and all that
follows from them follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..spec import Mistake, Results
from .general import instead

Numbers = dict[str, Any]
Node = Callable[..., Any]
Way = Callable[[Numbers, float], Any]


@dataclass(frozen=True)
class Circuit:
    """A circuit by hand.

    Attributes
    ----------
    nodes : dict
        Each node as a function of the nodes that its arguments are named after; the last is the output.
    back : dict
        For (node, source), what goes back from the one to the other: of all values and the upstream gradient.
    results : callable
        ``results(values, grads)``: what the student's function returns, by name.
    """

    nodes: Mapping[str, Node]
    back: Mapping[tuple[str, str], Way]
    results: Callable[[Numbers, Numbers], Results]

    def run(
        self,
        args: Results,
        nodes: Mapping[str, Node] | None = None,
        back: Mapping[tuple[str, str], Way] | None = None,
        start: Callable[[Numbers], float] = lambda v: 1.0,
        results: Callable[[Numbers, Numbers], Results] | None = None,
    ) -> Results:
        """Forwards and backwards, with some nodes or ways replaced, from ``start(values)`` at the output."""
        values = dict(args)
        for name, node in {**self.nodes, **(nodes or {})}.items():
            values[name] = node(*(values[source] for source in sources(node)))
        grads = dict.fromkeys(values, 0.0) | {[*self.nodes][-1]: start(values)}
        for (name, source), way in {**self.back, **(back or {})}.items():
            grads[source] += way(values, grads[name])
        return (results or self.results)(values, grads)

    def mistake(self, code: str, message: str, **changes: Any) -> Mistake:
        """The results with `changes` to :meth:`run`."""
        return Mistake(code, message, lambda right, args: self.run(args, **changes))

    def way(self, code: str, message: str, node: str, source: str, way: Way) -> Mistake:
        """One way back replaced."""
        return self.mistake(code, message, back={(node, source): way})


def sources(node: Node) -> tuple[str, ...]:
    """The names of a node's arguments."""
    return node.__code__.co_varnames[: node.__code__.co_argcount]


def tuples(*names: str) -> Callable[[Numbers, Numbers], Results]:
    """Results of the form (f, (dx, dy, …))."""
    together = "(dx, dy, dz)" if len(names) == 3 else "(dx, dy)"
    return lambda v, g: {"f": v["f"], together: np.array([g[name] for name in names])}


def start_mistakes(circuit: Circuit, value: str) -> tuple[Mistake, ...]:
    """What goes wrong at the output, whose value is called `value`."""
    return (
        circuit.mistake(
            "starts-from-value",
            f"The backward pass starts from the value {value}; it starts from 1, the derivative of {value} by itself.",
            start=lambda v: v[value],
        ),
        circuit.mistake("sign", "The sign of all gradients is flipped.", start=lambda v: -1.0),
        circuit.mistake(
            "gradient-zero", "All gradients are zero: the backward pass has to start from 1.", start=lambda v: 0.0
        ),
    )


# -- f = (x + y) z ------------------------------------------------------------------------

ADD_MUL = Circuit(
    {"q": lambda x, y: x + y, "f": lambda q, z: q * z},
    {
        ("f", "q"): lambda v, d: d * v["z"],
        ("f", "z"): lambda v, d: d * v["q"],
        ("q", "x"): lambda v, d: d,
        ("q", "y"): lambda v, d: d,
    },
    tuples("x", "y", "z"),
)

ADD_MUL_MISTAKES = (
    ADD_MUL.mistake(
        "upstream-ignored",
        "dx and dy are 1: that is the local gradient of the addition; multiply it by the upstream gradient dq.",
        back={("q", "x"): lambda v, d: 1.0, ("q", "y"): lambda v, d: 1.0},
    ),
    ADD_MUL.mistake(
        "not-swapped",
        "A multiplication swaps: dq is z times the upstream gradient, and dz is q times it.",
        back={("f", "q"): lambda v, d: d * v["q"], ("f", "z"): lambda v, d: d * v["z"]},
    ),
    ADD_MUL.mistake(
        "addition-scales",
        "An addition hands the gradient on as it is: dx = dq and dy = dq, without x or y.",
        back={("q", "x"): lambda v, d: d * v["x"], ("q", "y"): lambda v, d: d * v["y"]},
    ),
    ADD_MUL.mistake(
        "addition-scales/swapped",
        "The addition is treated as a multiplication; it hands dq to both inputs, unchanged.",
        back={("q", "x"): lambda v, d: d * v["y"], ("q", "y"): lambda v, d: d * v["x"]},
    ),
    ADD_MUL.mistake(
        "addition-shares",
        "An addition does not share the gradient out: both inputs get all of it.",
        back={("q", "x"): lambda v, d: d / 2, ("q", "y"): lambda v, d: d / 2},
    ),
    *start_mistakes(ADD_MUL, "f"),
    ADD_MUL.mistake("order", "The order is (dx, dy, dz).", results=tuples("z", "y", "x")),
    ADD_MUL.mistake("order/z-first", "The order is (dx, dy, dz).", results=tuples("z", "x", "y")),
    ADD_MUL.mistake(
        "dq-for-dz",
        "In the place of dz stands the gradient of q.",
        results=tuples("x", "y", "q"),
    ),
    ADD_MUL.mistake(
        "precedence", "This f is x + y·z: put brackets around x + y, or use q.", nodes={"f": lambda x, y, z: x + y * z}
    ),
    ADD_MUL.mistake("sum-for-product", "f is q + z here; it is q times z.", nodes={"f": lambda q, z: q + z}),
    ADD_MUL.mistake("output-missing", "What is returned as f is q: multiply it by z.", nodes={"f": lambda q: q}),
    instead(
        "fixed-numbers",
        "These are the lecture's numbers, whatever the inputs are: compute them from x, y and z.",
        lambda x, y, z: (-12.0, np.array([-4.0, -4.0, 3.0])),
        "f",
        "(dx, dy, dz)",
    ),
)

# -- the sigmoid, node by node --------------------------------------------------------------

NODES = ("w0x0", "w1x1", "sum", "dot", "neg", "exp", "plus1", "f")
INPUTS = ("w0", "x0", "w1", "x1", "w2")


def two_dicts(values: Numbers, grads: Numbers) -> Results:
    return {
        "values": {name: float(values[name]) for name in NODES},
        "grads": {name: float(grads[name]) for name in (*NODES, *INPUTS)},
    }


def rounded(values: Numbers, grads: Numbers) -> Results:
    return {
        kind: {name: round(number, 2) for name, number in numbers.items()}
        for kind, numbers in two_dicts(values, grads).items()
    }


def products(way: Callable[[float, float, float], float]) -> dict[tuple[str, str], Way]:
    """The four ways out of the two multiplications: way(own, other, upstream)."""

    def one(own: str, other: str) -> Way:
        return lambda v, d: way(v[own], v[other], d)

    pairs = (("w0x0", "w0", "x0"), ("w0x0", "x0", "w0"), ("w1x1", "w1", "x1"), ("w1x1", "x1", "w1"))
    return {(node, own): one(own, other) for node, own, other in pairs}


SIGMOID = Circuit(
    {
        "w0x0": lambda w0, x0: w0 * x0,
        "w1x1": lambda w1, x1: w1 * x1,
        "sum": lambda w0x0, w1x1: w0x0 + w1x1,
        "dot": lambda sum, w2: sum + w2,
        "neg": lambda dot: -dot,
        "exp": lambda neg: np.exp(neg),
        "plus1": lambda exp: exp + 1,
        "f": lambda plus1: 1 / plus1,
    },
    {
        ("f", "plus1"): lambda v, d: -d / v["plus1"] ** 2,
        ("plus1", "exp"): lambda v, d: d,
        ("exp", "neg"): lambda v, d: d * v["exp"],
        ("neg", "dot"): lambda v, d: -d,
        ("dot", "w2"): lambda v, d: d,
        ("dot", "sum"): lambda v, d: d,
        ("sum", "w0x0"): lambda v, d: d,
        ("sum", "w1x1"): lambda v, d: d,
        **products(lambda own, other, d: d * other),
    },
    two_dicts,
)

# Those that change least come first.
SIGMOID_MISTAKES = (
    SIGMOID.way(
        "bias-times-itself",
        "w2 is added, not multiplied: its gradient is that of dot.",
        *("dot", "w2"),
        lambda v, d: d * v["w2"],
    ),
    SIGMOID.way(
        "upstream-ignored/bias",
        "The gradient of w2 is 1 times the upstream gradient, not 1.",
        *("dot", "w2"),
        lambda v, d: 1.0,
    ),
    SIGMOID.way(
        "gradient-zero/bias",
        "The gradient of w2 is 0 here: the addition hands it that of dot.",
        *("dot", "w2"),
        lambda v, d: 0.0,
    ),
    SIGMOID.mistake(
        "not-swapped",
        "A multiplication swaps: the gradient of w0 has the factor x0, and that of x0 the factor w0.",
        back=products(lambda own, other, d: d * own),
    ),
    SIGMOID.mistake(
        "upstream-ignored",
        "The gradients of w0, x0, w1, x1 are local ones: multiply by the gradient of the product.",
        back=products(lambda own, other, d: other),
    ),
    SIGMOID.mistake(
        "products-skipped",
        "The multiplications are skipped: w0 gets the gradient of w0x0 times x0.",
        back=products(lambda own, other, d: d),
    ),
    SIGMOID.mistake(
        "addition-scales",
        "An addition hands the gradient on as it is: w0x0 and w1x1 get that of sum.",
        back={("sum", "w0x0"): lambda v, d: d * v["w0x0"], ("sum", "w1x1"): lambda v, d: d * v["w1x1"]},
    ),
    SIGMOID.mistake(
        "addition-shares",
        "An addition does not share the gradient out: both inputs get all of it.",
        back={("sum", "w0x0"): lambda v, d: d / 2, ("sum", "w1x1"): lambda v, d: d / 2},
    ),
    SIGMOID.way(
        "minus-missing/neg", "neg = −dot, so its local gradient is −1; here it is +1.", "neg", "dot", lambda v, d: d
    ),
    SIGMOID.way(
        "slope-of-input",
        "The slope of exp is its output, e^neg; here its input neg is taken.",
        *("exp", "neg"),
        lambda v, d: d * v["neg"],
    ),
    SIGMOID.way(
        "slope-applied-twice",
        "exp is applied twice: its slope is the value of the node exp, as it is.",
        *("exp", "neg"),
        lambda v, d: d * np.exp(v["exp"]),
    ),
    SIGMOID.way(
        "slope-missing", "The node exp is skipped: multiply by its slope, e^neg.", "exp", "neg", lambda v, d: d
    ),
    SIGMOID.way(
        "upstream-ignored/exp",
        "The gradient of neg is the slope of exp alone: multiply it by the upstream gradient.",
        *("exp", "neg"),
        lambda v, d: v["exp"],
    ),
    SIGMOID.way(
        "power-rule-for-exp",
        "n x^(n−1) is the rule for powers; the derivative of e^x is e^x.",
        *("exp", "neg"),
        lambda v, d: d * v["neg"] * np.exp(v["neg"] - 1),
    ),
    SIGMOID.way(
        "constant-multiplied",
        "A constant that is added has the slope 1: exp gets the gradient of plus1.",
        *("plus1", "exp"),
        lambda v, d: d * v["plus1"],
    ),
    SIGMOID.way(
        "minus-missing/reciprocal",
        "The derivative of 1/x is −1/x²: the minus is missing.",
        *("f", "plus1"),
        lambda v, d: d / v["plus1"] ** 2,
    ),
    SIGMOID.way(
        "square-missing",
        "The derivative of 1/x is −1/x²: the square is missing.",
        *("f", "plus1"),
        lambda v, d: -d / v["plus1"],
    ),
    SIGMOID.way(
        "slope-of-output",
        "−1/x² is taken at the output f; the x in it is what goes into the node, plus1.",
        *("f", "plus1"),
        lambda v, d: -d / v["f"] ** 2,
    ),
    SIGMOID.way(
        "logarithm",
        "ln x is what has 1/x as its derivative; the derivative of 1/x is −1/x².",
        *("f", "plus1"),
        lambda v, d: d * np.log(v["plus1"]),
    ),
    SIGMOID.way(
        "slope-missing/reciprocal",
        "The node 1/x is skipped: multiply by its slope, −1/plus1².",
        *("f", "plus1"),
        lambda v, d: d,
    ),
    *start_mistakes(SIGMOID, "f"),
    SIGMOID.mistake("bias-missing", "The bias w2 is not added.", nodes={"dot": lambda sum: sum}),
    SIGMOID.mistake("minus-missing/forward", "neg is −dot: the minus is missing.", nodes={"neg": lambda dot: dot}),
    SIGMOID.mistake("one-missing", "plus1 is exp + 1: the 1 is missing.", nodes={"plus1": lambda exp: exp}),
    SIGMOID.mistake("rounded", "Do not round: return the numbers as they are.", results=rounded),
)

# -- the sigmoid neuron ---------------------------------------------------------------------

Array = Any


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def neuron(
    w: Array,
    x: Array,
    *,
    dot: Callable[[Array, Array], Array] = lambda w, x: w[:2] @ x + w[2],
    f: Callable[[Array], Array] = sigmoid,
    slope: Callable[[Array, Array], Array] = lambda f, dot: (1 - f) * f,
    dw: Callable[[Array, Array, Array], Array] = lambda w, x, d: np.array([*x, 1.0]) * d,
    dx: Callable[[Array, Array, Array], Array] = lambda w, x, d: w[:2] * d,
) -> tuple[Array, Array, Array]:
    """(f, dw, dx) by hand, with each step open to be done otherwise."""
    total = dot(w, x)
    output = f(total)
    ddot = slope(output, total)
    return output, dw(w, x, ddot), dx(w, x, ddot)


def wrong_neuron(code: str, message: str, **steps: Callable[..., Array]) -> Mistake:
    return instead(code, message, lambda w, x: neuron(w, x, **steps), "f", "dw", "dx")


SWAPS = "A multiplication swaps: dw has the factors x, and dx has the factors w."

NEURON_MISTAKES = (
    wrong_neuron(
        "bias-times-itself",
        "The bias is added, not multiplied: dw[2] is the gradient of dot.",
        dw=lambda w, x, d: np.array([*x, w[2]]) * d,
    ),
    wrong_neuron(
        "gradient-zero/bias",
        "dw[2] is 0: the bias has a gradient too, that of dot.",
        dw=lambda w, x, d: np.array([*x, 0.0]) * d,
    ),
    wrong_neuron(
        "upstream-ignored/bias",
        "dw[2] is 1: multiply by the gradient of dot.",
        dw=lambda w, x, d: np.array([*(x * d), 1.0]),
    ),
    wrong_neuron(
        "bias-left-out",
        "dw has three entries: the last one is the gradient of the bias.",
        dw=lambda w, x, d: x * d,
    ),
    wrong_neuron("bias-as-weight", "dx has two entries: the bias belongs to no input.", dx=lambda w, x, d: w * d),
    wrong_neuron("not-swapped", SWAPS, dw=lambda w, x, d: w * d, dx=lambda w, x, d: x * d),
    wrong_neuron(
        "not-swapped/bias-right",
        SWAPS,
        dw=lambda w, x, d: np.array([w[0], w[1], 1.0]) * d,
        dx=lambda w, x, d: x * d,
    ),
    wrong_neuron(
        "order",
        "The order is (f, dw, dx): the two gradients are exchanged.",
        dw=lambda w, x, d: w[:2] * d,
        dx=lambda w, x, d: np.array([*x, 1.0]) * d,
    ),
    wrong_neuron(
        "slope-of-input",
        "The slope of the sigmoid is (1 − f) f, of its output; here its input is taken.",
        slope=lambda f, dot: (1 - dot) * dot,
    ),
    wrong_neuron(
        "slope-applied-twice",
        "The sigmoid is applied twice: f is σ(dot) already, so the slope is (1 − f) f.",
        slope=lambda f, dot: (1 - sigmoid(f)) * sigmoid(f),
    ),
    wrong_neuron(
        "slope-missing", "The sigmoid is skipped: multiply by its slope, (1 − f) f.", slope=lambda f, dot: 1.0
    ),
    wrong_neuron(
        "slope-factor-missing", "The slope of the sigmoid is (1 − f) f; here it is 1 − f.", slope=lambda f, dot: 1 - f
    ),
    wrong_neuron(
        "slope-factor-missing/f", "The slope of the sigmoid is (1 − f) f; here it is f.", slope=lambda f, dot: f
    ),
    wrong_neuron(
        "slope-of-tanh",
        "1 − f² is the slope of tanh; that of the sigmoid is (1 − f) f.",
        slope=lambda f, dot: 1 - f * f,
    ),
    wrong_neuron(
        "slope-sign", "The slope of the sigmoid is (1 − f) f, not (1 + f) f.", slope=lambda f, dot: (1 + f) * f
    ),
    wrong_neuron(
        "sign",
        "The sign of both gradients is flipped: the slope of the sigmoid is (1 − f) f.",
        slope=lambda f, dot: (f - 1) * f,
    ),
    wrong_neuron("bias-missing", "The bias w[2] is not added.", dot=lambda w, x: w[:2] @ x),
    wrong_neuron("minus-missing", "It is exp(−dot): the minus is missing.", f=lambda dot: sigmoid(-dot)),
    wrong_neuron("sigmoid-missing", "f is the sum itself: the sigmoid is missing.", f=lambda dot: dot),
)

# -- gates ----------------------------------------------------------------------------------


def gate(
    forward: Callable[..., Any], backward: Callable[..., Any], keeper: Callable[[Any], Any] = lambda self: self
) -> type:
    """A class of gates: forward(*inputs), and backward(*inputs, *upstream); `keeper(self)` remembers the inputs."""

    class Gate:
        def forward(self, *inputs: float) -> Any:
            keeper(self).kept = inputs
            return forward(*inputs)

        def backward(self, *upstream: float) -> Any:
            return backward(*keeper(self).kept, *upstream)

    return Gate


def first_kept(forward: Callable[..., Any], backward: Callable[..., Any]) -> type:
    """A class of gates that go on remembering their first inputs."""

    class Gate:
        kept: tuple[float, ...] | None = None

        def forward(self, *inputs: float) -> Any:
            self.kept = self.kept or inputs
            return forward(*inputs)

        def backward(self, *upstream: float) -> Any:
            assert self.kept is not None
            return backward(*self.kept, *upstream)

    return Gate


def memory(name: str, forward: Callable[..., Any], backward: Callable[..., Any]) -> tuple[Mistake, ...]:
    """What goes wrong with remembering."""
    return (
        Mistake(
            "kept-in-class",
            "What forward keeps is shared by all gates: store it in the object, as self.x, not in the class.",
            runs={name: gate(forward, backward, keeper=type)},
        ),
        Mistake(
            "kept-too-long",
            "A second forward has to replace what the first one has kept.",
            runs={name: first_kept(forward, backward)},
        ),
    )


def wrong_ways(
    name: str, forward: Callable[..., Any], *ways: tuple[str, str, Callable[..., Any]]
) -> tuple[Mistake, ...]:
    """Mistakes in backward(*inputs, *upstream): each a code, a message, and what is written instead."""
    return tuple(Mistake(code, message, runs={name: gate(forward, way)}) for code, message, way in ways)


def wrong_forward(
    name: str, code: str, message: str, forward: Callable[..., Any], backward: Callable[..., Any]
) -> Mistake:
    return Mistake(code, message, runs={name: gate(forward, backward)})


def add(x: float, y: float) -> float:
    return x + y


def hand_out(x: float, y: float, dz: float) -> tuple[float, float]:
    return dz, dz


def multiply(x: float, y: float) -> float:
    return x * y


def swap(x: float, y: float, dz: float) -> tuple[float, float]:
    return y * dz, x * dz


def pick(x: float, y: float, dz: float) -> tuple[float, float]:
    return (dz, 0.0) if x >= y else (0.0, dz)


def copy(x: float) -> tuple[float, float]:
    return x, x


def collect(x: float, da: float, db: float) -> float:
    return da + db


GATE_MISTAKES: dict[str, tuple[Mistake, ...]] = {
    "AddGate": (
        *wrong_ways(
            *("AddGate", add),
            (
                "upstream-ignored",
                "Both are 1: that is the local gradient; multiply it by the upstream gradient dz.",
                lambda x, y, dz: (1.0, 1.0),
            ),
            (
                "addition-shares",
                "An add gate does not share dz out: both inputs get all of it.",
                lambda x, y, dz: (dz / 2, dz / 2),
            ),
            ("addition-scales", "An add gate hands dz on as it is, without x or y.", lambda x, y, dz: (x * dz, y * dz)),
            ("rule-of-multiply", "This is the rule of the multiply gate; an add gate hands dz to both.", swap),
            ("one-input-only", "Only one input gets the gradient: dy is dz too.", lambda x, y, dz: (dz, 0.0)),
            ("scale/double", "Each input gets dz once, not twice.", lambda x, y, dz: (2 * dz, 2 * dz)),
            ("sign", "The sign is flipped: both slopes are +1.", lambda x, y, dz: (-dz, -dz)),
            ("rule-of-minus", "dy has the wrong sign: that is the rule for x − y.", lambda x, y, dz: (dz, -dz)),
            ("gradient-zero", "Both gradients are zero.", lambda x, y, dz: (0.0, 0.0)),
        ),
        wrong_forward(
            "AddGate", "wrong-operation", "An add gate adds; here x and y are multiplied.", multiply, hand_out
        ),
    ),
    "MultiplyGate": (
        *memory("MultiplyGate", multiply, swap),
        *wrong_ways(
            *("MultiplyGate", multiply),
            (
                "not-swapped",
                "A multiply gate swaps: dx is y · dz, and dy is x · dz.",
                lambda x, y, dz: (x * dz, y * dz),
            ),
            (
                "upstream-ignored",
                "The local gradients alone, y and x: multiply them by the upstream gradient dz.",
                lambda x, y, dz: (y, x),
            ),
            ("upstream-added", "The upstream gradient is multiplied, not added.", lambda x, y, dz: (y + dz, x + dz)),
            (
                "output-for-input",
                "dz is multiplied by the product; it is multiplied by the other input.",
                lambda x, y, dz: (x * y * dz, x * y * dz),
            ),
            ("rule-of-add", "This is the rule of the add gate; a multiply gate swaps.", hand_out),
            ("one-input-only", "Only one input gets a gradient: dy is x · dz.", lambda x, y, dz: (y * dz, 0.0)),
            ("sign", "The sign is flipped.", lambda x, y, dz: (-y * dz, -x * dz)),
            ("gradient-zero", "Both gradients are zero.", lambda x, y, dz: (0.0, 0.0)),
        ),
        wrong_forward(
            "MultiplyGate", "wrong-operation", "A multiply gate multiplies; here x and y are added.", add, swap
        ),
    ),
    "MaxGate": (
        *memory("MaxGate", max, pick),
        *wrong_ways(
            *("MaxGate", max),
            (
                "tie-both",
                "With equal inputs both get all of dz; together they get it once.",
                lambda x, y, dz: (dz, dz) if x == y else pick(x, y, dz),
            ),
            (
                "tie-none",
                "With equal inputs none gets the gradient; dz must go somewhere.",
                lambda x, y, dz: (0.0, 0.0) if x == y else pick(x, y, dz),
            ),
            (
                "upstream-ignored",
                "1 and 0 are the local gradients: multiply them by the upstream gradient dz.",
                lambda x, y, dz: pick(x, y, 1.0),
            ),
            (
                "smaller-picked",
                "The gradient goes to the smaller input; it goes to the larger one.",
                lambda x, y, dz: pick(-x, -y, dz),
            ),
            ("rule-of-add", "Both inputs get dz; only the larger one does.", hand_out),
            (
                "value-times-gradient",
                "The larger input gets dz as it is, not times its value.",
                lambda x, y, dz: pick(x, y, dz * max(x, y)),
            ),
            (
                "value-for-gradient",
                "The gradient is dz, not the value of the larger input.",
                lambda x, y, dz: pick(x, y, max(x, y)),
            ),
            (
                "always-first",
                "It is always x that gets the gradient; the larger input gets it.",
                lambda x, y, dz: (dz, 0.0),
            ),
            (
                "sizes-compared",
                "The sizes |x| and |y| are compared: −3 is smaller than 2.",
                lambda x, y, dz: pick(abs(x), abs(y), dz),
            ),
            ("sign", "The sign is flipped.", lambda x, y, dz: pick(x, y, -dz)),
            ("gradient-zero", "Both gradients are zero.", lambda x, y, dz: (0.0, 0.0)),
        ),
        wrong_forward("MaxGate", "wrong-operation", "This is the minimum; a max gate gives the larger one.", min, pick),
        wrong_forward(
            "MaxGate",
            "wrong-operation/relu",
            "This is max(0, x, y): two negative numbers have a maximum too.",
            lambda x, y: max(0, x, y),
            pick,
        ),
    ),
    "CopyGate": (
        *wrong_ways(
            *("CopyGate", copy),
            (
                "path-missing",
                "Only the first copy is counted: x reaches the output on both ways, so add.",
                lambda x, da, db: da,
            ),
            (
                "path-missing/second",
                "Only the second copy is counted (is one overwritten by `=`?): add both.",
                lambda x, da, db: db,
            ),
            ("averaged", "This is the mean; the two are added.", lambda x, da, db: (da + db) / 2),
            ("multiplied", "The two are multiplied; add them.", lambda x, da, db: da * db),
            ("not-collected", "One input, so one gradient: add the two.", lambda x, da, db: (da, db)),
            ("value-times-gradient", "A copy has slope 1: x itself does not come in.", lambda x, da, db: x * (da + db)),
            ("upstream-ignored", "This is 1 + 1; the upstream gradients are what is added.", lambda x, da, db: 2.0),
            ("sign", "The sign is flipped.", lambda x, da, db: -(da + db)),
            ("rule-of-minus", "The two are subtracted; add them.", lambda x, da, db: da - db),
            ("larger-picked", "A copy gate does not pick: add both.", lambda x, da, db: max(da, db)),
        ),
        wrong_forward("CopyGate", "one-copy", "Return (x, x), both copies.", lambda x: x, collect),
        wrong_forward(
            "CopyGate", "shared-out", "Both copies are x, not half of it.", lambda x: (x / 2, x / 2), collect
        ),
    ),
}

# -- an input that is used twice ---------------------------------------------------------------

SHARED = Circuit(
    {"q": lambda x, y: x + y, "f": lambda q, x: q * x},
    {
        ("f", "x"): lambda v, d: d * v["q"],
        ("f", "q"): lambda v, d: d * v["x"],
        ("q", "x"): lambda v, d: d,
        ("q", "y"): lambda v, d: d,
    },
    tuples("x", "y"),
)

SHARED_MISTAKES = (
    SHARED.way(
        "path-missing/direct",
        "x is used twice. Only its way through q is counted, or the other was overwritten: add both with +=.",
        *("f", "x"),
        lambda v, d: 0.0,
    ),
    SHARED.way(
        "path-missing/through-q",
        "x is used twice. Only its way straight into the multiplication is counted: add the one through q.",
        *("q", "x"),
        lambda v, d: 0.0,
    ),
    SHARED.mistake(
        "upstream-ignored",
        "The addition hands on dq, not 1.",
        back={("q", "x"): lambda v, d: 1.0, ("q", "y"): lambda v, d: 1.0},
    ),
    SHARED.mistake(
        "not-swapped",
        "A multiplication swaps: dq is x times the upstream gradient, and x gets q times it.",
        back={("f", "x"): lambda v, d: d * v["x"], ("f", "q"): lambda v, d: d * v["q"]},
    ),
    SHARED.mistake(
        "addition-scales",
        "An addition hands dq on as it is, without x or y.",
        back={("q", "x"): lambda v, d: d * v["x"], ("q", "y"): lambda v, d: d * v["y"]},
    ),
    SHARED.mistake(
        "double-counting",
        "One of the two ways of x is counted twice: dx is 2x + y.",
        back={("q", "x"): lambda v, d: 2 * d},
    ),
    SHARED.mistake(
        "double-counting/direct",
        "One of the two ways of x is counted twice: dx is 2x + y.",
        back={("f", "x"): lambda v, d: 2 * d * v["q"]},
    ),
    SHARED.mistake(
        "multiplied",
        "The two gradients that come back to x are multiplied; they are added.",
        results=lambda v, g: {"f": v["f"], "(dx, dy)": np.array([v["q"] * v["x"], v["x"]])},
    ),
    SHARED.mistake(
        "averaged",
        "The two gradients that come back to x are averaged; they are added.",
        results=lambda v, g: {"f": v["f"], "(dx, dy)": np.array([g["x"] / 2, g["y"]])},
    ),
    *start_mistakes(SHARED, "f"),
    SHARED.mistake("order", "The order is (dx, dy).", results=tuples("y", "x")),
    SHARED.mistake("wrong-factor", "f is q times x; here it is q times y.", nodes={"f": lambda q, y: q * y}),
    SHARED.mistake("sum-for-product", "f is q + x here; it is q times x.", nodes={"f": lambda q, x: q + x}),
    SHARED.mistake("output-missing", "What is returned as f is q: multiply it by x.", nodes={"f": lambda q: q}),
)

# -- linear regression -----------------------------------------------------------------------

KEYS = ("z", "yhat", "u", "w0", "w1", "x", "y")


def loss_and_dict(values: Numbers, grads: Numbers) -> Results:
    return {"L": float(values["L"]), "grads": {name: float(grads[name]) for name in KEYS}}


REGRESSION = Circuit(
    {
        "u": lambda w1, x: w1 * x,
        "yhat": lambda w0, u: w0 + u,
        "z": lambda yhat, y: yhat - y,
        "L": lambda z: z**2,
    },
    {
        ("L", "z"): lambda v, d: d * 2 * v["z"],
        ("z", "yhat"): lambda v, d: d,
        ("z", "y"): lambda v, d: -d,
        ("yhat", "w0"): lambda v, d: d,
        ("yhat", "u"): lambda v, d: d,
        ("u", "w1"): lambda v, d: d * v["x"],
        ("u", "x"): lambda v, d: d * v["w1"],
    },
    loss_and_dict,
)

REGRESSION_MISTAKES = (
    REGRESSION.way("minus-missing", "z = ŷ − y, so the gradient of y has a minus.", "z", "y", lambda v, d: d),
    REGRESSION.way(
        "gradient-zero/target",
        "The gradient of y is 0 here; a target has a gradient too: −dz.",
        "z",
        "y",
        lambda v, d: 0.0,
    ),
    REGRESSION.way(
        "gradient-zero/input",
        "The gradient of x is 0 here; data has a gradient too: w1 du.",
        "u",
        "x",
        lambda v, d: 0.0,
    ),
    REGRESSION.way(
        "addition-scales",
        "w0 is added, not multiplied: its gradient is that of yhat.",
        "yhat",
        "w0",
        lambda v, d: d * v["w0"],
    ),
    REGRESSION.way(
        "upstream-ignored/w0",
        "The gradient of w0 is 1 times the upstream gradient, not 1.",
        "yhat",
        "w0",
        lambda v, d: 1.0,
    ),
    REGRESSION.mistake(
        "not-swapped",
        "A multiplication swaps: the gradient of w1 has the factor x, and that of x the factor w1.",
        back={("u", "w1"): lambda v, d: d * v["w1"], ("u", "x"): lambda v, d: d * v["x"]},
    ),
    REGRESSION.mistake(
        "upstream-ignored",
        "The gradients of w1 and x are local ones: multiply by the gradient of u.",
        back={("u", "w1"): lambda v, d: v["x"], ("u", "x"): lambda v, d: v["w1"]},
    ),
    REGRESSION.mistake(
        "product-skipped",
        "The multiplication is skipped: w1 gets the gradient of u times x, and x gets it times w1.",
        back={("u", "w1"): lambda v, d: d, ("u", "x"): lambda v, d: d},
    ),
    REGRESSION.mistake(
        "factor-missing",
        "The derivative of z² is 2z: the 2 is missing.",
        start=lambda v: 0.5,
    ),
    REGRESSION.way("slope-missing", "The square is skipped: its slope is 2z, not 1.", "L", "z", lambda v, d: d),
    REGRESSION.way("slope-missing/two", "The slope of z² is 2z, not 2.", "L", "z", lambda v, d: 2 * d),
    REGRESSION.way(
        "loss-for-gradient", "The gradient of z is 2z, not the loss z².", "L", "z", lambda v, d: v["z"] ** 2
    ),
    REGRESSION.way("square-kept", "The derivative of z² is 2z, not 2z².", "L", "z", lambda v, d: 2 * v["z"] ** 2),
    REGRESSION.mistake(
        "difference-reversed",
        "z is ŷ − y, not y − ŷ. The loss is the same, but the gradient of z has the other sign.",
        nodes={"z": lambda y, yhat: y - yhat},
        back={("z", "yhat"): lambda v, d: -d, ("z", "y"): lambda v, d: d},
    ),
    *start_mistakes(REGRESSION, "L"),
    REGRESSION.mistake(
        "half", "There is no ½ in this loss: L = z².", nodes={"L": lambda z: z**2 / 2}, start=lambda v: 0.5
    ),
    REGRESSION.mistake("half/loss", "There is no ½ in this loss: L = z².", nodes={"L": lambda z: z**2 / 2}),
    REGRESSION.mistake("square-missing", "L is z²; the square is missing.", nodes={"L": lambda z: z}),
    REGRESSION.mistake("absolute", "L is z², not |z|.", nodes={"L": lambda z: abs(z)}),
    REGRESSION.mistake("sum-for-difference", "z is ŷ − y; here y is added.", nodes={"z": lambda yhat, y: yhat + y}),
    REGRESSION.mistake("bias-missing", "w0 is not added.", nodes={"yhat": lambda u: u}),
)

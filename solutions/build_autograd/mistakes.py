"""A right graph, network and functions with a context, and the ways in which students get them wrong."""

from itertools import pairwise

import numpy as np

from autograder.mistakes import Stepwise

from .value import Value

# -- the graph of gates ---------------------------------------------------------------------


class ComputationalGraph:
    """A graph of gates. Nodes are (name, gate, inputs), sorted; the last is the loss."""

    def __init__(self, nodes):
        self.nodes = self.in_order(nodes)

    @staticmethod
    def in_order(nodes):
        return nodes

    def forward(self, inputs):
        self.restart()
        self.given = dict(inputs)
        self.values = dict(inputs)
        for name, gate, sources in self.nodes:
            self.values[name] = gate.forward(*(self.values[source] for source in sources))
        return self.values[self.output()[0]]

    def restart(self):
        """Prepare a forward pass: nothing needs to be done."""

    def output(self):
        return self.nodes[-1]

    def backward(self):
        grads = self.fresh()
        for name, gate, sources in self.backwards():
            for source, gradient in zip(sources, self.gradients(gate, grads[name]), strict=False):
                self.receive(grads, source, gradient)
        return {name: grads[name] for name in self.given}

    def backwards(self):
        return reversed(self.nodes)

    def fresh(self):
        return {**dict.fromkeys(self.values, 0.0), self.nodes[-1][0]: self.seed()}

    def seed(self):
        return 1.0

    @staticmethod
    def gradients(gate, upstream):
        return gate.backward(upstream)

    @staticmethod
    def receive(grads, source, gradient):
        grads[source] += gradient


GRAPHS = Stepwise(ComputationalGraph, runs="ComputationalGraph")


def put(grads, source, gradient):
    grads[source] = gradient


def put_first(grads, source, gradient):
    grads[source] = grads[source] or gradient


def forget(self):
    self.left = {}


def leftover(self):
    """Start from the gradients that the last backward pass left."""
    self.left = {**dict.fromkeys(self.values, 0.0), **getattr(self, "left", {}), self.nodes[-1][0]: 1.0}
    return self.left


TWO_GRADIENTS = "What is used twice receives two gradients: add them up."
GRAPH = (
    GRAPHS.mistake("fan-out-overwritten", TWO_GRADIENTS, receive=put),
    GRAPHS.mistake("fan-out-overwritten/first", TWO_GRADIENTS, receive=put_first),
    GRAPHS.mistake(
        "order-not-reversed",
        "`backward` goes through the nodes from the last one to the first.",
        backwards=lambda self: self.nodes,
    ),
    GRAPHS.mistake(
        "seed-missing", "The gradient of the loss by itself is 1: without it, everything is 0.", seed=lambda self: 0.0
    ),
    GRAPHS.mistake(
        "seed-value",
        "The gradient of the loss by itself is 1, not its value.",
        seed=lambda self: self.values[self.nodes[-1][0]],
    ),
    GRAPHS.mistake(
        "upstream-ignored",
        "Each gate's `backward` gets the gradient of that gate's output, not 1.",
        gradients=lambda gate, upstream: gate.backward(1.0),
    ),
    GRAPHS.mistake(
        "not-afresh", "Gradients are left over from an earlier backward: begin with 0 each time.", fresh=leftover
    ),
    GRAPHS.mistake(
        "not-afresh/call",
        "Gradients are left over from the last backward: begin with 0.",
        fresh=leftover,
        restart=forget,
    ),
    GRAPHS.mistake(
        "wrong-node",
        "`forward` returns the value of the last node; this is another one's.",
        output=lambda self: self.nodes[0],
    ),
    GRAPHS.mistake(
        "inputs-swapped",
        "A gate gets its inputs in the order in which the node names them.",
        in_order=lambda nodes: [(name, gate, sources[::-1]) for name, gate, sources in nodes],
    ),
    GRAPHS.mistake(
        "gradients-swapped",
        "A gate's backward has a gradient for each input, in order.",
        gradients=lambda gate, upstream: reversed(gate.backward(upstream)),
    ),
)

# -- the network ----------------------------------------------------------------------------


class MLP:
    """A network. Every neuron is a list of weights and a bias; tanh follows every layer but the last."""

    number = Value

    def __init__(self, sizes):
        self.rng = np.random.default_rng(len(sizes))
        self.layers = [self.layer(before, after) for before, after in pairwise(sizes)]

    def layer(self, inputs, outputs):
        return [self.neuron(inputs) for _ in range(outputs)]

    def neuron(self, inputs):
        return [self.number(w) for w in self.start(inputs)], self.number(0.0)

    def start(self, inputs):
        return self.rng.uniform(-1, 1, size=inputs)

    def parameters(self):
        return [p for layer in self.learning() for weights, bias in layer for p in (*weights, bias)]

    def learning(self):
        return self.layers

    def __call__(self, x):
        for place, layer in enumerate(self.layers, start=1):
            x = [self.output_of(weights, bias, x) for weights, bias in layer]
            x = [self.activated(one, place == len(self.layers)) for one in x]
        return x[0] if len(x) == 1 else x

    @staticmethod
    def output_of(weights, bias, x):
        return sum((w * one for w, one in zip(weights, x, strict=False)), bias)

    @staticmethod
    def activated(one, last):
        return one if last else one.tanh()


class WrongMLP(MLP):
    """A network with a mistake that shows without training it."""

    untrained = True


NETWORKS = Stepwise(WrongMLP, runs="MLP")


def without_bias(weights, bias, x):
    return sum(w * one for w, one in zip(weights, x, strict=False))


def detached(self, x):
    """Call the network, and wrap its numbers in new values."""
    out = MLP.__call__(self, x)
    return [self.number(one.value) for one in out] if isinstance(out, list) else self.number(out.value)


ALIKE = "All weights begin alike, so all neurons of a layer stay alike."
NETWORK = (
    NETWORKS.mistake(
        "activation-missing",
        "The hidden layers apply tanh; without it the network is linear.",
        activated=lambda one, last: one,
    ),
    NETWORKS.mistake(
        "activation-at-the-end",
        "The output layer applies no tanh: its output may be any number.",
        activated=lambda one, last: one.tanh(),
    ),
    NETWORKS.mistake(
        "relu-for-tanh",
        "The hidden layers apply tanh here, not relu.",
        activated=lambda one, last: one if last else one.relu(),
    ),
    NETWORKS.mistake(
        "sigmoid-for-tanh",
        "The hidden layers apply tanh here, not sigmoid.",
        activated=lambda one, last: one if last else one.sigmoid(),
    ),
    NETWORKS.mistake(
        "bias-unused",
        "The biases are parameters, and the output does not depend on them: add them.",
        output_of=without_bias,
    ),
    NETWORKS.mistake(
        "bias-missing",
        "Every neuron has a bias, which is added to its sum and belongs to `parameters()`.",
        output_of=without_bias,
        parameters=lambda self: [p for layer in self.layers for weights, _ in layer for p in weights],
    ),
    NETWORKS.mistake(
        "parameters-missing/last", "`parameters()` leaves out the last layer.", learning=lambda self: self.layers[:-1]
    ),
    NETWORKS.mistake(
        "parameters-missing/first",
        "`parameters()` has those of the last layer only.",
        learning=lambda self: self.layers[-1:],
    ),
    NETWORKS.mistake(
        "neurons-shared",
        "`[neuron] * n` is n times the same neuron: make a new one each time.",
        layer=lambda self, inputs, outputs: [MLP.layer(self, inputs, outputs)[0]] * outputs,
    ),
    NETWORKS.mistake("no-symmetry-breaking", ALIKE, start=lambda self, inputs: np.zeros(inputs)),
    NETWORKS.mistake("no-symmetry-breaking/one", ALIKE, start=lambda self, inputs: np.ones(inputs)),
    NETWORKS.mistake(
        "graph-cut", "The output is a new Value that does not know where it comes from.", __call__=detached
    ),
)

# -- functions with a context ---------------------------------------------------------------


class Function:
    """A function whose context keeps the output z and the inputs; `output` and `gradients` are its rule."""

    @classmethod
    def forward(cls, ctx, *inputs):
        z = cls.output(*inputs)
        cls.place(ctx).kept = (z, *inputs)
        return z

    @classmethod
    def backward(cls, ctx, grad):
        return cls.gradients(grad, *cls.place(ctx).kept)

    @staticmethod
    def place(ctx):
        return ctx


def logistic(x):
    return 1 / (1 + np.exp(-x))


class Multiply(Function):
    @staticmethod
    def output(x, y):
        return x * y

    @staticmethod
    def gradients(grad, z, x, y):
        return y * grad, x * grad


class Sigmoid(Function):
    output = staticmethod(logistic)

    @staticmethod
    def gradients(grad, z, x):
        return grad * z * (1 - z)


class MatMul(Function):
    @staticmethod
    def output(X, W):
        return X @ W

    @staticmethod
    def gradients(grad, Y, X, W):
        return grad @ W.T, X.T @ grad


FUNCTIONS = {function.__name__: function for function in (Multiply, Sigmoid, MatMul)}


def wrong_functions(function, *ways):
    """Return the mistakes common to all functions, and those given by (code, message, gradients)."""
    reference, right = Stepwise(function, runs=function.__name__), function.gradients
    shared = type("Shared", (), {})
    ignored = "The upstream gradient `grad` does not come in: multiply the local slope by it."
    common = (
        ("upstream-ignored", ignored, lambda grad, *kept: right(np.ones_like(grad), *kept)),
        ("sign", "The sign is flipped.", lambda grad, *kept: right(-grad, *kept)),
    )
    return (
        reference.mistake(
            "context-ignored",
            "What is saved belongs to one use: keep it in `ctx`, not in the class or in a global variable.",
            place=lambda ctx: shared,
        ),
        *(reference.mistake(code, message, gradients=way) for code, message, way in (*common, *ways)),
    )


WRONG_FUNCTIONS = {
    "Multiply": wrong_functions(
        Multiply,
        (
            "factors-not-swapped",
            "The slope by one factor is the other: grad_x = y · grad.",
            lambda grad, z, x, y: (x * grad, y * grad),
        ),
        (
            "gradient-of-sum",
            "These are the gradients of x + y: each needs the other factor.",
            lambda grad, z, x, y: (grad, grad),
        ),
        ("output-for-factor", "The slope is the other factor, not z.", lambda grad, z, x, y: (z * grad, z * grad)),
        ("quotient-for-product", "This divides by the other factor.", lambda grad, z, x, y: (grad / y, grad / x)),
    ),
    "Sigmoid": wrong_functions(
        Sigmoid,
        (
            "sigmoid-of-input",
            "The slope is z (1 − z) with the output z, not with the input x.",
            lambda grad, z, x: grad * x * (1 - x),
        ),
        (
            "sigmoid-again",
            "The sigmoid is applied to the output once more: z is σ(x) already.",
            lambda grad, z, x: grad * logistic(z) * (1 - logistic(z)),
        ),
        ("sigmoid-as-tanh", "The slope is z (1 − z); 1 − z² is that of tanh.", lambda grad, z, x: grad * (1 - z * z)),
        ("factor-missing", "The slope is z (1 − z): the factor z is missing.", lambda grad, z, x: grad * (1 - z)),
        ("factor-missing/other", "The slope is z (1 − z): the factor 1 − z is missing.", lambda grad, z, x: grad * z),
    ),
    "MatMul": wrong_functions(
        MatMul,
        ("swapped", "Return (grad_X, grad_W), in this order.", lambda grad, Y, X, W: (X.T @ grad, grad @ W.T)),
        (
            "transposed",
            "Both gradients are transposed: each has the shape of what it is the gradient of.",
            lambda grad, Y, X, W: (W @ grad.T, grad.T @ X),
        ),
        ("wrong-factor", "These are X and W themselves.", lambda grad, Y, X, W: (X, W)),
    ),
}

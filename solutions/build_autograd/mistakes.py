"""A right `Value`, graph and network, and the ways in which students get them wrong.

Each wrong one is a subclass that differs in one thing.
"""

from itertools import pairwise

import numpy as np

from autograder.spec import Mistake


class Value:
    """A number that keeps its inputs and the slope by each. A student's process may get this text: it stands alone."""

    # operation -> its inputs in; the result out, and then the slope by each input
    rules = {  # noqa: RUF012
        "+": lambda x, y: (x + y, 1.0, 1.0),
        "-": lambda x, y: (x - y, 1.0, -1.0),
        "*": lambda x, y: (x * y, y, x),
        "/": lambda x, y: (x / y, 1 / y, -x / y**2),
        "**": lambda x, p: (x**p, p * x ** (p - 1), 0.0),
        "neg": lambda x: (-x, -1.0),
        "exp": lambda x: (z := float(np.exp(x)), z),
        "log": lambda x: (float(np.log(x)), 1 / x),
        "tanh": lambda x: (z := float(np.tanh(x)), 1 - z * z),
        "sigmoid": lambda x: (z := float(0.5 + 0.5 * np.tanh(0.5 * x)), z * (1 - z)),
        "relu": lambda x: (max(x, 0.0), float(x > 0)),
    }

    def __init__(self, value, inputs=(), slopes=(), operation=""):
        self.value, self.grad = float(value), 0.0
        self.inputs, self.slopes, self.operation = tuple(inputs), tuple(slopes), operation

    def made(self, operation, *given):
        """The result of an operation on values and plain numbers."""
        inputs = [one if isinstance(one, type(self)) else type(self)(one) for one in given]
        z, *slopes = self.rules[operation](*(one.value for one in inputs))
        return type(self)(z, inputs, slopes, operation)

    def __add__(self, other):
        return self.made("+", self, other)

    def __radd__(self, other):
        return self.made("+", other, self)

    def __sub__(self, other):
        return self.made("-", self, other)

    def __rsub__(self, other):
        return self.made("-", other, self)

    def __mul__(self, other):
        return self.made("*", self, other)

    def __rmul__(self, other):
        return self.made("*", other, self)

    def __truediv__(self, other):
        return self.made("/", self, other)

    def __rtruediv__(self, other):
        return self.made("/", other, self)

    def __pow__(self, power):
        return self.made("**", self, power)

    def __neg__(self):
        return self.made("neg", self)

    def exp(self):
        return self.made("exp", self)

    def log(self):
        return self.made("log", self)

    def tanh(self):
        return self.made("tanh", self)

    def sigmoid(self):
        return self.made("sigmoid", self)

    def relu(self):
        return self.made("relu", self)

    def order(self):
        """All that this was computed from, and itself, each once, inputs first."""
        order = []
        seen = set()
        stack = [(self, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack.extend((one, False) for one in node.inputs)
        return order

    def visits(self):
        """The nodes whose turn it is to pass on what they have, in this order."""
        return reversed(self.order())

    def backward(self):
        for node in self.order():
            node.grad = 0.0
        self.grad = 1.0
        for node in self.visits():
            for one, slope in zip(node.inputs, node.slopes, strict=False):
                one.receive(self.passed_on(node, slope))

    def passed_on(self, node, slope):
        return node.grad * slope

    def receive(self, gradient):
        self.grad += gradient


# -- the pass through the graph -------------------------------------------------------------


class Wrong(Value):
    """What its mistake gives shows in short programs: nobody need wait for it in long ones."""

    longest = 1000


class Overwriting(Wrong):
    def receive(self, gradient):
        self.grad = gradient


class OverwritingFromTheRight(Overwriting):
    def order(self):
        order = []
        seen = set()
        stack = [(self, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack.extend((one, False) for one in reversed(node.inputs))
        return order


class VisitedAgain(Wrong):
    """Once for every way that leads to a node: as from a recursion without a set of those that it has seen."""

    def visits(self):
        found = []
        stack = [(self, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                found.append(node)
            else:
                stack.append((node, True))
                stack.extend((one, False) for one in reversed(node.inputs))
        return reversed(found)


class Recursive(Wrong):
    """Passes on what has come so far, and then asks each input to do the same, at once."""

    turned = False

    def visits(self):
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(node.inputs if self.turned else reversed(node.inputs))


class RecursiveFromTheRight(Recursive):
    turned = True


class DepthFirst(Wrong):
    """Each node once, but as soon as it is met: before all that use it have passed on theirs."""

    turned = False

    def visits(self):
        seen = set()
        stack = [self]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                yield node
                stack.extend(node.inputs if self.turned else reversed(node.inputs))


class DepthFirstFromTheRight(DepthFirst):
    turned = True


class BreadthFirst(Wrong):
    def visits(self):
        found = [self]
        seen = {self}
        for node in found:
            for one in node.inputs:
                if one not in seen:
                    seen.add(one)
                    found.append(one)
        return found


class NotPropagated(Wrong):
    def visits(self):
        return [self]


class Deep(Value):
    """Right, by a recursion."""

    def order(self):
        return recursive_order(self)


class Unseeded(Wrong):
    def visits(self):
        self.grad = 0.0
        return super().visits()


class SeededWithItsValue(Wrong):
    def visits(self):
        self.grad = self.value
        return super().visits()


class Forgetful(Wrong):
    def made(self, operation, *given):
        result = super().made(operation, *given)
        result.inputs = ()
        return result


class HalfForgetful(Wrong):
    def made(self, operation, *given):
        result = super().made(operation, *given)
        result.inputs = result.inputs[:1]
        return result


class Accumulating(Wrong):
    """Nothing is ever set back to 0."""

    def backward(self):
        self.grad = 1.0
        for node in self.visits():
            for one, slope in zip(node.inputs, node.slopes, strict=False):
                one.receive(node.grad * slope)


class AccumulatingItself(Accumulating):
    def backward(self):
        before = self.grad
        super().backward()
        self.grad = before + 1.0


class Adding(Wrong):
    """A right pass each time, added to what is there."""

    def backward(self):
        before = [(node, node.grad) for node in self.order()]
        super().backward()
        for node, grad in before:
            node.grad += grad


class Local(Wrong):
    def passed_on(self, node, slope):
        return slope


class Negative(Wrong):
    def passed_on(self, node, slope):
        return -node.grad * slope


class SwappedDifference(Wrong):
    def __rsub__(self, other):
        return self - other


class SwappedQuotient(Wrong):
    def __rtruediv__(self, other):
        return self / other


class Swapped(SwappedDifference, SwappedQuotient):
    pass


TWICE = (
    "A node passes its gradient on once for each way that leads to it; it must do so exactly once, "
    "when all its users have."
)
EARLY = (
    "A node passes its gradient on before all that use it have passed on theirs: "
    "go through the nodes in reverse topological order."
)
SWAPPED = "`2 - a` and `2 / a` reach `__rsub__` and `__rtruediv__` with `a` as self: the number stands on the left."
DEPTH = (
    "A recursion ends at Python's limit of about 1000 calls inside one another: "
    "keep a list of what is still to do instead."
)
AFRESH = "`backward` adds to what an earlier one has left: set the gradients of all nodes to 0 first."
OVERWRITTEN = "A value that is used twice receives two gradients: add them up, with += in place of =."

# -- local slopes ---------------------------------------------------------------------------


def slope(code, message, operation, rule):
    """The mistake that one operation has another rule."""
    wrong = type("OfOneRule", (Wrong,), {"rules": {**Value.rules, operation: rule}})
    return Mistake(code, message, runs={"Value": wrong})


def upstream_ignored(operation):
    def passed_on(self, node, slope):
        return slope if node.operation == operation else node.grad * slope

    wrong = type("OfOneRule", (Wrong,), {"passed_on": passed_on})
    return Mistake(f"upstream-ignored/{operation}", UPSTREAM.format(f" of {operation}"), runs={"Value": wrong})


def sigmoid(x):
    return float(0.5 + 0.5 * np.tanh(0.5 * x))


UPSTREAM = "The upstream gradient does not come in{}: multiply the local slope by the gradient of the result."
OUTPUT = "The slope of {0} is taken of its input where its output is meant: with z = {0}(x), it is {1}."
AGAIN = "The slope of {0} applies {0} to the output once more: with z = {0}(x), it is {1}."
SLOPES = (
    slope(
        "factors-not-swapped",
        "The slope of a product by one factor is the other factor.",
        "*",
        lambda x, y: (x * y, x, y),
    ),
    slope("difference-sign", "The slope of a − b by b is −1.", "-", lambda x, y: (x - y, 1.0, 1.0)),
    slope("quotient-sign", "The slope of a / b by b is negative: −a/b².", "/", lambda x, y: (x / y, 1 / y, x / y**2)),
    slope(
        "quotient-square", "The slope of a / b by b is −a/b², with a square.", "/", lambda x, y: (x / y, 1 / y, -x / y)
    ),
    slope(
        "quotient-numerator",
        "The slope of a / b by b is −a/b²: a is missing.",
        "/",
        lambda x, y: (x / y, 1 / y, -1 / y**2),
    ),
    slope("quotient-as-product", "The slope of a / b by a is 1/b.", "/", lambda x, y: (x / y, y, -x / y**2)),
    slope("neg-sign", "The slope of −a is −1.", "neg", lambda x: (-x, 1.0)),
    slope(
        "power-not-lowered",
        "The slope of a ** p is p · a ** (p − 1): the power is one less.",
        "**",
        lambda x, p: (x**p, p * x**p, 0.0),
    ),
    slope(
        "power-factor-missing",
        "The slope of a ** p is p · a ** (p − 1): p is missing.",
        "**",
        lambda x, p: (x**p, x ** (p - 1), 0.0),
    ),
    slope("power-linear", "The slope of a ** p is p · a ** (p − 1), not p · a.", "**", lambda x, p: (x**p, p * x, 0.0)),
    slope("exp-of-input", OUTPUT.format("exp", "z itself"), "exp", lambda x: (float(np.exp(x)), x)),
    slope("exp-again", AGAIN.format("exp", "z itself"), "exp", lambda x: (z := float(np.exp(x)), float(np.exp(z)))),
    slope(
        "exp-slope-one", "The slope of exp is exp: the result itself, not 1.", "exp", lambda x: (float(np.exp(x)), 1.0)
    ),
    slope("log-of-output", "The slope of log is 1/x, of its input.", "log", lambda x: (z := float(np.log(x)), 1 / z)),
    slope("log-slope-log", "The slope of log is 1/x, not log x.", "log", lambda x: (z := float(np.log(x)), z)),
    slope("log-slope-x", "The slope of log is 1/x, not x.", "log", lambda x: (float(np.log(x)), x)),
    slope("tanh-of-input", OUTPUT.format("tanh", "1 − z²"), "tanh", lambda x: (float(np.tanh(x)), 1 - x * x)),
    slope(
        "tanh-again",
        AGAIN.format("tanh", "1 − z²"),
        "tanh",
        lambda x: (z := float(np.tanh(x)), 1 - float(np.tanh(z)) ** 2),
    ),
    slope(
        "tanh-square-missing",
        "The slope of tanh is 1 − z², with a square.",
        "tanh",
        lambda x: (z := float(np.tanh(x)), 1 - z),
    ),
    slope("sigmoid-of-input", OUTPUT.format("sigmoid", "z(1 − z)"), "sigmoid", lambda x: (sigmoid(x), x * (1 - x))),
    slope(
        "sigmoid-again",
        AGAIN.format("sigmoid", "z(1 − z)"),
        "sigmoid",
        lambda x: (z := sigmoid(x), sigmoid(z) * (1 - sigmoid(z))),
    ),
    slope(
        "sigmoid-as-tanh",
        "The slope of sigmoid is z(1 − z); 1 − z² is that of tanh.",
        "sigmoid",
        lambda x: (z := sigmoid(x), 1 - z * z),
    ),
    slope("relu-mask-missing", "Where relu gives 0 it passes no gradient on.", "relu", lambda x: (max(x, 0.0), 1.0)),
    slope(
        "relu-mask-inverted",
        "relu passes the gradient on where its input is positive.",
        "relu",
        lambda x: (max(x, 0.0), float(x < 0)),
    ),
    slope(
        "relu-slope-value",
        "The slope of relu is 1 where its input is positive, not the input.",
        "relu",
        lambda x: (max(x, 0.0), max(x, 0.0)),
    ),
    slope(
        "relu-slope-zero", "The slope of relu is 1 where its input is positive.", "relu", lambda x: (max(x, 0.0), 0.0)
    ),
)


def whole(code, message, wrong):
    return Mistake(code, message, runs={"Value": wrong})


VALUE = (
    whole("fan-out-overwritten", OVERWRITTEN, Overwriting),
    whole("fan-out-overwritten/right", OVERWRITTEN, OverwritingFromTheRight),
    whole("visited-twice", TWICE, VisitedAgain),
    whole("visited-twice/recursive", TWICE, Recursive),
    whole("visited-twice/recursive-right", TWICE, RecursiveFromTheRight),
    whole("not-topological", EARLY, DepthFirst),
    whole("not-topological/right", EARLY, DepthFirstFromTheRight),
    whole("not-topological/breadth", EARLY, BreadthFirst),
    whole(
        "not-propagated",
        "Only the direct inputs of the result receive a gradient: does every node remember its inputs, "
        "is the order reversed, and does each node pass its own on?",
        NotPropagated,
    ),
    whole("seed-missing", "The gradient of the result by itself is 1: without it, everything is 0.", Unseeded),
    whole("seed-value", "The gradient of the result by itself is 1, not its value.", SeededWithItsValue),
    whole(
        "inputs-not-kept",
        "The results do not remember what they were computed from, so `backward` ends where it starts.",
        Forgetful,
    ),
    whole(
        "inputs-not-kept/second",
        "The results remember their first input only: the second never receives a gradient.",
        HalfForgetful,
    ),
    whole("not-afresh", AFRESH, Accumulating),
    whole("not-afresh/itself", AFRESH, AccumulatingItself),
    whole("not-afresh/sum", AFRESH, Adding),
    whole("upstream-ignored", UPSTREAM.format(""), Local),
    *(upstream_ignored(operation) for operation in Value.rules),
    whole("sign", "The sign is flipped wherever a gradient is passed on.", Negative),
    whole("reflected-swapped", SWAPPED, Swapped),
    whole("reflected-swapped/difference", SWAPPED, SwappedDifference),
    whole("reflected-swapped/quotient", SWAPPED, SwappedQuotient),
    *SLOPES,
    whole("recursion", DEPTH, Deep),
)


# -- the graph of gates ---------------------------------------------------------------------


class ComputationalGraph:
    """Nodes are (name, gate, inputs), sorted; the last is the loss."""

    def __init__(self, nodes):
        self.nodes = nodes

    def forward(self, inputs):
        self.given = dict(inputs)
        self.values = dict(inputs)
        for name, gate, sources in self.nodes:
            self.values[name] = gate.forward(*(self.values[source] for source in sources))
        return self.values[self.nodes[-1][0]]

    def backward(self):
        grads = self.fresh()
        self.pass_back(grads, list(reversed(self.nodes)))
        return {name: grads[name] for name in self.given}

    def fresh(self):
        return {**dict.fromkeys(self.values, 0.0), self.nodes[-1][0]: self.seed()}

    def seed(self):
        return 1.0

    def pass_back(self, grads, nodes):
        for name, gate, sources in nodes:
            for source, gradient in zip(sources, gate.backward(grads[name]), strict=False):
                self.receive(grads, source, gradient)

    def receive(self, grads, source, gradient):
        grads[source] += gradient


class OverwritingGraph(ComputationalGraph):
    def receive(self, grads, source, gradient):
        grads[source] = gradient


class FirstComeGraph(ComputationalGraph):
    def receive(self, grads, source, gradient):
        grads[source] = grads[source] or gradient


class UnreversedGraph(ComputationalGraph):
    def pass_back(self, grads, nodes):
        super().pass_back(grads, self.nodes)


class UnseededGraph(ComputationalGraph):
    def seed(self):
        return 0.0


class SeededWithLoss(ComputationalGraph):
    def seed(self):
        return self.values[self.nodes[-1][0]]


class UpstreamOnes(ComputationalGraph):
    def pass_back(self, grads, nodes):
        for _, gate, sources in nodes:
            for source, gradient in zip(sources, gate.backward(1.0), strict=False):
                self.receive(grads, source, gradient)


class LeftoverGraph(ComputationalGraph):
    """Keeps its gradients from one backward to the next."""

    kept = None

    def fresh(self):
        self.kept = {**dict.fromkeys(self.values, 0.0), **(self.kept or {}), self.nodes[-1][0]: 1.0}
        return self.kept


class LeftoverSinceForward(LeftoverGraph):
    def forward(self, inputs):
        self.kept = None
        return super().forward(inputs)


class FirstNodeGraph(ComputationalGraph):
    def forward(self, inputs):
        super().forward(inputs)
        return self.values[self.nodes[0][0]]


class TurnedGates(ComputationalGraph):
    """Gates get their inputs in the order in which the graph knows them, not in that of the node."""

    def __init__(self, nodes):
        super().__init__([(name, gate, sources[::-1]) for name, gate, sources in nodes])


class TurnedBack(ComputationalGraph):
    def pass_back(self, grads, nodes):
        for name, gate, sources in nodes:
            for source, gradient in zip(sources, reversed(gate.backward(grads[name])), strict=False):
                self.receive(grads, source, gradient)


def of_graph(code, message, wrong):
    return Mistake(code, message, runs={"ComputationalGraph": wrong})


GRAPH = (
    of_graph("fan-out-overwritten", "What is used twice receives two gradients: add them up.", OverwritingGraph),
    of_graph("fan-out-overwritten/first", "What is used twice receives two gradients: add them up.", FirstComeGraph),
    of_graph(
        "order-not-reversed", "`backward` goes through the nodes from the last one to the first.", UnreversedGraph
    ),
    of_graph("seed-missing", "The gradient of the loss by itself is 1: without it, everything is 0.", UnseededGraph),
    of_graph("seed-value", "The gradient of the loss by itself is 1, not its value.", SeededWithLoss),
    of_graph(
        "upstream-ignored", "Each gate's `backward` gets the gradient of that gate's output, not 1.", UpstreamOnes
    ),
    of_graph("not-afresh", "Gradients are left over from an earlier backward: begin with 0 each time.", LeftoverGraph),
    of_graph("not-afresh/call", "Gradients are left over from the last backward: begin with 0.", LeftoverSinceForward),
    of_graph("wrong-node", "`forward` returns the value of the last node; this is another one's.", FirstNodeGraph),
    of_graph("inputs-swapped", "A gate gets its inputs in the order in which the node names them.", TurnedGates),
    of_graph("gradients-swapped", "A gate's backward has a gradient for each input, in order.", TurnedBack),
)

# -- the network ----------------------------------------------------------------------------


class MLP:
    """Every neuron is a list of weights and a bias; tanh after every layer but the last."""

    number = Value

    def __init__(self, sizes):
        self.rng = np.random.default_rng(len(sizes))
        self.layers = [[self.neuron(before) for _ in range(after)] for before, after in pairwise(sizes)]

    def neuron(self, inputs):
        return [self.number(w) for w in self.rng.uniform(-1, 1, size=inputs)], self.number(0.0)

    def parameters(self):
        return [p for layer in self.layers for weights, bias in layer for p in (*weights, bias)]

    def __call__(self, x):
        for place, layer in enumerate(self.layers, start=1):
            x = [self.output_of(weights, bias, x) for weights, bias in layer]
            x = [self.activated(one, place == len(self.layers)) for one in x]
        return x[0] if len(x) == 1 else x

    def output_of(self, weights, bias, x):
        return sum((w * one for w, one in zip(weights, x, strict=False)), bias)

    def activated(self, one, last):
        return one if last else one.tanh()


class WrongMLP(MLP):
    """Nobody need train it: its mistake shows before."""

    untrained = True


class Linear(WrongMLP):
    def activated(self, one, last):
        return one


class TanhAtTheEnd(WrongMLP):
    def activated(self, one, last):
        return one.tanh()


class Rectified(WrongMLP):
    def activated(self, one, last):
        return one if last else one.relu()


class Squashed(WrongMLP):
    def activated(self, one, last):
        return one if last else one.sigmoid()


class Unbiased(WrongMLP):
    """The biases are there, and not used."""

    def output_of(self, weights, bias, x):
        return sum(w * one for w, one in zip(weights, x, strict=False))


class WithoutBiases(Unbiased):
    def parameters(self):
        return [p for layer in self.layers for weights, _ in layer for p in weights]


class LastLayerLeftOut(WrongMLP):
    def parameters(self):
        return [p for layer in self.layers[:-1] for weights, bias in layer for p in (*weights, bias)]


class OnlyLastLayer(WrongMLP):
    def parameters(self):
        return [p for weights, bias in self.layers[-1] for p in (*weights, bias)]


class SharedNeurons(WrongMLP):
    """As of ``[neuron] * n``: one neuron, n times."""

    def __init__(self, sizes):
        super().__init__(sizes)
        self.layers = [[layer[0]] * len(layer) for layer in self.layers]


class AllZero(WrongMLP):
    def neuron(self, inputs):
        return [self.number(0.0) for _ in range(inputs)], self.number(0.0)


class AllOne(WrongMLP):
    def neuron(self, inputs):
        return [self.number(1.0) for _ in range(inputs)], self.number(0.0)


class Detached(WrongMLP):
    """Computes with the numbers, and wraps the result."""

    def __call__(self, x):
        out = super().__call__(x)
        return [self.number(one.value) for one in out] if isinstance(out, list) else self.number(out.value)


def of_network(code, message, wrong):
    return Mistake(code, message, runs={"MLP": wrong})


BIASES = "Every neuron has a bias, which is added to its sum and belongs to `parameters()`."
NETWORK = (
    of_network("activation-missing", "The hidden layers apply tanh; without it the network is linear.", Linear),
    of_network(
        "activation-at-the-end", "The output layer applies no tanh: its output may be any number.", TanhAtTheEnd
    ),
    of_network("relu-for-tanh", "The hidden layers apply tanh here, not relu.", Rectified),
    of_network("sigmoid-for-tanh", "The hidden layers apply tanh here, not sigmoid.", Squashed),
    of_network("bias-unused", "The biases are parameters, and the output does not depend on them: add them.", Unbiased),
    of_network("bias-missing", BIASES, WithoutBiases),
    of_network("parameters-missing/last", "`parameters()` leaves out the last layer.", LastLayerLeftOut),
    of_network("parameters-missing/first", "`parameters()` has those of the last layer only.", OnlyLastLayer),
    of_network("neurons-shared", "`[neuron] * n` is n times the same neuron: make a new one each time.", SharedNeurons),
    of_network("no-symmetry-breaking", "All weights begin alike, so all neurons of a layer stay alike.", AllZero),
    of_network("no-symmetry-breaking/one", "All weights begin alike, so all neurons of a layer stay alike.", AllOne),
    of_network("graph-cut", "The output is a new Value that does not know where it comes from.", Detached),
)

# -- functions with a context ---------------------------------------------------------------


def function(forward, backward, keep=None):
    """A class with forward(*inputs) -> z and backward(grad, z, *inputs); `keep` holds what the context should."""

    class Function:
        @staticmethod
        def forward(ctx, *inputs):
            z = forward(*inputs)
            (ctx if keep is None else keep).kept = (z, *inputs)
            return z

        @staticmethod
        def backward(ctx, grad):
            return backward(grad, *(ctx if keep is None else keep).kept)

    return Function


def logistic(x):
    return 1 / (1 + np.exp(-x))


FORMULAS = {
    "Multiply": (lambda x, y: x * y, lambda grad, z, x, y: (y * grad, x * grad)),
    "Sigmoid": (logistic, lambda grad, z, x: grad * z * (1 - z)),
    "MatMul": (lambda X, W: X @ W, lambda grad, Y, X, W: (grad @ W.T, X.T @ grad)),
}
FUNCTIONS = {name: function(*formulas) for name, formulas in FORMULAS.items()}


def wrong_ways(name, *ways):
    """The mistakes of all functions, and those given by (code, message, backward)."""
    forward, right = FORMULAS[name]
    place = "What is saved belongs to one use: keep it in `ctx`, not in the class or in a global variable."
    ignored = "The upstream gradient `grad` does not come in: multiply the local slope by it."
    common = (
        ("upstream-ignored", ignored, lambda grad, *kept: right(np.ones_like(grad), *kept)),
        ("sign", "The sign is flipped.", lambda grad, *kept: right(-grad, *kept)),
    )
    return (
        Mistake("context-ignored", place, runs={name: function(forward, right, type("Kept", (), {}))}),
        *(Mistake(code, message, runs={name: function(forward, way)}) for code, message, way in (*common, *ways)),
    )


WRONG_FUNCTIONS = {
    "Multiply": wrong_ways(
        "Multiply",
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
    "Sigmoid": wrong_ways(
        "Sigmoid",
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
    "MatMul": wrong_ways(
        "MatMul",
        ("swapped", "Return (grad_X, grad_W), in this order.", lambda grad, Y, X, W: (X.T @ grad, grad @ W.T)),
        (
            "transposed",
            "Both gradients are transposed: each has the shape of what it is the gradient of.",
            lambda grad, Y, X, W: (W @ grad.T, grad.T @ X),
        ),
        ("wrong-factor", "These are X and W themselves.", lambda grad, Y, X, W: (X, W)),
    ),
}

# -- the order ------------------------------------------------------------------------------


def topological_order(output):
    order = []
    seen = set()
    stack = [(output, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((one, False) for one in node.inputs)
    return order


def recursive_order(output):
    order = []
    seen = set()

    def visit(node):
        if node not in seen:
            seen.add(node)
            for one in node.inputs:
                visit(one)
            order.append(node)

    visit(output)
    return order


ORDER = (Mistake("recursion", DEPTH, runs={"topological_order": recursive_order}),)

"""A right `Value`, and its known mistakes: in each, one step is exchanged, a method or a rule."""

import numpy as np

from autograder.mistakes import Stepwise
from autograder.spec import Mistake


class Value:
    """A number that keeps its inputs, and its derivative with respect to each."""

    # operation -> function of its inputs: the result, and its derivative with respect to each input
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
        """Apply an operation to values and plain numbers."""
        inputs = [one if isinstance(one, type(self)) else type(self)(one) for one in given]
        z, *slopes = self.rules[operation](*(one.value for one in inputs))
        return type(self)(z, self.kept(inputs), slopes, operation)

    @staticmethod
    def kept(inputs):
        return inputs

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
        """List all that this was computed from, and itself: each once, inputs first."""
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
        """Give the nodes in the order in which they pass on their gradients."""
        return reversed(self.order())

    def backward(self):
        self.reset()
        self.grad = self.seed()
        for node in self.visits():
            for one, slope in zip(node.inputs, node.slopes, strict=False):
                one.receive(self.passed_on(node, slope))

    def reset(self):
        for node in self.order():
            node.grad = 0.0

    def seed(self):
        return 1.0

    def passed_on(self, node, slope):
        return node.grad * slope

    def receive(self, gradient):
        self.grad += gradient


# -- other ways through the graph -----------------------------------------------------------


class Wrong(Value):
    """A value with a mistake that shows in short programs; longer ones are not tried."""

    longest = 1000


WRONG = Stepwise(Wrong, runs="Value")


def overwrite(self, gradient):
    self.grad = gradient


def order_from_the_right(self):
    """Do what `Value.order` does, with the inputs of each node in reverse order."""
    order, seen, stack = [], set(), [(self, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((one, False) for one in reversed(node.inputs))
    return order


def every_path(self):
    """Visit each node once for every path that leads to it, as a recursion without a set of visited nodes does."""
    found, stack = [], [(self, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            found.append(node)
        else:
            stack.append((node, True))
            stack.extend((one, False) for one in reversed(node.inputs))
    return reversed(found)


def recursive(turn):
    """Return visits that pass on the gradient received so far, and go on to the inputs at once."""

    def visits(self):
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(turn(node.inputs))

    return visits


def depth_first(turn):
    """Return visits to each node as soon as it is met, before all its users have passed on their gradients."""

    def visits(self):
        seen, stack = set(), [self]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                yield node
                stack.extend(turn(node.inputs))

    return visits


def breadth_first(self):
    found, seen = [self], {self}
    for node in found:
        for one in node.inputs:
            if one not in seen:
                seen.add(one)
                found.append(one)
    return found


def nothing(self):
    pass


def add_to_itself(self):
    """Add to the old gradients, also to that of the result."""
    before = self.grad
    Value.backward(self)
    self.grad = before + 1.0


def add_to_all(self):
    """Add the right gradients to those of the last backward pass."""
    before = [(node, node.grad) for node in self.order()]
    Value.backward(self)
    for node, grad in before:
        node.grad += grad


def swapped_difference(self, other):
    return self - other


def swapped_quotient(self, other):
    return self / other


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
    """Give one operation another rule."""
    return WRONG.mistake(code, message, rules={**Value.rules, operation: rule})


def upstream_ignored(operation):
    def passed_on(self, node, slope):
        return slope if node.operation == operation else node.grad * slope

    message = UPSTREAM.format(f" of {operation}")
    return WRONG.mistake(f"upstream-ignored/{operation}", message, passed_on=passed_on)


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


VALUE = (
    WRONG.mistake("fan-out-overwritten", OVERWRITTEN, receive=overwrite),
    WRONG.mistake("fan-out-overwritten/right", OVERWRITTEN, receive=overwrite, order=order_from_the_right),
    WRONG.mistake("visited-twice", TWICE, visits=every_path),
    WRONG.mistake("visited-twice/recursive", TWICE, visits=recursive(reversed)),
    WRONG.mistake("visited-twice/recursive-right", TWICE, visits=recursive(tuple)),
    WRONG.mistake("not-topological", EARLY, visits=depth_first(reversed)),
    WRONG.mistake("not-topological/right", EARLY, visits=depth_first(tuple)),
    WRONG.mistake("not-topological/breadth", EARLY, visits=breadth_first),
    WRONG.mistake(
        "not-propagated",
        "Only the direct inputs of the result receive a gradient: does every node remember its inputs, "
        "is the order reversed, and does each node pass its own on?",
        visits=lambda self: [self],
    ),
    WRONG.mistake(
        "seed-missing", "The gradient of the result by itself is 1: without it, everything is 0.", seed=lambda self: 0.0
    ),
    WRONG.mistake(
        "seed-value", "The gradient of the result by itself is 1, not its value.", seed=lambda self: self.value
    ),
    WRONG.mistake(
        "inputs-not-kept",
        "The results do not remember what they were computed from, so `backward` ends where it starts.",
        kept=lambda inputs: (),
    ),
    WRONG.mistake(
        "inputs-not-kept/second",
        "The results remember their first input only: the second never receives a gradient.",
        kept=lambda inputs: inputs[:1],
    ),
    WRONG.mistake("not-afresh", AFRESH, reset=nothing),
    WRONG.mistake("not-afresh/itself", AFRESH, reset=nothing, backward=add_to_itself),
    WRONG.mistake("not-afresh/sum", AFRESH, backward=add_to_all),
    WRONG.mistake("upstream-ignored", UPSTREAM.format(""), passed_on=lambda self, node, slope: slope),
    *(upstream_ignored(operation) for operation in Value.rules),
    WRONG.mistake(
        "sign",
        "The sign is flipped wherever a gradient is passed on.",
        passed_on=lambda self, node, slope: -node.grad * slope,
    ),
    WRONG.mistake("reflected-swapped", SWAPPED, __rsub__=swapped_difference, __rtruediv__=swapped_quotient),
    WRONG.mistake("reflected-swapped/difference", SWAPPED, __rsub__=swapped_difference),
    WRONG.mistake("reflected-swapped/quotient", SWAPPED, __rtruediv__=swapped_quotient),
    *SLOPES,
    Stepwise(Value, runs="Value").mistake("recursion", DEPTH, order=lambda self: recursive_order(self)),
)

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

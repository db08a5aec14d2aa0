"""What is graded in `build_autograd`: programs of several steps, and right classes that go through the same steps.

The right classes and the wrong ones are in `mistakes.py` and `value.py`.
"""

import numpy as np

from autograder.spec import FROM_REFERENCE, Assignment, Case, OfObjects, call, evaluate, expect, shipped

from . import mistakes as known
from . import value

assignment = Assignment("build_autograd")


# -- the graph as an object -----------------------------------------------------------------


def wired():
    """The nodes of a graph: (name, gate, inputs) for each (name, operation, inputs) of `wiring`."""
    rules = {
        "add": lambda x, y: (x + y, 1.0, 1.0),
        "subtract": lambda x, y: (x - y, 1.0, -1.0),
        "multiply": lambda x, y: (x * y, y, x),
        "divide": lambda x, y: (x / y, 1 / y, -x / y**2),
        "multiply-add": lambda x, y, z: (x * y + z, y, x, 1.0),
        "max": lambda x, y: (x, 1.0, 0.0) if x >= y else (y, 0.0, 1.0),
        "sine": lambda x: (float(np.sin(x)), float(np.cos(x))),
        "sigmoid": lambda x: (z := float(1 / (1 + np.exp(-x))), z * (1 - z)),
    }

    class Gate:
        def __init__(self, operation):
            self.rule = rules[operation]

        def forward(self, *inputs):
            z, *self.slopes = self.rule(*inputs)
            return z

        def backward(self, dz):
            return tuple(dz * slope for slope in self.slopes)

    return [(name, Gate(operation), list(inputs)) for name, operation, inputs in wiring]  # noqa: F821


@assignment.exercise(
    "ComputationalGraph",
    parts={"loss": 4, "gradients": 6, "branches": 4},
    reference={"ComputationalGraph": known.ComputationalGraph},
    mistakes=known.GRAPH,
)
def graph_cases(rng):
    neuron = [("a", "multiply", "wx"), ("b", "multiply", "vy"), ("s", "add", "ab"), ("d", "add", "sc")]
    q = ("q", "add", "xy")
    for title, names, wiring in (
        ("(x + y) z", "xyz", [q, ("f", "multiply", "qz")]),
        ("(x − y) / z: the order of the inputs counts", "xyz", [("q", "subtract", "xy"), ("f", "divide", "qz")]),
        ("one gate with one input", "x", [("f", "sine", "x")]),
        ("a gate with three inputs", "xyz", [("p", "multiply-add", "xyz"), ("f", "sine", "p")]),
        ("a neuron with a sigmoid gate", "wxvyc", [*neuron, ("f", "sigmoid", "d")]),
        ("an input that is not used", "xyz", [("p", "divide", "zx"), ("f", "sine", "p")]),
        ("branches: (x + y) x", "xy", [q, ("f", "multiply", "qx")]),
        ("branches: x x, the same input twice in one gate", "x", [("f", "multiply", "xx")]),
        ("branches: a node that is used twice", "xy", [q, ("r", "sine", "q"), ("f", "divide", "rq")]),
        ("branches: random wiring", "xyz", random_wiring(rng)),
    ):
        part = "branches" if title.startswith("branches") else "gradients"
        nodes = shipped(wired, wiring=wiring)
        steps = [evaluate("ComputationalGraph(nodes())", args={"nodes": nodes}, save_as="graph")]
        for _ in range(2):
            inputs = {name: float(rng.choice([-1, 1]) * rng.uniform(0.5, 2)) for name in names}
            gradients = {"gradients": dict.fromkeys(inputs, FROM_REFERENCE)}
            steps += [
                call("graph.forward", {"inputs": inputs}, {"loss": FROM_REFERENCE}),
                call("graph.backward", {}, gradients, parts=part),
            ]
        yield Case(title, (*steps, call("graph.backward", {}, gradients, parts=part)))


def random_wiring(rng):
    names, wiring = list("xyz"), []
    for number in range(6):
        operation = str(rng.choice(["add", "subtract", "multiply", "max"]))
        other = names[-1] if number else "y"
        wiring.append((f"n{number}", operation, [str(rng.choice(names)), other]))
        names.append(f"n{number}")
    return [*wiring, ("f", "sine", ["n5"])]


# -- functions with a context ---------------------------------------------------------------


def new_context():
    class Context:
        def __init__(self):
            self.saved_tensors = ()

        def save_for_backward(self, *tensors):
            self.saved_tensors = tensors

    return Context()


def describe_function(name, parts, gradients, uses):
    """Describe the exercise `name`: backward returns `gradients`; `uses(rng)` yields titles and arguments by name.

    All uses of a case are begun before the first gradient is asked for.
    """
    right = known.FUNCTIONS[name]

    @assignment.exercise(name, parts=parts, reference={name: right}, mistakes=known.WRONG_FUNCTIONS[name])
    def cases(rng):
        for title, *arguments in uses(rng):
            begun, ended = [], []
            for number, args in enumerate(arguments):
                ctx, shape = f"ctx{number}", np.shape(right.forward(new_context(), *args.values()))
                grad = {"grad": rng.normal(size=shape) if shape else float(rng.normal())}
                row = {one: expect(FROM_REFERENCE, row=len(shape) == 1) for one in gradients}
                begun.append(evaluate("new_context()", args={"new_context": shipped(new_context)}, save_as=ctx))
                forward = f"{name}.forward({ctx}, {', '.join(args)})"
                begun.append(evaluate(forward, {"forward": FROM_REFERENCE}, args=args))
                ended.append(evaluate(f"{name}.backward({ctx}, grad)", row, args=grad))
            yield Case(title, (*begun, *ended))


def entry_by_entry(*names):
    def uses(rng):
        def drawn(shape=None):
            return {name: float(rng.normal()) if shape is None else rng.normal(size=shape) for name in names}

        yield "plain numbers", drawn()
        yield "3 entries", drawn(3)
        yield "3 uses, each with a context of its own", drawn(), drawn(), drawn()
        yield "2×3 matrices, used twice", drawn((2, 3)), drawn((2, 3))

    return uses


def matrices(rng):
    def drawn(n, d, m):
        return {"X": rng.normal(size=(n, d)), "W": rng.normal(size=(d, m))}

    yield "square matrices", drawn(3, 3, 3)
    yield "(2, 3) times (3, 4)", drawn(2, 3, 4)
    yield "one row", drawn(1, 4, 2)
    yield "3 uses, each with a context of its own", drawn(3, 2, 4), drawn(3, 2, 4), drawn(3, 2, 4)


both = {"forward": 2, "grad_x": 1, "grad_y": 1}
describe_function("Multiply", both, ["grad_x", "grad_y"], entry_by_entry("x", "y"))
describe_function("Sigmoid", {"forward": 1, "grad_x": 3}, ["grad_x"], entry_by_entry("x"))
describe_function("MatMul", {"forward": 2, "grad_X": 3, "grad_W": 3}, ["grad_X", "grad_W"], matrices)


# -- in which order? ------------------------------------------------------------------------


def in_order(topological_order):
    """The names of the nodes of a graph (a dict, name -> names of its inputs), as `topological_order` has them.

    Nothing where Python's recursion limit ends it.
    """

    class Node:
        def __init__(self, name, inputs):
            self.name, self.inputs = name, inputs

        def __repr__(self):
            return str(self.name)

    nodes = {}
    for name, inputs in graph.items() if length is None else ((i, range(max(i - 1, 0), i)) for i in range(length)):  # noqa: F821
        nodes[name] = Node(name, tuple(nodes[one] for one in inputs))
    try:
        order = topological_order(nodes[name])
    except RecursionError:
        return []
    return order if order is None else [node.name for node in order]


@assignment.exercise(
    "topological_order",
    parts={"inputs first": 3, "each node once": 3, "10 000 nodes": 2},
    reference={"topological_order": OfObjects(value.topological_order, "inputs")},
    mistakes=value.ORDER,
)
def topological_order_cases(rng):
    def one(title, part, *edges):
        graph = {name: list(inputs) for name, inputs in edges}
        needed = {edges[-1][0]}
        for name in reversed(graph):
            needed |= set(graph[name]) if name in needed else set()
        right = {"the order": expect({name: graph[name] for name in graph if name in needed}, "inputs_first")}
        names = shipped(in_order, graph=graph, length=None)
        return Case(title, (evaluate("names(topological_order)", right, args={"names": names}, parts=part),))

    tree, once = "inputs first", "each node once"
    yield one("a chain", tree, ("x", ""), ("y", "x"), ("z", "y"), ("L", "z"))
    yield one("one node", tree, ("x", ""))
    yield one("a tree", tree, ("a", ""), ("b", ""), ("c", "ab"), ("d", ""), ("e", ""), ("f", "de"), ("L", "cf"))
    yield one("ways of different length", once, ("x", ""), ("y", "x"), ("z", "y"), ("L", "xz"))
    yield one("ways of different length, the other way round", once, ("x", ""), ("y", "x"), ("z", "y"), ("L", "zx"))
    yield one("a diamond", once, ("x", ""), ("y", "x"), ("u", "y"), ("v", "y"), ("L", "uv"))
    yield one("the same node twice among the inputs", once, ("x", ""), ("y", "xx"), ("L", "yy"))
    yield one(
        "nodes that the output does not depend on", once, ("x", ""), ("w", "x"), ("y", "x"), ("k", "wy"), ("L", "xy")
    )
    for _ in range(2):
        names, edges = ["n0", "n1"], [("n0", []), ("n1", [])]
        for number in range(2, 9):
            drawn = [str(name) for name in rng.choice(names, size=rng.integers(1, 3))]
            edges.append((f"n{number}", [*drawn, names[-1]]))
            names.append(f"n{number}")
        yield one("a random graph", once, *edges)
    names = shipped(in_order, graph={}, length=10_001)
    right = {"the order of the chain": np.arange(10_001)}
    chain = evaluate("names(topological_order)", right, args={"names": names}, parts="10 000 nodes")
    yield Case("10 001 nodes in a row", (chain,))


# -- a number that remembers ----------------------------------------------------------------


def gradient_through(Value):
    """The gradient of x · w · w · … at x = 1, after `length` products; nan where Python's recursion limit ends it."""
    if length > getattr(Value, "longest", length):  # noqa: F821
        raise NotImplementedError
    x, w = Value(1.0), Value(1.0001)
    y = x
    for _ in range(length):  # noqa: F821
        y = y * w
    try:
        y.backward()
    except RecursionError:
        return float("nan")
    return x.grad


@assignment.exercise(
    "Value",
    parts={
        "values": 4,
        "+ and *": 3,
        "-, / and neg": 3,
        "**": 2,
        "exp and log": 2,
        "tanh, sigmoid and relu": 3,
        "numbers on either side": 4,
        "fan-out": 4,
        "long chains": 3,
        "a second backward": 2,
    },
    reference={"Value": value.Value},
    mistakes=value.VALUE,
    uses=("topological_order",),
)
def value_cases(rng):
    def new(**leaves):
        return [call("Value", {"value": float(number)}, save_as=name) for name, number in leaves.items()]

    def looked_at(part, *names):
        grads = ", ".join(f"{name}.grad" for name in names)
        return evaluate(f"[{grads}]", {f"gradients, {part}": FROM_REFERENCE}, parts=part)

    def one(part, expression, **leaves):
        name = "value, numbers on either side" if part == "numbers on either side" else "value"
        steps = [
            *new(**leaves),
            evaluate(expression, save_as="z"),
            evaluate("z.value", {name: FROM_REFERENCE}, parts=part if "," in name else "values"),
            evaluate("z.backward()"),
            looked_at(part, *leaves, "z"),
        ]
        return Case(expression, tuple(steps))

    def signed(low, high):
        return rng.choice([-1, 1]) * rng.uniform(low, high)

    a, b, c = (signed(0.5, 2) for _ in range(3))
    big, small, positive = rng.uniform(3.5, 6), rng.uniform(-0.6, 0.6), rng.uniform(1.2, 2.5)
    yield one("+ and *", "(a + b) * c", a=a, b=b, c=c)
    yield one("+ and *", "(a * b) * c", a=a, b=b, c=c)
    yield one("+ and *", "a * b + c", a=a, b=b, c=c)
    yield one("-, / and neg", "(a - b) / c", a=a, b=b + 3, c=c)
    yield one("-, / and neg", "a / (b / c)", a=a, b=b, c=c)
    yield one("-, / and neg", "a - (b - c)", a=a, b=b, c=c)
    yield one("-, / and neg", "-(a / b)", a=a, b=b)
    yield one("-, / and neg", "(-a) / b", a=a, b=b)
    yield one("**", "(a ** 3) ** 2", a=-positive)
    yield one("**", "(a ** 2.5) ** 0.5", a=positive)
    yield one("**", "(a ** -1.5) ** -2", a=positive)
    yield one("exp and log", "a.exp().exp()", a=small)
    yield one("exp and log", "a.log().log()", a=big)
    yield one("exp and log", "a.log().exp()", a=big)
    for expression, sign in (("a.tanh().tanh()", 1), ("a.sigmoid().sigmoid()", 1), ("a.tanh().sigmoid()", -1)):
        yield one("tanh, sigmoid and relu", expression, a=sign * positive)
    for expression in ("a.relu().tanh()", "a.relu().relu()"):
        yield one("tanh, sigmoid and relu", expression, a=positive / 2)
        yield one("tanh, sigmoid and relu", expression, a=-positive / 2)
    p, q = (round(float(rng.uniform(1.5, 4)), 2) for _ in range(2))
    for expression in (
        *(f"a + {p}", f"{p} + a", f"a * {p}", f"{p} * a", f"a - {p}", f"a / {p}"),
        *(f"{p} - a", f"{p} / a", f"{p} - (a - {q})", f"({p} / a) / {q}", "3 * a", "2 - a"),
    ):
        yield one("numbers on either side", expression, a=a)
    yield one("numbers on either side", "sum([a, b])", a=a, b=b)

    part = "fan-out"
    yield one(part, "a + a", a=a)
    yield one(part, "a * a", a=a)
    yield one(part, "a * b + a", a=a, b=b)

    def program(title, lines, *later):
        steps = [evaluate(text, save_as=name) for name, text in lines]
        after = [*later, looked_at(later[-1].part if later else part, *"abc", *(name for name, _ in lines))]
        return Case(title, (*new(a=a, b=b, c=c), *steps, evaluate(f"{lines[-1][0]}.backward()"), *after))

    diamond = [("y", "a * b"), ("u", "y + c"), ("v", "y * c"), ("L", "u * v")]
    yield program("a diamond: y goes to u and v, and both to L", diamond)
    yield program("a short way and a long one", [("y", "a * b"), ("u", "y + c"), ("v", "u * u"), ("L", "y * v")])
    yield program("a long way and a short one", [("y", "a * b"), ("u", "y + c"), ("v", "u * u"), ("L", "v + y")])
    yield program("a ladder of diamonds", [("y0", "a + a"), *((f"y{i}", f"y{i - 1} + y{i - 1}") for i in range(1, 7))])
    for _ in range(3):
        names, lines = ["a", "b", "c"], []
        for number in range(7):
            operation, other = rng.choice(["+", "*"]), names[-1] if number else "a"
            lines.append((f"v{number}", f"{rng.choice(names)} {operation} {other}"))
            names.append(f"v{number}")
        yield program("a random program", lines)

    again = "a second backward"
    lines = [("y", "a * b"), ("u", "y + a"), ("L", "u * c")]
    steps = [*new(a=a, b=b, c=c), *(evaluate(text, save_as=name) for name, text in lines)]
    grads = looked_at(again, *"abcyuL")
    yield Case("the same backward twice", (*steps, evaluate("L.backward()"), evaluate("L.backward()"), grads))
    grads = looked_at(again, *"aby")
    yield Case("then one from a node inside", (*steps, evaluate("L.backward()"), evaluate("y.backward()"), grads))

    long = shipped(gradient_through, length=10_000)
    right = {"gradient after 10 000 products": 1.0001**10_000}
    yield Case("a chain", (evaluate("through(Value)", right, args={"through": long}, parts="long chains"),))


# -- a network ------------------------------------------------------------------------------


def accuracy_on_moons(MLP):
    """The share of the points `X` that a network gets right after training, at the better of two attempts."""
    import random

    if getattr(MLP, "untrained", False):
        raise NotImplementedError
    reached = [0.0]
    for attempt in range(2):
        order, net = random.Random(attempt), MLP(sizes)  # noqa: F821
        parameters = net.parameters()
        mean, square = [0.0] * len(parameters), [0.0] * len(parameters)
        for step in range(1, 301):
            loss = 0.0
            for i in order.sample(range(len(X)), 15):  # noqa: F821
                score = net(X[i])  # noqa: F821
                if float(score.value) * y[i] < 1:  # noqa: F821
                    loss = score * -y[i] + loss  # noqa: F821
            for p in parameters:
                p.grad = 0.0
            if not isinstance(loss, float):  # some point is wrong, or within the margin
                loss.backward()
            for k, p in enumerate(parameters):  # Adam, which forgives any sensible first weights
                gradient = float(p.grad)
                mean[k] += 0.1 * (gradient - mean[k])
                square[k] += 0.01 * (gradient**2 - square[k])
                rate = 0.15 * (1 - 0.99**step) ** 0.5 / (1 - 0.9**step)
                p.value = p.value - rate * mean[k] / (square[k] ** 0.5 + 1e-8)
            if step % 50 == 0:
                right = sum((float(net(point).value) > 0) == (label > 0) for point, label in zip(X, y))  # noqa: B905, F821
                reached.append(right / len(X))  # noqa: F821
                if reached[-1] >= 0.97:
                    return reached[-1]
    return max(reached)


def two_moons(rng, n=100):
    """Two half circles, interlocked so far that no straight line gets 95 % of the points right."""
    t, labels = np.pi * (np.arange(n) + rng.random(n)) / n, np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    X = np.column_stack([np.where(labels > 0, np.cos(t), 1 - np.cos(t)), labels * np.sin(t) + 0.7 * (labels < 0)])
    return (X + 0.05 * rng.normal(size=X.shape)).tolist(), labels.tolist()


@assignment.exercise(
    "MLP",
    parts={"parameters": 3, "first weights": 2, "output": 3, "gradients": 2, "two moons": 6},
    reference={"MLP": known.MLP},
    mistakes=known.NETWORK,
    uses=("topological_order", "Value"),
)
def mlp_cases(rng):
    yield Case(
        "how many parameters",
        tuple(
            evaluate(f"len(MLP({sizes}).parameters())", {"number of parameters": FROM_REFERENCE}, parts="parameters")
            for sizes in ([2, 8, 1], [3, 4, 5, 2], [4, 1])
        ),
    )
    first = "[p.value for p in net.parameters()]"
    different = {"number of different first parameters": expect(5 * 6 + 6 * 3, "at_least")}
    yield Case(
        "first weights",
        (
            call("MLP", {"sizes": [5, 6, 3]}, save_as="net"),
            evaluate(f"len(set({first}))", different, parts="first weights"),
        ),
    )
    for title, sizes in (
        ("one hidden layer, all parameters alike", [2, 8, 1]),
        ("two hidden layers, all parameters alike", [3, 4, 2, 1]),
        ("no hidden layer, all parameters alike", [3, 1]),
        ("two outputs, all parameters alike", [2, 3, 2]),
    ):
        x = rng.uniform(-2, 2, size=sizes[0]).tolist()
        number = float(rng.uniform(0.3, 0.6))
        steps = [
            call("MLP", {"sizes": sizes}, save_as="net"),
            evaluate("[setattr(p, 'value', number) for p in net.parameters()]", args={"number": number}),
            call("net", {"x": x}, save_as="out"),
        ]
        outputs = "[one.value for one in out]" if sizes[-1] > 1 else "out.value"
        steps.append(evaluate(outputs, {"output": FROM_REFERENCE}, parts="output"))
        if sizes[-1] == 1:
            sorted_grads = "sorted(float(p.grad) for p in net.parameters())"
            steps += [
                evaluate("out.backward()"),
                evaluate(sorted_grads, {"gradients of all parameters, sorted": FROM_REFERENCE}, parts="gradients"),
            ]
        yield Case(title, tuple(steps))
    X, y = two_moons(rng)
    training = shipped(accuracy_on_moons, X=X, y=y, sizes=[2, 8, 1])
    reached = {"share of points that are right": expect(0.95, "at_least")}
    yield Case("trained on two moons", (evaluate("train(MLP)", reached, args={"train": training}, parts="two moons"),))

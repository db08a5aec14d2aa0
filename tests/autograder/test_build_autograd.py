"""The grader is right about students: `build_autograd`, exercise by exercise.

Whoever is right gets every point, however it is written; whoever is wrong loses some, and is told why where that is
certain.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import nbformat
import numpy as np
import pytest
from assessed import Assessed

from coursekit.checks.cases import Expected
from coursekit.checks.judge import examine
from coursekit.checks.report import Report
from coursekit.checks.run import run_case

ASSESSED = Assessed("build_autograd")
ASSIGNMENT, FOLDER = ASSESSED.assignment, ASSESSED.folder
exercise, graded, answers = ASSESSED.exercise, ASSESSED.graded, ASSESSED.answers
STUDENTS = [f"student-{i}" for i in range(3)]
POINTS = {
    "ComputationalGraph": 14,
    "Multiply": 4,
    "Sigmoid": 4,
    "MatMul": 8,
    "topological_order": 8,
    "Value": 30,
    "MLP": 16,
}


@pytest.fixture(autouse=True)
def _the_usual_recursion_limit() -> Iterator[None]:
    before = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(before)


@functools.cache
def cells(folder: Path) -> dict[str, Any]:
    nb = nbformat.read(folder / "build_autograd.ipynb", as_version=4)
    return {cell.id: cell for cell in nb.cells}


def instructors(name: str) -> str:
    """The solution of `name`, and of the exercises above it."""
    names = list(POINTS)
    source = "\n".join(cells(FOLDER)[one].source for one in names[: names.index(name) + 1])
    return "import math, random\n" + source


# -- who is right ------------------------------------------------------------------------------

CLOSURES = """
    import math

    class Value:
        def __init__(self, data, inputs=()):
            self.value = data
            self.grad = 0
            self.inputs = tuple(inputs)
            self.step = lambda: None

        @staticmethod
        def wrap(other):
            return other if isinstance(other, Value) else Value(other)

        def __add__(self, other):
            other = Value.wrap(other)
            out = Value(self.value + other.value, (self, other))
            def step():
                self.grad += out.grad
                other.grad += out.grad
            out.step = step
            return out

        def __mul__(self, other):
            other = Value.wrap(other)
            out = Value(self.value * other.value, (self, other))
            def step():
                self.grad += other.value * out.grad
                other.grad += self.value * out.grad
            out.step = step
            return out

        def __pow__(self, power):
            out = Value(self.value ** power, (self,))
            def step():
                self.grad += power * self.value ** (power - 1) * out.grad
            out.step = step
            return out

        def exp(self):
            out = Value(math.exp(self.value), (self,))
            def step():
                self.grad += out.value * out.grad
            out.step = step
            return out

        def log(self):
            out = Value(math.log(self.value), (self,))
            def step():
                self.grad += 1 / self.value * out.grad
            out.step = step
            return out

        def tanh(self):
            t = math.tanh(self.value)
            out = Value(t, (self,))
            def step():
                self.grad += (1 - t ** 2) * out.grad
            out.step = step
            return out

        def sigmoid(self):
            s = 1 / (1 + math.exp(-self.value))
            out = Value(s, (self,))
            def step():
                self.grad += s * (1 - s) * out.grad
            out.step = step
            return out

        def relu(self):
            out = Value(0 if self.value < 0 else self.value, (self,))
            def step():
                self.grad += (out.value > 0) * out.grad
            out.step = step
            return out

        def __neg__(self): return self * -1
        def __sub__(self, other): return self + -Value.wrap(other)
        def __truediv__(self, other): return self * Value.wrap(other) ** -1
        def __radd__(self, other): return self + other
        def __rmul__(self, other): return self * other
        def __rsub__(self, other): return Value.wrap(other) - self
        def __rtruediv__(self, other): return Value.wrap(other) / self

        def sort(self):
            topo, seen, stack = [], {self}, [(self, iter(self.inputs))]
            while stack:
                node, rest = stack[-1]
                for one in rest:
                    if one not in seen:
                        seen.add(one)
                        stack.append((one, iter(one.inputs)))
                        break
                else:
                    topo.append(node)
                    stack.pop()
            return topo

        def backward(self):
            topo = self.sort()
            for node in topo:
                node.grad = 0
            self.grad = 1
            for node in reversed(topo):
                node.step()
"""
NETWORK = """
    import random

    class MLP:
        def __init__(self, sizes):
            self.weights, self.biases = [], []
            for n, m in zip(sizes[:-1], sizes[1:]):
                self.weights.append([[Value(random.uniform(-1, 1)) for _ in range(n)] for _ in range(m)])
                self.biases.append([Value(0.0) for _ in range(m)])

        def parameters(self):
            found = []
            for rows, biases in zip(self.weights, self.biases):
                for row in rows:
                    found.extend(row)
                found.extend(biases)
            return found

        def __call__(self, x):
            for k, (rows, biases) in enumerate(zip(self.weights, self.biases)):
                out = []
                for row, b in zip(rows, biases):
                    s = b
                    for w, xi in zip(row, x):
                        s = s + w * xi
                    out.append(s)
                x = out
                if k < len(self.weights) - 1:
                    x = [h.tanh() for h in x]
            return x[0] if len(x) == 1 else x
"""
WRITTEN: dict[str, dict[str, str]] = {
    "ComputationalGraph": {
        "dictionaries": """
            class ComputationalGraph:
                def __init__(self, nodes):
                    self.nodes = nodes
                def forward(self, inputs):
                    self.inputs = inputs
                    self.values = {}
                    self.values.update(inputs)
                    for name, gate, sources in self.nodes:
                        args = [self.values[s] for s in sources]
                        self.values[name] = gate.forward(*args)
                    return self.values[name]
                def backward(self):
                    grads = {name: 0.0 for name in self.values}
                    grads[self.nodes[-1][0]] = 1.0
                    for name, gate, sources in self.nodes[::-1]:
                        for source, g in zip(sources, gate.backward(grads[name])):
                            grads[source] += g
                    return {name: grads[name] for name in self.inputs}
        """,
        "a Counter, and more than was asked for": """
            from collections import defaultdict
            class ComputationalGraph(object):
                def __init__(self, nodes):
                    self.by_name = {name: (gate, sources) for name, gate, sources in nodes}
                def forward(self, inputs):
                    values = dict(inputs)
                    self.given = tuple(inputs)
                    for name, (gate, sources) in self.by_name.items():
                        values[name] = gate.forward(*map(values.get, sources))
                        last = name
                    self.last = last
                    return np.float64(values[last])
                def backward(self):
                    grads = defaultdict(float, {self.last: 1.0})
                    for name in reversed(list(self.by_name)):
                        gate, sources = self.by_name[name]
                        down = gate.backward(grads[name])
                        for k in range(len(sources)):
                            grads[sources[k]] = grads[sources[k]] + np.float64(down[k])
                    for name in self.given:
                        grads[name]
                    return dict(grads)
        """,
        "a list of users": """
            class ComputationalGraph:
                def __init__(self, nodes):
                    self.nodes = list(nodes)
                    self.users = {}
                    for name, gate, sources in self.nodes:
                        for place, source in enumerate(sources):
                            self.users.setdefault(source, []).append((name, place))
                def forward(self, inputs):
                    self.values = {**inputs}
                    self.names = list(inputs)
                    for name, gate, sources in self.nodes:
                        self.values[name] = gate.forward(*[self.values[one] for one in sources])
                    return self.values[self.nodes[-1][0]]
                def backward(self):
                    down = {}
                    def arrived(name):
                        return sum(down[user][place] for user, place in self.users.get(name, []))
                    for name, gate, sources in reversed(self.nodes):
                        down[name] = gate.backward(1.0 if name == self.nodes[-1][0] else arrived(name))
                    return {name: arrived(name) for name in self.names}
        """,
    },
    "Multiply": {
        "as in the lecture": """
            class Multiply:
                @staticmethod
                def forward(ctx, x, y):
                    ctx.save_for_backward(x, y)
                    return x * y
                @staticmethod
                def backward(ctx, grad):
                    x, y = ctx.saved_tensors
                    return y * grad, x * grad
        """,
        "a list, np.multiply, and no decorator": """
            class Multiply:
                def forward(ctx, a, b):
                    ctx.save_for_backward(b, a)
                    return np.multiply(a, b)
                def backward(ctx, upstream):
                    return [np.multiply(one, upstream) for one in ctx.saved_tensors]
        """,
        "an attribute of the context, as class methods": """
            class Multiply:
                @classmethod
                def forward(cls, ctx, x, y):
                    ctx.x, ctx.y = x, y
                    return x * y
                @classmethod
                def backward(cls, ctx, grad):
                    return (grad * ctx.y, grad * ctx.x)
        """,
    },
    "Sigmoid": {
        "from the output": """
            class Sigmoid:
                @staticmethod
                def forward(ctx, x):
                    z = 1 / (1 + np.exp(-x))
                    ctx.save_for_backward(z)
                    return z
                @staticmethod
                def backward(ctx, grad):
                    z, = ctx.saved_tensors
                    return grad * z * (1 - z)
        """,
        "from the input, in a tuple": """
            class Sigmoid:
                @staticmethod
                def forward(ctx, x):
                    ctx.save_for_backward(x)
                    return 1 / (1 + np.exp(-x))
                @staticmethod
                def backward(ctx, grad):
                    x = ctx.saved_tensors[0]
                    return grad * np.exp(-x) / (1 + np.exp(-x)) ** 2
        """,
        "with tanh, and the slope saved": """
            def sigma(x):
                return (np.tanh(x / 2) + 1) / 2
            class Sigmoid:
                @staticmethod
                def forward(ctx, x):
                    ctx.save_for_backward(sigma(x) * sigma(-x))
                    return sigma(x)
                @staticmethod
                def backward(ctx, grad):
                    return np.array(grad) * ctx.saved_tensors[0]
        """,
    },
    "MatMul": {
        "with @": """
            class MatMul:
                @staticmethod
                def forward(ctx, X, W):
                    ctx.save_for_backward(X, W)
                    return X @ W
                @staticmethod
                def backward(ctx, grad):
                    X, W = ctx.saved_tensors
                    return grad @ W.T, X.T @ grad
        """,
        "with einsum": """
            class MatMul:
                @staticmethod
                def forward(ctx, X, W):
                    ctx.save_for_backward(X, W)
                    return np.einsum("nd,dm->nm", X, W)
                @staticmethod
                def backward(ctx, grad):
                    X, W = ctx.saved_tensors
                    return [np.einsum("nm,dm->nd", grad, W), np.einsum("nd,nm->dm", X, grad)]
        """,
        "with loops": """
            class MatMul:
                @staticmethod
                def forward(ctx, X, W):
                    ctx.save_for_backward(X.copy(), W.copy())
                    (N, D), M = X.shape, W.shape[1]
                    return [[sum(X[n, d] * W[d, m] for d in range(D)) for m in range(M)] for n in range(N)]
                @staticmethod
                def backward(ctx, grad):
                    X, W = ctx.saved_tensors
                    dX, dW = np.zeros_like(X), np.zeros_like(W)
                    for n in range(X.shape[0]):
                        for d in range(X.shape[1]):
                            for m in range(W.shape[1]):
                                dX[n, d] += grad[n, m] * W[d, m]
                                dW[d, m] += grad[n, m] * X[n, d]
                    return dX, dW
        """,
    },
    "topological_order": {
        "a stack": """
            def topological_order(output):
                order, seen, stack = [], set(), [(output, False)]
                while stack:
                    node, ready = stack.pop()
                    if ready:
                        order.append(node)
                    elif node not in seen:
                        seen.add(node)
                        stack.append((node, True))
                        stack.extend((one, False) for one in reversed(node.inputs))
                return order
        """,
        "counting users": """
            def topological_order(output):
                found, users = [output], {output: 0}
                for node in found:
                    for one in node.inputs:
                        if one not in users:
                            users[one] = 0
                            found.append(one)
                        users[one] += 1
                ready, order = [output], []
                while ready:
                    node = ready.pop()
                    order.append(node)
                    for one in node.inputs:
                        users[one] -= 1
                        if users[one] == 0:
                            ready.append(one)
                return order[::-1]
        """,
        "a recursion with a higher limit, seen by id": """
            import sys
            def topological_order(output):
                sys.setrecursionlimit(50_000)
                seen, order = set(), []
                def visit(node):
                    if id(node) in seen:
                        return
                    seen.add(id(node))
                    for one in node.inputs:
                        visit(one)
                    order.append(node)
                visit(output)
                return tuple(order)
        """,
        "depths": """
            def topological_order(output):
                depth, stack = {}, [output]
                while stack:
                    node = stack[-1]
                    missing = [one for one in node.inputs if one not in depth]
                    if missing:
                        stack.extend(missing)
                    else:
                        depth[node] = 1 + max([depth[one] for one in node.inputs], default=0)
                        stack.pop()
                return sorted(depth, key=depth.get)
        """,
    },
    "Value": {
        "closures": CLOSURES,
        "a clock in place of sorting, and NumPy numbers": """
            import itertools

            clock = itertools.count()

            class Value(object):
                def __init__(self, value, *parents):
                    self.value, self.grad = np.float64(value), 0.0
                    self.parents, self.inputs = parents, [one for one, _ in parents]
                    self.born = next(clock)

                def binary(symbol, left, right):
                    a = left if isinstance(left, Value) else Value(left)
                    b = right if isinstance(right, Value) else Value(right)
                    x, y = a.value, b.value
                    if symbol == "+":
                        return Value(x + y, (a, 1), (b, 1))
                    if symbol == "-":
                        return Value(x - y, (a, 1), (b, -1))
                    if symbol == "*":
                        return Value(x * y, (a, y), (b, x))
                    return Value(x / y, (a, 1 / y), (b, -x / y ** 2))

                __add__ = lambda self, other: Value.binary("+", self, other)
                __radd__ = lambda self, other: Value.binary("+", other, self)
                __sub__ = lambda self, other: Value.binary("-", self, other)
                __rsub__ = lambda self, other: Value.binary("-", other, self)
                __mul__ = lambda self, other: Value.binary("*", self, other)
                __rmul__ = lambda self, other: Value.binary("*", other, self)
                __truediv__ = lambda self, other: Value.binary("/", self, other)
                __rtruediv__ = lambda self, other: Value.binary("/", other, self)
                __neg__ = lambda self: Value(-self.value, (self, -1))
                __pow__ = lambda self, p: Value(self.value ** p, (self, p * self.value ** (p - 1)))
                log = lambda self: Value(np.log(self.value), (self, 1 / self.value))
                relu = lambda self: Value(np.maximum(self.value, 0), (self, np.heaviside(self.value, 0)))

                def exp(self):
                    return Value(np.exp(self.value), (self, np.exp(self.value)))

                def tanh(self):
                    return Value(np.tanh(self.value), (self, 1 / np.cosh(self.value) ** 2))

                def sigmoid(self):
                    s = 1 / (1 + np.exp(-self.value))
                    return Value(s, (self, s - s ** 2))

                def backward(self):
                    circuit, found = {self}, [self]
                    while found:
                        for one in found.pop().inputs:
                            if one not in circuit:
                                circuit.add(one)
                                found.append(one)
                    for node in circuit:
                        node.grad = 0.0
                    self.grad = 1.0
                    for node in sorted(circuit, key=lambda node: -node.born):
                        for one, slope in node.parents:
                            one.grad = one.grad + node.grad * slope
        """,
        "numbers left out of the inputs, functions from functions, counting users": """
            import math

            class Value:
                def __init__(self, value, inputs=(), pull=None):
                    self.value, self.grad, self.inputs, self.pull = value, 0.0, inputs, pull
                def __repr__(self):
                    return f"Value({self.value}; {self.inputs})"
                def __add__(self, b):
                    if isinstance(b, Value):
                        return Value(self.value + b.value, (self, b), lambda g: (g, g))
                    return Value(self.value + b, (self,), lambda g: (g,))
                def __mul__(self, b):
                    if isinstance(b, Value):
                        return Value(self.value * b.value, (self, b), lambda g: (g * b.value, g * self.value))
                    return Value(self.value * b, (self,), lambda g: (g * b,))
                __radd__, __rmul__ = __add__, __mul__
                def __pow__(self, p):
                    return Value(self.value ** p, (self,), lambda g: (g * p * self.value ** (p - 1),))
                def __neg__(self): return -1 * self
                def __sub__(self, b): return self + -1 * b
                def __rsub__(self, b): return b + -self
                def __truediv__(self, b): return self * (b ** -1.0 if isinstance(b, Value) else 1.0 / b)
                def __rtruediv__(self, b): return b * self ** -1.0
                def exp(self):
                    z = math.exp(self.value)
                    return Value(z, (self,), lambda g: (g * z,))
                def log(self):
                    return Value(math.log(self.value), (self,), lambda g: (g / self.value,))
                def sigmoid(self):
                    return 1 / (1 + (-self).exp())
                def tanh(self):
                    return 2 * (2 * self).sigmoid() - 1
                def relu(self):
                    return self * (1.0 if self.value >= 0 else 0.0)
                def backward(self):
                    users, left = {self: 0}, [self]
                    while left:
                        node = left.pop()
                        node.grad = 0.0
                        for one in node.inputs:
                            if one not in users:
                                left.append(one)
                            users[one] = users.get(one, 0) + 1
                    self.grad, left = 1.0, [self]
                    while left:
                        node = left.pop()
                        for one, g in zip(node.inputs, node.pull(node.grad) if node.pull else ()):
                            one.grad += g
                            users[one] -= 1
                            if not users[one]:
                                left.append(one)
        """,
    },
    "MLP": {
        "lists of lists": CLOSURES + NETWORK,
        "neurons and layers, from NumPy's numbers, all positive": CLOSURES
        + """
    class Neuron:
        def __init__(self, n):
            self.w = [Value(x) for x in np.random.rand(n)]
            self.b = Value(np.random.randn())
        def __call__(self, x):
            return sum([wi * xi for wi, xi in zip(self.w, x)]) + self.b

    class MLP:
        def __init__(self, sizes):
            self.layers = [[Neuron(n) for _ in range(m)] for n, m in zip(sizes, sizes[1:])]
        def parameters(self):
            return [p for layer in self.layers for n in layer for p in [n.b] + n.w]
        def __call__(self, x):
            for layer in self.layers[:-1]:
                x = [neuron(x).tanh() for neuron in layer]
            out = [neuron(x) for neuron in self.layers[-1]]
            return out if len(out) > 1 else out[0]
    """,
        "small normal weights, and the bias as one weight more": CLOSURES
        + """
    import random

    class MLP:
        def __init__(self, sizes):
            self.sizes, self.p = sizes, {}
            for k in range(len(sizes) - 1):
                for j in range(sizes[k + 1]):
                    for i in range(sizes[k] + 1):
                        self.p[k, j, i] = Value(random.gauss(0, 0.5))
        def parameters(self):
            return list(self.p.values())
        def __call__(self, x):
            last = len(self.sizes) - 2
            for k in range(last + 1):
                x = [*x, 1.0]
                z = [sum(self.p[k, j, i] * x[i] for i in range(len(x))) for j in range(self.sizes[k + 1])]
                x = z if k == last else [one.tanh() for one in z]
            return x if len(x) > 1 else x[0]
    """,
    },
}
WRITTEN = {name: {title: dedent(source) for title, source in ways.items()} for name, ways in WRITTEN.items()}


@pytest.mark.parametrize("name", POINTS)
def test_the_instructors_solution_gets_every_point(name: str) -> None:
    for student in STUDENTS:
        report = graded(name, instructors(name), student)
        assert report.passed, f"{student}\n{report.text()}"
        assert report.score == report.points == POINTS[name]


@pytest.mark.parametrize(("name", "title"), [(name, title) for name in WRITTEN for title in WRITTEN[name]])
def test_whoever_is_right_gets_every_point_however_it_is_written(name: str, title: str) -> None:
    for student in STUDENTS[: 1 if name == "MLP" else 3]:
        report = graded(name, WRITTEN[name][title], student)
        assert report.passed, f"{student}\n{report.text()}"
        assert not report.findings


def test_every_exercise_is_written_in_at_least_three_ways() -> None:
    assert set(WRITTEN) == set(ASSIGNMENT.described) == set(POINTS)
    assert min(len(ways) for ways in WRITTEN.values()) >= 3


# -- who is wrong ------------------------------------------------------------------------------

Edits = tuple[tuple[str, str], ...]

# By exercise: by story, how the first solution above is changed, and the code of what is found ("": nothing certain).
STORIES: dict[str, dict[str, tuple[Edits, str]]] = {
    "ComputationalGraph": {
        "overwrites": ((("+= g", "= g"),), "fan-out-overwritten"),
        "forwards again": ((("self.nodes[::-1]", "self.nodes"),), "order-not-reversed"),
        "no seed": (((" = 1.0", " = 0.0"),), "seed-missing"),
        "seed is the loss": ((("= 1.0", "= self.values[self.nodes[-1][0]]"),), "seed-value"),
        "upstream one": ((("gate.backward(grads[name])", "gate.backward(1.0)"),), "upstream-ignored"),
        "kept": (
            (
                ("        self.values = {}", "        self.values = {}; self.grads = {}"),
                (
                    "grads = {name: 0.0 for name in self.values}",
                    "grads = self.grads; [grads.setdefault(n, 0.0) for n in self.values]",
                ),
            ),
            "not-afresh",
        ),
        "kept for ever": (
            (
                ("self.nodes = nodes", "self.nodes = nodes; self.grads = {}"),
                (
                    "grads = {name: 0.0 for name in self.values}",
                    "grads = self.grads; [grads.setdefault(n, 0.0) for n in self.values]",
                ),
            ),
            "not-afresh",
        ),
        "the first node": ((("return self.values[name]", "return self.values[self.nodes[0][0]]"),), "wrong-node"),
        "gate's inputs reversed": ((("for s in sources]", "for s in sources[::-1]]"),), "inputs-swapped"),
        "gate's gradients reversed": (
            (("gate.backward(grads[name])", "gate.backward(grads[name])[::-1]"),),
            "gradients-swapped",
        ),
        "a list": (
            (("{name: grads[name] for name in self.inputs}", "[grads[name] for name in self.inputs]"),),
            "no-dictionary",
        ),
        "only what is used": (
            (("for name in self.inputs}", "for name in self.inputs if grads[name]}"),),
            "no-key",
        ),
        "no return of the loss": ((("return self.values[name]", ""),), "returned-none"),
        "no return of the gradients": ((("return {name: grads", "{name: grads"),), "returned-none"),
        "two inputs only": ((("gate.forward(*args)", "gate.forward(args[0], args[1])"),), "error"),
    },
    "Multiply": {
        "not swapped": ((("y * grad, x * grad", "x * grad, y * grad"),), "factors-not-swapped"),
        "upstream ignored": ((("y * grad, x * grad", "y, x"),), "upstream-ignored"),
        "sum": ((("y * grad, x * grad", "grad, grad"),), "gradient-of-sum"),
        "sign": ((("y * grad, x * grad", "-y * grad, -x * grad"),), "sign"),
        "output": (
            (("ctx.save_for_backward(x, y)", "ctx.save_for_backward(x*y, x*y)"),),
            "output-for-factor",
        ),
        "on the class": (
            (("ctx.save_for_backward(x, y)", "Multiply.kept = x, y"), ("ctx.saved_tensors", "Multiply.kept")),
            "context-ignored",
        ),
        "one gradient": ((("return y * grad, x * grad", "return y * grad"),), "wrong-number-of-values"),
        "nothing saved": ((("ctx.save_for_backward(x, y)", ""),), "error"),
        "no return": ((("return x * y", ""),), "returned-none"),
        "no return of gradients": ((("return y * grad, x * grad", ""),), "returned-none"),
    },
    "Sigmoid": {
        "of the input": ((("save_for_backward(z)", "save_for_backward(x)"),), "sigmoid-of-input"),
        "again": (
            (("z, = ctx.saved_tensors", "z = 1 / (1 + np.exp(-ctx.saved_tensors[0]))"),),
            "sigmoid-again",
        ),
        "of tanh": ((("z * (1 - z)", "(1 - z * z)"),), "sigmoid-as-tanh"),
        "a factor": ((("z * (1 - z)", "(1 - z)"),), "factor-missing"),
        "the other factor": ((("grad * z * (1 - z)", "grad * z"),), "factor-missing"),
        "upstream ignored": ((("grad * z", "z"),), "upstream-ignored"),
        "sign": ((("(1 - z)", "(z - 1)"),), "sign"),
        "on the class": (
            (("ctx.save_for_backward(z)", "Sigmoid.z = z"), ("z, = ctx.saved_tensors", "z = Sigmoid.z")),
            "context-ignored",
        ),
        "no return": ((("return z\n", "\n"),), "returned-none"),
        "no minus in the exponent": ((("np.exp(-x)", "np.exp(x)"),), ""),
    },
    "MatMul": {
        "swapped": ((("grad @ W.T, X.T @ grad", "X.T @ grad, grad @ W.T"),), "swapped"),
        "transposed": ((("grad @ W.T, X.T @ grad", "W @ grad.T, grad.T @ X"),), "transposed"),
        "no transpose": ((("grad @ W.T, X.T @ grad", "grad @ W, X @ grad"),), "error"),
        "upstream ignored": (
            (("X, W = ctx.saved_tensors", "X, W = ctx.saved_tensors; grad = np.ones_like(grad)"),),
            "upstream-ignored",
        ),
        "sign": ((("grad @ W.T, X.T @ grad", "-grad @ W.T, -X.T @ grad"),), "sign"),
        "the matrices": ((("grad @ W.T, X.T @ grad", "X, W"),), "wrong-factor"),
        "on the class": (
            (("ctx.save_for_backward(X, W)", "MatMul.kept = X, W"), ("ctx.saved_tensors", "MatMul.kept")),
            "context-ignored",
        ),
        "entry by entry": ((("X @ W\n", "X * W\n"),), "error"),
        "one gradient": ((("return grad @ W.T, X.T @ grad", "return grad @ W.T"),), "wrong-number-of-values"),
        "no return": ((("return grad @", "grad @"),), "returned-none"),
    },
    "topological_order": {
        "reversed": ((("return order", "return order[::-1]"),), "order-reversed"),
        "not marked": ((("seen.add(node)", "pass"),), "node-twice"),
        "appended at once": (
            (
                ("seen.add(node)", "seen.add(node); order.append(node)"),
                ("            order.append(node)\n        elif", "            pass\n        elif"),
            ),
            "order-reversed",
        ),
        "without the output": ((("return order", "return order[:-1]"),), "node-missing"),
        "leaves only": ((("return order", "return [n for n in order if not n.inputs]"),), "node-missing"),
        "breadth first": (
            (
                (
                    "order, seen, stack = [], set(), [(output, False)]",
                    "order = [output]\n    for node in order:\n"
                    "        order += [n for n in node.inputs if n not in order]\n"
                    "    return order[::-1]",
                ),
            ),
            "not-topological",
        ),
        "no return": ((("return order", ""),), "returned-none"),
        "recursion": (
            (
                (
                    "order, seen, stack = [], set(), [(output, False)]",
                    "order, stack, seen = [], [], set()\n    def visit(n):\n        if n not in seen:\n"
                    "            seen.add(n)\n"
                    "            for one in n.inputs: visit(one)\n            order.append(n)\n    visit(output)",
                ),
            ),
            "recursion",
        ),
        "names": ((("return order", "return [n.name for n in order]"),), "error"),
    },
    "Value": {
        "overwrites": (
            (("grad += ", "grad = "),),
            "fan-out-overwritten",
        ),
        "no set of those seen": ((("one not in seen", "True"),), "visited-twice"),
        "not sorted": (
            (
                (
                    "topo, seen, stack = [], {self}, [(self, iter(self.inputs))]",
                    "topo, seen = [self], {self}\n        for n in topo:\n            for one in n.inputs:\n"
                    "                if one not in seen: seen.add(one); topo.append(one)\n"
                    "        topo.reverse(); stack = None",
                ),
            ),
            "not-topological",
        ),
        "not reversed": ((("in reversed(topo)", "in topo"),), "not-propagated"),
        "no seed": ((("self.grad = 1\n", "pass\n"),), "seed-missing"),
        "seed is the value": ((("self.grad = 1\n", "self.grad = self.value\n"),), "seed-value"),
        "only itself": ((("node.step()", "node.step(); break"),), "not-propagated"),
        "a step of its own, and then recursion": (
            (
                (
                    "        for node in reversed(topo):\n            node.step()",
                    "        def walk(node):\n            node.step()\n            for one in node.inputs: walk(one)\n"
                    "        walk(self)",
                ),
            ),
            "visited-twice",
        ),
        "a right recursion": (
            (
                (
                    "topo, seen, stack = [], {self}, [(self, iter(self.inputs))]",
                    "topo, seen, stack = [], set(), []\n        def visit(n):\n            if n not in seen:\n"
                    "                seen.add(n)\n                for one in n.inputs: visit(one)\n"
                    "                topo.append(n)\n        visit(self)",
                ),
            ),
            "recursion",
        ),
        "inputs forgotten": ((("self.inputs = tuple(inputs)", "self.inputs = ()"),), "not-propagated"),
        "second input forgotten": (
            (("self.inputs = tuple(inputs)", "self.inputs = tuple(inputs)[:1]"),),
            "inputs-not-kept",
        ),
        "never set to 0": ((("node.grad = 0\n", "pass\n"),), "not-afresh"),
        "upstream ignored": ((("* out.grad", ""), ("+= out.grad", "+= 1")), "upstream-ignored"),
        "upstream ignored in tanh": ((("(1 - t ** 2) * out.grad", "(1 - t ** 2)"),), "upstream-ignored"),
        "upstream ignored in exp": ((("out.value * out.grad", "out.value"),), "upstream-ignored"),
        "sign": ((("grad += ", "grad -= "),), "sign"),
        "both reflected swapped": (
            (
                ("return Value.wrap(other) - self", "return self - other"),
                ("return Value.wrap(other) / self", "return self / other"),
            ),
            "reflected-swapped",
        ),
        "the reflected difference": (
            (("return Value.wrap(other) - self", "return self - other"),),
            "reflected-swapped",
        ),
        "the reflected quotient": ((("return Value.wrap(other) / self", "return self / other"),), "reflected-swapped"),
        "exp of the input": (
            (("self.grad += out.value * out.grad", "self.grad += self.value * out.grad"),),
            "exp-of-input",
        ),
        "exp again": ((("out.value * out.grad", "math.exp(out.value) * out.grad"),), "exp-again"),
        "tanh of the input": ((("1 - t ** 2", "1 - self.value ** 2"),), "tanh-of-input"),
        "tanh again": ((("1 - t ** 2", "1 - math.tanh(out.value) ** 2"),), "tanh-again"),
        "tanh without the square": ((("1 - t ** 2", "1 - t"),), "tanh-square-missing"),
        "sigmoid of the input": ((("s * (1 - s)", "self.value * (1 - self.value)"),), "sigmoid-of-input"),
        "sigmoid as tanh": ((("s * (1 - s)", "(1 - s * s)"),), "sigmoid-as-tanh"),
        "log of the output": ((("1 / self.value", "1 / out.value"),), "log-of-output"),
        "no mask": ((("(out.value > 0) * out.grad", "out.grad"),), "relu-mask-missing"),
        "mask inverted": ((("(out.value > 0)", "(self.value < 0)"),), "relu-mask-inverted"),
        "power not lowered": ((("** (power - 1)", "** power"),), "power-not-lowered"),
        "two mistakes": (
            (("1 - t ** 2", "1 - self.value ** 2"), ("(out.value > 0) * out.grad", "out.grad")),
            "tanh-of-input",
        ),
        "no reflected difference": ((("def __rsub__", "def rsub"),), "error"),
        "no return": (
            (
                (
                    "        out.step = step\n        return out\n\n    def log",
                    "        out.step = step\n\n    def log",
                ),
            ),
            "error",
        ),
        "a sum that is a difference": ((("self.value + other.value", "self.value - other.value"),), ""),
    },
    "MLP": {
        "no tanh": ((("[h.tanh() for h in x]", "x"),), "activation-missing"),
        "tanh at the end": ((("if k < len(self.weights) - 1", "if True"),), "activation-at-the-end"),
        "relu": ((("h.tanh()", "h.relu()"),), "relu-for-tanh"),
        "sigmoid": ((("h.tanh()", "h.sigmoid()"),), "sigmoid-for-tanh"),
        "bias not used": ((("s = b\n", "s = 0\n"),), "bias-unused"),
        "no bias": ((("s = b\n", "s = 0\n"), ("found.extend(biases)", "pass")), "bias-missing"),
        "biases left out": ((("found.extend(biases)", "pass"),), "bias-missing"),
        "the last layer left out": (
            (
                (
                    "zip(self.weights, self.biases):\n            for row",
                    "zip(self.weights[:-1], self.biases):\n            for row",
                ),
            ),
            "parameters-missing",
        ),
        "one neuron n times": (
            (
                (
                    "[[Value(random.uniform(-1, 1)) for _ in range(n)] for _ in range(m)]",
                    "[[Value(random.uniform(-1, 1)) for _ in range(n)]] * m",
                ),
                ("[Value(0.0) for _ in range(m)]", "[Value(0.0)] * m"),
            ),
            "neurons-shared",
        ),
        "all zero": ((("random.uniform(-1, 1)", "0.0"),), "no-symmetry-breaking"),
        "all one": ((("random.uniform(-1, 1)", "1.0"),), "no-symmetry-breaking"),
        "numbers": (
            (("s = s + w * xi", "s = Value(s.value + w.value * (xi.value if isinstance(xi, Value) else xi))"),),
            "graph-cut",
        ),
        "a list of one": ((("x[0] if len(x) == 1 else x", "x"),), "error"),
        "no return": ((("        return found", "        pass"),), "error"),
    },
}


def _changed(name: str, story: str) -> tuple[str, str]:
    edits, code = STORIES[name][story]
    source = next(iter(WRITTEN[name].values()))
    for old, new in edits:
        assert old in source, f"{name}, {story}: {old!r} is not in the solution any more"
        source = source.replace(old, new)
    return source, code


WRONG: dict[str, dict[str, tuple[str, str]]] = {
    name: {story: _changed(name, story) for story in stories} for name, stories in STORIES.items()
}


def briefly_graded(name: str, functions: dict[str, Any], student: str, code: str = "") -> Report:
    """As `graded`, without the training or the long chain at the end, where that would be waiting for nothing."""
    whole = exercise(name, student)
    skipped = name == "MLP" or (name == "Value" and code != "recursion")
    brief = replace(whole, cases=whole.cases[: -1 if skipped else None])
    return examine(brief, lambda made: run_case(made, functions))


def defined(source: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"np": np}
    exec(source, namespace)
    return namespace


def test_what_cannot_separate_the_moons_is_rejected_in_time() -> None:
    report = graded("MLP", WRONG["MLP"]["no tanh"][0], STUDENTS[0])
    assert "two moons" not in {part.name for part in report.parts if part.earned}
    assert report.seconds < 20


@pytest.mark.parametrize("name", POINTS)
def test_whoever_is_wrong_loses_points_and_hears_why(name: str) -> None:
    missed = []
    for story, (source, code) in WRONG[name].items():
        for student in STUDENTS[: 1 if name in ("MLP", "Value", "topological_order") else 2]:
            report = briefly_graded(name, defined(source), student, code)
            assert report.score < report.points, f"{story}, {student}: this earned every point"
            codes = [finding.code for finding in report.findings]
            if (code not in codes) if code else codes:
                missed.append(f"{story}, {student}: {codes} for {code!r}")
    assert not missed, "\n".join(missed)


def test_one_wrong_slope_costs_its_own_part_alone() -> None:
    for story, score in (
        ("tanh of the input", 27),
        ("exp of the input", 28),
        ("never set to 0", 28),
        ("a right recursion", 27),
        ("the reflected quotient", 26),
        ("overwrites", 24),
        ("no set of those seen", 26),
    ):
        assert graded("Value", WRONG["Value"][story][0], STUDENTS[0]).score == score, story


def test_what_comes_first_in_an_unfinished_value_earns_its_points() -> None:
    source = WRITTEN["Value"]["closures"]
    for method in ("exp", "log", "tanh", "sigmoid", "relu", "__truediv__", "__sub__", "__rsub__", "__pow__"):
        source = source.replace(f"def {method}(", f"def later_{method}(")
    report = graded("Value", source, STUDENTS[0])
    earned = {part.name for part in report.parts if part.earned}
    assert earned == {"+ and *", "fan-out", "long chains", "a second backward"}
    assert report.findings[0].code == "error"


# -- what is known of mistakes -------------------------------------------------------------------


@pytest.mark.parametrize("name", POINTS)
def test_every_known_mistake_shows_in_some_case_and_is_named(name: str) -> None:
    shown = {
        code
        for made in exercise(name, STUDENTS[0]).cases
        for step in made.steps
        for item in step.expected
        for code in item.mistakes
    }
    known = ASSIGNMENT.described[name].mistakes
    assert shown == {mistake.code for mistake in known}
    unnamed = []
    for mistake in known:
        if name == "topological_order":
            continue  # its comparison says what is wrong, and is tested above
        for student in STUDENTS[:2]:
            report = briefly_graded(name, dict(mistake.runs), student, mistake.code)
            assert report.score < report.points, f"{student}, {mistake.code}"
            found = [finding.code for finding in report.findings]
            if mistake.code.partition("/")[0] not in found:
                unnamed.append(f"{student}: {found} for {mistake.code}")
    assert len(unnamed) <= 0.1 * 2 * len(known), "\n".join(unnamed)


@pytest.mark.parametrize("name", POINTS)
def test_what_is_slightly_wrong_is_rejected_and_nothing_is_said_of_why(name: str) -> None:
    def off(item: Expected) -> Any:
        if item.compare == "inputs_first":
            return [*list(item.value)[:-1], "n"]
        return 0.999 * np.asarray(item.value) if item.compare == "at_least" else 1.0005 * np.asarray(item.value)

    for student in STUDENTS:
        report = answers(name, student, off)
        assert report.score < report.points, student
        assert not report.findings or name == "topological_order", f"{student}\n{report.text()}"


@pytest.mark.parametrize("name", [name for name in POINTS if name != "topological_order"])
def test_what_is_right_but_for_rounding_is_right(name: str) -> None:
    for student in STUDENTS:
        assert answers(name, student, lambda item: np.asarray(item.value) * (1 + 1e-7)).passed, student


# -- who calls an earlier exercise ---------------------------------------------------------------


def test_an_earlier_mistake_is_not_punished_twice() -> None:
    """As the grader does it: what failed is run again with the references of what it uses."""
    wrong_order = "def topological_order(output): return [output]\n"
    value = wrong_order + cells(FOLDER)["Value"].source
    wrong_value = "import math\n" + WRONG["Value"]["sign"][0]
    network = dedent(NETWORK)
    for name, source, uses in (
        ("Value", "import math\n" + value, ["topological_order"]),
        ("MLP", wrong_value + network, ["Value"]),
    ):
        assert set(uses) <= set(exercise(name, STUDENTS[0]).uses)
        namespace = defined(source)
        assert not briefly_graded(name, namespace, STUDENTS[0]).passed
        for one in uses:
            namespace[one] = ASSIGNMENT.described[one].reference[one].make()
        report = examine(exercise(name, STUDENTS[0]), lambda made, n=namespace, f=name: run_case(made, {f: n[f]}))
        assert report.passed, report.text()

"""The grader is right about students: `circuits`, exercise by exercise.

Whoever is right gets every point, however it is written; whoever is wrong loses some, and is told why.
What holds for every assignment is in `test_assignments.py`.
"""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pytest
from assessed import Assessed

ASSESSED = Assessed("circuits")
graded = ASSESSED.graded
STUDENTS = [f"student-{i}" for i in range(4)]


def cells(sources: dict[str, Any]) -> dict[str, Any]:
    return {
        title: textwrap.dedent(one) if isinstance(one, str) else (textwrap.dedent(one[0]), one[1])
        for title, one in sources.items()
    }


# -- who is right ------------------------------------------------------------------------------

WRITTEN: dict[str, dict[str, str]] = {
    "gradient_at_point": cells(
        {
            "a tuple": "def gradient_at_point(x, y): return 2 * x, 2 * y",
            "a list, with names": """
                def gradient_at_point(x, y):
                    dz_dx = 2.0 * x
                    dz_dy = y + y
                    return [dz_dx, dz_dy]
            """,
            "an array": "def gradient_at_point(x, y): return 2 * np.array([x, y])",
            "measured": """
                def gradient_at_point(x, y):
                    def z(x, y):
                        return x ** 2 + y ** 2
                    h = 1e-3
                    by_x = (z(x + h, y) - z(x - h, y)) / (2 * h)
                    by_y = (z(x, y + h) - z(x, y - h)) / (2 * h)
                    return np.float64(by_x), np.array(by_y)
            """,
        }
    ),
    "numerical_derivative": cells(
        {
            "in one line": "def numerical_derivative(f, x, h=1e-5): return (f(x + h) - f(x - h)) / (2 * h)",
            "in steps": """
                def numerical_derivative(f, x, h=1e-5):
                    above = f(x + h)
                    below = f(x - h)
                    return np.float64((above - below) / h / 2.0)
            """,
            "the mean of both sides": """
                def numerical_derivative(f, x, h=0.00001):
                    right = (f(x + h) - f(x)) / h
                    left = (f(x) - f(x - h)) / h
                    return np.array(0.5 * (right + left))
            """,
            "with the true distance": """
                def numerical_derivative(f, x, h=1e-5):
                    a, b = x - h, x + h
                    return (f(b) - f(a)) / (b - a)
            """,
        }
    ),
    "add_mul_circuit": cells(
        {
            "staged": """
                def add_mul_circuit(x, y, z):
                    q = x + y
                    f = q * z
                    dq = z
                    dz = q
                    dx = 1.0 * dq
                    dy = 1.0 * dq
                    return f, (dx, dy, dz)
            """,
            "a list, multiplied out": """
                def add_mul_circuit(x, y, z):
                    return [x * z + y * z, [z, z, x + y]]
            """,
            "an array, with gates": """
                class Times:
                    def forward(self, a, b):
                        self.a, self.b = a, b
                        return a * b
                    def backward(self, d):
                        return np.array([self.b, self.a]) * d
                def add_mul_circuit(x, y, z):
                    gate = Times()
                    f = gate.forward(x + y, z)
                    dq, dz = gate.backward(1.0)
                    return np.array(f), np.array([dq, dq, dz])
            """,
        }
    ),
    "sigmoid_circuit": cells(
        {
            "with names": """
                import math
                def sigmoid_circuit(w0, x0, w1, x1, w2):
                    w0x0 = w0 * x0
                    w1x1 = w1 * x1
                    sum_ = w0x0 + w1x1
                    dot = sum_ + w2
                    neg = -1.0 * dot
                    e = math.exp(neg)
                    plus1 = 1 + e
                    f = 1 / plus1
                    values = {"w0x0": w0x0, "w1x1": w1x1, "sum": sum_, "dot": dot, "neg": neg, "exp": e,
                              "plus1": plus1, "f": f}

                    df = 1.0
                    dplus1 = df * (-1.0 / plus1 ** 2)
                    dexp = dplus1
                    dneg = dexp * e
                    ddot = -1.0 * dneg
                    dw2 = ddot
                    dsum = ddot
                    dw0x0 = dsum
                    dw1x1 = dsum
                    dw0 = dw0x0 * x0
                    dx0 = dw0x0 * w0
                    dw1 = dw1x1 * x1
                    dx1 = dw1x1 * w1
                    grads = {"f": df, "plus1": dplus1, "exp": dexp, "neg": dneg, "dot": ddot, "sum": dsum,
                             "w0x0": dw0x0, "w1x1": dw1x1, "w0": dw0, "x0": dx0, "w1": dw1, "x1": dx1, "w2": dw2}
                    return values, grads
            """,
            "through the sigmoid's slope, as arrays": """
                def sigmoid_circuit(w0, x0, w1, x1, w2):
                    v = dict(w0=w0, x0=x0, w1=w1, x1=x1, w2=w2)
                    v["w0x0"], v["w1x1"] = w0 * x0, w1 * x1
                    v["sum"] = v["w0x0"] + v["w1x1"]
                    v["dot"] = v["sum"] + w2
                    v["neg"] = np.negative(v["dot"])
                    v["exp"] = np.exp(v["neg"])
                    v["plus1"] = v["exp"] + 1
                    v["f"] = np.array([1 / v["plus1"]])
                    f = v["f"]
                    g = {k: f * (1 - f) for k in ("dot", "sum", "w0x0", "w1x1", "w2")}
                    g["f"], g["plus1"], g["exp"], g["neg"] = 1, -f ** 2, -f ** 2, -f * (1 - f)
                    for a, b in ("w0", "x0"), ("w1", "x1"):
                        g[a], g[b] = g[a + "x" + a[1]] * v[b], g[a + "x" + a[1]] * v[a]
                    return v, g
            """,
            "a list of two dicts, adding up": """
                from collections import OrderedDict, defaultdict
                def sigmoid_circuit(w0, x0, w1, x1, w2):
                    v = OrderedDict()
                    v["w0x0"] = w0 * x0
                    v["w1x1"] = w1 * x1
                    v["sum"] = sum([v["w0x0"], v["w1x1"]])
                    v["dot"] = v["sum"] + w2
                    v["neg"] = 0 - v["dot"]
                    v["exp"] = np.float64(np.e) ** v["neg"]
                    v["plus1"] = v["exp"] + 1
                    v["f"] = v["plus1"] ** -1
                    d = defaultdict(float)
                    d["f"] += 1
                    d["plus1"] += -1 * v["plus1"] ** -2 * d["f"]
                    d["exp"] += d["plus1"]
                    d["neg"] += d["exp"] * np.exp(v["neg"])
                    d["dot"] -= d["neg"]
                    for k in ("w2", "sum"):
                        d[k] += d["dot"]
                    for k in ("w0x0", "w1x1"):
                        d[k] += d["sum"]
                    d["w0"] += x0 * d["w0x0"]
                    d["x0"] += w0 * d["w0x0"]
                    d["w1"] += x1 * d["w1x1"]
                    d["x1"] += w1 * d["w1x1"]
                    return [v, d]
            """,
        }
    ),
    "sigmoid_neuron": cells(
        {
            "flat": """
                def sigmoid_neuron(w, x):
                    dot = w[0] * x[0] + w[1] * x[1] + w[2]
                    f = 1 / (1 + np.exp(-dot))
                    ddot = (1 - f) * f
                    dx = np.array([w[0] * ddot, w[1] * ddot])
                    dw = np.array([x[0] * ddot, x[1] * ddot, 1.0 * ddot])
                    return f, dw, dx
            """,
            "lists and math": """
                import math
                def sigmoid_neuron(w, x):
                    dot = w[0] * x[0] + w[1] * x[1] + w[2]
                    f = 1.0 / (1 + math.exp(-dot))
                    ddot = (1 - f) * f
                    dx = [w[0] * ddot, w[1] * ddot]
                    dw = [x[0] * ddot, x[1] * ddot, 1.0 * ddot]
                    return [f, dw, dx]
            """,
            "vectorised, with a third input of 1": """
                def sigmoid_neuron(w, x):
                    extended = np.append(x, 1.0)
                    f = np.tanh(w @ extended / 2) / 2 + 0.5
                    slope = f - f ** 2
                    return np.array([f]), slope * extended, (slope * w)[:-1]
            """,
            "in place on copies, through exp": """
                def sigmoid_neuron(w, x):
                    e = np.exp(-(np.einsum("i,i", w[:2], x) + w[2]))
                    f = np.asarray(1 / (1 + e))
                    dw = np.ones(3)
                    dw[:2] = x
                    dw *= e / (1 + e) ** 2
                    dx = w[:2].copy()
                    dx *= dw[2]
                    return f, dw, tuple(dx)
            """,
        }
    ),
    "AddGate": cells(
        {
            "remembers nothing": """
                class AddGate:
                    def forward(self, x, y): return x + y
                    def backward(self, dz): return dz, dz
            """,
            "remembers all, a list": """
                class AddGate:
                    def __init__(self):
                        self.x = self.y = None
                    def forward(self, x, y):
                        self.x, self.y = x, y
                        return self.x + self.y
                    def backward(self, dz):
                        dx = 1.0 * dz
                        dy = 1.0 * dz
                        return [dx, dy]
            """,
            "an array": """
                class AddGate(object):
                    def forward(self, a, b): return np.array([a, b]).sum()
                    def backward(self, upstream): return np.full(2, upstream)
            """,
        }
    ),
    "MultiplyGate": cells(
        {
            "remembers the inputs": """
                class MultiplyGate:
                    def forward(self, x, y):
                        self.x, self.y = x, y
                        return x * y
                    def backward(self, dz):
                        dx = self.y * dz
                        dy = self.x * dz
                        return dx, dy
            """,
            "with __init__, a list": """
                class MultiplyGate(object):
                    def __init__(self, name="multiply"):
                        self.cache = None
                    def forward(self, x, y):
                        self.cache = (x, y)
                        return np.array(x * y)
                    def backward(self, dz):
                        x, y = self.cache
                        return [dz * y, dz * x]
            """,
            "remembers the local gradients, as an array": """
                class MultiplyGate:
                    def forward(self, x, y):
                        self.local = np.array([y, x])
                        return float(np.prod(self.local))
                    def backward(self, dz):
                        return self.local * dz
            """,
        }
    ),
    "MaxGate": cells(
        {
            "ties to the first": """
                class MaxGate:
                    def forward(self, x, y):
                        self.x, self.y = x, y
                        return max(x, y)
                    def backward(self, dz):
                        if self.x >= self.y:
                            return dz, 0.0
                        return 0.0, dz
            """,
            "ties to the second": """
                class MaxGate:
                    def forward(self, x, y):
                        self.first = x > y
                        return x if self.first else y
                    def backward(self, dz):
                        return [dz * self.first, dz * (not self.first)]
            """,
            "ties are halved": """
                class MaxGate:
                    def forward(self, x, y):
                        self.inputs = np.array([x, y])
                        self.z = self.inputs.max()
                        return self.z
                    def backward(self, dz):
                        mask = self.inputs == self.z
                        return dz * mask / mask.sum()
            """,
        }
    ),
    "CopyGate": cells(
        {
            "a tuple": """
                class CopyGate:
                    def forward(self, x): return x, x
                    def backward(self, da, db): return da + db
            """,
            "a list, adding up": """
                class CopyGate:
                    def __init__(self):
                        self.grad = 0.0
                    def forward(self, x):
                        self.x = x
                        return [self.x, self.x]
                    def backward(self, da, db):
                        grad = 0.0
                        for upstream in (da, db):
                            grad += upstream
                        return np.float64(grad)
            """,
            "arrays": """
                class CopyGate:
                    def forward(self, x): return np.repeat(x, 2)
                    def backward(self, da, db): return np.array([da, db]).sum(keepdims=True)
            """,
        }
    ),
    "shared_input": cells(
        {
            "adding up": """
                def shared_input(x, y):
                    q = x + y
                    f = q * x
                    dx = dy = 0.0
                    dq = x
                    dx += q
                    dx += dq
                    dy += dq
                    return f, (dx, dy)
            """,
            "by calculus, a list": "def shared_input(x, y): return [x ** 2 + x * y, [2 * x + y, x]]",
            "with a copy gate, an array": """
                def shared_input(x, y):
                    a, b = x, x
                    q = a + y
                    f = np.array([q * b])
                    dq, db = b, q
                    return f, np.array([dq + db, dq])
            """,
        }
    ),
    "regression_circuit": cells(
        {
            "staged": """
                def regression_circuit(w0, w1, x, y):
                    u = w1 * x
                    yhat = w0 + u
                    z = yhat - y
                    L = z ** 2
                    dz = 2 * z
                    dyhat = dz
                    dy = -dz
                    dw0 = dyhat
                    du = dyhat
                    dw1 = du * x
                    dx = du * w1
                    return L, {"z": dz, "yhat": dyhat, "u": du, "w0": dw0, "w1": dw1, "x": dx, "y": dy}
            """,
            "in one go, with more keys": """
                def regression_circuit(w0, w1, x, y):
                    z = w0 + w1 * x - y
                    grads = dict.fromkeys(("z", "yhat", "u", "w0"), 2 * z)
                    grads.update(w1=2 * z * x, x=2 * z * w1, y=-2 * z, L=1.0)
                    return np.array(z * z), grads
            """,
            "arrays and a list": """
                def regression_circuit(w0, w1, x, y):
                    w, features = np.array([w0, w1]), np.array([1.0, x])
                    error = w @ features - y
                    dw = 2 * error * features
                    grads = {"w0": dw[0], "w1": dw[1], "x": 2 * error * w[1], "y": np.array([-2 * error])}
                    for key in ("u", "yhat", "z"):
                        grads[key] = np.array(2 * error)
                    return [np.float64(error ** 2), grads]
            """,
        }
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_whoever_is_right_gets_every_point_however_it_is_written(name: str) -> None:
    assert len(WRITTEN[name]) >= 3
    for title, source in WRITTEN[name].items():
        for student in STUDENTS:
            report = graded(name, source, student)
            assert report.passed, f"{title}, {student}\n{report.text()}"
            assert report.score == report.points
            assert not report.findings


def test_every_exercise_is_written_here() -> None:
    assert set(WRITTEN) == set(WRONG) == set(ASSESSED.assignment.described)


# -- who is wrong ------------------------------------------------------------------------------


def edited(name: str, changes: dict[str, tuple[str, str, str]]) -> dict[str, tuple[str, str]]:
    """By title: the first solution above with one text replaced by another, and the code of what is found."""
    first = next(iter(WRITTEN[name].values()))
    made = {}
    for title, (old, new, code) in changes.items():
        assert old in first, f"{name}, {title}: {old!r} is not in the solution any more"
        made[title] = (first.replace(old, new), code)
    return made


WRONG: dict[str, dict[str, tuple[str, str]]] = {
    "gradient_at_point": edited(
        "gradient_at_point",
        {
            "no factor": ("2 * x, 2 * y", "x, y", "scale"),
            "the values": ("2 * x, 2 * y", "x ** 2, y ** 2", "value-for-gradient"),
            "the exponent stays": ("2 * x, 2 * y", "2 * x ** 2, 2 * y ** 2", "exponent-kept"),
            "exchanged": ("2 * x, 2 * y", "2 * y, 2 * x", "swapped"),
            "added": ("2 * x, 2 * y", "2 * x + 2 * y", "summed"),
            "by x alone": ("2 * x, 2 * y", "2 * x, 0", "one-input-only"),
            "the lecture's": ("2 * x, 2 * y", "10, 6", "fixed-numbers"),
            "downhill": ("2 * x, 2 * y", "-2 * x, -2 * y", "sign"),
            "no return": ("return ", "", "returned-none"),
            "a text": ("return 2 * x, 2 * y", "return 'f\"(2x, 2y)\"'", "not-a-number"),
        },
    ),
    "numerical_derivative": edited(
        "numerical_derivative",
        {
            "forwards": ("(f(x + h) - f(x - h)) / (2 * h)", "(f(x + h) - f(x)) / h", "one-sided"),
            "backwards": ("(f(x + h) - f(x - h)) / (2 * h)", "(f(x) - f(x - h)) / h", "one-sided"),
            "sign": ("f(x + h) - f(x - h)", "f(x - h) - f(x + h)", "sign"),
            "no brackets below": ("/ (2 * h)", "/ 2 * h", "precedence"),
            "no brackets above": ("(f(x + h) - f(x - h)) /", "f(x + h) - f(x - h) /", "precedence"),
            "over h": ("/ (2 * h)", "/ h", "scale"),
            "one side over 2h": ("f(x - h)", "f(x)", "scale"),
            "the difference": (" / (2 * h)", "", "not-divided"),
            "an h of its own": ("return", "h = 1e-5; return", "h-ignored"),
            "half steps": ("(f(x + h) - f(x - h)) / (2 * h)", "(f(x + h / 2) - f(x - h / 2)) / h", "half-step"),
            "the value": ("return (f(x + h) - f(x - h)) / (2 * h)", "return f(x)", "value-for-slope"),
            "no return": ("return ", "", "returned-none"),
        },
    ),
    "add_mul_circuit": edited(
        "add_mul_circuit",
        {
            "upstream ignored": ("1.0 * dq", "1.0", "upstream-ignored"),
            "not swapped": ("dq = z\n    dz = q", "dq = q\n    dz = z", "not-swapped"),
            "scaled by the inputs": (
                "dx = 1.0 * dq\n    dy = 1.0 * dq",
                "dx = x * dq\n    dy = y * dq",
                "addition-scales",
            ),
            "like a product": ("dx = 1.0 * dq\n    dy = 1.0 * dq", "dx = y * dq\n    dy = x * dq", "addition-scales"),
            "shared out": ("1.0 * dq", "0.5 * dq", "addition-shares"),
            "starts from f": ("dq = z\n    dz = q", "dq = z * f\n    dz = q * f", "starts-from-value"),
            "sign": ("dq = z\n    dz = q", "dq = -z\n    dz = -q", "sign"),
            "reversed": ("(dx, dy, dz)", "(dz, dy, dx)", "order"),
            "z first": ("(dx, dy, dz)", "(dz, dx, dy)", "order"),
            "dq returned": ("(dx, dy, dz)", "(dx, dy, dq)", "dq-for-dz"),
            "no brackets": ("f = q * z", "f = x + y * z", "precedence"),
            "a sum": ("f = q * z", "f = q + z", "sum-for-product"),
            "q returned": ("return f,", "return q,", "output-missing"),
            "flat": ("(dx, dy, dz)", "dx, dy, dz", "wrong-number-of-values"),
            "only the gradients": ("return f, ", "return ", "wrong-number-of-values"),
            "no return": ("return f", "f", "returned-none"),
            "two gradients": ("(dx, dy, dz)", "(dx, dy)", "wrong-shape"),
        },
    ),
    "sigmoid_circuit": edited(
        "sigmoid_circuit",
        {
            "bias times itself": ("dw2 = ddot", "dw2 = ddot * w2", "bias-times-itself"),
            "bias without upstream": ("dw2 = ddot", "dw2 = 1.0", "upstream-ignored"),
            "bias forgotten": ("dw2 = ddot", "dw2 = 0.0", "gradient-zero"),
            "not swapped": (
                "dw0 = dw0x0 * x0\n    dx0 = dw0x0 * w0\n    dw1 = dw1x1 * x1\n    dx1 = dw1x1 * w1",
                "dw0 = dw0x0 * w0\n    dx0 = dw0x0 * x0\n    dw1 = dw1x1 * w1\n    dx1 = dw1x1 * x1",
                "not-swapped",
            ),
            "local gradients": (
                "dw0 = dw0x0 * x0\n    dx0 = dw0x0 * w0\n    dw1 = dw1x1 * x1\n    dx1 = dw1x1 * w1",
                "dw0 = x0\n    dx0 = w0\n    dw1 = x1\n    dx1 = w1",
                "upstream-ignored",
            ),
            "addition scales": (
                "dw0x0 = dsum\n    dw1x1 = dsum",
                "dw0x0 = dsum * w0x0\n    dw1x1 = dsum * w1x1",
                "addition-scales",
            ),
            "no minus at neg": ("-1.0 * dneg", "dneg", "minus-missing"),
            "slope of the input": ("dexp * e", "dexp * neg", "slope-of-input"),
            "exp twice": ("dexp * e", "dexp * math.exp(e)", "slope-applied-twice"),
            "exp skipped": ("dexp * e", "dexp", "slope-missing"),
            "exp without upstream": ("dexp * e", "e", "upstream-ignored"),
            "power rule": ("dexp * e", "dexp * neg * math.exp(neg - 1)", "power-rule-for-exp"),
            "a constant as a factor": ("dexp = dplus1", "dexp = dplus1 * plus1", "constant-multiplied"),
            "no minus at 1/x": ("-1.0 / plus1 ** 2", "1.0 / plus1 ** 2", "minus-missing"),
            "no square": ("plus1 ** 2", "plus1", "square-missing"),
            "slope of the output": ("plus1 ** 2", "f ** 2", "slope-of-output"),
            "logarithm": ("(-1.0 / plus1 ** 2)", "math.log(plus1)", "logarithm"),
            "starts from f": ("df = 1.0", "df = f", "starts-from-value"),
            "no bias": ("dot = sum_ + w2", "dot = sum_", "bias-missing"),
            "no minus forwards": ("neg = -1.0 * dot", "neg = dot", "minus-missing"),
            "no one": ("plus1 = 1 + e", "plus1 = e", "one-missing"),
            "rounded": (
                "return values, grads",
                "return ({k: round(v, 2) for k, v in values.items()}, {k: round(v, 2) for k, v in grads.items()})",
                "rounded",
            ),
            "a key is missing": ('"w2": dw2', '"bias": dw2', "no-key"),
            "only the gradients": ("return values, grads", "return grads", "wrong-number-of-values"),
            "two tuples": (
                "return values, grads",
                "return tuple(values.values()), tuple(grads.values())",
                "no-dictionary",
            ),
            "no return": ("return values, grads", "", "returned-none"),
        },
    ),
    "sigmoid_neuron": edited(
        "sigmoid_neuron",
        {
            "bias times itself": ("1.0 * ddot", "w[2] * ddot", "bias-times-itself"),
            "bias forgotten": ("1.0 * ddot", "0.0", "gradient-zero"),
            "bias without upstream": ("1.0 * ddot", "1.0", "upstream-ignored"),
            "bias left out": (", 1.0 * ddot]", "]", "bias-left-out"),
            "bias as a weight": ("w[1] * ddot])", "w[1] * ddot, w[2] * ddot])", "bias-as-weight"),
            "not swapped": (
                "dx = np.array([w[0] * ddot, w[1] * ddot])\n    dw = np.array([x[0] * ddot, x[1] * ddot, 1.0 * ddot])",
                "dx = np.array([x[0] * ddot, x[1] * ddot])\n    dw = np.array([w[0] * ddot, w[1] * ddot, 1.0 * ddot])",
                "not-swapped",
            ),
            "dx first": ("return f, dw, dx", "return f, dx, dw", "order"),
            "slope of the input": ("(1 - f) * f", "(1 - dot) * dot", "slope-of-input"),
            "sigmoid twice": (
                "ddot = (1 - f) * f",
                "s = 1 / (1 + np.exp(-f)); ddot = (1 - s) * s",
                "slope-applied-twice",
            ),
            "sigmoid skipped": ("ddot = (1 - f) * f", "ddot = 1.0", "slope-missing"),
            "one factor": ("(1 - f) * f", "(1 - f)", "slope-factor-missing"),
            "tanh": ("(1 - f) * f", "1 - f ** 2", "slope-of-tanh"),
            "plus": ("(1 - f) * f", "(1 + f) * f", "slope-sign"),
            "sign": ("(1 - f) * f", "(f - 1) * f", "sign"),
            "no bias": (" + w[2]", "", "bias-missing"),
            "no minus": ("np.exp(-dot)", "np.exp(dot)", "minus-missing"),
            "no sigmoid": ("f = 1 / (1 + np.exp(-dot))", "f = dot", "sigmoid-missing"),
            "a dictionary": ("return f, dw, dx", "return {'f': f, 'dw': dw, 'dx': dx}", "wrong-number-of-values"),
            "no return": ("return f, dw, dx", "", "returned-none"),
        },
    ),
    "AddGate": edited(
        "AddGate",
        {
            "ones": ("return dz, dz", "return 1.0, 1.0", "upstream-ignored"),
            "halves": ("return dz, dz", "return dz / 2, dz / 2", "addition-shares"),
            "one number": ("return dz, dz", "return dz", "wrong-shape"),
            "one input": ("return dz, dz", "return dz, 0", "one-input-only"),
            "minus": ("return dz, dz", "return dz, -dz", "rule-of-minus"),
            "a product": ("x + y", "x * y", "wrong-operation"),
            "no return": ("return dz, dz", "dz, dz", "returned-none"),
            "no backward": ("def backward(self, dz): return dz, dz", "pass", "error"),
            "no self": ("(self, x, y)", "(x, y)", "error"),
        },
    ),
    "MultiplyGate": edited(
        "MultiplyGate",
        {
            "not swapped": (
                "dx = self.y * dz\n        dy = self.x * dz",
                "dx = self.x * dz\n        dy = self.y * dz",
                "not-swapped",
            ),
            "no upstream": (" * dz", "", "upstream-ignored"),
            "upstream added": (" * dz", " + dz", "upstream-added"),
            "like an addition": (
                "dx = self.y * dz\n        dy = self.x * dz",
                "dx = dz\n        dy = dz",
                "rule-of-add",
            ),
            "kept in the class": ("self.x, self.y = x, y", "type(self).x, type(self).y = x, y", "kept-in-class"),
            "keeps the first": (
                "self.x, self.y = x, y",
                "self.x, self.y = getattr(self, 'x', x), getattr(self, 'y', y)",
                "kept-too-long",
            ),
            "keeps nothing": ("self.x, self.y = x, y", "pass", "error"),
            "a sum": ("return x * y", "return x + y", "wrong-operation"),
            "no return": ("return x * y", "x * y", "returned-none"),
        },
    ),
    "MaxGate": edited(
        "MaxGate",
        {
            "one and zero": (
                "return dz, 0.0\n        return 0.0, dz",
                "return 1, 0\n        return 0, 1",
                "upstream-ignored",
            ),
            "to the smaller": ("self.x >= self.y", "self.x <= self.y", "smaller-picked"),
            "to both": ("return dz, 0.0\n        return 0.0, dz", "pass\n        return dz, dz", "rule-of-add"),
            "times the value": (
                "return dz, 0.0\n        return 0.0, dz",
                "return self.x * dz, 0\n        return 0, self.y * dz",
                "value-times-gradient",
            ),
            "sizes": ("self.x >= self.y", "abs(self.x) >= abs(self.y)", "sizes-compared"),
            "ties to both": (
                "if self.x >= self.y:",
                "if self.x == self.y:\n            return dz, dz\n        if self.x > self.y:",
                "tie-both",
            ),
            "ties to none": (
                "if self.x >= self.y:",
                "if self.x == self.y:\n            return 0, 0\n        if self.x > self.y:",
                "tie-none",
            ),
            "kept in the class": ("self.x, self.y = x, y", "MaxGate.x, MaxGate.y = x, y", "kept-in-class"),
            "the minimum": ("max(x, y)", "min(x, y)", "wrong-operation"),
            "sign": ("return dz, 0.0\n        return 0.0, dz", "return -dz, 0.0\n        return 0.0, -dz", "sign"),
        },
    ),
    "CopyGate": edited(
        "CopyGate",
        {
            "overwritten": (
                "return da + db",
                "dx = da\n        dx = db\n        return dx".replace("\n        ", "; "),
                "path-missing",
            ),
            "the first": ("return da + db", "return da", "path-missing"),
            "the mean": ("return da + db", "return (da + db) / 2", "averaged"),
            "the product": ("return da + db", "return da * db", "multiplied"),
            "both": ("return da + db", "return da, db", "not-collected"),
            "the difference": ("return da + db", "return da - db", "rule-of-minus"),
            "the larger": ("return da + db", "return max(da, db)", "larger-picked"),
            "one copy": ("return x, x", "return x", "one-copy"),
            "halves": ("return x, x", "return x / 2, x / 2", "shared-out"),
            "no return": ("return da + db", "da + db", "returned-none"),
        },
    ),
    "shared_input": edited(
        "shared_input",
        {
            "overwritten": ("dx += dq", "dx = dq", "path-missing"),
            "the direct way alone": ("dx += dq\n", "pass\n", "path-missing"),
            "ones": ("dx += dq\n    dy += dq", "dx += 1\n    dy += 1", "upstream-ignored"),
            "not swapped": ("dq = x\n    dx += q", "dq = q\n    dx += x", "not-swapped"),
            "counted twice": ("dx += dq", "dx += 2 * dq", "double-counting"),
            "multiplied": ("dx += dq", "dx *= dq", "multiplied"),
            "averaged": ("(dx, dy)", "(dx / 2, dy)", "averaged"),
            "y first": ("(dx, dy)", "(dy, dx)", "order"),
            "sign": ("(dx, dy)", "(-dx, -dy)", "sign"),
            "q times y": ("f = q * x", "f = q * y", "wrong-factor"),
            "flat": ("(dx, dy)", "dx, dy", "wrong-number-of-values"),
            "no return": ("return f, ", "f, ", "returned-none"),
        },
    ),
    "regression_circuit": edited(
        "regression_circuit",
        {
            "no minus": ("dy = -dz", "dy = dz", "minus-missing"),
            "no gradient of y": ("dy = -dz", "dy = 0", "gradient-zero"),
            "no gradient of x": ("dx = du * w1", "dx = 0", "gradient-zero"),
            "w0 as a factor": ("dw0 = dyhat", "dw0 = dyhat * w0", "addition-scales"),
            "w0 without upstream": ("dw0 = dyhat", "dw0 = 1.0", "upstream-ignored"),
            "not swapped": ("dw1 = du * x\n    dx = du * w1", "dw1 = du * w1\n    dx = du * x", "not-swapped"),
            "local gradients": ("dw1 = du * x\n    dx = du * w1", "dw1 = x\n    dx = w1", "upstream-ignored"),
            "no two": ("dz = 2 * z", "dz = z", "factor-missing"),
            "square skipped": ("dz = 2 * z", "dz = 1.0", "slope-missing"),
            "starts from the loss": ("dz = 2 * z", "dz = L", "loss-for-gradient"),
            "the square stays": ("dz = 2 * z", "dz = 2 * z ** 2", "square-kept"),
            "sign": ("dz = 2 * z", "dz = -2 * z", "sign"),
            "reversed difference": (
                "z = yhat - y\n    L = z ** 2\n    dz = 2 * z\n    dyhat = dz\n    dy = -dz",
                "z = y - yhat\n    L = z ** 2\n    dz = 2 * z\n    dyhat = -dz\n    dy = dz",
                "difference-reversed",
            ),
            "half": ("L = z ** 2\n    dz = 2 * z", "L = 0.5 * z ** 2\n    dz = z", "half"),
            "half in the loss": ("L = z ** 2", "L = z ** 2 / 2", "half"),
            "no square": ("L = z ** 2", "L = z", "square-missing"),
            "absolute": ("L = z ** 2", "L = abs(z)", "absolute"),
            "no bias": ("yhat = w0 + u", "yhat = u", "bias-missing"),
            "a key is missing": ('"yhat": dyhat, ', "", "no-key"),
            "a tuple": ('{"z": dz,', '(dw0, dw1) or {"z": dz,', "no-dictionary"),
            "no return": ("return L, ", "L, ", "returned-none"),
        },
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_whoever_is_wrong_loses_points_and_hears_why(name: str) -> None:
    for title, (source, code) in WRONG[name].items():
        for student in STUDENTS:
            report = graded(name, source, student)
            assert report.score < report.points, f"{title}, {student}: this earned every point"
            found = [finding.code for finding in report.findings]
            assert found == [code], f"{title}, {student}: {found}\n{report.text()}"


def test_two_mistakes_at_once_are_both_named() -> None:
    source = next(iter(WRITTEN["sigmoid_circuit"].values()))
    source = source.replace("dw2 = ddot", "dw2 = 0.0").replace(
        "dw0x0 = dsum\n    dw1x1 = dsum", "dw0x0 = dw1x1 = dsum / 2"
    )
    report = graded("sigmoid_circuit", source, STUDENTS[0])
    assert {finding.code for finding in report.findings} == {"gradient-zero", "addition-shares"}


@pytest.mark.parametrize(
    ("name", "old", "new", "score"),
    [
        ("add_mul_circuit", "dz = q", "dz = z", 2),
        ("add_mul_circuit", "f = q * z", "f = q + z", 6),
        ("sigmoid_circuit", "dw2 = ddot", "dw2 = 1.0", 4 + 5),
        ("sigmoid_circuit", "dexp * e", "dexp * neg", 4),
        ("sigmoid_neuron", "1.0 * ddot", "w[2] * ddot", 2 + 4),
        ("sigmoid_neuron", "(1 - f) * f", "1 - f", 2),
        ("MultiplyGate", " * dz", "", 1),
        ("MultiplyGate", "return x * y", "return x + y", 3),
        ("MaxGate", "self.x >= self.y", "self.x <= self.y", 1),
        ("CopyGate", "da + db", "da", 1),
        ("shared_input", "dx += dq", "dx = dq", 2),
        ("regression_circuit", "dw1 = du * x", "dw1 = du * w1", 10 - 3),
        ("regression_circuit", "dy = -dz", "dy = dz", 10 - 2),
        ("regression_circuit", "L = z ** 2", "L = z ** 2 / 2", 10 - 2),
        ("regression_circuit", '"w1": dw1, ', "", 10 - 3),
    ],
)
def test_who_has_a_part_right_gets_its_points(name: str, old: str, new: str, score: float) -> None:
    source = next(iter(WRITTEN[name].values()))
    assert old in source
    assert graded(name, source.replace(old, new), STUDENTS[0]).score == score


def test_what_is_slightly_wrong_is_rejected_even_in_one_result() -> None:
    for name, old, new in (
        ("gradient_at_point", "2 * y", "2.001 * y"),
        ("numerical_derivative", "(2 * h)", "(2.001 * h)"),
        ("sigmoid_circuit", '"exp": dexp', '"exp": 1.0005 * dexp'),
        ("sigmoid_circuit", '"plus1": plus1', '"plus1": 1.0005 * plus1'),
        ("sigmoid_neuron", "1.0 * ddot", "1.0005 * ddot"),
        ("AddGate", "return dz, dz", "return dz, 1.0005 * dz"),
        ("MultiplyGate", "dx = self.y * dz", "dx = 1.0005 * self.y * dz"),
        ("MaxGate", "return dz, 0.0", "return dz, 0.0005 * dz"),
        ("CopyGate", "da + db", "da + 1.0005 * db"),
        ("shared_input", "dx += dq", "dx += 1.0005 * dq"),
        ("regression_circuit", "dz = 2 * z", "dz = 2.001 * z"),
    ):
        source = next(iter(WRITTEN[name].values()))
        assert old in source
        for student in STUDENTS:
            report = graded(name, source.replace(old, new), student)
            assert report.score < report.points, name
            assert not report.findings, report.text()


# -- the bank, against the engine ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "circuit"),
    [
        ("add_mul_circuit", ASSESSED.module("mistakes").ADD_MUL),
        ("sigmoid_circuit", ASSESSED.module("mistakes").SIGMOID),
        ("shared_input", ASSESSED.module("mistakes").SHARED),
        ("regression_circuit", ASSESSED.module("mistakes").REGRESSION),
    ],
)
def test_what_the_bank_knows_by_hand_is_what_the_engine_finds(name: str, circuit: Any) -> None:
    for student in STUDENTS:
        for made in ASSESSED.exercise(name, student).cases:
            (step,) = made.steps
            results = circuit(**dict(zip(step.names, step.args, strict=True)))
            for item in step.expected:
                top = results[item.name.partition("[")[0]]
                got = top[item.at[-1]] if isinstance(top, dict) else top
                np.testing.assert_allclose(
                    got, item.value, rtol=1e-12, atol=1e-15, err_msg=f"{made.title}: {item.name}"
                )


def test_the_lectures_numbers_come_first() -> None:
    sigmoid = {
        item.name: item.value for item in ASSESSED.exercise("sigmoid_circuit", STUDENTS[0]).cases[0].steps[0].expected
    }
    values = {"w0x0": -2, "w1x1": 6, "sum": 4, "dot": 1, "neg": -1, "exp": 0.37, "plus1": 1.37, "f": 0.73}
    grads = {"f": 1, "plus1": -0.53, "exp": -0.53, "neg": -0.20, "dot": 0.20}
    grads |= {"w0": -0.20, "x0": 0.39, "w1": -0.39, "x1": -0.59, "w2": 0.20}
    for kind, numbers in (("values", values), ("grads", grads)):
        for name, number in numbers.items():
            assert round(sigmoid[f'{kind}["{name}"]'], 2) == number, name
    first = {name: ASSESSED.exercise(name, STUDENTS[0]).cases[0].steps for name in WRITTEN}
    assert first["gradient_at_point"][0].args == (5, 3)
    assert first["gradient_at_point"][0].expected[0].value.tolist() == [10, 6]
    assert first["add_mul_circuit"][0].args == (-2, 5, -4)
    assert [item.value.tolist() for item in first["add_mul_circuit"][0].expected] == [-12, [-4, -4, 3]]
    assert [step.args for step in first["MultiplyGate"][1:]] == [(2, 3), (5,)]
    assert tuple(first["MultiplyGate"][2].expected[0].value) == (15, 10)

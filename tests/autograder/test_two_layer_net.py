"""The grader is right about students: `two_layer_net`, exercise by exercise.

What holds for every assignment is in `test_assignments.py`.
"""

from __future__ import annotations

import textwrap

import pytest
from assessed import Assessed

ASSESSED = Assessed("two_layer_net")
ASSIGNMENT, exercise, graded = ASSESSED.assignment, ASSESSED.exercise, ASSESSED.graded
STUDENTS = ("student-0", "student-1", "student-2")

# -- who is right ------------------------------------------------------------------------------

WRITTEN: dict[str, dict[str, str]] = {
    "collapse_linear": {
        "with @": "def collapse_linear(W1, W2): return W2 @ W1",
        "with einsum": "def collapse_linear(W1, W2): return np.einsum('ch,hd->cd', W2, W1)",
        "turned twice": "def collapse_linear(W1, W2): return np.dot(W1.T, W2.T).T",
        "column by column, as a list": """
            def collapse_linear(W1, W2):
                columns = [W2.dot(W1.dot(e)) for e in np.eye(W1.shape[1])]
                return [[column[c] for column in columns] for c in range(len(W2))]
        """,
    },
    "polar_features": {
        "with column_stack": """
            def polar_features(X):
                x, y = X[:, 0], X[:, 1]
                return np.column_stack([np.sqrt(x ** 2 + y ** 2), np.arctan2(y, x)])
        """,
        "with norm, filled in": """
            def polar_features(points):
                out = np.empty_like(points)
                out[:, 0] = np.linalg.norm(points, axis=1)
                out[:, 1] = np.arctan2(*points.T[::-1])
                return out
        """,
        "complex": """
            def polar_features(X):
                z = X[:, 0] + 1j * X[:, 1]
                return np.stack((np.abs(z), np.angle(z)), axis=-1)
        """,
        "point by point, with math, as a list": """
            import math
            def polar_features(X):
                return [[math.hypot(x, y), math.atan2(y, x)] for x, y in X]
        """,
        "with arccos": """
            def polar_features(X):
                r = np.hypot(X[:, 0], X[:, 1])
                theta = np.arccos(X[:, 0] / r)
                theta = np.where(X[:, 1] < 0, -theta, theta)
                return np.array([r, theta]).T
        """,
    },
    "relu": {
        "input in the cache": """
            def relu_forward(x):
                out = np.maximum(0, x)
                return out, x
            def relu_backward(dout, cache):
                return dout * (cache > 0)
        """,
        "mask in a dict": """
            def relu_forward(x):
                mask = x > 0
                return np.where(mask, x, 0), {"mask": mask}
            def relu_backward(dout, cache):
                return np.where(cache["mask"], dout, 0.0)
        """,
        "on copies": """
            def relu_forward(x):
                out = x.copy()
                out[out < 0] = 0
                return out, (x, out)
            def relu_backward(dout, cache):
                x, out = cache
                dx = np.array(dout)
                dx[x <= 0] = 0
                return dx
        """,
        "number by number": """
            def relu_forward(x):
                return np.array([max(v, 0.0) for v in x.flat]).reshape(x.shape), x
            def relu_backward(dout, cache):
                slopes = [1 if v > 0 else 0 for v in cache.flat]
                return np.reshape([s * g for s, g in zip(slopes, dout.flat)], cache.shape)
        """,
    },
    "leaky_relu": {
        "with maximum": """
            def leaky_relu_forward(x):
                return np.maximum(0.1 * x, x), x
            def leaky_relu_backward(dout, cache):
                return dout * np.where(cache > 0, 1.0, 0.1)
        """,
        "slopes in the cache": """
            def leaky_relu_forward(x):
                slope = np.ones_like(x)
                slope[x < 0] = 0.1
                return slope * x, slope
            def leaky_relu_backward(dout, slope):
                return slope * dout
        """,
        "two parts": """
            def leaky_relu_forward(x):
                out = np.maximum(x, 0) + 0.1 * np.minimum(x, 0)
                return [out, [x]]
            def leaky_relu_backward(dout, cache):
                (x,) = cache
                return dout * (x >= 0) + dout * (x < 0) / 10
        """,
    },
    "elu": {
        "output in the cache": """
            def elu_forward(x):
                out = np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
                return out, out
            def elu_backward(dout, cache):
                return dout * np.where(cache > 0, 1.0, cache + 1)
        """,
        "overflow where it is not used": """
            def elu_forward(x):
                return np.where(x >= 0, x, np.exp(x) - 1), x
            def elu_backward(dout, x):
                return np.where(x >= 0, dout, dout * np.exp(x))
        """,
        "where it is negative": """
            def elu_forward(x, alpha=1.0):
                out, low = 1.0 * x, x < 0
                out[low] = alpha * (np.exp(x[low]) - 1)
                return out, (low, out, alpha)
            def elu_backward(dout, cache):
                low, out, alpha = cache
                dx = dout.copy()
                dx[low] *= out[low] + alpha
                return dx
        """,
    },
    "tanh": {
        "output in the cache": """
            def tanh_forward(x):
                out = np.tanh(x)
                return out, out
            def tanh_backward(dout, cache):
                return dout * (1 - cache ** 2)
        """,
        "input in the cache": """
            def tanh_forward(x):
                return np.tanh(x), (x,)
            def tanh_backward(dout, cache):
                t = np.tanh(cache[0])
                return dout * (1 + t) * (1 - t)
        """,
        "through the sigmoid": """
            def tanh_forward(x):
                t = np.exp(-2 * np.abs(x))
                out = np.sign(x) * (1 - t) / (1 + t)
                return out, {"slope": 1 - out * out}
            def tanh_backward(dout, cache):
                return np.multiply(cache["slope"], dout)
        """,
    },
    "sigmoid": {
        "output in the cache": """
            def sigmoid_forward(x):
                out = 1 / (1 + np.exp(-x))
                return out, out
            def sigmoid_backward(dout, cache):
                return dout * cache * (1 - cache)
        """,
        "through tanh": """
            def sigmoid_forward(x):
                return 0.5 * (1 + np.tanh(0.5 * x)), x
            def sigmoid_backward(dout, x):
                s = 0.5 * np.tanh(0.5 * x) + 0.5
                return dout * (s - s ** 2)
        """,
        "two branches": """
            def sigmoid_forward(x):
                out = np.empty(x.shape)
                up = x >= 0
                out[up] = 1 / (1 + np.exp(-x[up]))
                e = np.exp(x[~up])
                out[~up] = e / (1 + e)
                return out, (x, out)
            def sigmoid_backward(dout, cache):
                s = cache[1]
                return dout * (s * (1 - s))
        """,
    },
    "maxout": {
        "masks": """
            def maxout_forward(x, W1, b1, W2, b2):
                A1 = x @ W1 + b1
                A2 = x @ W2 + b2
                out = np.maximum(A1, A2)
                return out, (x, W1, W2, A1, A2)
            def maxout_backward(dout, cache):
                x, W1, W2, A1, A2 = cache
                dA1 = dout * (A1 > A2)
                dA2 = dout * (A1 <= A2)
                dx = dA1 @ W1.T + dA2 @ W2.T
                return dx, x.T @ dA1, dA1.sum(axis=0), x.T @ dA2, dA2.sum(axis=0)
        """,
        "einsum over a stack, as a list": """
            def maxout_forward(x, W1, b1, W2, b2):
                W = np.stack([W1, W2])
                A = np.einsum("nd,kdh->knh", x, W) + np.stack([b1, b2])[:, None, :]
                return A.max(axis=0), {"x": x, "W": W, "winner": A.argmax(axis=0)}
            def maxout_backward(dout, cache):
                dA = np.stack([dout * (cache["winner"] == k) for k in (0, 1)])
                dx = np.einsum("knh,kdh->nd", dA, cache["W"])
                dW, db = np.einsum("nd,knh->kdh", cache["x"], dA), dA.sum(1)
                return [dx, dW[0], db[0], dW[1], db[1]]
        """,
        "example by example": """
            def maxout_forward(x, W1, b1, W2, b2):
                out = np.zeros((x.shape[0], W1.shape[1]))
                for i in range(x.shape[0]):
                    for j in range(W1.shape[1]):
                        out[i, j] = max(np.dot(x[i], W1[:, j]) + b1[j], np.dot(x[i], W2[:, j]) + b2[j])
                return out, (x, W1, b1, W2, b2)
            def maxout_backward(dout, cache):
                x, W1, b1, W2, b2 = cache
                dx, dW1, db1, dW2, db2 = (np.zeros(v.shape) for v in cache)
                for i in range(dout.shape[0]):
                    for j in range(dout.shape[1]):
                        if x[i] @ W1[:, j] + b1[j] > x[i] @ W2[:, j] + b2[j]:
                            W, dW, db = W1, dW1, db1
                        else:
                            W, dW, db = W2, dW2, db2
                        dx[i] += dout[i, j] * W[:, j]
                        dW[:, j] += dout[i, j] * x[i]
                        db[j] += dout[i, j]
                return dx, dW1, db1, dW2, db2
        """,
    },
    "three_layer_forward": {
        "calling sigmoid_forward": """
            def sigmoid_forward(x):
                out = 1 / (1 + np.exp(-x))
                return out, out
            def three_layer_forward(x, params):
                h1, _ = sigmoid_forward(params["W1"] @ x + params["b1"])
                h2, _ = sigmoid_forward(params["W2"] @ h1 + params["b2"])
                out = params["W3"] @ h2 + params["b3"]
                return out
        """,
        "in a loop, as a float": """
            def three_layer_forward(x, params):
                h = x
                for layer in (1, 2, 3):
                    h = params[f"W{layer}"].dot(h) + params[f"b{layer}"]
                    if layer < 3:
                        h = 0.5 + 0.5 * np.tanh(h / 2)
                return float(h[0, 0])
        """,
        "as rows, with a lambda, 0-d": """
            def three_layer_forward(x, params):
                f = lambda a: 1.0 / (1.0 + np.exp(-a))
                W1, b1, W2, b2, W3, b3 = [params[k].T for k in ("W1", "b1", "W2", "b2", "W3", "b3")]
                return np.squeeze(f(f(x.T @ W1 + b1) @ W2 + b2) @ W3 + b3)
        """,
    },
    "train_sigmoid_net": {
        "flat": """
            def train_sigmoid_net(x, y, w1, w2, lr, num_iters):
                losses = []
                for _ in range(num_iters):
                    h = 1 / (1 + np.exp(-(x @ w1)))
                    y_pred = h @ w2
                    loss = np.sum((y_pred - y) ** 2)
                    losses.append(loss)
                    dy_pred = 2 * (y_pred - y)
                    dw2 = h.T @ dy_pred
                    dh = dy_pred @ w2.T
                    dw1 = x.T @ (dh * h * (1 - h))
                    w1 = w1 - lr * dw1
                    w2 = w2 - lr * dw2
                return w1, w2, losses
        """,
        "calling sigmoid, on the weights it was given": """
            def sigmoid_forward(x):
                s = 0.5 * (1 + np.tanh(x / 2))
                return s, s
            def sigmoid_backward(dout, s):
                return dout * s * (1 - s)
            def train_sigmoid_net(x, y, w1, w2, lr, num_iters):
                losses = np.zeros(num_iters)
                for t in range(num_iters):
                    h, cache = sigmoid_forward(x.dot(w1))
                    error = h.dot(w2) - y
                    losses[t] = np.square(error).sum()
                    grad2 = h.T.dot(2.0 * error)
                    grad1 = x.T.dot(sigmoid_backward(2.0 * error.dot(w2.T), cache))
                    w1 -= lr * grad1
                    w2 -= lr * grad2
                return [w1, w2, losses]
        """,
        "einsum, and a helper": """
            def step(x, y, w1, w2):
                s = 1 / (1 + np.exp(-np.einsum("nd,dh->nh", x, w1)))
                e = np.einsum("nh,hc->nc", s, w2) - y
                slope = s - s * s
                return (float(np.einsum("nc,nc->", e, e)),
                        2 * np.einsum("nd,nh,hc,nc->dh", x, slope, w2, e), 2 * np.einsum("nh,nc->hc", s, e))
            def train_sigmoid_net(x, y, w1, w2, lr, num_iters):
                losses = ()
                while len(losses) < num_iters:
                    loss, g1, g2 = step(x, y, w1, w2)
                    w1, w2, losses = w1 - lr * g1, w2 - lr * g2, losses + (loss,)
                return w1, w2, losses
        """,
    },
    "TwoLayerNet": {
        "flat": """
            class TwoLayerNet:
                def __init__(self, input_size, hidden_size, output_size, std=1e-4):
                    self.params = {}
                    self.params["W1"] = std * np.random.randn(input_size, hidden_size)
                    self.params["b1"] = np.zeros(hidden_size)
                    self.params["W2"] = std * np.random.randn(hidden_size, output_size)
                    self.params["b2"] = np.zeros(output_size)

                def loss(self, X, y=None, reg=0.0):
                    W1, b1 = self.params["W1"], self.params["b1"]
                    W2, b2 = self.params["W2"], self.params["b2"]
                    N, D = X.shape
                    A = X @ W1 + b1
                    Z = np.maximum(0, A)
                    S = Z @ W2 + b2
                    if y is None:
                        return S
                    shifted = S - S.max(axis=1, keepdims=True)
                    P = np.exp(shifted)
                    P = P / P.sum(axis=1, keepdims=True)
                    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
                    loss = -log_p[np.arange(N), y].mean()
                    loss += reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
                    dS = P.copy()
                    dS[np.arange(N), y] -= 1
                    dS /= N
                    dA = dS @ W2.T
                    dA[A <= 0] = 0
                    grads = {}
                    grads["W2"] = Z.T @ dS + 2 * reg * W2
                    grads["b2"] = dS.sum(axis=0)
                    grads["W1"] = X.T @ dA + 2 * reg * W1
                    grads["b1"] = dA.sum(axis=0)
                    return loss, grads

                def train(self, X, y, X_val, y_val, learning_rate=1e-3, learning_rate_decay=0.95,
                          reg=5e-6, num_iters=100, batch_size=200):
                    N = X.shape[0]
                    epoch = max(N // batch_size, 1)
                    loss_history, train_acc_history, val_acc_history = [], [], []
                    for it in range(num_iters):
                        rows = np.random.choice(N, batch_size, replace=True)
                        X_batch, y_batch = X[rows], y[rows]
                        loss, grads = self.loss(X_batch, y=y_batch, reg=reg)
                        loss_history.append(loss)
                        for name in self.params:
                            self.params[name] -= learning_rate * grads[name]
                        if it % epoch == 0:
                            train_acc_history.append((self.predict(X_batch) == y_batch).mean())
                            val_acc_history.append((self.predict(X_val) == y_val).mean())
                            learning_rate *= learning_rate_decay
                    return {"loss_history": loss_history, "train_acc_history": train_acc_history,
                            "val_acc_history": val_acc_history}

                def predict(self, X):
                    return np.argmax(self.loss(X), axis=1)
        """,
        "with methods of its own, and a generator": """
            class TwoLayerNet:
                def __init__(self, input_size, hidden_size, output_size, std=1e-4):
                    self.rng = np.random.default_rng(7)
                    sizes = [input_size, hidden_size, output_size]
                    self.params = {}
                    for i in (1, 2):
                        self.params[f"W{i}"] = self.rng.normal(0, std, size=(sizes[i - 1], sizes[i]))
                        self.params[f"b{i}"] = np.zeros((sizes[i],))

                def forward(self, X):
                    p = self.params
                    pre = np.einsum("nd,dh->nh", X, p["W1"]) + p["b1"]
                    hidden = pre * (pre > 0)
                    return pre, hidden, np.einsum("nh,hc->nc", hidden, p["W2"]) + p["b2"]

                def loss(self, X, y=None, reg=0.0):
                    pre, hidden, scores = self.forward(X)
                    if y is None:
                        return scores
                    top = scores.max(1)[:, None]
                    log_sum = top + np.log(np.exp(scores - top).sum(1)[:, None])
                    onehot = np.zeros(scores.shape)
                    onehot[range(len(y)), y] = 1
                    data = np.sum((log_sum - scores) * onehot) / len(y)
                    weights = [self.params["W1"], self.params["W2"]]
                    back = (np.exp(scores - log_sum) - onehot) / len(y)
                    through = np.where(pre > 0, back.dot(weights[1].T), 0)
                    grads = dict(W1=X.T.dot(through), W2=hidden.T.dot(back), b1=np.ones(len(X)) @ through, b2=sum(back))
                    for name, W in zip(("W1", "W2"), weights):
                        grads[name] += reg * 2 * W
                    return np.array(data + reg * sum((W ** 2).sum() for W in weights)), grads

                def accuracy(self, X, y):
                    return sum(int(a == b) for a, b in zip(self.predict(X), y)) / len(y)

                def train(self, X, y, X_val, y_val, learning_rate, learning_rate_decay, reg, num_iters, batch_size):
                    history = dict(val_acc_history=[], train_acc_history=[], loss_history=np.zeros(num_iters))
                    per_epoch = max(int(len(X) / batch_size), 1)
                    rate = learning_rate
                    for t in range(1, num_iters + 1):
                        batch = self.rng.integers(0, len(X), batch_size)
                        value, grads = self.loss(X[batch], y[batch], reg)
                        history["loss_history"][t - 1] = value
                        self.params = {name: old - rate * grads[name] for name, old in self.params.items()}
                        if t % per_epoch == 0:
                            history["train_acc_history"].append(self.accuracy(X, y))
                            history["val_acc_history"].append(self.accuracy(X_val, y_val))
                            rate = learning_rate * learning_rate_decay ** (t // per_epoch)
                    return history

                def predict(self, X):
                    return [int(np.argmax(row)) for row in self.forward(X)[2]]
        """,
        "example by example": """
            import math, random
            class TwoLayerNet(object):
                def __init__(self, input_size, hidden_size, output_size, std=1e-4):
                    row = lambda n: [random.gauss(0, std) for _ in range(n)]
                    gauss = lambda rows, columns: np.array([row(columns) for _ in range(rows)])
                    self.params = dict(W1=gauss(input_size, hidden_size), b1=np.zeros(hidden_size),
                                       W2=gauss(hidden_size, output_size), b2=np.zeros(output_size))

                def loss(self, X, y=None, reg=0.0):
                    W1, b1, W2, b2 = [self.params[k] for k in ("W1", "b1", "W2", "b2")]
                    scores, total = [], 0.0
                    dW1, db1, dW2, db2 = [np.zeros(v.shape) for v in (W1, b1, W2, b2)]
                    for i, x in enumerate(X):
                        a = x @ W1 + b1
                        z = np.array([max(v, 0.0) for v in a])
                        s = z @ W2 + b2
                        scores.append(s)
                        if y is None:
                            continue
                        e = np.exp(s - max(s))
                        total += math.log(e.sum()) - (s[y[i]] - max(s))
                        ds = e / e.sum()
                        ds[y[i]] -= 1
                        dz = W2 @ ds
                        dz[a < 0] = 0
                        dW2 += np.outer(z, ds)
                        db2 += ds
                        dW1 += np.outer(x, dz)
                        db1 += dz
                    if y is None:
                        return np.vstack(scores)
                    n = len(X)
                    total = total / n + reg * np.linalg.norm(W1) ** 2 + reg * np.linalg.norm(W2) ** 2
                    dW1, dW2 = dW1 / n + 2 * reg * W1, dW2 / n + 2 * reg * W2
                    return total, {"W1": dW1, "b1": db1 / n, "W2": dW2, "b2": db2 / n}

                def train(self, X, y, X_val, y_val, learning_rate=1e-3, learning_rate_decay=0.95,
                          reg=5e-6, num_iters=100, batch_size=200):
                    epoch, losses, seen, fresh = max(len(X) // batch_size, 1), [], [], []
                    for t in range(num_iters):
                        rows = [random.randrange(len(X)) for _ in range(batch_size)]
                        loss, grads = self.loss(X[rows], y[rows], reg)
                        losses += [float(loss)]
                        for name, grad in grads.items():
                            self.params[name] = self.params[name] - learning_rate * grad
                        if (t + 1) % epoch == 0:
                            seen += [np.mean(self.predict(X) == y)]
                            fresh += [np.mean(self.predict(X_val) == y_val)]
                            learning_rate = learning_rate * learning_rate_decay
                    return {"loss_history": tuple(losses), "train_acc_history": seen, "val_acc_history": fresh}

                def predict(self, X):
                    return self.loss(X).argmax(1)
        """,
    },
}
RIGHT = {name: {title: textwrap.dedent(source) for title, source in ways.items()} for name, ways in WRITTEN.items()}


def test_every_exercise_is_written_in_at_least_three_ways() -> None:
    assert set(RIGHT) == set(WRONG) == set(ASSIGNMENT.described)
    assert min(len(ways) for ways in RIGHT.values()) >= 3


@pytest.mark.parametrize(("name", "title"), [(name, title) for name in RIGHT for title in RIGHT[name]])
def test_whoever_is_right_gets_every_point_however_it_is_written(name: str, title: str) -> None:
    for student in STUDENTS:
        report = graded(name, RIGHT[name][title], student)
        assert report.passed, f"{student}\n{report.text()}"
        assert report.score == report.points
        assert not report.findings


# -- who is wrong ------------------------------------------------------------------------------


def edited(name: str, code: str, *edits: str) -> tuple[str, str]:
    """The first right solution of `name` with old, new, old, new, … exchanged, and the code to be named."""
    source = next(iter(RIGHT[name].values())) + "\n"
    for old, new in zip(edits[::2], edits[1::2], strict=True):
        assert old in source, f"{name}: {old!r} is not in the solution any more"
        source = source.replace(old, new)
    return source, code


WRONG: dict[str, dict[str, tuple[str, str]]] = {
    "collapse_linear": {
        "transposed": edited("collapse_linear", "transposed", "W2 @ W1", "(W2 @ W1).T"),
        "a max in between": edited("collapse_linear", "relu-kept", "W2 @ W1", "W2 @ np.maximum(0, W1)"),
        "a max around": edited("collapse_linear", "relu-kept", "W2 @ W1", "np.maximum(0, W2 @ W1)"),
        "sign": edited("collapse_linear", "sign", "W2 @ W1", "-W2 @ W1"),
        "the other order": edited("collapse_linear", "error", "W2 @ W1", "W1 @ W2"),
        "no return": edited("collapse_linear", "returned-none", "return", "W3 ="),
        "rounded": edited("collapse_linear", "", "W2 @ W1", "np.round(W2 @ W1, 2)"),
    },
    "polar_features": {
        "arctan": edited("polar_features", "quadrant", "np.arctan2(y, x)", "np.arctan(y / x)"),
        "arguments exchanged": edited("polar_features", "arguments-swapped", "arctan2(y, x)", "arctan2(x, y)"),
        "degrees": edited("polar_features", "degrees", "np.arctan2(y, x)", "np.degrees(np.arctan2(y, x))"),
        "from 0 to 2π": edited("polar_features", "angle-range", "np.arctan2(y, x)", "np.arctan2(y, x) % (2 * np.pi)"),
        "no root": edited("polar_features", "root-missing", "np.sqrt(x ** 2 + y ** 2)", "x ** 2 + y ** 2"),
        "columns exchanged": edited(
            "polar_features",
            "swapped",
            "[np.sqrt(x ** 2 + y ** 2), np.arctan2(y, x)]",
            "[np.arctan2(y, x), np.sqrt(x ** 2 + y ** 2)]",
        ),
        "a quarter turn": edited("polar_features", "", "np.arctan2(y, x)", "np.arctan2(y, x) - np.pi / 2"),
    },
    "relu": {
        "no mask": edited("relu", "relu-mask", "dout * (cache > 0)", "dout"),
        "inverted": edited("relu", "relu-mask", "cache > 0", "cache < 0"),
        "mask of dout": edited("relu", "relu-mask", "dout * (cache > 0)", "dout * (dout > 0)"),
        "dout ignored": edited("relu", "upstream-ignored", "dout * (cache > 0)", "1.0 * (cache > 0)"),
        "sign": edited("relu", "sign", "return dout", "return -dout"),
        "absolute": edited("relu", "forward", "np.maximum(0, x)", "np.abs(x)"),
        "leak": edited("relu", "forward", "np.maximum(0, x)", "np.maximum(0.1 * x, x)"),
        "only the output": edited("relu", "error", "return out, x", "return out"),
        "slope from the mean": edited("relu", "", "cache > 0", "cache > cache.mean()"),
    },
    "leaky_relu": {
        "leak of 0.01": edited("leaky_relu", "forward", "0.1", "0.01"),
        "no leak forwards": edited("leaky_relu", "forward", "0.1 * x", "0 * x"),
        "no leak backwards": edited("leaky_relu", "fan-out-overwritten", "1.0, 0.1", "1.0, 0.0"),
        "no slope": edited("leaky_relu", "relu-mask", "dout * np.where(cache > 0, 1.0, 0.1)", "dout"),
        "inverted": edited("leaky_relu", "relu-mask", "1.0, 0.1", "0.1, 1.0"),
        "slope by dout": edited("leaky_relu", "relu-mask", "cache > 0", "dout > 0"),
        "dout ignored": edited("leaky_relu", "upstream-ignored", "dout * np.where", "np.where"),
    },
    "elu": {
        "no one": edited("elu", "forward", "np.expm1(np.minimum(x, 0))", "np.exp(np.minimum(x, 0))"),
        "ReLU": edited("elu", "forward", "np.expm1(np.minimum(x, 0))", "0"),
        "alpha 0.1": edited("elu", "forward", "np.expm1", "0.1 * np.expm1"),
        "slope without the one": edited("elu", "slope", "cache + 1)", "cache)"),
        "no slope": edited("elu", "relu-mask", "dout * np.where(cache > 0, 1.0, cache + 1)", "dout"),
        "dout ignored": edited("elu", "upstream-ignored", "dout * np.where(cache", "np.where(cache"),
        "overflow times 0": edited(
            "elu",
            "unstable",
            "np.where(x > 0, x, np.expm1(np.minimum(x, 0)))",
            "(x > 0) * x + (x <= 0) * (np.exp(x) - 1)",
        ),
    },
    "tanh": {
        "sigmoid": edited("tanh", "forward", "np.tanh(x)", "1 / (1 + np.exp(-x))"),
        "tan": edited("tanh", "forward", "np.tanh(x)", "np.tan(x)"),
        "no square": edited("tanh", "slope", "cache ** 2", "cache"),
        "of the input": edited("tanh", "slope", "return out, out", "return out, x"),
        "dout ignored": edited("tanh", "upstream-ignored", "dout * (1 - cache ** 2)", "1 - cache ** 2"),
        "overflow": edited("tanh", "unstable", "np.tanh(x)", "(np.exp(2 * x) - 1) / (np.exp(2 * x) + 1)"),
        "the slope of something else": edited("tanh", "", "1 - cache ** 2", "1 - cache ** 4"),
    },
    "sigmoid": {
        "no minus": edited("sigmoid", "forward", "np.exp(-x)", "np.exp(x)"),
        "tanh": edited("sigmoid", "forward", "1 / (1 + np.exp(-x))", "np.tanh(x)"),
        "of the input": edited("sigmoid", "slope", "return out, out", "return out, x"),
        "twice": edited(
            "sigmoid", "slope", "dout * cache * (1 - cache)", "dout * (s := 1 / (1 + np.exp(-cache))) * (1 - s)"
        ),
        "dout ignored": edited("sigmoid", "upstream-ignored", "dout * cache", "cache"),
        "overflow": edited("sigmoid", "unstable", "1 / (1 + np.exp(-x))", "np.exp(x) / (1 + np.exp(x))"),
        "sign": edited("sigmoid", "sign", "(1 - cache)", "(cache - 1)"),
    },
    "maxout": {
        "dx of the first alone": edited("maxout", "fan-out-overwritten", "dA1 @ W1.T + dA2 @ W2.T", "dA1 @ W1.T"),
        "dx of the second alone": edited("maxout", "fan-out-overwritten", "dA1 @ W1.T + dA2 @ W2.T", "dA2 @ W2.T"),
        "no masks": edited("maxout", "relu-mask", "dout * (A1 > A2)", "dout", "dout * (A1 <= A2)", "dout"),
        "masks exchanged": edited("maxout", "relu-mask", "A1 > A2", "A1 < A2", "A1 <= A2", "A1 >= A2"),
        "biases not summed": edited("maxout", "batch-not-summed", "dA1.sum(axis=0)", "dA1"),
        "last example": edited("maxout", "batch-not-summed", "dA1.sum(axis=0)", "dA1[-1]"),
        "summed over units": edited("maxout", "wrong-shape", "dA2.sum(axis=0)", "dA2.sum(axis=1)"),
        "bias as a row": edited("maxout", "wrong-shape", "sum(axis=0)", "sum(axis=0, keepdims=True)"),
        "no biases": edited("maxout", "forward", " + b1", "", " + b2", ""),
        "minimum": edited("maxout", "forward", "np.maximum", "np.minimum"),
        "four gradients": edited("maxout", "wrong-number-of-values", "return dx, ", "return "),
        "averaged": edited("maxout", "", "x.T @ dA2", "x.T @ dA2 / 7"),
    },
    "three_layer_forward": {
        "sigmoid at the end": edited(
            "three_layer_forward", "sigmoid-at-the-end", "return out\n", "return sigmoid_forward(out)[0]\n"
        ),
        "no second sigmoid": edited(
            "three_layer_forward",
            "sigmoid-missing",
            'h2, _ = sigmoid_forward(params["W2"] @ h1 + params["b2"])',
            'h2 = params["W2"] @ h1 + params["b2"]',
        ),
        "no biases": edited(
            "three_layer_forward", "bias-missing", ' + params["b1"]', "", ' + params["b2"]', "", ' + params["b3"]', ""
        ),
        "no b3": edited("three_layer_forward", "bias-missing", ' + params["b3"]', ""),
        "W2 transposed": edited("three_layer_forward", "transposed", 'params["W2"]', 'params["W2"].T'),
        "tanh": edited("three_layer_forward", "tanh-for-sigmoid", "1 / (1 + np.exp(-x))", "np.tanh(x)"),
        "the pair is used": edited("three_layer_forward", "wrong-shape", "h1, _ =", "h1 ="),
        "nearly": edited("three_layer_forward", "", "1 / (1 + np.exp(-x))", "1 / (1.001 + np.exp(-x))"),
    },
    "train_sigmoid_net": {
        "no 2": edited("train_sigmoid_net", "two-missing", "2 * (y_pred", "(y_pred"),
        "climbs": edited("train_sigmoid_net", "sign", "- lr", "+ lr"),
        "mean": edited(
            "train_sigmoid_net", "averaged", "np.sum(", "np.mean(", "2 * (y_pred - y)", "2 * (y_pred - y) / y.size"
        ),
        "half": edited("train_sigmoid_net", "half", "np.sum", "0.5 * np.sum", "2 * (y_pred", "(y_pred"),
        "no slope": edited("train_sigmoid_net", "slope-missing", "(dh * h * (1 - h))", "dh"),
        "slope of tanh": edited("train_sigmoid_net", "slope", "dh * h * (1 - h)", "dh * (1 - h ** 2)"),
        "w2 too early": edited(
            "train_sigmoid_net",
            "updated-too-early",
            "        w2 = w2 - lr * dw2\n",
            "",
            "        dh = ",
            "        w2 = w2 - lr * dw2\n        dh = ",
        ),
        "w1 stays": edited("train_sigmoid_net", "only-one-layer", "        w1 = w1 - lr * dw1\n", ""),
        "no learning rate": edited("train_sigmoid_net", "lr-ignored", "lr * ", ""),
        "one iteration more": edited("train_sigmoid_net", "off-by-one", "range(num_iters)", "range(num_iters + 1)"),
        "tanh": edited(
            "train_sigmoid_net",
            "tanh-for-sigmoid",
            "1 / (1 + np.exp(-(x @ w1)))",
            "np.tanh(x @ w1)",
            "h * (1 - h)",
            "(1 - h * h)",
        ),
        "only the losses": edited(
            "train_sigmoid_net", "wrong-number-of-values", "return w1, w2, losses", "return losses"
        ),
        "a bias in the error": edited("train_sigmoid_net", "", "2 * (y_pred - y)", "2 * (y_pred - y) + 0.01"),
    },
    "TwoLayerNet": {
        "half": edited("TwoLayerNet", "regularizer-half", "loss += reg", "loss += 0.5 * reg", "2 * reg", "reg"),
        "gradient of half": edited("TwoLayerNet", "regularizer-half", "2 * reg * W", "reg * W"),
        "biases regularised": edited(
            "TwoLayerNet",
            "regularizer-on-bias",
            "dS.sum(axis=0)",
            "dS.sum(axis=0) + 2 * reg * b2",
            "dA.sum(axis=0)",
            "dA.sum(axis=0) + 2 * reg * b1",
            "np.sum(W2 * W2)",
            "np.sum(W2 * W2) + np.sum(b1 * b1) + np.sum(b2 * b2)",
        ),
        "no shift": edited("TwoLayerNet", "unstable", "S - S.max(axis=1, keepdims=True)", "S"),
        "not averaged": edited(
            "TwoLayerNet", "scale", ".mean()\n        loss", ".sum()\n        loss", "dS /= N", "dS /= 1"
        ),
        "no mask": edited("TwoLayerNet", "relu-mask", "dA[A <= 0] = 0", "pass"),
        "no ReLU": edited("TwoLayerNet", "relu-missing", "np.maximum(0, A)", "A", "dA[A <= 0] = 0", "pass"),
        "ReLU on the scores": edited("TwoLayerNet", "relu-on-scores", "Z @ W2 + b2", "np.maximum(0, Z @ W2 + b2)"),
        "b1 twice": edited("TwoLayerNet", "bias-twice", "X @ W1 + b1", "X @ W1 + b1 + b1"),
        "no b1": edited("TwoLayerNet", "bias-missing", "X @ W1 + b1", "X @ W1"),
        "bias as a row": edited("TwoLayerNet", "wrong-shape", "dA.sum(axis=0)", "dA.sum(axis=0, keepdims=True)"),
        "the largest score": edited(
            "TwoLayerNet", "scores-not-labels", "np.argmax(self.loss(X), axis=1)", "np.max(self.loss(X), axis=1)"
        ),
        "over the examples": edited("TwoLayerNet", "wrong-axis", "self.loss(X), axis=1", "self.loss(X), axis=0"),
        "zeros": edited("TwoLayerNet", "initialisation-zero", "std * np.random.randn", "0 * np.random.randn"),
        "std ignored": edited("TwoLayerNet", "std-ignored", "std * np.random", "np.random"),
        "climbs": edited("TwoLayerNet", "update-sign", "-= learning_rate * grads", "+= learning_rate * grads"),
        "biases stay": edited(
            "TwoLayerNet", "biases-not-updated", "for name in self.params:", 'for name in ("W1", "W2"):'
        ),
        "no decay": edited("TwoLayerNet", "decay-missing", "learning_rate *= learning_rate_decay", "pass"),
        "reg not handed on": edited("TwoLayerNet", "reg-not-handed-on", ", reg=reg)", ")"),
        "without replacement": edited("TwoLayerNet", "error", "replace=True", "replace=False"),
        "labels drawn apart": edited("TwoLayerNet", "label-shift", "y[rows]", "y[np.random.choice(N, batch_size)]"),
        "labels shuffled": edited("TwoLayerNet", "no-learning", "y[rows]", "np.random.permutation(y[rows])"),
        "sampled once": edited(
            "TwoLayerNet",
            "sampled-once",
            "        for it in range(num_iters):\n            rows = np.random.choice(N, batch_size, replace=True)\n",
            "        rows = np.random.choice(N, batch_size)\n        for it in range(num_iters):\n",
        ),
        "an error in the constructor": edited("TwoLayerNet", "error", "np.zeros(hidden_size)", "np.zeros(hidden)"),
        "a shifted gradient": edited("TwoLayerNet", "", "dS /= N", "dS = dS / N + 0.01"),
    },
}


@pytest.mark.parametrize("name", WRONG)
def test_whoever_is_wrong_loses_points_and_hears_why_only_where_it_is_certain(name: str) -> None:
    asked, missed = 0, []
    for title, (source, code) in WRONG[name].items():
        for student in STUDENTS:
            report = graded(name, source, student)
            assert report.score < report.points, f"{title}, {student}: this earned every point"
            found = [finding.code for finding in report.findings]
            asked += 1
            if found[:1] != [code] * bool(code):
                missed.append(f"{title}, {student}: {found} instead of {code!r}")
    assert len(missed) <= 0.1 * asked, "\n".join(missed)


def test_an_earlier_mistake_is_not_punished_twice() -> None:
    """Whoever calls no earlier function may have got it wrong."""
    broken = "def sigmoid_forward(x): raise ValueError('wrong')\n"
    for name, title in (("three_layer_forward", "in a loop, as a float"), ("train_sigmoid_net", "flat")):
        assert graded(name, broken + RIGHT[name][title], STUDENTS[0]).passed


def test_a_wrong_loss_costs_nothing_in_the_training() -> None:
    source, _ = WRONG["TwoLayerNet"]["b1 twice"]
    earned = {part.name: part.earned for part in graded("TwoLayerNet", source, STUDENTS[0]).parts}
    assert (earned["params"], earned["train"]) == (3, 6)
    assert earned["scores"] == earned["loss"] == 0


def test_what_the_training_is_judged_by_leaves_room_for_chance_but_not_for_mistakes() -> None:
    """The one case of a run that learns: a little off in any other result is rejected, as for all assignments."""
    title = "an epoch is four iterations"
    late, never = "it % epoch == epoch - 1", "it % epoch == 0 and it < 0"
    for condition, passes in (("it % epoch == 0", True), (late, True), (never, False), ("True", False)):
        source = edited("TwoLayerNet", "", "if it % epoch == 0:", f"if {condition}:")[0]
        report = graded("TwoLayerNet", source, STUDENTS[0])
        assert report.passed == passes, condition
        assert any(not verdict.ok for verdict in report.verdicts if verdict.case == title) != passes, condition


def test_both_ends_of_what_is_right_leave_room_for_rounding() -> None:
    for student in STUDENTS:
        items = {item.name: item for made in exercise("TwoLayerNet", student).cases for item in made.steps[-1].expected}
        low, high = items["last loss"].value
        for condition in ("it % epoch == 0", "it % epoch == epoch - 1"):
            source = edited("TwoLayerNet", "", "if it % epoch == 0:", f"if {condition}:")[0]
            verdicts = graded("TwoLayerNet", source, student).verdicts
            (got,) = (verdict.got for verdict in verdicts if verdict.name == "last loss")
            assert low + 1e-6 < got < high - 1e-6, (student, condition)


def test_a_loss_that_is_slightly_wrong_is_rejected() -> None:
    for old, new in (
        ("dS /= N", "dS /= 1.0005 * N"),
        ("loss += reg", "loss += 1.0005 * reg"),
        ("2 * reg", "2.001 * reg"),
    ):
        report = graded("TwoLayerNet", edited("TwoLayerNet", "", old, new)[0], STUDENTS[1])
        assert report.score < report.points
        assert not report.findings

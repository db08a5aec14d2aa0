"""Gradients are accumulated in place, but never in an array that other code holds."""

import numpy as np
import pytest
from engine_helpers import SEEDS, parameter

from coursekit.autograd import Tensor, grad, vjp
from coursekit.autograd.recording import primitive
from coursekit.autograd.tensor import RULES

# Operations whose gradient is the upstream gradient itself, or a view of it, or one array for several inputs; all
# from (3, 3) to (3, 3).
UNARY = [
    lambda x: +x,
    lambda x: x + 1.0,
    lambda x: x - np.ones(3),
    lambda x: -x,
    lambda x: x.T,
    lambda x: x.reshape(9).reshape(3, 3),
    lambda x: np.expand_dims(x, 0)[0],
    lambda x: np.squeeze(x[None]),
    lambda x: x[::-1],
    lambda x: x[:, [0, 0, 2]],
    lambda x: x[...],
    lambda x: np.broadcast_to(x, (2, 3, 3))[1],
    lambda x: np.broadcast_to(np.sum(x, axis=0), (3, 3)),
    lambda x: x + np.sum(x),
    lambda x: x + x.mean(axis=1, keepdims=True),
    lambda x: np.flip(x, 1),
    lambda x: np.roll(x, 1, 0),
    lambda x: np.swapaxes(x, 0, 1),
    lambda x: np.concatenate([x[:1], x[1:]]),
    lambda x: np.stack(list(x)),
    lambda x: np.hstack(np.split(x, 3, axis=1)),
    lambda x: np.where(np.eye(3, dtype=bool), x, x.T),
    lambda x: np.pad(x[1:], ((1, 0), (0, 0))),
    lambda x: np.cumsum(x, axis=0) / 2,
    lambda x: np.copy(x),
    lambda x: x.astype(np.float64),
    lambda x: np.einsum("ij->ji", x),
    lambda x: np.tanh(x),
]
BINARY = [
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: x + y.T,
    lambda x, y: np.add(x, x) + y,
    lambda x, y: np.stack([x, y])[0] + np.stack([x, y]).sum(axis=0),
    lambda x, y: np.concatenate([x, y], axis=1)[:, 2:5],
    lambda x, y: np.where(np.tri(3, dtype=bool), x, y),
    lambda x, y: np.maximum(x, y),
    lambda x, y: x[0] + y,
    lambda x, y: x * y / 4,
    lambda x, y: x @ y / 4,
]


def random_graph(rng, leaves, steps=12):
    results = list(leaves)
    for _ in range(steps):
        if rng.random() < 0.5:
            results.append(UNARY[rng.integers(len(UNARY))](results[rng.integers(len(results))]))
        else:
            i, j = rng.integers(len(results), size=2)
            results.append(BINARY[rng.integers(len(BINARY))](results[i], results[j]))
    return results


@pytest.mark.parametrize("seed", SEEDS)
def test_no_array_of_the_user_is_written_to(seed):
    rng = np.random.default_rng(seed)
    inputs = [rng.normal(size=(3, 3)) for _ in range(3)]
    leaves = [parameter(x) for x in inputs[:2]] + [Tensor(inputs[2])]
    results = random_graph(rng, leaves)
    mine = {f"input {i}": x for i, x in enumerate(inputs)}
    mine |= {f"value of result {i}": result.value for i, result in enumerate(results)}
    copies = {name: np.array(array) for name, array in mine.items()}
    for turn in range(4):
        upstream = rng.normal(size=(3, 3))
        mine[f"upstream {turn}"], copies[f"upstream {turn}"] = upstream, upstream.copy()
        if results[-1 - turn].requires_grad:
            results[-1 - turn].backward(upstream)
        for i, result in enumerate(results):
            if result.grad is not None and rng.random() < 0.4:  # handed out, and kept by the caller
                name = f"gradient of result {i} after backward {turn}"
                handed_out = result.grad
                mine[name], copies[name] = handed_out, np.array(handed_out)
        for name, array in mine.items():
            np.testing.assert_array_equal(array, copies[name], err_msg=f"{name} changed in turn {turn}, seed {seed}")


@pytest.mark.parametrize("seed", SEEDS)
def test_writing_into_one_gradient_changes_no_other_and_no_later_one(seed):
    def gradients(spoil):
        rng = np.random.default_rng([seed, 1])
        leaves = [parameter(rng.normal(size=(3, 3))) for _ in range(3)]
        results = random_graph(rng, leaves)
        collected = []
        for _ in range(2):  # the same record once more
            if results[-1].requires_grad:
                upstream = rng.normal(size=(3, 3))
                results[-1].backward(upstream)
                upstream[...] = np.nan
            for result in results:
                if result.grad is not None:
                    collected.append(np.array(result.grad))
                    if spoil:
                        result.grad[...] = np.nan
                    result.grad = None
        return collected

    for i, (clean, spoiled) in enumerate(zip(gradients(False), gradients(True), strict=True)):
        np.testing.assert_array_equal(clean, spoiled, err_msg=f"gradient {i}, seed {seed}")


@pytest.mark.parametrize("seed", SEEDS)
def test_the_results_of_transformations_are_arrays_of_their_own(seed):
    rng = np.random.default_rng([seed, 2])
    inputs, state = [rng.normal(size=(3, 3)) for _ in range(3)], rng.bit_generator.state

    def f(*xs):
        again = np.random.default_rng()
        again.bit_generator.state = state
        return random_graph(again, xs)[-1]

    copies = [x.copy() for x in inputs]
    upstream = rng.normal(size=(3, 3))
    kept = upstream.copy()
    _, pull_back = vjp(f, *inputs)
    first = pull_back(upstream)
    remembered = [g.copy() for g in first]
    for g in first:
        g[...] = np.nan  # writable, and not shared
        assert not any(np.shares_memory(g, other) for other in first if other is not g), f"seed {seed}"
    for g, wanted in zip(pull_back(upstream), remembered, strict=True):
        np.testing.assert_array_equal(g, wanted, err_msg=f"second call, seed {seed}")
    for x, wanted in zip([*inputs, upstream], [*copies, kept], strict=True):
        np.testing.assert_array_equal(x, wanted, err_msg=f"seed {seed}")


def test_the_fuzz_notices_a_backward_that_writes_into_the_upstream_gradient(monkeypatch):
    right = Tensor.backward

    def wrong(self, upstream=None):
        right(self, upstream)
        upstream *= 2

    monkeypatch.setattr(Tensor, "backward", wrong)
    with pytest.raises(AssertionError, match="upstream 0 changed in turn 0, seed 0"):
        test_no_array_of_the_user_is_written_to(0)


@pytest.mark.parametrize(
    "test",
    [
        test_no_array_of_the_user_is_written_to,
        test_writing_into_one_gradient_changes_no_other_and_no_later_one,
        test_the_results_of_transformations_are_arrays_of_their_own,
    ],
)
def test_the_fuzz_notices_a_rule_that_hands_out_an_array_of_the_user(test, monkeypatch):
    """Let the rule of np.copy return its argument as the gradient, and add to it."""
    monkeypatch.setitem(RULES, np.copy, RULES[np.copy])
    primitive(np.copy, lambda g, ans, x: np.add(x, 1e-3, out=x) if isinstance(x, np.ndarray) else x)
    with pytest.raises((AssertionError, ValueError)):
        list(map(test, SEEDS))


def test_the_value_of_a_constant_function_and_of_the_identity_do_not_alias_gradients():
    x = np.ones(3)
    dx, dy = grad(lambda x, y: np.sum(x + y), argnums=(0, 1))(x, x)
    dx[...] = 5.0
    np.testing.assert_array_equal(dy, np.ones(3))
    np.testing.assert_array_equal(x, np.ones(3))
    upstream = np.ones(3)
    _, pull_back = vjp(lambda x: x, x)
    (g,) = pull_back(upstream)
    g[...] = 7.0
    np.testing.assert_array_equal(upstream, np.ones(3))

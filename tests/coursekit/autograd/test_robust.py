"""Long chains, threads and memory."""

import copy
import gc
import inspect
import sys
import threading
import weakref

import numpy as np
import pytest
from engine_helpers import parameter

from coursekit.autograd import Tensor, grad, hvp, no_grad, softmax, vjp

# --- Long chains -----------------------------------------------------------------------------------


def chain(x, length):
    for _ in range(length // 2):
        x = x * 0.999999
        x = x + 0.000001
    return x


@pytest.mark.slow
@pytest.mark.parametrize("length", [300_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_long_chain_needs_no_deep_stack(length):
    x = parameter(2.0)
    y = chain(x, length)
    y.backward()
    np.testing.assert_allclose(x.grad, 0.999999 ** (length // 2), rtol=1e-8)
    del y  # freeing it does not recurse either


@pytest.mark.slow
def test_the_second_derivative_through_a_long_chain():
    def f(x):
        for _ in range(10_000):
            x = x + 1e-5 * (x * x)
        return x

    slope, curve, x = 1.0, 0.0, 0.3  # the recurrence by hand
    for _ in range(10_000):
        curve = curve + 2e-5 * (slope * slope + x * curve)
        slope = slope * (1 + 2e-5 * x)
        x = x + 1e-5 * x * x
    np.testing.assert_allclose(grad(f)(0.3), slope, rtol=1e-10)
    np.testing.assert_allclose(grad(grad(f))(0.3), curve, rtol=1e-10)


def test_a_ladder_of_diamonds_takes_every_path_once():
    x = y = parameter(np.array([1.0, -2.0]))
    for _ in range(1000):  # 2¹⁰⁰⁰ paths
        y = 0.5 * y + (0.25 * y + 0.25 * y.T)
    y.backward([3.0, 5.0])
    np.testing.assert_allclose(x.grad, [3.0, 5.0])


def test_a_recursion_limit_does_not_matter():
    limit, depth = sys.getrecursionlimit(), len(inspect.stack(0))
    x = parameter(np.ones(2))
    y = chain(x, 5000)
    sys.setrecursionlimit(depth + 100)
    try:
        np.sum(y).backward()
        del y
    finally:
        sys.setrecursionlimit(limit)
    np.testing.assert_allclose(x.grad, 0.999999**2500)


# --- Threads ---------------------------------------------------------------------------------------


def in_threads(work, count=4):
    """Run work(i) in `count` threads at once and return their results."""
    results, errors, start = [None] * count, [], threading.Barrier(count)

    def run(i):
        try:
            start.wait()
            results[i] = work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


@pytest.fixture
def busy_threads():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("busy_threads")
def test_threads_with_shared_inputs_and_their_own_parameters():
    X = Tensor(np.random.default_rng(0).normal(size=(20, 5)))

    def train(i):
        W = parameter(np.random.default_rng(i).normal(size=(5, 3)))
        slopes = []
        for _ in range(50):
            hidden = np.tanh(X @ W)
            loss = np.mean((hidden - hidden.mean(axis=0)) ** 2) + np.sum(grad(lambda W: np.sum((X @ W) ** 2))(W)) * 1e-4
            W.grad = None
            loss.backward()
            slopes.append(W.grad)
            W = parameter(W.value - 0.1 * W.grad)
        return np.stack(slopes)

    together = in_threads(train)
    for i, slopes in enumerate(together):
        np.testing.assert_array_equal(slopes, train(i), err_msg=f"thread and seed {i}")


@pytest.mark.usefixtures("busy_threads")
def test_no_grad_holds_in_its_own_thread_alone():
    x, inside, done = parameter(2.0), threading.Event(), threading.Event()

    def work(i):
        if i == 0:
            with no_grad():
                inside.set()
                assert done.wait(10)
                return (x * x).requires_grad
        assert inside.wait(10)
        try:
            return (x * x).requires_grad and float(grad(grad(lambda x: x**3))(2.0)) == 12.0
        finally:
            done.set()

    assert in_threads(work, 2) == [False, True]


# --- Memory ----------------------------------------------------------------------------------------


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def survivors(spoil=None):
    """Return what is still alive of a computation when all its names are gone."""
    x, W = np.ones((50, 50)), parameter(np.full((50, 50), 0.01))
    hidden = np.tanh(x @ W)
    output = np.maximum(hidden @ W, 0)
    loss = np.sum(output * output) + np.linalg.norm(np.concatenate([hidden, output])[::2])
    watched = [weakref.ref(part) for part in (hidden, output, loss, hidden.value, output.value)]
    loss.backward()
    watched.append(weakref.ref(hidden.grad))
    if spoil is not None:
        spoil(hidden)
    del hidden, output, loss
    assert W.grad is not None
    return [ref() for ref in watched if ref() is not None]


@pytest.mark.usefixtures("no_collector")
def test_what_is_no_longer_used_is_freed_at_once():
    """There are no reference cycles, so nothing waits for the garbage collector."""
    assert survivors() == []


@pytest.mark.usefixtures("no_collector")
def test_a_reference_cycle_would_be_noticed():
    assert survivors(lambda tensor: setattr(tensor.node, "gradient", tensor))


@pytest.mark.slow
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    "compute",
    [
        lambda x: grad(lambda x: np.sum(np.tanh(x) ** 2))(x),
        lambda x: grad(lambda x: np.sum(grad(lambda x: np.sum(np.tanh(x)))(x) ** 2))(x),
        lambda x: hvp(lambda x: np.sum(np.exp(x)), x, x),
        lambda x: vjp(lambda x: np.sort(x) * np.cumsum(x), x)[1](x),
        lambda x: np.sum(softmax(parameter(x)) ** 2).backward(),
        lambda x: np.einsum("i,i->i", parameter(x), x).backward(x),
    ],
)
def test_transformations_leave_nothing_behind(compute):
    compute(np.ones(3))  # what NumPy caches
    before = len(gc.get_objects())
    for _ in range(50):
        compute(np.ones(3))
    assert len(gc.get_objects()) - before < 50


@pytest.mark.usefixtures("no_collector")
def test_an_error_in_the_middle_changes_nothing():
    x = parameter(np.ones(3))
    y = x * 2
    with pytest.raises(ValueError, match="shape"):
        y.backward(np.ones(4))
    assert x.grad is None
    y.backward(np.ones(3))
    np.testing.assert_array_equal(x.grad, [2.0, 2.0, 2.0])


def test_a_copy_is_an_array_of_its_own():
    """A snapshot of the weights does not change with the weights."""
    W = parameter(np.ones(3))
    for best in np.copy(W), W.copy():
        assert not np.shares_memory(best.value, W.value)


def test_a_deep_copy_is_a_parameter_of_its_own():
    x = parameter(np.ones(3))
    y = copy.deepcopy(x)
    (y * 2 + x).backward(np.ones(3))
    np.testing.assert_array_equal(x.grad, np.ones(3))
    np.testing.assert_array_equal(y.grad, 2 * np.ones(3))

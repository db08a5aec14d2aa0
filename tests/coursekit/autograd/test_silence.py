"""No function of NumPy and no conversion loses a gradient silently."""

import warnings

import numpy as np
import pytest
from engine_helpers import _plainly, parameter

from coursekit.autograd import Tensor

pytestmark = pytest.mark.slow

# They write files, change global state, or make arrays without using the values of their argument.
NOT_CALLED = {
    "save", "savez", "savez_compressed", "savetxt", "load", "loadtxt", "genfromtxt", "fromfile", "fromregex", "memmap",
    "test", "info", "show_config", "show_runtime", "seterr", "seterrcall", "setbufsize", "set_printoptions",
    "printoptions", "errstate", "get_include", "empty", "empty_like", "ndarray", "DataSource", "nditer", "nested_iters",
    "_no_nep50_warning",
}  # fmt: skip


def public_functions():
    for module in np, np.linalg, np.fft:
        for name in sorted(dir(module)):
            f = getattr(module, name)
            error = isinstance(f, type) and issubclass(f, BaseException)
            if callable(f) and not name.startswith("_") and name not in NOT_CALLED and not error:
                yield f"{module.__name__}.{name}", f


ALL = dict(public_functions())


def plausible_calls(f):
    """Yield calls of f with x and arrays, in the positions where functions of NumPy take arrays."""
    A = np.array([[2.0, 0.3, 0.1], [0.2, 1.5, 0.4], [0.1, 0.2, 1.8]])
    v, mask = np.array([0.3, 0.7, 1.1]), np.array([True, False, True])
    return [
        lambda x: f(x),
        lambda x: f(x, x),
        lambda x: f(x, A),
        lambda x: f(A, x),
        lambda x: f(x, v),
        lambda x: f(v, x),
        lambda x: f(x, 2),
        lambda x: f(2, x),
        lambda x: f((3, 3), x),
        lambda x: f(x, (3, 3)),
        lambda x: f(x, 0, 1),
        lambda x: f(x, [0, 1]),
        lambda x: f([x, x]),
        lambda x: f((x, A)),
        lambda x: f([x, x], 0),
        lambda x: f([A, x, A]),
        lambda x: f(list(x)),
        lambda x: f(*x) if x.ndim else None,
        lambda x: f(x, x, x),
        lambda x: f(v, v, x),
        lambda x: f(v, x, v),
        lambda x: f(x, v, v),
        lambda x: f(x, 0.1, 0.9),
        lambda x: f(0.0, x, 4),
        lambda x: f(x, 5.0, 4),
        lambda x: f(mask, x, 0.0),
        lambda x: f(mask, x),
        lambda x: f([mask, ~mask], [x, x]),
        lambda x: f(x, [mask, ~mask], [lambda y: y, lambda y: -y]),
        lambda x: f("ij->ji", x),
        lambda x: f("ij,ij->i", A, x),
        lambda x: f(lambda y: np.sum(y), 0, x),
        lambda x: f(lambda y, axis: np.sum(y, axis), x, [0]),
        lambda x: f(lambda i, j: i + j + x, (3, 3)),
        lambda x: f(lambda y: y * 2)(x),
        lambda x: f(lambda y: y * 2, 1, 1)(x),
        lambda x: f(x, mask),
        lambda x: f(np.zeros((3, 3)), x),
        lambda x: f(np.zeros(3), [0, 1, 2], x),
        lambda x: f(x, dtype=float),
        lambda x: f(x, copy=False),
        lambda x: f(x, axis=0),
        lambda x: f(x, fill_value=1.0),
        lambda x: f(3, fill_value=x),
        lambda x: f(A, initial=x),
        lambda x: f(A, weights=x),
        lambda x: f(A, a_min=x, a_max=None),
        lambda x: f(A, constant_values=x, pad_width=1),
        lambda x: f(v, v, left=x, right=x, xp=v, fp=v),
        lambda x: f.reduce(x),
        lambda x: f.outer(v, x),
        lambda x: f.accumulate(x),
        lambda x: f.reduceat(x, [0, 1]),
    ]  # fmt: skip


POINTS = [
    np.array([[0.31, 0.52, 0.13], [0.74, 0.95, 0.26], [0.47, 0.68, 0.89]]) + np.eye(3),
    np.array([0.31, 0.72, 0.53]),
    np.array(0.37),
]


def outcome(call, x):
    """Return the results of the call as a flat list, or the error."""
    try:
        result = call(x)
    except Exception as error:
        return error
    parts, todo = [], [result]
    while todo:
        part = todo.pop(0)
        if isinstance(part, dict):
            todo += part.values()
        elif isinstance(part, tuple | list):
            todo += part
        else:
            parts.append(part)
    return parts


def changes(parts, others):
    """Find the plain numbers in `parts` that differ in `others`, because they depend on the point."""
    if isinstance(others, Exception) or len(parts) != len(others):
        return list(range(len(parts)))
    return [
        i
        for i, (a, b) in enumerate(zip(parts, others, strict=True))
        if _numeric(a) and not _equal(_plainly(a), _plainly(b))
    ]


def _equal(a, b):
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype == object:
        pairs = zip(map(_plainly, a.flat), map(_plainly, b.flat), strict=False)
        return a.shape == b.shape and all(x is y or (_numeric(x) and _equal(x, y)) for x, y in pairs)
    return np.array_equal(a, b, equal_nan=True)


def _numeric(part):
    value = _plainly(part)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return any(_numeric(entry) for entry in value.flat)
    return isinstance(value, np.ndarray | np.generic | float | complex) and np.asarray(value).dtype.kind in "fc"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ALL)
def test_no_function_of_numpy_loses_the_gradient_in_silence(name):
    """A function of a Tensor returns a Tensor with NumPy's value, or is piecewise constant, or raises."""
    for point in POINTS:
        moved = point + 1e-6 * np.arange(1, 1 + point.size).reshape(point.shape)
        for number, call in enumerate(plausible_calls(ALL[name])):
            where = f"{name}, call {number} of plausible_calls, shape {point.shape}"
            tensor = parameter(point.copy())
            parts = outcome(call, tensor)
            np.testing.assert_array_equal(tensor.value, point, err_msg=f"{where} changed the tensor")
            if isinstance(parts, Exception):
                if isinstance(parts, NotImplementedError) and number == 0 and not isinstance(ALL[name], type):
                    assert ALL[name].__name__ in str(parts), f"{where}: the error names something else: {parts}"
                continue
            for i in changes(parts, outcome(call, parameter(moved.copy()))):
                assert not _detached(parts[i]), f"{where} gives {parts[i]!r}, which has lost its gradient"
            if any(isinstance(part, Tensor) for part in parts):
                plain = outcome(call, point.copy())
                if not isinstance(plain, Exception):  # a Tensor may accept more than NumPy does
                    for part, wanted in zip(parts, plain, strict=True):
                        got = np.asarray(_plainly(part))
                        assert got.shape == np.shape(wanted), f"{where}: {got.shape}, NumPy has {np.shape(wanted)}"
                        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14, err_msg=where)


def _detached(part):
    if isinstance(part, np.ndarray) and part.dtype == object:  # an array of Tensors
        return any(map(_detached, part.flat))
    return not isinstance(part, Tensor) or not part.requires_grad


def test_the_sweep_notices_a_function_that_loses_the_gradient(monkeypatch):
    monkeypatch.setitem(ALL, "lossy", lambda x: x.value * 2)
    with pytest.raises(AssertionError, match="has lost its gradient"):
        test_no_function_of_numpy_loses_the_gradient_in_silence("lossy")
    monkeypatch.setitem(ALL, "wrong", lambda x: x * 2 if isinstance(x, Tensor) else x * 3)
    with pytest.raises(AssertionError, match="wrong, call 0"):
        test_no_function_of_numpy_loses_the_gradient_in_silence("wrong")


METHODS = {
    "dot": lambda a, t: a.dot(t),
    "fill": lambda a, t: a.fill(t[0]),
    "setitem": lambda a, t: a.__setitem__(0, t[0]),
    "setitem of all": lambda a, t: a.__setitem__(slice(None), t),
    "itemset by put": lambda a, t: a.put([0], t[0]),
    "iadd": lambda a, t: a.__iadd__(t),
    "clip": lambda a, t: a.clip(t, None),
    "array": lambda a, t: np.array([t, t]),
    "array of numbers": lambda a, t: np.array([t[0], t[1]]),
    "asarray": lambda a, t: np.asarray(t),
    "float": lambda a, t: float(t[0]),
    "int": lambda a, t: int(t[0]),
    "complex": lambda a, t: complex(t[0]),
    "np.float64": lambda a, t: np.float64(t[0]),
    "np.float64 of several": lambda a, t: np.float64(t),
    "fromiter": lambda a, t: np.fromiter(t, float),
    "full": lambda a, t: np.full(2, t[0]),
    "arange": lambda a, t: np.arange(t[0]),
    "concatenate out": lambda a, t: np.concatenate([t, t], out=np.zeros(6)),
    "copyto": lambda a, t: np.copyto(a, t),
    "r_": lambda a, t: np.r_[t, a],
    "c_": lambda a, t: np.c_[t, a],
    "vectorize": lambda a, t: np.vectorize(lambda v: float(v) * 2)(t),
    "random": lambda a, t: np.random.default_rng(0).normal(t, 0.0),
    "choice": lambda a, t: np.random.default_rng(0).permutation(t),
    "memoryview": lambda a, t: memoryview(t),
    "polyval": lambda a, t: np.polyval(a, t),
    "poly1d": lambda a, t: np.poly1d(t)(2.0),
    "matrix": lambda a, t: np.matrix(t),
    "masked": lambda a, t: np.ma.array(t),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", METHODS)
def test_no_conversion_loses_the_gradient_in_silence(name):
    a, t = np.array([1.0, 2.0, 3.0]), parameter([0.5, 1.5, 2.5])
    kept = a.copy()
    try:
        result = METHODS[name](a, t)
    except (TypeError, ValueError, NotImplementedError, AttributeError):
        np.testing.assert_array_equal(a, kept, err_msg=f"{name} raised, but wrote")
        return
    if result is None:
        np.testing.assert_array_equal(a, kept, err_msg=f"{name} wrote the numbers of a Tensor into an array")
        return
    parts = list(np.ravel(result)) if isinstance(result, np.ndarray) and result.dtype == object else [result]
    assert all(isinstance(part, Tensor) and part.requires_grad for part in parts), f"{name} gives {result!r}"


def test_a_function_without_a_rule_is_named():
    x = parameter(np.ones((2, 2)))
    for f in np.linalg.svd, np.fft.fft, np.interp, np.median, np.sinc, np.modf, np.kron, np.full_like:
        with warnings.catch_warnings(), pytest.raises(NotImplementedError, match=rf"\b{f.__name__}\b"):
            f(x, x) if f in (np.full_like, np.kron) else f(x, x, x) if f is np.interp else f(x)

"""An option of a NumPy function is obeyed or refused."""

import numpy as np
import pytest
from engine_helpers import _plainly, parameter

from coursekit.autograd import Tensor
from coursekit.gradcheck import numerical_gradient

MATRIX = np.random.default_rng(21).normal(size=(3, 4))
CUBE = np.random.default_rng(22).normal(size=(2, 3, 3)) + 3 * np.eye(3)
CALLS = {
    "sum dtype": lambda x: np.sum(x, dtype=np.float32),
    "sum where": lambda x: np.sum(x, where=np.eye(3, 4, dtype=bool)),
    "sum initial": lambda x: np.sum(x, initial=5.0),
    "sum positional": lambda x: np.sum(x, 0, np.float32),
    "sum of no axes": lambda x: np.sum(x, axis=()),
    "mean of no axes": lambda x: np.mean(x, axis=()),
    "max of no axes": lambda x: np.max(x, axis=()),
    "prod of no axes": lambda x: np.prod(x, axis=()),
    "var of no axes": lambda x: np.var(x, axis=()),
    "max initial": lambda x: np.max(x, initial=5.0),
    "max where": lambda x: np.max(x, initial=-1.0, where=np.eye(3, 4, dtype=bool)),
    "prod of several": lambda x: np.prod(x, axis=(0, -1), keepdims=True),
    "var ddof": lambda x: np.var(x, axis=0, ddof=1.5),
    "var correction": lambda x: np.var(x, axis=0, correction=1),
    "std mean": lambda x: np.std(x, axis=0, mean=np.zeros((1, 4))),
    "cumsum dtype": lambda x: np.cumsum(x, 0, np.float32),
    "reshape F": lambda x: np.reshape(x, (4, 3), order="F"),
    "reshape list": lambda x: np.reshape(x, [2, -1]),
    "reshape number": lambda x: np.reshape(x, 12),
    "reshape keyword": lambda x: np.reshape(x, shape=(4, 3)),
    "method reshape F": lambda x: x.reshape(4, 3, order="F"),
    "ravel F": lambda x: np.ravel(x, order="F"),
    "ravel positional": lambda x: np.ravel(x, "F"),
    "flatten F": lambda x: x.flatten("F"),
    "copy F": lambda x: np.copy(x, order="F"),
    "transpose negative": lambda x: np.transpose(x, (-1, 0)),
    "transpose list": lambda x: x.transpose([1, 0]),
    "clip keywords": lambda x: np.clip(x, min=-0.5, max=0.5),
    "clip arrays": lambda x: np.clip(x, np.full(4, -0.1), np.full((3, 1), 0.1)),
    "clip crossed": lambda x: np.clip(x, 0.5, -0.5),
    "clip below": lambda x: np.clip(x, None, 0.1),
    "clip method": lambda x: x.clip(0.1),
    "add where": lambda x: np.add(x, 1.0, where=np.eye(3, 4, dtype=bool), out=np.zeros((3, 4))),
    "add dtype": lambda x: np.add(x, 1.0, dtype=np.float32),
    "exp dtype": lambda x: np.exp(x, dtype=np.float32),
    "exp casting": lambda x: np.exp(x, casting="no"),
    "add reduce": lambda x: np.add.reduce(x),
    "add accumulate": lambda x: np.add.accumulate(x),
    "multiply outer": lambda x: np.multiply.outer(x, x),
    "add at": lambda x: np.add.at(np.zeros((3, 4)), 0, x),
    "matmul axes": lambda x: np.matmul(x, x, axes=[(0, 1), (1, 0), (0, 1)]),
    "vecdot axis": lambda x: np.vecdot(x, x, axis=0),
    "dot vectors": lambda x: np.dot(x[0], x[1]),
    "tensordot zero": lambda x: np.tensordot(x, x[0], 0),
    "tensordot number": lambda x: np.tensordot(x, x, axes=([-1], [-1])),
    "tensordot pair": lambda x: np.tensordot(x, x, (0, 0)),
    "tensordot numpy integer": lambda x: np.tensordot(x, x.T, np.int64(1)),
    "einsum implicit": lambda x: np.einsum("ji", x),
    "einsum implicit sum": lambda x: np.einsum("ij,jk", x, x.T),
    "einsum spaces": lambda x: np.einsum(" i j , i k -> k j ", x, x),
    "einsum ellipsis": lambda x: np.einsum("...j,j...->...", x, x.T),
    "einsum broadcasts": lambda x: np.einsum("ij,ij->ij", x, x[:, :1]),
    "einsum number": lambda x: np.einsum(",ij->ij", 2.0, x),
    "einsum list": lambda x: np.einsum("i,ij->j", [1.0, 2.0, 3.0], x),
    "einsum optimize": lambda x: np.einsum("ij,kj,kl->il", x, x, x, optimize=True),
    "einsum sublists": lambda x: np.einsum(x, [0, 1], [1, 0]),
    "einsum dtype": lambda x: np.einsum("ij->j", x, dtype=np.float32),
    "trace offset": lambda x: np.trace(x, -1),
    "diagonal far": lambda x: np.diagonal(x, 7),
    "diag of a diagonal": lambda x: np.diag(x[0], -2),
    "tril": lambda x: np.tril(x, 1),
    "norm 1": lambda x: np.linalg.norm(x, 1, axis=0),
    "norm inf": lambda x: np.linalg.norm(x, np.inf, axis=(1,)),
    "norm -inf": lambda x: np.linalg.norm(x, -np.inf, axis=1, keepdims=True),
    "norm 0": lambda x: np.linalg.norm(x, 0, axis=1),
    "norm 3": lambda x: np.linalg.norm(x, 3, axis=1),
    "norm fro": lambda x: np.linalg.norm(x, "fro"),
    "norm nuc": lambda x: np.linalg.norm(x, "nuc"),
    "norm matrix 1": lambda x: np.linalg.norm(x, 1),
    "norm matrix 2": lambda x: np.linalg.norm(x, 2),
    "norm both axes": lambda x: np.linalg.norm(x, axis=(0, 1), keepdims=True),
    "squeeze": lambda x: np.squeeze(x[:, None, :1], axis=(1, 2)),
    "moveaxis": lambda x: np.moveaxis(x[None], [0, -1], [-1, 0]),
    "expand several": lambda x: np.expand_dims(x, (0, -1)),
    "flip several": lambda x: np.flip(x, (0, 1)),
    "roll several": lambda x: np.roll(x, (1, 2), axis=(0, 1)),
    "roll one by several": lambda x: np.roll(x, (1, 2), axis=0),
    "roll several by one": lambda x: np.roll(x, 1, axis=(0, 1)),
    "roll all by several": lambda x: np.roll(x, (1, 2)),
    "roll list": lambda x: np.roll(x, [1, 2], axis=[0, 1]),
    "tile number": lambda x: np.tile(x, 2),
    "tile shorter": lambda x: np.tile(x, (2,)),
    "tile longer": lambda x: np.tile(x, (2, 1, 2)),
    "tile zero": lambda x: np.tile(x, (0, 2)),
    "repeat each": lambda x: np.repeat(x, [1, 0, 2], axis=0),
    "repeat flat": lambda x: np.repeat(x, 2),
    "concatenate flat": lambda x: np.concatenate([x, x[:1]], axis=None),
    "concatenate dtype": lambda x: np.concatenate([x, x], dtype=np.float32),
    "concatenate tensor": lambda x: np.concatenate(x),
    "stack dtype": lambda x: np.stack([x, x], dtype=np.float32),
    "stack last": lambda x: np.stack([x, x], axis=-1),
    "vstack tensor": lambda x: np.vstack(x),
    "hstack mixed": lambda x: np.hstack([x, np.ones((3, 1)), [[1.0], [2.0], [3.0]]]),
    "append": lambda x: np.append(x, [[1.0, 2.0, 3.0, 4.0]], axis=0),
    "append number": lambda x: np.append(x, 7.0),
    "split sections": lambda x: np.split(x, 2, axis=1)[1],
    "split uneven": lambda x: np.split(x, 3, axis=1)[0],
    "array_split uneven": lambda x: np.array_split(x, 3, axis=1)[1],
    "split places": lambda x: np.split(x, [1, 3], axis=-1)[1],
    "split negative places": lambda x: np.split(x, [-1], axis=1)[0],
    "split places that go back": lambda x: np.split(x, [3, 1], axis=1)[2],
    "split beyond": lambda x: np.split(x, [2, 9], axis=1)[2],
    "diff none": lambda x: np.diff(x, n=0),
    "diff prepend": lambda x: np.diff(x, prepend=0.0),
    "take mode": lambda x: np.take(x, [0, 5], axis=1, mode="clip"),
    "take wrap": lambda x: np.take(x, [0, 5, -7], axis=1, mode="wrap"),
    "take number": lambda x: np.take(x, 1, axis=0),
    "take method": lambda x: x.take([0, 0, 5]),
    "take_along_axis": lambda x: np.take_along_axis(x, np.array([[3, 0], [1, 1], [2, 2]]), axis=1),
    "take_along_axis that broadcasts": lambda x: np.take_along_axis(x, np.array([[0, 2]]), axis=1),
    "take_along_axis flat": lambda x: np.take_along_axis(x, np.array([0, 5]), axis=None),
    "take_along_axis last": lambda x: np.take_along_axis(x, np.array([[3], [1], [2]])),
    "sort flat": lambda x: np.sort(x, axis=None),
    "sort kind": lambda x: np.sort(x, kind="heapsort"),
    "pad number": lambda x: np.pad(x, 2),
    "pad pair": lambda x: np.pad(x, (1, 2)),
    "pad value": lambda x: np.pad(x, 1, constant_values=3.0),
    "pad values": lambda x: np.pad(x, 1, constant_values=((1, 2), (3, 4))),
    "pad edge": lambda x: np.pad(x, ((0, 2), (1, 0)), "edge"),
    "pad reflect": lambda x: np.pad(x, 2, mode="reflect"),
    "pad odd reflect": lambda x: np.pad(x, 2, mode="reflect", reflect_type="odd"),
    "pad symmetric": lambda x: np.pad(x, 2, mode="symmetric"),
    "pad wrap": lambda x: np.pad(x, 2, mode="wrap"),
    "pad mean": lambda x: np.pad(x, 1, mode="mean"),
    "pad median": lambda x: np.pad(x, 1, mode="median"),
    "pad maximum": lambda x: np.pad(x, 1, mode="maximum"),
    "pad minimum": lambda x: np.pad(x, 1, mode="minimum"),
    "pad ramp": lambda x: np.pad(x, 2, mode="linear_ramp"),
    "pad ramp with ends": lambda x: np.pad(x, 2, mode="linear_ramp", end_values=5.0),
    "pad by function": lambda x: np.pad(x, 1, mode=lambda vector, width, axis, kwargs: None),
    "pad dict": lambda x: np.pad(x, {0: (1, 2)}),
    "where one": lambda x: np.where(x),
    "where numbers": lambda x: np.where(x > 0, x, 0),
    "unique": lambda x: np.unique(x),
    "unique with counts": lambda x: np.unique(x, return_counts=True),
    "round decimals": lambda x: np.round(x, 1),
    "searchsorted": lambda x: np.searchsorted(np.sort(x[0]), x[1]),
    "solve many with a vector": lambda x: np.linalg.solve(CUBE, x[:, 0]),
    "solve many with matrices": lambda x: np.linalg.solve(CUBE, x),
    "astype": lambda x: x.astype(np.float32),
    "astype int": lambda x: x.astype(int) * 1.0,
    "astype bool": lambda x: x.astype(bool) * 1.0,
    "power of two arrays": lambda x: np.power(np.abs(x), np.array([0.5, 2, 3, 0])),
    "tuple operand": lambda x: x * (1.0, 2.0, 3.0, 4.0),
    "atleast several": lambda x: np.atleast_2d(x, x[0])[1],
    "column_stack": lambda x: np.column_stack([x, x[:, 0]]),
    "rollaxis": lambda x: np.rollaxis(x, 1),
}


def _flat_parts(result):
    return [part for r in result for part in _flat_parts(r)] if isinstance(result, tuple | list) else [result]


@pytest.mark.parametrize("name", CALLS)
def test_an_option_is_obeyed_or_refused(name):
    """Either the result is NumPy's and its gradient the numerical one, or an error is raised."""
    f = CALLS[name]
    tensor = parameter(MATRIX)
    try:
        result = f(tensor)
    except (TypeError, NotImplementedError, AttributeError, ValueError):
        return
    try:
        expected = f(MATRIX)
    except TypeError:  # this NumPy does not know the option
        return
    except ValueError as error:
        pytest.fail(f"{name}: NumPy refuses ({error}), and we return {result!r}")
    for got, wanted in zip(_flat_parts(result), _flat_parts(expected), strict=True):
        np.testing.assert_allclose(_plainly(got), wanted, rtol=1e-6, err_msg=name)
        upstream = np.random.default_rng(23).normal(size=np.shape(wanted))
        h = 1e-3 if np.asarray(wanted).dtype == np.float32 else 1e-6
        place = _position(result, got)
        numerical = numerical_gradient(
            lambda x, place=place: np.asarray(_flat_parts(f(x))[place], float), MATRIX.copy(), upstream, h=h
        )
        gradient = np.zeros_like(MATRIX)
        if isinstance(got, Tensor) and got.requires_grad:
            tensor.grad = None
            got.backward(upstream)
            gradient = tensor.grad if tensor.grad is not None else gradient
        tolerance = 1e-2 if np.asarray(wanted).dtype == np.float32 else 1e-7
        np.testing.assert_allclose(gradient, numerical, rtol=tolerance, atol=tolerance, err_msg=f"gradient of {name}")


def _position(result, part):
    return next(i for i, r in enumerate(_flat_parts(result)) if r is part)


def test_solving_many_systems_with_one_right_hand_side():
    b = np.array([1.0, -2.0, 0.5])
    for many in CUBE, np.concatenate([CUBE, CUBE[:1] + 1]):  # or three systems of three unknowns
        A, x = parameter(many), parameter(b)
        result = np.linalg.solve(A, x)
        upstream = np.random.default_rng(4).normal(size=result.shape)
        result.backward(upstream)
        db = np.stack([np.linalg.solve(a.T, u) for a, u in zip(many, upstream, strict=True)])
        np.testing.assert_allclose(x.grad, db.sum(axis=0), rtol=1e-12)
        np.testing.assert_allclose(A.grad, -db[:, :, None] * result.value[:, None, :], rtol=1e-12)

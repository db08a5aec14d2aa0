"""For every kind of index, the gradient reaches each entry as often as it was read."""

import numpy as np
import pytest
from engine_helpers import examples, parameter
from hypothesis import given, note
from hypothesis import strategies as st

from coursekit.autograd import Tensor, grad, hvp

pytestmark = pytest.mark.slow


@st.composite
def indices(draw, shape):
    """Draw an index that NumPy accepts, as a tuple."""
    left, index = list(shape), []
    while left and draw(st.integers(0, 5)):
        n = left.pop(0)
        kind = draw(
            st.sampled_from(["int", "slice", "new", "array", "list", "mask", "numpy int", "nested tuple", "0-d"])
        )
        ints = st.integers(-n, n - 1)
        if n == 0 and kind not in ("slice", "new", "mask"):
            kind = "slice"
        if kind == "int":
            index.append(draw(ints))
        elif kind == "numpy int":
            index.append(np.int64(draw(ints)))
        elif kind == "0-d":
            index.append(np.array(draw(ints)))
        elif kind == "slice":
            bound = st.none() | st.integers(-n - 1, n + 1)
            index.append(slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, -1, -2]))))
        elif kind == "new":
            index.append(None)
            left.insert(0, n)
        elif kind in ("array", "list", "nested tuple"):
            some = draw(st.lists(ints, min_size=3, max_size=3))
            index.append({"array": np.array, "list": list, "nested tuple": tuple}[kind](some))
            if kind == "array" and draw(st.booleans()):
                index[-1] = index[-1][:, None]
        else:
            mask = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
            index.append(mask)
    if draw(st.booleans()):
        index.insert(draw(st.integers(0, len(index))) if not left else len(index), Ellipsis)
    return tuple(index)


@st.composite
def shapes_and_indices(draw):
    shape = draw(st.lists(st.integers(0, 4), max_size=3).map(tuple))
    return shape, draw(indices(shape))


@examples(600)
@given(shapes_and_indices(), st.integers(0, 2**32))
def test_the_gradient_of_any_index_adds_up_repeats(shape_and_index, seed):
    shape, index = shape_and_index
    note(f"shape {shape}, index {index}, seed {seed}")
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    try:
        expected = x[index]
    except IndexError:  # arrays that do not broadcast, masks of the wrong length: then a Tensor refuses them too
        with pytest.raises(IndexError):
            parameter(x)[index]
        return
    upstream = rng.normal(size=np.shape(expected))
    reference = np.zeros(shape)
    np.add.at(reference, index, upstream)
    tensor = parameter(x)
    result = tensor[index]
    np.testing.assert_array_equal(result.value, expected)
    result.backward(upstream)
    np.testing.assert_allclose(tensor.grad, reference, rtol=1e-12, atol=1e-12)
    if len(index) == 1 and not isinstance(index[0], tuple):  # alone, without the comma
        tensor.grad = None
        tensor[index[0]].backward(upstream)
        np.testing.assert_allclose(tensor.grad, reference, rtol=1e-12, atol=1e-12)
    second = grad(lambda x: np.sum(upstream * grad(lambda x: np.sum(upstream * x[index] ** 3))(x)[index]))(x)
    slope = np.zeros(shape)
    np.add.at(slope, index, upstream)
    wanted = 6 * x * slope * slope  # every copy of an entry gets the sum over all copies
    np.testing.assert_allclose(second, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "index",
    [
        Tensor(np.array([0, 0, 2])),
        Tensor(np.array([True, False, True])),
        (Tensor(np.array([0, 0, 2])), 1),
        (slice(None), Tensor(np.array([1, 1]))),
        range(2),
        (range(2), [0, 0]),
        ((0, 0, 1),),
        ((0, 0, 1), (1, 1, 1)),
        ([0, 0], (1, 1)),
        [[0, 0], [1, 1]],
        ([[0], [0]], [1, 1]),
        [True, False, True],
        [],
        (0, [1, 1]),
        np.array([[0, 0], [2, 2]]),
        np.array([0, 0], dtype=np.uint8),
        np.ones((3, 2), dtype=bool),
        (np.ones((3, 2), dtype=bool), ...),
        True,
        np.bool_(True),
        (False, 0),
        np.array(1),
        Tensor(np.array(1)),
    ],
    ids=str,
)
def test_indices_of_every_kind_add_up_repeats(index):
    x = np.arange(6.0).reshape(3, 2)

    def plain(part):
        return part.value if isinstance(part, Tensor) else part

    bare = tuple(map(plain, index)) if isinstance(index, tuple) else plain(index)
    expected = x[bare]
    upstream = np.random.default_rng(3).normal(size=np.shape(expected))
    reference = np.zeros_like(x)
    np.add.at(reference, np.array(bare, int) if isinstance(bare, list) and not bare else bare, upstream)
    tensor = parameter(x)
    result = tensor[index]
    np.testing.assert_array_equal(result.value, expected)
    result.backward(upstream)
    np.testing.assert_allclose(tensor.grad, reference, rtol=1e-12)
    curve = hvp(lambda x: np.sum(upstream * x[index] ** 2), x, np.ones_like(x))
    np.testing.assert_allclose(curve, 2 * reference, rtol=1e-12)

"""What can be encoded comes back the same, what cannot is named, and what is forged is refused."""

from __future__ import annotations

import contextlib
import io
import json
import math
import struct
from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coursekit.checks.codec import (
    MAX_NODES,
    Callback,
    Encoded,
    Generator,
    Malformed,
    Opaque,
    Ref,
    decode,
    encode,
    from_npy,
    to_npy,
)
from coursekit.checks.probes import Probe

DTYPES = ["?", "i1", "u2", "<i4", ">i8", "u8", "f2", "<f4", ">f4", "f8", "c8", "c16", "g"]


def through_text(value: Any) -> Any:
    """Encode `value`, pass it through JSON text and npy bytes, and decode it."""
    tree, arrays = encode(value)
    text = json.dumps(tree, allow_nan=False)
    return decode(json.loads(text), [from_npy(to_npy(array)) for array in arrays])


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray | np.generic):
        return (
            type(a) is type(b)
            and a.shape == b.shape
            and a.dtype.newbyteorder("=") == b.dtype.newbyteorder("=")
            and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
        )
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return type(a) is type(b) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, float | complex) and a != a:
        return type(a) is type(b) and repr(a) == repr(b)
    return type(a) is type(b) and a == b


arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(np.dtype(dtype), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
scalars = hnp.arrays(st.sampled_from(["?", "i8", "u1", "f4", "f8", "c16"]), ()).map(lambda array: array[()])
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**1000), 2**1000),
    st.floats(),
    st.complex_numbers(),
    st.text(st.characters(exclude_categories=())),
    arrays,
    scalars,
    st.integers(0, 2**64).map(Generator),
    st.builds(Ref, st.text(max_size=5), st.none() | st.integers(0, 9)),
    st.lists(st.text(max_size=3)).map(lambda names: Callback(tuple(names))),
    st.builds(Opaque, st.text(max_size=5), st.text(max_size=5)),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=4) | st.integers(-9, 9), inner, max_size=4),
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(values)
def test_whatever_can_be_written_comes_back_the_same(value: Any) -> None:
    assert same(value, through_text(value))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 3), (1, 2, 3, 1)])
def test_arrays_of_every_kind_and_layout_come_back(dtype: str, shape: tuple[int, ...]) -> None:
    array = (np.arange(math.prod(shape)) % 5).astype(dtype).reshape(shape)
    doubled = np.repeat(array[..., None], 2, axis=-1)  # every other entry of it is the array
    for layout in (array, np.asfortranarray(array), array.T, doubled[..., 0], array.astype(array.dtype.newbyteorder())):
        back = through_text(layout)
        assert same(layout, back)
        assert back.flags.writeable
        assert back.dtype.isnative


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_stays_a_matrix() -> None:
    assert same(np.matrix([[1.0, 2.0]]), through_text(np.matrix([[1.0, 2.0]])))


def test_numbers_that_json_has_no_word_for_come_back() -> None:
    got = through_text([math.inf, -math.inf, math.nan, complex(math.nan, -math.inf), np.float64(math.nan), -0.0])
    assert got[:2] == [math.inf, -math.inf]
    assert math.isnan(got[2])
    assert math.isnan(got[3].real)
    assert got[3].imag == -math.inf
    assert isinstance(got[4], np.float64)
    assert math.isnan(got[4])
    assert math.copysign(1, got[5]) == -1


def test_what_is_written_already_is_taken_over_with_its_arrays() -> None:
    first, second = np.arange(3.0), np.ones((2, 2))
    whole = through_text({"before": first, "written": Encoded(*encode([second, first]))})
    assert same({"before": first, "written": [second, first]}, whole)


def test_named_tuples_and_ordered_dictionaries_count_for_what_is_in_them() -> None:
    Pair = namedtuple("Pair", "loss dW")
    assert through_text(Pair(1.0, 2)) == (1.0, 2)
    assert through_text(OrderedDict(loss=1.0)) == {"loss": 1.0}


def test_a_probe_comes_back_with_its_constants_and_without_its_calls() -> None:
    probe = Probe("wave", {"a": np.array([1.0, 2.0])})
    probe(np.array([0.5, 0.5]))
    back = through_text(probe)
    assert isinstance(back, Probe)
    assert back.name == "wave"
    assert same(probe.constants, back.constants)
    assert back.calls == []


def test_a_thousand_losses_need_no_thousand_arrays() -> None:
    tree, arrays = encode([np.float64(i) for i in range(5000)])
    assert arrays == []
    assert decode(tree, arrays)[-1] == 4999.0


# -- what cannot be written down -----------------------------------------------------------------


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Endless:
    def __repr__(self) -> str:
        return "x" * 10**6


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ((i for i in range(3)), "generator"),
        (io.StringIO(), "StringIO"),
        (set(range(10_000)), "set"),
        (range(3), "range"),
        (b"bytes", "bytes"),
        (len, "builtin_function_or_method"),
        (np.array([object()]), "ndarray"),
        (np.array([(1, 2.0)], dtype="i4,f8"), "ndarray"),
        (np.datetime64("2024-01-01"), "datetime64"),
        (2**2000, "int"),
        ("x" * 2_000_000, "str"),
        ({(1, 2): 3}, "dict"),
        (Unspeakable(), "Unspeakable"),
        (Endless(), "Endless"),
    ],
)
def test_what_has_no_written_form_is_named(value: Any, kind: str) -> None:
    got = through_text({"it": value})["it"]
    assert isinstance(got, Opaque)
    assert got.kind == kind
    assert len(got.text) <= 200


def test_a_repr_that_raises_is_told() -> None:
    assert through_text(Unspeakable()).text == "its repr() raised RuntimeError"


def test_a_list_that_holds_itself_ends() -> None:
    endless: list[Any] = []
    endless.append(endless)
    got = through_text(endless)
    depth = 0
    while isinstance(got, list):
        got, depth = got[0], depth + 1
    assert isinstance(got, Opaque)
    assert depth < 50


def test_lists_that_hold_each_other_do_not_grow_without_end() -> None:
    wide: list[Any] = []
    wide.extend([wide] * 10)
    tree, _ = encode(wide)
    assert len(json.dumps(tree)) < 300 * MAX_NODES


def test_a_list_that_is_too_long_is_named_and_not_gone_through() -> None:
    got = through_text([0.0] * (MAX_NODES + 1))
    assert isinstance(got, Opaque)
    assert got.kind == "list"


# -- forged arrays ------------------------------------------------------------------------------


def npy(descr: str, shape: str, data: bytes = b"", fortran: str = "False", version: bytes = b"\x01\x00") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + data


def test_the_forger_of_these_tests_can_write_a_good_array() -> None:
    assert from_npy(npy("'<f8'", "(2,)", struct.pack("<2d", 1, 2))).tolist() == [1, 2]


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"PK\x03\x04 not an array",
        npy("'<f8'", "(1000000000000,)"),
        npy("'<f8'", "(1000000000000,)", b"\0" * 8),
        npy("'<f8'", "(2,)", b"\0" * 8),
        npy("'<f8'", "(1,)", b"\0" * 9),
        npy("'<f8'", "(4611686018427387904, 4, 0)"),
        npy("'<f8'", "(0, 99999999999999999999999999)"),
        npy("'<f8'", "(-1,)", b"\0" * 8),
        npy("'<f8'", "(-1, -1)", b"\0" * 8),
        npy("'<f8'", "(True,)", b"\0" * 8),
        npy("'<f8'", "(1.0,)", b"\0" * 8),
        npy("'<f8'", "8", b"\0" * 64),
        npy("'<f8'", "(" + "1, " * 40 + ")", b"\0" * 8),
        npy("'|O'", "(1,)", b"\0" * 8),
        npy("'|O'", "()", b"\x80\x04N."),
        npy("'<U1'", "(1,)", b"\0" * 4),
        npy("'|V8'", "(1,)", b"\0" * 8),
        npy("'<M8[s]'", "(1,)", b"\0" * 8),
        npy("[('a', '<f8')]", "(1,)", b"\0" * 8),
        npy("'(2,)<f8'", "(1,)", b"\0" * 16),
        npy("'no such type'", "(1,)", b"\0" * 8),
        npy("'<f8'", "(1,)", b"\0" * 8, fortran="'yes'"),
        npy("'<f8'", "(1,)", b"\0" * 8, version=b"\x03\x00"),
        npy("'<f8'", "(1,)", b"\0" * 8, version=b"\x09\x00"),
        npy("'<f8'", "(" * 400 + ")" * 400),
        npy("'<f8'", "-" * 900 + "1"),
        npy("__import__('os').getcwd()", "(1,)", b"\0" * 8),
    ],
    ids=range(30),
)
@pytest.mark.filterwarnings("ignore:Reading `.npy`")
def test_a_forged_array_is_refused(blob: bytes) -> None:
    with pytest.raises(Malformed):
        from_npy(blob)


def test_a_pickled_array_is_refused() -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(Malformed):
        from_npy(stream.getvalue())


@settings(max_examples=200, deadline=None)
@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_array_is_an_array_or_refused(data: st.DataObject) -> None:
    blob = bytearray(to_npy(np.arange(6.0).reshape(2, 3)))
    for position in data.draw(st.lists(st.integers(0, len(blob) - 1), max_size=4)):
        blob[position] = data.draw(st.integers(0, 255))
    blob = blob[: data.draw(st.integers(0, len(blob)))]
    with contextlib.suppress(Malformed):
        assert from_npy(bytes(blob)).nbytes <= len(blob)


# -- forged trees -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"$array": 0, "$matrix": 0},
        {"$unknown": 1},
        {"loss": 1.0},
        {"$array": 1},
        {"$array": -1},
        {"$array": True},
        {"$array": 0.0},
        {"$array": "0"},
        {"$array": None},
        {"$scalar": 0},
        {"$matrix": 1},
        {"$float": "1.0"},
        {"$float": 1.0},
        {"$float": []},
        {"$float64": None},
        {"$complex": [1]},
        {"$complex": [1, 2, 3]},
        {"$complex": ["1", "2"]},
        {"$complex": None},
        {"$tuple": None},
        {"$dict": [["a"]]},
        {"$dict": [["a", 1, 2]]},
        {"$dict": [[None, 1]]},
        {"$dict": [[[], 1]]},
        {"$dict": None},
        {"$generator": "1"},
        {"$generator": 1.5},
        {"$generator": None},
        {"$ref": ["a"]},
        {"$ref": [1, None]},
        {"$ref": ["a", "b"]},
        {"$probe": ["no such probe", {"$dict": []}]},
        {"$probe": ["wave", 5]},
        {"$probe": ["wave"]},
        {"$callback": [1]},
        {"$callback": None},
        {"$opaque": ["a"]},
        {"$opaque": [1, 2]},
        object(),
    ],
    ids=lambda tree: "an object" if type(tree) is object else str(tree),
)
def test_a_forged_tree_is_refused(tree: Any) -> None:
    with pytest.raises(Malformed):
        decode([1, tree], [np.zeros((2, 2, 2))])


def test_a_tree_that_is_too_deep_is_refused() -> None:
    tree: Any = 1
    for _ in range(500):
        tree = [tree]
    with pytest.raises(Malformed, match="deep"):
        decode(tree, [])


trees = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "$array",
                    "$scalar",
                    "$matrix",
                    "$float",
                    "$float64",
                    "$complex",
                    "$tuple",
                    "$dict",
                    "$generator",
                    "$ref",
                    "$probe",
                    "$callback",
                    "$opaque",
                    "x",
                ]
            ),
            inner,
            max_size=2,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(trees)
def test_any_tree_at_all_is_data_or_refused(tree: Any) -> None:
    with contextlib.suppress(Malformed):
        decode(tree, [np.zeros(3)])

"""Values as JSON and npy: the form of arguments and results in a file and on the wire.

Nothing here is pickled, so reading can never run code.  A value becomes a tree of
plain JSON in which every array is replaced by its number in a list:

>>> tree, arrays = encode({"loss": 2.5, "dW": np.ones((2, 3))})
>>> tree
{'$dict': [['loss', 2.5], ['dW', {'$array': 0}]]}
>>> arrays[0].shape
(2, 3)
>>> decode(tree, arrays)["loss"]
2.5

What has no such form (a generator, an open file, a list that holds itself) is replaced
by an :class:`Opaque` that names its type.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .shipped import ShippedCode

MAX_DEPTH = 16
MAX_NODES = 100_000
MAX_TEXT = 1_000_000
# Of one dictionary.  Python finds integers in it by their values, and they can be chosen so that each meets all others.
MAX_INTEGER_KEYS = 1000
MAX_SET = 3000  # elements, for the same reason
MAX_HEADER = 1024  # bytes of an array's header
PLAIN_KINDS = "biufc"  # the dtype kinds that cross: bool, signed, unsigned, float, complex
NUMBERS = (bool, int, float, complex, np.ndarray, np.generic)


@dataclass(frozen=True)
class Opaque:
    """Stands for an object that cannot be encoded; `kind` is the name of its type."""

    kind: str
    text: str = ""


@dataclass(frozen=True)
class Generator:
    """A NumPy random generator as an argument: ``np.random.default_rng(seed)``, created anew for each call."""

    seed: int

    def make(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


@dataclass(frozen=True)
class Ref:
    """The object that an earlier step of the same case saved under `name` (its `item`-th element, if given)."""

    name: str
    item: int | None = None


@dataclass(frozen=True)
class Callback:
    """A stand-in behind the wall for a function among the arguments: its calls are answered outside."""

    parameters: tuple[str, ...]


@dataclass(frozen=True)
class Encoded:
    """A value that is written already, as part of a larger one: what :func:`encode` gave."""

    tree: Any
    arrays: list[np.ndarray]


def holds_only_numbers(value: Any) -> bool:
    """Return whether `value` is a number, an array, or a list or tuple of these.

    Ask before NumPy is given a list: beside one long text, it makes a text of that length of every number.
    """
    if not isinstance(value, list | tuple):
        return isinstance(value, NUMBERS)
    kinds = set(map(type, value))  # there are few, however long the list is
    inner = {kind for kind in kinds if issubclass(kind, list | tuple)}
    if not all(issubclass(kind, NUMBERS) for kind in kinds - inner):
        return False
    return not inner or all(holds_only_numbers(item) for item in value if type(item) in inner)


class Malformed(ValueError):
    """Raised for a tree or an array that :func:`encode` and :func:`to_npy` cannot have written."""


class _Encoder:
    """Encodes one value; `arrays` are the arrays that its tree refers to."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self.nodes = 0

    def encode(self, value: Any, depth: int = 0) -> Any:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes + _length(value) > MAX_NODES:
            return _opaque(value, "nested too deeply, or too large")
        return _encoder_of(type(value))(self, value, depth + 1)

    def array(self, tag: str, value: Any) -> Any:
        if value.dtype.kind == "U" and value.size < MAX_NODES:  # text, as the list of it
            return self.encode(value.tolist())
        if value.dtype.kind not in PLAIN_KINDS:
            return _opaque(value)
        self.arrays.append(np.asarray(value))
        return {tag: len(self.arrays) - 1}

    def spliced(self, value: Encoded) -> Any:
        offset = len(self.arrays)
        self.arrays.extend(value.arrays)
        return renumbered(value.tree, offset)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list | tuple | dict | set | frozenset) else 0


def _opaque(value: Any, why: str = "") -> dict[str, list[str]]:
    # repr() of a student's object is the student's code.  Only the student's own process runs it.
    try:
        text = why or repr(value)[:200]
    except Exception as error:
        text = f"its repr() raised {type(error).__name__}"
    return {"$opaque": [type(value).__name__[:100], text]}


def _encode_text(encoder: _Encoder, value: str, depth: int) -> Any:
    return value if len(value) <= MAX_TEXT else _opaque(value, f"a text of {len(value)} characters")


def _encode_int(encoder: _Encoder, value: int, depth: int) -> Any:
    return value if value.bit_length() < 1024 else _opaque(value, "an integer of more than 1024 bits")


def _encode_float(encoder: _Encoder, value: float, depth: int) -> Any:
    return value if math.isfinite(value) else {"$float": repr(value)}


def _encode_items(encoder: _Encoder, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
    return [encoder.encode(item, depth) for item in value]


def _encode_set(encoder: _Encoder, value: set[Any] | frozenset[Any], depth: int) -> Any:
    if len(value) > MAX_SET:
        return _opaque(value, f"a set of {len(value)} elements")
    # In an order that is the same in every process.
    tag = "$set" if isinstance(value, set) else "$frozenset"
    return {tag: _encode_items(encoder, sorted(value, key=lambda item: (type(item).__name__, repr(item))), depth)}


def _encode_dict(encoder: _Encoder, value: dict[Any, Any], depth: int) -> Any:
    if not all(type(key) in (str, int) for key in value) or _integer_keys(value) > MAX_INTEGER_KEYS:
        return _opaque(value)
    return {"$dict": [[key, encoder.encode(item, depth)] for key, item in value.items()]}


def _integer_keys(keys: Iterable[Any]) -> int:
    return sum(not isinstance(key, str) for key in keys)


_ENCODERS: dict[type, Callable[[_Encoder, Any, int], Any]] = {
    type(None): lambda encoder, value, depth: value,
    bool: lambda encoder, value, depth: value,
    str: _encode_text,
    int: _encode_int,
    float: _encode_float,
    # Losses come by the thousand, too many for an array each.
    np.float64: lambda encoder, value, depth: {"$float64": encoder.encode(float(value))},
    complex: lambda encoder, value, depth: {"$complex": [encoder.encode(value.real), encoder.encode(value.imag)]},
    list: _encode_items,
    tuple: lambda encoder, value, depth: {"$tuple": _encode_items(encoder, value, depth)},
    dict: _encode_dict,
    set: _encode_set,
    frozenset: _encode_set,
    np.str_: lambda encoder, value, depth: _encode_text(encoder, value.item(), depth),
    np.generic: lambda encoder, value, depth: encoder.array("$scalar", value),
    np.ndarray: lambda encoder, value, depth: encoder.array("$array", value),
    np.matrix: lambda encoder, value, depth: encoder.array("$matrix", value),
    Generator: lambda encoder, value, depth: {"$generator": value.seed},
    Ref: lambda encoder, value, depth: {"$ref": [value.name, value.item]},
    ShippedCode: lambda encoder, value, depth: {
        "$given": [value.name, value.source, encoder.encode(value.constants, depth)]
    },
    Callback: lambda encoder, value, depth: {"$callback": list(value.parameters)},
    Opaque: lambda encoder, value, depth: {"$opaque": [value.kind, value.text]},
    Encoded: lambda encoder, value, depth: encoder.spliced(value),
}
# A subclass of a container, such as a named tuple, is encoded as the container.  A subclass of a
# number or a text, such as a member of an enumeration, is not: it is more than its value.
_NOT_SUBCLASSED = (bool, str, int, float, complex, np.float64)


def _encoder_of(kind: type) -> Callable[[_Encoder, Any, int], Any]:
    for base in kind.__mro__:
        # A class with a metaclass of its own may not be hashable, and is not in the table.
        if type(base) is type and base in _ENCODERS and (base is kind or base not in _NOT_SUBCLASSED):
            return _ENCODERS[base]
    return lambda encoder, value, depth: _opaque(value)


def encode(value: Any) -> tuple[Any, list[np.ndarray]]:
    """Encode `value` as a JSON tree and the list of arrays that the tree refers to."""
    encoder = _Encoder()
    return encoder.encode(value), encoder.arrays


def renumbered(tree: Any, offset: int) -> Any:
    """Return `tree` with `offset` added to the number of every array: several values share one list of arrays."""
    if isinstance(tree, list):
        return [renumbered(item, offset) for item in tree]
    if isinstance(tree, dict):
        return {
            tag: body + offset if tag in ("$array", "$scalar", "$matrix") else renumbered(body, offset)
            for tag, body in tree.items()
        }
    return tree


def decode(tree: Any, arrays: Sequence[np.ndarray], depth: int = 0) -> Any:
    """Rebuild the value that :func:`encode` was given.

    Raises
    ------
    Malformed
        If `tree` is not such a tree.  Trees from a student's process are read by this
        function: whatever they hold, the result is plain data or this error.
    """
    if depth > 2 * MAX_DEPTH + 4:
        raise Malformed("nested too deeply")
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    if isinstance(tree, list):
        return [decode(item, arrays, depth + 1) for item in tree]
    if not isinstance(tree, dict) or len(tree) != 1:
        raise Malformed(f"not the form of a value: {str(tree)[:80]}")
    ((tag, body),) = tree.items()
    try:
        return _DECODERS[tag](body, arrays, depth + 1)
    except Malformed:
        raise
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise Malformed(f"bad {str(tag)[:20]} in a value: {error}") from None


def _numbered(body: Any, arrays: Sequence[np.ndarray]) -> np.ndarray:
    if type(body) is not int or not 0 <= body < len(arrays):
        raise Malformed(f"array number {str(body)[:20]} of {len(arrays)}")
    return arrays[body]


def _text(body: Any) -> str:
    if not isinstance(body, str):
        raise Malformed("expected text")
    return body


def _float(body: Any) -> float:
    number = decode(body, ())
    if type(number) is not float:
        raise Malformed("expected a float")
    return number


def _complex(body: Any) -> complex:
    real, imaginary = body
    return complex(_float(real), _float(imaginary))


def _integer(body: Any) -> int:
    if type(body) is not int:
        raise Malformed("expected an integer")
    return body


def _elements(body: Any, arrays: Sequence[np.ndarray], depth: int) -> list[Any]:
    if not isinstance(body, list) or len(body) > MAX_SET:
        raise Malformed("not the elements of a set")
    return [decode(item, arrays, depth) for item in body]


def _dictionary(body: Any, arrays: Sequence[np.ndarray], depth: int) -> dict[Any, Any]:
    if not all(isinstance(key, str | int) for key, _ in body):
        raise Malformed("a dictionary's key is neither text nor an integer")
    if (count := _integer_keys(key for key, _ in body)) > MAX_INTEGER_KEYS:
        raise Malformed(f"a dictionary with {count} integers as keys")
    return {key: decode(item, arrays, depth) for key, item in body}


def _constants(body: Any, arrays: Sequence[np.ndarray], depth: int) -> dict[Any, Any]:
    constants = decode(body, arrays, depth)
    if not isinstance(constants, dict):
        raise Malformed("a function's constants have no names")
    return constants


def _shipped(body: Any, arrays: Sequence[np.ndarray], depth: int) -> ShippedCode:
    return ShippedCode(_text(body[0]), _text(body[1]), _constants(body[2], arrays, depth))


_DECODERS: dict[str, Any] = {
    "$float": lambda body, arrays, depth: {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[body],
    "$float64": lambda body, arrays, depth: np.float64(_float(body)),
    "$complex": lambda body, arrays, depth: _complex(body),
    "$tuple": lambda body, arrays, depth: tuple(decode(item, arrays, depth) for item in body),
    "$dict": _dictionary,
    "$set": lambda body, arrays, depth: set(_elements(body, arrays, depth)),
    "$frozenset": lambda body, arrays, depth: frozenset(_elements(body, arrays, depth)),
    "$array": lambda body, arrays, depth: _numbered(body, arrays),
    "$matrix": lambda body, arrays, depth: np.asmatrix(_numbered(body, arrays)),
    "$scalar": lambda body, arrays, depth: _numbered(body, arrays).reshape(())[()],
    "$generator": lambda body, arrays, depth: Generator(_integer(body)),
    "$ref": lambda body, arrays, depth: Ref(_text(body[0]), None if body[1] is None else _integer(body[1])),
    "$given": _shipped,
    "$callback": lambda body, arrays, depth: Callback(tuple(_text(name) for name in body)),
    "$opaque": lambda body, arrays, depth: Opaque(_text(body[0]), _text(body[1])),
}


def register(tag: str, kind: type, fields: Callable[[Any], tuple[str, dict[str, Any]]]) -> None:
    """Let values of `kind` be encoded under `tag`; `fields` gives what they are made of: a name, and constants."""
    _ENCODERS[kind] = lambda encoder, value, depth: {tag: [fields(value)[0], encoder.encode(fields(value)[1], depth)]}
    _DECODERS[tag] = lambda body, arrays, depth: kind(_text(body[0]), _constants(body[1], arrays, depth))


def to_npy(array: np.ndarray) -> bytes:
    """Return `array` in NumPy's npy format."""
    array = np.asarray(array)
    if array.dtype.hasobject:
        raise ValueError("an array of objects is no data")
    order: Literal["F", "C"] = "F" if array.flags.fnc else "C"
    return _npy_header(array.dtype, array.shape, order) + array.tobytes(order)


# A thousand arrays of a few shapes cross the wall for each submission, and NumPy's own code for headers takes
# longer than the rest of a message.
@functools.lru_cache(maxsize=1024)
def _npy_header(dtype: np.dtype, shape: tuple[int, ...], order: str) -> bytes:
    stream = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": order == "F", "shape": shape})
    return stream.getvalue()


@functools.lru_cache(maxsize=1024)
def _parsed_npy_header(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    stream = io.BytesIO(header)
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise Malformed(f"npy version {version}")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=MAX_HEADER)
    except Malformed:
        raise
    except Exception as error:  # NumPy's header parser may raise anything on forged bytes
        raise Malformed(f"bad npy header: {error}") from None
    if dtype.kind not in PLAIN_KINDS or dtype.itemsize > 32:
        raise Malformed(f"dtype {dtype!s:.40}")
    if len(shape) > 32 or any(type(n) is not int or n < 0 for n in shape):
        raise Malformed(f"shape {str(shape)[:80]}")
    return shape, fortran, dtype


def from_npy(blob: bytes) -> np.ndarray:
    """Return the array in `blob`, which may come from a process that is not trusted.

    `np.load` allocates whatever size the header claims; here the claim must match the number
    of bytes.  The array is a new one, writable and in native byte order.

    Raises
    ------
    Malformed
        If the header, the dtype or the size is not that of a plain numeric array.
    """
    start = 10 + int.from_bytes(blob[8:10], "little")  # after the magic number, the version and the header's length
    if start > 10 + MAX_HEADER:
        raise Malformed(f"a npy header of {start - 10} bytes")
    shape, fortran, dtype = _parsed_npy_header(blob[:start])
    if math.prod(shape) * dtype.itemsize != len(blob) - start:
        raise Malformed("the array's size is not that of its bytes")
    flat = np.frombuffer(blob, dtype, offset=start)
    try:
        array = flat.reshape(shape, order="F" if fortran else "C")
    except (ValueError, OverflowError) as error:  # an empty array may claim a dimension that is too large
        raise Malformed(f"shape {str(shape)[:80]}: {error}") from None
    return array.astype(dtype.newbyteorder("="))

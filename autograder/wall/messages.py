"""Send and receive length-prefixed messages of JSON and npy over one socket.

A frame is a header of three unsigned 32-bit integers (the length of the JSON text, the
number of arrays, the length of all of them), the JSON text, the arrays' lengths, and the
arrays as npy.  Both sides use this module; the trusted one treats every byte that it reads
as hostile.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from coursekit.checks.codec import Malformed, decode, encode, from_npy, to_npy

HEADER = struct.Struct("!III")
LENGTH = struct.Struct("!I")
MAX_TEXT = 16 * 2**20
MAX_ARRAYS = 4096
MAX_BYTES = 64 * 2**20
MAX_VALUES = 700_000  # in the JSON text: each is far larger in memory, and slower to read, than the "0," that is sent


class ProtocolError(Exception):
    """The other side sent what no honest process sends."""


class Closed(Exception):
    """The other side has closed the socket."""


class Late(Exception):
    """Nothing (or not all of a message) came before the deadline."""


@dataclass
class Channel:
    """One end of a socket; `receive` returns the fields decoded."""

    sock: socket.socket

    def send(self, kind: str, deadline: float | None = None, **fields: Any) -> None:
        """Send a message; until `deadline` (`time.monotonic`), if one is given.

        Raises
        ------
        ProtocolError
            If it is larger than the other side would accept; nothing has been sent then.
        Late, Closed
            If the other side does not read, or is gone.
        """
        tree, arrays = encode(fields)
        # A Python string can hold half of a surrogate pair, and UTF-8 cannot.
        text = json.dumps([kind, tree], allow_nan=False, ensure_ascii=False).encode("utf-8", "replace")
        _require_size(len(text), len(arrays), sum(array.nbytes for array in arrays))
        blobs = [to_npy(array) for array in arrays]
        sizes = b"".join(LENGTH.pack(len(blob)) for blob in blobs)
        header = HEADER.pack(len(text), len(blobs), sum(map(len, blobs)))
        try:
            self.sock.settimeout(_left(deadline))
            self.sock.sendall(b"".join([header, text, sizes, *blobs]))
        except TimeoutError:
            raise Late from None
        except OSError:
            raise Closed from None

    def receive(self, deadline: float | None = None) -> tuple[str, dict[str, Any]]:
        """Receive the next message: its kind and its fields.

        Raises
        ------
        ProtocolError
            If it is too large or not of the form that `send` gives.
        Late, Closed
            If it does not come in time, or the other side is gone.
        """
        text_size, count, total = HEADER.unpack(self._read(HEADER.size, deadline))
        _require_size(text_size, count, total)
        text = self._read(text_size, deadline)
        sizes = [LENGTH.unpack(self._read(LENGTH.size, deadline))[0] for _ in range(count)]
        if sum(sizes) != total:
            raise ProtocolError("the arrays' lengths do not add up")
        blobs = [self._read(size, deadline) for size in sizes]
        try:
            return _parse(text, [from_npy(blob) for blob in blobs])
        except (Malformed, ValueError, OverflowError, RecursionError) as error:
            raise ProtocolError(f"a malformed message: {str(error)[:200]}") from None

    def _read(self, size: int, deadline: float | None) -> bytes:
        buffer = bytearray(size)  # one buffer, however small the pieces are in which it comes
        rest = memoryview(buffer)
        while rest:
            try:
                self.sock.settimeout(_left(deadline))
                count = self.sock.recv_into(rest)
            except TimeoutError:
                raise Late from None
            except OSError:
                raise Closed from None
            if not count:
                raise Closed
            rest = rest[count:]
        return bytes(buffer)


def _require_size(text: int, arrays: int, total: int) -> None:
    if text > MAX_TEXT or arrays > MAX_ARRAYS or total > MAX_BYTES:
        raise ProtocolError(f"a message of {text} + {total} bytes in {arrays} arrays is too large")


def _left(deadline: float | None) -> float | None:
    """Return the seconds until `deadline`; a deadline that has passed is late, even if data waits."""
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise Late
    return left


class _Arrays(Sequence[np.ndarray]):
    """The arrays of a message, each of which can be taken once: many references to one would cost nothing to send."""

    def __init__(self, arrays: list[np.ndarray]) -> None:
        self.left: list[np.ndarray | None] = [*arrays]

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, number: Any) -> Any:
        array, self.left[number] = self.left[number], None
        if array is None:
            raise Malformed("an array is used twice")
        return array


def _parse(text: bytes, arrays: list[np.ndarray]) -> tuple[str, dict[str, Any]]:
    require_few_values(text)
    parsed = json.loads(text.decode("utf-8"))
    if b"\\ud" in text.lower():  # an escape can bring half a surrogate pair, which could then not be written anywhere
        parsed = json.loads(json.dumps(parsed, ensure_ascii=False).encode("utf-8", "replace"))
    if not (isinstance(parsed, list) and len(parsed) == 2 and isinstance(parsed[0], str)):
        raise Malformed("not a kind and its fields")
    fields = decode(parsed[1], _Arrays(arrays))
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise Malformed("the fields have no names")
    return parsed[0], fields


def require_few_values(text: bytes) -> None:
    """Refuse a JSON text from which very many values would be made.

    Raises
    ------
    Malformed
    """
    if _values(text) > MAX_VALUES:  # most of the signs may stand inside strings
        # Possessive, and matching an unclosed string too: nothing is ever tried twice.
        text = re.sub(rb'(?s)"(?:[^"\\]++|\\.)*+"?', b"", text)
        if (count := _values(text)) > MAX_VALUES:
            raise Malformed(f"{count} values")


def _values(text: bytes) -> int:
    return sum(text.count(sign) for sign in (b"[", b"{", b","))


def field(fields: dict[str, Any], name: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
    """Return the field `name`, which must be of type `kind`; if it is missing or None, `default`, if there is one."""
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ProtocolError(f"field {name!r} is {type(value).__name__}")
    return value

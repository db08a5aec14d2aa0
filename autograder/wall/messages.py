"""The wire: length-prefixed messages of JSON and npy over one socket.

A frame is a header of three unsigned 32-bit integers (the length of the JSON text, the
number of arrays, the length of all of them), the JSON text, the arrays' lengths, and the
arrays as npy.  Both sides use this module; the trusted one treats every byte that it reads
as hostile.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from coursekit.checks.codec import Malformed, decode, encode, from_npy, to_npy

HEADER = struct.Struct("!III")
LENGTH = struct.Struct("!I")
MAX_TEXT = 16 * 2**20
MAX_ARRAYS = 4096
MAX_BYTES = 64 * 2**20
MAX_JSON_DEPTH = 100


class ProtocolError(Exception):
    """The other side sent what no honest one would send."""


class Closed(Exception):
    """The other side has gone."""


class Late(Exception):
    """Nothing (or not all of a message) came before the deadline."""


@dataclass
class Channel:
    """Sends and receives messages; `receive` gives each field's values decoded."""

    sock: socket.socket

    def send(self, kind: str, deadline: float | None = None, **fields: Any) -> None:
        """Send a message; until `deadline` (`time.monotonic`), if one is given.

        Raises
        ------
        Late, Closed
            If the other side does not read, or is gone.
        """
        tree, arrays = encode(fields)
        text = json.dumps([kind, tree], allow_nan=False).encode()
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
        """The next message: its kind and its fields.

        Raises
        ------
        ProtocolError
            If it is too large or not of the form that `send` gives.
        Late, Closed
            If it does not come in time, or the other side is gone.
        """
        text_size, count, total = HEADER.unpack(self._read(HEADER.size, deadline))
        if text_size > MAX_TEXT or count > MAX_ARRAYS or total > MAX_BYTES:
            raise ProtocolError(f"a message of {text_size} + {total} bytes in {count} arrays is too large")
        text = self._read(text_size, deadline)
        sizes = [LENGTH.unpack(self._read(LENGTH.size, deadline))[0] for _ in range(count)]
        if sum(sizes) != total:
            raise ProtocolError("the arrays' lengths do not add up")
        blobs = [self._read(size, deadline) for size in sizes]
        try:
            return _parse(text, [from_npy(blob) for blob in blobs])
        except (Malformed, ValueError, RecursionError) as error:
            raise ProtocolError(f"a malformed message: {str(error)[:200]}") from None

    def _read(self, size: int, deadline: float | None) -> bytes:
        parts = []
        while size:
            try:
                self.sock.settimeout(_left(deadline))
                part = self.sock.recv(min(size, 2**20))
            except TimeoutError:
                raise Late from None
            except OSError:
                raise Closed from None
            if not part:
                raise Closed
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _left(deadline: float | None) -> float | None:
    """Seconds until `deadline`; a deadline that has passed is late, even if data waits."""
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise Late
    return left


def _parse(text: bytes, arrays: list[np.ndarray]) -> tuple[str, dict[str, Any]]:
    parsed = json.loads(text.decode("utf-8"))
    if not (isinstance(parsed, list) and len(parsed) == 2 and isinstance(parsed[0], str)):
        raise Malformed("not a kind and its fields")
    fields = decode(parsed[1], arrays)
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise Malformed("the fields have no names")
    return parsed[0], fields


def field(fields: dict[str, Any], name: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
    """The field `name`, which must be of type `kind`; missing or None gives `default`, if there is one."""
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise ProtocolError(f"field {name!r} is {type(value).__name__}")
    return value

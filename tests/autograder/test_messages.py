"""Whatever bytes come, `receive` returns a message or raises one of three errors, in time."""

import contextlib
import json
import random
import socket
import threading
import time

import numpy as np
import pytest

from autograder.wall import messages
from autograder.wall.messages import HEADER, LENGTH, Channel, Closed, Late, ProtocolError
from coursekit.checks.codec import Opaque, to_npy


@pytest.fixture
def pair():
    """Yield our end as a channel, and theirs as a bare socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Channel(ours), theirs


def soon(seconds=5.0):
    return time.monotonic() + seconds


def frame(text, arrays=()):
    """Make the bytes of a message from its JSON and arrays, unchanged."""
    text = text if isinstance(text, bytes) else json.dumps(text).encode()
    sizes = b"".join(LENGTH.pack(len(blob)) for blob in arrays)
    return HEADER.pack(len(text), len(arrays), sum(map(len, arrays))) + text + sizes + b"".join(arrays)


def received(pair, data):
    """Receive `data` that the other side sends before it closes."""
    ours, theirs = pair

    def send():
        with contextlib.suppress(OSError):  # when it is refused before all of it was read
            theirs.sendall(data)
        theirs.close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        return ours.receive(soon())
    finally:
        ours.sock.close()
        thread.join()


def test_values_come_out_as_they_went_in(pair):
    ours, theirs = pair
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3).T
    plain = [None, True, "ü", 2.5, float("inf"), {"x": ()}]
    Channel(theirs).send("result", a=1, b=plain, c=(1, 2j), d={"W": matrix, 3: np.int64(4)})
    kind, fields = ours.receive(soon())
    assert kind == "result"
    assert fields["a"] == 1
    assert fields["b"] == plain
    assert fields["c"] == (1, 2j)
    np.testing.assert_array_equal(fields["d"]["W"], matrix)
    assert fields["d"]["W"].dtype == np.float32
    assert isinstance(fields["d"][3], np.int64)


def test_messages_follow_each_other(pair):
    ours, theirs = pair
    for number in range(3):
        Channel(theirs).send("done", number=number)
    assert [ours.receive(soon())[1]["number"] for _ in range(3)] == [0, 1, 2]


def test_what_has_no_written_form_crosses_as_its_name(pair):
    ours, theirs = pair
    Channel(theirs).send("result", returned=[object(), np.array([object()]), (x for x in ())])
    returned = ours.receive(soon())[1]["returned"]
    assert [type(value) for value in returned] == [Opaque] * 3
    assert [value.kind for value in returned] == ["object", "ndarray", "generator"]


def test_half_a_surrogate_pair_is_replaced_on_either_side(pair):
    ours, theirs = pair
    Channel(theirs).send("output", text="a\ud800b")
    assert ours.receive(soon())[1] == {"text": "a?b"}
    theirs.sendall(frame(b'["output", {"$dict": [["te\\ud800xt", "a\\uDFFFb \\ud83d\\ude00 \\\\ud800"]]}]'))
    fields = ours.receive(soon())[1]
    assert fields == {"te?xt": "a?b 😀 \\ud800"}
    json.dumps(fields, ensure_ascii=False).encode()


# -- what is refused ----------------------------------------------------------------------

ONE = to_npy(np.ones(3))


@pytest.mark.parametrize(
    "data",
    [
        HEADER.pack(messages.MAX_TEXT + 1, 0, 0),
        HEADER.pack(2, messages.MAX_ARRAYS + 1, 0),
        HEADER.pack(2, 1, messages.MAX_BYTES + 1),
        HEADER.pack(2**32 - 1, 2**32 - 1, 2**32 - 1),
        frame(b"{not json"),
        frame(b"\xff\xfe"),
        frame(b'["kind", "\xed\xa0\x80"]'),
        frame(b""),
        frame(b'["done", {"$dict": [["number", ' + b"9" * 5000 + b"]]}]"),
        frame("done"),
        frame(["done"]),
        frame([1, {"$dict": []}]),
        frame(["done", [1, 2]]),
        frame(["done", {"$dict": [[1, 2]]}]),
        frame(["done", {"$dict": 5}]),
        frame(["done", {"$dict": [["x"]]}]),
        frame(["done", {"$dict": [["x", {"$nothing": 1}]]}]),
        frame(["done", {"$dict": [["x", {"$float": []}]]}]),
        frame(["done", {"$dict": [["x", {"a": 1, "b": 2}]]}]),
        frame(["done", {"$dict": [["x", {"$array": 0}]]}]),
        frame(["done", {"$dict": [["x", {"$array": -1}]]}], [ONE]),
        frame(["done", {"$dict": [["x", {"$array": True}]]}], [ONE]),
        frame(["done", {"$dict": [["x", {"$scalar": 0}]]}], [ONE]),
        frame(["done", {"$dict": []}], [b"\x93NUMPY\x01\x00"]),
        frame(["done", {"$dict": []}], [ONE[:-1]]),
        frame(["done", {"$dict": []}], [b""]),
    ],
)
def test_a_message_of_another_form_is_refused(pair, data):
    with pytest.raises(ProtocolError):
        received(pair, data)


def test_an_array_is_used_once_so_that_a_short_message_cannot_stand_for_a_huge_value(pair):
    body = {"$dict": [["x", [{"$array": 0}] * 1000]]}
    with pytest.raises(ProtocolError, match="twice"):
        received(pair, frame(["done", body], [ONE]))


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 1180591620717411303424), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-3,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (True, 3), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<U6', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1, " * 60 + "3), }",
        "[" * 500,
        "__import__('os').getcwd()",
    ],
)
def test_an_array_that_is_not_what_it_claims_is_refused(pair, header):
    with pytest.raises(ProtocolError):
        received(pair, frame(["done", {"$dict": []}], [three_numbers(header)]))


def test_an_array_that_is_what_it_claims_is_taken(pair):
    blob = three_numbers("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }")
    _, fields = received(pair, frame(["done", {"$dict": [["x", {"$array": 0}]]}], [blob]))
    np.testing.assert_array_equal(fields["x"], np.zeros(3))


def three_numbers(header):
    """Three zeros as npy under a header that may say otherwise."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(24)


def test_lengths_that_do_not_add_up_are_refused(pair):
    data = HEADER.pack(2, 2, 10) + b"[]" + LENGTH.pack(4) + LENGTH.pack(7) + bytes(11)
    with pytest.raises(ProtocolError, match="add up"):
        received(pair, data)


LISTS = b"[" * 100_000 + b"]" * 100_000
TUPLES = b'["done", ' + b'{"$tuple": [' * 200 + b"]}" * 200 + b"]"


@pytest.mark.parametrize("deep", [LISTS, TUPLES], ids=["lists", "tuples"])
def test_deep_nesting_is_refused(pair, deep):
    with pytest.raises(ProtocolError):
        received(pair, frame(deep))


def test_very_many_values_are_refused_but_not_brackets_in_a_text(pair):
    with pytest.raises(ProtocolError, match="values"):
        received(pair, frame(b'["done", [' + b"[]," * messages.MAX_VALUES + b"[]]]"))
    ours, theirs = socket.socketpair()
    text = '[\\"' * (messages.MAX_VALUES + 1)
    with ours, theirs:
        data = frame(["done", {"$dict": [["text", text]]}])
        assert received((Channel(ours), theirs), data)[1] == {"text": text}


def test_a_text_without_end_takes_no_time_to_refuse(pair):
    data = b'"' + b'\\"' * (messages.MAX_TEXT // 4) + b"[" * (messages.MAX_VALUES + 1)
    with pytest.raises(ProtocolError):
        received(pair, frame(data))


# -- silence, and the end -----------------------------------------------------------------


@pytest.mark.parametrize("part", [0, 5, 14, -1])
def test_a_message_that_does_not_come_whole_is_late(pair, part):
    ours, theirs = pair
    theirs.sendall(frame(["done", {"$dict": []}], [ONE])[:part])
    with pytest.raises(Late):
        ours.receive(soon(0.2))


def test_a_slow_drip_is_late_too(pair):
    ours, theirs = pair
    stop = threading.Event()

    def drip():
        for byte in HEADER.pack(1000, 0, 0) + b" " * 1000:
            if stop.wait(0.02):
                return
            theirs.send(bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    with pytest.raises(Late):
        ours.receive(soon(0.5))
    stop.set()
    thread.join()


def test_a_deadline_that_has_passed_is_late_even_if_a_message_waits(pair):
    ours, theirs = pair
    Channel(theirs).send("done")
    with pytest.raises(Late):
        ours.receive(time.monotonic() - 1)


@pytest.mark.parametrize("part", [0, 5, 14, -1])
def test_the_end_of_the_other_side_is_told(pair, part):
    with pytest.raises(Closed):
        received(pair, frame(["done", {"$dict": []}], [ONE])[:part])


def test_sending_to_a_side_that_does_not_read_is_late_and_to_none_is_closed(pair):
    ours, theirs = pair
    with pytest.raises(Late):
        ours.send("step", soon(0.2), args=[np.zeros(10**6)])
    theirs.close()
    with pytest.raises(Closed):
        ours.send("step", soon())


def test_what_would_be_refused_is_not_sent(pair):
    ours, theirs = pair
    with pytest.raises(ProtocolError, match="too large"):
        ours.send("result", returned=np.zeros(messages.MAX_BYTES // 8 + 1))
    ours.send("done")
    assert Channel(theirs).receive(soon()) == ("done", {})


# -- anything -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:invalid escape sequence", "ignore:Reading `.npy`")
def test_random_bytes_give_an_error_of_the_wire_and_no_other():
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    whole = frame(["result", {"$dict": [["a", {"$array": 0}], ["b", {"$tuple": [1, {"$float": "nan"}]}]]}], [ONE])
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            data = bytearray(HEADER.pack(rng.randrange(60), rng.randrange(3), rng.randrange(60)) + rng.randbytes(150))
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(data)
            theirs.close()
            with contextlib.suppress(ProtocolError, Closed, Late):
                Channel(ours).receive(soon())


@pytest.mark.parametrize(
    ("value", "kind"), [(True, int), (True, float), (True, (int, float)), (None, int), ("1", int), (1, str), ([], dict)]
)
def test_a_field_of_another_type_is_refused(value, kind):
    with pytest.raises(ProtocolError, match="'x'"):
        messages.field({"x": value}, "x", kind)
    with pytest.raises(ProtocolError, match="'y'"):
        messages.field({"x": value}, "y", kind)

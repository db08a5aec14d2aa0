"""Play a student's process that answers a check with well-formed messages, in which anything may stand.

Each message is of the form that the wall's own program writes, so that it is decoded, compared, explained, drawn and
kept.  What must hold is in :mod:`test_hostile_results`; ``python tests/autograder/hostile_results.py SECONDS`` tries
for longer, and prints the seed of every attempt that failed or took long.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from autograder import cases
from autograder.bundle import Bundle
from autograder.grade import _Run
from autograder.spec import Assignment, load
from autograder.wall.box import Box, BoxDied, Limits
from autograder.wall.messages import HEADER, LENGTH, Channel, Closed
from autograder.wall.sandbox import Setup
from coursekit.checks.cases import Exercise
from coursekit.checks.codec import Callback, encode, to_npy
from coursekit.checks.report import Report
from coursekit.checks.run import run_case

SOLUTIONS = Path(__file__).resolve().parents[2] / "solutions"
LIMITS = Limits(cell_seconds=20, call_seconds=10, notebook_seconds=60)

Tree = Any


class Writer:
    """Makes up values, as JSON trees and the arrays that they refer to; `size` is that of the largest."""

    def __init__(self, rng: random.Random, size: int) -> None:
        self.rng, self.size = rng, size
        self.arrays: list[np.ndarray] = []

    def value(self, depth: int = 0) -> Tree:
        kinds: list[Callable[[], Tree]] = [self.number, self.number, self.text, self.array, self.array, self.opaque]
        containers = [self.many, self.few, self.dictionary, self.deep]
        return self.rng.choice(kinds + (containers if depth < 4 else []) + (containers if depth == 0 else []))()

    def number(self) -> Tree:
        rng = self.rng
        whole = [0, 1, -1, 2**31, 2**53 + 1, 2**63, -(2**64), 2**1023, 2**1024 - 1, -(10**4000), rng.randrange(12)]
        real = [0.0, -0.0, 5e-324, 1e-310, 1e308, -1.7976931348623157e308, 0.1, 1.0, rng.gauss(0, 1)]
        odd: list[Tree] = [None, True, False]
        odd += [{"$float": word} for word in ("nan", "inf", "-inf")]
        odd += [{"$float64": {"$float": "nan"}}, {"$float64": 1e308}, {"$complex": [0.0, {"$float": "inf"}]}]
        return rng.choice([rng.choice(whole), rng.choice(real), rng.choice(odd), rng.gauss(0, 1)])

    def text(self) -> Tree:
        words = ["", "x", "W1", "f", "nan", "1.0", "<script>alert(1)</script>", "\u202e\x1b[2J\r\x00", "'\"\\{}%s{0}"]
        long = ["a", "\t", "\U0001f600", "\n", "<", "é"]
        return self.rng.choice(
            [self.rng.choice(words), self.rng.choice(long) * self.rng.choice([1, 199, 300, self.size])]
        )

    def opaque(self) -> Tree:
        return {"$opaque": [str(self.text())[:1000], str(self.text())[:1000]]}

    def array(self) -> Tree:
        rng = self.rng
        dtype = np.dtype(rng.choice("?bBhHiIqQefdgFDG"))
        n = max(1, min(self.size, 2**22) // dtype.itemsize)
        small = [(), (1,), (3,), (2, 3), (3, 2), (1, 3), (5,) * 3, (1,) * 32, (2,) * n.bit_length()]
        empty = [(0,), (0, 10**9), (10**15, 0), (0,) * 32, (1, 0, 2**57)]
        shape = rng.choice([*small, *empty, (n,), (n, 1), (1, n)])
        entries = np.array([0, 1, 2, 5, 100])
        if dtype.kind in "fc":
            entries = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-320, 1e308, -1e308, 65504, 1.0, 0.5])
        few = entries[: rng.randrange(1, len(entries) + 1)]
        size = int(np.prod([int(n) for n in shape], dtype=object))
        with np.errstate(all="ignore"):
            filled = np.resize(few, size).astype(dtype).reshape(shape)
        if filled.ndim > 1 and rng.random() < 0.3:
            filled = np.asfortranarray(filled)
        self.arrays.append(filled)
        tag = "$scalar" if filled.size == 1 and rng.random() < 0.5 else "$array"
        if filled.ndim <= 2 and rng.random() < 0.1:
            tag = "$matrix"
        return {tag: len(self.arrays) - 1}

    def few(self) -> Tree:
        items = [self.value(3) for _ in range(self.rng.randrange(6))]
        return self.rng.choice([items, {"$tuple": items}])

    def many(self) -> Tree:
        """A long list of one thing, or of all kinds."""
        count = self.rng.choice([7, 100, self.size // 10])
        one = self.rng.choice([self.number, self.text, self.opaque])()
        if len(json.dumps(one)) * count > 4 * self.size:
            count = 5
        items = [one] * count
        if self.rng.random() < 0.3:
            items[self.rng.randrange(len(items))] = self.value(3)
        if self.rng.random() < 0.2:
            items = [[item] * 3 for item in items[: count // 3]] or items
        return self.rng.choice([items, {"$tuple": items}])

    def dictionary(self) -> Tree:
        count = self.rng.choice([1, 5, 900, self.size // 20])
        step = self.rng.choice([1, 2**61 - 1, -1, 10**300])
        keys = [self.text()] if count == 1 else [f"k{i}" for i in range(count)]
        if self.rng.random() < 0.4:
            keys = [step * i for i in range(min(count, 1000))]
        return {"$dict": [[key, self.number() if count > 5 else self.value(3)] for key in keys]}

    def deep(self) -> Tree:
        inside = self.number()
        for _ in range(self.rng.choice([3, 15, 30])):
            inside = self.rng.choice([lambda x: [x], lambda x: {"$tuple": [x]}, lambda x: {"$dict": [["W1", x]]}])(
                inside
            )
        return inside

    def spoilt(self, value: Any) -> Tree:
        """What is right but for one thing somewhere in it."""
        tree, arrays = encode(value)
        if self.arrays:
            return self.value()
        self.arrays += [self._bent(array) if self.rng.random() < 0.5 else array for array in arrays]
        return self._replaced(tree) if self.rng.random() < 0.7 else tree

    def _replaced(self, tree: Tree) -> Tree:
        if isinstance(tree, list) and tree and self.rng.random() < 0.8:
            place = self.rng.randrange(len(tree))
            return [self._replaced(item) if i == place else item for i, item in enumerate(tree)]
        if isinstance(tree, dict) and self.rng.random() < 0.9:
            ((tag, body),) = tree.items()
            if tag == "$tuple" and body:
                return {tag: self._replaced(body)}
            if tag == "$dict" and body:
                place = self.rng.randrange(len(body))
                return {tag: [[k, self._replaced(v)] if i == place else [k, v] for i, (k, v) in enumerate(body)]}
        return self.value(1)

    def _bent(self, array: np.ndarray) -> np.ndarray:
        rng = self.rng
        with np.errstate(all="ignore"):
            bent = [-array, array.T, array[None], 2 * array, array.astype(complex) * 1j, array.astype(np.float16)]
            bent += [np.full_like(array, np.nan, float), array.astype(float) * 1e308, array.ravel(), array[..., None]]
            bent += [np.zeros_like(array), array.astype(bool), array.astype(np.longdouble) + np.inf]
        return np.ascontiguousarray(rng.choice(bent)) if array.dtype.kind != "b" else array


def message(kind: str, fields: dict[str, Tree], arrays: list[np.ndarray]) -> bytes:
    """Return the bytes of a message whose fields are trees already."""
    text = json.dumps([kind, {"$dict": [[name, tree] for name, tree in fields.items()]}]).encode()
    blobs = [to_npy(array) for array in arrays]
    sizes = b"".join(LENGTH.pack(len(blob)) for blob in blobs)
    return HEADER.pack(len(text), len(blobs), sum(map(len, blobs))) + text + sizes + b"".join(blobs)


class Student:
    """Answers the steps of a check with what `rng` makes of the reference's results."""

    def __init__(self, rng: random.Random, size: int, exercise: Exercise, reference: Any) -> None:
        self.rng, self.size = rng, size
        self.right = {
            (case.title, number): outcome
            for case in exercise.cases
            for number, outcome in enumerate(run_case(case, reference))
        }
        self.honest = rng.choice([0.0, 0.5, 0.9])  # the share of right answers

    def answer(self, channel: Channel) -> None:
        """Answer whatever is asked, until the other side is gone."""
        steps = iter([])
        with contextlib.suppress(Closed, OSError):
            while True:
                kind, fields = channel.receive()
                if kind == "case":
                    steps = self.outcomes()
                elif kind == "step":
                    for given in fields["step"]["args"]:
                        if isinstance(given, Callback):
                            self.call(channel, len(given.parameters))
                    channel.sock.sendall(self.message(next(steps, None)))

    def outcomes(self) -> Any:
        titles = {title for title, _ in self.right}
        title = self.rng.choice(sorted(titles))
        return (outcome for (name, _), outcome in self.right.items() if name == title)

    def call(self, channel: Channel, parameters: int) -> None:
        """Call the function that is among the arguments."""
        for _ in range(self.rng.choice([0, 1, 3])):
            writer = Writer(self.rng, self.size)
            arguments = [writer.value(2) for _ in range(parameters)]
            channel.sock.sendall(
                message("call", {"name": "", "args": arguments, "kwargs": {"$dict": []}}, writer.arrays)
            )
            channel.receive()

    def message(self, right: Any) -> bytes:
        rng, writer = self.rng, Writer(self.rng, self.size)
        fields: dict[str, Tree] = {"failure": None, "arrays": {"$dict": []}, "notes": [], "lines": None}
        if right is not None and rng.random() < self.honest:
            tree, arrays = encode(right.returned)
            return message("result", fields | {"returned": tree}, arrays)
        fields["returned"] = (
            writer.spoilt(right.returned) if right is not None and rng.random() < 0.5 else writer.value()
        )
        if rng.random() < 0.2:
            where = [str(writer.text()) for _ in range(9)]
            fields["failure"] = [str(writer.text()), str(writer.text()), where]
        if rng.random() < 0.4:
            fields["arrays"] = {"$dict": [[number, writer.value(2)] for number in range(4)]}
        if rng.random() < 0.3:
            fields["notes"] = [writer.text(), writer.text(), 5]
        if rng.random() < 0.3:
            line = {"$tuple": [str(writer.text())[:500], str(writer.text())[:500], rng.choice([0, 1, 10**300, -5])]}
            fields["lines"] = [line] * rng.choice([1, 3, 3000])
        return message("result", fields, writer.arrays)


@functools.cache
def assignment(slug: str) -> Assignment:
    bundle = Bundle.read(SOLUTIONS / slug)
    assert bundle is not None
    return load(bundle)


SLUGS = sorted(path.parent.name for path in SOLUTIONS.glob("*/checks.py"))


@functools.cache
def drawn(slug: str, name: str) -> Exercise:
    return cases.fresh(assignment(slug), name, b"s" * 32, "student")


def attempt(seed: int, size: int) -> Report | None:
    """Check an exercise of the course with a hostile student; None if the process was ended."""
    rng = random.Random(seed)
    slug = rng.choice(SLUGS)
    name = rng.choice(sorted(assignment(slug).described))
    exercise = drawn(slug, name)
    student = Student(rng, size, exercise, assignment(slug).described[name].reference)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        box = Box(LIMITS, Setup())
        box.channel, box.ends_at = Channel(ours), time.monotonic() + 60
        thread = threading.Thread(target=student.answer, args=(Channel(theirs),))
        thread.start()
        try:
            run = _Run([], assignment(slug), {name: exercise}, LIMITS, Setup("none"), {}, None)
            return run._examined(box, exercise)
        except BoxDied:
            return None
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            thread.join()


class Caught(logging.Handler):
    """Collects what could not be judged."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.problems.append(self.format(record))


def main(seconds: float, first: int, size: int) -> None:
    caught = Caught()
    logging.getLogger("autograder.grade").addHandler(caught)
    end, count, ended, slowest = time.monotonic() + seconds, 0, 0, 0.0
    while time.monotonic() < end:
        seed, started = first + count, time.thread_time()
        report = attempt(seed, size)
        took = time.thread_time() - started
        count, ended = count + 1, ended + (report is None)
        if took > max(slowest, 1.0):
            print(f"seed {seed} took {took:.2f} s", flush=True)
        slowest = max(slowest, took)
        for problem in caught.problems:
            print(f"seed {seed}: {problem}", flush=True)
        caught.problems.clear()
    print(f"{count} attempts, {ended} ended by the grader, the slowest took {slowest:.2f} s")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

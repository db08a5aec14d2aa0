"""Answer for right functions and classes, in place of a student's own wrong ones, on the trusted side.

Where an exercise uses an earlier one that is wrong, its cases are asked once more with the references of that one in
the notebook's names.  A reference never goes behind the wall: what stands there (:mod:`.remote`) sends arguments and
gets results.

A function takes and gives numbers and arrays.  A function of objects (:class:`~autograder.answers.OfObjects`) is
given the graph that they make.  A class stays here with its objects; behind the wall are their numbers, and what is
done with them comes as a list of operations, in JSON::

    [1, "Value", [2.0], {}]            make object 1
    [2, ".__mul__", [[1], 3.0], {}]    object 2 is what the method of object 1 gives for 3
    [3, "=grad", [[2], 0.0], {}]       set an attribute of object 2
    [4, "?value", [[2]], {}]           read one
"""

from __future__ import annotations

import inspect
import json
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any

import numpy as np

from coursekit.checks.codec import PLAIN_KINDS, Ref

from ..answers import OfObjects
from .guard import MAX_CALLS, Answers, ended_at
from .messages import require_few_values

MAX_REFERRED = 2**12  # entries of all arguments of a function, whose result may be the product of them
MAX_NODES = 50_000  # of a graph
MAX_OBJECTS = 50_000  # that exist at once
OBJECTS = "."  # the name under which operations on objects are asked for: no function has it

ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")
OPERATORS = {f"__{side}{name}__" for name in ARITHMETIC for side in ("", "r")} | {
    f"__{name}__" for name in ("neg", "pos", "abs", "lt", "le", "gt", "ge", "eq", "ne", "float", "len", "call")
}


class Oracle:
    """The references of some exercises, by the names that they have in the notebook."""

    def __init__(self, references: Mapping[str, Any]) -> None:
        self.references = dict(references)
        self.classes = {name: one for name, one in self.references.items() if isinstance(one, type)}
        self.kinds = tuple(self.classes.values())
        self.methods = {kind: _methods(kind) for kind in self.kinds}
        self.begin_case()

    def begin_case(self) -> None:
        """Forget all objects."""
        self.objects: dict[int, Any] = {}
        self.numbers: dict[int, int] = {}  # of the objects, by id
        self.alive: dict[int, weakref.ref[Any]] = {}
        self.fewest = 0  # the number, below 0, of the last object that was not asked for under a number
        self.calls = 0

    def description(self) -> dict[str, list[Any]]:
        """Say what stands behind the wall for each name."""
        return {name: self._described(name) for name in self.references}

    def _described(self, name: str) -> list[Any]:
        reference = self.references[name]
        if name in self.classes:
            return ["class", *sorted(self.methods[reference])]
        return ["of objects", reference.attribute] if isinstance(reference, OfObjects) else ["function"]

    def __contains__(self, name: str) -> bool:
        return name == OBJECTS or (name in self.references and name not in self.classes)

    def answer(self, name: str, args: list[Any], kwargs: dict[Any, Any], deadline: float) -> Any:
        """Answer one message, which holds plain data.

        Raises
        ------
        Exception
            Whatever a reference raises for these arguments; the message is for the student.
        """
        with np.errstate(all="ignore"), ended_at(deadline):
            if name == OBJECTS:
                operations, dropped = args
                return self._operated(operations, dropped, deadline)
            self.calls += 1
            if self.calls > MAX_CALLS:
                raise RuntimeError(f"the function was called more than {MAX_CALLS} times")
            reference = self.references[name]
            args, kwargs = Answers().plain(args), Answers().plain(kwargs)
            if isinstance(reference, OfObjects):
                return _of_graph(reference.function, reference.attribute, *args)
            # What is returned may be larger than what came in, as a Jacobian is.
            if sum(np.size(value) for value in _leaves([*args, *kwargs.values()])) > MAX_REFERRED:
                raise ValueError("the arguments are too large")
            return reference(*args, **kwargs)

    # -- objects ----------------------------------------------------------------------------

    def _operated(self, text: str, dropped: list[Any], deadline: float) -> Any:
        """Do what the operations in `text` say, forget the objects that are `dropped`, and return the last result."""
        value, number = None, 0
        require_few_values(text.encode("utf-8", "replace"))
        for number, what, args, kwargs in json.loads(text):
            _require_time(deadline)
            given = [self._argument(one) for one in args]
            named = {key: self._argument(one) for key, one in kwargs.items()} if kwargs else {}
            value = self._done(str(what), given, named)
            if isinstance(value, self.kinds):
                self._number(value, int(number))
        for one in dropped:  # after the operations, which may use them, and before a result that may be one of them
            _require_time(deadline)
            forgotten = self.objects.pop(one, None)
            if self.numbers.get(id(forgotten)) == one:
                del self.numbers[id(forgotten)]
        return self._shown(value)

    def _argument(self, sent: Any) -> Any:
        """Return the object or the number that was sent; a whole number as a float, for it could grow without end."""
        if isinstance(sent, list) and len(sent) == 1 and type(sent[0]) is int and sent[0] in self.objects:
            return self.objects[sent[0]]
        if type(sent) is float:
            return sent
        raise TypeError("this takes numbers and objects of the notebook")

    def _done(self, what: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if what in self.classes:
            return self.classes[what](*args, **kwargs)
        kind, name = what[:1], what[1:]
        target, *others = args
        if not isinstance(target, self.kinds):
            raise TypeError("this is no object of the notebook")
        if kind == ".":
            if name not in self.methods.get(type(target), ()):
                raise AttributeError(f"there is no method {name!r}")
            return getattr(target, name)(*others, **kwargs)
        if name.startswith("_") or name not in vars(target):
            raise AttributeError(f"{type(target).__name__!r} object has no attribute {name!r}")
        if kind == "=":
            (value,) = others
            setattr(target, name, float(value))
            return None
        return vars(target)[name]

    def _shown(self, value: Any) -> Any:
        """Return `value` as data in which objects are numbers."""
        for name, kind in self.classes.items():
            if isinstance(value, kind):
                return Ref(name, self._number(value))
        if isinstance(value, list | tuple):
            return type(value)(self._shown(one) for one in value)
        if value is NotImplemented:
            raise TypeError("unsupported operand")
        return Answers().plain(value)

    def _number(self, value: Any, number: int | None = None) -> int:
        """Return the number of an object, which is `number` if it is new."""
        if id(value) not in self.numbers:
            self._count(value)
            self.fewest -= number is None
            self.numbers[id(value)] = self.fewest if number is None else number
        known = self.numbers[id(value)]
        self.objects[known] = value
        if number is not None:
            self.objects[number] = value  # what is asked for as that one
        if len(self.objects) > 2 * MAX_OBJECTS:
            raise MemoryError(f"there are more than {2 * MAX_OBJECTS} names of objects")
        return known

    def _count(self, value: Any) -> None:
        """Count the objects that exist, also those that only others know."""
        alive, key = self.alive, id(value)
        alive[key] = weakref.ref(value, lambda _: alive.pop(key, None))
        if len(alive) > MAX_OBJECTS:
            raise MemoryError(f"there are more than {MAX_OBJECTS} objects")


def _require_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError("the time of this call is over")


def _methods(kind: type) -> frozenset[str]:
    """Return the public methods and the operators of a class."""
    names = [name for name in dir(kind) if not name.startswith("_") or name in OPERATORS]
    return frozenset(name for name in names if isinstance(inspect.getattr_static(kind, name), FunctionType))


# -- functions ------------------------------------------------------------------------------


def _leaves(value: Any) -> Iterator[np.ndarray]:
    """Yield the numbers and arrays in `value`, which may be a cache: a tuple, a list or a dictionary of them."""
    if isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    elif np.asarray(value).dtype.kind in PLAIN_KINDS:
        yield np.asarray(value)
    else:
        raise TypeError(f"the function takes numbers and arrays of numbers, not {type(value).__name__}")


class _Node:
    """An object of the student's, as far as a reference sees it."""

    def __init__(self, number: int) -> None:
        self.number = number


def _of_graph(function: Callable[..., Any], attribute: str, counts: Any, followers: Any) -> Any:
    """Call `function` for node 0 of a graph; return the numbers of the nodes that it returns.

    Node i leads to ``counts[i]`` others: `followers` has their numbers, those of all nodes one after the other.
    """
    counts, followers = np.asarray(counts), np.asarray(followers)
    nodes = [_Node(number) for number in range(min(counts.size, MAX_NODES + 1))]
    if len(nodes) > MAX_NODES or followers.size > 4 * MAX_NODES:
        raise ValueError("there are too many nodes")
    if not (counts.ndim == followers.ndim == 1 and counts.dtype.kind == followers.dtype.kind == "i"):
        raise TypeError("this is no graph")
    if (counts < 0).any() or counts.sum() != len(followers) or ((followers < 0) | (followers >= len(nodes))).any():
        raise ValueError("this is no graph")
    rows = np.split(followers, np.cumsum(counts)[:-1])
    for node, row in zip(nodes, rows, strict=True):
        setattr(node, attribute, tuple(nodes[number] for number in row))
    found = function(nodes[0])
    return np.array([node.number for node in found])

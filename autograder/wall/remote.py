"""Stand in, behind the wall, for functions and classes that are answered outside.

Here are names alone: arguments go out, results come back (:mod:`.oracle`).  Most of what is done with an object gives
another one, which nobody looks at by itself; so operations are noted down, and sent when a number is asked for.
"""

from __future__ import annotations

import functools
import itertools
import json
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from coursekit.checks.codec import Ref

OBJECTS = "."
NUMBERS = (int, float, np.integer, np.floating)
MAX_NOTED = 2000  # operations in one message

Ask = Callable[..., Any]  # the name of what is asked, then its arguments


def stand_in(ask: Ask, objects: Objects, name: str, kind: str, *details: str) -> Any:
    """Make what takes the place of the notebook's `name`."""
    if kind == "class":
        return objects.make_class(name, details)
    return functools.partial(ask, name) if kind == "function" else _of_objects(ask, name, *details)


def _of_objects(ask: Ask, name: str, attribute: str) -> Callable[[Any], Any]:
    """Return a function of an object: outside is known which objects its `attribute` leads to, and no more."""

    def stand_in(output: Any) -> list[Any]:
        nodes, places = [output], {id(output): 0}
        counts, followers = [], []
        for node in nodes:  # which grow meanwhile
            led_to = tuple(getattr(node, attribute))
            for one in led_to:
                if id(one) not in places:
                    places[id(one)] = len(nodes)
                    nodes.append(one)
            counts.append(len(led_to))
            followers += [places[id(one)] for one in led_to]
        found = ask(name, np.array(counts, int), np.array(followers, int))
        return [nodes[number] for number in found]

    return stand_in


class Objects:
    """Knows the objects outside by their numbers."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.numbers = itertools.count(1)
        self.noted: list[list[Any]] = []
        self.dropped: list[int] = []
        self.classes: dict[str, type[Handle]] = {}
        self.handles: weakref.WeakValueDictionary[int, Handle] = weakref.WeakValueDictionary()
        self.gives: dict[str, str | None] = {}  # by operation, the class of what it gives; None where it gives nothing

    def make_class(self, name: str, methods: tuple[str, ...]) -> type[Handle]:
        """Make a class whose objects are outside."""

        objects = self

        def made(self: Handle, *args: Any, **kwargs: Any) -> None:
            object.__setattr__(self, "_number", next(objects.numbers))
            objects.handles[self._number] = self
            objects.note(self._number, name, args, kwargs)

        def method(name: str) -> Callable[..., Any]:
            return lambda self, *args, **kwargs: objects.operate(name, (self, *args), kwargs)

        body = {one: method("." + one) for one in methods}
        self.classes[name] = type(
            name, (Handle,), {"_objects": self, "__init__": made, "__hash__": object.__hash__, **body}
        )
        return self.classes[name]

    def operate(self, what: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Note an operation down; send it too, unless it is known what it gives."""
        number = next(self.numbers)
        self.note(number, what, args, kwargs)
        if what in self.gives:
            kind = self.gives[what]
            return None if kind is None else self._handle(kind, number)
        result = self.send()
        if what[0] != "?" and (result is None or isinstance(result, Ref)):
            self.gives[what] = None if result is None else result.name
        return self._read(result)

    def note(self, number: int, what: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        named = {key: _written(one) for key, one in kwargs.items()}
        self.noted.append([number, what, [_written(one) for one in args], named])
        if len(self.noted) > MAX_NOTED:
            self.send()

    def send(self) -> Any:
        noted, self.noted = self.noted, []
        dropped, self.dropped = self.dropped, []
        return self.ask(OBJECTS, json.dumps(noted), dropped)

    def _read(self, value: Any) -> Any:
        if isinstance(value, Ref):
            return self._handle(value.name, value.item)
        return type(value)(map(self._read, value)) if isinstance(value, list | tuple) else value

    def _handle(self, name: str, number: Any) -> Handle:
        """Return the one that stands for an object here, so that `is` tells objects apart."""
        found = self.handles.get(number)
        if found is None:
            found = self.handles[number] = object.__new__(self.classes[name])
            object.__setattr__(found, "_number", number)
        return found


class Handle:
    """An object outside; attributes that it does not have there are kept here."""

    _objects: Objects
    _number: int

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self._objects.operate("?" + name, (self,), {})

    def __setattr__(self, name: str, value: Any) -> None:
        try:
            if name.startswith("_"):
                raise AttributeError(name)
            if not isinstance(value, NUMBERS):
                self.__getattr__(name)  # is it an attribute there?
            self._objects.operate("=" + name, (self, value), {})
        except AttributeError:
            object.__setattr__(self, name, value)

    def __del__(self) -> None:
        self._objects.dropped.append(self._number)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("this object cannot be copied")


def _written(value: Any) -> Any:
    if isinstance(value, Handle):
        return [value._number]
    if isinstance(value, NUMBERS):
        return float(value)
    raise TypeError(f"this takes numbers and objects of its own kind, not {type(value).__name__}")

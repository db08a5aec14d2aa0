"""A subject: a function, its gradient by hand, and the mistakes that students make in that gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from autograder.spec import Mistake, Results

SIZES = ({"N": 2, "D": 3, "C": 4, "H": 5}, {"N": 11, "D": 6, "C": 3, "H": 5}, {"N": 20, "D": 12, "C": 7, "H": 10})
"""Examples, features, classes and hidden units of a tiny, a small and a usual case: all different."""


@dataclass(frozen=True)
class Subject:
    """A function, its gradient by hand, and the known mistakes in it.

    Attributes
    ----------
    name : str
    forward : callable
        Plain NumPy code on the arguments by position: a loss, or a layer that returns an array.
    arguments : callable
        ``arguments(rng, size)``: the arguments by name, in the order of the signature; size 0, 1 or 2.
    parameters : tuple of str
        The arguments that one differentiates by.
    gradient : callable
        ``gradient(**args)``: ``{"dW": ...}`` for each parameter, by hand; a layer's `args` have `dout` too, last.
    mistakes : tuple of Mistake
        Of the gradient alone. The code is what a checker should say, as far as the slash; "" may stay unnamed.
    large : callable, optional
        ``large(rng)``: arguments with scores of about ±1000, for the mistakes of the code ``unstable``.
    """

    name: str
    forward: Callable[..., Any]
    arguments: Callable[[np.random.Generator, int], dict[str, Any]]
    parameters: tuple[str, ...]
    gradient: Callable[..., dict[str, Any]]
    mistakes: tuple[Mistake, ...]
    large: Callable[[np.random.Generator], dict[str, Any]] | None = None

    def draw(self, rng: np.random.Generator, size: int | None) -> Results:
        """Draw arguments of `size`, or the large ones for None; those of a layer have a random `dout`."""
        if size is not None:
            args = self.arguments(rng, size)
        elif self.large is not None:
            args = self.large(rng)
        else:
            raise ValueError(f"{self.name} has no large arguments")
        shape = np.shape(self.forward(*args.values()))
        return {**args, "dout": rng.normal(size=shape)} if shape else args


def of_gradient(mistakes: Iterable[Mistake], codes: Mapping[str, str]) -> tuple[Mistake, ...]:
    """Pick the `mistakes` that `codes` lists, under their new codes, and keep what they make of the gradient alone."""
    known = {mistake.code: mistake for mistake in mistakes}

    def one(mistake: Mistake, code: str) -> Mistake:
        of_all = mistake.gives
        assert of_all is not None

        def gives(right: Results, args: Results) -> Results:
            return {name: value for name, value in of_all(right, args).items() if name != "loss"}

        return Mistake(code, mistake.message, gives)

    return tuple(one(known[old], new) for old, new in codes.items())

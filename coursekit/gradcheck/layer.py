"""A layer as a problem for the checker: forward is the function, backward its gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coursekit._typing import Array
from coursekit.reporting import Finding

from .numeric import moveable, number_or_array
from .problem import Problem


class Layer:
    """A layer's forward and backward, as functions of a dict of the inputs that need a gradient.

    Attributes
    ----------
    point : dict of arrays
        The inputs that need a gradient, by their names.
    dout : array
        The upstream gradient.
    changes_dout : bool
        Whether backward has changed its upstream gradient in place.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        inputs: Sequence[Any],
        names: Sequence[str],
        upstream: npt.ArrayLike | None,
        rng: np.random.Generator,
    ) -> None:
        self.forward, self.backward = forward, backward
        self.inputs, self.names = inputs, names
        self.point = {name: moveable(x) for name, x in zip(names, inputs, strict=True) if is_float(x)}
        self.changes_dout = False
        with np.errstate(all="ignore"):
            out = number_or_array(self.output({key: x.copy() for key, x in self.point.items()}))
        dout = rng.standard_normal(out.shape) if upstream is None else np.array(upstream, dtype=out.dtype)
        self.dout: Array = dout.astype(out.dtype) if out.dtype.kind == "f" else dout

    def output(self, values: Mapping[str, Any]) -> Any:
        return self._forward(values)[0]

    def gradients(self, values: Mapping[str, Any], scale: float = 1.0) -> dict[str, Any]:
        """Return the gradients of backward for `scale` times the upstream gradient, by the names of the inputs."""
        dout = self.dout * self.dout.dtype.type(scale)
        result = self.backward(dout, self._forward(values)[1])
        if not np.array_equal(dout, self.dout * self.dout.dtype.type(scale)):
            self.changes_dout = True
        several = isinstance(result, tuple) or (isinstance(result, list) and len(self.point) > 1)
        results = list(result) if several else [result]
        if len(results) != len(self.point):
            raise TypeError(
                f"backward returned {len(results)} gradient{'s' * (len(results) != 1)}; there are {len(self.point)} "
                f"inputs that need one: {', '.join(self.point)}"
            )
        return dict(zip(self.point, results, strict=True))

    def problem(self, rng: np.random.Generator) -> Problem:
        """Return the layer as a problem for the checker."""
        return Problem(
            function=self.output,
            point=self.point,
            gradient=self.gradients,
            call=self.gradients,
            single=None,
            raw=self.forward,
            args=(),
            upstream=self.dout,
            reg=None,
            others={},
            rng=rng,
        )

    def not_linear(self) -> list[Finding]:
        """Return the finding on a backward that is not linear in the upstream gradient.

        Zero must give zero, and twice the upstream gradient twice the result.
        """
        try:
            with np.errstate(all="ignore"):
                once, twice, none = (self.gradients(self.point, scale) for scale in (1.0, 2.0, 0.0))
            for key in self.point:
                a, b, zero = (np.asarray(result[key], dtype=float) for result in (once, twice, none))
                if finding := _not_proportional(key, a, b, zero):
                    return [finding]
        except (TypeError, ValueError):
            return []  # the comparison reports it
        return []

    def _forward(self, values: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return (out, cache); if forward returns no cache, the input or a tuple of the inputs."""
        inputs = [values.get(name, x) for name, x in zip(self.names, self.inputs, strict=True)]
        result = self.forward(*inputs)
        if isinstance(result, tuple) and len(result) == 2:
            return result
        return result, inputs[0] if len(inputs) == 1 else tuple(inputs)


def is_float(x: Any) -> bool:
    """Return whether x is an input that needs a gradient."""
    return np.asarray(x).dtype.kind == "f"


def _not_proportional(key: str, once: Array, twice: Array, none: Array) -> Finding | None:
    if not np.isfinite(once).all() or not once.any():
        return None
    if once.shape == twice.shape and np.allclose(once, twice, rtol=1e-6):
        text = "The upstream gradient is ignored: the result is the same whatever comes from above."
        return Finding("upstream-ignored", text, of=(key,))
    if np.any(none) or not np.allclose(twice, 2 * once, rtol=1e-4, atol=1e-6 * np.max(np.abs(once))):
        text = "The gradient is not proportional to the upstream gradient: it must be multiplied by it, once."
        return Finding("not-linear", text, of=(key,))
    return None

"""Layers, and networks made of them.

>>> import numpy as np
>>> from coursekit.losses import softmax_cross_entropy
>>> from coursekit.nn import MLP
>>> model = MLP([2, 16, 3], rng=0)
>>> loss = softmax_cross_entropy(model(np.ones((5, 2))), np.zeros(5, int))
>>> loss.backward()
>>> {name: W.grad.shape for name, W in model.named_parameters().items()}
{'0.W': (2, 16), '0.b': (16,), '2.W': (16, 3), '2.b': (3,)}

A layer is a function of its input.  Inputs have one example per row and are arrays, or
Tensors, which then get a gradient too.  For a layer of your own, derive
from `Module`, keep Tensors and other modules in attributes, and define ``forward``.

Source: the papers named in each docstring, and otherwise the lectures.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from coursekit._typing import Array
from coursekit.autograd import Tensor
from coursekit.autograd.recording import primitive

__all__ = [
    "ELU", "MLP", "LeakyReLU", "Linear", "Maxout", "Module", "ReLU", "Sequential", "Sigmoid", "Tanh",
    "glorot", "he", "kaiming", "normal", "xavier", "zeros",
]  # fmt: skip

Init: TypeAlias = Callable[[np.random.Generator, tuple[int, ...], npt.DTypeLike], Array]
Seed: TypeAlias = np.random.Generator | int | None


# --- Initial weights -------------------------------------------------------------------------------


def normal(std: float = 0.01) -> Init:
    """Return an initialiser that draws normal weights with standard deviation `std`.

    >>> normal(0.1)(np.random.default_rng(0), (2, 3), np.float32).dtype
    dtype('float32')
    """

    def init(rng: np.random.Generator, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> Array:
        # Drawn in float64 whatever the dtype: one seed means the same weights in both.
        return (std * rng.standard_normal(shape)).astype(dtype)

    return init


def xavier(rng: np.random.Generator, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> Array:
    """Draw weights of variance ``2 / (inputs + outputs)``: for tanh, sigmoid or none (Glorot and Bengio 2010).

    >>> round(float(xavier(np.random.default_rng(0), (300, 100)).std() ** 2), 4)
    0.005
    """
    return normal(math.sqrt(2 / (shape[-2] + shape[-1])))(rng, shape, dtype)


def he(rng: np.random.Generator, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> Array:
    """Draw weights of variance ``2 / inputs``: for ReLU, which sets half of its inputs to 0 (He et al. 2015).

    >>> round(float(he(np.random.default_rng(0), (400, 100)).std() ** 2), 4)
    0.005
    """
    return normal(math.sqrt(2 / shape[-2]))(rng, shape, dtype)


def zeros(rng: np.random.Generator, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> Array:
    """Return weights of 0.  Fine for one layer; with two, all hidden units stay equal.

    >>> zeros(np.random.default_rng(0), (1, 2))
    array([[0., 0.]])
    """
    return np.zeros(shape, dtype)


glorot, kaiming = xavier, he


# --- The base of all layers ------------------------------------------------------------------------


def _inside(prefix: str, thing: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, list | tuple | dict):
        for key, part in thing.items() if isinstance(thing, dict) else enumerate(thing):
            yield from _inside(f"{prefix}.{key}" if prefix else str(key), part)
    else:
        yield prefix, thing


class Module:
    """A function with parameters: the base of all layers and networks.

    Its parameters are the Tensors that require a gradient among its attributes, and the
    parameters of the modules among them (alone, or in a list or tuple).  A parameter
    that is reached in two ways counts once, under its first name.

    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.factor = Tensor(2.0, requires_grad=True)
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> double = Scale()
    >>> double(np.array([1.0, 2.0])).value
    array([2., 4.])
    >>> list(double.named_parameters())
    ['factor']
    """

    def forward(self, x: Any) -> Any:
        """Compute the output for `x`.  Every module defines its own."""
        raise NotImplementedError(f"{type(self).__name__} needs a method forward(self, x)")

    def __call__(self, x: Any) -> Any:
        return self.forward(x)

    def __repr__(self) -> str:
        numbers = (f"{thing:g}" for thing in vars(self).values() if isinstance(thing, float))
        return f"{type(self).__name__}({', '.join(numbers)})"

    def parts(self) -> Iterator[tuple[str, Any]]:
        """Yield what may hold parameters, with its name: the attributes, and the items of lists and dicts."""
        return _inside("", vars(self))

    def named_parameters(self) -> dict[str, Tensor]:
        """Return all parameters by name, such as "0.W" for the W of the first layer of a `Sequential`."""
        found: dict[int, tuple[str, Tensor]] = {}
        for name, part in self.parts():
            if isinstance(part, Module):
                for inner, tensor in part.named_parameters().items():
                    found.setdefault(id(tensor), (f"{name}.{inner}", tensor))
            elif isinstance(part, Tensor) and part.requires_grad:
                found.setdefault(id(part), (name, part))
        return dict(found.values())

    def parameters(self) -> list[Tensor]:
        """Return all parameters, for an optimizer."""
        return list(self.named_parameters().values())

    def weights(self) -> list[Tensor]:
        """Return the parameters that are matrices, for a regulariser.  Vectors are biases."""
        return [tensor for tensor in self.parameters() if tensor.ndim >= 2]

    def zero_grad(self) -> None:
        """Clear all gradients, because `backward` adds to them."""
        for tensor in self.parameters():
            tensor.grad = None

    def state(self) -> dict[str, Array]:
        """Return copies of all parameters as arrays, by name (``np.savez(file, **model.state())``)."""
        return {name: np.array(tensor.value) for name, tensor in self.named_parameters().items()}

    def load_state(self, state: Mapping[str, npt.ArrayLike]) -> None:
        """Copy the parameters in `state` into this model, in its dtypes.

        Parameters that do not fit raise a ValueError and change nothing.
        """
        own = self.named_parameters()
        missing, unknown = own.keys() - state.keys(), state.keys() - own.keys()
        if missing or unknown:
            raise ValueError(
                f"load_state: this model has the parameters {sorted(own)}; "
                f"missing are {sorted(missing)}, and it knows no {sorted(unknown)}."
            )
        for name, tensor in own.items():
            if np.shape(state[name]) != tensor.shape:
                raise ValueError(
                    f"load_state: {name} has shape {np.shape(state[name])}, but {tensor.shape} in this model. "
                    "Build the model with the sizes of the one that was saved."
                )
        for name, tensor in own.items():
            tensor.value = np.array(state[name], dtype=tensor.dtype)


# --- Layers with parameters ------------------------------------------------------------------------


class Linear(Module):
    """``X @ W + b``: X of shape (N, D), W (D, M), b (M,), the result (N, M).

    `in_features` and `out_features` are D and M; an X without D columns raises a ValueError.  ``init(rng, shape,
    dtype)`` draws W: `he`, `xavier`, ``normal(std)`` or `zeros`.  b starts at 0; ``bias=False`` leaves it out.  `rng`
    is a generator, a seed, or None for new weights each time; layers with the same seed are equal.  An array X is
    converted to the `dtype` of W; a Tensor is used as it is.

    >>> Linear(3, 2, rng=0)(np.ones((4, 3))).shape
    (4, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        init: Init = he,
        rng: Seed = None,
        dtype: npt.DTypeLike = np.float64,
    ) -> None:
        for name, size in ("in_features", in_features), ("out_features", out_features):
            if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
                raise ValueError(f"Linear: {name} is a whole number, 1 or more, not {size!r}.")
        shape = int(in_features), int(out_features)
        self.W = Tensor(init(np.random.default_rng(rng), shape, dtype), requires_grad=True)
        if self.W.shape != shape:
            raise ValueError(f"Linear: init made weights of shape {self.W.shape}, not {shape}.")
        self.b = Tensor(np.zeros(shape[1], dtype), requires_grad=True) if bias else None

    def forward(self, x: Any) -> Any:
        x = x if isinstance(x, Tensor) else np.asarray(x, dtype=self.W.dtype)
        D = self.W.shape[0]
        if x.ndim == 0 or x.shape[-1] != D:
            raise ValueError(f"{self!r}: the input has shape {x.shape}, but should have {D} columns, one a feature.")
        return x @ self.W if self.b is None else x @ self.W + self.b

    def __repr__(self) -> str:
        return f"Linear({self.W.shape[0]}, {self.W.shape[1]}{'' if self.b is not None else ', bias=False'})"


class Maxout(Module):
    """The largest of several linear layers: ``max(X @ W1 + b1, X @ W2 + b2, …)`` (Goodfellow et al., ICML 2013).

    `pieces` is their number; the other parameters are those of `Linear`.  In a tie the first layer gets the gradient.

    >>> Maxout(3, 2, rng=0)(np.ones((4, 3))).shape
    (4, 2)
    """

    def __init__(self, in_features: int, out_features: int, pieces: int = 2, rng: Seed = None, **options: Any) -> None:
        if pieces < 1:
            raise ValueError(f"Maxout: pieces is the number of linear layers, 1 or more, not {pieces!r}.")
        rng = np.random.default_rng(rng)
        self.pieces = [Linear(in_features, out_features, rng=rng, **options) for _ in range(pieces)]

    def forward(self, x: Any) -> Any:
        return functools.reduce(np.maximum, [piece(x) for piece in self.pieces])

    def __repr__(self) -> str:
        inputs, outputs = self.pieces[0].W.shape
        return f"Maxout({inputs}, {outputs}, pieces={len(self.pieces)})"


# --- Activations -----------------------------------------------------------------------------------


class ReLU(Module):
    """``max(0, x)``, with derivative 0 at 0.

    >>> ReLU()(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    def forward(self, x: Any) -> Any:
        return np.maximum(0, x)


class LeakyReLU(Module):
    """x where it is positive, ``slope * x`` elsewhere.

    >>> LeakyReLU(0.1)(np.array([-1.0, 2.0]))
    array([-0.1,  2. ])
    """

    def __init__(self, slope: float = 0.1) -> None:
        self.slope = float(slope)

    def forward(self, x: Any) -> Any:
        return np.maximum(0, x) + self.slope * np.minimum(x, 0)


class ELU(Module):
    """x where it is positive, ``alpha * (exp(x) − 1)`` elsewhere (Clevert et al., ICLR 2016).

    >>> ELU()(np.array([-1000.0, 0.0, 1000.0]))
    array([  -1.,    0., 1000.])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = float(alpha)

    def forward(self, x: Any) -> Any:
        return np.maximum(0, x) + self.alpha * np.expm1(np.minimum(_floating(x), 0))


class Tanh(Module):
    """The hyperbolic tangent.

    >>> Tanh()(np.array([-1000.0, 0.0]))
    array([-1.,  0.])
    """

    def forward(self, x: Any) -> Any:
        return np.tanh(x)


class Sigmoid(Module):
    """``1 / (1 + exp(−x))``, for any x.

    >>> Sigmoid()(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """

    def forward(self, x: Any) -> Any:
        return _sigmoid(_floating(x))


def _logistic(x: Any) -> Any:
    # 1 / (1 + exp(−x)) for positive x, exp(x) / (exp(x) + 1) for negative x: neither overflows.
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


# A gradient rule of its own: σ (1 − σ) is faster than the gradients of all these steps.
_sigmoid = primitive(_logistic, lambda g, ans, _x: g * ans * (1 - ans))


def _floating(x: Any) -> Any:
    """Convert lists and integers to float64: NumPy's exponential of small integers is float16."""
    x = x if isinstance(x, Tensor) else np.asarray(x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


# --- Networks --------------------------------------------------------------------------------------


class Sequential(Module):
    """Layers that are applied one after the other: modules, or any functions of one array.

    A slice is a network of these layers that shares their parameters.

    >>> model = Sequential(Linear(2, 8, rng=0), np.tanh, Linear(8, 3, rng=1))
    >>> model[:2](np.ones((5, 2))).shape
    (5, 8)
    >>> model
    Sequential(
      (0) Linear(2, 8)
      (1) tanh
      (2) Linear(8, 3)
    )
    """

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        for i, layer in enumerate(layers):
            if isinstance(layer, type) or not callable(layer):
                hint = "Write ReLU() for ReLU, and Sequential(*layers) for a list."
                raise TypeError(f"Sequential: layer {i} is {layer!r}, not a layer or function. {hint}")
        self.layers = layers

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def parts(self) -> Iterator[tuple[str, Any]]:
        """Yield the layers by number."""
        return ((str(i), layer) for i, layer in enumerate(self.layers))

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int | slice) -> Any:
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def __repr__(self) -> str:
        names = [repr(f) if isinstance(f, Module) else getattr(f, "__name__", repr(f)) for f in self.layers]
        lines = [f"({i}) {name}".replace("\n", "\n  ") for i, name in enumerate(names)]
        return "\n  ".join([f"{type(self).__name__}(", *lines]) + "\n)"


class MLP(Sequential):
    """A fully connected network: linear layers with an activation between them, none after the last.

    `sizes` are those of inputs, hidden layers and outputs.  `activation` is a class or a function: ``Tanh``,
    ``LeakyReLU(0.2)``, ``np.tanh``.  The other parameters are those of `Linear`; `init` is by default `xavier` for
    sigmoid and tanh, and `he` otherwise.

    >>> MLP([64, 100, 10], rng=0)
    MLP(
      (0) Linear(64, 100)
      (1) ReLU()
      (2) Linear(100, 10)
    )
    """

    def __init__(
        self, sizes: Sequence[int], activation: Any = ReLU, init: Init | None = None, rng: Seed = None, **options: Any
    ) -> None:
        if len(sizes) < 2:
            raise ValueError(f"MLP: sizes are those of input, hidden layers and output, 2 or more, not {sizes!r}.")
        rng = np.random.default_rng(rng)
        layers: list[Callable[[Any], Any]] = []
        for inputs, outputs in itertools.pairwise(sizes):
            between = activation() if isinstance(activation, type) else activation
            begin = init or (xavier if isinstance(between, Tanh | Sigmoid) or between is np.tanh else he)
            layers += [Linear(inputs, outputs, init=begin, rng=rng, **options), between]
        super().__init__(*layers[:-1])

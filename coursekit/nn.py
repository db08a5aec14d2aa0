"""Layers, and networks made of them.

>>> import numpy as np
>>> from coursekit.losses import softmax_cross_entropy
>>> from coursekit.nn import MLP
>>> model = MLP([2, 16, 3], rng=0)
>>> loss = softmax_cross_entropy(model(np.ones((5, 2))), np.zeros(5, int))
>>> loss.backward()
>>> {name: W.grad.shape for name, W in model.named_parameters().items()}
{'0.W': (2, 16), '0.b': (16,), '2.W': (16, 3), '2.b': (3,)}

A layer is called like the function that it is.  Inputs have one example in each row and
may be arrays, or Tensors, which then get a gradient too.  For a layer of your own, derive
from `Module`, keep Tensors and other modules in attributes, and write ``forward``.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from coursekit.autograd import Tensor

__all__ = [
    "ELU",
    "MLP",
    "LeakyReLU",
    "Linear",
    "Maxout",
    "Module",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "glorot",
    "he",
    "kaiming",
    "normal",
    "xavier",
    "zeros",
]

Array: TypeAlias = npt.NDArray[Any]
Init: TypeAlias = Callable[[np.random.Generator, tuple[int, ...], npt.DTypeLike], Array]
Seed: TypeAlias = np.random.Generator | int | None


# --- How weights begin -----------------------------------------------------------------------------


def normal(std: float = 0.01) -> Init:
    """Normally distributed weights with standard deviation `std`, whatever the size of the layer.

    >>> normal(0.1)(np.random.default_rng(0), (2, 3), np.float32).dtype
    dtype('float32')
    """

    def init(rng: np.random.Generator, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> Array:
        # Drawn in float64 whatever the dtype: one seed means the same weights in both.
        return (std * rng.standard_normal(shape)).astype(dtype)

    return init


def xavier(rng: np.random.Generator, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> Array:
    """Variance ``2 / (inputs + outputs)``: for tanh and sigmoid, and for layers without an activation.

    Signals keep their size on the way forward and gradients on the way back, roughly (Glorot and
    Bengio, AISTATS 2010).

    >>> round(float(xavier(np.random.default_rng(0), (300, 100)).std() ** 2), 4)
    0.005
    """
    return normal(math.sqrt(2 / (shape[-2] + shape[-1])))(rng, shape, dtype)


def he(rng: np.random.Generator, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> Array:
    """Variance ``2 / inputs``: for ReLU and its relatives, which silence half of their inputs (He et al., ICCV 2015).

    >>> round(float(he(np.random.default_rng(0), (400, 100)).std() ** 2), 4)
    0.005
    """
    return normal(math.sqrt(2 / shape[-2]))(rng, shape, dtype)


def zeros(rng: np.random.Generator, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> Array:
    """All weights 0.  Good for one layer; in two, every hidden unit stays equal to every other.

    >>> zeros(np.random.default_rng(0), (1, 2))
    array([[0., 0.]])
    """
    return np.zeros(shape, dtype)


glorot = xavier
kaiming = he


# --- What all layers have in common ----------------------------------------------------------------


class Module:
    """A function with parameters: the base of all layers and networks.

    Its parameters are the Tensors that require a gradient among its attributes, and the
    parameters of the modules among them (alone, or in a list or tuple).  One that can be
    reached in two ways counts once, under its first name.

    Examples
    --------
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
        """What the module computes; every module writes its own."""
        raise NotImplementedError(f"{type(self).__name__} needs a method forward(self, x)")

    def __call__(self, x: Any) -> Any:
        return self.forward(x)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def parts(self) -> Iterator[tuple[str, Any]]:
        """Names and things among which to look for parameters: the attributes."""
        for name, thing in vars(self).items():
            if isinstance(thing, list | tuple):
                yield from ((f"{name}.{i}", part) for i, part in enumerate(thing))
            else:
                yield name, thing

    def named_parameters(self) -> dict[str, Tensor]:
        """All parameters by name, such as "0.W" for the W of the first layer of a `Sequential`."""
        found: dict[str, Tensor] = {}
        for name, part in self.parts():
            inner = {}
            if isinstance(part, Module):
                inner = {f"{name}.{rest}": tensor for rest, tensor in part.named_parameters().items()}
            elif isinstance(part, Tensor) and part.requires_grad:
                inner = {name: part}
            known = {id(tensor) for tensor in found.values()}
            found.update({full: tensor for full, tensor in inner.items() if id(tensor) not in known})
        return found

    def parameters(self) -> list[Tensor]:
        """All parameters, for an optimizer."""
        return list(self.named_parameters().values())

    def weights(self) -> list[Tensor]:
        """The parameters that are matrices, for a regulariser.  Vectors are biases and left in peace."""
        return [tensor for tensor in self.parameters() if tensor.ndim >= 2]

    def zero_grad(self) -> None:
        """Forget all gradients: `backward` adds to what is there."""
        for tensor in self.parameters():
            tensor.grad = None

    def state(self) -> dict[str, Array]:
        """Copies of all parameters as plain arrays, by name (``np.savez(file, **model.state())``)."""
        return {name: np.array(tensor.value) for name, tensor in self.named_parameters().items()}

    def load_state(self, state: Mapping[str, npt.ArrayLike]) -> None:
        """Take over parameters that `state` gave; they are copied, and each keeps its dtype here.

        Raises
        ------
        ValueError
            If a name is missing or unknown or a shape does not fit; nothing is changed then.
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
    """``X @ W + b``.

    Parameters
    ----------
    in_features, out_features : int
        D and M: X has shape (N, D), the result (N, M).
    bias : bool
        False leaves out b.
    init : callable(rng, shape, dtype)
        Makes W: `he`, `xavier`, ``normal(std)`` or `zeros`.  b begins at 0.
    rng : numpy.random.Generator, int or None
        A generator to draw from, a seed, or None for weights that differ each time.  Two
        layers of one size with the same seed would be equal: give them one generator.
    dtype : numpy float type

    Attributes
    ----------
    W : Tensor, shape (D, M)
    b : Tensor, shape (M,), or None

    Raises
    ------
    ValueError
        When called, if X does not have D columns.

    Notes
    -----
    A plain X takes the dtype of W, so that a float32 model computes in float32 whatever
    its data; a Tensor is taken as it is.

    Examples
    --------
    >>> layer = Linear(3, 2, rng=0)
    >>> layer(np.ones((4, 3))).shape
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
        if not isinstance(x, Tensor):
            x = np.asarray(x, dtype=self.W.dtype)
        if x.ndim == 0 or x.shape[-1] != self.W.shape[0]:
            raise ValueError(
                f"{self!r}: the input has shape {x.shape}, but should have {self.W.shape[0]} columns, one a feature."
            )
        return x @ self.W if self.b is None else x @ self.W + self.b

    def __repr__(self) -> str:
        return f"Linear({self.W.shape[0]}, {self.W.shape[1]}{'' if self.b is not None else ', bias=False'})"


class Maxout(Module):
    """The largest of several linear layers: ``max(X @ W1 + b1, X @ W2 + b2, …)`` (Goodfellow et al., ICML 2013).

    Parameters
    ----------
    in_features, out_features : int
    pieces : int
        How many linear layers.  Where two are equally large, the first gets the gradient.
    init, rng, dtype
        As for `Linear`.

    Examples
    --------
    >>> Maxout(3, 2, rng=0)(np.ones((4, 3))).shape
    (4, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        pieces: int = 2,
        init: Init = he,
        rng: Seed = None,
        dtype: npt.DTypeLike = np.float64,
    ) -> None:
        if pieces < 1:
            raise ValueError(f"Maxout: pieces is the number of linear layers, 1 or more, not {pieces!r}.")
        rng = np.random.default_rng(rng)
        self.pieces = [Linear(in_features, out_features, init=init, rng=rng, dtype=dtype) for _ in range(pieces)]

    def forward(self, x: Any) -> Any:
        return functools.reduce(np.maximum, [piece(x) for piece in self.pieces])

    def __repr__(self) -> str:
        inputs, outputs = self.pieces[0].W.shape
        return f"Maxout({inputs}, {outputs}, pieces={len(self.pieces)})"


# --- Activations -----------------------------------------------------------------------------------


class ReLU(Module):
    """``max(0, x)``; the slope at 0 is 0.

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
        x = _floating(x)
        return np.where(x > 0, x, self.slope * x)

    def __repr__(self) -> str:
        return f"LeakyReLU({self.slope:g})"


class ELU(Module):
    """x where it is positive, ``alpha * (exp(x) − 1)`` elsewhere (Clevert et al., ICLR 2016).

    >>> ELU()(np.array([-1000.0, 0.0, 1000.0]))
    array([  -1.,    0., 1000.])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = float(alpha)

    def forward(self, x: Any) -> Any:
        x = _floating(x)
        # np.where computes both sides: without the minimum, exp(1000) would overflow on the side not taken,
        # and its gradient would be 0 · ∞.
        return np.where(x > 0, x, self.alpha * (np.exp(np.minimum(x, 0)) - 1))

    def __repr__(self) -> str:
        return f"ELU({self.alpha:g})"


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
        x = _floating(x)
        # exp(−|x|) cannot overflow; for x < 0 the fraction is extended by exp(x).  As −|x| the minimum has
        # a slope of −1 at 0, where the first side of the fraction is taken and −x is meant.
        small = np.exp(np.minimum(-x, x))
        return np.where(x >= 0, 1, small) / (1 + small)


def _floating(x: Any) -> Any:
    """Lists and integers become float64: -x of unsigned integers would be positive."""
    if isinstance(x, Tensor):
        return x
    x = np.asarray(x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


# --- Networks --------------------------------------------------------------------------------------


class Sequential(Module):
    """One layer after the other.

    Parameters
    ----------
    *layers : modules, or any functions of one array
        ``Sequential(Linear(2, 8), np.tanh, Linear(8, 3))`` is fine.

    Examples
    --------
    ``model[i]`` is a layer and ``model[:i]`` the network up to there, with the same parameters:

    >>> model = Sequential(Linear(2, 8, rng=0), ReLU(), Linear(8, 3, rng=1))
    >>> model[:2](np.ones((5, 2))).shape
    (5, 8)
    >>> model
    Sequential(
      (0) Linear(2, 8)
      (1) ReLU()
      (2) Linear(8, 3)
    )
    """

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        for i, layer in enumerate(layers):
            if isinstance(layer, type) or not callable(layer):
                raise TypeError(
                    f"Sequential: layer {i} is {layer!r}, not a layer or function. "
                    "Write ReLU() for ReLU, and Sequential(*layers) for a list."
                )
        self.layers = layers

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def parts(self) -> Iterator[tuple[str, Any]]:
        """The layers, by number."""
        return ((str(i), layer) for i, layer in enumerate(self.layers))

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int | slice) -> Any:
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def __repr__(self) -> str:
        lines = [f"({i}) {_shown(layer)}".replace("\n", "\n  ") for i, layer in enumerate(self.layers)]
        return "\n  ".join([f"{type(self).__name__}(", *lines]) + "\n)"


def _shown(layer: Any) -> str:
    return repr(layer) if isinstance(layer, Module) else getattr(layer, "__name__", repr(layer))


class MLP(Sequential):
    """A fully connected network: linear layers with an activation between them, none after the last.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, hidden units of each layer, outputs: ``[64, 100, 10]``.
    activation : class, module or function
        Makes or is the activation: ``Tanh``, ``LeakyReLU(0.2)``, ``np.tanh``.
    init : callable(rng, shape, dtype), optional
        As for `Linear`; unless given, `xavier` for sigmoid and tanh and `he` otherwise.
    bias, rng, dtype
        As for `Linear`.

    Examples
    --------
    >>> MLP([64, 100, 10], rng=0)
    MLP(
      (0) Linear(64, 100)
      (1) ReLU()
      (2) Linear(100, 10)
    )
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: Callable[..., Any] = ReLU,
        init: Init | None = None,
        bias: bool = True,
        rng: Seed = None,
        dtype: npt.DTypeLike = np.float64,
    ) -> None:
        if len(sizes) < 2:
            raise ValueError(f"MLP: sizes are those of input, hidden layers and output, 2 or more, not {sizes!r}.")
        rng = np.random.default_rng(rng)
        layers: list[Callable[[Any], Any]] = []
        for inputs, outputs in itertools.pairwise(sizes):
            between = activation() if isinstance(activation, type) else activation
            saturates = isinstance(between, Tanh | Sigmoid) or between is np.tanh
            layers += [Linear(inputs, outputs, bias, init or (xavier if saturates else he), rng, dtype), between]
        super().__init__(*layers[:-1])

"""The layers: gradients of inputs and parameters, kinks and extremes, dtypes, states, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from coursekit import nn
from coursekit.autograd import Tensor, grad
from coursekit.nn import ELU, MLP, LeakyReLU, Linear, Maxout, Module, ReLU, Sequential, Sigmoid, Tanh
from coursekit.tracing import flat

pytestmark = pytest.mark.filterwarnings("error")

GradientCheck = Callable[..., None]
ACTIVATIONS = [ReLU(), LeakyReLU(), LeakyReLU(0.3), ELU(), ELU(0.5), Tanh(), Sigmoid()]


def variable(value: Any) -> Tensor:
    return Tensor(value, requires_grad=True)


def layers(seed: int, dtype: Any = np.float64) -> list[Module]:
    """Every layer that takes 3 features, with biases that are not 0."""
    made: list[Module] = [
        Linear(3, 4, rng=seed, dtype=dtype),
        Linear(3, 4, bias=False, init=nn.normal(0.5), rng=seed, dtype=dtype),
        Maxout(3, 4, rng=seed, dtype=dtype),
        Maxout(3, 2, pieces=3, rng=seed, dtype=dtype),
        MLP([3, 5, 4, 2], activation=Tanh, rng=seed, dtype=dtype),
        Sequential(Linear(3, 4, rng=seed, dtype=dtype), np.tanh, Maxout(4, 2, rng=seed, dtype=dtype)),
        *ACTIVATIONS,
    ]
    rng = np.random.default_rng(seed)
    for module in made:
        for tensor in module.parameters():
            if tensor.ndim == 1:
                tensor.value = rng.normal(size=tensor.shape).astype(dtype)
    return made


ALL = pytest.mark.parametrize("which", range(len(layers(0))), ids=[repr(layer).split("\n")[0] for layer in layers(0)])


# --- Gradients -------------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize("seed", range(3))
def test_gradients_of_input_and_parameters(which: int, seed: int, check_gradients: GradientCheck) -> None:
    module = layers(seed)[which]
    x = variable(np.random.default_rng(seed).normal(size=(5, 3)))
    check_gradients(lambda: module(x), [x, *module.parameters()], seed)


def test_a_slope_half_a_permille_wrong_is_rejected(check_gradients: GradientCheck) -> None:
    class Wrong(LeakyReLU):
        def forward(self, x: Any) -> Any:
            right, off = super().forward(x), 0.0005 * x
            return right + off - off.value

    x = variable(np.random.default_rng(0).normal(size=(5, 3)))
    with pytest.raises(AssertionError, match="seed 0"):
        check_gradients(lambda: Wrong()(x), [x], 0)


@ALL
def test_float32_stays_float32(which: int) -> None:
    module = layers(0, np.float32)[which]
    x = variable(np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    out = module(x)
    out.backward(np.ones(out.shape, np.float32))
    assert module(x.value).dtype == out.dtype == x.grad.dtype == np.float32
    assert {tensor.grad.dtype for tensor in module.parameters()} <= {np.dtype(np.float32)}
    np.testing.assert_allclose(out.value, layers(0)[which](variable(x.value.astype(np.float64))).value, atol=1e-5)


def test_a_float32_model_takes_data_of_any_type() -> None:
    model = MLP([3, 4, 2], rng=0, dtype=np.float32)
    for X in np.ones((5, 3)), np.ones((5, 3), np.uint8), [[1, 1, 1]]:
        assert model(X).dtype == np.float32


# --- Activations -----------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_plain_arrays_give_the_values_of_tensors(activation: Module) -> None:
    x = np.array([-1000.0, -3.0, -0.5, 0.0, 0.5, 3.0, 1000.0])
    plain = activation(x)
    assert type(plain) is np.ndarray
    np.testing.assert_array_equal(plain, activation(variable(x)).value)
    np.testing.assert_array_equal(plain, activation(x.tolist()))


def test_values_by_hand() -> None:
    x = np.array([-2.0, 0.0, 2.0])
    np.testing.assert_array_equal(ReLU()(x), [0, 0, 2])
    np.testing.assert_allclose(LeakyReLU()(x), [-0.2, 0, 2])
    np.testing.assert_allclose(ELU(2.0)(x), [2 * np.exp(-2) - 2, 0, 2])
    np.testing.assert_allclose(Tanh()(x), [-np.tanh(2), 0, np.tanh(2)])
    np.testing.assert_allclose(Sigmoid()(x), [1 / (1 + np.exp(2)), 0.5, 1 / (1 + np.exp(-2))])
    np.testing.assert_allclose(Sigmoid()(np.array([2], np.uint8)), [1 / (1 + np.exp(-2))])


@pytest.mark.parametrize(
    ("activation", "at_0"),
    [(ReLU(), {0}), (LeakyReLU(0.1), {0.1, 1}), (ELU(0.5), {0.5, 1}), (Tanh(), {1}), (Sigmoid(), {0.25})],
    ids=repr,
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slopes_far_out_and_at_0(activation: Module, at_0: set[float], dtype: Any) -> None:
    x = variable(np.array([-1e4, -1000, 0, 1000, 1e4], dtype))
    activation(x).backward(np.ones(5, dtype))
    saturated = isinstance(activation, Tanh | Sigmoid)
    left = dtype(getattr(activation, "slope", 0))
    right = 0 if saturated else 1
    np.testing.assert_array_equal(x.grad[[0, 1, 3, 4]], [left, left, right, right])
    assert x.grad[2] in {dtype(slope) for slope in at_0}


def test_sigmoid_keeps_its_digits_on_the_left() -> None:
    x = np.array([-40.0, -300.0, -700.0])
    np.testing.assert_allclose(Sigmoid()(x), np.exp(x), rtol=1e-14)
    np.testing.assert_allclose(grad(lambda x: np.sum(Sigmoid()(x)))(x), np.exp(x), rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_can_be_differentiated_twice_and_written_out(dtype: Any) -> None:
    x = np.random.default_rng(0).normal(size=6).astype(dtype)
    s = Sigmoid()(x)

    def f(x: Any) -> Any:
        return np.sum(Sigmoid()(x))

    np.testing.assert_allclose(grad(lambda x: np.sum(grad(f)(x)))(x), s * (1 - s) * (1 - 2 * s), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(flat(f, x)(x)[1][0], s * (1 - s), rtol=1e-6)


def test_ties_in_maxout_give_the_whole_gradient_once() -> None:
    layer = Maxout(2, 1, rng=0)
    layer.load_state({name: np.ones_like(value) for name, value in layer.state().items()})
    x = variable([[1.0, 2.0]])
    layer(x).backward([[10.0]])
    np.testing.assert_array_equal(x.grad, [[10, 10]])
    total = sum(tensor.grad for name, tensor in layer.named_parameters().items() if name.endswith("W"))
    np.testing.assert_array_equal(total, [[10], [20]])


# --- Linear, initialisers --------------------------------------------------------------------------


def test_linear_is_x_times_w_plus_b() -> None:
    layer = Linear(2, 3)
    layer.load_state({"W": [[1, 2, 3], [4, 5, 6]], "b": [10, 20, 30]})
    np.testing.assert_array_equal(layer([[1, 0], [1, 1]]).value, [[11, 22, 33], [15, 27, 39]])
    assert layer(np.ones((4, 5, 2))).shape == (4, 5, 3)


def test_a_seed_fixes_the_weights_in_both_dtypes() -> None:
    first, second, third = MLP([3, 4, 2], rng=7), MLP([3, 4, 2], rng=7), MLP([3, 4, 2], rng=8)
    single = MLP([3, 4, 2], rng=np.random.default_rng(7), dtype=np.float32)
    for name, W in first.state().items():
        np.testing.assert_array_equal(W, second.state()[name])
        np.testing.assert_array_equal(W.astype(np.float32), single.state()[name])
    assert not np.array_equal(first[0].W.value, third[0].W.value)
    assert not np.array_equal(Linear(3, 3).W.value, Linear(3, 3).W.value)


def test_layers_of_one_network_differ() -> None:
    model = MLP([4, 4, 4], rng=0)
    assert not np.array_equal(model[0].W.value, model[2].W.value)
    first, second = (piece.W.value for piece in Maxout(4, 4, rng=0).pieces)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("init", "std"),
    [(nn.normal(0.3), 0.3), (nn.xavier, np.sqrt(2 / 700)), (nn.he, np.sqrt(2 / 300)), (nn.zeros, 0.0)],
)
def test_the_spread_of_initial_weights(init: Any, std: float) -> None:
    W = init(np.random.default_rng(0), (300, 400), np.float32)
    assert W.dtype == np.float32
    assert W.shape == (300, 400)
    assert W.std() == pytest.approx(std, rel=0.01)  # 120 000 numbers: ±0.2 %
    assert abs(W.mean()) <= 4 * std / np.sqrt(W.size)


def test_he_keeps_the_size_of_signals_through_relu_and_xavier_does_not() -> None:
    X = np.random.default_rng(0).normal(size=(200, 100))
    sizes = [100] * 21
    kept = np.mean(MLP(sizes, init=nn.he, rng=0)(X).value ** 2)
    lost = np.mean(MLP(sizes, init=nn.xavier, rng=0)(X).value ** 2)
    assert 0.1 < kept < 10
    assert lost < 1e-4


def test_an_mlp_begins_as_its_activation_needs() -> None:
    assert MLP([200, 200, 200], rng=0)[0].W.value.std() == pytest.approx(np.sqrt(2 / 200), rel=0.02)
    for saturating in Tanh, Sigmoid, Tanh(), np.tanh:
        model = MLP([200, 200, 200], activation=saturating, rng=0)
        assert model[0].W.value.std() == pytest.approx(np.sqrt(2 / 400), rel=0.02)
    assert nn.glorot is nn.xavier
    assert nn.kaiming is nn.he


# --- Parameters and states -------------------------------------------------------------------------


def test_parameters_by_name_and_the_weights_among_them() -> None:
    model = Sequential(Linear(2, 3), np.tanh, Maxout(3, 2), Linear(2, 2, bias=False))
    names = ["0.W", "0.b", "2.pieces.0.W", "2.pieces.0.b", "2.pieces.1.W", "2.pieces.1.b", "3.W"]
    assert list(model.named_parameters()) == names
    assert all(a is b for a, b in zip(model.parameters(), model.named_parameters().values(), strict=True))
    assert [tensor.shape for tensor in model.weights()] == [(2, 3), (3, 2), (3, 2), (2, 2)]


def test_a_shared_layer_counts_once() -> None:
    shared = Linear(3, 3, rng=0)
    model = Sequential(shared, ReLU(), shared)
    assert list(model.named_parameters()) == ["0.W", "0.b"]
    assert len(MLP([2, 3, 2]).parameters()) == 4


def test_a_module_of_ones_own() -> None:
    class Residual(Module):
        def __init__(self) -> None:
            self.inner = [Linear(3, 3, rng=0), Tanh()]
            self.scale = variable(0.5)
            self.constant = Tensor(2.0, requires_grad=False)
            self.remark = "not a parameter"

        def forward(self, x: Any) -> Any:
            return x + self.scale * self.inner[1](self.inner[0](x))

    model = Sequential(Residual(), Linear(3, 1, rng=1))
    assert list(model.named_parameters()) == ["0.inner.0.W", "0.inner.0.b", "0.scale", "1.W", "1.b"]
    model(np.ones((2, 3))).backward(np.ones((2, 1)))
    assert all(tensor.grad is not None for tensor in model.parameters())
    with pytest.raises(NotImplementedError, match="Module needs a method forward"):
        Module()(1.0)


def test_zero_grad_forgets_and_without_it_gradients_add_up() -> None:
    model = MLP([2, 3, 1], rng=0)
    gradients = []
    for _ in range(2):
        model(np.ones((4, 2))).backward(np.ones((4, 1)))
        gradients.append(model[2].W.grad.copy())
    np.testing.assert_array_equal(gradients[1], 2 * gradients[0])
    model.zero_grad()
    assert all(tensor.grad is None for tensor in model.parameters())


def test_a_state_goes_through_a_file_and_back() -> None:
    model, other = MLP([2, 3, 1], rng=0), MLP([2, 3, 1], rng=1, dtype=np.float32)
    file = io.BytesIO()
    np.savez(file, **model.state())  # type: ignore[arg-type]  # names are never "file"
    file.seek(0)
    other.load_state(np.load(file))
    for name, value in other.state().items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, model.state()[name].astype(np.float32))


def test_states_share_no_memory_with_the_model() -> None:
    model = Linear(2, 2, rng=0)
    before, given = model.state(), {"W": np.ones((2, 2)), "b": np.ones(2)}
    model.load_state(given)
    given["W"][:] = 5
    model.state()["b"][:] = 5
    np.testing.assert_array_equal(model.W.value, 1)
    np.testing.assert_array_equal(model.b.value, 1)  # type: ignore[union-attr]
    assert not np.array_equal(before["W"], model.W.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"2.b": None}, r"missing are \['2\.b'\]"),
        ({"3.W": np.zeros(2)}, r"knows no \['3\.W'\]"),
        ({"2.W": np.zeros((1, 3))}, r"2\.W has shape \(1, 3\), but \(3, 1\)"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change: dict[str, Any], words: str) -> None:
    model = MLP([2, 3, 1], rng=0)
    before = model.state()
    state = {name: value for name, value in {**MLP([2, 3, 1], rng=1).state(), **change}.items() if value is not None}
    with pytest.raises(ValueError, match=words):
        model.load_state(state)
    for name, value in model.state().items():
        np.testing.assert_array_equal(value, before[name])


# --- Networks --------------------------------------------------------------------------------------


def test_a_slice_of_a_network_shares_its_parameters() -> None:
    model = MLP([2, 4, 3], rng=0)
    X = np.ones((5, 2))
    np.testing.assert_array_equal(model(X).value, model[2:](model[:2](X)).value)
    assert model[:1][0] is model[0]
    assert len(model) == 3
    assert [type(layer).__name__ for layer in model] == ["Linear", "ReLU", "Linear"]


def test_reprs() -> None:
    assert repr(Linear(2, 3, bias=False)) == "Linear(2, 3, bias=False)"
    assert repr(Maxout(2, 3, pieces=4)) == "Maxout(2, 3, pieces=4)"
    assert [repr(layer) for layer in (LeakyReLU(), ELU(), Tanh())] == ["LeakyReLU(0.1)", "ELU(1)", "Tanh()"]
    nested = Sequential(np.tanh, Sequential(ReLU()))
    assert repr(nested) == "Sequential(\n  (0) tanh\n  (1) Sequential(\n    (0) ReLU()\n  )\n)"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Linear(3, 2)(np.ones((5, 4))), ValueError, r"Linear\(3, 2\): the input has shape \(5, 4\).*3 columns"),
        (lambda: MLP([3, 2])(np.float64(1.0)), ValueError, r"shape \(\)"),
        (lambda: Linear(0, 2), ValueError, "in_features is a whole number, 1 or more, not 0"),
        (lambda: Linear(2, 2.5), ValueError, "out_features"),  # type: ignore[arg-type]
        (lambda: Linear(2, 3, init=lambda rng, shape, dtype: np.ones(3)), ValueError, r"shape \(3,\), not \(2, 3\)"),
        (lambda: Linear(2, 3, dtype=np.int64), TypeError, "floating"),
        (lambda: Maxout(2, 3, pieces=0), ValueError, "pieces"),
        (lambda: MLP([3]), ValueError, "2 or more"),
        (lambda: Sequential(Linear(2, 2), ReLU), TypeError, r"layer 1 is .*ReLU\(\)"),
        (lambda: Sequential([Linear(2, 2)]), TypeError, r"Sequential\(\*layers\)"),  # type: ignore[arg-type]
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_layers_in_dicts_and_nested_lists_are_found():
    class Branches(Module):
        def __init__(self):
            self.by_name = {"left": Linear(2, 3, rng=0), "right": [[Linear(2, 1, rng=1)]]}

        def forward(self, x):
            return self.by_name["left"](x)

    names = set(Branches().named_parameters())
    assert names == {"by_name.left.W", "by_name.left.b", "by_name.right.0.0.W", "by_name.right.0.0.b"}

"""Random programs compute what PyTorch computes: values, gradients of every result, second derivatives, float32."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from coursekit.autograd import Tensor, grad, log_softmax, logsumexp, softmax
from coursekit.autograd.recording import primitive
from coursekit.autograd.tensor import RULES

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch")

# --- The operations --------------------------------------------------------------------------------
#
# Each is written twice.  `options` draws its options from the shapes of the operands,
# and returns None where the operation makes no sense.  Arguments are kept away from kinks and poles, and
# what could grow without bound is squashed.


@dataclass(frozen=True)
class Operation:
    arity: int
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    options: Callable[..., Any] = lambda draw, *shapes: {}


OPERATIONS: dict[str, Operation] = {}


def same(name: str, arity: int, f: Callable[..., Any]) -> None:
    """Make an operation that has the same name in NumPy and in torch."""
    OPERATIONS[name] = Operation(arity, lambda *xs: f(np, *xs), lambda *xs: f(torch, *xs))


def operation(name: str, options: Callable[..., Any], ours: Any, theirs: Any, arity: int = 1) -> None:
    OPERATIONS[name] = Operation(arity, ours, theirs, options)


same("add", 2, lambda m, x, y: x + y)
same("subtract", 2, lambda m, x, y: m.subtract(x, y))
same("multiply", 2, lambda m, x, y: x * y)
same("true_divide", 2, lambda m, x, y: x / (1.5 + y * y))
same("power", 2, lambda m, x, y: (x * x + 0.5) ** m.tanh(y))
same("number_power", 1, lambda m, x: m.tanh(2.0 ** m.tanh(x) + m.tanh(x) ** 3 + (x * x + 1) ** -0.5))
same("numbers", 1, lambda m, x: (2 - x) * 0.5 + 1 / (x * x + 2) - (x - 1) / 3)
same("maximum", 2, lambda m, x, y: m.maximum(x, y))
same("minimum", 2, lambda m, x, y: m.minimum(x, y + 0.0625))
same("arctan2", 2, lambda m, x, y: m.arctan2(x, y * y + 0.5))
same("hypot", 2, lambda m, x, y: m.hypot(x + 3, y))
same("logaddexp", 2, lambda m, x, y: m.logaddexp(x, y))
same("relu", 1, lambda m, x: m.where(x > 0.0078125, x, 0.5 * x))
same("clip", 1, lambda m, x: m.clip(x, -0.71, 0.83))
same("absolute", 1, lambda m, x: abs(x - 0.0314))
same("exp", 1, lambda m, x: m.exp(m.tanh(x)))
same("exp2", 1, lambda m, x: m.exp2(m.tanh(x)))
same("expm1", 1, lambda m, x: m.expm1(m.tanh(x)))
same("log", 1, lambda m, x: m.log(x * x + 0.5))
same("log2", 1, lambda m, x: m.log2(x * x + 0.5))
same("log10", 1, lambda m, x: m.log10(x * x + 0.5))
same("log1p", 1, lambda m, x: m.log1p(x * x))
same("sqrt", 1, lambda m, x: m.sqrt(x * x + 0.25))
same("square", 1, lambda m, x: m.tanh(m.square(x)))
same("reciprocal", 1, lambda m, x: m.reciprocal(x * x + 1))
same("sin", 1, lambda m, x: m.sin(x))
same("cos", 1, lambda m, x: m.cos(x))
same("tan", 1, lambda m, x: m.tan(m.tanh(x)))
same("arcsin", 1, lambda m, x: m.arcsin(0.9 * m.tanh(x)))
same("arccos", 1, lambda m, x: m.arccos(0.9 * m.tanh(x)))
same("arctan", 1, lambda m, x: m.arctan(x))
same("sinh", 1, lambda m, x: m.sinh(m.tanh(x)))
same("cosh", 1, lambda m, x: m.cosh(m.tanh(x)))
same("tanh", 1, lambda m, x: m.tanh(x))
same("arcsinh", 1, lambda m, x: m.arcsinh(x))
same("arccosh", 1, lambda m, x: m.arccosh(x * x + 1.5))
same("arctanh", 1, lambda m, x: m.arctanh(0.9 * m.tanh(x)))
same("radians", 1, lambda m, x: m.deg2rad(100 * x))
same("sigmoid", 1, lambda m, x: 1 / (1 + m.exp(-m.tanh(x))))
same("negative", 1, lambda m, x: -x)


def one_axis(draw: Any, shape: Any, *_: Any) -> Any:
    return {"axis": draw(st.integers(-len(shape), len(shape) - 1))} if shape else None


def some_axes(draw: Any, shape: Any) -> Any:
    """None, one axis or several."""
    if not shape or draw(st.booleans()):
        axis = None
    else:
        axis = tuple(sorted(draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
        axis = axis[0] - (len(shape) if draw(st.booleans()) else 0) if len(axis) == 1 else axis
    return {"axis": axis, "keepdims": draw(st.booleans())}


def some_axes_not_empty(draw: Any, shape: Any) -> Any:
    return None if 0 in shape else some_axes(draw, shape)


def one_axis_not_empty(draw: Any, shape: Any) -> Any:
    return None if 0 in shape else one_axis(draw, shape)


def _dims(x: Any, axis: Any) -> Any:
    return list(range(x.ndim)) if axis is None else axis


def _torch_prod(x: Any, axis: Any, keepdims: bool) -> Any:
    dims = sorted(d % x.ndim for d in ([axis] if isinstance(axis, int) else _dims(x, axis))) if x.ndim else []
    for dim in reversed(dims):
        x = torch.prod(x, dim, keepdim=keepdims)
    return x


operation(
    "sum",
    some_axes,
    lambda x, axis, keepdims: np.tanh(np.sum(x, axis=axis, keepdims=keepdims)),
    lambda x, axis, keepdims: torch.tanh(torch.sum(x, _dims(x, axis), keepdim=keepdims)),
)
operation(
    "mean",
    some_axes_not_empty,
    lambda x, axis, keepdims: x.mean(axis, keepdims=keepdims),
    lambda x, axis, keepdims: torch.mean(x, _dims(x, axis), keepdim=keepdims),
)
operation(
    "max",
    some_axes_not_empty,
    lambda x, axis, keepdims: np.max(x, axis, keepdims=keepdims),
    lambda x, axis, keepdims: torch.amax(x, _dims(x, axis), keepdim=keepdims),
)
operation(
    "min",
    some_axes_not_empty,
    lambda x, axis, keepdims: x.min(axis=axis, keepdims=keepdims),
    lambda x, axis, keepdims: torch.amin(x, _dims(x, axis), keepdim=keepdims),
)
operation(
    "prod",
    some_axes,
    lambda x, axis, keepdims: np.prod(np.sin(x), axis=axis, keepdims=keepdims),
    lambda x, axis, keepdims: _torch_prod(torch.sin(x), axis, keepdims),
)
operation(
    "var",
    some_axes_not_empty,
    lambda x, axis, keepdims: np.var(x, axis=axis, keepdims=keepdims),
    lambda x, axis, keepdims: torch.var(x, _dims(x, axis), correction=0, keepdim=keepdims),
)
operation(
    "std",
    some_axes_not_empty,
    lambda x, axis, keepdims: np.sqrt(np.var(x, axis=axis, keepdims=keepdims) + 0.1),
    lambda x, axis, keepdims: torch.sqrt(torch.var(x, _dims(x, axis), correction=0, keepdim=keepdims) + 0.1),
)
operation(
    "logsumexp",
    some_axes_not_empty,
    lambda x, axis, keepdims: logsumexp(x, axis, keepdims),
    lambda x, axis, keepdims: torch.logsumexp(x, _dims(x, axis), keepdim=keepdims) if x.ndim else x + 0,
)
operation(
    "norm",
    some_axes_not_empty,
    lambda x, axis, keepdims: np.linalg.norm(
        x + 2, axis=axis if axis is None or np.size(axis) < 3 else None, keepdims=keepdims
    ),
    lambda x, axis, keepdims: torch.sqrt(
        torch.sum((x + 2) ** 2, _dims(x, axis if axis is None or np.size(axis) < 3 else None), keepdim=keepdims)
    ),
)
operation("softmax", one_axis_not_empty, lambda x, axis: softmax(x, axis), lambda x, axis: torch.softmax(x, axis))
operation(
    "log_softmax",
    one_axis_not_empty,
    lambda x, axis: np.tanh(log_softmax(x, axis)),
    lambda x, axis: torch.tanh(torch.log_softmax(x, axis)),
)
operation(
    "cumsum",
    one_axis,
    lambda x, axis: np.tanh(np.cumsum(x, axis)),
    lambda x, axis: torch.tanh(torch.cumsum(x, axis)),
)
operation("flip", one_axis, lambda x, axis: np.flip(x, axis), lambda x, axis: torch.flip(x, [axis]))
operation("sort", one_axis, lambda x, axis: np.sort(x, axis), lambda x, axis: torch.sort(x, dim=axis).values)
operation("diff", one_axis_not_empty, lambda x, axis: np.diff(x, axis=axis), lambda x, axis: torch.diff(x, dim=axis))
operation("expand_dims", one_axis, lambda x, axis: np.expand_dims(x, axis), lambda x, axis: torch.unsqueeze(x, axis))
operation("squeeze", lambda draw, shape: {}, lambda x: np.squeeze(x), lambda x: torch.squeeze(x))
operation(
    "roll",
    lambda draw, shape: {"shift": draw(st.integers(-5, 5)), **(one_axis(draw, shape) or {"axis": None})},
    lambda x, shift, axis: np.roll(x, shift, axis),
    lambda x, shift, axis: torch.roll(x, shift, axis),
)
operation(
    "repeat",
    lambda draw, shape: (chosen := one_axis(draw, shape)) and {**chosen, "times": draw(st.integers(0, 2))},
    lambda x, axis, times: np.repeat(x, times, axis),
    lambda x, axis, times: torch.repeat_interleave(x, times, dim=axis),
)
operation(
    "tile",
    lambda draw, shape: {"reps": (draw(st.integers(1, 2)),) * (len(shape) + draw(st.integers(0, 1)))},
    lambda x, reps: np.tile(x, reps),
    lambda x, reps: torch.tile(x, reps),
)
operation(
    "transpose",
    lambda draw, shape: {"axes": draw(st.permutations(range(len(shape))))},
    lambda x, axes: np.transpose(x, axes),
    lambda x, axes: x.permute(*axes) if axes else x + 0,
)
operation(
    "moveaxis",
    lambda draw, shape: (
        {"source": one_axis(draw, shape)["axis"], "to": one_axis(draw, shape)["axis"]} if shape else None
    ),
    lambda x, source, to: np.moveaxis(x, source, to),
    lambda x, source, to: torch.moveaxis(x, source, to),
)
operation(
    "broadcast_to",
    lambda draw, shape: {
        "shape": (
            *draw(st.lists(st.integers(1, 2), max_size=1)),
            *(draw(st.integers(1, 3)) if n == 1 else n for n in shape),
        )
    },
    lambda x, shape: np.broadcast_to(x, shape),
    lambda x, shape: torch.broadcast_to(x, shape),
)


def a_shape(draw: Any, shape: Any) -> Any:
    """Draw another shape of the same size."""
    size, new = int(np.prod(shape)), []
    if size:
        while size > 1 and len(new) < 3:
            divisors = [d for d in range(1, size + 1) if size % d == 0]
            new.append(draw(st.sampled_from(divisors)))
            size //= new[-1]
        new.append(-1)
    return {"shape": tuple(new) if size else (0, 2)}


operation("ravel", lambda draw, shape: {}, np.ravel, lambda x: torch.reshape(x, (-1,)))
operation("reshape", a_shape, lambda x, shape: x.reshape(shape), lambda x, shape: torch.reshape(x, shape))


def an_index(draw: Any, shape: Any) -> Any:
    """Draw integers, slices, new axes and an ellipsis; torch has no negative steps."""
    index: list[Any] = []
    for n in shape:
        kind = draw(st.sampled_from(["integer", "slice", "stop"] if n else ["slice", "stop"]))
        if kind == "stop":
            index.append(...)
            break
        start = draw(st.integers(-n, n - 1)) if n else 0
        step = draw(st.integers(1, 2))
        index.append(start if kind == "integer" else slice(start, draw(st.integers(0, n)), step))
    if draw(st.booleans()):
        index.insert(draw(st.integers(0, len(index))), None)
    return {"index": tuple(index)}


def an_array_index(draw: Any, shape: Any) -> Any:
    if not shape or shape[0] == 0:
        return None
    return {"index": draw(st.lists(st.integers(-shape[0], shape[0] - 1), max_size=5))}


def a_mask(draw: Any, *shapes: Any) -> Any:
    shape = np.broadcast_shapes(*shapes)
    size = int(np.prod(shape))
    return {"mask": np.reshape(draw(st.lists(st.booleans(), min_size=size, max_size=size)), shape).astype(bool)}


operation("getitem", an_index, lambda x, index: x[index], lambda x, index: x[index])
operation(
    "repeated indices",
    an_array_index,
    lambda x, index: x[np.array(index, dtype=int)],
    lambda x, index: x[torch.tensor(index, dtype=torch.long)],
)
operation(
    "take",
    an_array_index,
    lambda x, index: np.take(x, np.array(index, int), 0),
    lambda x, index: torch.index_select(x, 0, torch.tensor(index, dtype=torch.long) % x.shape[0]),
)
operation("mask", a_mask, lambda x, mask: x[mask], lambda x, mask: x[torch.tensor(mask)])
operation(
    "where",
    a_mask,
    lambda x, y, mask: np.where(mask, x, y),
    lambda x, y, mask: torch.where(torch.tensor(mask), x, y),
    arity=2,
)
operation(
    "pad",
    lambda draw, shape: (
        {"widths": [(draw(st.integers(0, 1)), draw(st.integers(0, 1))) for _ in shape]} if shape else None
    ),
    lambda x, widths: np.pad(x, widths, constant_values=0.5),
    lambda x, widths: torch.nn.functional.pad(x, [n for pair in widths[::-1] for n in pair], value=0.5),
)
operation(
    "concatenate",
    lambda draw, x, y: one_axis(draw, x) if x == y else None,
    lambda x, y, axis: np.concatenate([x, y, x], axis),
    lambda x, y, axis: torch.concatenate([x, y, x], axis),
    arity=2,
)
operation(
    "stack",
    lambda draw, x, y: {"axis": draw(st.integers(-len(x) - 1, len(x)))} if x == y else None,
    lambda x, y, axis: np.stack([x, y], axis),
    lambda x, y, axis: torch.stack([x, y], axis),
    arity=2,
)
operation(
    "split",
    lambda draw, shape: one_axis_not_empty(draw, shape),
    lambda x, axis: np.subtract(*np.split(np.concatenate([x, x * x], axis), 2, axis)),
    lambda x, axis: torch.subtract(*torch.tensor_split(torch.concatenate([x, x * x], axis), 2, axis)),
)


def square_matrices(draw: Any, shape: Any) -> Any:
    return {} if len(shape) >= 2 else None


def _gram(m: Any, x: Any) -> Any:
    eye = np.eye(x.shape[-2]) if m is np else torch.eye(x.shape[-2])
    x = m.tanh(x)
    return x @ m.swapaxes(x, -1, -2) / (1 + x.shape[-1]) + 1.5 * (eye.astype(x.dtype) if m is np else eye.to(x.dtype))


def _upper(m: Any, x: Any) -> Any:
    return m.triu(x, -1) - m.tril(x, -1) * 0.5


for _name, _f in {
    "inv": lambda m, x: m.linalg.inv(_gram(m, x)),
    "det": lambda m, x: m.tanh(m.linalg.det(_gram(m, x))),
    "solve": lambda m, x: m.linalg.solve(_gram(m, x), m.tanh(x)),
    "triangles": _upper,
}.items():
    operation(_name, square_matrices, lambda x, f=_f: f(np, x), lambda x, f=_f: f(torch, x))
operation(
    "diagonal",
    lambda draw, shape: {"offset": draw(st.integers(-1, 1))} if len(shape) >= 2 and 0 not in shape else None,
    lambda x, offset: np.diagonal(x, offset, 0, 1),
    lambda x, offset: torch.diagonal(x, offset, 0, 1),
)


def matmul_shapes(draw: Any, x: Any, y: Any) -> Any:
    try:
        np.matmul(np.zeros(x), np.zeros(y))
    except ValueError:
        return None
    return {}


operation("matmul", matmul_shapes, lambda x, y: np.tanh(x @ y), lambda x, y: torch.tanh(x @ y), arity=2)
operation("gram", square_matrices, lambda x: np.tanh(x @ x.swapaxes(-1, -2)), lambda x: torch.tanh(x @ x.mT))
operation(
    "outer",
    lambda draw, x, y: {},
    lambda x, y: np.outer(x, y),
    lambda x, y: torch.outer(x.ravel(), y.ravel()),
    arity=2,
)


def shared_axes(draw: Any, x: Any, y: Any) -> Any:
    possible = [n for n in range(min(len(x), len(y), 2) + 1) if x[len(x) - n :] == y[:n]]
    return {"axes": draw(st.sampled_from(possible))}


operation(
    "tensordot",
    shared_axes,
    lambda x, y, axes: np.tanh(np.tensordot(x, y, axes)),
    lambda x, y, axes: torch.tanh(torch.tensordot(x, y, axes)),
    arity=2,
)


def subscripts(draw: Any, *shapes: Any) -> Any:
    """Draw letters for the axes, often shared by axes of the same length, and some of them for the result."""
    lengths: dict[str, int] = {}
    inputs = []
    for shape in shapes:
        names = ""
        for n in shape:
            known = [name for name, length in lengths.items() if length == n]
            new = "abcdefghijk"[len(lengths)]
            name = draw(st.sampled_from([*known, new]))
            lengths[name] = n
            names += name
        inputs.append(names)
    letters = sorted(lengths)
    output = draw(st.permutations(letters))[: draw(st.integers(0, min(3, len(letters))))] if letters else []
    return {"subscripts": f"{','.join(inputs)}->{''.join(output)}"}


def _einsum(module: Any) -> Callable[..., Any]:
    return lambda *xs, subscripts: module.tanh(module.einsum(subscripts, *xs))


for _count in 1, 2, 3:
    operation(f"einsum of {_count}", subscripts, _einsum(np), _einsum(torch), arity=_count)

# --- Programs --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Program:
    shapes: list[tuple[int, ...]]  # of the leaves
    steps: list[tuple[str, tuple[int, ...], dict[str, Any]]]  # operation, operands among earlier results, options
    seed: int

    def leaves(self) -> list[np.ndarray]:
        rng = np.random.default_rng(self.seed)
        return [rng.normal(size=shape) for shape in self.shapes]

    def run(self, leaves: list[Any], theirs: bool = False) -> list[Any]:
        results = list(leaves)
        for name, operands, options in self.steps:
            f = OPERATIONS[name].theirs if theirs else OPERATIONS[name].ours
            results.append(f(*(results[i] for i in operands), **options))
        return results

    def sinks(self) -> list[int]:
        used = {i for _, operands, _ in self.steps for i in operands}
        return [i for i in range(len(self.shapes) + len(self.steps)) if i not in used]

    def upstreams(self, results: list[Any]) -> dict[int, np.ndarray]:
        """Draw a random upstream gradient for every result that no later step uses."""
        rng = np.random.default_rng([self.seed, 1])
        return {i: np.asarray(rng.normal(size=results[i].shape)) for i in self.sinks()}


SHAPES = st.lists(st.integers(1, 4), max_size=3).map(tuple) | st.sampled_from([(), (0,), (0, 2), (3, 0), (1, 1)])


@st.composite
def programs(draw: Any, most_steps: int, only: str | None = None) -> Program:
    program = Program(draw(st.lists(SHAPES, min_size=1, max_size=4)), [], draw(st.integers(0, 2**32)))
    shapes = list(program.shapes)
    for _ in range(draw(st.integers(1, most_steps))):
        name = only or draw(st.sampled_from(sorted(OPERATIONS)))
        this = OPERATIONS[name]
        # Prefer the latest results, so that the graph becomes deep.
        first = len(shapes) - 1 - min(draw(st.integers(0, 2 * len(shapes))), len(shapes) - 1)
        if draw(st.booleans()):
            first = len(shapes) - 1
        operands = [first]
        for _ in range(this.arity - 1):
            fitting = [i for i, shape in enumerate(shapes) if _broadcasts(shape, shapes[first]) or "einsum" in name]
            fitting = [i for i in fitting if name not in ("concatenate", "stack") or shapes[i] == shapes[first]]
            if name == "matmul":
                fitting = [i for i in range(len(shapes)) if matmul_shapes(draw, shapes[first], shapes[i]) is not None]
            operands.append(draw(st.sampled_from(fitting or [first])))
        options = this.options(draw, *(shapes[i] for i in operands))
        if options is None:
            continue
        result = this.ours(*(np.full(shapes[i], 0.5) for i in operands), **options)
        if np.size(result) <= 200 and np.ndim(result) <= 4:
            program.steps.append((name, tuple(operands), options))
            shapes.append(np.shape(result))
    return program


def _broadcasts(*shapes: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True


def _note(program: Program) -> None:
    note(f"seed {program.seed}, leaves {program.shapes}")
    for i, step in enumerate(program.steps, len(program.shapes)):
        note(f"  {i}: {step[0]} of {step[1]}, {step[2]}")


def _numbers(x: Any) -> np.ndarray:
    return np.asarray(x.detach().numpy() if isinstance(x, torch.Tensor) else x)


def assert_near(got: Any, expected: Any, message: str, tolerance: float = 1e-9) -> None:
    if expected is None:
        assert got is None or not np.any(got), f"{message}: torch has no gradient there"
        return
    got, expected = _numbers(got), _numbers(expected)
    assert got.shape == expected.shape, f"{message}: shape {got.shape}, torch has {expected.shape}"
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance, err_msg=message)


def thoroughly(examples: int) -> settings:
    return settings(
        max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), print_blob=True
    )


# Two results that are equal as functions of the leaves, such as x + y and y + x, may meet in a maximum.  Which one
# gets the gradient is a convention; what reaches the leaves is not.
CHOOSING = {"maximum", "minimum", "max", "min", "sort"}


def check_first(program: Program) -> None:
    ours = program.run([Tensor(x, requires_grad=True) for x in program.leaves()])
    theirs = program.run([torch.tensor(x, requires_grad=True) for x in program.leaves()], theirs=True)
    for result in theirs:
        result.retain_grad()
    for i, upstream in program.upstreams(ours).items():  # one backward after the other: gradients accumulate
        ours[i].backward(upstream)
        theirs[i].backward(torch.tensor(upstream), retain_graph=True)
    for i, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        assert_near(mine.value, other, f"value of result {i}, seed {program.seed}")
        if i < len(program.shapes) or not CHOOSING.intersection(name for name, _, _ in program.steps):
            assert_near(mine.grad, other.grad, f"gradient of result {i}, seed {program.seed}")


@thoroughly(600)
@given(programs(most_steps=15))
def test_values_and_gradients_of_random_programs(program):
    _note(program)
    check_first(program)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_drawn_and_agrees(name):
    """Every row of the table above is used."""
    tried = []

    @thoroughly(10)
    @given(programs(most_steps=1, only=name).filter(lambda program: program.steps))
    def check(program):
        _note(program)
        tried.append(program)
        check_first(program)

    check()
    assert tried, f"{name}: no program"


@thoroughly(300)
@given(programs(most_steps=6))
def test_second_derivatives_of_random_programs(program):
    """Compute the gradient of ‖∂L/∂leaves‖² for L = Σ u·y² over all results y that no step uses."""
    _note(program)
    leaves = program.leaves()
    upstreams = program.upstreams(program.run(leaves))
    everything = tuple(range(len(leaves)))

    def loss(*xs):
        results = program.run(list(xs))
        return sum(np.sum(u * results[i] * results[i]) for i, u in upstreams.items())

    def penalty(*xs):
        return sum(np.sum(g * g) for g in grad(loss, argnums=everything)(*xs))

    got = grad(penalty, argnums=everything)(*leaves)

    xs = [torch.tensor(x, requires_grad=True) for x in leaves]
    results = program.run(xs, theirs=True)
    total = sum(torch.sum(torch.tensor(u) * results[i] * results[i]) for i, u in upstreams.items())
    first = torch.autograd.grad(total, xs, create_graph=True, allow_unused=True)
    squares = sum(torch.sum(g * g) for g in first if g is not None)
    second = torch.autograd.grad(squares, xs, allow_unused=True)
    assert_near(penalty(*leaves), squares, f"penalty, seed {program.seed}", 1e-8)
    for i, (mine, other) in enumerate(zip(got, second, strict=True)):
        assert_near(mine, other, f"second derivative by leaf {i}, seed {program.seed}", 1e-8)


@thoroughly(150)
@given(programs(most_steps=8))
def test_float32_programs_stay_float32(program):
    _note(program)
    leaves = [x.astype(np.float32) for x in program.leaves()]
    ours = program.run([Tensor(x, requires_grad=True) for x in leaves])
    theirs = program.run([torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in leaves], theirs=True)
    for i, upstream in program.upstreams(ours).items():
        ours[i].backward(upstream)
        theirs[i].backward(torch.tensor(upstream.astype(np.float32), dtype=torch.float64), retain_graph=True)
    for i, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        assert mine.dtype == np.float32, f"result {i} became {mine.dtype}, seed {program.seed}"
        assert mine.grad is None or mine.grad.dtype == np.float32, f"gradient {i}: {mine.grad.dtype}, {program.seed}"
        scale = 1 + float(np.max(np.abs(_numbers(other)), initial=0))
        assert_near(mine.value / scale, other / scale, f"value of result {i}, seed {program.seed}", 1e-4)
    for mine, other in zip(ours[: len(leaves)], theirs, strict=False):
        if other.grad is not None:
            scale = 1 + float(np.max(np.abs(_numbers(other.grad)), initial=0))
            assert_near(mine.grad / scale, other.grad / scale, f"gradient of a leaf, seed {program.seed}", 1e-3)


def test_a_row_that_is_wrong_by_little_is_noticed(monkeypatch):
    """The comparison is sharp: a gradient of tanh that is 0.01 % too large fails."""
    monkeypatch.setitem(RULES, np.tanh, RULES[np.tanh])
    primitive(np.tanh, lambda g, ans, x: g * (1 - ans * ans) * 1.0001)
    program = Program([(2,)], [("tanh", (0,), {})], 0)
    with pytest.raises(AssertionError, match="gradient of result 0"):
        check_first(program)

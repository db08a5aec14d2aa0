"""Function: operations that users define by a forward and a backward."""

import numpy as np
import pytest

from coursekit.autograd import Function, Tensor, flat, grad, graph, no_grad, value_and_grad

SEEDS = range(5)


def parameter(value):
    return Tensor(value, requires_grad=True)


# --- The Functions of the lectures -----------------------------------------------------------------


class Multiply(Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx, grad):
        x, y = ctx.saved_tensors
        return y * grad, x * grad


class Sigmoid(Function):
    @staticmethod
    def forward(ctx, x):
        s = 1 / (1 + np.exp(-x))
        ctx.save_for_backward(s)
        return s

    @staticmethod
    def backward(ctx, grad):
        (s,) = ctx.saved_tensors
        return grad * s * (1 - s)


class MatMul(Function):
    @staticmethod
    def forward(ctx, X, W):
        ctx.save_for_backward(X, W)
        return X @ W

    @staticmethod
    def backward(ctx, grad):
        X, W = ctx.saved_tensors
        return grad @ W.T, X.T @ grad


class Scale(Function):
    """An option, a number, stands among the arguments."""

    @staticmethod
    def forward(ctx, x, factor, add_one):
        ctx.factor = factor
        return x * factor + (1 if add_one else 0)

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.factor, None, None


# label -> the operation, the shapes of its arguments
LECTURE = {
    "multiply": (Multiply.apply, [(3, 4), (3, 4)]),
    "sigmoid": (Sigmoid.apply, [(3, 4)]),
    "matmul": (MatMul.apply, [(3, 4), (4, 2)]),
    "all of them": (lambda X, W, b: Multiply.apply(Sigmoid.apply(MatMul.apply(X, W)), b), [(3, 4), (4, 2), (3, 2)]),
    "a diamond": (lambda x: Multiply.apply(Sigmoid.apply(x), x) + Multiply.apply(x, x), [(4,)]),
    "among operators of the engine": (lambda x, y: np.exp(Multiply.apply(np.tanh(x), y)) - y, [(2, 3), (2, 3)]),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("label", LECTURE)
def test_first_and_second_derivatives_agree_with_numerical_ones(check, label, seed):
    f, shapes = LECTURE[label]
    rng = np.random.default_rng([seed, 7])
    check(f, [rng.normal(size=shape) for shape in shapes], seed, label)


def test_a_backward_that_is_slightly_wrong_does_not_pass_the_check(check):
    class Wrong(Multiply):
        @staticmethod
        def backward(ctx, grad):
            x, y = ctx.saved_tensors
            return y * grad * 1.0005, x * grad

    rng = np.random.default_rng(0)
    with pytest.raises(AssertionError, match="argument 0"):
        check(Wrong.apply, [rng.normal(size=3), rng.normal(size=3)], 0)


def test_numbers_on_the_slides():
    x, y = parameter(-2.0), parameter(5.0)
    z = Multiply.apply(x, y)
    z.backward(3.0)
    assert (z.item(), x.grad.item(), y.grad.item(), z.grad.item()) == (-10.0, 15.0, -6.0, 3.0)


def test_the_upstream_gradient_may_be_a_scalar_loss_far_away():
    x = np.random.default_rng(1).normal(size=(2, 3))
    s = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(grad(lambda x: np.sum(3 * Sigmoid.apply(x)))(x), 3 * s * (1 - s), rtol=1e-14)


def test_a_third_derivative():
    class Cube(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * grad

    assert grad(grad(grad(Cube.apply)))(2.0) == pytest.approx(6.0)


# --- Arguments -------------------------------------------------------------------------------------


def test_constants_among_the_arguments_get_no_gradient():
    x, constant = parameter([1.0, 2.0]), Tensor([3.0, 4.0])
    for other in np.array([3.0, 4.0]), constant:
        x.grad = None
        Multiply.apply(x, other).backward([10.0, 100.0])
        np.testing.assert_array_equal(x.grad, [30.0, 400.0])
    assert constant.grad is None


@pytest.mark.parametrize("add_one", [False, True])
def test_python_numbers_and_options_arrive_as_they_are_and_may_have_the_gradient_none(add_one):
    x = parameter([1.0, -2.0])
    y = Scale.apply(x, 2.5, add_one)
    np.testing.assert_array_equal(y.value, [2.5 + add_one, -5.0 + add_one])
    y.backward([1.0, 10.0])
    np.testing.assert_array_equal(x.grad, [2.5, 25.0])


def test_forward_is_handed_plain_arrays_and_the_very_options():
    seen = []

    class Look(Function):
        @staticmethod
        def forward(ctx, *args):
            seen.extend(args)
            return args[0] + 0

        @staticmethod
        def backward(ctx, grad):
            return grad, None, None

    x, option = np.ones(3), {"mode": "same"}
    Look.apply(parameter(x), option, "text").backward(np.ones(3))
    assert type(seen[0]) is np.ndarray
    assert seen[1] is option
    assert seen[2] == "text"


def test_a_gradient_for_a_constant_is_ignored():
    w = parameter([2.0, 3.0])
    Multiply.apply(np.array([5.0, 7.0]), w).backward([1.0, 1.0])
    np.testing.assert_array_equal(w.grad, [5.0, 7.0])


def test_attributes_of_ctx_reach_backward():
    x = parameter(3.0)
    Scale.apply(x, 4.0, False).backward(2.0)
    assert x.grad == 8.0


@pytest.mark.parametrize("label", LECTURE)
def test_float32_stays_float32(label):
    f, shapes = LECTURE[label]
    rng = np.random.default_rng(3)
    tensors = [parameter(rng.normal(size=shape).astype(np.float32)) for shape in shapes]
    result = f(*tensors)
    result.backward(rng.normal(size=result.shape))
    assert {result.dtype, *(tensor.grad.dtype for tensor in tensors)} == {np.dtype(np.float32)}


def test_a_float32_argument_beside_a_float64_one_gets_a_float32_gradient():
    x, y = parameter(np.ones(2, np.float32)), parameter(np.ones(2))
    Multiply.apply(x, y).backward([1.0, 2.0])
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)


def test_on_plain_arrays_it_returns_a_plain_array():
    result = Multiply.apply(np.array([2.0]), 3.0)
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, [6.0])


def test_on_constant_tensors_nothing_is_recorded():
    result = Multiply.apply(Tensor([2.0]), Tensor([3.0]))
    assert not result.requires_grad
    np.testing.assert_array_equal(result.value, [6.0])


def test_no_grad_records_nothing():
    x = parameter([2.0])
    with no_grad():
        assert not Multiply.apply(x, x).requires_grad
    assert Multiply.apply(x, x).requires_grad


# --- How often backward is called ------------------------------------------------------------------


@pytest.fixture
def counted():
    class Counted(Function):
        calls = 0

        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx, grad):
            Counted.calls += 1
            x, y = ctx.saved_tensors
            return y * grad, x * grad

    return Counted


def test_backward_is_called_once_for_all_arguments(counted):
    x, y = parameter([2.0, 3.0]), parameter([5.0, 7.0])
    counted.apply(x, y).backward([1.0, 10.0])
    assert counted.calls == 1
    np.testing.assert_array_equal(x.grad, [5.0, 70.0])
    np.testing.assert_array_equal(y.grad, [2.0, 30.0])


def test_backward_is_called_once_however_often_the_result_is_used(counted):
    x = parameter([2.0, 3.0])
    y = counted.apply(x, x)
    (np.sum(y) + np.sum(np.exp(y) * 2) - np.sum(y * y)).backward()
    assert counted.calls == 1
    y0 = np.array([4.0, 9.0])
    np.testing.assert_allclose(x.grad, (1 + 2 * np.exp(y0) - 2 * y0) * 2 * np.array([2.0, 3.0]), rtol=1e-14)


def test_every_use_of_a_function_has_a_context_of_its_own(counted):
    x = parameter(2.0)
    counted.apply(counted.apply(x, 3.0), counted.apply(x, 5.0)).backward()  # 15 x²
    assert x.grad == 60.0
    assert counted.calls == 3


def test_a_second_backward_adds_its_gradients(counted):
    x, y = parameter([2.0]), parameter([3.0])
    z = counted.apply(x, y)
    z.backward([1.0])
    z.backward([10.0])
    assert counted.calls == 2
    np.testing.assert_array_equal(x.grad, [33.0])
    np.testing.assert_array_equal(y.grad, [22.0])


def test_a_second_backward_with_the_same_upstream_array_calls_backward_again(counted):
    x, y, upstream = parameter(np.array(2.0)), parameter(np.array(3.0)), np.array(1.0)
    z = counted.apply(x, y)
    for _ in range(2):
        z.backward(upstream)
    assert (x.grad, y.grad, counted.calls) == (6.0, 4.0, 2)


def test_after_a_failed_backward_the_next_one_is_right():
    class Fails(Multiply):
        broken = True

        @staticmethod
        def backward(ctx, grad):
            x, y = ctx.saved_tensors
            return y * grad, None if Fails.broken else x * grad

    x, y = parameter([2.0]), parameter([3.0])
    z = Fails.apply(x, y)
    upstream = np.array([1.0])
    with pytest.raises(ValueError, match="argument 1"):
        z.backward(upstream)
    Fails.broken = False
    x.grad = y.grad = None
    z.backward(upstream)
    np.testing.assert_array_equal([x.grad, y.grad], [[3.0], [2.0]])


def test_writing_into_a_gradient_leaves_other_gradients_alone():
    class Add(Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, grad):
            return grad, grad

    x, y = parameter([1.0]), parameter([2.0])
    z = Add.apply(x, y)
    z.backward([5.0])
    gradient = x.grad
    gradient *= 100
    np.testing.assert_array_equal([y.grad, z.grad], [[5.0], [5.0]])


# --- Errors ----------------------------------------------------------------------------------------


def function_that(returns, backward=lambda ctx, grad: (grad, grad), **members):
    """Make a Function `Mine` of two arguments with this forward and this backward."""
    methods = {"forward": staticmethod(lambda ctx, x, y: returns(x, y)), "backward": staticmethod(backward)}
    return type("Mine", (Function,), methods | members)


@pytest.mark.parametrize(
    ("returned", "what"),
    [(lambda x, y: None, "NoneType"), (lambda x, y: (x, y), "tuple"), (lambda x, y: [x], "list")],
)
def test_a_forward_that_does_not_return_one_array_is_named(returned, what):
    with pytest.raises(TypeError, match=rf"Mine\.forward must return one array, not {what}"):
        function_that(returned).apply(parameter([1.0]), parameter([1.0]))


@pytest.mark.parametrize(
    ("backward", "message"),
    [
        (lambda ctx, g: g, r"Mine\.backward must return a gradient for each of the 2 arguments .*not 1"),
        (lambda ctx, g: (g,), r"each of the 2 arguments .*not 1"),
        (lambda ctx, g: (g, g, g), r"each of the 2 arguments .*not 3"),
        (lambda ctx, g: None, r"each of the 2 arguments"),
        (lambda ctx, g: (g, None), r"Mine\.backward gave None for argument 1, which needs a gradient"),
        (lambda ctx, g: (None, g), r"Mine\.backward gave None for argument 0, which needs a gradient"),
        (lambda ctx, g: (g[:1], g), r"Mine\.backward gave a gradient of shape \(1,\) for argument 0.* shape \(3,\)"),
        (lambda ctx, g: (g, g[None]), r"gradient of shape \(1, 3\) for argument 1, which has shape \(3,\)"),
        (lambda ctx, g: (g, 0.0), r"gradient of shape \(\) for argument 1, which has shape \(3,\)"),
    ],
)
def test_a_wrong_result_of_backward_is_described(backward, message):
    z = function_that(lambda x, y: x + y, backward).apply(parameter(np.ones(3)), parameter(np.ones(3)))
    with pytest.raises(ValueError, match=message):
        z.backward(np.ones(3))


def test_a_gradient_that_is_not_summed_over_broadcast_axes_is_refused():
    z = function_that(lambda x, b: x + b).apply(parameter(np.ones((2, 3))), parameter(np.ones(3)))
    with pytest.raises(ValueError, match=r"shape \(2, 3\) for argument 1, which has shape \(3,\)"):
        z.backward(np.ones((2, 3)))


def test_without_save_for_backward_nothing_is_saved():
    def backward(ctx, grad):
        x, y = ctx.saved_tensors
        return y * grad, x * grad

    z = function_that(lambda x, y: x * y, backward).apply(parameter([1.0]), parameter([1.0]))
    with pytest.raises(ValueError, match="not enough values to unpack"):
        z.backward([1.0])


@pytest.mark.parametrize("missing", ["forward", "backward"])
def test_a_function_without_forward_or_backward_says_what_it_needs(missing):
    mine = type(
        "Mine",
        (Function,),
        {name: member for name, member in vars(Multiply).items() if name in {"forward", "backward"} - {missing}},
    )
    with pytest.raises(NotImplementedError, match=rf"needs a {missing}\(ctx"):
        mine.apply(parameter([1.0]), parameter([1.0])).backward([1.0])


class SavedIntermediate(Function):
    """sin(x)², which saves something that is neither an argument nor the result."""

    @staticmethod
    def forward(ctx, x):
        s, c = np.sin(x), np.cos(x)
        ctx.save_for_backward(s, c)
        return s * s

    @staticmethod
    def backward(ctx, grad):
        s, c = ctx.saved_tensors
        return grad * 2 * s * c


def test_an_intermediate_array_may_be_saved_for_a_first_derivative():
    x = np.random.default_rng(4).normal(size=3)
    np.testing.assert_allclose(grad(lambda x: np.sum(SavedIntermediate.apply(x)))(x), np.sin(2 * x), rtol=1e-13)


@pytest.mark.parametrize(
    "after",
    [lambda y: np.sum(y), lambda y: np.sum(y * y), lambda y: np.mean(y)],
    ids=["upstream gradient constant", "upstream gradient depends on x", "mean"],
)
def test_a_second_derivative_through_a_saved_intermediate_array_is_refused(after):
    second = grad(lambda x: np.sum(grad(lambda x: after(SavedIntermediate.apply(x)))(x)))
    with pytest.raises(RuntimeError, match=r"second derivative through SavedIntermediate would be wrong.*Save these"):
        second(np.ones(3))


def test_an_intermediate_mask_may_be_saved_for_a_second_derivative():
    class Relu3(Function):
        """max(0, x)³, which saves a mask: the mask is constant, so its gradient is not missed."""

        @staticmethod
        def forward(ctx, x):
            mask = x > 0
            ctx.save_for_backward(x, mask)
            return mask * x**3

        @staticmethod
        def backward(ctx, grad):
            x, mask = ctx.saved_tensors
            return grad * mask * 3 * x**2

    x = np.array([-1.0, 2.0, 0.5])
    second = grad(lambda x: np.sum(grad(lambda x: np.sum(Relu3.apply(x)))(x)))(x)
    np.testing.assert_allclose(second, [0.0, 12.0, 3.0], rtol=1e-14)


# --- In graphs and in flat code --------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("label", LECTURE)
def test_in_flat_code_its_forward_and_its_backward_are_written_out(label, seed):
    f, shapes = LECTURE[label]
    rng = np.random.default_rng([seed, 11])
    examples, fresh = ([rng.normal(size=shape) for shape in shapes] for _ in range(2))
    everything = tuple(range(len(shapes)))

    def loss(*args):
        return np.sum(f(*args) ** 2)

    compiled = flat(loss, *examples)
    namespace = {}
    exec(compiled.source, namespace)
    for args in examples, fresh:
        value, gradients = value_and_grad(loss, argnums=everything)(*args)
        for program in compiled, namespace["loss_and_gradients"]:
            got, got_gradients = program(*args)
            message = f"{label} seed {seed}\n{compiled.source}"
            np.testing.assert_allclose(got, value, rtol=1e-12, err_msg=message)
            for one, other in zip(got_gradients, gradients, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-12, err_msg=message)
    assert "apply" not in compiled.source


def test_in_a_graph_its_forward_is_written_out_and_every_node_has_its_gradient():
    def f(x, y):
        q = Multiply.apply(x, y)
        s = Sigmoid.apply(q)
        return s * x

    drawn = graph(f, -0.5, 2.0)
    x, y = -0.5, 2.0
    s = 1 / (1 + np.exp(1.0))
    assert drawn["q"].value == -1.0
    assert drawn["s"].value == pytest.approx(s)
    assert drawn["s"].grad == pytest.approx(x)
    assert drawn["q"].grad == pytest.approx(x * s * (1 - s))
    assert drawn["x"].grad == pytest.approx(x * s * (1 - s) * y + s)
    assert drawn["y"].grad == pytest.approx(x * s * (1 - s) * x)


def test_in_a_graph_it_adds_no_node_that_nobody_wrote():
    def f(x, y):
        q = Multiply.apply(x, y)
        return q * x

    drawn = graph(f, -0.5, 2.0)
    assert [(node.name, node.operation) for node in drawn][2:] == [("q", "x * y"), ("times", "q * x")]


def test_a_python_number_among_the_arguments_is_written_into_flat_code():
    compiled = flat(lambda x: np.sum(Scale.apply(x, 2.5, True) ** 2), np.ones(3))
    x = np.array([1.0, -2.0, 0.5])
    value, (gradient,) = compiled(x)
    assert value == pytest.approx(np.sum((2.5 * x + 1) ** 2))
    np.testing.assert_allclose(gradient, 5 * (2.5 * x + 1), rtol=1e-14)


def test_a_function_that_decides_by_its_numbers_is_refused_in_flat_code():
    class Branch(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2 if np.sum(x) > 0 else x

        @staticmethod
        def backward(ctx, grad):
            return grad

    with pytest.raises(TypeError, match=r"depends on a number.*np\.where"):
        flat(lambda x: np.sum(Branch.apply(x)), np.ones(3))


# --- Functions that write where they should not ----------------------------------------------------


class InPlaceRelu(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return np.maximum(0, x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        grad[x <= 0] = 0
        return grad


def test_a_backward_may_write_into_the_upstream_gradient_and_spoils_no_other():
    a, b = parameter([-1.0, 2.0]), parameter([5.0, 6.0])
    (InPlaceRelu.apply(a) + b).backward([3.0, 4.0])
    np.testing.assert_array_equal(a.grad, [0, 4])
    np.testing.assert_array_equal(b.grad, [3, 4])
    big = np.random.default_rng(0).normal(size=30_000)
    np.testing.assert_array_equal(grad(lambda x: np.sum(InPlaceRelu.apply(x)))(big), big > 0)


def test_gradients_from_a_function_are_arrays_of_their_own():
    class Twice(Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x + y

        @staticmethod
        def backward(ctx, grad):
            t = 2 * grad
            return t, t

    x, y = parameter([1.0, 2.0]), parameter([3.0, 4.0])
    Twice.apply(x, y).backward([1.0, 10.0])
    x.grad *= 100
    np.testing.assert_array_equal(y.grad, [2, 20])


def test_a_forward_may_not_write_into_its_arguments():
    class Writes(Function):
        @staticmethod
        def forward(ctx, x):
            x[x < 0] = 0
            return x

    x = parameter([-1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        Writes.apply(x)
    np.testing.assert_array_equal(x.value, [-1, 2])


def test_a_second_derivative_through_an_array_kept_on_ctx_is_refused():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.x = x
            return x * x

        @staticmethod
        def backward(ctx, grad):
            return grad * 2 * ctx.x

    assert grad(Square.apply)(3.0) == 6
    with pytest.raises(RuntimeError, match=r"second derivative through Square would be wrong.*kept one on ctx"):
        grad(grad(Square.apply))(3.0)

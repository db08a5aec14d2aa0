"""graph of a circuit of Values."""

import numpy as np
import pytest
from graph_helpers import SEEDS, reused_nodes, squared_error

from coursekit.autograd import Value, grad
from coursekit.tracing import graph


def test_a_circuit_of_values_that_exists_already():
    x, y = Value(3.0), Value(-2.0)
    output = (x * y + x).tanh()
    drawn = graph(output)
    assert [(node.kind, node.operation) for node in drawn] == [
        ("parameter", ""),
        ("parameter", ""),
        ("compute", "x * x_2"),
        ("compute", "times + x"),
        ("compute", "tanh(plus)"),
    ]
    output.backward()
    assert [node.grad for node in drawn] == [
        v.grad for v in (x, y, *[output.inputs[0].inputs[0]], output.inputs[0])
    ] + [1.0]


def test_looking_at_a_circuit_leaves_its_gradients_as_they_were():
    x, y = Value(3.0), Value(-2.0)
    q = x * y
    output = q + x
    output.backward(10.0)
    before = [v.grad for v in (x, y, q, output)]
    drawn = graph(output)
    assert [v.grad for v in (x, y, q, output)] == before == [-10.0, 30.0, 10.0, 10.0]
    assert [node.grad for node in drawn] == [-1.0, 3.0, 1.0, 1.0]
    graph(lambda x, y: x * y, x, y)
    assert [v.grad for v in (x, y, q, output)] == before


def test_numbers_and_values_may_be_mixed_as_examples():
    drawn = graph(lambda x, c: x * c + 1, Value(3.0), 2.0)
    assert drawn["x"].grad == 2.0
    assert drawn.nodes[-1].value == 7.0


def test_constants_stand_in_the_operation():
    def f(x):
        a = 2 * x
        b = a**3
        c = b - 0.5
        d = -c
        return d / -4

    drawn = graph(f, Value(1.0))
    assert [node.operation for node in drawn] == ["", "2 * x", "a ** 3", "b - 0.5", "-c", "d / -4"]
    assert drawn["x"].grad == pytest.approx(6.0)


def test_a_value_from_outside_is_a_node():
    w = Value(5.0)
    drawn = graph(lambda x: x * w + w, Value(2.0))
    outside = next(node for node in drawn if node.value == 5.0)
    assert outside.grad == 3.0
    assert drawn["x"].grad == 5.0
    assert outside.name != "x"
    assert drawn.nodes.index(outside) < drawn.nodes.index(drawn["times"])


def test_an_argument_that_the_result_does_not_depend_on_has_gradient_zero():
    drawn = graph(lambda x, unused: x * x, Value(2.0), Value(3.0))
    assert (drawn["unused"].value, drawn["unused"].grad) == (3.0, 0.0)


def test_every_function_of_values_has_its_name_in_the_operation():
    def f(x):
        a, b, c, d = x.exp(), x.log(), x.sqrt(), x.tanh()
        return a + b + c + d + x.sigmoid() + x.relu() + abs(x)

    operations = {node.operation for node in graph(f, Value(2.0))}
    assert operations >= {f"{name}(x)" for name in ("exp", "log", "sqrt", "tanh", "sigmoid", "relu", "abs")}


@pytest.mark.parametrize("seed", SEEDS)
def test_values_and_arrays_give_the_same_graph(seed):
    numbers = np.random.default_rng(seed).normal(size=4)
    of_values, of_arrays = graph(squared_error, *map(Value, numbers)), graph(squared_error, *numbers)
    assert of_values.edges == of_arrays.edges
    for one, other in zip(of_values, of_arrays, strict=True):
        assert (one.name, one.kind, one.operation) == (other.name, other.kind, other.operation)
        assert (one.value, one.grad) == pytest.approx((other.value, other.grad), rel=1e-14), f"seed {seed}"


def test_a_function_of_values_that_returns_no_value_is_refused():
    with pytest.raises(TypeError, match=r"must return a Value here, not 3\.0"):
        graph(lambda x: 3.0, Value(1.0))


@pytest.mark.slow
def test_a_long_chain_needs_no_recursion():
    def f(x):
        for _ in range(3000):
            x = x + 1.0
        return x

    for number in (Value, float):
        drawn = graph(f, number(0.0))
        assert len(drawn) == 3001
        assert drawn.nodes[0].grad == 1.0


def test_gradients_in_the_graph_are_those_of_grad():
    x = np.random.default_rng(8).normal(size=(3, 3))
    for argnum in (0, 1):
        args = (x, x.T * 0.5)
        np.testing.assert_allclose(
            graph(reused_nodes, *args).nodes[argnum].grad, grad(reused_nodes, argnums=argnum)(*args), rtol=1e-12
        )

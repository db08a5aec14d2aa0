"""graph: the value and the gradient of every node are right."""

import numpy as np
import pytest
from graph_helpers import PROGRAMS, SEEDS, names, parameter, unary_plus

from coursekit.autograd import Tensor
from coursekit.tracing import graph

pytestmark = pytest.mark.slow

# --- Values and gradients of every node ------------------------------------------------------------


def locals_of(f, args):
    """Find the local variables of f at its return by running its lines, without the engine."""
    import inspect
    import textwrap

    lines = textwrap.dedent(inspect.getsource(f)).splitlines()[1:]
    body = textwrap.dedent("\n".join(line for line in lines if not line.strip().startswith("return")))
    namespace = {"np": np, **dict(zip(inspect.signature(f).parameters, args, strict=True))}
    exec(body, namespace)
    result = [line for line in lines if line.strip().startswith("return")][-1].strip().removeprefix("return ")
    return namespace, eval(result, namespace)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("label", PROGRAMS)
def test_named_nodes_have_the_values_and_gradients_of_the_tensors_in_the_program(label, seed):
    f, make = PROGRAMS[label]
    args = make(np.random.default_rng([seed, 1]))
    drawn = graph(f, *args)
    tensors = [parameter(arg) if np.asarray(arg).dtype.kind == "f" else arg for arg in args]
    variables, output = locals_of(f, tensors)
    output.backward()
    for name, tensor in variables.items():
        if isinstance(tensor, Tensor) and any(node.name == name for node in drawn):
            message = f"{label} seed {seed}: {name}\n{drawn}"
            np.testing.assert_allclose(drawn[name].value, tensor.value, rtol=1e-12, err_msg=message)
            # A node that is computed in one step from another, such as a sum from its terms.
            np.testing.assert_allclose(drawn[name].grad, tensor.grad, rtol=1e-12, atol=1e-14, err_msg=message)
    np.testing.assert_allclose(drawn.nodes[-1].value, output.value, rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("label", PROGRAMS)
def test_every_node_is_computed_from_its_inputs_and_its_gradient_says_what_a_change_of_it_does(numerical, label, seed):
    """Run the operations, as text, again in order, with one node changed."""
    f, make = PROGRAMS[label]
    drawn = graph(f, *make(np.random.default_rng([seed, 2])))
    known, checked = set(), 0
    for node in drawn:
        assert set(node.inputs) <= known, f"{label} seed {seed}: {node.name} comes before its inputs\n{drawn}"
        known.add(node.name)

    def result(changed, value):
        namespace = {"np": np}
        for node in drawn:
            namespace[node.name] = eval(node.operation, namespace) if node.operation else np.asarray(node.value)
            if node.name == changed:
                namespace[node.name] = value
        return float(namespace[drawn.nodes[-1].name])

    np.testing.assert_allclose(result(None, None), drawn.nodes[-1].value, rtol=1e-12)
    for node in drawn:
        if node.grad is not None:
            (slope,) = numerical(lambda value, name=node.name: result(name, value), [np.asarray(node.value)])
            message = f"{label} seed {seed}: gradient of {node.name}\n{drawn}"
            np.testing.assert_allclose(node.grad, slope, rtol=1e-5, atol=1e-7, err_msg=message)
            checked += 1
    assert checked >= sum(node.kind == "parameter" for node in drawn) + 1


def test_a_wrong_gradient_of_a_node_would_be_noticed():
    drawn = graph(unary_plus, np.ones(3), np.ones(3))
    drawn["q"].grad = drawn["q"].grad * 1.001
    variables, output = locals_of(unary_plus, [parameter(np.ones(3)), parameter(np.ones(3))])
    output.backward()
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(drawn["q"].grad, variables["q"].grad, rtol=1e-12)


def test_arrays_and_numbers_are_shown_as_they_are():
    drawn = graph(lambda x: np.sum(x * x), np.array([[1.0, 2.0]]))
    assert type(drawn["total"].value) is float
    assert type(drawn["total"].grad) is float
    np.testing.assert_array_equal(drawn["x"].grad, [[2.0, 4.0]])


def test_float32_stays_float32():
    drawn = graph(lambda x: np.sum(x * x), np.ones(3, np.float32))
    assert drawn["x"].grad.dtype == drawn["times"].value.dtype == np.float32


def test_tensors_may_be_examples_and_keep_their_gradients():
    x = parameter([1.0, 2.0])
    x.grad = np.array([7.0, 7.0])
    drawn = graph(lambda x: np.sum(x * x), x)
    np.testing.assert_array_equal(drawn["x"].grad, [2.0, 4.0])
    np.testing.assert_array_equal(x.grad, [7.0, 7.0])


# --- Constants from outside ------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [np.asarray, Tensor], ids=["array", "constant Tensor"])
def test_a_constant_from_outside_is_part_of_the_operation(wrap):
    c = wrap([2.0, 3.0])
    drawn = graph(lambda x: np.sum(x * c), np.array([1.0, 1.0]))
    assert names(drawn) == ["x", "times", "total"]
    assert drawn["times"].operation == "x * np.array([2.0, 3.0])"
    np.testing.assert_array_equal(drawn["x"].grad, [2.0, 3.0])


def test_a_tensor_from_outside_that_requires_a_gradient_disturbs_no_node():
    W = parameter([2.0, 3.0])
    drawn = graph(lambda x: np.sum(x * W * x), np.array([1.0, 10.0]))
    np.testing.assert_array_equal(drawn["x"].grad, [4.0, 60.0])
    np.testing.assert_array_equal(drawn["times"].grad, [1.0, 10.0])
    np.testing.assert_array_equal(drawn["times_2"].grad, [1.0, 1.0])
    assert drawn["total"].grad == 1
    assert W.grad is None

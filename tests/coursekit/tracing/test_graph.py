"""graph: its nodes, their names, edges and texts are those of the computation."""

import json

import numpy as np
import pytest
from graph_helpers import PROGRAMS, names, sigmoid_circuit, squared_error

from coursekit.autograd import Value
from coursekit.tracing import Graph, GraphNode, graph

# --- The circuits of the lectures ------------------------------------------------------------------


def first_circuit(x, y, z):
    q = x + y
    return q * z


def sigmoid_circuit_of_values(w0, x0, w1, x1, w2):
    return (w0 * x0 + w1 * x1 + w2).sigmoid()


@pytest.mark.parametrize("number", [float, Value, np.float64, np.array], ids=["float", "Value", "float64", "array"])
def test_the_first_circuit(number):
    drawn = graph(first_circuit, number(-2.0), number(5.0), number(-4.0))
    assert {node.name: (node.value, node.grad) for node in drawn} == {
        "x": (-2, -4),
        "y": (5, -4),
        "z": (-4, 3),
        "q": (3, -4),
        "times": (-12, 1),
    }
    assert drawn.edges == [("x", "q"), ("y", "q"), ("q", "times"), ("z", "times")]
    assert [node.operation for node in drawn] == ["", "", "", "x + y", "q * z"]


@pytest.mark.parametrize(
    ("circuit", "number"), [(sigmoid_circuit, float), (sigmoid_circuit_of_values, Value)], ids=["array", "Value"]
)
def test_the_sigmoid_neuron(circuit, number):
    drawn = graph(circuit, *map(number, (2.0, -1.0, -3.0, -2.0, -3.0)))
    assert [round(drawn[name].grad, 2) for name in ("w0", "x0", "w1", "x1", "w2")] == [-0.20, 0.39, -0.39, -0.59, 0.20]
    assert round(drawn.nodes[-1].value, 2) == 0.73
    assert drawn.nodes[-1].grad == 1


def test_the_sigmoid_neuron_gate_by_gate():
    drawn = graph(sigmoid_circuit, 2.0, -1.0, -3.0, -2.0, -3.0)
    gates = [(node.operation, round(node.value, 2), round(node.grad, 2)) for node in drawn if node.kind == "compute"]
    assert gates == [
        ("w0 * x0", -2.00, 0.20),
        ("w1 * x1", 6.00, 0.20),
        ("times + times_2", 4.00, 0.20),
        ("plus + w2", 1.00, 0.20),
        ("-plus_2", -1.00, -0.20),
        ("np.exp(neg)", 0.37, -0.53),
        ("1 + exp", 1.37, -0.53),
        ("1 / plus_3", 0.73, 1.00),
    ]


@pytest.mark.parametrize("number", [float, Value], ids=["float", "Value"])
def test_linear_regression_has_inputs_parameters_and_computed_nodes(number):
    drawn = graph(squared_error, *map(number, (3.0, 2.0, 0.5, -1.0)), argnums=(2, 3))
    assert [(node.name, node.kind, node.operation) for node in drawn] == [
        ("x", "input", ""),
        ("y", "input", ""),
        ("w0", "parameter", ""),
        ("w1", "parameter", ""),
        ("u", "compute", "w1 * x"),
        ("y_hat", "compute", "w0 + u"),
        ("z", "compute", "y_hat - y"),
        ("L", "compute", "z * z"),
    ]
    z = 0.5 - 1.0 * 3.0 - 2.0
    values = {"x": 3, "y": 2, "w0": 0.5, "w1": -1, "u": -3, "y_hat": -2.5, "z": z, "L": z * z}
    assert {node.name: node.value for node in drawn} == values
    gradients = {"w0": 2 * z, "w1": 2 * z * 3, "u": 2 * z, "y_hat": 2 * z, "z": 2 * z, "L": 1}
    assert {name: drawn[name].grad for name in gradients} == gradients


def test_an_input_that_is_an_array_has_no_gradient():
    drawn = graph(squared_error, 3.0, 2.0, 0.5, -1.0, argnums=(2, 3))
    assert drawn["x"].grad is None
    assert drawn["y"].grad is None


def test_what_depends_on_inputs_alone_has_no_gradient():
    def f(x, w):
        shifted = x - 1.0
        return np.sum(shifted * w)

    drawn = graph(f, np.ones(3), np.ones(3), argnums=(1,))
    assert drawn["shifted"].grad is None
    assert drawn["shifted"].kind == "compute"


def test_integers_are_inputs_unless_told_otherwise():
    def f(scores, y):
        return np.sum(scores[np.arange(2), y])

    drawn = graph(f, np.ones((2, 3)), np.array([2, 0]))
    assert [node.kind for node in drawn][:2] == ["parameter", "input"]
    with pytest.raises(TypeError, match=r"argument y is int64.*floating-point"):
        graph(f, np.ones((2, 3)), np.array([2, 0]), argnums=(0, 1))


# --- Names -----------------------------------------------------------------------------------------


def test_nodes_are_named_after_arguments_local_variables_and_operations():
    def f(X, W):
        scores = X @ W
        margins = np.maximum(0, scores + 1)
        return np.mean(margins)

    assert names(graph(f, np.ones((2, 3)), np.ones((3, 2)))) == ["X", "W", "scores", "plus", "margins", "mean"]


def test_operations_without_a_name_are_numbered():
    drawn = graph(lambda x: (x + 1.0) * (x + 2.0) * (x + 3.0), 1.0)
    assert names(drawn) == ["x", "plus", "plus_2", "times", "plus_3", "times_2"]


def test_a_variable_that_is_assigned_again_names_its_last_value():
    def f(x):
        h = x + 1.0
        h = h * h
        h = np.exp(h)
        return h * x

    drawn = graph(f, 0.5)
    assert names(drawn) == ["x", "plus", "times", "h", "times_2"]
    assert drawn["h"].operation == "np.exp(times)"


def test_an_argument_that_is_assigned_again_keeps_its_name():
    def f(x):
        x = x * 2.0
        return x * x

    drawn = graph(f, 3.0)
    assert names(drawn) == ["x", "x_2", "times"]
    assert [(node.value, node.grad) for node in drawn] == [(3, 24), (6, 12), (36, 1)]


def test_of_two_names_for_one_value_the_first_stands():
    def f(x):
        h = x + 1.0
        same = h
        return same * h

    assert names(graph(f, 1.0)) == ["x", "h", "times"]


@pytest.mark.parametrize("number", [float, Value], ids=["float", "Value"])
def test_names_are_unique_even_if_the_program_uses_those_that_operations_would_get(number):
    def f(x, times, plus):
        times_2 = x * times
        y = times_2 * plus
        plus_2 = y + x
        return plus_2 + times

    drawn = graph(f, number(1.0), number(2.0), number(3.0))
    assert len(set(names(drawn))) == len(drawn) == 7
    assert drawn["times_2"].operation == "x * times"
    assert drawn["plus_2"].operation == "y + x"


@pytest.mark.parametrize("number", [float, Value], ids=["float", "Value"])
def test_a_local_variable_names_its_own_node_even_if_an_earlier_one_would_get_that_name(number):
    def f(x, y):
        times = (x * y) * x
        plus = (times + x) + y
        return plus * plus

    drawn = graph(f, number(2.0), number(3.0))
    assert drawn["times"].value == 12.0
    assert drawn["plus"].value == 17.0
    assert drawn.nodes[-1].operation == "plus * plus"


def test_the_names_of_a_function_that_is_called_inside_stay_inside():
    def inner(v):
        h = v * v
        return h + 1.0

    def f(x):
        y = inner(x)
        return y * x

    drawn = graph(f, 2.0)
    assert names(drawn) == ["x", "times", "y", "times_2"]


def test_arguments_without_a_name_are_numbered():
    drawn = graph(lambda *xs: xs[0] * xs[1], 2.0, 3.0)
    assert names(drawn)[:2] == ["x1", "x2"]


def test_a_callable_without_source_has_a_graph_too():
    drawn = graph(np.square, 3.0)
    assert drawn.nodes[-1].value == 9
    assert drawn.nodes[0].grad == 6


# --- Structure -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [float, Value], ids=["float", "Value"])
def test_an_edge_for_each_use(number):
    def f(x):
        y = x * x
        return y + x

    drawn = graph(f, number(3.0))
    assert drawn["y"].inputs == ["x", "x"]
    assert drawn.edges == [("x", "y"), ("x", "y"), ("y", "plus"), ("x", "plus")]
    assert drawn["x"].grad == 7


def test_an_array_in_an_index_or_in_a_list_is_an_input_of_the_node():
    def f(x, i):
        both = np.concatenate([x, x])
        return np.sum(both[i])

    drawn = graph(f, np.ones(3), np.array([0, 5]))
    assert drawn["both"].inputs == ["x", "x"]
    assert ("i", "picked") in drawn.edges


def test_nodes_that_the_result_does_not_depend_on_are_left_out_except_arguments():
    def f(x, unused):
        forgotten = np.exp(x)  # noqa: F841
        return x * 2.0

    drawn = graph(f, 1.0, 5.0)
    assert names(drawn) == ["x", "unused", "times"]
    assert drawn["unused"].grad == 0


def test_a_result_that_is_an_argument():
    drawn = graph(lambda x: x, 3.0)
    assert [(node.name, node.value, node.grad) for node in drawn] == [("x", 3, 1)]
    assert drawn.edges == []


def test_a_graph_is_a_sequence_of_its_nodes():
    drawn = graph(first_circuit, -2.0, 5.0, -4.0)
    assert isinstance(drawn, Graph)
    assert all(isinstance(node, GraphNode) for node in drawn)
    assert len(drawn) == len(list(drawn)) == len(drawn.nodes) == 5
    assert drawn["q"] is drawn.nodes[3]


def test_an_unknown_name_is_answered_with_the_known_ones():
    drawn = graph(first_circuit, -2.0, 5.0, -4.0)
    with pytest.raises(KeyError, match="no node is called 'p'; there are x, y, z, q, times"):
        drawn["p"]


@pytest.mark.parametrize(
    "f", [lambda x: np.sum(np.pad(x, 1) ** 2), lambda x: np.sum(np.diag(x) @ x)], ids=["pad", "diag"]
)
def test_operations_are_written_as_numpy_and_not_as_internals_of_the_engine(f):
    for node in graph(f, np.array([2.0, 3.0])):
        assert "coursekit" not in node.operation, node
        assert "operation" not in node.name, node


# --- As data and as text ---------------------------------------------------------------------------


@pytest.mark.parametrize("label", PROGRAMS)
def test_to_dict_is_json(label):
    f, make = PROGRAMS[label]
    drawn = graph(f, *make(np.random.default_rng(0)))
    data = json.loads(json.dumps(drawn.to_dict()))
    assert data.keys() == {"nodes", "edges"}
    assert [tuple(edge) for edge in data["edges"]] == drawn.edges
    for entry, node in zip(data["nodes"], drawn, strict=True):
        assert entry.keys() == {"name", "kind", "operation", "inputs", "value", "grad"}
        assert (entry["name"], entry["kind"], entry["operation"]) == (node.name, node.kind, node.operation)
        assert entry["inputs"] == node.inputs
        np.testing.assert_array_equal(entry["value"], node.value)
        assert (entry["grad"] is None) == (node.grad is None)
        if node.grad is not None:
            np.testing.assert_array_equal(entry["grad"], node.grad)


def test_to_dict_of_values_is_json():
    data = json.loads(json.dumps(graph(first_circuit, Value(-2), Value(5), Value(-4)).to_dict()))
    assert data["nodes"][3] == {
        "name": "q",
        "kind": "compute",
        "operation": "x + y",
        "inputs": ["x", "y"],
        "value": 3.0,
        "grad": -4.0,
    }


def test_the_repr_is_a_table():
    text = repr(graph(squared_error, 3.0, 2.0, 0.5, -1.0, argnums=(2, 3)))
    assert text == "\n".join(
        [
            "node   kind       computed as  value  gradient",
            "x      input                   3",
            "y      input                   2",
            "w0     parameter               0.5    -9",
            "w1     parameter               -1     -27",
            "u      compute    w1 * x       -3     -9",
            "y_hat  compute    w0 + u       -2.5   -9",
            "z      compute    y_hat - y    -4.5   -9",
            "L      compute    z * z        20.25  1",
        ]
    )


def test_in_the_repr_small_arrays_are_written_out_and_large_ones_described():
    text = repr(graph(lambda x, y: np.sum(x) * np.sum(y), np.array([1.0, 1 / 3]), np.ones((20, 30), np.float32)))
    assert "[1.    , 0.3333]" in text
    assert "float32 (20, 30)" in text
    assert len(text.splitlines()) == 1 + 2 + 3


# --- What has no graph -----------------------------------------------------------------------------


def branch(x):
    return x * 2 if x > 0 else x


def loop(x):
    while np.sum(x) < 10:
        x = x * 2
    return np.sum(x)


@pytest.mark.parametrize(
    "f",
    [
        branch,
        loop,
        lambda x: x if np.any(x > 0) else -x,
        lambda x: x * (3 if x == 1 else 4),
        lambda x: x * (2 if np.all(x.value > 0) else 1),
        lambda x: max(x, x * 2),
        lambda x: x * int(x.value),
        lambda x: x * 2 if np.array_equal(x, np.ones(())) else x,
        lambda x: x * 2 if np.allclose(x, 1.0) else x,
    ],
    ids=["if", "while", "any", "==", "value", "max", "int", "array_equal", "allclose"],
)
def test_a_computation_that_depends_on_numbers_is_refused_with_advice(f):
    with pytest.raises(TypeError, match=r"depends on a number.*np\.where"):
        graph(f, 1.0)


@pytest.mark.parametrize(
    ("f", "described"),
    [
        (lambda x: x * 2, r"an array of shape \(3,\)"),
        (lambda x: x.reshape(1, 3), r"an array of shape \(1, 3\)"),
        (lambda x: None, "None"),
        (lambda x: (np.sum(x), 1.0), r"\(.*1\.0\)"),
        (lambda x: 3.0, r"3\.0"),
    ],
)
def test_a_function_that_does_not_return_one_number_is_refused(f, described):
    with pytest.raises(TypeError, match=rf"returned {described}.*of one number that depends on the arguments"):
        graph(f, np.ones(3))


def test_an_error_in_the_function_is_not_swallowed():
    def f(x):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        graph(f, 1.0)


def test_the_profiler_of_others_is_as_it_was():
    import sys

    calls = []

    def profiler(frame, event, arg):
        calls.append(event)

    sys.setprofile(profiler)
    try:
        graph(first_circuit, 1.0, 2.0, 3.0)
        assert sys.getprofile() is profiler
        with pytest.raises(TypeError):
            graph(branch, 1.0)
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)

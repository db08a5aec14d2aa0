"""Diagrams show the numbers of the lectures, say the same in words, and escape what they are given."""

from __future__ import annotations

import html
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from coursekit.autograd import Value
from coursekit.diagrams import (
    Canvas,
    Diagram,
    show_chain,
    show_circuit,
    show_gates,
    show_graph,
    show_layers,
    show_values,
)
from coursekit.tracing import graph

ADD_MUL = "q = x + y\nf = q * z"
NEURON = """
w0x0 = w0 * x0
w1x1 = w1 * x1
sum = w0x0 + w1x1
dot = sum + w2
neg = -dot
exp = np.exp(neg)
plus1 = exp + 1
f = 1 / plus1
"""
NASTY = "</text><script>alert(\"1\")</script> & 'x' \x00 \ud800 ]]>"


def neuron() -> Diagram:
    return show_circuit(NEURON, w0=2, x0=-1, w1=-3, x1=-2, w2=-3, parameters=["w0", "w1", "w2"])


def product(x: float, y: float, z: float) -> float:
    q = x + y
    return q * z


DIAGRAMS: dict[str, Callable[[], Diagram]] = {
    "circuit": lambda: show_circuit(ADD_MUL, x=-2, y=5, z=-4),
    "neuron": neuron,
    "structure": lambda: show_circuit("h = sigmoid(x @ W); L = anything(h, y)", each="statement", caption="A model"),
    "long wires": lambda: show_circuit("a = x + y; b = a * z; c = a + b; d = b * c; f = d * a + z * d", x=1, y=2, z=3),
    "graph": lambda: show_graph(graph(product, -2.0, 5.0, -4.0)),
    "values": lambda: show_values(Value(2.0) * 3.0),
    "gates": lambda: show_gates(add=([3, 4], [2]), copy=([7], [4, 2])),
    "layers": lambda: show_layers([3, 4, 1]),
    "weights": lambda: show_layers([2, 2, 1], weights=[np.eye(2), np.ones((1, 2))], activations=["", "tanh", ""]),
    "chain": lambda: show_chain(["square"], {"x": 3, "y": 9}, {"x": 6, "a": "da"}, parameters={"square": "a"}),
    "nasty texts": lambda: show_chain([NASTY], {NASTY: NASTY, "y": 1}, {NASTY: NASTY}, caption=NASTY),
    "nasty values": lambda: show_circuit("f = x + y", values={"x": NASTY, "f": NASTY}, caption=NASTY),
}


@pytest.fixture(params=list(DIAGRAMS))
def diagram(request: pytest.FixtureRequest) -> Diagram:
    return DIAGRAMS[request.param]()


# ------------------------------------------------------------ every diagram


def test_a_diagram_is_well_formed_and_of_svg_alone(diagram: Diagram) -> None:
    root = ET.fromstring(diagram.svg.encode())
    kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert kinds <= {"svg", "defs", "marker", "path", "rect", "ellipse", "text"}


def test_a_diagram_is_a_figure_with_alt_text_and_a_caption(diagram: Diagram) -> None:
    bundle = diagram._repr_mimebundle_()
    assert bundle["text/html"].startswith("<figure")
    assert "data:image/svg+xml;base64," in bundle["text/html"]
    assert f'alt="{html.escape(diagram.alt)}"' in bundle["text/html"]
    assert "<script" not in bundle["text/html"]
    assert bundle["text/plain"] == f"{diagram.caption}\n{diagram.text}"
    assert repr(diagram) == f"<Diagram: {diagram.caption}>"
    bundle["text/html"].encode()


def test_all_is_on_the_sheet(diagram: Diagram) -> None:
    root = ET.fromstring(diagram.svg.encode())
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    ground = root.find("{*}rect")
    assert ground is not None
    assert ground.attrib == {"width": root.attrib["width"], "height": root.attrib["height"], "fill": "white"}
    for element in root.iter():
        assert 0 <= float(element.get("x", element.get("cx", "0"))) <= width
        assert 0 <= float(element.get("y", element.get("cy", "0"))) <= height


@pytest.mark.parametrize("name", list(DIAGRAMS))
def test_the_same_diagram_is_drawn_the_same(name: str) -> None:
    assert DIAGRAMS[name]().svg == DIAGRAMS[name]().svg


@pytest.mark.parametrize("name", ["neuron", "long wires", "graph"])
def test_no_number_lies_on_another(name: str) -> None:
    places = [(float(text.attrib["x"]), float(text.attrib["y"])) for text in texts(DIAGRAMS[name]())]
    for i, (x, y) in enumerate(places):
        assert not any(abs(x - x2) < 20 and abs(y - y2) < 11 for x2, y2 in places[i + 1 :])


def test_a_diagram_can_be_saved(tmp_path: Path) -> None:
    neuron().save(tmp_path / "neuron.svg")
    assert (tmp_path / "neuron.svg").read_text(encoding="utf-8") == neuron().svg
    with pytest.raises(ValueError, match=r"end in \.svg"):
        neuron().save(tmp_path / "neuron.png")


def test_it_needs_neither_the_engine_nor_matplotlib() -> None:
    code = """
import sys
for name in ("coursekit.autograd", "coursekit.tracing", "matplotlib"):  # missing behind the wall
    sys.modules[name] = None
import coursekit
print(coursekit.diagrams.show_circuit("f = x * y", x=2, y=3).text)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True)
    assert "f = x * y: value 6, gradient 1" in done.stdout


# ------------------------------------------------------------------ circuits


def test_the_circuit_of_the_lecture_has_its_numbers() -> None:
    assert numbers_in(show_circuit(ADD_MUL, x=-2, y=5, z=-4)) == {
        "x": ("−2", "−4"),
        "y": ("5", "−4"),
        "q = x + y": ("3", "−4"),
        "z": ("−4", "3"),
        "f = q * z": ("−12", "1"),
    }


def test_the_neuron_of_the_lecture_has_its_numbers() -> None:
    numbers = {name.partition(" ")[0]: pair for name, pair in numbers_in(neuron()).items()}
    assert numbers == {
        "w0": ("2", "−0.20"),
        "x0": ("−1", "0.39"),
        "w0x0": ("−2", "0.20"),
        "w1": ("−3", "−0.39"),
        "x1": ("−2", "−0.59"),
        "w1x1": ("6", "0.20"),
        "sum": ("4", "0.20"),
        "w2": ("−3", "0.20"),
        "dot": ("1", "0.20"),
        "neg": ("−1", "−0.20"),
        "exp": ("0.37", "−0.53"),
        "plus1": ("1.37", "−0.53"),
        "f": ("0.73", "1"),
    }


def test_the_numbers_are_in_the_drawing_and_in_the_alt_text() -> None:
    drawn = [text.text for text in texts(neuron())]
    for number in ("−0.59", "0.39", "1.37", "−0.53", "w0x0", "exp", "1/( )", "× −1"):
        assert number in drawn
    assert "x1: input, value −2, gradient −0.59" in neuron().alt


def test_the_kinds_of_nodes_differ_in_shape_fill_and_words() -> None:
    svg = ET.fromstring(show_circuit("u = w * x", w=2, x=3, parameters=["w"]).svg)
    w, x = [box for box in svg.findall("{*}rect") if "x" in box.attrib]
    (gate,) = svg.findall("{*}ellipse")
    assert (w.get("rx"), x.get("rx")) == ("10", "0")
    assert len({w.get("fill"), x.get("fill"), gate.get("fill")}) == 3
    told = show_circuit("u = w * x", w=2, x=3, parameters=["w"])
    assert "w: parameter" in told.text
    assert "x: input" in told.text
    assert "parameters round and yellow" in told.caption


def test_a_nested_expression_has_nodes_without_a_name() -> None:
    told = show_circuit("f = (x + y) * z + exp(-x)", x=1, y=2, z=3, decimals=4)
    assert list(numbers_in(told)) == [
        "x",
        "y",
        "(x + y)",
        "z",
        "((x + y) * z)",
        "(-x)",
        "(exp(-x))",
        "f = (x + y) * z + exp(-x)",
    ]
    assert numbers_in(told)["x"] == ("1", "2.6321")


def test_the_same_expression_twice_is_two_nodes() -> None:
    assert list(numbers_in(show_circuit("f = (x + 1) * (x + 1)", x=2))) == [
        "x",
        "(x + 1)",
        "(x + 1)′",
        "f = (x + 1) * (x + 1)",
    ]


def test_a_value_that_is_used_twice_collects_its_gradient() -> None:
    assert numbers_in(show_circuit("q = x + y; f = q * x", x=3, y=-1))["x"] == ("3", "5")
    assert numbers_in(show_circuit("f = x * x", x=3))["x"] == ("3", "6")


def test_a_statement_may_be_one_node() -> None:
    told = show_circuit("u = w0 + w1 * x; p = sigmoid(u)", each="statement", w0=-1, w1=1, x=2, decimals=4)
    assert list(numbers_in(told)) == ["w0", "w1", "x", "u = w0 + w1 * x", "p = sigmoid(u)"]
    assert numbers_in(told)["u = w0 + w1 * x"] == ("1", "0.1966")


@pytest.mark.parametrize(
    ("expression", "at", "gradient"),
    [
        ("x ** 3", 2.0, "12"),
        ("log(x)", 1e-9, "1e+09"),
        ("1 / x", 1e-3, "−1e+06"),
        ("x * 1e6", 1e-9, "1e+06"),
        ("max(x, 3)", 2.0, "0"),
        ("max(x, 3)", 4.0, "1"),
        ("abs(x)", -2.0, "−1"),
        ("sqrt(x)", 4.0, "0.2500"),
        ("np.maximum(0, x)", 1e6, "1"),
        ("sigmoid(x)", 1000.0, "0"),
        ("-x / 4", 1.0, "−0.2500"),
        ("x - 2", 1.0, "1"),
        ("x + 1000", 1e-9, "1.0000"),
        ("x ** 2 + 1000", 1e-2, "0.0200"),
        ("0 * x + 1e6", 1.0, "0"),
        ("exp(x)", 1000.0, "nan"),
        ("log(x)", -0.0, None),
    ],
)
def test_gradients_are_measured_well(expression: str, at: float, gradient: str | None) -> None:
    if gradient is None:
        with pytest.raises(ValueError, match=r"f = log\(x\) cannot be computed: math domain error"):
            show_circuit(f"f = {expression}", x=at)
    else:
        assert numbers_in(show_circuit(f"f = {expression}", x=at, decimals=4))["x"][1] == gradient


def test_random_circuits_agree_with_the_engine() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b, c = rng.normal(size=3)
        drawn = show_circuit("u = a * b + tanh(c); f = u * exp(a) - c * u", a=a, b=b, c=c, decimals=5)
        (value, grads) = value_and_grads(a, b, c)
        told = numbers_in(drawn)
        assert float(told["f = u * exp(a) - c * u"][0].replace("−", "-")) == pytest.approx(value, abs=1e-5)
        for name, expected in zip("abc", grads, strict=True):
            assert float(told[name][1].replace("−", "-")) == pytest.approx(expected, abs=1e-5)


def test_what_is_shown_may_be_chosen() -> None:
    assert numbers_in(show_circuit(ADD_MUL, x=-2, y=5, z=-4, gradients=False))["q = x + y"] == ("3", "")
    some = numbers_in(show_circuit(ADD_MUL, x=-2, y=5, z=-4, gradients=["q"], values=False))
    assert some["q = x + y"] == ("", "−4")
    assert some["x"] == ("", "")
    assert numbers_in(show_circuit(ADD_MUL)) == dict.fromkeys(["x", "y", "q = x + y", "z", "f = q * z"], ("", ""))


def test_a_students_own_numbers_are_shown_as_they_are() -> None:
    own = show_circuit(ADD_MUL, x=-2, y=5, z=-4, values={"q": 4}, gradients={"x": np.array([7.5]), "y": None})
    assert numbers_in(own) == {
        "x": ("−2", "7.50"),
        "y": ("5", "?"),
        "q = x + y": ("4", ""),
        "z": ("−4", ""),
        "f = q * z": ("?", ""),
    }


@pytest.mark.parametrize("odd", [np.zeros((2, 3)), object(), [1, 2], {}, float("nan"), True, NASTY])
def test_whatever_a_students_function_returned_can_be_drawn(odd: object) -> None:
    ET.fromstring(show_circuit("f = x * x", x=1, values={"f": odd}, gradients={"x": odd}).svg)


@pytest.mark.parametrize(
    ("text", "numbers", "message"),
    [
        ("", {}, 'nothing is computed; write for example "q = x \\+ y"'),
        ("q = x +", {}, r"line 1, 'q = x \+', is not a statement"),
        ("q = x + y\nprint(q)", {}, r"line 2, 'print\(q\)', is not of the form name = expression"),
        ("q += x", {}, "not of the form"),
        ("a, b = x, y", {}, "not of the form"),
        ("f = x if y else z", {}, "'x if y else z' is not an operation of a circuit"),
        ("f = x[0]", {}, "not an operation"),
        ("f = os.system(x)", {}, "not an operation"),
        ("f = exp(x=1)", {}, "not an operation"),
        ("f = 'text' + x", {}, "not an operation"),
        ("f = q * z\nq = x + y", {}, "q is used before it is computed"),
        ("f = x\nf = y", {}, "f is computed twice"),
        ("f = x + y", {"x": 1}, "no number for y; write y=1.0"),
        ("f = x + y", {"x": 1, "y": 2, "z": 3}, "z is not an input of this circuit; its inputs are x, y"),
        ("f = x + y", {"x": 1, "y": 2, "f": 3}, "f is not an input"),
        ("f = x + y", {"x": "one", "y": 2}, "x is a number, or left out, not 'one'"),
        ("f = x / y", {"x": 1, "y": 0}, "f = x / y cannot be computed: .*zero.* Try other numbers"),
        ("f = x ** 0.5", {"x": -1}, "whole powers only"),
        ("f = x @ y", {"x": 1, "y": 2}, "multiplies matrices"),
        ("f = swish(x)", {"x": 1}, "no function swish here; there are .*sigmoid"),
        ("f = exp(x, x)", {"x": 1}, "exactly one argument"),
        ("f = x + y", {"parameters": ["w"]}, "parameters names w, but the circuit has only x, y, f"),
        ("f = x + y", {"parameters": ["f"]}, "f is computed; only inputs can be parameters"),
        ("f = x + y", {"values": {"w": 1}}, "values names w"),
        ("f = x + y", {"gradients": ["w"]}, "gradients names w"),
        ("f = x + y", {"each": "node"}, "each is"),
        ("f = " + " + ".join(f"x{i}" for i in range(99)), {}, "197 nodes cannot be read in one picture"),
    ],
)
def test_what_is_not_a_circuit_is_named(text: str, numbers: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        show_circuit(text, **numbers)


def test_a_tower_of_powers_is_infinite_at_once() -> None:
    assert numbers_in(show_circuit("f = x * 9 ** 9 ** 9", x=1))["f = x * 9 ** 9 ** 9"][0] == "inf"


# --------------------------------------------------------- graphs and values


def test_a_graph_is_drawn_with_the_same_numbers_as_its_text() -> None:
    drawn, measured = (
        show_graph(graph(product, -2.0, 5.0, -4.0)),
        show_circuit("q = x + y; times = q * z", x=-2, y=5, z=-4),
    )
    assert {name.split()[0]: pair for name, pair in numbers_in(drawn).items()} == {
        name.split()[0]: pair for name, pair in numbers_in(measured).items()
    }


def test_a_graph_on_the_last_line_of_a_cell_is_drawn_and_keeps_its_text() -> None:
    recorded = graph(product, -2.0, 5.0, -4.0)
    bundle = recorded._repr_mimebundle_()
    assert "<figure" in bundle["text/html"]
    assert bundle["text/plain"] == repr(recorded)


def test_a_graph_that_is_too_large_keeps_to_its_text() -> None:
    def long(x: float) -> float:
        for _ in range(100):
            x = x + 1.0
        return x

    recorded = graph(long, 1.0)
    assert recorded._repr_mimebundle_() == {"text/plain": repr(recorded)}
    with pytest.raises(ValueError, match="101 nodes cannot be read"):
        show_graph(recorded)


def test_a_graph_of_arrays_shows_shapes() -> None:
    def loss(W: np.ndarray, x: np.ndarray) -> float:
        return np.sum(np.maximum(0, x @ W) ** 2)

    told = show_graph(graph(loss, np.ones((3, 2)), np.ones((4, 3)), argnums=[0])).text
    assert "W: parameter, value (3, 2), gradient (3, 2)" in told
    assert "x: input, value (4, 3)\n" in told


def test_values_are_drawn_with_the_gradients_that_are_in_them() -> None:
    class Own:
        def __init__(self, value: float, *inputs: Own) -> None:
            self.value, self.inputs, self.grad = value, inputs, 0.5

    x = Own(2.0)
    assert show_values(Own(4.0, x, x), x=x).text == "x: input, value 2, gradient 0.50\na node: value 4, gradient 0.50"
    with pytest.raises(TypeError, match="3 has no value; it needs value, grad and inputs"):
        show_values(3)


def test_a_value_that_is_its_own_input_is_refused() -> None:
    class Loop:
        value = grad = 1.0

        @property
        def inputs(self) -> list[Loop]:
            return [Loop()]

    with pytest.raises(ValueError, match="more than 60 nodes"):
        show_values(Loop())


# --------------------------------------------------- gates, networks, chains


def test_gates_do_what_the_lecture_says() -> None:
    told = show_gates(add=([3, 4], [2]), multiply=([2, 3], [5]), copy=([7], [4, 2]), max=([4, 5], [9])).text
    assert "gradients 2 coming back, 2 and 2 passed on" in told
    assert "gradients 5 coming back, 15 and 10 passed on" in told
    assert "gradients 4 and 2 coming back, 6 passed on" in told
    assert "gradients 9 coming back, 0 and 9 passed on" in told


def test_every_unit_is_joined_to_all_of_the_next_layer() -> None:
    svg = ET.fromstring(show_layers([3, 4, 2]).svg)
    assert len(svg.findall("{*}path")) == 3 * 4 + 4 * 2
    assert len(svg.findall("{*}ellipse")) == 9


def test_weights_stand_on_their_arrows() -> None:
    told = show_layers([2, 2, 1], weights=[[[1, -3], [0.2, 1]], [[1, -1]]]).text
    assert "1 to 3: 1, 1 to 4: 0.20, 2 to 3: −3, 2 to 4: 1, 3 to 5: 1, 4 to 5: −1" in told


def test_a_chain_lists_a_few_numbers_and_of_many_the_shape() -> None:
    told = show_chain(["tanh"], {"a": np.array([0.7, 0.3]), "b": np.zeros((9, 9))}, {"a": np.array([[-0.1187], [1]])})
    assert told.text == "a: value 0.7000, 0.3000, gradient −0.1187, 1.0000\ntanh\nb: value (9, 9)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: show_gates(), "draw one or some of add, multiply, copy, max"),
        (lambda: show_gates(divide=([1, 2], [3])), "draw one or some of"),
        (lambda: show_gates(add=([1, 2, 3], [4])), r"add is written like add=\(\[3, 4\], \[2\]\)"),
        (lambda: show_gates(copy=([1, 2], [4])), "copy is written like"),
        (lambda: show_layers([3]), "two or more layers"),
        (lambda: show_layers([3, 0]), "1 to 20 units"),
        (lambda: show_layers([9, 1], weights=[np.ones((1, 9))]), "up to 4 units"),
        (lambda: show_layers([3, 2], weights=[np.ones((3, 2))]), r"the shapes \[\(2, 3\)\], transposed from X @ W"),
        (lambda: show_layers([3, 2], weights=[1.0]), "weights holds matrices"),
        (lambda: show_layers([3, 2], activations=["relu"]), "1 entries for 2 layers"),
        (lambda: show_chain(["tanh"], {"x": 1}), "1 operations have 2 values around them, not 1"),
        (lambda: show_chain(["tanh"], {"x": 1, "y": 2}, {"z": 3}), "gradients names 'z', but there are only x, y"),
        (lambda: show_chain(["tanh"], {"x": 1, "y": 2}, parameters={"W": "W"}), "parameters names 'W'"),
    ],
)
def test_a_bad_argument_is_named(call: Callable[[], Diagram], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# -------------------------------------------------------------------- canvas


def test_a_canvas_shows_words_as_they_are_and_colours_cannot_break_out() -> None:
    canvas = Canvas(100, 50)
    canvas.text(10, 10, NASTY, colour='red"/><script>', anchor='"><script>')
    canvas.box(10, 20, NASTY, fill='"><script>')
    canvas.circle(30, 20, NASTY, fill='"><script>')
    canvas.line(0, 0, 9, 9, 'red"><script>', tip=True)
    diagram = canvas.diagram(caption=NASTY, alt=NASTY)
    root = ET.fromstring(diagram.svg.encode())
    assert not [element for element in root.iter() if "script" in element.tag]
    assert [text.text for text in texts(diagram)] == [NASTY.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")] * 3


def test_an_arrow_has_a_tip_of_its_own_colour() -> None:
    canvas = Canvas(100, 50)
    for colour in ("red", "blue", "red"):
        canvas.line(0, 0, 50, 0, colour, tip=True)
    svg = canvas.diagram(caption="Arrows", alt="Three arrows.").svg
    assert re.findall(r'marker id="(\w+)".*?fill="(\w+)"', svg) == [("tip0", "red"), ("tip1", "blue")]
    assert re.findall(r"url\(#(\w+)\)", svg) == ["tip0", "tip1", "tip0"]


# ------------------------------------------------------------------- helpers


def texts(diagram: Diagram) -> list[ET.Element]:
    return ET.fromstring(diagram.svg.encode()).findall("{*}text")


def numbers_in(diagram: Diagram) -> dict[str, tuple[str, str]]:
    """Map the subject of each line of text to its value and gradient."""
    found = {}
    for line in diagram.text.splitlines():
        name, _, said = line.partition(": ")
        pair = dict.fromkeys(("value", "gradient"), "")
        for part in said.split(", "):
            word, _, number = part.partition(" ")
            if word in pair:
                pair[word] = number
        found[name] = (pair["value"], pair["gradient"])
    return found


def value_and_grads(a: float, b: float, c: float) -> tuple[float, list[float]]:
    def f(a: float, b: float, c: float) -> float:
        u = a * b + np.tanh(c)
        return u * np.exp(a) - c * u

    nodes = graph(f, float(a), float(b), float(c))
    return nodes.nodes[-1].value, [nodes[name].grad for name in "abc"]

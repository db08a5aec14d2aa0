"""LossCurve records, draws and describes a loss, and never disturbs the training loop."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import time
import warnings
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import ipywidgets
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import coursekit
from coursekit.widgets import LossCurve
from coursekit.widgets.curve import running_mean

NAN, INF = float("nan"), float("inf")
VIEW = "application/vnd.jupyter.widget-view+json"
SVG = "{http://www.w3.org/2000/svg}"


# ------------------------------------------------------------------ recording


def test_history_holds_every_loss_as_a_float() -> None:
    curve = LossCurve()
    curve.append(2.5)
    curve.append(np.float32(0.5))
    curve.append(np.array(3))
    curve.extend([np.array([1.0]), np.array([[4.0]]), 7])
    assert curve.history == [2.5, 0.5, 3.0, 1.0, 4.0, 7.0]
    assert {type(loss) for loss in curve.history} == {float}


def test_a_tensor_is_recorded_by_its_value() -> None:
    class Tensor:
        value = np.array(1.5)

    curve = LossCurve()
    curve.append(Tensor())
    assert curve.history == [1.5]


@pytest.mark.parametrize("loss", [None, "2.0", [1.0, 2.0], np.zeros(3), np.zeros(0), 1j, True])
def test_what_is_not_one_number_is_refused_and_not_recorded(loss: object) -> None:
    curve = LossCurve()
    with pytest.raises(TypeError, match="a loss is one number, not"):
        curve.append(loss)
    with pytest.raises(TypeError, match="a loss is one number, not"):
        curve.extend([1.0, loss])
    assert curve.history == []


def test_reset_forgets() -> None:
    curve = LossCurve()
    curve.extend([1.0, NAN])
    curve.reset()
    assert curve.history == []
    assert "No losses yet" in repr(curve)


def test_history_cannot_be_changed_from_outside() -> None:
    curve = LossCurve()
    curve.extend([1.0, 2.0])
    curve.history.clear()
    assert curve.history == [1.0, 2.0]


def test_watch_returns_the_very_result_and_records_its_loss() -> None:
    def loss_function(W: Any, X: Any, y: Any, reg: float = 0.0) -> tuple[float, Any]:
        "Says what it does."
        return 3.0 + reg, gradient

    gradient = np.ones(4)
    result = (NAN, gradient)
    curve = LossCurve()
    watched = curve.watch(loss_function)
    loss, dW = watched(1, 2, 3, reg=0.5)
    assert loss == 3.5
    assert dW is gradient
    assert curve.watch(lambda: result)() is result
    assert curve.watch(lambda: 2.0)() == 2.0
    np.testing.assert_array_equal(curve.history, [3.5, NAN, 2.0])
    assert (watched.__name__, watched.__doc__) == ("loss_function", "Says what it does.")


def test_watch_names_a_function_that_returns_no_loss() -> None:
    def svm_loss() -> None: ...

    with pytest.raises(TypeError, match=r"svm_loss should return a loss, or \(loss, gradient\).*None"):
        LossCurve().watch(svm_loss)()
    with pytest.raises(TypeError, match="takes a loss function"):
        LossCurve().watch(3.0)


def test_an_error_in_the_loss_function_is_its_own() -> None:
    def broken() -> float:
        raise ZeroDivisionError("mine")

    curve = LossCurve()
    with pytest.raises(ZeroDivisionError, match="mine"):
        curve.watch(broken)()
    assert curve.history == []


# -------------------------------------------------------------------- drawing


def test_the_curve_goes_through_the_losses() -> None:
    curve = LossCurve()
    curve.extend([0.0, 10.0, 5.0])
    (x0, y0), (x1, y1), (x2, y2) = points(curve)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y2 == pytest.approx((y0 + y1) / 2, abs=0.2)
    assert y1 < y2 < y0, "up is less in SVG"


def test_a_log_scale_turns_factors_into_distances() -> None:
    curve = LossCurve(log=True)
    curve.extend([100.0, 10.0, 1.0])
    (_, y0), (_, y1), (_, y2) = points(curve)
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.2)
    assert "loss (log scale)" in texts(curve)
    assert {"1", "10", "100"} <= set(texts(curve))


@pytest.mark.parametrize("window", [1, 2, 5, 100])
def test_smoothing_is_the_mean_of_the_last_losses(window: int) -> None:
    losses = np.random.default_rng(0).standard_normal(30)
    expected = [losses[max(0, i - window + 1) : i + 1].mean() for i in range(len(losses))]
    np.testing.assert_allclose(running_mean(losses, window), expected, rtol=1e-12)


def test_smoothing_stays_exact_after_a_huge_loss() -> None:
    losses = np.array([1e12, 1e-6, 3e-6, 5e-6])
    np.testing.assert_allclose(running_mean(losses, 2)[2:], [2e-6, 4e-6], rtol=1e-12)
    assert np.isfinite(running_mean(np.full(4, 1e300), 3)).all()


def test_smoothing_leaves_out_what_is_nan() -> None:
    np.testing.assert_array_equal(running_mean(np.array([2.0, NAN, 4.0]), 3), [2.0, NAN, 3.0])


def test_smoothing_draws_both_the_losses_and_their_mean() -> None:
    curve = LossCurve(smooth=3)
    curve.extend([1.0, 2.0, 3.0])
    assert len(curves(curve)) == 2
    assert "mean of the last 3 losses" in repr(curve)


def test_a_nan_leaves_a_gap_and_is_told_with_its_iteration() -> None:
    curve = LossCurve()
    curve.extend([3.0] * 37 + [NAN] + [2.0] * 3)
    assert curves(curve)[0].count("M") == 2, "the line is lifted once"
    assert "The loss became nan at iteration 37 (1 of the losses is not finite)." in repr(curve)
    assert "nan" in texts(curve)


@pytest.mark.parametrize(
    "losses",
    [
        [],
        [1.0],
        [NAN],
        [INF, -INF],
        [0.0, 0.0],
        [-1.0, -2.0],
        [1e308, -1e308],
        [5e-324, 1e-323],
        [1e-8, 1e10],
        [3.0, 3.0 + 1e-12],
        list(np.linspace(5, 1, 5000)),
        [NAN] * 5000,
    ],
)
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("smooth", [1, 7])
def test_any_history_can_be_drawn_without_a_warning(losses: list[float], log: bool, smooth: int) -> None:
    # NumPy as strict as a student may have set it; warnings would go to stderr.
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        curve = LossCurve(log=log, smooth=smooth, every=0)
        curve.extend(losses)
        root = svg(curve)
    numbers = re.findall(r"-?[\d.]+", " ".join(curves(curve)))
    assert all(-1 <= float(number) <= 561 for number in numbers), "inside the picture"
    assert not re.search(r"nan|inf", " ".join(curves(curve)))
    assert root.get("role") == "img"


def test_a_log_scale_tells_what_it_cannot_show() -> None:
    curve = LossCurve(log=True)
    curve.extend([1.0, 0.0, -1.0])
    assert "cannot show losses that are not positive (2 here)" in repr(curve)


def test_a_long_history_keeps_its_spikes_in_a_small_picture() -> None:
    losses = np.ones(100_000)
    losses[[12_345, 70_001]] = [9.0, NAN]
    curve = LossCurve()
    curve.extend(losses)
    heights = [y for _, y in points(curve)]
    assert min(heights) < max(heights) - 100, "the spike"
    assert curves(curve)[0].count("M") == 2, "the gap"
    assert len(curve._picture.value) < 40_000


def test_drawing_waits_for_its_turn() -> None:
    curve = LossCurve(every=60)
    curve.append(1.0)
    drawn = curve._picture.value
    for loss in range(1000):
        curve.append(loss)
    assert curve._picture.value == drawn
    assert "1 iteration" in drawn, "but the first loss is drawn at once"
    eager = LossCurve(every=0)
    eager.append(1.0)
    time.sleep(max(0.0, eager._draw_after - time.monotonic()))  # a slow drawing is given a longer pause
    eager.append(2.0)
    assert "2 iterations" in eager._picture.value


def test_the_axis_of_iterations_counts_in_whole_numbers() -> None:
    curve = LossCurve()
    curve.extend([5.25, 4.25, 3.25])
    assert [text for text in texts(curve) if text in {"0", "1", "2"}] == ["0", "1", "2"]
    assert "0.5" not in texts(curve)


# -------------------------------------------------------------------- telling


def test_the_bundle_holds_the_widget_a_figure_and_words() -> None:
    curve = LossCurve("On digits")
    curve.extend([2.0, 0.25, 0.5])
    bundle = curve._repr_mimebundle_()
    words = "3 iterations; first loss 2, last 0.5, smallest 0.25 at iteration 1."
    assert isinstance(curve, ipywidgets.VBox)
    assert bundle[VIEW]["model_id"] == curve.model_id
    assert bundle["text/plain"] == repr(curve) == f"LossCurve('On digits'): {words}"
    html = bundle["text/html"]
    assert f"<figcaption>On digits: {words}</figcaption>" in html
    assert re.search(rf'<img src="data:image/svg\+xml;base64,[^"]+" alt="On digits: [^"]*{words}"', html)


def test_the_picture_has_a_name_and_a_description() -> None:
    curve = LossCurve("On digits")
    curve.append(2.0)
    for root in (svg(curve), ET.fromstring(re.search(r"<svg.*</svg>", curve._picture.value)[0])):
        named = [root.find(f"{SVG}{tag}") for tag in ("title", "desc")]
        assert [element.text for element in named] == ["On digits", curve._words()]
        assert root.get("aria-labelledby").split() == [element.get("id") for element in named]


def test_the_words_stand_beside_the_live_picture_too() -> None:
    curve = LossCurve()
    curve.append(2.0)
    assert re.search(r"<p [^>]*>1 iteration; first loss 2,", curve._picture.value)


def test_a_title_cannot_break_the_html() -> None:
    curve = LossCurve('<script>alert("x")</script> & co')
    html = curve._repr_mimebundle_()["text/html"] + curve._picture.value
    assert "<script" not in html
    assert svg(curve).find(f"{SVG}title").text == '<script>alert("x")</script> & co'


def test_the_controls_are_native_labelled_and_redraw() -> None:
    curve = LossCurve(every=60)
    curve.extend([1.0, 10.0, 100.0])
    box, number = curve.children[1].children
    assert (type(box), box.description) == (ipywidgets.Checkbox, "Log scale")
    assert (type(number), number.description) == (ipywidgets.BoundedIntText, "Average over the last")
    box.value = True
    assert "loss (log scale)" in curve._picture.value
    number.value = 2
    assert "mean of the last 2 losses" in curve._picture.value


@pytest.mark.parametrize("arguments", [{"smooth": 0}, {"smooth": 1.5}, {"smooth": True}, {"every": -1}])
def test_a_bad_argument_is_named(arguments: dict[str, Any]) -> None:
    (name,) = arguments
    with pytest.raises(ValueError, match=f"LossCurve: {name} is"):
        LossCurve(**arguments)


# ------------------------------------------------------------ the with-block


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_ends_the_block_goes_on_and_is_told(error: type[BaseException]) -> None:
    def train() -> None:
        with curve:
            curve.extend([2.0, 1.0])
            curve.append(0.5)
            raise error

    curve = LossCurve(every=60)
    with pytest.raises(error):
        train()
    assert f"Stopped by {error.__name__}." in repr(curve)
    assert "3 iterations" in curve._picture.value, "the picture is up to date"
    with curve:
        curve.append(0.25)
    assert "Stopped" not in repr(curve)


def test_an_exercise_that_is_not_written_yet_leaves_no_empty_plot() -> None:
    with pytest.raises(NotImplementedError), LossCurve() as curve:
        raise NotImplementedError
    assert curve.layout.display == "none"
    curve = LossCurve()
    curve.append(1.0)
    with pytest.raises(NotImplementedError), curve:
        raise NotImplementedError
    assert curve.layout.display is None
    assert "Stopped by NotImplementedError" in repr(curve)


def test_a_plain_script_gets_the_words() -> None:
    script = (
        "from coursekit.widgets import LossCurve\n"
        "with LossCurve('In a script') as curve:\n"
        "    curve.extend([2.0, 1.0])\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == ("LossCurve('In a script'): 2 iterations; first loss 2, last 1, smallest 1 at iteration 1.\n")


@pytest.fixture(scope="module")
def notebook() -> nbformat.NotebookNode:
    """Execute three cells in a kernel, as a grader or an export does."""
    cells = [
        "from coursekit.widgets import LossCurve\n"
        "with LossCurve('First', every=60) as curve:\n"
        "    f = curve.watch(lambda t: (1 / (t + 1), None))\n"
        "    for t in range(50): f(t)\n",
        "bare = LossCurve('Second', every=60)\nbare.append(8.0)\ndisplay(bare)\nbare.append(4.0)\n",
        "with LossCurve('Third') as curve:\n    curve.append(1.0)\n    raise KeyboardInterrupt\n",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    folder = str(Path(coursekit.__file__).parents[1])
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        allow_errors=True,
        store_widget_state=False,
        resources={"metadata": {"path": folder}},
    )
    return client.execute()


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (0, "First: 50 iterations; first loss 1, last 0.02, smallest 0.02 at iteration 49."),
        (1, "Second: 2 iterations; first loss 8, last 4, smallest 4 at iteration 1."),
        (
            2,
            "Third: 1 iteration; first loss 1, last 1, smallest 1 at iteration 0. Stopped by KeyboardInterrupt.",
        ),
    ],
)
def test_the_saved_notebook_holds_the_finished_figure_once(
    notebook: nbformat.NotebookNode, cell: int, told: str
) -> None:
    shown = [o.data for o in notebook.cells[cell].outputs if o.output_type == "display_data"]
    assert [VIEW in data for data in shown] == [True, False], "the widget, then the figure"
    assert [data["text/html"].count("<figure") for data in shown] == [0, 1], "HTML exports show one figure"
    assert f"<figcaption>{told}</figcaption>" in shown[1]["text/html"]
    assert told.partition(": ")[2] in shown[1]["text/plain"]


def test_the_notebook_has_no_other_output(notebook: nbformat.NotebookNode) -> None:
    others = [o for cell in notebook.cells for o in cell.outputs if o.output_type != "display_data"]
    assert [(o.output_type, o.get("ename")) for o in others] == [("error", "KeyboardInterrupt")]


# ------------------------------------------------------------------- looking


def svg(curve: LossCurve) -> ET.Element:
    """Return the picture in the figure that is stored."""
    found = re.search(r"svg\+xml;base64,([^\"]+)", curve._repr_mimebundle_()["text/html"])
    assert found is not None
    return ET.fromstring(base64.b64decode(found[1]))


def texts(curve: LossCurve) -> list[str | None]:
    return [text.text for text in svg(curve).iter(f"{SVG}text")]


def curves(curve: LossCurve) -> list[str]:
    """Return the path of each line, the pale one first."""
    return [path.get("d", "") for path in svg(curve).iter(f"{SVG}path") if path.get("stroke-linecap")]


def points(curve: LossCurve) -> list[tuple[float, float]]:
    pairs = re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", curves(curve)[-1])
    return [(float(x), float(y)) for x, y in pairs]

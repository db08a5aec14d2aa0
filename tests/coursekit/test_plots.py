"""The pictures are small, are drawn once, and have a description in words."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from coursekit import plots
from coursekit.data import digit_images, spirals

pytestmark = pytest.mark.slow

DIVERGED = [2.0, 5.0, float("inf"), float("nan")]


IMAGES, LABELS = digit_images()
X, Y = spirals(n_per_class=20)
RNG = np.random.default_rng(0)


def bowl(point: np.ndarray) -> float:
    assert point.shape == (2,)
    return float(point @ point)


PICTURES: dict[str, Callable[[], plots.Picture]] = {
    "digits": lambda: plots.show_digits(IMAGES[:25], LABELS[:25]),
    "many digits": lambda: plots.show_digits(IMAGES[:200]),
    "templates": lambda: plots.show_templates(RNG.standard_normal((65, 10))),
    "losses": lambda: plots.show_losses({f"run {k}": RNG.random(500) + k for k in range(7)}, log=True),
    "no losses": lambda: plots.show_losses({"all nan": [np.nan] * 3, "one": [1.0], "none": []}),
    "diverged": lambda: plots.show_losses({"lr 10": DIVERGED}),
    "schedules": lambda: plots.show_schedules({"step": lambda t: 0.1 if t < 50 else 0.01}, T=100),
    "heatmap": lambda: plots.show_heatmap(np.arange(100).reshape(10, 10), "true", "predicted", "Confusions"),
    "large heatmap": lambda: plots.show_heatmap(RNG.standard_normal((80, 60)), "i", "j", "A lot of noise"),
    "regions": lambda: plots.show_decision_regions(lambda P: np.arctan2(*P.T) > 0, X, Y),
    "losses of one example": plots.show_hinge_and_softmax,
    "curves": lambda: plots.show_curves([1.0, 2.0, 3.0], {"a": [1, 2, 4], "b": [0, np.nan, 1]}, "h", "error", log=True),
    "functions": lambda: plots.show_functions(
        {"tanh": np.tanh, "relu": lambda x: np.maximum(0, x)}, {"tanh": lambda x: 1 - np.tanh(x) ** 2}, at=1.0
    ),
    "paths": lambda: plots.show_paths(bowl, {"down": [[1, 1], [0, 0]], "stays": [[1, 1]]}, (-2, -2), (2, 2)),
    "paths apart": lambda: plots.show_paths(bowl, {"a": [[1, 1]], "b": [[0, 1]]}, (-2, -2), (2, 2), apart=True),
}


@pytest.fixture(scope="module", params=list(PICTURES))
def picture(request: pytest.FixtureRequest) -> plots.Picture:
    return PICTURES[request.param]()


# ------------------------------------------------------------ every picture


def drawn(picture: plots.Picture) -> np.ndarray:
    """Return the pixels of the picture, shape (H, W, 3)."""
    from PIL import Image

    found = re.search(r"base64,([^\"]+)", picture._repr_mimebundle_()["text/html"])
    assert found is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB"))


def test_the_page_of_a_picture_is_white(picture: plots.Picture) -> None:
    assert drawn(picture)[0, 0].tolist() == [255, 255, 255]


def test_a_picture_is_a_figure_with_alt_text_and_a_caption(picture: plots.Picture) -> None:
    html = picture._repr_mimebundle_()["text/html"]
    assert html.startswith("<figure")
    assert html.endswith("</figure>")
    alt = re.search(r'alt="([^"]+)"', html)
    assert alt is not None
    assert len(alt[1]) > 20
    assert re.search(r"<figcaption>.+</figcaption>", html)


def test_a_picture_is_a_png_under_60_kilobytes(picture: plots.Picture) -> None:
    png = image_in(picture)
    assert png.startswith(b"\x89PNG")
    assert 500 < len(png) < 60_000


def test_a_picture_says_its_numbers_in_words(picture: plots.Picture) -> None:
    plain = picture._repr_mimebundle_()["text/plain"]
    assert picture.caption in plain
    assert picture.text in plain
    assert repr(picture) == f"<Picture: {picture.caption}>"


def test_pictures_leave_no_figure_open_and_never_load_pyplot() -> None:
    code = """
        import sys
        import coursekit.plots, coursekit.data, coursekit.widgets
        assert "matplotlib" not in sys.modules, "matplotlib was imported before any picture"
        coursekit.widgets.LossCurve().extend([2.0, 1.0])
        assert "matplotlib" not in sys.modules, "a LossCurve needs no matplotlib"
        coursekit.plots.show_hinge_and_softmax()._repr_mimebundle_()
        assert "matplotlib" in sys.modules
        assert "matplotlib.pyplot" not in sys.modules, "pyplot keeps figures and draws them twice"
    """
    run_python(code)


def test_a_picture_can_be_saved(tmp_path: Path) -> None:
    picture = plots.show_hinge_and_softmax()
    picture.save(tmp_path / "losses.png")
    picture.save(str(tmp_path / "losses.svg"))
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "losses.svg").read_text()


def test_names_and_captions_cannot_break_the_html() -> None:
    nasty = 'a "b" <script>alert(1)</script> & $x$'
    html = plots.show_heatmap([[1.0]], nasty, nasty, nasty)._repr_mimebundle_()["text/html"]
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    alt = re.search(r'alt="([^"]*)"', html)
    assert alt is not None
    assert "&quot;b&quot;" in alt[1]


# ---------------------------------------------------------------- one by one


def test_digits_are_named_in_order() -> None:
    images, labels = digit_images()
    assert plots.show_digits(images[:3], labels[:3]).text.endswith("Labels, row by row: 0, 1, 2.")


def test_templates_leave_out_the_bias_and_keep_zero_white() -> None:
    W = np.zeros((5, 2))
    W[3, 0], W[4, :] = -2.0, 1000.0
    picture = plots.show_templates(W, image_shape=(2, 2), class_names=["cat", "dog"])
    assert "1e+03" not in picture.text
    assert "cat: weights from -2 at row 1, column 1 to 0" in picture.text
    shown = picture.figure.axes[0].images[0]
    assert shown.get_clim() == (-2.0, 2.0)
    np.testing.assert_array_equal(shown.get_array()[-2:, :2], [[0, 0], [0, -2]])


def test_templates_suspect_a_transposed_matrix() -> None:
    with pytest.raises(ValueError, match=r"W has 10 rows.*65 with the bias.*transposed"):
        plots.show_templates(np.zeros((10, 65)))


def test_templates_name_weights_that_are_not_finite() -> None:
    W = np.zeros((64, 2))
    W[3, 1] = np.nan
    assert "1: holds 1 weight that is nan or inf" in plots.show_templates(W).text


def test_curves_differ_in_more_than_colour() -> None:
    picture = plots.show_losses({f"run {k}": [1.0, 0.5] for k in range(6)})
    styles = {str(line._unscaled_dash_pattern) for line in picture.figure.axes[0].lines}
    assert len(styles) == 6


def test_the_legend_shows_every_name_as_it_is() -> None:
    picture = plots.show_losses({"_hidden?": [1.0, 2.0], "$5": [1.0, 2.0]})
    legend = picture.figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["_hidden?", r"\$5"]


def test_a_loss_that_broke_is_named_with_its_iteration() -> None:
    assert plots.show_losses({"lr 10": DIVERGED}).text == (
        "lr 10: 4 iterations; first loss 2, last nan, smallest 2 at iteration 0. The loss became inf at iteration 2."
    )
    assert "(1 of the losses is not finite)" in plots.describe_losses([1.0, np.nan, 2.0])
    assert plots.describe_losses([]) == "No losses yet."


def test_a_log_axis_counts_the_losses_that_it_cannot_show() -> None:
    assert "2 losses are not positive" in plots.show_losses({"run": [1.0, 0.0, -1.0]}, log=True).text
    assert "not positive" not in plots.show_losses({"run": [1.0, 0.0, -1.0]}).text


def test_schedules_are_asked_at_whole_iterations_below_T() -> None:
    asked: list[int] = []

    def constant(t: int) -> float:
        assert type(t) is int
        asked.append(t)
        return 0.1

    plots.show_schedules({"constant": constant}, T=5)
    assert set(asked) == {0, 1, 2, 3, 4}


def test_decision_regions_ask_in_one_batch_and_count_what_is_right() -> None:
    asked: list[tuple[int, ...]] = []

    def right_half(points: np.ndarray) -> np.ndarray:
        asked.append(points.shape)
        return (points[:, 0] > 0).astype(int)

    picture = plots.show_decision_regions(right_half, [[-1.0, 0.0], [1.0, 0.0]], [0, 0], resolution=50)
    assert sorted(asked) == [(2, 2), (2500, 2)]
    assert "1 of 2 points is classified right (50.0 %)" in picture.text
    assert "class 1: 0 points" in picture.text


def test_decision_regions_are_the_right_way_up() -> None:
    above = plots.show_decision_regions(lambda P: P[:, 1] > 0, [[0.0, -1.0], [0.0, 1.0]], [0, 1], resolution=20)
    ax = above.figure.axes[0]
    colours = np.asarray(ax.images[0].get_array())
    assert ax.images[0].origin == "lower"
    assert not np.allclose(colours[0, 0], colours[-1, 0])


def test_the_two_losses_cross_zero_lead_at_1_and_log_2() -> None:
    assert "lead 0: SVM 1, softmax 0.693." in plots.show_hinge_and_softmax().text


def test_curves_name_their_ends_and_extremes() -> None:
    text = plots.show_curves([0.1, 0.2, 0.3], {"error": [3.0, 1.0, np.nan]}, "h").text
    assert text == "error: 3 at h = 0.1, nan at h = 0.3; smallest 1 at h = 0.2, largest 3 at h = 0.1."


def test_functions_have_a_plot_each_with_slope_tangent_and_points() -> None:
    picture = plots.show_functions(
        {"square": lambda x: x**2, "identity": lambda x: x},
        {"square": lambda x: 2 * x},
        at=1.0,
        points={"square": [[2, 1]]},
    )
    assert picture.text == (
        "square: 4, 0, 4 at x = -2, 0, 2; slope -4, 0, 4. At x = 1: value 1, slope 2. Dots from 2 to 1, value 1.\n"
        "identity: -2, 0, 2 at x = -2, 0, 2. At x = 1: value 1."
    )
    square, identity = picture.figure.axes
    assert [line.get_label() for line in square.lines[:3]] == ["function", "slope", "tangent at 1"]
    across, tangent = square.lines[2].get_data()
    np.testing.assert_allclose(tangent, 1 + 2 * (np.asarray(across) - 1))
    assert len(identity.lines) == 2


def test_no_line_climbs_a_jump() -> None:
    picture = plots.show_functions({"step": lambda x: np.where(x > 0, 1.0, 0.0), "steep": lambda x: np.exp(2 * x)})
    step, steep = (np.asarray(ax.lines[0].get_ydata(), dtype=float) for ax in picture.figure.axes)
    assert np.isnan(step).sum() == 1
    assert not np.isnan(steep).any()


def test_paths_say_where_they_began_and_ended() -> None:
    text = plots.show_paths(bowl, {"down": [[1, 1], [0.5, 0], [0, 0]]}, (-2, -2), (2, 2)).text
    assert text == "down: 2 steps from (1, 1), loss 2, to (0, 0), loss 0."


def test_paths_may_stand_apart() -> None:
    picture = plots.show_paths(bowl, {"a": [[1, 1]], "b": [[0, 1]]}, (-2, -2), (2, 2), apart=True)
    assert [ax.get_title() for ax in picture.figure.axes] == ["a", "b"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: plots.show_curves([1, 2], {"a": [1]}, "x"), ValueError, r"curves\['a'\] has 1 value for 2 of x"),
        (lambda: plots.show_functions({}), ValueError, "functions is empty"),
        (lambda: plots.show_functions({"a": np.sum}), ValueError, r"a returned the shape \(\) for numbers of shape"),
        (lambda: plots.show_functions({"a": abs}, {"b": abs}), ValueError, "slopes names 'b', but functions has a"),
        (lambda: plots.show_functions({"a": abs}, x=(1, 1)), ValueError, "from the smaller number"),
        (lambda: plots.show_paths(bowl, {"a": [[1, 2, 3]]}, (0, 0), (1, 1)), ValueError, "points in the plane"),
        (lambda: plots.show_digits(np.zeros((5, 64))), ValueError, "images has 3 dimensions"),
        (lambda: plots.show_digits(np.zeros((0, 8, 8))), ValueError, "number of images is 0"),
        (lambda: plots.show_digits(np.zeros((201, 8, 8))), ValueError, "between 1 and 200"),
        (lambda: plots.show_digits(np.zeros((2, 8, 8)), [1]), ValueError, "labels has 1 entry for 2"),
        (lambda: plots.show_digits(np.zeros((2, 8, 8)), columns=0), ValueError, "columns is 0"),
        (lambda: plots.show_losses([1.0, 2.0]), TypeError, "dict from a name to its curve, not list"),
        (lambda: plots.show_losses({}), ValueError, "empty"),
        (lambda: plots.show_losses({"a": ["x"]}), TypeError, r"histories\['a'\] is an array of numbers"),
        (lambda: plots.show_schedules({"a": 0.1}, 10), TypeError, "is a function of t"),
        (lambda: plots.show_schedules({"a": lambda t: 0.1}, 0), ValueError, "T is 0"),
        (lambda: plots.show_heatmap([1.0], "r", "c", "t"), ValueError, "A has 2 dimensions"),
        (
            lambda: plots.show_decision_regions(lambda P: np.zeros(3), [[0.0, 0.0]], [0]),
            ValueError,
            "result of predict should have shape",
        ),
        (
            lambda: plots.show_decision_regions(lambda P: P[:, 0], [[0.5, 0.5]], [0]),
            ValueError,
            "labels, which are whole numbers",
        ),
    ],
)
def test_a_bad_argument_is_named(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def image_in(picture: plots.Picture) -> bytes:
    found = re.search(r"base64,([^\"]+)", picture._repr_mimebundle_()["text/html"])
    assert found is not None
    return base64.b64decode(found[1])


def run_python(code: str) -> None:
    lines = [line.strip() for line in code.strip().splitlines()]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_colour_map_has_no_steps() -> None:
    pixels = drawn(plots.show_heatmap([[0.0, 30.0]], "row", "column", "Two numbers"))
    bar = max(len(np.unique(column, axis=0)) for column in pixels.swapaxes(0, 1))
    assert bar > 80, "colours from one end of the bar to the other"

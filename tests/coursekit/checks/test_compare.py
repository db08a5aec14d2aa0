"""Comparisons accept a right result in every form, and reject one that is only slightly wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from coursekit.checks.cases import Expected, Step
from coursekit.checks.codec import Generator, Malformed, Opaque, decode, encode
from coursekit.checks.compare import COMPARISONS, Comparison, agrees
from coursekit.checks.probes import Probe
from coursekit.checks.run import Session, StepOutcome, plain
from coursekit.checks.values import close, labels, unchanged

Cell = Callable[..., Any]
RNG = np.random.default_rng(7)
GRADIENT = RNG.normal(size=(4, 3))


def compared(got: Any, value: Any, **options: Any) -> Comparison:
    return close(got, Expected("it", value, "part", options=options), StepOutcome(), [])


# -- right, in whatever form ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss",
    [2.5, np.float64(2.5), np.float32(2.5), np.array(2.5), np.array([2.5]), np.array([[2.5]]), [2.5], (2.5,)],
    ids=repr,
)
def test_a_loss_may_be_any_one_number(loss: Any) -> None:
    assert compared(loss, 2.5).ok
    assert compared(loss, np.float64(2.5)).ok
    assert not compared(loss, 2.6).ok


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_gradient_may_be_an_array_a_matrix_a_list_or_in_single_precision() -> None:
    forms = [
        GRADIENT.copy(),
        np.asfortranarray(GRADIENT),
        np.matrix(GRADIENT),
        GRADIENT.tolist(),
        list(GRADIENT),
        GRADIENT.astype(np.float32),
        GRADIENT.astype(complex),
        np.ma.masked_array(GRADIENT),
    ]
    for form in forms:
        assert compared(form, GRADIENT).ok, type(form)
        assert not compared(form, GRADIENT + 0.01).ok, type(form)


def test_whole_numbers_are_numbers_of_any_size() -> None:
    assert compared(10, 10.0).ok
    assert compared(True, 1).ok
    assert compared(10**30, 10**30).ok
    assert compared(256 * 2**30, 256 * 2**30).ok
    assert not compared(256 * 2**30 + 2**27, 256 * 2**30).ok


def test_rounding_is_no_mistake() -> None:
    assert compared(0.1 + 0.2, 0.3).ok
    assert compared(np.array([1e-15, 1.0]), np.array([0.0, 1.0])).ok
    assert compared(np.array([3e-17]), np.array([0.0])).ok


def test_nothing_is_right_where_nothing_is_asked_for() -> None:
    assert compared(np.zeros((0, 3)), np.zeros((0, 3))).ok


def test_infinity_is_right_where_it_is_expected() -> None:
    assert compared(np.array([np.inf, 1.0]), np.array([np.inf, 1.0])).ok
    assert not compared(np.array([-np.inf, 1.0]), np.array([np.inf, 1.0])).ok
    assert not compared(np.array([1.0, 1.0]), np.array([np.inf, 1.0])).ok


# -- wrong, however little -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_a_gradient_that_is_wrong_by_a_twentieth_of_a_percent_is_rejected(seed: int) -> None:
    rng = np.random.default_rng(seed)
    right = rng.normal(size=(6, 5)) * 10.0 ** rng.integers(-6, 6)
    assert compared(right * (1 + 1e-7), right).ok
    found = compared(right * 1.0005, right)
    assert not found.ok
    assert found.error == pytest.approx(5e-4, rel=0.1)
    direction = rng.normal(size=right.shape)
    off = direction / np.linalg.norm(direction) * np.linalg.norm(right) * 5e-4
    assert not compared(right + off, right).ok


@pytest.mark.parametrize("seed", range(20))
def test_one_entry_of_ten_thousand_that_is_wrong_by_a_percent_is_rejected(seed: int) -> None:
    rng = np.random.default_rng(seed)
    right = rng.normal(size=(100, 100))
    wrong = right.copy()
    wrong[rng.integers(100), rng.integers(100)] *= 1.01
    found = compared(wrong, right)
    assert not found.ok
    assert "1 of 10000 entries is wrong" in found.message


def test_every_entry_is_looked_at_and_not_only_their_mean() -> None:
    assert not compared(GRADIENT[::-1], GRADIENT).ok
    assert not compared(-GRADIENT, GRADIENT).ok
    assert not compared(np.zeros_like(GRADIENT), GRADIENT).ok


def test_a_comparison_can_be_told_how_close_is_close_enough() -> None:
    assert compared(1.05, 1.0, rtol=0.1).ok
    assert not compared(1.05, 1.0, rtol=0.01).ok
    assert compared(0.2, 0.0, atol=0.5).ok


# -- shapes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("have", "want"),
    [((3,), (3, 1)), ((3, 1), (3,)), ((1, 3), (3,)), ((3, 3), (3,)), ((), (3,)), ((1,), (3,)), ((2, 3), (3, 3))],
)
def test_shapes_are_never_broadcast(have: tuple[int, ...], want: tuple[int, ...]) -> None:
    found = compared(np.ones(have), np.ones(want))
    assert not found.ok
    assert found.code == "wrong-shape"
    assert str(have) in found.message
    assert str(want) in found.message


@pytest.mark.parametrize("want", [np.arange(3.0), np.arange(3.0)[None]])
def test_a_row_vector_is_right_in_either_layout_where_that_is_said(want: np.ndarray) -> None:
    row = np.arange(3.0)
    for have in (row, row[None], row.tolist(), [row.tolist()]):
        assert compared(have, want, row=True).ok
        assert agrees(have, want, row=True)
    for have in (row[:, None], row[None, None], row[:2], 2 * row, row[::-1][None]):
        assert not compared(have, want, row=True).ok
        assert not agrees(have, want, row=True)
    assert not compared(row[None], row).ok
    assert not agrees(row[None], row)


def test_an_array_is_not_one_number() -> None:
    found = compared(np.ones(3), 1.0)
    assert (found.code, found.message) == ("wrong-shape", "has shape (3,); expected a single number")


def test_a_transposed_result_is_called_transposed() -> None:
    found = compared(GRADIENT.T, GRADIENT)
    assert found.code == "transposed"
    assert "transposed" in found.message
    square = RNG.normal(size=(3, 3))
    assert compared(square.T, square).code is None, "of a square one that cannot be said"


# -- what is not a number ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("got", "said"),
    [
        ("12", "text"),
        ({"loss": 1.0}, "a dictionary"),
        ([[1.0], [1.0, 2.0]], "a list whose rows differ in length"),
        ([1.0, "a"], "a list that holds more than numbers"),
        ([1.0, None], "a list that holds more than numbers"),
        ([1.0, Opaque("generator")], "a list that holds more than numbers"),
        (Opaque("Tensor"), "an object of type Tensor"),
    ],
)
def test_what_is_not_a_number_is_called_what_it_is(got: Any, said: str) -> None:
    for value in (1.0, np.ones(2)):
        found = compared(got, value)
        assert not found.ok
        assert found.code == "not-a-number"
        assert said in found.message


def test_none_is_a_missing_return() -> None:
    found = compared(None, np.ones((2, 2)))
    assert found.code == "returned-none"
    assert "return" in found.message
    assert "(2, 2)" in found.message


def test_imaginary_parts_are_wrong() -> None:
    assert compared(np.array([1 + 1j]), np.array([1.0])).code == "not-a-number"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_said_to_be_so_and_is_unstable_only_where_numbers_are_large(bad: float) -> None:
    assert compared(bad, 1.0).code == "not-finite"
    assert str(bad) in compared(bad, 1.0).message
    assert compared(bad, 1.0, large="scores of ±1000").code == "unstable"
    assert "scores of ±1000" in compared(bad, 1.0, large="scores of ±1000").message
    assert compared(bad, 1.0, large="scores of ±1000", code="other").code == "other"
    found = compared(np.array([1.0, bad, 1.0]), np.ones(3))
    assert "1 of its 3 entries is not finite" in found.message


def test_agreement_with_a_mistake_needs_the_same_shape_and_the_same_nans() -> None:
    assert agrees(np.array([np.nan, 1.0]), np.array([np.nan, 1.0]))
    assert agrees([2.0], 2.0)
    assert not agrees(np.array([np.nan, 1.0]), np.array([1.0, 1.0]))
    assert not agrees(np.ones(3), np.ones((3, 1)))
    assert not agrees("text", 1.0)
    assert not agrees(None, 1.0)
    assert not agrees(1.0005, 1.0)


# -- labels and arguments ------------------------------------------------------------------------


def test_labels_are_right_only_if_all_are() -> None:
    expected = Expected("labels", np.array([0, 2, 1]), "part")

    def check(got: Any) -> Comparison:
        return labels(got, expected, StepOutcome(), [])

    assert check(np.array([0, 2, 1])).ok
    assert check([0, 2, 1]).ok
    assert check(np.array([0.0, 2.0, 1.0])).ok
    assert check(np.array([0, 2, 2])).message == "1 of 3 labels are wrong"
    assert check(np.array([0.4, 2.0, 1.0])).message == "1 of 3 labels are wrong"
    assert check(np.array([[0], [2], [1]])).code == "wrong-shape"
    assert check(None).code == "returned-none"
    assert check("cat").code == "not-a-number"


def test_an_argument_is_unchanged_but_for_rounding() -> None:
    x = np.array([0.1, -3.0])
    expected = Expected("x", x, "part", where="argument 0")

    def check(got: Any) -> Comparison:
        return unchanged(got, expected, StepOutcome(), [])

    assert check(None).ok
    assert check(x + 1e-5 - 2e-5 + 1e-5).ok
    assert check(x - 1e-5).code == "input-modified"
    assert check(x[:1]).code == "input-modified"
    assert check(Opaque("ndarray")).code == "input-modified"


# -- training ------------------------------------------------------------------------------------

N, D, C = 30, 6, 4
HEAD = "def train(X, y, num_classes, loss_function, lr, reg, batch_size, num_iters, rng):\n"
BODY = """\
    W = 0.001 * rng.standard_normal((X.shape[1], num_classes))
    history = []
    for i in range(num_iters):
        rows = rng.integers(0, len(X), size=batch_size)
        loss, dW = loss_function(W, X[rows], y[rows], reg)
        history.append(loss)
        W = W - lr * dW
    return W, history
"""
LOOKED_AT = {
    "training_start": ((D, C), {"std": 0.001}),
    "training_batches": ({}, {}),
    "training_updates": ({"lr": 0.02, "num_iters": 9}, {}),
    "training_history": (None, {}),
}


def trained(train: Any, batch_size: int = 5) -> dict[str, Comparison]:
    """Return the outcome of each comparison for `train`, on one data set with two seeds."""
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(N, D)), rng.integers(C, size=N)
    probe = Probe("least_squares", {"targets": rng.normal(size=(C, C))})

    def outcome(seed: int) -> StepOutcome:
        args = (X, y, C, probe, 0.02, 0.3, batch_size, 9, Generator(seed))
        return Session({"train": train}).run(Step("train", args))

    first, again, other = outcome(5), outcome(5), outcome(6)
    assert first.failure is None, first.failure
    found = {}
    for name, (value, options) in LOOKED_AT.items():
        if name == "training_batches":
            value = {"X": X, "y": y, "batch_size": batch_size, "reg": 0.3}
        expected = Expected(name, value, "part", name, "step", options)
        found[name] = COMPARISONS[name](first, expected, first, [])
    same = Expected("again", 0, "part", "repeats", "step")
    differs = Expected("other", 0, "part", "repeats", "step", {"differs": True})
    found["again"] = COMPARISONS["repeats"](again, same, again, [first])
    found["other"] = COMPARISONS["repeats"](other, differs, other, [first, again])
    return found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("W = W - lr * dW", "W -= lr * dW"),
        ("W = W - lr * dW", "W += -lr * dW"),
        ("rng.integers(0, len(X), size=batch_size)", "rng.choice(len(X), batch_size)"),
        ("rng.integers(0, len(X), size=batch_size)", "rng.choice(len(X), batch_size, replace=False)"),
        ("rng.integers(0, len(X), size=batch_size)", "rng.permutation(len(X))[:batch_size]"),
        ("return W, history", "return W, np.array(history)"),
        ("return W, history", "return [W, tuple(history)]"),
        ("history.append(loss)", "history.append(np.array([loss]))"),
        ("loss_function(W, X[rows], y[rows], reg)", "loss_function(W=W, X=X[rows], y=y[rows], reg=reg)"),
        ("loss_function(W, X[rows], y[rows], reg)", "loss_function(W, X[rows], y=y[rows], reg=np.array(reg))"),
        ("loss_function(W, X[rows]", "loss_function(W.copy(), [list(x) for x in X[rows]]"),
        (
            "loss, dW = loss_function(W, X[rows], y[rows], reg)",
            "loss = loss_function(W, X[rows], y[rows], reg)[0]\n"
            "        dW = loss_function(W, X[rows], y[rows], reg)[1]",
        ),
        ("rng.standard_normal((X.shape[1], num_classes))", "rng.normal(size=(X.shape[1], num_classes))"),
    ],
)
def test_train_is_right_however_it_is_written(old: str, new: str, cell: Cell) -> None:
    for name, comparison in trained(cell(HEAD + BODY.replace(old, new), "train")).items():
        assert comparison.ok, (name, comparison)


@pytest.mark.parametrize(
    ("old", "new", "codes"),
    [
        ("    for i in", "    rows = rng.integers(0, len(X), size=batch_size)\n    for i in", {}),
        ("y[rows], reg", "y[rows[::-1]], reg", {"training_batches": "label-shift"}),
        ("y[rows], reg", "y[:batch_size], reg", {"training_batches": "label-shift"}),
        ("size=batch_size", "size=8", {"training_batches": "wrong-batch-size"}),
        ("X[rows], y[rows]", "X, y", {"training_batches": "wrong-batch-size", "other": "rng-ignored"}),
        ("X[rows]", "2 * X[rows]", {"training_batches": None}),
        ("y[rows], reg", "y[rows], 0", {"training_batches": "reg-not-handed-on"}),
        ("W - lr * dW", "W + lr * dW", {"training_updates": "sign"}),
        ("W - lr * dW", "W - dW", {"training_updates": "lr-ignored"}),
        ("W - lr * dW", "W - 1.001 * lr * dW", {"training_updates": None}),
        ("W - lr * dW", "W", {"training_updates": "no-update"}),
        ("W = W - lr * dW", "old, W = W, W - lr * dW", {}),
        ("0.001 * rng", "0.01 * rng", {"training_start": "wrong-initialisation"}),
        ("0.001 * rng", "0 * rng", {"training_start": "wrong-initialisation"}),
        ("0.001 * rng", "0.005 + 0.001 * rng", {"training_start": "wrong-initialisation"}),
        ("0.001 * rng", "0.001 * np.random", {"again": "rng-ignored"}),
        ("rng.integers(0,", "np.random.randint(0,", {"again": "rng-ignored"}),
        ("    W = 0.001", "    rng = np.random.default_rng(0)\n    W = 0.001", {"other": "rng-ignored"}),
        ("    for i in", "    rng = np.random.default_rng(0)\n    for i in", {"other": "rng-ignored"}),
        ("rng.integers(0, len(X), size=batch_size)", "np.arange(i, i + batch_size)", {"other": "rng-ignored"}),
        ("history.append(loss)", "history = [loss]", {"training_history": "history-length"}),
        ("history.append(loss)", "history.append(2 * loss)", {"training_history": None}),
        ("history.append(loss)", "history.append('loss')", {"training_history": "not-a-number"}),
        ("range(num_iters)", "range(num_iters - 1)", {"training_updates": "wrong-length"}),
        ("return W, history", "return history, W", {"training_updates": "swapped", "training_history": "swapped"}),
        (
            "return W, history",
            "return W",
            {"training_updates": "wrong-number-of-values", "training_history": "wrong-number-of-values"},
        ),
        ("return W, history", "pass", {"training_updates": "returned-none", "training_history": "returned-none"}),
        (
            "        loss, dW = loss_function(W, X[rows], y[rows], reg)",
            "        loss, dW = 0.0, 0 * W",
            dict.fromkeys([*LOOKED_AT, "again", "other"], "loss-function-not-called"),
        ),
    ],
)
def test_train_is_wrong_in_what_it_does_wrong_and_in_nothing_else(
    old: str, new: str, codes: dict[str, str | None], cell: Cell
) -> None:
    assert old in BODY
    found = trained(cell(HEAD + BODY.replace(old, new), "train"))
    assert {name: comparison.code for name, comparison in found.items() if not comparison.ok} == codes


def test_minibatches_sampled_once_are_called_so(cell: Cell) -> None:
    line = "        rows = rng.integers(0, len(X), size=batch_size)\n"
    body = BODY.replace(line, "").replace("    for i", line[4:] + "    for i")
    found = trained(cell(HEAD + body, "train"))
    assert {name: comparison.code for name, comparison in found.items() if not comparison.ok} == {
        "training_batches": "sampled-once"
    }


def test_weights_returned_from_before_the_last_update_are_called_so(cell: Cell) -> None:
    body = BODY.replace("W = W - lr * dW", "old, W = W, W - lr * dW").replace("return W,", "return old,")
    found = trained(cell(HEAD + body, "train"))
    assert {name: comparison.code for name, comparison in found.items() if not comparison.ok} == {
        "training_updates": "last-update-missing"
    }


def test_minibatches_may_be_larger_than_the_data(cell: Cell) -> None:
    found = trained(cell(HEAD + BODY, "train"), batch_size=N + 10)
    assert all(comparison.ok for comparison in found.values())
    capped = BODY.replace("size=batch_size", "size=min(batch_size, len(X))")
    assert trained(cell(HEAD + capped, "train"), batch_size=N + 10)["training_batches"].code == "wrong-batch-size"


# -- what is no number ---------------------------------------------------------------------------------

WORDS = ["ada", "ben"]


@pytest.mark.parametrize(
    ("got", "value"),
    [
        ("yes", "yes"),
        (True, True),
        (np.bool_(False), False),
        (None, None),
        ({1, 2}, {2, 1}),
        (frozenset({"a"}), {"a"}),
        ({0.1 + 0.2}, {0.3}),
        (set(), set()),
        (("ada", "ben"), WORDS),
        (np.array(WORDS), WORDS),
        ([("ada", 1.0 + 1e-9), ("ben", None)], [("ada", 1.0), ("ben", None)]),
        ([np.ones(2), "x"], [np.ones(2), "x"]),
        ({"a": ["x"], "b": {1}}, {"a": ["x"], "b": {1}}),
    ],
)
def test_text_truth_none_sets_and_lists_of_them_are_compared(got: Any, value: Any) -> None:
    got = plain(got)  # as it crosses the wall
    assert compared(got, value).ok
    assert agrees(got, value)


@pytest.mark.parametrize(
    ("got", "value", "told"),
    [
        ("no", "yes", "is 'no', which is not right"),
        (1.0, "yes", "is a number; expected text"),
        (None, "yes", "is None; expected text. Is a `return` missing?"),
        (False, True, "is False, which is not right"),
        ("True", True, "is 'True', which is not right"),
        (0.0, None, "is a number; expected None"),
        ([1, 2], {1, 2}, "is a list; expected a set"),
        ({1, 3}, {1, 2}, "holds 3, which is not in it"),
        ({1}, {1, 2}, "misses 1 element"),
        (["ada"], WORDS, "has 1 entries; expected 2"),
        (["ada", "bob"], WORDS, "has an entry [1] that is 'bob', which is not right"),
        ([("ada", 1.1)], [("ada", 1.0)], "has an entry [0] that has an entry [1] that is not right"),
        ({"a": ["x"]}, {"a": ["x"], "b": {1}}, "has no key 'b'"),
        (range(2), WORDS, "is an object of type range; expected a list"),
    ],
)
def test_what_is_not_the_same_is_said(got: Any, value: Any, told: str) -> None:
    comparison = compared(plain(got), value)
    assert not comparison.ok
    assert comparison.message == told
    assert not agrees(plain(got), value)


def test_a_set_crosses_the_wall_as_a_set_and_a_huge_one_does_not() -> None:
    tree, arrays = encode({"s": {3, 1, 2}, "f": frozenset({("a", 1)})})
    assert decode(tree, arrays) == {"s": {1, 2, 3}, "f": {("a", 1)}}
    assert isinstance(decode(tree, arrays)["s"], set)  # the student's code may add to it
    assert plain(set(range(10_000))) == Opaque("set", "a set of 10000 elements")
    for forged in ({"$set": 3}, {"$set": [[1]]}, {"$frozenset": [0] * 10_000}):
        with pytest.raises(Malformed):
            decode(forged, ())

"""check_gradient and check_backward: is a gradient right, and if not, what is the mistake?

The checks in their order: the function is deterministic and leaves its argument unchanged; the gradient has the right
shape; the numbers agree wherever there is a derivative.  Only if they do not, the mistake is looked for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from coursekit._typing import Array
from coursekit.reporting import Finding

from .context import parameter_names
from .directions import compare_along
from .entrywise import compare
from .layer import Layer, is_float
from .numeric import Scalar, moveable
from .problem import OfDict, Problem, claimed, modified
from .report import GradientReport
from .stability import unsteady


def check_gradient(
    f: Callable[..., Any],
    x: Any,
    gradient: Any = None,
    *,
    args: tuple[Any, ...] = (),
    upstream: npt.ArrayLike | None = None,
    others: Mapping[str, Callable[..., Any]] | None = None,
    reg: float | None = None,
    directions: int | None = None,
    rng: np.random.Generator | None = None,
    name: str = "x",
) -> GradientReport:
    """Compare a gradient with the numerical one, and name what is wrong with it.

    Parameters
    ----------
    f : callable
        f(x, \\*args) is a number, or an array Y: then the gradient is that of ΣY·upstream.
    x : array of floats, or dict of them
        The point.  If it is a dict, f gets the dict, and the gradient is a dict, too.
    gradient : array, dict of arrays, or callable, optional
        The gradient at x, of the shape of x, or the function gradient(x, \\*args) that computes it and may
        return (loss, gradient).  Without it, f itself must return (loss, gradient).
    args : tuple
        Further arguments of f and `gradient`: data, labels, a regularisation strength.
    upstream : array of the shape of f(x), optional
    others : dict of callables, optional
        Other functions that may have been differentiated, by description: ``{"the softmax loss": softmax_loss}``.
    reg : float, optional
        The strength of a regulariser reg·ΣW² in f; needed only where f cannot be recorded by the engine.
    directions : int, optional
        Compare along this many random directions instead of entry by entry: for large x.
    rng : numpy.random.Generator, optional
    name : str
        What the report calls x.

    Returns
    -------
    GradientReport
        The codes of findings are sign, scale, gradient-zero, regularizer-missing, regularizer-half,
        regularizer-double, regularizer-on-bias, transposed, wrong-shape, permuted, relu-mask, fan-out-overwritten,
        upstream-ignored, batch-not-summed, label-shift, correct-class-missing, unstable, input-modified,
        not-deterministic, kink, float32, integer-input, not-a-gradient-of-this-function, loss-wrong-gradient-right,
        loss-right-gradient-wrong, returned-none; and unknown, which says where and how large the error is.

    Notes
    -----
    An entry may be off 1e-5 of itself plus 1e-6 of the largest plus the rounding error of the numerical gradient;
    in float32 1e-4 and 2e-5.  At a kink of f, every number between the two slopes is right.

    Source: centred differences and relative errors as in the first lecture.

    Examples
    --------
    >>> W = np.arange(6.0).reshape(2, 3)
    >>> check_gradient(lambda W: np.sum(W ** 2), W, lambda W: -2 * W, name="W")
    The gradient is not right.
    Finding: dW: The sign is flipped: this is the negative of the gradient. [sign, explains 100 %]
      dW: relative error in norm 2, 5 of 6 entries wrong
        dW[1, 2]: yours -10, numerical 10
        dW[1, 1]: yours -8, numerical 8
        dW[1, 0]: yours -6, numerical 6
    """
    rng = np.random.default_rng(0) if rng is None else rng
    single = None if isinstance(x, Mapping) else name
    whole = dict(x) if single is None else {name: x}
    if directions is not None and directions < 1:
        raise ValueError(f"directions is how many directions to compare along, at least 1; not {directions}")
    function = f if gradient is not None else _first_of(f)
    if gradient is None:
        gradient = f
    if whole_numbers := _integers(whole.values()):
        return whole_numbers
    point = {key: moveable(value) for key, value in whole.items()}
    problem = Problem(
        function=OfDict(function, args, single),
        point=point,
        gradient=gradient,
        call=OfDict(gradient, args, single),
        single=single,
        raw=f,
        args=args,
        upstream=upstream,
        reg=reg,
        others={text: OfDict(other, args, single) for text, other in (others or {}).items()},
        rng=rng,
    )
    return _check(problem, directions)


def check_backward(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    *inputs: Any,
    upstream: npt.ArrayLike | None = None,
    rng: np.random.Generator | None = None,
) -> GradientReport:
    """Check a pair of layer functions with a random upstream gradient, with respect to every input.

    Parameters
    ----------
    forward : callable
        forward(\\*inputs) returns (out, cache), or out.
    backward : callable
        backward(dout, cache) returns the gradients of the floating-point inputs in order, or the gradient of the only
        one.  `cache` comes from forward; if forward returns none, it is the input or a tuple of the inputs.
    *inputs : arrays
    upstream : array of the shape of out, optional
        Random by default: an upstream gradient of ones would hide a backward that ignores it.

    Returns
    -------
    GradientReport
        A backward that is not linear in the upstream gradient is wrong, too.

    Examples
    --------
    >>> def relu_forward(x):
    ...     return np.maximum(0, x), x
    >>> def relu_backward(dout, x):
    ...     return dout
    >>> x = np.array([[1.0, -2.0], [-3.0, 4.0]])
    >>> print(check_backward(relu_forward, relu_backward, x).findings[0].code)
    relu-mask
    """
    rng = np.random.default_rng(0) if rng is None else rng
    if not inputs:
        raise TypeError("check_backward needs the inputs of the layer: check_backward(forward, backward, x, w, b)")
    if not any(map(is_float, inputs)) and (whole_numbers := _integers(inputs)):
        return whole_numbers
    layer = Layer(forward, backward, inputs, parameter_names(forward, len(inputs)), upstream, rng)
    report = _check(layer.problem(rng), None)
    named = {finding.code for finding in report.findings}
    more = []
    if layer.changes_dout:
        more = [Finding("input-modified", "backward changes the upstream gradient that it is handed.")]
    elif np.size(layer.dout) and not named & {"input-modified", "not-deterministic"}:
        more = layer.not_linear()
    return _with(report, more)


def _with(report: GradientReport, more: list[Finding]) -> GradientReport:
    """Return the report with further findings in place of those of an unknown cause."""
    if not more:
        return report
    named = {finding.code for finding in report.findings}
    new = [finding for finding in more if finding.code not in named]
    known = [finding for finding in report.findings if finding.code != "unknown" or not new]
    return replace(report, ok=False, findings=(*known, *new))


def _integers(values: Iterable[Any]) -> GradientReport | None:
    """Return the report on a point of integers, or None."""
    for value in values:
        if np.asarray(value).dtype.kind in "iub":
            try:
                moveable(value)
            except TypeError as error:
                return GradientReport(False, np.nan, (Finding("integer-input", f"{error}."),))
    return None


def _first_of(f: Callable[..., Any]) -> Callable[..., Any]:
    def value(*args: Any) -> Any:
        result = f(*args)
        return result[0] if isinstance(result, tuple) else result

    return value


# --- The checks in their order -----------------------------------------------------------------------------


def _check(problem: Problem, directions: int | None) -> GradientReport:
    before = {key: value.copy() for key, value in problem.point.items()}
    try:
        return _answer(problem, directions, before)
    finally:
        modified(problem, before, "")  # even after an exception


def _answer(problem: Problem, directions: int | None, before: dict[str, Array]) -> GradientReport:
    scalar = Scalar(lambda _: problem.function(problem.point), problem.upstream, problem.rng)
    findings: list[Finding] = []
    if directions is None and (trouble := unsteady(problem, scalar, before, findings)):
        return trouble
    got, loss, complaints = claimed(problem, before)
    findings += complaints
    if got is None:
        return GradientReport(False, np.nan, tuple(dict.fromkeys(findings)))
    check = functools.partial(_check, directions=directions)
    with np.errstate(all="ignore"):
        if directions is not None:
            return compare_along(problem, scalar, got, findings, directions, before, check)
        return compare(problem, scalar, got, loss, findings, check)

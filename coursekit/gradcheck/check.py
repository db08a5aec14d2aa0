"""check_gradient and check_backward: is this the gradient of that, and if not, what was done wrong?

The order of the questions: does the function stand still (the same value twice, its argument
unchanged)? Has the gradient the right shape? Do the numbers agree, where there is a derivative? Only
then, and only if they do not: which mistake is it?
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from coursekit._typing import Array
from coursekit.reporting import Finding, Tolerance, entries_are

from .context import Context, parameter_names, penalties_of, recorded, sizes_in, variants_of
from .diagnose import Wrong, diagnose
from .directions import error_along
from .known_losses import as_known_loss
from .numeric import Measured, Scalar, measure, moveable, number_or_array
from .problem import Exact, OfDict, Problem, claimed, measurable, modified, same_value
from .report import GradientReport, ParameterReport

TOLERANCE = Tolerance(relative=1e-5, of_largest=1e-6)
SINGLE = Tolerance(relative=1e-4, of_largest=2e-5)  # of float32
REMARKS = ("kink", "float32", "imprecise")  # may be said of a gradient that is right
ROUNDED = "The gradient is rounded to whole numbers, as in an array of integers (np.zeros_like of one?)."
MAGNITUDES = (1e-6, 1e-4, 1e-3, 1e-2, 0.1)


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
    """Compare a gradient with the numerical one, and say what is wrong with it.

    Parameters
    ----------
    f : callable
        f(x, \\*args) is a number; or an array Y, and the gradient is that of ΣY·upstream.
    x : array of floats, or dict of them
        The point.  Of a dict, f gets the dict, and the gradient is a dict as well.
    gradient : array, dict of arrays, or callable, optional
        The gradient at x, of the shape of x; or the function that computes it, gradient(x, \\*args), which may
        return (loss, gradient).  Unless given, f itself returns (loss, gradient).
    args : tuple
        Further arguments of f and `gradient`: data, labels, a regularisation strength.
    upstream : array of the shape of f(x), optional
    others : dict of callables, optional
        Other functions that the gradient may be of, by what they are: ``{"the softmax loss": softmax_loss}``.
    reg : float, optional
        The strength of a regulariser reg·ΣW² in f; needed only where f cannot be recorded by the engine.
    directions : int, optional
        Compare along so many random directions instead of entry by entry: for large x.
    rng : numpy.random.Generator, optional
    name : str
        What the report calls x.

    Returns
    -------
    GradientReport
        Findings have these codes: sign, scale, gradient-zero, regularizer-missing, regularizer-half,
        regularizer-double, regularizer-on-bias, transposed, wrong-shape, permuted, relu-mask, fan-out-overwritten,
        upstream-ignored, batch-not-summed, label-shift, correct-class-missing, unstable, input-modified,
        not-deterministic, kink, float32, integer-input, not-a-gradient-of-this-function, loss-wrong-gradient-right,
        loss-right-gradient-wrong, returned-none; and unknown, which says where and how large the error is.

    Notes
    -----
    Right is an entry within 1e-5 of itself plus 1e-6 of the largest plus what rounding in f may have done to the
    numerical gradient; in float32 1e-4 and 2e-5.  At a kink of f every number between its slopes is right.

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
        backward(dout, cache) returns the gradient of each floating-point input, in their order; for one input, just it.
        It gets the cache that forward returned; if that returns none, the input, or a tuple of the inputs.
    *inputs : arrays
    upstream : array of the shape of out, optional
        Random unless given.  Upstream gradients of ones would hide a backward that ignores them.

    Returns
    -------
    GradientReport
        Also wrong is a backward that is not linear in the upstream gradient.

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
    names = parameter_names(forward, len(inputs))
    floats = [i for i, value in enumerate(inputs) if np.asarray(value).dtype.kind == "f"]
    if not inputs:
        raise TypeError("check_backward needs the inputs of the layer: check_backward(forward, backward, x, w, b)")
    if not floats and (whole_numbers := _integers(inputs)):
        return whole_numbers
    point = {names[i]: moveable(inputs[i]) for i in floats}

    def outputs(values: Mapping[str, Any]) -> tuple[Any, Any]:
        given = [values.get(names[i], value) if i in floats else value for i, value in enumerate(inputs)]
        result = forward(*given)
        pair = isinstance(result, tuple) and len(result) == 2
        return result if pair else (result, given[0] if len(given) == 1 else tuple(given))

    with np.errstate(all="ignore"):
        out = number_or_array(outputs({key: x.copy() for key, x in point.items()})[0])
    dout = rng.standard_normal(out.shape) if upstream is None else np.array(upstream, dtype=out.dtype)
    dout = dout.astype(out.dtype) if out.dtype.kind == "f" else dout

    changed: list[Finding] = []

    def gradients(values: Mapping[str, Any], scale: float = 1.0) -> Any:
        handed = dout * dout.dtype.type(scale)
        result = backward(handed, outputs(values)[1])
        if not np.array_equal(handed, dout * dout.dtype.type(scale)) and not changed:
            changed.append(Finding("input-modified", "backward changes the upstream gradient that it is handed."))
        several = isinstance(result, tuple | list) and (len(floats) > 1 or (isinstance(result, tuple)))
        results = list(result) if several else [result]
        if len(results) != len(floats):
            raise TypeError(
                f"backward returned {len(results)} gradient{'s' * (len(results) != 1)}; there are {len(floats)} "
                f"inputs that need one: {', '.join(point)}"
            )
        return dict(zip(point, results, strict=True))

    problem = Problem(
        function=lambda values: outputs(values)[0],
        point=point,
        gradient=gradients,
        call=gradients,
        single=None,
        raw=forward,
        args=(),
        upstream=dout,
        reg=None,
        others={},
        rng=rng,
    )
    report = _check(problem, None)
    codes = {finding.code for finding in report.findings}
    still = not changed and not codes & {"input-modified", "not-deterministic"}
    more = [*changed, *(_not_linear(gradients, point) if np.size(dout) and still else [])]
    if not more:
        return report
    named = {finding.code for finding in report.findings}
    new = [finding for finding in more if finding.code not in named]
    known = [finding for finding in report.findings if finding.code != "unknown" or not new]
    return replace(report, ok=False, findings=(*known, *new))


def _integers(values: Iterable[Any]) -> GradientReport | None:
    """The report on a point of integers, if it is one."""
    for value in values:
        if np.asarray(value).dtype.kind in "iub":
            try:
                moveable(value)
            except TypeError as error:
                return GradientReport(False, np.nan, (Finding("integer-input", f"{error}."),))
    return None


def _not_linear(gradients: Callable[..., Any], point: dict[str, Array]) -> list[Finding]:
    """A backward pass is linear in the upstream gradient: nothing comes of zero, and twice as much of twice as much."""
    try:
        with np.errstate(all="ignore"):
            once, twice, none = (gradients(point, scale) for scale in (1.0, 2.0, 0.0))
        for key in point:
            a, b, zero = (np.asarray(result[key], dtype=float) for result in (once, twice, none))
            if not np.isfinite(a).all() or not a.any():
                continue
            if a.shape == b.shape and np.allclose(a, b, rtol=1e-6):
                text = "The upstream gradient is ignored: the result is the same whatever comes from above."
                return [Finding("upstream-ignored", text, None, (key,))]
            if np.any(zero) or not np.allclose(b, 2 * a, rtol=1e-4, atol=1e-6 * np.max(np.abs(a))):
                text = "The gradient is not proportional to the upstream gradient: it must be multiplied by it, once."
                return [Finding("not-linear", text, None, (key,))]
    except (TypeError, ValueError):
        return []  # the comparison has told of it already
    return []


# --- The questions, in their order -----------------------------------------------------------------------------


def _check(problem: Problem, directions: int | None) -> GradientReport:
    before = {key: value.copy() for key, value in problem.point.items()}
    try:
        return _answer(problem, directions, before)
    finally:
        modified(problem, before, "")  # also if somebody's code has raised in between


def _answer(problem: Problem, directions: int | None, before: dict[str, Array]) -> GradientReport:
    scalar = Scalar(lambda _: problem.function(problem.point), problem.upstream, problem.rng)
    findings: list[Finding] = []
    if directions is None and (trouble := _unsteady(problem, scalar, before, findings)):
        return trouble
    got, loss, complaints = claimed(problem, before)
    findings += complaints
    if got is None:
        return GradientReport(False, np.nan, tuple(_once(findings)))
    with np.errstate(all="ignore"):
        if directions is not None:
            return _along(problem, scalar, got, findings, directions, before)
        return _compare(problem, scalar, scalar(None), got, loss, findings)


def _unsteady(
    problem: Problem, scalar: Scalar, before: dict[str, Array], findings: list[Finding]
) -> GradientReport | None:
    """The report, if the function has no value here or not the same one twice; notes it if it changes the point."""
    with np.errstate(all="ignore"):
        value = scalar(None)
        findings += modified(problem, before, "The function")
        again = scalar(None)
        modified(problem, before, "")
    if isinstance(value, complex):
        raise TypeError("f returned a complex number; a gradient is of a real one")
    if not same_value(value, again):
        text = f"The function is random: it gave {value!r} and then {again!r} for the same point. Fix its seed."
        return GradientReport(False, np.nan, (Finding("not-deterministic", text),))
    if not np.isfinite(value):
        text = f"The function itself is {value} here{_finite_below(problem, scalar)}; no gradient can be checked."
        return GradientReport(False, np.nan, (Finding("unstable", text),))
    return None


def _compare(
    problem: Problem,
    scalar: Scalar,
    value: float,
    got: dict[str, Array],
    loss: float | None,
    findings: list[Finding],
) -> GradientReport:
    single_precision = any(
        array.dtype == np.float32 for array in (*problem.point.values(), *got.values()) if array.dtype.kind == "f"
    )
    precision = SINGLE.relative if single_precision else 1e-6
    compared: list[ParameterReport] = []
    wrongs: list[Wrong] = []
    arranged: dict[str, list[Finding]] = {}
    kinks: dict[str, Any] = {}
    rounded: dict[str, Finding] = {}
    exact = measurable(problem, scalar, value)
    variation = _variation(exact, value) if single_precision else 0.0
    for key, x in problem.point.items():
        measured = measure(exact.along(key), exact.point[key], got[key])
        largest = float(np.max(np.abs(x), initial=0))
        coarse = 64 * float(np.finfo(np.float32).eps) * variation / max(largest, 1.0)
        tolerance = (SINGLE, coarse) if single_precision else (TOLERANCE, 0.0)
        candidate = got[key]
        shape = np.shape(x)
        if candidate.shape != shape:
            fitted, claims = _brought_to_shape(candidate, measured, tolerance)
            compared.append(ParameterReport(key, shape, None, candidate, measured.gradient, 1.0))
            arranged[key] = claims
            if fitted is not None:
                usable = np.isfinite(fitted) & ~measured.kinks
                wrongs.append(Wrong(key, np.asarray(x, float), fitted, measured.gradient, usable, precision))
            continue
        kinks[key] = measured.kinks
        bad = ~measured.close(candidate.astype(float), *tolerance)
        error = _relative(candidate, measured)
        compared.append(ParameterReport(key, shape, bad, candidate.astype(float), measured.gradient, error))
        if not bad.any():
            findings += _worth_knowing(key, candidate, measured, single_precision)
            continue
        infinite = ~np.isfinite(candidate) & np.isfinite(measured.gradient)
        if infinite.any():
            findings.append(_unstable(problem, key, infinite, candidate))
            continue
        if not measured.gradient.any() and not measured.kinks.any():
            text = f"The function does not change when {key} moves. Does it use {key}, or round its result?"
            findings.append(Finding("unknown", text, None, (key,)))
            continue
        if _rounded_to_integers(candidate, measured):
            rounded[key] = Finding("integer-input", ROUNDED, 1.0, (key,))
            if candidate.dtype.kind in "iu":
                findings.append(rounded.pop(key))
                continue
        wrongs.append(
            Wrong(key, np.asarray(x, float), candidate.astype(float), measured.gradient, ~measured.kinks, precision)
        )

    wrong_at = [(one.wrong, kinks.get(one.name, False)) for one in compared if not one.ok]
    at_kinks = wrong_at and all(
        where is not None and not np.any(where & np.logical_not(kink)) for where, kink in wrong_at
    )
    if at_kinks and _right_beside(problem, scalar, got, None):
        compared = [one if one.ok else replace(one, wrong=np.zeros(one.shape, bool), error=0.0) for one in compared]
        wrongs = []
        findings.append(AT_KINK)
    ok = all(one.ok for one in compared)
    if any(finding.code == "input-modified" for finding in findings):
        wrongs, arranged, compared = [], {}, [one for one in compared if one.ok]  # the numbers are of another point
    if wrongs:
        findings += _explained(problem, scalar, wrongs, arranged)
    told = {key for finding in findings for key in finding.of}
    for key, claims in arranged.items():
        if key not in told or not any(finding.code in {c.code for c in claims} for finding in findings):
            findings += [replace(claim, of=(key,)) for claim in claims]
    told = {key for finding in findings if finding.code not in REMARKS for key in finding.of}
    findings += [finding for key, finding in rounded.items() if key not in told]
    told |= set(rounded)
    findings += [_unexplained(one) for one in compared if not one.ok and one.name not in told]
    findings += _about_loss(loss, value, ok, single_precision)
    errors = [one.error for one in compared]
    ok = ok and not any(finding.code not in REMARKS for finding in findings)
    return GradientReport(ok, max(errors, default=0.0), tuple(_once(findings)), tuple(compared))


def _explained(
    problem: Problem, scalar: Scalar, wrongs: list[Wrong], arranged: dict[str, list[Finding]]
) -> list[Finding]:
    """What the numbers prove, for gradients whose shape is right or has been made right."""
    problem = as_known_loss(problem, scalar)
    record = recorded(problem, scalar)
    exact = []
    for wrong in wrongs:
        right = record.right[wrong.name] if record is not None else wrong.right
        wrong = replace(wrong, right=right, usable=wrong.usable & np.isfinite(right))
        if wrong.difference <= (1e-4 * float(np.linalg.norm(right)) if wrong.name in arranged else 0):
            continue  # nothing but the arrangement is wrong, or what is at a kink
        exact.append(wrong)
    context = Context(record, sizes_in(problem), points=problem.point)
    if record is None:
        context.penalties = penalties_of(problem, scalar)
    context.variants = variants_of(problem, scalar, record)
    return diagnose(exact, context)


def _along(
    problem: Problem,
    scalar: Scalar,
    got: dict[str, Array],
    findings: list[Finding],
    directions: int,
    before: dict[str, Array],
) -> GradientReport:
    """The comparison along random directions, parameter by parameter."""
    for key, x in problem.point.items():
        if got[key].shape != x.shape:
            text = f"The gradient has shape {got[key].shape} and the parameter {x.shape}: they must be the same."
            findings.append(Finding("wrong-shape", text, None, (key,)))
            return GradientReport(False, 1.0, tuple(_once(findings)), (ParameterReport(key, x.shape, None, got[key]),))
    exact = problem.point
    f: Callable[[], float] = lambda: scalar(None)  # noqa: E731
    value = functools.cache(f)
    if any(x.dtype != np.float64 for x in exact.values()):
        measured = measurable(problem, scalar, value())
        exact, along = measured.point, measured.along("")
        f = lambda: along(None)  # noqa: E731
    tolerance = 1e-3 if any(x.dtype == np.float32 for x in (*problem.point.values(), *got.values())) else 1e-6

    def error_in(keys: list[str]) -> tuple[float, bool]:
        return error_along(f, value, [exact[key] for key in keys], [got[key] for key in keys], directions, problem.rng)

    together, at_kink = error_in(list(problem.point))
    errors = dict.fromkeys(problem.point, together)
    off = []
    if not together <= tolerance:
        if trouble := _unsteady(problem, scalar, before, findings):
            return trouble
        if at_kink and _right_beside(problem, scalar, got, directions):
            return GradientReport(True, 0.0, (*findings, AT_KINK))
        errors = {key: error_in([key])[0] for key in problem.point}
        off = [key for key, error in errors.items() if not error <= tolerance]
        off = off or [max(errors, key=lambda key: errors[key])]
    record = recorded(as_known_loss(problem, scalar), scalar) if off else None
    compared, wrongs = [], []
    for key, x in problem.point.items():
        right = None if record is None or key not in off else record.right[key]
        wrong = np.full(x.shape, key in off)
        if right is not None:
            off_by = np.abs(got[key] - right)
            wrong = off_by > TOLERANCE.allowed(right)
            wrongs.append(Wrong(key, x.astype(float), got[key].astype(float), right, np.isfinite(right)))
        compared.append(ParameterReport(key, x.shape, wrong, None if right is None else got[key], right, errors[key]))
    if wrongs:
        findings += _explained(problem, scalar, wrongs, {})
    told = {key for finding in findings for key in finding.of}
    for key in off:
        if key not in told:
            text = f"Along {directions} random directions its slope is not that of the function; why, is not clear."
            findings.append(Finding("unknown", text, None, (key,)))
    ok = not off and not findings
    return GradientReport(ok, max(errors.values(), default=0.0), tuple(_once(findings)), tuple(compared))


AT_KINK = Finding(
    "kink",
    "The function has several kinks at this point, and no derivative: there a gradient is a matter of choice. Close to "
    "the point, where there is one, it is right.",
)


NEIGHBOURS = 8


def _right_beside(problem: Problem, scalar: Scalar, got: dict[str, Array], directions: int | None) -> bool:
    """Whether it is right at a point close by, where f has a derivative; or, of an array, what the engine chooses."""
    if not callable(problem.gradient):
        record = recorded(problem, scalar)
        return record is not None and all(
            np.all(np.abs(got[key] - right) <= TOLERANCE.allowed(right)) for key, right in record.right.items()
        )
    rng = np.random.default_rng(4)
    kept = {key: x.copy() for key, x in problem.point.items()}
    around: dict[str, list[Array]] = {key: [] for key in problem.point}
    try:
        for k in range(NEIGHBOURS):
            for key, x in problem.point.items():
                typical = float(np.sqrt(np.mean(kept[key] ** 2))) if x.size else 0.0
                x[...] = kept[key] + (1e-2 * (typical or 1.0) * rng.standard_normal(x.shape)).astype(x.dtype)
            if k == 0:
                beside = _check(replace(problem, upstream=scalar.upstream), directions)
                if not beside.ok or AT_KINK in beside.findings:
                    return False
            there, _, _ = claimed(problem, {key: x.copy() for key, x in problem.point.items()})
            for key in problem.point:
                around[key].append((there or got)[key].astype(float))
    finally:
        for key, x in problem.point.items():
            x[...] = kept[key]
    for key, values in around.items():
        low, high = np.min(values, axis=0), np.max(values, axis=0)
        width = high - low + 0.1 * (np.abs(low) + np.abs(high))  # a few neighbours do not meet every slope there is
        if not np.all((got[key] >= low - width - 1e-9) & (got[key] <= high + width + 1e-9)):
            return False
    return True


def _once(findings: list[Finding]) -> list[Finding]:
    return list(dict.fromkeys(findings))


# --- Precision -----------------------------------------------------------------------------------------------


def _variation(exact: Exact, value: float) -> float:
    """How much the function changes over distances like the point's own: what its float32 digits are digits of."""
    f = exact.along("")
    kept = {key: x.copy() for key, x in exact.point.items()}
    values = []
    for times in (0.0, -1.0, 2.0):
        for key, x in exact.point.items():
            x[...] = times * kept[key]
        values.append(f(None))
    for key, x in exact.point.items():
        x[...] = kept[key]
    return max((abs(other - value) for other in values if np.isfinite(other)), default=0.0)


def _relative(got: Array, measured: Measured) -> float:
    """‖got − right‖ relative to the larger norm; what rounding may have done to the numerical gradient is no error."""
    if not got.size:
        return 0.0
    inside = np.clip(got.astype(float), measured.low, measured.high)  # at a kink anything between the slopes
    off = float(np.linalg.norm(got - inside))
    if not np.isfinite(off):
        return np.inf
    scale = max(float(np.linalg.norm(got)), float(np.linalg.norm(measured.gradient)))
    if off <= np.linalg.norm(measured.slack):
        return min(off / scale, 1e-9) if scale else 0.0
    return off / scale if scale else 0.0


def _worth_knowing(key: str, got: Array, measured: Measured, single_precision: bool) -> list[Finding]:
    """A gradient that is right, but not where one would expect it, or not to the last digit."""
    findings = []
    there = measured.kinks & (
        np.abs(got - measured.gradient) > TOLERANCE.relative * np.abs(measured.gradient) + measured.slack
    )
    if there.any():
        text = (
            f"The function has a kink here (in {int(there.sum())} of {there.size} entries): it has no derivative, and "
            "every number between its slopes is as right as any other. The gradient is one of them."
        )
        findings.append(Finding("kink", text, None, (key,)))
    norm = float(np.linalg.norm(measured.gradient))
    if float(np.linalg.norm(measured.slack)) > 1e-3 * norm > 0 and np.any(got):
        text = (
            "The function's values are so large beside its gradient that rounding hides errors of "
            f"{100 * float(np.linalg.norm(measured.slack)) / norm:.2g} %. Leave out what is constant in it."
        )
        findings.append(Finding("imprecise", text, None, (key,)))
    if single_precision and not measured.close(got.astype(float), TOLERANCE).all():
        text = "Right as far as float32 goes: it has 7 digits. For a sharper test use float64."
        findings.append(Finding("float32", text, None, (key,)))
    return findings


# --- Shapes, integers, infinities -------------------------------------------------------------------------------


def _brought_to_shape(
    got: Array, measured: Measured, tolerance: tuple[Tolerance, float]
) -> tuple[Array | None, list[Finding]]:
    """The gradient in the right shape, if there is a way that explains the wrong one."""
    shape = measured.gradient.shape
    shapes = f"The gradient has shape {got.shape} and the parameter {shape}"
    transposed = Finding("transposed", f"{shapes}: rows and columns are exchanged.", 1.0)
    got = got.astype(float)
    if got.ndim == 2 and got.shape == shape[::-1]:
        if measured.close(got.T, *tolerance).all():
            return got.T, [transposed]
        if not measured.close(got.reshape(shape), *tolerance).all():
            return got.T, [replace(transposed, explains=None)]
    if got.ndim > len(shape) and got.size > measured.gradient.size:
        for axes in ((0,), (-1,), tuple(range(got.ndim - len(shape)))):
            summed = got.sum(axis=axes)
            if summed.shape == shape and measured.close(summed, *tolerance).all():
                text = f"{shapes}: it is not summed over the batch. All examples share the parameter: sum over axis 0."
                return summed, [Finding("batch-not-summed", text, 1.0)]
        summed = got.sum(axis=tuple(range(got.ndim - len(shape))))
        if summed.shape == shape:
            text = f"{shapes}: sum over the batch, because all examples share the parameter."
            return summed, [Finding("batch-not-summed", text)]
    claim = Finding("wrong-shape", f"{shapes}: they must be the same.")
    if got.size == measured.gradient.size:
        right = measured.close(got.reshape(shape), *tolerance).all()
        more = " The numbers are right." if right else ""
        return got.reshape(shape), [replace(claim, message=claim.message + more, explains=1.0 if right else None)]
    return None, [claim]


def _rounded_to_integers(got: Array, measured: Measured) -> bool:
    whole, right = got.astype(float), measured.gradient
    if np.array_equal(whole, right) or not (got.dtype.kind in "iu" or np.count_nonzero(whole) > 1):
        return False
    return any(np.array_equal(whole, rounded(right)) for rounded in (np.trunc, np.rint, np.floor))


def _unstable(problem: Problem, key: str, infinite: Array, got: Array) -> Finding:
    first = got[infinite].ravel()[0]
    largest = float(np.max(np.abs(problem.point[key]), initial=0))
    text = (
        f"{entries_are(infinite)} not finite (such as {first}), although "
        f"the function is: something overflows on the way. Here the entries of {key} go up to {largest:.3g}"
    )
    if callable(problem.gradient):
        finite = [scale for scale in MAGNITUDES if _finite_at(problem, key, scale)]
        if finite:
            text += f"; with {key} up to {largest * max(finite):.2g} it is finite"
    return Finding("unstable", text + ". Is an exponential taken before the maximum is subtracted?", 1.0, (key,))


def _finite_at(problem: Problem, key: str, scale: float) -> bool:
    point = {name: x.copy() for name, x in problem.point.items()}
    point[key] = point[key] * point[key].dtype.type(scale)
    result = problem.call(point)
    if isinstance(result, tuple):
        result = result[1]
    result = result[key] if isinstance(result, Mapping) else result
    return bool(np.isfinite(np.asarray(result, dtype=float)).all())


def _finite_below(problem: Problem, scalar: Scalar) -> str:
    kept = {key: x.copy() for key, x in problem.point.items()}
    try:
        for scale in reversed(MAGNITUDES):
            for key, x in problem.point.items():
                x[...] = kept[key] * x.dtype.type(scale)
            if np.isfinite(scalar(None)):
                return f" (with entries {scale:g} times as large it is finite)"
        return ""
    finally:
        for key, x in problem.point.items():
            x[...] = kept[key]


def _unexplained(one: ParameterReport) -> Finding:
    """Where it is wrong, without a guess at why; how much, the report says."""
    if one.wrong is None or one.got is None or one.right is None:
        return Finding("unknown", "It cannot be compared.", None, (one.name,))
    text = f"{entries_are(one.wrong)} wrong{_place(one.wrong)}"
    return Finding("unknown", f"{text}; no known mistake explains it.", None, (one.name,))


def _place(wrong: Array) -> str:
    if wrong.ndim != 2 or wrong.all():
        return ""
    rows, columns = np.flatnonzero(wrong.any(axis=1)), np.flatnonzero(wrong.any(axis=0))
    if len(rows) * 2 <= wrong.shape[0] and len(rows) <= len(columns):
        return f", all in row{'s' * (len(rows) > 1)} {', '.join(map(str, rows[:5]))}{', …' * (len(rows) > 5)}"
    if len(columns) * 2 <= wrong.shape[1]:
        return (
            f", all in column{'s' * (len(columns) > 1)} {', '.join(map(str, columns[:5]))}{', …' * (len(columns) > 5)}"
        )
    return ""


def _about_loss(loss: float | None, value: float, ok: bool, single_precision: bool) -> list[Finding]:
    if loss is None:
        return []
    right = abs(loss - value) <= (1e-4 if single_precision else 1e-6) * max(abs(value), 1e-12)
    if ok and not right:
        return [
            Finding(
                "loss-wrong-gradient-right",
                f"The gradient is right, but the loss that comes with it is {loss:.6g} in place of {value:.6g}.",
            )
        ]
    if right and not ok:
        return [Finding("loss-right-gradient-wrong", "The loss that comes with it is right; it is the gradient alone.")]
    return []


def _first_of(f: Callable[..., Any]) -> Callable[..., Any]:
    def value(*args: Any) -> Any:
        result = f(*args)
        return result[0] if isinstance(result, tuple) else result

    return value

"""Which mistake explains the difference between two gradients?

The claimed gradient is compared with the result of each known mistake, the simplest first: a factor, a wrong share
of the regulariser, entries in another order, a fault from `faults.py`, and then two of these together.
A mistake is named only if it leaves less than a thousandth of the difference.

Source: the mistakes were counted in public solutions of these exercises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from time import perf_counter
from typing import Any

import numpy as np

from coursekit._typing import Array
from coursekit.reporting import Finding

from .context import Context, penalties_of, recorded, sizes_in, variants_of
from .factors import BIAS, SIGN, ZERO, meant_by, of_factor, readings
from .faults import faults
from .known_losses import as_known_loss
from .numeric import Scalar
from .problem import Problem
from .recording import Fault, Recording

LEFT = 1e-3  # the share of the difference that a mistake may leave unexplained, in norm
PATIENCE = 1.0  # seconds for faults, and again for pairs of them


@dataclass(frozen=True)
class Wrong:
    """A wrong gradient of one parameter."""

    name: str
    x: Array
    got: Array
    right: Array
    usable: Array  # where the right gradient is known: no kink, finite
    precision: float = 1e-6  # how far an exact explanation may be off, relative to the norm

    @property
    def difference(self) -> float:
        return float(np.linalg.norm((self.got - self.right)[self.usable]))


@dataclass(frozen=True)
class Candidate:
    """The gradient after the mistakes `claims`: `data` plus `penalty`, in any proportion."""

    claims: tuple[Finding, ...]
    data: Array
    penalty: Array | None  # of the regulariser


@dataclass(frozen=True)
class Explanation:
    """Mistakes that explain a wrong gradient.

    Attributes
    ----------
    claims : tuple of Finding
    share : float
        The share of the squared difference that they explain.
    exact : bool
        Whether they give exactly these numbers.  If not, something small is wrong besides.
    """

    claims: tuple[Finding, ...]
    share: float
    exact: bool

    @property
    def rank(self) -> tuple[bool, int]:
        """Rank exact and short explanations first."""
        return not self.exact, len(self.claims)


def explain(problem: Problem, scalar: Scalar, wrongs: Sequence[Wrong], arranged: Collection[str] = ()) -> list[Finding]:
    """Return the mistakes that explain the wrong gradients of a problem.

    Parameters
    ----------
    problem : Problem
    scalar : Scalar
        The function as one number.
    wrongs : sequence of Wrong
    arranged : collection of str
        The names of those that had a wrong shape and were brought into the right one.
    """
    if not wrongs:
        return []
    problem = as_known_loss(problem, scalar)
    record = recorded(problem, scalar)
    exact = []
    for wrong in wrongs:
        right = record.right[wrong.name] if record is not None else wrong.right
        wrong = replace(wrong, right=right, usable=wrong.usable & np.isfinite(right))
        if wrong.difference <= (1e-4 * float(np.linalg.norm(right)) if wrong.name in arranged else 0):
            continue  # only the shape is wrong, or entries at a kink
        exact.append(wrong)
    context = Context(record, sizes_in(problem), points=problem.point)
    if record is None:
        context.penalties = penalties_of(problem, scalar)
    context.variants = variants_of(problem, scalar, record)
    return diagnose(exact, context)


LONGEST = 2  # mistakes at once; more of them could explain anything by chance
FEW = 3  # entries; fewer may agree with a pair of mistakes by chance


def diagnose(wrongs: Sequence[Wrong], context: Context) -> list[Finding]:
    """Return the fewest mistakes that explain the wrong gradients; a gradient without an explanation has no finding."""
    explanations = {wrong.name: list(_simple(wrong, context)) for wrong in wrongs}
    if context.record is not None and any(_best(known) > (False, 1) for known in explanations.values()):
        effects = _effects(context.record)
        for wrong in wrongs:
            explanations[wrong.name] += _one_fault(wrong, context, effects)
        until = perf_counter() + PATIENCE
        for wrong in wrongs:
            if _best(explanations[wrong.name]) > (False, LONGEST) and min(context.sizes, default=FEW) >= FEW:
                explanations[wrong.name] += _two_faults(wrong, context, effects, until)
    if not any(explanations.values()):
        return _one_factor(wrongs)
    return _fewest(explanations, {wrong.name: wrong.x.size for wrong in wrongs})


def _one_factor(wrongs: Sequence[Wrong]) -> list[Finding]:
    """Return the factor that all parameters share; one small parameter alone could not prove it."""
    if len(wrongs) < 2:
        return []
    got = np.concatenate([wrong.got[wrong.usable] for wrong in wrongs])
    right = np.concatenate([wrong.right[wrong.usable] for wrong in wrongs])
    factor = _coefficient(got, right)
    left, difference = np.linalg.norm(got - factor * right), np.linalg.norm(got - right)
    if np.count_nonzero(right) < 4 or not factor or left > LEFT * difference:
        return []
    share = float(1 - (left / difference) ** 2)
    of = tuple(wrong.name for wrong in wrongs)
    return [replace(claim, explains=share, of=of) for claim in of_factor(factor, {}, "The gradient")]


def _fewest(explanations: dict[str, list[Explanation]], entries: dict[str, int]) -> list[Finding]:
    """Choose one explanation for each parameter: the shortest, and of these one that other parameters share."""
    shortest = {name: _shortest(known) for name, known in explanations.items()}
    counts = Counter(
        key for known in shortest.values() for key in {_key(claim) for one in known for claim in one.claims}
    )
    found: dict[Any, Finding] = {}
    for name, known in shortest.items():
        if not known:
            continue
        chosen = max(known, key=lambda one: min(counts[_key(claim)] for claim in one.claims))
        alone = all(counts[_key(claim)] < 2 for claim in chosen.claims)
        if len(chosen.claims) > 1 and entries[name] < FEW and alone:
            continue
        for claim in chosen.claims:
            before = found.get(_key(claim), replace(claim, explains=chosen.share))
            share = min(chosen.share, before.explains or 0)
            found[_key(claim)] = replace(before, explains=share, of=(*before.of, name))
    return list(found.values())


def _shortest(known: Sequence[Explanation]) -> list[Explanation]:
    best = _best(known)
    return [one for one in known if one.rank == best and len(one.claims) <= LONGEST]


def _best(known: Sequence[Explanation]) -> tuple[bool, int]:
    """Return the rank of the best explanation."""
    return min((one.rank for one in known if len(one.claims) <= LONGEST), default=(True, LONGEST + 1))


def _key(claim: Finding) -> tuple[str, str]:
    return claim.code, claim.message


# --- One parameter --------------------------------------------------------------------------------------


def _simple(wrong: Wrong, context: Context) -> list[Explanation]:
    """Return the explanations without a fault: factors, other orders of the entries, other functions."""
    record, name = context.record, wrong.name
    penalty = record.penalty[name] if record is not None else context.penalties.get(name)
    data = record.data[name] if record is not None else wrong.right - (0 if penalty is None else penalty)
    candidates = [Candidate((), data, penalty)]
    candidates += [Candidate((claim,), d[name], p.get(name)) for claim, d, p in context.variants]
    return _explained_by(candidates, wrong, context)


def _explained_by(candidates: Iterable[Candidate], wrong: Wrong, context: Context) -> list[Explanation]:
    return [
        explanation
        for candidate in candidates
        for arranged in _arrangements(candidate, wrong)
        for explanation in _proportions(wrong, arranged, context)
    ]


Effects = Sequence[tuple[Fault, dict[str, Array]]]  # faults, and the gradients with them


def _effects(record: Recording) -> Effects:
    """Return the gradients with each possible fault, as many as there is time for."""
    until = perf_counter() + PATIENCE
    effects = []
    for fault in faults(record):
        effects.append((fault, record.gradients(fault)))
        if perf_counter() > until:
            break
    return effects


def _one_fault(wrong: Wrong, context: Context, effects: Effects) -> list[Explanation]:
    record = context.record
    assert record is not None
    candidates = [
        Candidate((Finding(fault.code, fault.message),), gradients[wrong.name], record.penalty[wrong.name])
        for fault, gradients in effects
        if not np.array_equal(gradients[wrong.name], record.data[wrong.name])
    ]
    return _explained_by(candidates, wrong, context)


def _two_faults(wrong: Wrong, context: Context, effects: Effects, until: float) -> list[Explanation]:
    record, name = context.record, wrong.name
    assert record is not None
    felt = [fault for fault, gradients in effects if not np.array_equal(gradients[name], record.data[name])]
    explanations: list[Explanation] = []
    for first, second in combinations(felt, 2):
        if first.code == second.code:
            continue
        if perf_counter() > until:
            break
        claims = Finding(first.code, first.message), Finding(second.code, second.message)
        candidate = Candidate(claims, record.gradients(first.and_also(second))[name], record.penalty[name])
        explanations += _proportions(wrong, candidate, context, as_it_is=True)
    return explanations


# --- The same numbers in another order ---------------------------------------------------------------------

TRANSPOSED = Finding("transposed", "Rows and columns are exchanged: the gradient is transposed.")


def _arrangements(column: Candidate, wrong: Wrong) -> Iterator[Candidate]:
    yield column
    x = wrong.x
    if x.size < 2:
        return

    def arranged(message: str, move: Callable[[Array], Array], code: str = "permuted") -> Candidate:
        claim = Finding(code, message)
        penalty = None if column.penalty is None else move(column.penalty)
        return Candidate((*column.claims, claim), move(column.data), penalty)

    if x.ndim == 2 and x.shape[0] == x.shape[1] and x.shape[0] > 1:
        yield arranged(TRANSPOSED.message, np.transpose, TRANSPOSED.code)
    names = ["rows", "columns"] if x.ndim == 2 else ["entries"] if x.ndim == 1 else [f"axis {i}" for i in range(x.ndim)]
    for axis, what in enumerate(names):
        if x.shape[axis] < 2:
            continue
        yield arranged(f"The {what} are in the reverse order.", partial(np.flip, axis=axis))
        for by in (1, -1):
            yield arranged(f"The {what} are shifted by one.", partial(np.roll, shift=by, axis=axis))
        if 3 <= x.shape[axis] <= 40 and not column.claims:
            for i, j in combinations(range(x.shape[axis]), 2):
                order = np.arange(x.shape[axis])
                order[[i, j]] = order[[j, i]]
                text = f"Two of the {what} are exchanged: {i} and {j}."
                yield arranged(text, partial(np.take, indices=order, axis=axis))
    if x.ndim > 1:
        text = "The entries are in another order: column by column in place of row by row (reshape or order='F')."
        yield arranged(text, lambda a: a.ravel(order="F").reshape(a.shape))
        yield arranged(text, lambda a: a.ravel().reshape(a.shape, order="F"))
    ranked = _same_entries(column, wrong) if not column.claims else None
    if ranked is not None:
        yield Candidate((Finding("permuted", "All numbers are right, but in other places."),), ranked, None)


def _same_entries(column: Candidate, wrong: Wrong) -> Array | None:
    """Sort the right gradient into the order of the claimed one, if it has enough different entries."""
    right = column.data + (0 if column.penalty is None else column.penalty)
    if not wrong.usable.all() or len(np.unique(right)) < 4:
        return None
    ranked = np.empty(right.size)
    ranked[np.argsort(wrong.got, axis=None)] = np.sort(right, axis=None)
    return ranked.reshape(right.shape)


# --- In other proportions ------------------------------------------------------------------------------------


class _Fit:
    """A wrong gradient beside a candidate, in the entries where the right gradient is known.

    Attributes
    ----------
    got, data : arrays (n,)
        The claimed gradient, and the candidate's without its regulariser.
    penalty : array (n,) or None
        The gradient of the candidate's regulariser; None if it is zero.
    """

    def __init__(self, wrong: Wrong, column: Candidate) -> None:
        self.wrong, self.column = wrong, column
        self.got, self.data = wrong.got[wrong.usable], column.data[wrong.usable]
        penalty = None if column.penalty is None else column.penalty[wrong.usable]
        self.penalty = None if penalty is None or not np.any(penalty) else penalty

    def explained(self, claims: tuple[Finding, ...], fitted: Array) -> list[Explanation]:
        """Return the candidate with further `claims`, whose numbers are `fitted`, if it explains enough."""
        left, difference = float(np.linalg.norm(self.got - fitted)), self.wrong.difference
        if not left <= LEFT * difference:
            return []
        exact = left <= self.wrong.precision * float(np.linalg.norm(self.got))
        return [Explanation((*self.column.claims, *claims), 1 - (left / difference) ** 2, exact)]


def _proportions(wrong: Wrong, column: Candidate, context: Context, as_it_is: bool = False) -> Iterator[Explanation]:
    """Yield explanations with a gradient of the form a·data + b·penalty; with `as_it_is`, only a = b = 1."""
    fit = _Fit(wrong, column)
    unscaled = fit.explained((), fit.data if fit.penalty is None else fit.data + fit.penalty)
    if column.claims:
        yield from unscaled
    if as_it_is or any(one.exact for one in unscaled):
        return
    if fit.penalty is None:
        yield from _one_factor_of(fit, context)
        yield from _bias_penalised(fit, context)
    else:
        yield from _two_factors_of(fit, fit.penalty, context)


def _one_factor_of(fit: _Fit, context: Context) -> Iterator[Explanation]:
    if not np.any(fit.got) and np.any(fit.data):
        yield from fit.explained((ZERO,), fit.got)
        return
    factor = _coefficient(fit.got, fit.data)
    nice = meant_by(factor, context.sizes, products=bool(np.count_nonzero(fit.data) >= FEW))
    if nice:
        yield from fit.explained(of_factor(nice, context.sizes, "The gradient"), nice * fit.data)
    elif nice is None and factor and not fit.column.claims and np.count_nonzero(fit.data) >= 4:
        yield from fit.explained(of_factor(factor, context.sizes, "The gradient"), factor * fit.data)


def _bias_penalised(fit: _Fit, context: Context) -> Iterator[Explanation]:
    """Yield explanations with a bias that is regularised like the weights."""
    strength = _strength_elsewhere(fit.wrong, context)
    if strength is None:
        return
    x = fit.wrong.x[fit.wrong.usable]
    for sign in (1.0, -1.0):
        found = _coefficient(fit.got - sign * fit.data, x)
        if meant_by(abs(found) / strength, context.sizes):
            yield from fit.explained((SIGN, BIAS) if sign < 0 else (BIAS,), sign * fit.data + found * x)


def _two_factors_of(fit: _Fit, penalty: Array, context: Context) -> Iterator[Explanation]:
    matrix = np.stack([fit.data, penalty], axis=1)
    scales = np.linalg.norm(matrix, axis=0)
    if abs(fit.data @ penalty) > (1 - 1e-4) * scales[0] * scales[1] > 0:
        return  # parallel: the two factors cannot be told apart
    scales[scales == 0] = 1
    (a, b), *_ = np.linalg.lstsq(matrix / scales, fit.got, rcond=1e-12)
    a, b = float(a / scales[0]), float(b / scales[1])
    for claims, a_exact, b_exact in readings(a, b, context.sizes, alone=not fit.column.claims):
        yield from fit.explained(claims, a_exact * fit.data + b_exact * penalty)


def _coefficient(y: Array, x: Array) -> float:
    """Return the factor a for which a·x is closest to y."""
    square = float(np.sum(x * x))
    return float(np.sum(x * y)) / square if square else 0.0


def _strength_elsewhere(wrong: Wrong, context: Context) -> float | None:
    """Return 2·reg if this is a bias and another parameter has a regulariser, else None."""
    if wrong.x.ndim != 1:
        return None
    for name, penalty in (context.record.penalty if context.record is not None else context.penalties).items():
        if name != wrong.name and np.any(penalty):
            x = context.record.parameters[name] if context.record is not None else context.points[name]
            return _coefficient(np.ravel(penalty), np.ravel(x))
    return None

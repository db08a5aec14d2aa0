"""Which mistake explains the difference between two gradients?

The gradient that was handed in is compared with what each known mistake would have given, the simplest
first: another factor, another share of the regulariser, another arrangement of the entries, a fault of
`faults.py`, and then two of these together.  A mistake is named only if it leaves less than a
thousandth of the difference; what nothing explains stays without a name.

Source: the mistakes that are looked for are those counted in public solutions of these exercises.
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
from .recording import Fault

LEFT = 1e-3  # of the difference a mistake may leave unexplained, in norm
PATIENCE = 1.0  # seconds for faults, and as many for pairs of them


@dataclass(frozen=True)
class Wrong:
    """The gradient of one parameter that does not agree."""

    name: str
    x: Array
    got: Array
    right: Array
    usable: Array  # where the right one is known: no kink, finite
    precision: float = 1e-6  # how far, of its norm, it may be off what its mistakes give

    @property
    def difference(self) -> float:
        return float(np.linalg.norm((self.got - self.right)[self.usable]))


@dataclass(frozen=True)
class Candidate:
    """What a gradient would be: `data` and `penalty`, in any proportion, if the mistakes `claims` were made."""

    claims: tuple[Finding, ...]
    data: Array
    penalty: Array | None  # of the regulariser


@dataclass(frozen=True)
class Story:
    """Mistakes that explain a gradient.

    Attributes
    ----------
    claims : tuple of Finding
    share : float
        Of the squared difference that they explain.
    exact : bool
        Whether they give these very numbers.  Else something small is wrong besides.
    """

    claims: tuple[Finding, ...]
    share: float
    exact: bool

    @property
    def rank(self) -> tuple[bool, int]:
        """The smaller the better."""
        return not self.exact, len(self.claims)


def explain(problem: Problem, scalar: Scalar, wrongs: Sequence[Wrong], arranged: Collection[str] = ()) -> list[Finding]:
    """Return what the numbers prove.

    Parameters
    ----------
    problem, scalar
        What is asked, and the function as one number.
    wrongs : sequence of Wrong
        The gradients that do not agree.
    arranged : collection of str
        Those of them that had another shape and were brought to the right one.
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
            continue  # nothing but the arrangement is wrong, or what is at a kink
        exact.append(wrong)
    context = Context(record, sizes_in(problem), points=problem.point)
    if record is None:
        context.penalties = penalties_of(problem, scalar)
    context.variants = variants_of(problem, scalar, record)
    return diagnose(exact, context)


GOOD = (False, 1)
LONGEST = 2  # mistakes at once; of more, chance could tell as good a story


def diagnose(wrongs: Sequence[Wrong], context: Context) -> list[Finding]:
    """The mistakes that explain the wrong gradients, as few as possible; what has no explanation has no finding."""
    stories = {wrong.name: list(_stories(wrong, context)) for wrong in wrongs}
    if context.record is not None and any(_best(told) > GOOD for told in stories.values()):
        until = perf_counter() + PATIENCE
        effects = []
        for fault in faults(context.record):
            effects.append((fault, context.record.gradients(fault)))
            if perf_counter() > until:
                break
        for wrong in wrongs:
            columns = [
                Candidate(
                    (Finding(fault.code, fault.message),), gradients[wrong.name], context.record.penalty[wrong.name]
                )
                for fault, gradients in effects
                if not np.array_equal(gradients[wrong.name], context.record.data[wrong.name])
            ]
            stories[wrong.name] += _told(wrong, columns, context)
        until = perf_counter() + PATIENCE
        for wrong in wrongs:
            if _best(stories[wrong.name]) > (False, LONGEST) and min(context.sizes, default=FEW) >= FEW:
                stories[wrong.name] += _two_faults(wrong, context, effects, until)
    if not any(stories.values()):
        return _one_factor(wrongs)
    return _fewest(stories, {wrong.name: wrong.x.size for wrong in wrongs})


def _one_factor(wrongs: Sequence[Wrong]) -> list[Finding]:
    """The same odd factor in all parameters, which one small parameter alone could not prove."""
    got = np.concatenate([wrong.got[wrong.usable] for wrong in wrongs]) if wrongs else np.zeros(0)
    right = np.concatenate([wrong.right[wrong.usable] for wrong in wrongs]) if wrongs else np.zeros(0)
    factor = _coefficient(got, right)
    left, difference = np.linalg.norm(got - factor * right), np.linalg.norm(got - right)
    if len(wrongs) < 2 or np.count_nonzero(right) < 4 or not factor or left > LEFT * difference:
        return []
    share = float(1 - (left / difference) ** 2)
    of = tuple(wrong.name for wrong in wrongs)
    return [replace(claim, explains=share, of=of) for claim in of_factor(factor, {}, "The gradient")]


FEW = 3  # entries; as many numbers are met by a pair of mistakes by chance


def _fewest(stories: dict[str, list[Story]], entries: dict[str, int]) -> list[Finding]:
    """One story for each parameter: the shortest, and of these the one that other parameters tell, too."""
    shortest = {
        name: [story for story in told if story.rank == _best(told) and len(story.claims) <= LONGEST]
        for name, told in stories.items()
    }
    heard = Counter(key for told in shortest.values() for key in {_key(c) for story in told for c in story.claims})
    found: dict[Any, Finding] = {}
    for name, told in shortest.items():
        if not told:
            continue
        story = max(told, key=lambda story: min(heard[_key(claim)] for claim in story.claims))
        claims, share = story.claims, story.share
        if len(claims) > 1 and entries[name] < FEW and all(heard[_key(claim)] < 2 for claim in claims):
            continue
        for claim in claims:
            before = found.get(_key(claim), replace(claim, explains=share))
            found[_key(claim)] = replace(before, explains=min(share, before.explains or 0), of=(*before.of, name))
    return list(found.values())


def _best(told: Sequence[Story]) -> tuple[bool, int]:
    return min((story.rank for story in told if len(story.claims) <= LONGEST), default=(True, LONGEST + 1))


def _key(claim: Finding) -> tuple[str, str]:
    return claim.code, claim.message


# --- One parameter --------------------------------------------------------------------------------------


def _stories(wrong: Wrong, context: Context) -> Iterator[Story]:
    record, name = context.record, wrong.name
    penalty = record.penalty[name] if record is not None else context.penalties.get(name)
    data = record.data[name] if record is not None else wrong.right - (0 if penalty is None else penalty)
    columns = [Candidate((), data, penalty)]
    columns += [Candidate((claim,), d[name], p.get(name)) for claim, d, p in context.variants]
    yield from _told(wrong, columns, context)


def _told(wrong: Wrong, columns: Iterable[Candidate], context: Context) -> list[Story]:
    told: list[Story] = []
    for column in columns:
        for arranged in _arrangements(column, wrong):
            told.extend(_proportions(wrong, arranged, context))
    return told


def _two_faults(
    wrong: Wrong, context: Context, effects: Sequence[tuple[Fault, dict[str, Array]]], until: float
) -> list[Story]:
    record = context.record
    assert record is not None
    felt = [fault for fault, gradients in effects if not np.array_equal(gradients[wrong.name], record.data[wrong.name])]
    told: list[Story] = []
    for first, second in combinations(felt, 2):
        if first.code == second.code:
            continue
        if perf_counter() > until:
            break
        claims = Finding(first.code, first.message), Finding(second.code, second.message)
        gradient = record.gradients(first.and_also(second))[wrong.name]
        told.extend(
            _proportions(wrong, Candidate(claims, gradient, record.penalty[wrong.name]), context, as_it_is=True)
        )
    return told


# --- The same numbers, otherwise arranged ---------------------------------------------------------------------

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
    """The right gradient with its entries where those of the one handed in are, by size, if there are enough."""
    right = column.data + (0 if column.penalty is None else column.penalty)
    if not wrong.usable.all() or len(np.unique(right)) < 4:
        return None
    ranked = np.empty(right.size)
    ranked[np.argsort(wrong.got, axis=None)] = np.sort(right, axis=None)
    return ranked.reshape(right.shape)


# --- In other proportions ------------------------------------------------------------------------------------


class _Fit:
    """A gradient beside a candidate, in the entries where the right gradient is known.

    Attributes
    ----------
    got, data : arrays (n,)
        The gradient that was handed in, and what a candidate gives without its regulariser.
    penalty : array (n,) or None
        The gradient of the candidate's regulariser, unless it is zero.
    """

    def __init__(self, wrong: Wrong, column: Candidate) -> None:
        self.wrong, self.column = wrong, column
        self.got, self.data = wrong.got[wrong.usable], column.data[wrong.usable]
        penalty = None if column.penalty is None else column.penalty[wrong.usable]
        self.penalty = None if penalty is None or not np.any(penalty) else penalty

    def told(self, claims: tuple[Finding, ...], fitted: Array) -> list[Story]:
        """Return the story that the candidate with further `claims` tells, if its numbers `fitted` explain enough."""
        left, difference = float(np.linalg.norm(self.got - fitted)), self.wrong.difference
        if not left <= LEFT * difference:
            return []
        exact = left <= self.wrong.precision * float(np.linalg.norm(self.got))
        return [Story((*self.column.claims, *claims), 1 - (left / difference) ** 2, exact)]


def _proportions(wrong: Wrong, column: Candidate, context: Context, as_it_is: bool = False) -> Iterator[Story]:
    """Yield the stories in which the gradient is a·data + b·penalty; with `as_it_is`, only a = b = 1."""
    fit = _Fit(wrong, column)
    unscaled = fit.told((), fit.data if fit.penalty is None else fit.data + fit.penalty)
    if column.claims:
        yield from unscaled
    if as_it_is or any(one.exact for one in unscaled):
        return
    if fit.penalty is None:
        yield from _one_factor_of(fit, context)
        yield from _bias_penalised(fit, context)
    else:
        yield from _two_factors_of(fit, fit.penalty, context)


def _one_factor_of(fit: _Fit, context: Context) -> Iterator[Story]:
    if not np.any(fit.got) and np.any(fit.data):
        yield from fit.told((ZERO,), fit.got)
        return
    factor = _coefficient(fit.got, fit.data)
    nice = meant_by(factor, context.sizes, products=bool(np.count_nonzero(fit.data) >= FEW))
    if nice:
        yield from fit.told(of_factor(nice, context.sizes, "The gradient"), nice * fit.data)
    elif nice is None and factor and not fit.column.claims and np.count_nonzero(fit.data) >= 4:
        yield from fit.told(of_factor(factor, context.sizes, "The gradient"), factor * fit.data)


def _bias_penalised(fit: _Fit, context: Context) -> Iterator[Story]:
    """Yield the stories in which a bias is regularised as the weights are."""
    strength = _strength_elsewhere(fit.wrong, context)
    if strength is None:
        return
    x = fit.wrong.x[fit.wrong.usable]
    for sign in (1.0, -1.0):
        found = _coefficient(fit.got - sign * fit.data, x)
        if meant_by(abs(found) / strength, context.sizes):
            yield from fit.told((SIGN, BIAS) if sign < 0 else (BIAS,), sign * fit.data + found * x)


def _two_factors_of(fit: _Fit, penalty: Array, context: Context) -> Iterator[Story]:
    matrix = np.stack([fit.data, penalty], axis=1)
    scales = np.linalg.norm(matrix, axis=0)
    if abs(fit.data @ penalty) > (1 - 1e-4) * scales[0] * scales[1] > 0:
        return  # one is a multiple of the other: what is whose cannot be told
    scales[scales == 0] = 1
    (a, b), *_ = np.linalg.lstsq(matrix / scales, fit.got, rcond=1e-12)
    a, b = float(a / scales[0]), float(b / scales[1])
    for claims, a_exact, b_exact in readings(a, b, context.sizes, alone=not fit.column.claims):
        yield from fit.told(claims, a_exact * fit.data + b_exact * penalty)


def _coefficient(y: Array, x: Array) -> float:
    """Return the a for which a·x is closest to y."""
    square = float(np.sum(x * x))
    return float(np.sum(x * y)) / square if square else 0.0


def _strength_elsewhere(wrong: Wrong, context: Context) -> float | None:
    """Return 2·reg, if this is a bias and other parameters have a regulariser; else None."""
    if wrong.x.ndim != 1:
        return None
    for name, penalty in (context.record.penalty if context.record is not None else context.penalties).items():
        if name != wrong.name and np.any(penalty):
            x = context.record.parameters[name] if context.record is not None else context.points[name]
            return _coefficient(np.ravel(penalty), np.ravel(x))
    return None

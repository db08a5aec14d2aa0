"""Does the gradient checker reject what is wrong, name the mistake, and accept what is right?  What does it cost?

    python tests/benchmarks/diagnosis.py [--quick] [--only WORD] [--show]

prints one table.  The mistakes are those of `subjects.py`; the right gradients are in
`correct_gradients.py`.  `--show` lists every case that missed.  A cost is a ratio of times that were measured one
after the other in the same round; the table shows the median of the rounds.
"""

from __future__ import annotations

import os

if __name__ == "__main__":  # BLAS reads these when numpy gets imported
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import itertools
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
from correct_gradients import (
    SMOOTH,
    Array,
    Gives,
    Results,
    check_subject,
    correct_gradients,
    gradients,
    normal,
    softmax_regression,
)
from engine import machine
from subjects import SUBJECTS

from coursekit.autograd import grad
from coursekit.gradcheck import GradientReport, check_gradient

SIZES = (1, 2)
SEEDS = (0, 1)
PAIRS = 60
# Findings that name no mistake in the gradient: where and how large it is, or something that is true beside it.
REMARKS = {"unknown", "kink", "float32", "loss-right-gradient-wrong", "not-linear"}


@dataclass
class Line:
    """One line of the table; `ok` is None where nothing is demanded."""

    what: str
    measured: str
    must_be: str = ""
    ok: bool | None = None


@dataclass
class Section:
    lines: list[Line]
    misses: list[str] = field(default_factory=list)


# ---------------------------------------------------------------------------------------------------
# One mistake at a time
# ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Checked:
    """A wrong gradient, what it should be called, and what the checker said."""

    subject: str
    mistake: str
    size: int
    expected: tuple[str, ...]
    report: GradientReport | Exception

    @property
    def codes(self) -> list[str]:
        return [] if isinstance(self.report, Exception) else [finding.code for finding in self.report.findings]

    @property
    def rejected(self) -> bool:
        return not isinstance(self.report, Exception) and not self.report.ok

    @property
    def named_first(self) -> bool:
        return bool(self.codes) and self.codes[0] in self.expected

    @property
    def all_named(self) -> bool:
        return set(self.expected) <= set(self.codes)

    @property
    def false_names(self) -> list[str]:
        return [code for code in self.codes if code not in self.expected and code not in REMARKS]

    def __str__(self) -> str:
        """What `--show` prints."""
        said = (
            repr(self.report) if isinstance(self.report, Exception) else ", ".join(map(said_by, self.report.findings))
        )
        verdict = "NOT REJECTED" if not self.rejected else "FALSE NAME" if self.false_names else "unnamed"
        expected = " + ".join(self.expected) or "nothing"
        case = f"{self.subject}, size {self.size}, {self.mistake}"
        return f"{verdict}: {case}: expected {expected}, got {said or 'nothing'}"


def said_by(finding: Any) -> str:
    return finding.code if finding.explains is None else f"{finding.code} ({finding.explains:.3f})"


def attempt(check: Callable[[], GradientReport]) -> GradientReport | Exception:
    """The report; an exception of the checker is a miss like any other."""
    try:
        with np.errstate(all="ignore"):
            return check()
    except Exception as error:
        return error


def code_of(mistake: Any) -> str:
    """What the checker should call it: the part before the slash."""
    return str(mistake.code).partition("/")[0]


def check_bank(subject: Any, sizes: Iterable[int] = SIZES, seeds: Iterable[int] = SEEDS) -> Iterator[Checked]:
    """Every mistake of a subject, as array and as function, other arguments in `args` and in a closure, in turn."""
    ways = itertools.cycle(itertools.product((False, True), (False, True)))
    for size, seed in itertools.product(sizes, seeds):
        for mistake in (*subject.mistakes, *behaviours(subject)):
            as_function, in_closure = next(ways)
            expected = code_of(mistake)
            args = arguments(subject, size, seed, large=expected == "unstable")
            if expected not in BEHAVIOURS and changes_nothing(subject, args, mistake):
                continue
            way = {"as_function": as_function or expected in BEHAVIOURS, "in_closure": in_closure}
            report = attempt(partial(check_subject, subject, args, mistake.gives, **way))
            yield Checked(subject.name, mistake.code or mistake.message, size, (expected,) * bool(expected), report)
        next(ways)  # so that a mistake meets other ways at the next size


def arguments(subject: Any, size: int, seed: int, large: bool = False) -> Results:
    return dict(subject.draw(np.random.default_rng([size, seed]), None if large else size))


BEHAVIOURS = ("not-deterministic", "input-modified")


@dataclass(frozen=True)
class Behaviour:
    """A mistake that is not in the numbers."""

    code: str
    message: str
    gives: Gives


def behaviours(subject: Any) -> tuple[Behaviour, ...]:
    noise = np.random.default_rng(0)
    first = subject.parameters[0]

    def noisy(right: Results, args: Results) -> Results:
        slope = np.asarray(right["d" + first])
        return {"d" + first: slope + 0.01 * noise.normal(size=slope.shape) * np.linalg.norm(slope)}

    def modifying(right: Results, args: Results) -> Results:
        args[first][...] *= 0.5
        return {}

    messages = "noise added anew in each call", f"{first} changed in place"
    return tuple(map(Behaviour, BEHAVIOURS, messages, (noisy, modifying)))


def changes_nothing(subject: Any, args: Results, mistake: Any) -> bool:
    """As a label shift where nothing depends on the label."""
    with np.errstate(all="ignore"):
        return alike(gradients(subject, args), gradients(subject, args, mistake.gives))


def alike(a: Results, b: Results) -> bool:
    return all(close(a.get(name), b.get(name)) for name in {*a, *b})


def close(a: Any, b: Any) -> bool:
    if a is None or b is None or np.shape(a) != np.shape(b):
        return False
    a, b = np.asarray(a, float), np.asarray(b, float)
    return bool(np.linalg.norm(a - b) <= 1e-3 * max(np.linalg.norm(a), np.linalg.norm(b)))


def bank(quick: bool) -> Section:
    checks = [checked for subject in SUBJECTS for checked in check_bank(subject, seeds=SEEDS[:1] if quick else SEEDS)]
    mistakes = sum(len(subject.mistakes) + len(BEHAVIOURS) for subject in SUBJECTS)
    named, rejected = (sum(getattr(checked, part) for checked in checks) for part in ("named_first", "rejected"))
    false = [checked for checked in checks if checked.false_names]
    missed = [c for c in checks if not (c.named_first and c.rejected) or c.false_names]
    misses = [f"{miss} × {count}" for miss, count in Counter(map(str, missed)).items()]
    lines = [
        Line("bank: subjects", str(len(SUBJECTS)), ">= 12", len(SUBJECTS) >= 12),
        Line("bank: mistakes", str(mistakes), ">= 150", mistakes >= 150),
        Line("bank: rejected", of(rejected, len(checks)), "all", rejected == len(checks)),
        Line("bank: named correctly, first", of(named, len(checks)), ">= 95 %", named >= 0.95 * len(checks)),
        Line("bank: named falsely", of(len(false), len(checks)), "0", not false),
    ]
    return Section(lines, misses)


def of(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / max(whole, 1):.1f} %)"


# ---------------------------------------------------------------------------------------------------
# Two mistakes at once
# ---------------------------------------------------------------------------------------------------

# What works on any gradient, in the order in which one mistake is made on top of the other; others are added.
ON_TOP = ("scale", "regularizer", "sign", "permuted", "transposed", "integer-input", "wrong-shape")
ALONE = ("unstable", "", *BEHAVIOURS)  # hide another mistake, or have no name


def pairs(quick: bool) -> Section:
    checks = [check_pair(*pair) for pair in chosen_pairs()]
    total = len(checks)
    rejected, both = (sum(getattr(checked, part) for checked in checks) for part in ("rejected", "all_named"))
    false = sum(bool(checked.false_names) for checked in checks)
    misses = [str(checked) for checked in checks if not (checked.rejected and checked.all_named) or checked.false_names]
    lines = [
        Line("pairs: rejected", of(rejected, total), "all 60", rejected == total == PAIRS),
        Line("pairs: both named", of(both, total), ">= 70 %", both >= 0.7 * total),
        Line("pairs: a false name", of(false, total), "<= 2 %", false <= 0.02 * total),
    ]
    return Section(lines, misses)


def check_pair(subject: Any, first: Any, second: Any) -> Checked:
    way = {"as_function": True, "in_closure": True}
    report = attempt(partial(check_subject, subject, arguments(subject, 2, 0), both_at_once(first, second), **way))
    names = f"{first.code} + {second.code}" + " (differences added)" * (order(second) < 0)
    return Checked(subject.name, names, 2, (code_of(first), code_of(second)), report)


def chosen_pairs() -> list[tuple[Any, Any, Any]]:
    """Pairs of mistakes that do not hide each other: a subject after the other, rare pairs of codes first."""
    rng = np.random.default_rng(0)
    possible = {}
    for subject in SUBJECTS:
        found = [(first, second) for first, second in itertools.combinations(subject.mistakes, 2)]
        possible[subject.name] = [found[i] for i in rng.permutation(len(found))]
    used: Counter[frozenset[str]] = Counter()
    chosen: list[tuple[Any, Any, Any]] = []
    while len(chosen) < PAIRS and any(possible.values()):
        for subject in SUBJECTS:
            left = sorted(possible[subject.name], key=lambda pair: used[codes(pair)])
            while left and not distinct(subject, *left[0]):
                possible[subject.name].remove(left.pop(0))
            if left and len(chosen) < PAIRS:
                possible[subject.name].remove(left[0])
                used[codes(left[0])] += 1
                chosen.append((subject, *in_order(subject, left[0])))
    return chosen


def codes(pair: Iterable[Any]) -> frozenset[str]:
    return frozenset(map(code_of, pair))


def order(mistake: Any) -> int:
    """Its place among those on top of others; -1 for one that is not."""
    ranks = [i for i, code in enumerate(ON_TOP) if code_of(mistake).startswith(code)]
    return ranks[0] if ranks else -1


def in_order(subject: Any, pair: Iterable[Any]) -> list[Any]:
    """First what is made first; a factor of everything comes after a factor of the data alone and the regulariser."""

    def place(mistake: Any) -> int:
        return ON_TOP.index("sign") if is_factor_of_all(subject, mistake) else order(mistake)

    return sorted(pair, key=place)


def is_factor_of_all(subject: Any, mistake: Any) -> bool:
    """Whether it is a factor and gives twice as much for a gradient twice as large."""
    if code_of(mistake) != "scale":
        return False
    args = arguments(subject, 2, 0)
    right = gradients(subject, args)
    double = {name: 2 * value for name, value in right.items()}
    once, twice = mistake.gives(right, args), mistake.gives(double, args)
    return alike({name: 2 * value for name, value in once.items()}, twice)


def distinct(subject: Any, first: Any, second: Any) -> bool:
    """Whether two mistakes together are neither right nor any single mistake, and may be told apart."""
    families = {code_of(mistake).partition("-")[0] for mistake in (first, second)}
    if len(families) < 2 or any(code_of(mistake) in ALONE for mistake in (first, second)):
        return False  # the same code, or two that contradict each other: the regulariser missing and double
    if families in ({"transposed", "wrong"}, {"transposed", "permuted"}):
        return False  # read in the wrong order, in the wrong shape: the same in other words
    args = arguments(subject, 2, 0)
    first, second = in_order(subject, (first, second))
    right = gradients(subject, args)
    try:
        together = gradients(subject, args, both_at_once(first, second))
        others = [right, *(gradients(subject, args, mistake.gives) for mistake in subject.mistakes)]
    except ValueError:  # shapes that do not fit
        return False
    if any(vanishes(together[name], right[name]) for name in right):
        return False
    return not any(alike(together, other) for other in others)


def vanishes(wrong: Any, right: Any) -> bool:
    """Whether too little is left to tell the mistakes from: mostly zeros, or one number for many."""
    return np.size(wrong) != np.size(right) or np.count_nonzero(wrong) < np.count_nonzero(right) / 2


def both_at_once(first: Any, second: Any) -> Gives:
    """One mistake made on what the other gives, if it is of that kind; otherwise both differences from right."""

    def gives(right: Results, args: Results) -> Results:
        one = first.gives(right, args)
        if order(second) >= 0:
            return {**one, **second.gives({**right, **one}, args)}
        other = second.gives(right, args)
        both = {name: one[name] + other[name] - right[name] for name in one.keys() & other.keys()}
        return {**one, **other, **both}

    return gives


# ---------------------------------------------------------------------------------------------------
# Right, and slightly wrong
# ---------------------------------------------------------------------------------------------------


def correct(quick: bool) -> Section:
    cases = correct_gradients()
    reports = {case.name: attempt(case.check) for case in cases}
    rejected = {name: report for name, report in reports.items() if isinstance(report, Exception) or not report.ok}
    misses = [f"right, {name}: {explain(report)}" for name, report in rejected.items()]
    line = Line(
        "right gradients: rejected", of(len(rejected), len(cases)), "0 of >= 200", not rejected and len(cases) >= 200
    )
    return Section([line], misses)


def explain(report: GradientReport | Exception) -> str:
    if isinstance(report, Exception):
        return repr(report)
    return f"ok={report.ok}, error {report.error:.2g}, {', '.join(map(said_by, report.findings)) or 'no findings'}"


def slightly_wrong(quick: bool) -> Section:
    """The checker checked: what is 0.05 % wrong in norm, or wrong by 1 % in one entry of 10 000."""
    a_little = [(name, attempt(partial(off_by, *case))) for name, case in nearly_right(50)]
    one_entry = [(f"seed {seed}", attempt(partial(one_entry_off, seed))) for seed in range(5 if quick else 50)]
    lines, misses = [], []
    for what, reports in ("wrong by 0.05 % in norm", a_little), ("one of 10 000 entries wrong by 1 %", one_entry):
        passed = [(name, r) for name, r in reports if isinstance(r, Exception) or r.ok]
        lines.append(Line(f"{what}: rejected", of(len(reports) - len(passed), len(reports)), "all", not passed))
        misses += [f"{what}, {name}: {explain(report)}" for name, report in passed]
    return Section(lines, misses)


def nearly_right(count: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """A function, a point, its gradient and a seed."""
    functions = [(name, f, x, grad(f)(x)) for name, (f, x) in SMOOTH.items() if not isinstance(x, dict)]
    for subject in SUBJECTS:
        args = arguments(subject, 2, 0)
        if "dout" not in args and len(subject.parameters) == 1:
            name = subject.parameters[0]
            right = gradients(subject, args)["d" + name]
            functions.append((subject.name, loss_alone(subject, args, name), args[name], right))
    for seed, (name, f, x, right) in zip(range(count), itertools.cycle(functions), strict=False):
        yield f"{name}, seed {seed}", (f, x, right, seed)


def loss_alone(subject: Any, args: Results, name: str) -> Callable[[Any], Any]:
    return lambda x: subject.forward(*{**args, name: x}.values())


def off_by(f: Callable[[Any], Any], x: Array, right: Array, seed: int, share: float = 5e-4) -> GradientReport:
    error = np.random.default_rng(seed).normal(size=np.shape(right))
    error *= share * np.linalg.norm(right) / np.linalg.norm(error)
    return check_gradient(f, x, right + error)


def one_entry_off(seed: int) -> GradientReport:
    """Softmax regression of 100 pixels and 100 classes; one of the larger half of the entries is wrong."""
    rng = np.random.default_rng(seed)
    f = softmax_regression(rng.normal(size=(40, 100)), rng.integers(100, size=40), 1e-3)
    W = 0.1 * rng.normal(size=(100, 100))
    wrong = grad(f)(W)
    larger = np.argwhere(np.abs(wrong) >= np.median(np.abs(wrong)))
    wrong[tuple(rng.choice(larger))] *= 1.01
    return check_gradient(f, W, wrong)


# ---------------------------------------------------------------------------------------------------
# Cost
# ---------------------------------------------------------------------------------------------------

DIRECTIONS = 5
X, Y = normal(128, 90), np.arange(128) % 10
NET = {"W1": normal(90, 100) / 10, "W2": normal(100, 10) / 10}  # 10 000 parameters


def tanh_net(p: Any) -> Any:
    return cross_entropy(np.tanh(X @ p["W1"]) @ p["W2"])


def relu_net(p: Any) -> Any:
    """In a few of its 20 000 evaluations, a unit crosses its kink."""
    return cross_entropy(np.maximum(0, X @ p["W1"]) @ p["W2"])


def cross_entropy(scores: Any) -> Any:
    scores = scores - np.max(scores, axis=1, keepdims=True)
    return np.mean(np.log(np.sum(np.exp(scores), axis=1)) - scores[np.arange(len(Y)), Y])


def seconds(run: Callable[[], Any], times: int = 1) -> float:
    start = perf_counter()
    for _ in range(times):
        run()
    return (perf_counter() - start) / times


def ratio(
    check: Callable[[], Any], evaluation: Callable[[], Any], evaluations: int, rounds: int, checks: int = 1
) -> tuple[float, float]:
    """Median of (seconds of a check ÷ seconds of so many evaluations), and the seconds of one evaluation."""
    samples = []
    for _ in range(rounds):
        before = seconds(evaluation, 300)
        taken = seconds(check, checks)
        each = (before + seconds(evaluation, 300)) / 2
        samples.append((taken / (evaluations * each), each))
    return float(np.median([sample[0] for sample in samples])), float(np.median([sample[1] for sample in samples]))


def evaluations_of(check: Callable[[Callable[[Any], Any]], Any], f: Callable[[Any], Any]) -> int:
    """How often a check evaluates the function."""
    count = 0

    def counting(p: Any) -> Any:
        nonlocal count
        count += 1
        return f(p)

    check(counting)
    return count


def cost(quick: bool) -> Section:
    right = grad(tanh_net)(NET)
    wrong = {"W1": right["W1"] * np.linspace(0.9, 1.1, 100), "W2": right["W2"]}
    sign = {**right, "W1": -right["W1"]}
    entries = sum(value.size for value in NET.values())
    lines = []
    for what, f, gradient, directions, limit in (
        ("passing", tanh_net, right, None, 1.1),
        ("passing, relu net", relu_net, grad(relu_net)(NET), None, None),
        ("failing, unknown cause", tanh_net, wrong, None, None),
        ("failing, sign", tanh_net, sign, None, None),
        (f"passing, directions={DIRECTIONS}", tanh_net, right, DIRECTIONS, 3),
    ):
        check = partial(check_gradient, x=NET, gradient=gradient, directions=directions)
        passes = "" if check(f).ok == what.startswith("passing") else " WRONG VERDICT"
        rounds = 15 if directions else 1 if quick else 5
        unit, per = (directions, "directions") if directions else (2 * entries, f"{2 * entries} evaluations")
        checks = 100 if directions else 1  # as many as take about as long as the evaluations beside them
        measured, each = ratio(partial(check, f), partial(f, NET), unit, rounds, checks)
        text = f"**{measured:.3g}** × {per} of {1e6 * each:.0f} µs; {evaluations_of(check, f)} evaluations{passes}"
        ok = None if limit is None else measured <= limit and not passes
        lines.append(Line(f"cost of a check, {what}", text, "" if limit is None else f"<= {limit}", ok))
    lines.append(Line("cost of torch.autograd.gradcheck", torch_gradcheck(2 * entries, 1 if quick else 3)))
    return Section(lines)


def torch_gradcheck(evaluations: int, rounds: int) -> str:
    try:
        import torch
    except ImportError:
        return "not installed (pip install torch)"
    torch.set_num_threads(1)
    inputs, labels = torch.tensor(X), torch.tensor(Y)
    weights = tuple(torch.tensor(value, requires_grad=True) for value in NET.values())

    def loss(W1: Any, W2: Any) -> Any:
        return torch.nn.functional.cross_entropy(torch.tanh(inputs @ W1) @ W2, labels)

    assert abs(loss(*weights).item() - tanh_net(NET)) < 1e-12
    measured, each = ratio(lambda: torch.autograd.gradcheck(loss, weights), lambda: loss(*weights), evaluations, rounds)
    return f"{measured:.3g} × {evaluations} evaluations of {1e6 * each:.0f} µs"


# ---------------------------------------------------------------------------------------------------
# The table
# ---------------------------------------------------------------------------------------------------

SECTIONS: dict[str, Callable[[bool], Section]] = {
    "bank": bank, "pairs": pairs, "correct": correct, "slightly": slightly_wrong, "cost": cost,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="How good is the gradient checker, and what does it cost?")
    parser.add_argument("--quick", action="store_true", help="one seed, fewer rounds")
    parser.add_argument("--only", choices=SECTIONS, help="this part alone")
    parser.add_argument("--show", action="store_true", help="list every case that missed")
    options = parser.parse_args(arguments)

    print(*machine(together=True)[:3], sep="\n", end="\n\n")
    print("| what | measured | must be | ok? |\n|---|---|---|---|")
    verdicts, misses = [], []
    for name in [options.only] if options.only else SECTIONS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # wrong gradients overflow
            section = SECTIONS[name](options.quick)
        for line in section.lines:
            ok = "" if line.ok is None else "yes" if line.ok else "no"
            print(f"| {line.what} | {line.measured} | {line.must_be} | {ok} |", flush=True)
            verdicts += [] if line.ok is None else [line.ok]
        misses += section.misses
    print(f"\n{sum(verdicts)} of {len(verdicts)} met")
    if options.show:
        print("\nmissed:", *sorted(misses), sep="\n")


if __name__ == "__main__":
    main()

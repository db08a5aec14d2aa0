"""How fast is the engine, beside what people would otherwise use?

    python tests/benchmarks/engine.py [--quick] [--only WORD] [--together]

prints one table: each line says how many times as long (or as much memory) the first
contestant takes as the second, and how many times it may.  The contestants of one piece
of work take turns, about ten milliseconds each, for many rounds.  A ratio is taken
within each round, so that a machine that is busy or changes its clock slows both sides
of it; the table shows the median of these ratios and, in brackets, their quartiles.
One BLAS thread, float64, garbage collector as Python sets it.

Each contestant has a process of its own, as in its user's program, because in one process
they change each other's times: an allocation of PyTorch can move glibc's thresholds for
returning memory to the system, after which HIPS autograd takes half as long.  A process
also has its luck, where its arrays lie for instance, so the rounds are spread over several
heats with fresh processes.  ``--together`` puts all of them into one process, to see how
much that matters.
"""

from __future__ import annotations

import os

if __name__ == "__main__":  # BLAS reads these when numpy gets imported
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import datetime
import gc
import importlib.metadata
import multiprocessing
import platform
import subprocess
import sys
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

HEATS = 3
OTHERS = ("torch", "autograd", "micrograd")  # what the engine is compared with, where it is installed

Step = Callable[[], Sequence[Any]]  # what is timed: forward and backward; returns the loss and the gradients
Contestant = Callable[[Any], Step]  # gets the data of the work, prepares what a user prepares once


@dataclass(frozen=True)
class Work:
    """Something to compute, and how to measure what it costs."""

    name: str
    data: Callable[[], Any]
    measure: Callable[[Step], float]
    unit: tuple[str, float]  # name, and how many of it make one of what `measure` returns
    rounds: int  # in each heat
    quick_rounds: int


@dataclass(frozen=True)
class Line:
    """One line of the table: `mine` may cost at most `limit` times what `theirs` costs."""

    work: Work
    mine: Contestant
    theirs: Contestant
    limit: float | None = None  # None: for information
    same_result: bool = True

    @property
    def title(self) -> str:
        return f"{self.work.name}: {label(self.mine)} | {label(self.theirs)}"


def label(contestant: Contestant) -> str:
    return contestant.__name__.replace("_", " ")


# ---------------------------------------------------------------------------------------------------
# How to measure
# ---------------------------------------------------------------------------------------------------


def seconds_per_call(step: Step, turn: float = 0.01) -> float:
    """The mean over a turn of ten milliseconds, after one call that warms the caches."""
    start = perf_counter()
    step()
    repeats = max(1, round(turn / (perf_counter() - start)))
    start = perf_counter()
    for _ in range(repeats):
        step()
    return (perf_counter() - start) / repeats


def seconds_of_one_call(step: Step) -> float:
    start = perf_counter()
    step()
    return perf_counter() - start


def own_report(step: Step) -> float:
    """What the step itself says that it took."""
    return float(step()[0])


def peak_memory(step: Step, steps: int = 1) -> float:
    """Bytes, from the start of the step: the inputs exist already and do not count."""
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(steps):
            step()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# ---------------------------------------------------------------------------------------------------
# Sigmoid net with squared error, the lecture's program: gradients of both weights
# ---------------------------------------------------------------------------------------------------


def random_net(n: int, d_in: int, d_hidden: int, d_out: int) -> tuple[np.ndarray, ...]:
    """x (n, d_in), y (n, d_out), w1 (d_in, d_hidden), w2 (d_hidden, d_out)."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, d_in)), rng.standard_normal((n, d_out))
    w1 = rng.standard_normal((d_in, d_hidden)) / np.sqrt(d_in)
    w2 = rng.standard_normal((d_hidden, d_out)) / np.sqrt(d_hidden)
    return x, y, w1, w2


def program(xp: Any) -> Callable[..., Any]:
    """The forward program as a user writes it, with the functions of numpy, torch or autograd.numpy."""

    def loss(x: Any, y: Any, w1: Any, w2: Any) -> Any:
        h = 1 / (1 + xp.exp(-(x @ w1)))
        y_pred = h @ w2
        return xp.square(y_pred - y).sum()

    return loss


def flat_NumPy(net: tuple[np.ndarray, ...]) -> Step:
    x, y, w1, w2 = net

    def step() -> Sequence[Any]:
        h = 1 / (1 + np.exp(-x.dot(w1)))
        y_pred = h.dot(w2)
        loss = np.square(y_pred - y).sum()

        grad_y_pred = 2.0 * (y_pred - y)
        grad_w2 = h.T.dot(grad_y_pred)
        grad_h = grad_y_pred.dot(w2.T)
        grad_w1 = x.T.dot(grad_h * h * (1 - h))
        return loss, grad_w1, grad_w2

    return step


def coursekit_tape(net: tuple[np.ndarray, ...]) -> Step:
    from coursekit.autograd import Tensor

    x, y, *weights = net
    w1, w2 = (Tensor(w, requires_grad=True) for w in weights)
    forward = program(np)

    def step() -> Sequence[Any]:
        w1.grad = w2.grad = None
        loss = forward(x, y, w1, w2)
        loss.backward()
        return loss.value, w1.grad, w2.grad

    return step


def coursekit_flat(net: tuple[np.ndarray, ...]) -> Step:
    from coursekit.tracing import flat

    value_and_gradients = flat(program(np), *net, argnums=(2, 3))

    def step() -> Sequence[Any]:
        loss, (grad_w1, grad_w2) = value_and_gradients(*net)
        return loss, grad_w1, grad_w2

    return step


def PyTorch_eager(net: tuple[np.ndarray, ...]) -> Step:
    import torch

    torch.set_num_threads(1)
    x, y, w1, w2 = (torch.tensor(array) for array in net)
    w1.requires_grad_()
    w2.requires_grad_()
    forward = program(torch)

    def step() -> Sequence[Any]:
        w1.grad = w2.grad = None
        loss = forward(x, y, w1, w2)
        loss.backward()
        return loss.item(), w1.grad, w2.grad

    return step


def HIPS_autograd(net: tuple[np.ndarray, ...]) -> Step:
    import autograd.numpy
    from autograd import value_and_grad

    value_and_gradients = value_and_grad(program(autograd.numpy), argnum=(2, 3))

    def step() -> Sequence[Any]:
        loss, (grad_w1, grad_w2) = value_and_gradients(*net)
        return loss, grad_w1, grad_w2

    return step


# ---------------------------------------------------------------------------------------------------
# Second order of the same net: the gradient of the gradient penalty ‖∂L/∂w1‖²
# ---------------------------------------------------------------------------------------------------


def coursekit_first_order(net: tuple[np.ndarray, ...]) -> Step:
    from coursekit.autograd import grad

    x, y, w1, w2 = net
    forward = program(np)
    gradient = grad(lambda w: forward(x, y, w, w2))
    return lambda: [gradient(w1)]


def coursekit_second_order(net: tuple[np.ndarray, ...]) -> Step:
    from coursekit.autograd import grad

    x, y, w1, w2 = net
    forward = program(np)
    gradient = grad(lambda w: forward(x, y, w, w2))
    of_penalty = grad(lambda w: np.sum(gradient(w) ** 2))
    return lambda: [of_penalty(w1)]


def PyTorch_second_order(net: tuple[np.ndarray, ...]) -> Step:
    import torch

    torch.set_num_threads(1)
    x, y, w1, w2 = (torch.tensor(array) for array in net)
    w1.requires_grad_()
    forward = program(torch)

    def step() -> Sequence[Any]:
        (gradient,) = torch.autograd.grad(forward(x, y, w1, w2), w1, create_graph=True)
        return torch.autograd.grad((gradient**2).sum(), w1)

    return step


# ---------------------------------------------------------------------------------------------------
# Circuits of numbers, 400 operators as the user writes them (micrograd makes several nodes of - and /)
# ---------------------------------------------------------------------------------------------------


def chain(x: Any, w: Any, b: Any) -> Any:
    for _ in range(200):
        x = x * w + b
    return x


def mixed(a: Any, b: Any, c: Any, d: Any) -> Any:
    for _ in range(40):
        c = c * d
        a = (a * b + c).relu() / (d**2 + 1.0)
        b = (b - a * c) * d
    return b


def expression(f: Callable[..., Any], *inputs: float) -> tuple[Callable[..., Any], tuple[float, ...]]:
    return f, inputs


def coursekit_Value(circuit: tuple[Callable[..., Any], tuple[float, ...]]) -> Step:
    from coursekit.autograd import Value

    f, inputs = circuit

    def step() -> Sequence[Any]:
        values = [Value(x) for x in inputs]
        result = f(*values)
        result.backward()
        return result.value, *[v.grad for v in values]

    return step


def coursekit_Value_through_flat(circuit: tuple[Callable[..., Any], tuple[float, ...]]) -> Step:
    from coursekit.autograd import Value
    from coursekit.tracing import flat

    f, inputs = circuit
    value_and_gradients = flat(f, *[Value(x) for x in inputs])

    def step() -> Sequence[Any]:
        value, gradients = value_and_gradients(*inputs)
        return value, *gradients

    return step


def micrograd(circuit: tuple[Callable[..., Any], tuple[float, ...]]) -> Step:
    from micrograd.engine import Value

    f, inputs = circuit

    def step() -> Sequence[Any]:
        values = [Value(x) for x in inputs]
        result = f(*values)
        result.backward()
        return result.data, *[v.grad for v in values]

    return step


# ---------------------------------------------------------------------------------------------------
# Importing, in a fresh interpreter
# ---------------------------------------------------------------------------------------------------

HEAVY = {"matplotlib", "IPython", "nbgrader"}
IMPORT = "from time import perf_counter; start = perf_counter(); import {}; print(perf_counter() - start)"


def nothing() -> None:
    """The data that an import needs."""


def importing(module: str) -> Step:
    """A step that starts Python, imports the module and returns the seconds of the import alone, as its only result."""
    loaded = _python(f"import sys, {module}; print(*sys.modules)").split()
    assert HEAVY.isdisjoint(loaded), f"import {module} loads {', '.join(sorted(HEAVY.intersection(loaded)))}"
    return lambda: [float(_python(IMPORT.format(module)))]


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def import_numpy(_: None) -> Step:
    return importing("numpy")


def import_coursekit(_: None) -> Step:
    return importing("coursekit")


def import_coursekit_autograd(_: None) -> Step:
    return importing("coursekit.autograd")


# ---------------------------------------------------------------------------------------------------
# The table
# ---------------------------------------------------------------------------------------------------

timed = partial(Work, measure=seconds_per_call, unit=("µs", 1e6), rounds=51, quick_rounds=21)
started = partial(Work, data=nothing, unit=("ms", 1e3), rounds=11, quick_rounds=15)
traced = partial(Work, unit=("kB", 1e-3), rounds=1, quick_rounds=1)

lecture_net = partial(random_net, 64, 1000, 100, 10)
LECTURE = timed("64×1000-100-10", lecture_net)
MIDDLE = timed("100×64-64-10", partial(random_net, 100, 64, 64, 10))
SMALL = timed("32×2-16-1", partial(random_net, 32, 2, 16, 1))
SECOND = timed("64×1000-100-10, gradient penalty", lecture_net)
CHAIN = timed("chain of 400 nodes", partial(expression, chain, 0.5, 0.99, 0.01))
MIXED = timed("mixed expression of 400 nodes", partial(expression, mixed, 1.5, 0.8, -0.3, 0.97))
PROCESS = started("whole process", measure=seconds_of_one_call)
INSIDE = started("import alone", measure=own_report)
PEAK = traced("64×1000-100-10, peak memory", lecture_net, peak_memory)
PEAK_OF_MANY = traced("64×1000-100-10, peak memory of ten steps", lecture_net, partial(peak_memory, steps=10))

LINES = [
    Line(LECTURE, coursekit_tape, flat_NumPy, 1.10),
    Line(LECTURE, coursekit_tape, PyTorch_eager, 1.3),
    Line(LECTURE, coursekit_tape, HIPS_autograd, 0.6),
    Line(LECTURE, coursekit_flat, flat_NumPy, 1.0),
    Line(MIDDLE, coursekit_tape, flat_NumPy, 1.30),
    Line(MIDDLE, coursekit_tape, PyTorch_eager, 0.8),
    Line(MIDDLE, coursekit_tape, HIPS_autograd, 0.35),
    Line(MIDDLE, coursekit_flat, flat_NumPy, 0.97),
    Line(SMALL, coursekit_tape, flat_NumPy, 3.2),
    Line(SMALL, coursekit_tape, PyTorch_eager, 0.6),
    Line(SMALL, coursekit_tape, HIPS_autograd, 0.17),
    Line(SMALL, coursekit_flat, flat_NumPy, 1.2),
    Line(SECOND, coursekit_second_order, coursekit_first_order, 3.5, same_result=False),
    Line(SECOND, coursekit_second_order, PyTorch_second_order),
    Line(CHAIN, coursekit_Value, micrograd, 0.4),
    Line(CHAIN, coursekit_Value_through_flat, micrograd, 0.08),
    Line(MIXED, coursekit_Value, micrograd, 0.4),
    Line(MIXED, coursekit_Value_through_flat, micrograd, 0.08),
    Line(PROCESS, import_coursekit, import_numpy, 1.3, same_result=False),
    Line(PROCESS, import_coursekit_autograd, import_numpy, same_result=False),
    Line(INSIDE, import_coursekit, import_numpy, same_result=False),
    Line(INSIDE, import_coursekit_autograd, import_numpy, same_result=False),
    Line(PEAK, coursekit_tape, flat_NumPy, 1.3),
    # Tensors in reference cycles would stay until the garbage collector comes, and show here.
    Line(PEAK_OF_MANY, coursekit_tape, flat_NumPy),
]


# ---------------------------------------------------------------------------------------------------
# Running it: processes that measure when they are asked to
# ---------------------------------------------------------------------------------------------------


def serve(requests: Connection, work: Work) -> None:
    """In a process of its own: prepare contestants and measure them, in the main thread, until nobody asks."""
    steps: dict[str, Step] = {}
    while True:
        try:
            verb, contestant = requests.recv()
        except EOFError:
            return
        name = contestant.__name__
        if verb == "measure":
            requests.send(work.measure(steps[name]))
            continue
        try:
            steps[name] = contestant(work.data())
            steps[name]()
            requests.send((True, [np.asarray(result) for result in steps[name]()]))
        except Exception as error:  # one that does not work yet costs its own lines only
            requests.send((False, explain(error)))


def explain(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name in OTHERS:
        return f"not installed (pip install {error.name})"
    if isinstance(error, ImportError):
        return f"not available ({str(error).partition(' from ')[0]})"
    return f"fails: {type(error).__name__}: {error}".replace("\n", " ")


def start_process(work: Work) -> Connection:
    """Our end of the pipe; closing it ends the process."""
    spawn = multiprocessing.get_context("spawn")  # a fresh interpreter, no copy of this one
    ours, theirs = spawn.Pipe()
    spawn.Process(target=serve, args=(theirs, work), daemon=True).start()
    theirs.close()
    return ours


def ask(process: Connection, verb: str, contestant: Contestant) -> Any:
    process.send((verb, contestant))
    return process.recv()


@dataclass
class Race:
    """The contestants of one piece of work and what has been measured of them so far."""

    work: Work
    contestants: list[Contestant]
    results: dict[Contestant, list[np.ndarray]] = field(default_factory=dict)
    problems: dict[Contestant, str] = field(default_factory=dict)  # of those that cannot run
    samples: dict[Contestant, list[float]] = field(default_factory=lambda: defaultdict(list))

    def heat(self, rounds: int, together: bool) -> None:
        """One measurement of each contestant in each round, in fresh processes; every other round in reverse order."""
        shared = start_process(self.work) if together else None
        processes = {contestant: shared or start_process(self.work) for contestant in self.contestants}
        for contestant, process in processes.items():
            runs, answer = ask(process, "prepare", contestant)
            (self.results if runs else self.problems)[contestant] = answer
        order = [contestant for contestant in self.contestants if contestant not in self.problems]
        for _ in range(rounds):
            for contestant in order:
                self.samples[contestant].append(ask(processes[contestant], "measure", contestant))
            order.reverse()
        for process in processes.values():
            process.close()

    def problem(self, line: Line) -> str | None:
        """Why the line has no ratio, if so."""
        for contestant in (line.mine, line.theirs):
            if contestant in self.problems:
                return f"{label(contestant)}: {self.problems[contestant]}"
        return difference(self.results[line.mine], self.results[line.theirs]) if line.same_result else None


def difference(mine: Iterable[Any], theirs: Iterable[Any]) -> str | None:
    """None if both computed the same loss and gradients, to 1e-10 of the largest entry."""
    for a, b in zip(map(np.asarray, mine), map(np.asarray, theirs), strict=True):
        if a.shape != b.shape:
            return f"WRONG: shape {a.shape} against {b.shape}"
        if not np.allclose(a, b, rtol=1e-10, atol=1e-10 * np.abs(b).max()):
            return f"WRONG: results differ by {np.abs(a - b).max():.1e}"
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Time the engine against its alternatives.")
    parser.add_argument("--quick", action="store_true", help="one heat, fewer rounds")
    parser.add_argument("--only", metavar="WORD", default="", help="only lines that contain this word")
    parser.add_argument("--together", action="store_true", help="all contestants in one process")
    options = parser.parse_args(arguments)

    print(*machine(options.together), sep="\n", end="\n\n")
    print("| work | against | measured | must be at most | ok? |\n|---|---|---|---|---|")
    verdicts: list[bool] = []
    chosen = [line for line in LINES if options.only.lower() in line.title.lower()]
    for work, group in groupby(chosen, key=lambda line: line.work):
        lines = list(group)
        race = Race(work, list(dict.fromkeys(c for line in lines for c in (line.mine, line.theirs))))
        for _ in range(1 if options.quick else HEATS):
            race.heat(work.quick_rounds if options.quick else work.rounds, options.together)
        for line in lines:
            ratio, measured = compare(race, line)
            limit, ok = "", ""
            if line.limit is not None:
                verdicts.append(bool(ratio <= line.limit))
                limit, ok = f"{line.limit:.2f}", "yes" if verdicts[-1] else "no"
            print(f"| {line.title} | {measured} | {limit} | {ok} |", flush=True)
    print(f"\n{sum(verdicts)} of {len(verdicts)} met")


def compare(race: Race, line: Line) -> tuple[float, str]:
    """The median ratio, and what the table says of it."""
    if problem := race.problem(line):
        return np.inf, problem
    mine, theirs = np.array(race.samples[line.mine]), np.array(race.samples[line.theirs])
    low, ratio, high = np.percentile(mine / theirs, [25, 50, 75])
    unit, per_unit = line.work.unit
    costs = f"{np.median(mine) * per_unit:.4g} : {np.median(theirs) * per_unit:.4g} {unit}"
    return ratio, f"**{ratio:.3g}** [{low:.3g}, {high:.3g}], {costs}"


def machine(together: bool) -> list[str]:
    """Where and with what this was measured."""
    blas = np.show_config("dicts")["Build Dependencies"]["blas"]
    versions = {name: _version(name) for name in ("coursekit", *OTHERS)}
    return [
        f"{datetime.date.today()}: {_cpu()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        f"Python {platform.python_version()}, NumPy {np.__version__} with {blas['name']} {blas['version']}, one thread",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
        "all contestants in one process" if together else "each contestant in a process of its own",
    ]


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


if __name__ == "__main__":
    main()

"""Is the grader right about students?  Exercise by exercise, over the whole course.

    python tests/benchmarks/verdicts.py [--only WORD] [--show]

prints two tables.  The first: differently written right solutions that are accepted with full marks; mistakes,
written as a student writes them and as the assignment's `mistakes.py` computes them, that are rejected, and
that are named.  The second: what a student who hands in no answer at all is told.  Each solution is graded on
the cases of several students; it counts as accepted, rejected or named if it is for all of them.
`--show` lists what missed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

if __name__ == "__main__":
    # BLAS reads these when numpy gets imported; the programs are with the tests.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), os.pardir, "students"))

from assessed import Assessed, assessed, codes
from programs import SLUGS, first, right, wrong

from coursekit.checks.judge import examine
from coursekit.checks.report import Report
from coursekit.checks.run import Failure, StepOutcome, run_case

STUDENTS = ("student-0", "student-1", "student-2")
VALUES = ("close", "labels", "unchanged", "anything")


@dataclass
class Tally:
    """How many of how many, and which were not."""

    good: int = 0
    of: int = 0
    missed: list[str] = field(default_factory=list)

    def add(self, good: bool, what: str) -> None:
        self.good += good
        self.of += 1
        if not good:
            self.missed.append(what)

    def __str__(self) -> str:
        return f"{self.good} of {self.of}"


@dataclass
class Row:
    """One exercise."""

    name: str
    right: Tally = field(default_factory=Tally)
    rejected: Tally = field(default_factory=Tally)
    named: Tally = field(default_factory=Tally)
    from_bank: Tally = field(default_factory=Tally)
    bank_named: Tally = field(default_factory=Tally)


def judged(slug: str) -> Iterator[Row]:
    """A row for each exercise of `slug`."""
    about = assessed(slug)
    for name in about.assignment.described:
        row = Row(name)
        for program in right(slug)[name].values():
            row.right.add(all(about.graded(name, program.source, one).passed for one in STUDENTS), program.title)
        for program in wrong(slug)[name].values():
            reports = [about.graded(name, program.source, one) for one in STUDENTS]
            row.rejected.add(all(report.score < report.points for report in reports), program.title)
            for code in program.says[0][:1]:
                row.named.add(all(code in codes(report) for report in reports), program.title)
        exercise = about.exercise(name, STUDENTS[0])
        expected = [item for made in exercise.cases for step in made.steps for item in step.expected]
        if all(item.compare in VALUES for item in expected):
            for code in dict.fromkeys(code for item in expected for code in item.mistakes):
                reports = [
                    about.answers(name, one, lambda item, code=code: item.mistakes.get(code, item.value))
                    for one in STUDENTS
                    if any(
                        code in item.mistakes
                        for made in about.exercise(name, one).cases
                        for step in made.steps
                        for item in step.expected
                    )
                ]
                row.from_bank.add(all(report.score < report.points for report in reports), code)
                row.bank_named.add(all(code.partition("/")[0] in codes(report) for report in reports), code)
        yield row


# -- who hands in no answer -----------------------------------------------------------------------


def behaviours(slug: str) -> dict[str, Counter[str]]:
    """What is found, over all exercises of `slug`, if every call does this."""
    about = assessed(slug)

    def returning(value: Any) -> Callable[[Any], StepOutcome]:
        return lambda step: StepOutcome(returned=value(step) if callable(value) else value)

    def failing(kind: str, message: str) -> Callable[[Any], StepOutcome]:
        return lambda step: StepOutcome(failure=Failure(kind, message))

    ways = {
        "nothing filled in": failing("NotImplementedError", ""),
        "raises": failing("ZeroDivisionError", "division by zero"),
        "returns None": returning(None),
        "one value too many": returning(lambda step: (1.0,) * (1 + sum(i.where == "returned" for i in step.expected))),
        "strings": returning("text"),
        "60 s": failing("Timeout", "Not finished after 10 s. Is there an endless loop?"),
    }
    found = {}
    for title, way in ways.items():
        counter: Counter[str] = Counter()
        for name in about.assignment.described:
            exercise = about.exercise(name, STUDENTS[0])

            def run(made: Any, way: Callable[[Any], StepOutcome] = way) -> list[StepOutcome]:
                outcomes = []
                for step in made.steps:
                    outcomes.append(way(step))
                    if outcomes[-1].failure:
                        break
                return outcomes

            report = examine(exercise, run)
            counter[codes(report)[0] if report.findings else "nothing is said"] += 1
            assert report.score == 0, (slug, name, title)
        found[title] = counter
    noisy: Counter[str] = Counter()
    for name in about.assignment.described:
        source = first(slug, name).source
        noisy["full marks" if _noisily(about, name, source).passed else "not full marks"] += 1
    return found | {"right, but prints and warns": noisy}


NOISE = """
import sys, warnings
def _noisy(function):
    def call(*args, **kwargs):
        print("here")
        print("there", file=sys.stderr)
        warnings.warn("careful", RuntimeWarning)
        return function(*args, **kwargs)
    return call
"""


def _noisily(about: Assessed, name: str, source: str) -> Report:
    exercise = about.exercise(name, STUDENTS[0])
    names = list(exercise.functions)
    wrapped = "".join(f"\n{function} = _noisy({function})" for function in names if f"class {function}" not in source)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile("import numpy as np\n" + source + NOISE + wrapped, "<cell>", "exec"), namespace)
    by_name = {function: namespace[function] for function in names}
    with contextlib.redirect_stdout(io.StringIO()):
        return examine(exercise, lambda made: run_case(made, by_name))


# -- the tables -----------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="WORD", help="only assignments whose name holds this word")
    parser.add_argument("--show", action="store_true", help="list what missed")
    arguments = parser.parse_args()
    slugs = [slug for slug in sorted(SLUGS) if arguments.only in slug]
    missed = []
    print(
        "| exercise | right, accepted | mistakes in code, rejected | named | mistakes of the bank, rejected | named |"
    )
    print("|---|---|---|---|---|---|")
    columns = ("right", "rejected", "named", "from_bank", "bank_named")
    sums = {column: Tally() for column in columns}
    for slug in slugs:
        for row in judged(slug):
            print(f"| {slug}: {row.name} | " + " | ".join(str(getattr(row, column)) for column in columns) + " |")
            for column, total in sums.items():
                tally: Tally = getattr(row, column)
                total.good, total.of = total.good + tally.good, total.of + tally.of
                missed += [f"{slug}: {row.name}, {column}: {what}" for what in tally.missed]
    print("| **all** | " + " | ".join(f"**{total}**" for total in sums.values()) + " |\n")
    total: dict[str, Counter[str]] = {}
    for slug in slugs:
        for title, counter in behaviours(slug).items():
            total[title] = total.get(title, Counter()) + counter
    print("| every call of an exercise | what is found, and in how many exercises |")
    print("|---|---|")
    for title, counter in total.items():
        print(f"| {title} | " + ", ".join(f"{code} {count}" for code, count in counter.most_common()) + " |")
    if arguments.show:
        print("", *missed, sep="\n")


if __name__ == "__main__":
    main()

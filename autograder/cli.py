"""The `autograder` command: new, check, release, grade, summary, replay, feedback."""

from __future__ import annotations

import argparse
import codecs
import io
import json
import locale
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .errors import NoWall, Refused
from .results import Record

DESCRIPTION = """\
Release assignments, grade submissions behind a wall, write feedback.

A course folder holds nbgrader_config.py, solutions/<assignment>/ and
submitted/<student>/<assignment>/; nbgrader's own commands work on it too.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status (0 done, 1 something was wrong)."""
    if argv is None:
        speak_utf8()
    arguments = parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (Refused, NoWall) as error:
        print(f"autograder: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("autograder: the output was closed; what was recorded stays", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("autograder: interrupted; what was recorded stays", file=sys.stderr)
        return 130
    return 0


def speak_utf8() -> None:
    """Start once more in Python's UTF-8 mode if the machine's locale is another, as files and names are UTF-8."""
    if codecs.lookup(locale.getencoding()).name != "utf-8" and not sys.flags.utf8_mode:
        os.environ["PYTHONUTF8"] = "1"  # for the workers too
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # PYTHONIOENCODING can say something else


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        "autograder", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Any, text: str, of_assignment: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        if of_assignment:
            sub.add_argument("assignment", help="its folder's name in solutions/")
        sub.add_argument("--course", type=Path, default=Path(), metavar="DIR", help="the course folder (default: here)")
        return sub

    command("new", start, "Make a new assignment to be changed: a notebook with one exercise, and its checks.py.")
    made = command("release", release, "Make the students' version of an assignment, with its public test cases.")
    text = "change the gradebook too, where cells were added, removed or renamed since work was handed in"
    made.add_argument("--migrate", action="store_true", help=text)
    text = "Try an assignment out, as `release` does first: model solution, empty notebook, known mistakes, points."
    command("check", check, text)
    grade = command("grade", grade_class, "Grade all submissions and record them in the gradebook.")
    grade.add_argument("--student", action="append", metavar="ID", help="grade only this student (may be repeated)")
    grade.add_argument("--report", type=Path, metavar="FILE.jsonl", help="write one record per submission to this file")
    grade.add_argument(
        "--jobs", type=positive, default=None, metavar="N", help="submissions at a time (default: cores)"
    )
    grade.add_argument("--cell-seconds", type=seconds, metavar="S", help="time limit of a cell (default: 30)")
    grade.add_argument("--call-seconds", type=seconds, metavar="S", help="time limit of a checked call (default: 10)")
    grade.add_argument("--notebook-seconds", type=seconds, metavar="S", help="time limit of a notebook (default: 300)")
    grade.add_argument(
        "--sandbox", choices=("bwrap", "none"), help="'none' runs students' code unprotected: only for your own samples"
    )
    grade.add_argument("--again", action="store_true", help="grade also what has not changed since it was graded")
    grade.add_argument(
        "--scheduler",
        metavar="tcp://HOST:PORT",
        help="grade on the workers of this Dask scheduler (coursekit[cluster])",
    )
    text = "Print which mistakes the class made, and who is marked, from what has been graded so far."
    command("summary", summarise, text)
    text = "Make one check of one student again, with the stored arguments, and show what the grader saw."
    again = command("replay", replay_check, text, of_assignment=False)
    again.add_argument("student", help="whose submission")
    again.add_argument("exercise", help="which exercise")
    again.add_argument("--assignment", metavar="NAME", help="needed where several assignments have such an exercise")
    command("feedback", write_feedback, "Write a feedback page for every graded submission.")
    return top


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be a number of seconds above 0")
    return value


# -- the commands: nbgrader takes two seconds to import, so each imports what it needs ------


def start(arguments: argparse.Namespace) -> None:
    from .course import Course
    from .new import new

    slug = arguments.assignment
    folder = shown(new(Course.at(arguments.course), slug))
    print(f"Made {folder}: change {slug}.ipynb and checks.py there, then run `autograder release {slug}`")


def release(arguments: argparse.Namespace) -> None:
    from coursekit.reporting import printable

    from .course import Course
    from .release import release

    made = release(Course.at(arguments.course), arguments.assignment, may_migrate=arguments.migrate)
    for line in made.untried:
        print(line, file=sys.stderr)
    for line in made.changed:
        print(line)
    print(f"Released {arguments.assignment}: hand out {shown(made.folder)}, with")
    print("".join(f"  {name}\n" for name in made.files), end="")
    if made.kept_back:
        print("Not handed out:")
        print("".join(f"  {line}\n" for line in made.kept_back), end="")
    if made.too_large:
        print(f"Too large to be there when notebooks are graded: {', '.join(map(printable, made.too_large))}")


def check(arguments: argparse.Namespace) -> None:
    from .course import Course
    from .trial import SETS, try_out

    slug = arguments.assignment
    if untried := try_out(Course.at(arguments.course), slug):
        raise Refused(untried[0])
    print(
        f"{slug} can be released: the model solution earns all points on the public and on {SETS} fresh sets of cases, "
        "the empty notebook none, and every known mistake is noticed."
    )


def grade_class(arguments: argparse.Namespace) -> None:
    from .course import Course
    from .records import read_all
    from .run import ClassRun
    from .scores import of_class
    from .summary import class_summary
    from .table import changed_scores, console, progress_bar, show_class
    from .wall.groups import who_counts

    names = ("sandbox", "cell_seconds", "call_seconds", "notebook_seconds")
    settings = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    if settings.get("sandbox") == "none":
        print("WARNING: without a sandbox, the notebooks can read and change everything that you can.", file=sys.stderr)
    elif arguments.scheduler is None:
        print(f"Memory and processes of notebooks are limited by {who_counts()}.")
    if arguments.report is not None and not arguments.report.absolute().parent.is_dir():
        raise Refused(f"the folder of {arguments.report} does not exist")
    course = Course.at(arguments.course)
    slug = arguments.assignment
    run = ClassRun(course, slug, settings, arguments.student, arguments.scheduler, arguments.again)
    with progress_bar(f"Grading {slug}") as progress:
        records = run.run(arguments.jobs or 0, progress)
    if arguments.report is not None:
        write_report(arguments.report, read_all(course, slug, {record["student"] for record in records}))
    show_class(slug, records, of_class(course, slug), run.late)
    console.print("", class_summary(read_all(course, slug)), sep="\n")
    if run.unchanged:
        everybody = len({record["student"] for record in records})
        print(f"\n{len(run.unchanged)} of {everybody} had been graded before and have not changed since.")
    if run.changes:
        console.print("", changed_scores(run.changes), sep="\n")
    if overlooked := course.overlooked(slug):
        print("\nLook at these in the folder of submissions; what is no student's folder is not graded:")
        print("".join(f"  - {line}\n" for line in overlooked), end="")


def summarise(arguments: argparse.Namespace) -> None:
    from .course import Course
    from .records import read_all
    from .summary import class_summary
    from .table import console, show_marks

    slug = arguments.assignment
    course = Course.at(arguments.course)
    course.require(slug)
    records = list(read_all(course, slug))
    if not records:
        raise Refused(f"nothing has been graded for {slug!r} yet: run `autograder grade {slug}` first")
    console.print(class_summary(records))
    show_marks(records)


def replay_check(arguments: argparse.Namespace) -> None:
    from .course import Course
    from .replay import replay

    report = replay(Course.at(arguments.course), arguments.student, arguments.exercise, arguments.assignment)
    print(report.transcript())


def write_feedback(arguments: argparse.Namespace) -> None:
    from coursekit.reporting import printable

    from .course import Course
    from .feedback import feedback

    course = Course.at(arguments.course)
    pages = feedback(course, arguments.assignment)
    slug = arguments.assignment
    print(f"Wrote {len(pages)} feedback pages: {shown(course.folder('feedback', '<student>', slug))}")
    if missing := [name for name in course.students(slug) if not course.folder("autograded", name, slug).is_dir()]:
        print(
            f"Not graded, so without a page: {', '.join(map(printable, missing))}. Run `autograder grade {slug}` first."
        )


def write_report(path: Path, records: Iterable[Record]) -> None:
    """Write one record per line, all of them or nothing."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    partial.replace(path)


def shown(path: Path) -> str:
    """Return `path` as one would type it from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


if __name__ == "__main__":
    sys.exit(main())

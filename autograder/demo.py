"""`make demo`: a class of twelve, made from the instructor's solution with known mistakes, graded from end to end.

Each sample says what its mistake deserves, score by score and finding by finding; the
demo compares what it got with that and says so.  The tests use the same samples.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from .cli import shown
from .feedback import feedback
from .release import release
from .run import ClassRun, Course, read_records
from .spec import Refused
from .summary import class_summary
from .table import class_table, console, progress_bar
from .wall.sandbox import NoWall, why_no_wall

SLUG = "linear_classifiers"
REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "demo-course"
SETTINGS = {"cell_seconds": 4.0, "call_seconds": 3.0}  # the endless loop should not make anybody wait

FULL = {
    "numerical_gradient": 8,
    "relative_error": 4,
    "svm_loss_naive": 12,
    "svm_loss_vectorized": 12,
    "softmax_loss_naive": 12,
    "softmax_loss_vectorized": 12,
    "step_decay": 2,
    "cosine_decay": 2,
    "linear_decay": 2,
    "inverse_sqrt_decay": 2,
    "train": 10,
    "predict": 4,
}
NOTHING = dict.fromkeys(FULL, 0.0)

Edit = tuple[str, str, str]  # the cell's grade id; what to replace there, and by what


@dataclass(frozen=True)
class Sample:
    """A student: what is done to the solution, and what that deserves.

    `loses` holds the scores that are not full, `found` the codes of the findings, both by
    exercise; `status` is how the record's status begins.
    """

    student: str
    story: str
    edits: Sequence[Edit] = ()
    first: str = ""  # code put into the first code cell
    removed: Sequence[str] = ()
    start_from: str = "solutions"
    notebook: str = SLUG
    loses: Mapping[str, float] = field(default_factory=dict)
    found: Mapping[str, Sequence[str]] = field(default_factory=dict)
    status: str = "graded"

    @property
    def scores(self) -> dict[str, float]:
        return {**FULL, **self.loses}


CHEAT = """\
def check(name, *functions):
    print(12.0)
    return 12.0

import coursekit.checks
coursekit.check = coursekit.checks.check = check
np.testing.assert_allclose = np.testing.assert_array_equal = lambda *args, **kwargs: None
np.allclose = np.array_equal = lambda *args, **kwargs: True
"""

SAMPLES = (
    Sample("ada", "everything right"),
    Sample(
        "ben",
        "handed in the notebook as it was released",
        start_from="assignments",
        loses=NOTHING,
        found={name: ["not-written"] for name in FULL},
    ),
    Sample(
        "cleo",
        "forgot 1/N: in one SVM loss everywhere, in the other in the gradient only",
        edits=[
            ("svm_loss_naive", "loss = loss / N + reg", "loss = loss + reg"),
            ("svm_loss_naive", "dW = dW / N + 2", "dW = dW + 2"),
            ("svm_loss_vectorized", "np.full(hinges.shape, 1 / N)", "np.full(hinges.shape, 1.0)"),
        ],
        loses={"svm_loss_naive": 0, "svm_loss_vectorized": 6},
        found={"svm_loss_naive": ["scale"], "svm_loss_vectorized": ["scale"]},
    ),
    Sample(
        "dev",
        "forgot the regulariser in one softmax loss, in the other in its gradient only; halved it in the SVM",
        edits=[
            ("softmax_loss_naive", "loss / N + reg * np.sum(W * W)", "loss / N"),
            ("softmax_loss_naive", "dW / N + 2 * reg * W", "dW / N"),
            ("softmax_loss_vectorized", "X.T @ dscores + 2 * reg * W", "X.T @ dscores"),
            ("svm_loss_naive", "dW / N + 2 * reg * W", "dW / N + reg * W"),
        ],
        loses={"softmax_loss_naive": 9, "softmax_loss_vectorized": 11, "svm_loss_naive": 10},
        found={
            "softmax_loss_naive": ["regularizer-missing"],
            "softmax_loss_vectorized": ["regularizer-missing"],
            "svm_loss_naive": ["regularizer-half"],
        },
    ),
    Sample(
        "eli",
        "flipped signs: in a gradient, and in the update",
        edits=[
            ("softmax_loss_vectorized", "(np.exp(log_probs) - onehot) / N", "(onehot - np.exp(log_probs)) / N"),
            ("train", "W = W - lr * dW", "W = W + lr * dW"),
        ],
        loses={"softmax_loss_vectorized": 6, "train": 7},
        found={"softmax_loss_vectorized": ["sign"], "train": ["sign"]},
    ),
    Sample(
        "fay",
        "right but unstable softmax: no shift in one, one maximum for the whole matrix in the other",
        edits=[
            ("softmax_loss_naive", "scores - np.max(scores)", "scores"),
            ("softmax_loss_vectorized", "np.max(scores, axis=1, keepdims=True)", "np.max(scores)"),
        ],
        loses={"softmax_loss_naive": 10, "softmax_loss_vectorized": 10},
        found={"softmax_loss_naive": ["unstable"], "softmax_loss_vectorized": ["one-maximum-for-all"]},
    ),
    Sample(
        "gus",
        "an endless loop in train",
        edits=[("train", "loss_history = []", "loss_history = []\n    while num_iters > 0:\n        pass")],
        loses={"train": 0},
        found={"train": ["timeout"]},
    ),
    Sample(
        "hana",
        "ends the process with os._exit where predict is defined",
        edits=[("predict", "def predict", "import os; os._exit(0)\ndef predict")],
        loses={"predict": 0},
        found={"predict": ["not-defined"]},
    ),
    Sample(
        "ivo",
        "handed in the notebook under another name",
        notebook="linear_classifiers_final_v2",
        loses=NOTHING,
        found={name: ["not-run"] for name in FULL},
        status="refused: there is no linear_classifiers.ipynb",
    ),
    Sample(
        "june",
        "wrote nothing, replaced check and numpy's comparisons, and prints full marks",
        start_from="assignments",
        first=CHEAT,
        loses=NOTHING,
        found={name: ["not-written"] for name in FULL},
    ),
    Sample(
        "kai",
        "a syntax error in one cell, two cells deleted, and a function that returns nothing",
        edits=[
            ("softmax_loss_naive", "for i in range(N):", "for i in range(N)"),
            ("predict", "return np.argmax(scores, axis=1)", "np.argmax(scores, axis=1)"),
        ],
        removed=["cosine_decay", "check_cosine_decay"],
        loses={"softmax_loss_naive": 0, "cosine_decay": 0, "predict": 0},
        found={
            "softmax_loss_naive": ["not-defined"],
            "cosine_decay": ["not-defined"],
            "predict": ["returned-none"],
        },
    ),
    Sample(
        "lea",
        "a loop where none should be, scores for labels, off by one, a one-sided difference, a transposed gradient",
        edits=[
            ("svm_loss_vectorized", "rows = np.arange(N)", "rows = np.array([i for i in range(N)])"),
            ("predict", "np.argmax(scores, axis=1)", "np.max(scores, axis=1)"),
            ("step_decay", "t >= milestone", "t > milestone"),
            ("numerical_gradient", "x[index] = old - h", "x[index] = old"),
            ("numerical_gradient", "/ (2 * h)", "/ h"),
            ("softmax_loss_vectorized", "return loss, dW", "return loss, dW.T"),
        ],
        loses={
            "svm_loss_vectorized": 10,
            "predict": 0,
            "step_decay": 0,
            "numerical_gradient": 1,
            "softmax_loss_vectorized": 6,
        },
        found={
            "svm_loss_vectorized": ["loops-over-examples"],
            "predict": ["scores-not-labels"],
            "step_decay": ["off-by-one"],
            "numerical_gradient": ["one-sided"],
            "softmax_loss_vectorized": ["transposed"],
        },
    ),
)


# -- making the class -----------------------------------------------------------------------


def make_course(folder: Path, repository: Path = REPOSITORY) -> Course:
    """A new course folder with the assignment released in it."""
    source = repository / "solutions" / SLUG
    if not source.is_dir():
        raise Refused(f"the demo needs {source}: run it in a clone of the repository")
    shutil.copytree(source, folder / "solutions" / SLUG, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    shutil.copy(repository / "nbgrader_config.py", folder)
    course = Course.at(folder)
    release(course, SLUG)
    return course


def hand_in(course: Course, sample: Sample) -> None:
    """Put the sample's notebook where submissions are collected."""
    step = {"solutions": "source", "assignments": "release"}[sample.start_from]
    nb = nbformat.read(course.folder(step, ".", SLUG) / f"{SLUG}.ipynb", as_version=4)
    by_id = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in nb.cells}
    for grade_id, old, new in sample.edits:
        if old not in by_id[grade_id].source:
            raise Refused(f"{sample.student}: the cell {grade_id!r} no longer holds {old!r}")
        by_id[grade_id].source = by_id[grade_id].source.replace(old, new)
    nb.cells = [cell for cell in nb.cells if cell.metadata.get("nbgrader", {}).get("grade_id") not in sample.removed]
    if sample.first:
        setup = next(cell for cell in nb.cells if cell.cell_type == "code")
        setup.source += "\n\n" + sample.first
    folder = course.folder("submitted", sample.student, SLUG)
    folder.mkdir(parents=True)
    nbformat.write(nb, folder / f"{sample.notebook}.ipynb")


def differences(sample: Sample, record: Mapping[str, Any]) -> list[str]:
    """In what `record` is not what `sample` deserves."""
    wrong = []
    if not str(record["status"]).startswith(sample.status):
        wrong.append(f"status {record['status']!r}, expected {sample.status!r}")
    for name, score in sample.scores.items():
        result = record["exercises"][name]
        codes = [finding["code"] for finding in result["findings"]]
        if result["score"] != score:
            wrong.append(f"{name}: {result['score']:g} points, expected {score:g}")
        if codes != list(sample.found.get(name, [])):
            wrong.append(f"{name}: found {codes}, expected {list(sample.found.get(name, []))}")
    return wrong


# -- the demo -----------------------------------------------------------------------------


def main() -> int:
    """Run the demo; gives the exit status."""
    settings: dict[str, Any] = dict(SETTINGS)
    if trouble := why_no_wall():
        settings["sandbox"] = "none"
        console.rule("[bold red]NO WALL")
        console.print(trouble, markup=False)
        console.print("[bold red]These samples are the demo's own, so they run without it. Students' code must not.")
    try:
        if FOLDER.exists():
            shutil.rmtree(FOLDER)
        course = make_course(FOLDER)
        for sample in SAMPLES:
            hand_in(course, sample)
        with progress_bar("Grading") as progress:
            records = ClassRun(course, SLUG, settings).run(progress=progress)
        console.print(class_table(SLUG, records))
        console.print("", class_summary(read_records(course, SLUG)), sep="\n")
        with console.status("Writing feedback"):
            pages = feedback(course, SLUG)
    except (Refused, NoWall) as error:
        console.print(str(error), style="bold red", markup=False)
        return 1
    by_student = {record["student"]: record for record in records}
    wrong = {sample.student: differences(sample, by_student[sample.student]) for sample in SAMPLES}
    for student, problems in wrong.items():
        for problem in problems:
            console.print(f"NOT AS DESERVED: {student}: {problem}", style="bold red", markup=False)
    if not any(wrong.values()):
        console.print(f"All {len(SAMPLES)} samples got the scores and the findings that their mistakes deserve.")
    where = {
        "course": FOLDER,
        "released": course.folder("release", ".", SLUG),
        "gradebook": FOLDER / "gradebook.db",
        "feedback": pages[0].parents[2],
    }
    for name, path in where.items():
        console.print(f"{name:>10}  {shown(path)}", markup=False, highlight=False, soft_wrap=True)
    return 1 if any(wrong.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

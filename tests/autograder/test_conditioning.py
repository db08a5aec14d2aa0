"""A release holds nothing that depends on the last bits of a number, and so on the processor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from released import assert_same_cases
from sampled import some

from autograder import cases
from autograder.conditioning import Nudged, nudged, require_steady
from autograder.errors import Refused
from autograder.spec import FROM_REFERENCE, Assignment, Mistake, case
from coursekit.checks.probes import Probe

REPOSITORY = Path(__file__).resolve().parents[2]


def iterated(x: float, growth: float = 4.0, steps: int = 60) -> float:
    """The logistic map, which doubles a difference in every step."""
    for _ in range(steps):
        x = growth * x * (1 - x)
    return x


def one_exercise(cases_for, reference=lambda x: 2 * x, wrong=None) -> Assignment:
    """An assignment of one exercise; `wrong` is what its one known mistake computes."""
    assignment = Assignment("any")
    mistakes = [Mistake("chaotic", "It jumps.", runs={"f": wrong})] if wrong else []
    assignment.exercise("f", parts={"y": 1}, reference={"f": reference}, mistakes=mistakes)(cases_for)
    return assignment


def drawn(rng):
    yield case("drawn", "f", {"x": rng.uniform(0.2, 0.3)}, {"y": FROM_REFERENCE})


def written_down(rng):
    yield case("written down", "f", {"x": 0.2}, {"y": FROM_REFERENCE})


def computed(rng):
    x = rng.uniform(0.2, 0.3)
    yield case("computed", "f", {"x": x}, {"y": iterated(x)})


def told(assignment: Assignment) -> list[str]:
    with pytest.raises(Refused) as refused:
        require_steady(assignment, cases.public(assignment))
    return str(refused.value).splitlines()


@pytest.mark.parametrize("cases_for", [drawn, written_down])
def test_a_known_mistake_that_is_chaotic_is_refused_by_name_with_its_case(cases_for) -> None:
    first, line, advice = told(one_exercise(cases_for, wrong=iterated))
    assert first.startswith("any: results that depend on the last bits")
    title = cases_for.__name__.replace("_", " ")
    assert line.startswith(f"  - f, case {title!r}: y as the mistake 'chaotic' gives it moves by ")
    assert line.endswith("times the tolerance")
    assert "leave out the mistake" in advice


@pytest.mark.parametrize(("cases_for", "reference"), [(drawn, iterated), (written_down, iterated), (computed, abs)])
def test_a_right_result_that_is_chaotic_is_refused(cases_for, reference) -> None:
    assert "the right y moves by" in told(one_exercise(cases_for, reference))[1]


def test_which_cases_are_drawn_may_not_hang_on_the_last_bits() -> None:
    def fickle(rng):
        number = rng.uniform(0.2, 0.3)
        for _ in range(1 + (iterated(number) > iterated(0.25))):
            yield case("any", "f", {"x": 1.0}, {"y": FROM_REFERENCE})

    def many(rng):
        return [one for _ in range(30) for one in fickle(rng)]

    assert told(one_exercise(many))[1] == "  - f: which cases are drawn"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x - 1e-4 * x**2,
        lambda x: iterated(x, steps=10),
        lambda x: iterated(x, growth=2.8, steps=200),
    ],
    ids=["near by", "before it is chaotic", "an iteration that converges"],
)
def test_what_is_well_conditioned_passes(wrong) -> None:
    assignment = one_exercise(drawn, wrong=wrong)
    require_steady(assignment, cases.public(assignment))


def test_ties_and_kinks_stay() -> None:
    X = np.array([[1.3, 1.3], [0.0, -0.7]])
    changed = nudged({"X": X, "n": 3, "f": Probe("cubic", {"a": X[0], "b": X[1], "c": X[0]})})
    assert changed["X"][0, 0] == changed["X"][0, 1] != 1.3
    assert changed["X"][1, 0] == 0
    assert changed["n"] == 3
    assert changed["f"].constants["a"][0] == changed["X"][0, 0]
    np.testing.assert_allclose(changed["X"], X, rtol=1e-14)


def test_a_nudged_generator_draws_the_same_but_for_the_last_bits() -> None:
    usual, other = (kind(np.random.PCG64(3)) for kind in (np.random.Generator, Nudged))
    for draw in (
        lambda rng: rng.normal(size=(3, 4)),
        lambda rng: rng.uniform(1, 2),
        lambda rng: rng.choice([0.25, 0.5], 5),
    ):
        one, two = draw(usual), draw(other)
        assert np.all(one != two)
        np.testing.assert_allclose(one, two, rtol=1e-14)
    assert np.array_equal(usual.integers(9, size=20), other.integers(9, size=20))
    assert np.array_equal(usual.permutation(9), other.permutation(9))


MAKE = """
import sys
from pathlib import Path
from autograder import cases, spec
from autograder.bundle import Bundle
from coursekit.checks.cases import to_files
for folder in map(Path, sys.argv[2:]):
    made = Path(sys.argv[1], folder.name)
    made.mkdir()
    for name, content in to_files(folder.name, cases.public(spec.load(Bundle.read(folder)))).items():
        (made / name).write_bytes(content)
"""
KERNELS = {"Nehalem": "sse4_2", "Prescott": "pni", "Haswell": "avx2", "SkylakeX": "avx512vl"}  # and what they need


@pytest.mark.slow
@pytest.mark.parametrize("kernel", some(KERNELS, 1))
def test_every_processor_makes_the_committed_release(kernel: str, tmp_path: Path) -> None:
    flags = Path("/proc/cpuinfo").read_text().split()
    if KERNELS[kernel] not in flags:
        pytest.skip(f"this processor has no {KERNELS[kernel]}")
    folders = sorted(path.parent for path in (REPOSITORY / "solutions").glob("*/checks.py"))
    assert len(folders) == 8
    words = [sys.executable, "-c", MAKE, str(tmp_path), *map(str, folders)]
    subprocess.run(words, check=True, env={**os.environ, "OPENBLAS_CORETYPE": kernel})
    for folder in folders:
        committed = REPOSITORY / "assignments" / folder.name
        assert_same_cases(tmp_path / folder.name, committed, f"{folder.name} with the kernels of {kernel}")

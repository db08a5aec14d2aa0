"""How an assignment says what is graded: the language of `solutions/<slug>/checks.py`.

A `checks.py` makes an :class:`Assignment` and describes each exercise by a function that
yields cases for a random generator::

    assignment = Assignment("linear_classifiers")

    @assignment.exercise("predict", parts={"labels": 4}, mistakes=[...])
    def predict_cases(rng):
        args = {"W": rng.normal(size=(4, 3)), "X": rng.normal(size=(5, 4))}
        yield case("5 examples", "predict", args, right={"labels": ...})

The same function makes the public cases and, from another generator, fresh ones for every
student.  A gradient is never written by hand here: :func:`value_and_gradient` gets it from
the forward definition.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from coursekit.autograd import value_and_grad
from coursekit.checks.cases import Case, Exercise, Expected, Step
from coursekit.checks.compare import agrees

__all__ = ["Assignment", "Mistake", "Refused", "call", "case", "load", "value_and_gradient"]

Results = dict[str, Any]
CasesFor = Callable[[np.random.Generator], Iterable[Case]]

# Nothing in a course on writing gradients needs these, and each of them has the gradients ready made.
ENGINES = ("torch", "jax", "tensorflow", "autograd", "theano", "mxnet")


class Refused(Exception):
    """Something an instructor handed over cannot be used; the message says what, where and what to do."""


@dataclass(frozen=True)
class Mistake:
    """A mistake that students are known to make.

    Attributes
    ----------
    code : str
        A short name to count by: ``"regularizer-missing"``; another form of the same
        mistake has a slash and a word more.
    message : str
        What to tell the student: one sentence that says what is wrong and hints at why.
    gives : callable
        ``gives(right, args)``: the results that the mistake changes, by name, from the
        right results and the arguments (both by name).
    """

    code: str
    message: str
    gives: Callable[[Results, Results], Results]


@dataclass(frozen=True)
class _Described:
    functions: tuple[str, ...]
    parts: Mapping[str, float]
    mistakes: tuple[Mistake, ...]
    no_loop_over: tuple[str, ...]
    cases: CasesFor


@dataclass
class Assignment:
    """The exercises of one assignment, in order.

    Parameters
    ----------
    name : str
        The assignment's folder in `solutions/`.
    engine_allowed : bool
        Whether students may import `coursekit.autograd`, and `coursekit.gradcheck`, which has gradients from it.
    """

    name: str
    engine_allowed: bool = False
    described: dict[str, _Described] = field(default_factory=dict)

    def exercise(
        self,
        name: str,
        *,
        parts: Mapping[str, float],
        mistakes: Sequence[Mistake] = (),
        functions: Sequence[str] = (),
        no_loop_over: Sequence[str] = (),
    ) -> Callable[[CasesFor], CasesFor]:
        """Describe the exercise `name` by the decorated function, which yields its cases for a random generator.

        Parameters
        ----------
        parts : dict
            How the points are split; their sum is what the notebook's check cell is worth.
        mistakes : list of Mistake
            The known mistakes; the first that explains a failure is named.
        functions : list of str
            What `check` is handed, if that is more or other than `name`.
        no_loop_over : list of str
            Arguments over whose rows there must be no Python loop; needs a part ``"vectorised"``.
        """
        if name in self.described:
            raise Refused(f"{self.name}: the exercise {name!r} is described twice")
        codes = [mistake.code for mistake in mistakes]
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            raise Refused(f"{self.name}/{name}: two mistakes have the code {twice[0]!r}; add a slash and a word to one")
        if bool(no_loop_over) != ("vectorised" in parts):
            raise Refused(f"{self.name}/{name}: no_loop_over and a part 'vectorised' go together")

        def describe(cases: CasesFor) -> CasesFor:
            self.described[name] = _Described(
                tuple(functions) or (name,), dict(parts), tuple(mistakes), tuple(no_loop_over), cases
            )
            return cases

        return describe

    @property
    def forbidden(self) -> dict[str, str]:
        """The modules that do not exist behind the wall, each with the reason."""
        reason = "this assignment is about writing the gradients yourself, so engines are not available"
        if self.engine_allowed:
            return dict.fromkeys(ENGINES, reason)
        checker = "the gradient checker is there to test your work, not to do it, so what is graded cannot use it"
        return {**dict.fromkeys(("coursekit.autograd", *ENGINES), reason), "coursekit.gradcheck": checker}

    def make(self, name: str, rng: np.random.Generator) -> Exercise:
        """The exercise `name` with cases drawn from `rng`, and what the known mistakes would give in them."""
        one = self.described[name]
        try:
            cases = tuple(_with_mistakes(item, one.mistakes) for item in one.cases(rng))
        except Refused:
            raise
        except Exception as error:
            raise Refused(f"{self.name}/{name}: its cases cannot be made: {type(error).__name__}: {error}") from error
        parts = {item.part for made in cases for step in made.steps for item in step.expected}
        if parts | ({"vectorised"} if one.no_loop_over else set()) != set(one.parts):
            raise Refused(f"{self.name}/{name}: the cases award {sorted(parts)}, but its parts are {sorted(one.parts)}")
        messages = {mistake.code: mistake.message for mistake in one.mistakes}
        return Exercise(name, one.functions, one.parts, cases, messages, one.no_loop_over)


def call(
    target: str,
    args: Results,
    right: Results | None = None,
    *,
    parts: Mapping[str, str] | str = "",
    save_as: str | None = None,
    also: Sequence[Expected] = (),
    **options: Any,
) -> Step:
    """A step that calls `target` with `args` by position and expects the results `right`, in order.

    Parameters
    ----------
    args : dict
        The arguments by name, in the order of the signature.
    right : dict
        The right results by name, in the order in which they are returned.
    parts : str or dict
        The part of the points that each result counts for: one for all, or by name;
        what is not named counts for the part of its own name.
    also : list of Expected
        What else is looked at.
    **options
        ``compare`` (default ``"close"``) and the options of that comparison.
    """
    compare = options.pop("compare", "close")

    def part(name: str) -> str:
        return parts or name if isinstance(parts, str) else parts.get(name, name)

    expected = tuple(
        Expected(name, value, part(name), compare=compare, options=options) for name, value in (right or {}).items()
    )
    return Step(target, tuple(args.values()), save_as=save_as, expected=expected + tuple(also), names=tuple(args))


def case(title: str, target: str, args: Results, right: Results, **settings: Any) -> Case:
    """A case of one :func:`call`."""
    return Case(title, (call(target, args, right, **settings),))


def value_and_gradient(forward: Callable[..., Any]) -> Callable[..., tuple[float, np.ndarray]]:
    """The value of `forward` and its gradient with respect to its first argument, as plain numbers and arrays."""
    both = value_and_grad(forward)

    @functools.wraps(forward)
    def evaluate(*args: Any) -> tuple[float, np.ndarray]:
        value, gradient = both(*args)
        return float(value), np.asarray(gradient)

    return evaluate


def load(source: str, filename: str) -> Assignment:
    """The assignment that the text of a `checks.py` describes.

    Raises
    ------
    Refused
        If it cannot be run, or makes no `assignment`.
    """
    module = ModuleType("checks")
    try:
        exec(compile(source, filename, "exec"), vars(module))
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"{filename} cannot be run: {type(error).__name__}: {error}") from error
    found = getattr(module, "assignment", None)
    if not isinstance(found, Assignment):
        raise Refused(f"{filename} defines no `assignment = Assignment(...)`")
    return found


def _with_mistakes(made: Case, mistakes: Sequence[Mistake]) -> Case:
    return Case(made.title, tuple(_step_with_mistakes(step, mistakes) for step in made.steps))


def _step_with_mistakes(step: Step, mistakes: Sequence[Mistake]) -> Step:
    right = {item.name: item.value for item in step.expected if item.where == "returned"}
    args = dict(zip(step.names, step.args, strict=False))
    wrong: dict[str, dict[str, Any]] = {name: {} for name in right}
    for mistake in mistakes:
        if not right:
            break
        with np.errstate(all="ignore"):  # a mistake may well overflow: that is the mistake
            changed = mistake.gives(dict(right), args)
        for name, value in changed.items():
            if name in right and not agrees(value, right[name]):  # this step may not return all of them
                wrong[name][mistake.code] = value
    expected = tuple(
        item if item.where != "returned" else Expected(**{**vars(item), "mistakes": wrong[item.name]})
        for item in step.expected
    )
    return Step(**{**vars(step), "expected": expected})

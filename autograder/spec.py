"""Describe what is graded in an assignment: the language of `solutions/<slug>/checks.py`.

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

What keeps a state, such as a class, is described by programs of several steps.  A reference that
goes through the same steps gives the expected results::

    @assignment.exercise("Counter", parts={"total": 4}, reference={"Counter": Counter},
                         mistakes=[Mistake("off-by-one", "It starts at 1.", runs={"Counter": FromOne})])
    def counter_cases(rng):
        yield Case("two steps", (
            call("Counter", {"start": 3}, save_as="c"),
            evaluate("c.add(2)"),
            evaluate("c.total", {"total": FROM_REFERENCE}),
        ))
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from coursekit.autograd import value_and_grad
from coursekit.checks.cases import Case, Exercise, Expected, Step
from coursekit.checks.loops import experiment
from coursekit.checks.probes import Probe
from coursekit.checks.shipped import ShippedCode

from .answers import FROM_REFERENCE, Mistake, OfObjects, Results, complete, running_references, with_all_mistakes
from .bundle import CHECKS, Bundle
from .errors import Refused

__all__ = [
    "ANYTHING",
    "FROM_REFERENCE",
    "Assignment",
    "Mistake",
    "OfObjects",
    "Refused",
    "Results",
    "call",
    "case",
    "evaluate",
    "expect",
    "load",
    "shipped",
    "value_and_gradient",
]

CasesFor = Callable[[np.random.Generator], Iterable[Case]]

# A course on writing gradients needs none of these, and each of them computes gradients.
OWN_ENGINE = ("coursekit.autograd", "coursekit.tracing")
SHORT = 200  # characters of a body, as `ast.dump` writes it: about one operation
ENGINES = ("torch", "jax", "tensorflow", "autograd", "theano", "mxnet")


OwnComparison = Callable[[Any, Any], Any] | ShippedCode


@dataclass(frozen=True)
class _Wanted:
    """A result with its own comparison and options: what :func:`expect` makes."""

    value: Any
    compare: str
    options: Mapping[str, Any]


def _comparison(compare: str | OwnComparison, options: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return the name of a comparison, and its options: a function is an option of the comparison `own`."""
    if isinstance(compare, str):
        return compare, options
    if not isinstance(compare, ShippedCode):
        if getattr(compare, "__name__", "<lambda>") == "<lambda>":
            raise Refused("a comparison of your own has to be a function with a name: write it with `def`")
        compare = shipped(compare)
    return "own", {**options, "function": compare}


def expect(value: Any, compare: str | OwnComparison = "close", **options: Any) -> _Wanted:
    """Expect a result with its own comparison and options, apart from the other results of the call.

    `compare` is the name of a comparison, or a function of what came back and the right result that returns True,
    False, or a sentence that says what is wrong. The function is :func:`shipped` with the public cases.
    """
    return _Wanted(value, *_comparison(compare, options))


ANYTHING = expect(None, "anything")
"""Stands for a result that has to be returned and may be anything, such as a cache."""


@dataclass(frozen=True)
class _Described:
    functions: tuple[str, ...]
    parts: Mapping[str, float]
    mistakes: tuple[Mistake, ...]
    no_loop_over: tuple[str, ...]
    reference: Mapping[str, Any]
    uses: tuple[str, ...]
    cases: CasesFor


@dataclass
class Assignment:
    """The exercises of one assignment, in order.

    Parameters
    ----------
    name : str
        The assignment's folder in `solutions/`.
    engine_allowed : bool
        Whether students may import `coursekit.autograd`, `coursekit.tracing` and `coursekit.gradcheck`, which have
        gradients from it.
    withheld : list of str
        Functions and classes of the kit that an exercise asks to write, such as ``"coursekit.autograd.hvp"``:
        while a notebook is graded their source is not there, and calling them raises an error that says so.
    """

    name: str
    engine_allowed: bool = False
    withheld: Sequence[str] = ()
    described: dict[str, _Described] = field(default_factory=dict)

    def exercise(
        self,
        name: str,
        *,
        parts: Mapping[str, float],
        mistakes: Sequence[Mistake] = (),
        functions: Sequence[str] = (),
        no_loop_over: Sequence[str] = (),
        reference: Mapping[str, Any] | None = None,
        uses: Sequence[str] = (),
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
            All arguments that have a row for each example, where there must be no Python loop over
            the examples; needs a part ``"vectorised"``.
        reference : dict
            Right functions or classes by name: they make the results that cases leave to them, and answer,
            from outside, for a student's wrong ones where a later exercise `uses` this one.  What stands in
            gets numbers and arrays (a class: numbers and its own objects); :class:`OfObjects` is for a
            function of other objects.
        uses : list of str
            Earlier exercises that this one may call.  If it fails where one of them has failed, it
            is checked again with the reference of that one.
        """
        if name in self.described:
            raise Refused(f"{self.name}: the exercise {name!r} is described twice")
        codes = [mistake.code for mistake in mistakes]
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            raise Refused(f"{self.name}/{name}: two mistakes have the code {twice[0]!r}; add a slash and a word to one")
        if bool(no_loop_over) != ("vectorised" in parts):
            raise Refused(f"{self.name}/{name}: no_loop_over and a part 'vectorised' go together")
        if sent := [key for key, function in (reference or {}).items() if isinstance(function, ShippedCode)]:
            raise Refused(
                f"{self.name}/{name}: the reference of {sent[0]!r} is shipped, and students could read its text: "
                "give the function or class itself"
            )
        for earlier in uses:
            if earlier not in self.described or not self.described[earlier].reference:
                raise Refused(f"{self.name}/{name} uses {earlier!r}: describe that before, and with a reference")

        def describe(cases: CasesFor) -> CasesFor:
            self.described[name] = _Described(
                functions=tuple(functions) or (name,),
                parts=dict(parts),
                mistakes=tuple(mistakes),
                no_loop_over=tuple(no_loop_over),
                reference=dict(reference or {}),
                uses=tuple(uses),
                cases=cases,
            )
            return cases

        return describe

    @property
    def forbidden(self) -> dict[str, str]:
        """The modules that do not exist behind the wall, each with the reason that a student is told."""
        reason = "this assignment is about writing the gradients yourself, so engines are not available"
        if self.engine_allowed:
            return dict.fromkeys(ENGINES, reason)
        checker = "the gradient checker is there to test your work, not to do it, so what is graded cannot use it"
        return {**dict.fromkeys((*OWN_ENGINE, *ENGINES), reason), "coursekit.gradcheck": checker}

    def make(
        self,
        name: str,
        rng: np.random.Generator,
        lazy_mistakes: bool = False,
        change: Callable[[Case], Case] = lambda case: case,
    ) -> Exercise:
        """Make the exercise `name`, with cases drawn from `rng` and with what the known mistakes give in them.

        With `lazy_mistakes`, what a mistake gives is computed only when it is first read. `change` is applied to
        each case before the reference and the mistakes are run.

        Raises
        ------
        Refused
            If the cases, or what a mistake gives in them, cannot be computed, or do not fit the exercise's parts.
        """
        one, where = self.described[name], f"{self.name}/{name}"
        with running_references(where):
            cases = tuple(complete(change(item), one.reference, one.mistakes, where) for item in one.cases(rng))
        _require_runnable(where, cases)
        _require_no_reference_shipped(where, cases, self.described)
        parts = {item.part for made in cases for step in made.steps for item in step.expected}
        if parts | ({"vectorised"} if one.no_loop_over else set()) != set(one.parts):
            raise Refused(f"{where}: the cases award {sorted(parts)}, but its parts are {sorted(one.parts)}")
        if one.no_loop_over and not any(experiment(made, one.no_loop_over) for made in cases):
            raise Refused(f"{where}: no call has rows in one of the arguments {list(one.no_loop_over)}")
        messages = {mistake.code: mistake.message for mistake in one.mistakes}
        exercise = Exercise(name, one.functions, one.parts, cases, messages, one.no_loop_over, one.uses)
        return exercise if lazy_mistakes else with_all_mistakes(exercise)


def call(
    target: str,
    args: Results,
    right: Results | None = None,
    *,
    returns: type = tuple,
    parts: Mapping[str, str] | str = "",
    save_as: str | None = None,
    also: Sequence[Expected] = (),
    **options: Any,
) -> Step:
    """Make a step that calls `target` with `args` by position and expects the results `right`, in order.

    Parameters
    ----------
    args : dict
        The arguments by name, in the order of the signature.
    right : dict
        The right results by name, in the order in which they are returned.  A dictionary
        among them is one whose entries are looked at, under names such as ``'grads["W1"]'``;
        :func:`expect` and ``ANYTHING`` are for results with a comparison of their own.
    returns : type
        ``dict`` if the results are returned in one dictionary with these names as keys.
    parts : str or dict
        The part of the points that each result counts for: one for all, or by name
        (of an entry, of its dictionary, or its key); what is not named counts for the part
        of its own name.
    also : list of Expected
        What else is looked at.
    **options
        ``compare`` (default ``"close"``) and the options of that comparison.
    """
    looked_at = _looked_at(right or {}, returns, parts, options)
    return Step(target, tuple(args.values()), save_as=save_as, expected=(*looked_at, *also), names=tuple(args))


def evaluate(
    expression: str,
    right: Results | None = None,
    *,
    args: Results | None = None,
    save_as: str | None = None,
    parts: Mapping[str, str] | str = "",
    returns: type = tuple,
    **options: Any,
) -> Step:
    """Make a step that evaluates an expression of the functions under check, of saved objects, and of `args`.

    It runs where the student's code runs, so let it give data to compare (``"[node.value for node in order]"``),
    never a verdict.
    """
    args = args or {}
    looked_at = tuple(_looked_at(right or {}, returns, parts, options))
    return Step(expression, tuple(args.values()), evaluate=True, save_as=save_as, expected=looked_at, names=tuple(args))


def shipped(function: Callable[..., Any], **constants: Any) -> ShippedCode:
    """Ship a function or class of a `checks.py` as an argument that runs where the student's code runs.

    Its source text goes there and into the public cases, so let it hold nothing that an exercise asks for.  Beside its
    arguments it may use `np`, the `constants` and what it imports itself.
    """
    return ShippedCode(function.__name__, textwrap.dedent(inspect.getsource(function)), constants)


def case(title: str, target: str, args: Results, right: Results, **settings: Any) -> Case:
    """Make a case of one :func:`call`."""
    return Case(title, (call(target, args, right, **settings),))


def value_and_gradient(forward: Callable[..., Any]) -> Callable[..., tuple[float, np.ndarray]]:
    """Return a function for the value of `forward` and its gradient by the first argument, as plain data."""
    both = value_and_grad(forward)

    @functools.wraps(forward)
    def evaluate(*args: Any) -> tuple[float, np.ndarray]:
        value, gradient = both(*args)
        return float(value), np.asarray(gradient)

    return evaluate


def load(bundle: Bundle) -> Assignment:
    """Load the assignment that the `checks.py` of a bundle describes.

    Raises
    ------
    Refused
        If it cannot be run, or makes no `assignment`.
    """
    name = f"{bundle.name}/{CHECKS}"
    try:
        module = bundle.load()
    except Refused:
        raise
    except Exception as error:
        message = str(error).replace(f"#{bundle.digest[:16]}", "")
        raise Refused(f"{name} cannot be run: {type(error).__name__}: {message}") from error
    found = getattr(module, "assignment", None)
    if not isinstance(found, Assignment):
        raise Refused(f"{name} defines no `assignment = Assignment(...)`")
    return found


# -- how a call's results become expectations ---------------------------------------------


def _looked_at(
    right: Results, returns: type, parts: Mapping[str, str] | str, options: Mapping[str, Any]
) -> Iterable[Expected]:
    rest = {name: value for name, value in options.items() if name != "compare"}
    compare, common = _comparison(options.get("compare", "close"), rest)

    def part(*names: str) -> str:
        """Choose the part by the first of the names that `parts` knows."""
        if isinstance(parts, str):
            return parts or names[0]
        return next((parts[name] for name in names if name in parts), names[0])

    found: list[tuple[str, Any, tuple[int | str, ...], tuple[str, ...]]] = []
    for number, (name, value) in enumerate(right.items()):
        at: tuple[int | str, ...] = (name,) if returns is dict else (number,) if len(right) > 1 else ()
        if isinstance(value, dict):
            for key, entry in value.items():
                full = f'{name}["{key}"]'
                found.append((full, entry, (*at, key), (full, name, key)))
        else:
            found.append((name, value, at, (name,)))
    counted = [names for _, value, _, names in found if value is not ANYTHING]
    for name, value, at, names in found:
        if value is ANYTHING and counted and (isinstance(parts, str) or name not in parts):
            names = counted[0]  # it has no points of its own
        if isinstance(value, _Wanted):
            yield Expected(name, value.value, part(*names), compare=value.compare, options=value.options, at=at)
        else:
            yield Expected(name, value, part(*names), compare=compare, options=common, at=at)


def _require_runnable(where: str, cases: Sequence[Case]) -> None:
    """Refuse steps that could not run behind the wall, while the case that they belong to is known."""
    for made in cases:
        for step in made.steps:
            probes = [value for value in step.args if isinstance(value, Probe)]
            if len(probes) > 1 or any(isinstance(value, Probe) for value in step.kwargs.values()):
                raise Refused(
                    f"{where}: in the case {made.title!r}, {step.target} gets more than one probe, or one by keyword; "
                    "a step may have one, by position"
                )


def _require_no_reference_shipped(where: str, cases: Sequence[Case], described: Mapping[str, _Described]) -> None:
    """Refuse source for a student's process in which the body of some reference stands."""
    steps = [step for made in cases for step in made.steps]
    values = [value for step in steps for value in (*step.args, *step.kwargs.values())]
    values += [value for step in steps for item in step.expected for value in item.options.values()]
    codes = {value.source for value in values if isinstance(value, ShippedCode)}
    if not codes:
        return
    references = {
        body: f"{name}/{key}"
        for name, one in described.items()
        for key, function in one.reference.items()
        for body in _bodies(_source(function))
    }
    for code in codes:
        if found := references.keys() & set(_bodies(code)):
            answer = references[found.pop()]
            raise Refused(f"{where}: the text of the reference {answer} would be shipped, where students can read it")


@functools.lru_cache(maxsize=256)
def _source(function: Any) -> str:
    """Return the text of a reference, or nothing where there is none, as for a function of NumPy."""
    if isinstance(function, OfObjects):
        function = function.function
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return ""


@functools.lru_cache(maxsize=256)
def _bodies(source: str) -> tuple[str, ...]:
    """Return what the functions and classes in `source` do, but for their names and docstrings."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a lambda in the middle of an expression
        return ()
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            body = node.body[ast.get_docstring(node) is not None :]
            found.append("\n".join(ast.dump(statement) for statement in body))
    # A body such as `return x` or `pass` is in many functions, and answers nothing.
    return tuple(body for body in found if len(body) > SHORT)

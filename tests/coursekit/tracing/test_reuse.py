"""Flat code reuses memory without side effects: results are new arrays, and arguments stay unchanged."""

import numpy as np
import pytest
from traced_programs import ALL, CONSTANT, PROGRAMS, SHARING, alone, assert_agrees, assert_same, floats

from coursekit.autograd import (
    value_and_grad,
)
from coursekit.tracing import flat

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("label", SHARING)
def test_programs_whose_gradients_are_views_agree_with_the_engine(label):
    f, make = SHARING[label]
    assert_agrees(f, *(make(np.random.default_rng([1, i])) for i in range(3)), label=label)


@pytest.mark.parametrize("which", ["compiled", "source"])
@pytest.mark.parametrize("label", ALL)
def test_results_have_memory_of_their_own(label, which):
    f, make = ALL[label]
    args = make(np.random.default_rng(2))
    compiled = flat(f, *args)
    program = compiled if which == "compiled" else alone(compiled.source)
    args = tuple(np.array(arg) for arg in args)
    value, gradients = program(*args)
    # The readable program may return an argument as its value, but its gradients are new arrays too.
    results = [value, *gradients] if which == "compiled" else [*gradients]
    others = [*args, CONSTANT, *program(*args)[1]]
    for i, result in enumerate(results):
        for other in others + results[:i]:
            assert not np.shares_memory(result, other), f"{label}: result {i}\n{compiled.source}"


@pytest.mark.parametrize("which", ["compiled", "source"])
@pytest.mark.parametrize("label", ALL)
def test_writing_into_results_spoils_no_later_call_and_no_later_call_spoils_results(label, which):
    f, make = ALL[label]
    examples, others = (make(np.random.default_rng([3, i])) for i in range(2))
    compiled = flat(f, *examples)
    program = compiled if which == "compiled" else alone(compiled.source)
    constant = CONSTANT.copy()
    first = program(*examples)
    kept = [np.copy(result) for result in (first[0], *first[1])]
    program(*others)
    for result, copy in zip((first[0], *first[1]), kept, strict=True):
        np.testing.assert_array_equal(result, copy, err_msg=f"{label}, after another call")
    for result in (first[0], *first[1]) if which == "compiled" else first[1]:
        if isinstance(result, np.ndarray):
            result[...] = 1e9
    np.testing.assert_array_equal(CONSTANT, constant)
    second = program(*examples)
    for result, copy in zip((second[0], *second[1]), kept, strict=True):
        np.testing.assert_array_equal(result, copy, err_msg=f"{label}, after writing into results")


@pytest.mark.parametrize("which", ["compiled", "source"])
@pytest.mark.parametrize("label", ALL)
def test_arguments_are_never_written_to(label, which):
    f, make = ALL[label]
    args = tuple(np.array(arg) for arg in make(np.random.default_rng(4)))
    copies = [arg.copy() for arg in args]
    compiled = flat(f, *args)
    program = compiled if which == "compiled" else alone(compiled.source)
    wanted = program(*args)
    for arg, copy in zip(args, copies, strict=True):
        np.testing.assert_array_equal(arg, copy, err_msg=label)
        arg.setflags(write=False)
    assert_same(program(*args), wanted, label, rtol=0)


@pytest.mark.parametrize("order", ["Fortran", "every other entry", "backwards"])
@pytest.mark.parametrize("label", PROGRAMS)
def test_arguments_may_lie_in_memory_as_they_like(label, order):
    f, make = PROGRAMS[label]
    examples, args = (make(np.random.default_rng([6, i])) for i in range(2))

    def laid_out(arg):
        arg = np.asarray(arg)
        if order == "Fortran" or not arg.ndim:
            return np.asfortranarray(arg) if arg.ndim else arg
        if order == "backwards":
            return arg[::-1].copy()[::-1]
        wide = np.repeat(arg, 2, axis=-1)
        return wide[..., ::2]

    compiled = flat(f, *examples)
    wanted = value_and_grad(f, argnums=floats(args))(*args)
    for program in compiled, alone(compiled.source), flat(f, *map(laid_out, examples)):
        assert_same(program(*map(laid_out, args)), wanted, f"{label} seed 6\n{compiled.source}", rtol=1e-11)


def test_the_same_array_may_be_two_arguments():
    def f(x, y):
        return np.sum(np.exp(x) * y + x / y)

    compiled = flat(f, np.ones(3), np.ones(3))
    x = np.array([1.0, 2.0, 3.0])
    assert_same(compiled(x, x), value_and_grad(f, argnums=(0, 1))(x, x), compiled.source)


def test_a_constant_that_is_changed_later_changes_neither_the_function_nor_its_source():
    c = np.array([1.0, 2.0, 3.0])
    compiled = flat(lambda x: np.sum(x * c * x), np.ones(3))
    before = compiled(np.ones(3))
    c[:] = 1e9
    assert_same(compiled(np.ones(3)), before, "compiled")
    assert_same(alone(compiled.source)(np.ones(3)), before, "source")

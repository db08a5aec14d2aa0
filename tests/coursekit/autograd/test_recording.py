"""Recording: every operation has one contract, and a row keeps exactly what its rules read."""

import dis
import inspect
import itertools
import re

import numpy as np
import pytest

from coursekit.autograd import Tensor, no_grad
from coursekit.autograd.recording import primitive
from coursekit.autograd.tensor import OPERATIONS, RULES, Like


def parameter(value):
    return Tensor(value, requires_grad=True)


# --- What a row keeps ------------------------------------------------------------------------------

VJPS = [
    pytest.param(vjp, id=f"{function.__name__} {i}")
    for vjps, function in OPERATIONS.items()
    for i, vjp in enumerate(vjps)
    if vjp is not None and vjp.__module__.startswith("coursekit.autograd")
]


def instructions(code):
    """Yield all instructions of a function and of the functions inside it, as pairs of a name and an argument."""
    for step in dis.get_instructions(code):
        pair = re.findall("(?:LOAD|STORE)_FAST", step.opname)
        if len(pair) == 2:  # since Python 3.13, one instruction may load or store two local variables
            yield from zip(pair, step.argval, strict=True)
        else:
            yield step.opname, step.argval
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from instructions(constant)


def names_read(vjp):
    return {argument for name, argument in instructions(vjp.__code__) if name.startswith("LOAD_")}


def cached(vjp):
    """Return the parameters that hold the result and the arguments, not the upstream gradient or options."""
    names = list(inspect.signature(vjp).parameters)
    names = names[names.index("g") + 1 :]
    known = {"ans", "like", "x", "y", "a", "b", "c", "arrays"}
    return [name for name in names if name.startswith("_") or name in known]


def is_marked_rightly(vjp):
    read = names_read(vjp)
    return all((name in read) == (not name.startswith("_")) for name in cached(vjp))


def test_these_are_the_rows_of_the_table():
    assert len(VJPS) > 70


@pytest.mark.parametrize("vjp", VJPS)
def test_a_row_keeps_exactly_what_its_rules_read(vjp):
    assert is_marked_rightly(vjp)


@pytest.mark.parametrize("vjp", VJPS)
def test_of_what_is_called_like_only_shape_and_dtype_are_read(vjp):
    steps = list(instructions(vjp.__code__))
    for (_, argument), (_, following) in itertools.pairwise(steps):
        if argument == "like" and "like" in vjp.__code__.co_varnames[: vjp.__code__.co_argcount]:
            assert following in ("shape", "dtype", "ndim", "size")


@pytest.mark.parametrize(
    "wrong",
    [lambda g, ans, x: g * ans, lambda g, _ans, x: g * _ans * x, lambda g, *_: g * _[0]],
    ids=["keeps too much", "reads what it does not keep", "reads what it does not keep, of many"],
)
def test_a_row_that_is_marked_wrongly_is_noticed(wrong):
    assert not is_marked_rightly(wrong)


def test_a_product_keeps_the_other_factor_of_each_active_one():
    x, y = np.ones(3), np.ones(3)
    both, first, second = parameter(x) * parameter(y), parameter(x) * y, x * parameter(y)
    assert [arg is None for arg in both.node.args] == [False, False]
    assert first.node.args == (None, y)
    assert second.node.args == (x, None)
    assert both.node.ans is None


def test_an_exponential_keeps_its_result_alone_and_a_sum_a_shape():
    x = parameter(np.ones((2, 3)))
    y, total = np.exp(x), np.sum(x)
    assert y.node.ans is y.value
    assert y.node.args == (None,)
    assert total.node.ans is None
    assert type(total.node.args[0]) is Like


def test_a_choice_keeps_the_condition_alone_and_a_join_shapes():
    x, y = parameter(np.ones(3)), parameter(np.zeros(3))
    condition = np.array([True, False, True])
    assert np.where(condition, x, y).node.args == (condition, None, None)
    assert [type(arg) for arg in np.concatenate([x, y]).node.args] == [Like, Like]


# --- One contract ----------------------------------------------------------------------------------

CALLS = {  # with one array, two, more, or any number
    "one": (RULES[np.exp], (np.ones(3),), {}),
    "one with an option": (RULES[np.sum], (np.ones((2, 3)),), {"axis": 0}),
    "two": (RULES[np.multiply], (np.ones(3), np.arange(3.0)), {}),
    "three": (RULES[np.where], (np.array([True, False, True]), np.ones(3), np.arange(3.0)), {}),
    "many": (RULES[np.concatenate], ([np.ones(3), np.arange(3.0)],), {}),
}


def tensors(item, make):
    if isinstance(item, list):
        return [tensors(part, make) for part in item]
    return make(item) if item.dtype.kind == "f" else item


@pytest.mark.parametrize("name", CALLS)
def test_arrays_alone_give_an_array(name):
    operation, args, options = CALLS[name]
    assert isinstance(operation(*args, **options), np.ndarray)


@pytest.mark.parametrize("name", CALLS)
def test_tensors_that_need_no_gradient_give_a_tensor_without_a_record(name):
    operation, args, options = CALLS[name]
    result = operation(*(tensors(arg, Tensor) for arg in args), **options)
    assert type(result) is Tensor
    assert result.node is None
    np.testing.assert_array_equal(result.value, operation(*args, **options))


@pytest.mark.parametrize("name", CALLS)
def test_tensors_that_need_one_leave_a_record_unless_recording_is_off(name):
    operation, args, options = CALLS[name]
    inputs = [tensors(arg, parameter) for arg in args]
    assert operation(*inputs, **options).node.inputs
    with no_grad():
        assert operation(*inputs, **options).node is None


@pytest.mark.parametrize("name", ["two", "three"])
def test_lists_among_tensors_are_arrays(name):
    operation, (*others, last), _ = CALLS[name]
    np.testing.assert_array_equal(operation(*others, parameter(last)).value, operation(*others, last))
    given = [other.tolist() for other in others]
    np.testing.assert_array_equal(operation(*given, parameter(last)).value, operation(*others, last))


@pytest.mark.parametrize("name", ["one with an option", "two", "three"])
def test_an_option_that_the_row_does_not_have_is_refused_with_the_file_of_the_row(name):
    operation, args, _ = CALLS[name]
    with pytest.raises(TypeError, match=r"does not take the argument colour=; its row in coursekit/autograd/ops\.py"):
        operation(*map(parameter, args[-1:]), *args[1:], colour="red")


def test_what_has_no_gradient_rule_is_refused_by_its_place(monkeypatch):
    monkeypatch.setitem(RULES, np.heaviside, None)
    primitive(np.heaviside, lambda g, *_: 0 * g, None)
    with pytest.raises(TypeError, match="heaviside has no gradient with respect to argument 1"):
        np.heaviside(1.0, parameter(0.5))
    np.heaviside(parameter(1.0), 0.5).backward()


# --- One door --------------------------------------------------------------------------------------


def test_an_operator_and_a_method_are_the_row_of_their_function():
    for function, names in {
        np.add: ["__add__"],
        np.matmul: ["__matmul__"],
        np.max: ["max"],
        np.less: ["__lt__"],
    }.items():
        assert all(getattr(Tensor, name) is RULES[function] for name in names)


def test_a_new_row_is_also_the_operator(monkeypatch):
    monkeypatch.setitem(RULES, np.multiply, RULES[np.multiply])
    primitive(np.multiply, lambda g, *_: 5 * g, lambda g, *_: 7 * g)
    x, y = parameter(2.0), parameter(3.0)
    (x * y).backward()
    assert (x.grad, y.grad) == (5.0, 7.0)
    (4.0 * x).backward()
    assert x.grad == 12.0

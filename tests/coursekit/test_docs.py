"""Every public name is described, with an example that runs (pytest's --doctest-modules runs it)."""

import doctest
import importlib
import inspect

import pytest

MODULES = [
    "coursekit.autograd",
    "coursekit.tracing",
    "coursekit.nn",
    "coursekit.losses",
    "coursekit.optim",
    "coursekit.training",
]


def public(module):
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    for name in names:
        thing = getattr(module, name)
        home = getattr(thing, "__module__", "")
        if (inspect.isroutine(thing) or inspect.isclass(thing)) and home.startswith(module.__name__):
            yield name, thing


NAMES = [(f"{module}.{name}", thing) for module in MODULES for name, thing in public(importlib.import_module(module))]


def test_there_are_names_to_look_at():
    assert {"coursekit.autograd.Tensor", "coursekit.tracing.flat", "coursekit.nn.MLP"} <= {name for name, _ in NAMES}
    assert len(NAMES) > 40


@pytest.mark.parametrize(("name", "thing"), NAMES, ids=[name for name, _ in NAMES])
def test_a_public_name_has_a_docstring_with_an_example(name, thing):
    doc = inspect.getdoc(thing) or ""
    assert len(doc.split()) >= 8, f"{name} is not described"
    assert doctest.DocTestParser().get_examples(doc), f"{name} has no example"


@pytest.mark.parametrize(("name", "thing"), NAMES, ids=[name for name, _ in NAMES])
def test_it_says_where_it_comes_from_or_stands_next_to_what_does(name, thing):
    home = importlib.import_module(thing.__module__)
    where = f"{inspect.getdoc(thing)}\n{home.__doc__}"
    assert "Source" in where, f"neither {name} nor its module names a source"

"""Restore IPython's hooks and settings and Python's builtins while a test cell runs.

A test cell without a check runs in the student's own interpreter and is scored by its outputs, as nbgrader does it.
This is no defence against a program that takes over the interpreter.  It stops tricks of one line: a transformer
that drops every `assert`, a hook that shows the full score, an `isinstance` that is always true.  And it keeps honest
settings, such as to show every line's result, from changing what a test earns.
"""

from __future__ import annotations

import builtins
import contextlib
import copy
import sys
import threading
from collections.abc import Iterator
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager
from IPython.core.interactiveshell import InteractiveShell
from traitlets import HasTraits, TraitType

# What a shell uses for every cell, each an object with methods and entries of its own.
PARTS = ("display_formatter", "displayhook", "display_pub", "display_trap", "events", "compile")
PRINTERS = ("singleton_printers", "type_printers", "deferred_printers")
TRANSFORMERS = ("ast_transformers", "input_transformers_post", "input_transformer_manager")


class Hooks:
    """The present state of all that `shell` and this interpreter run around a cell."""

    def __init__(self, shell: InteractiveShell) -> None:
        from matplotlib_inline.backend_inline import flush_figures  # which looks for a shell when it is imported

        self.shell = shell
        self.flush_figures = flush_figures
        self.builtins = dict(vars(builtins))
        self.parts = {name: getattr(shell, name) for name in PARTS}
        self.text = shell.display_formatter.formatters["text/plain"]
        self.printers = {name: dict(getattr(self.text, name)) for name in PRINTERS}
        self.callbacks = {event: list(called) for event, called in shell.events.callbacks.items()}
        self.objects = [shell, self.text, *self.parts.values()]
        kinds = {kind for one in self.objects for kind in type(one).__mro__ if kind is not object}
        self.methods = [(kind, dict(vars(kind))) for kind in kinds]
        traits = [one for one in self.objects if isinstance(one, HasTraits)]
        self.settings = [(one, {name: copy.copy(value) for name, value in _settings(one)}) for one in traits]

    @contextlib.contextmanager
    def as_they_were(self) -> Iterator[None]:
        """Run no hook of the notebook's; at the end, restore those that a notebook may well have."""
        self._restore_methods()
        shell, events, text = self.shell, self.parts["events"], self.text
        own = {name: getattr(shell, name) for name in TRANSFORMERS}
        printers = {name: getattr(text, name) for name in PRINTERS}
        callbacks = dict(events.callbacks)
        shell.ast_transformers, shell.input_transformers_post = [], []
        shell.input_transformer_manager = TransformerManager()
        for name in PRINTERS:
            setattr(text, name, dict(self.printers[name]))
        for event, called in self.callbacks.items():
            # `%matplotlib inline` shows a cell's figures when it has ended.
            figures = self.flush_figures in callbacks.get(event, []) and self.flush_figures not in called
            events.callbacks[event] = [*called, *([self.flush_figures] if figures else [])]
        try:
            with contextlib.ExitStack() as changed:
                self._reset_settings(changed)
                yield
        finally:
            for owner, kept in ((shell, own), (text, printers)):
                for name, value in kept.items():
                    setattr(owner, name, value)
            events.callbacks.update(callbacks)

    def _reset_settings(self, changed: contextlib.ExitStack) -> None:
        """Give all settings the values of the start, until `changed` is closed."""
        for kind, attributes in self.methods:
            for name, setting in attributes.items():
                if isinstance(setting, TraitType) and (own := vars(kind).get(name)) is not setting:
                    setattr(kind, name, setting)
                    changed.callback(setattr, kind, name, own)
        for one, values in self.settings:
            for name, value in values.items():
                if (own := getattr(one, name)) != value:
                    setattr(one, name, value)
                    changed.callback(setattr, one, name, own)

    def _restore_methods(self) -> None:
        sys.settrace(None)
        sys.setprofile(None)
        threading.settrace(None)
        vars(builtins).update(self.builtins)
        for kind, methods in self.methods:
            for name, method in methods.items():
                if callable(method) and vars(kind).get(name) is not method:
                    setattr(kind, name, method)
        for name, part in self.parts.items():
            if getattr(self.shell, name) is not part:
                setattr(self.shell, name, part)
        self.parts["display_formatter"].formatters["text/plain"] = self.text
        for one in self.objects:
            _uncover(one)


def _settings(one: HasTraits) -> Iterator[tuple[str, Any]]:
    """Yield the settings of an object that are plain values."""
    for name, value in one.trait_values(config=True).items():
        if value is None or isinstance(value, str | int | float | list | dict | set):
            yield name, value


def _uncover(one: Any) -> None:
    """Remove attributes of an object that hide methods of its class."""
    for name in [name for name in vars(one) if callable(getattr(type(one), name, None))]:
        del vars(one)[name]

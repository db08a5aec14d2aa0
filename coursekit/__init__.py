"""coursekit: what a student of backpropagation imports.

`check("NAME", NAME)` tests an exercise of the notebook that it stands in. The engine is
in :mod:`coursekit.autograd`, with networks on top in :mod:`coursekit.nn`,
:mod:`coursekit.losses`, :mod:`coursekit.optim` and :mod:`coursekit.training`; the data in
:mod:`coursekit.data`, the pictures in :mod:`coursekit.plots` and :mod:`coursekit.widgets`.
Each part is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checks import CheckFailed, check, when_written

__all__ = ["CheckFailed", "check", "when_written"]
__version__ = "0.1.0"

_PARTS = ("autograd", "checks", "data", "losses", "nn", "optim", "plots", "training", "widgets")


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(".checks", __name__), name)
    if name in _PARTS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"coursekit has no {name!r}; it has {', '.join((*__all__, *_PARTS))}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PARTS})

"""coursekit: what a student of backpropagation imports.

`check("NAME", NAME)` tests an exercise of the notebook that it stands in;
`check_gradient(f, x, gradient)` and `check_backward(forward, backward, *inputs)` test any
gradient against a numerical one and name the mistake (:mod:`coursekit.gradcheck`). The engine is
in :mod:`coursekit.autograd`, what it records can be looked at with :mod:`coursekit.tracing`, and networks on top
are in :mod:`coursekit.nn`, :mod:`coursekit.losses`, :mod:`coursekit.optim` and :mod:`coursekit.training`; the data in
:mod:`coursekit.data`, the pictures in :mod:`coursekit.diagrams`, :mod:`coursekit.plots` and
:mod:`coursekit.widgets`.
Each part is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checks import CheckFailed, check, when_written
    from .gradcheck import check_backward, check_gradient

__all__ = ["CheckFailed", "check", "check_backward", "check_gradient", "when_written"]
__version__ = "0.1.0"

PARTS = (
    "autograd",
    "checks",
    "data",
    "diagrams",
    "gradcheck",
    "losses",
    "nn",
    "optim",
    "plots",
    "tracing",
    "training",
    "widgets",
)
_FROM_GRADCHECK = ("check_backward", "check_gradient")


def __getattr__(name: str) -> Any:
    if name in __all__:
        part = "gradcheck" if name in _FROM_GRADCHECK else "checks"
        return getattr(import_module(f".{part}", __name__), name)
    if name in PARTS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"coursekit has no {name!r}; it has {', '.join((*__all__, *PARTS))}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *PARTS})

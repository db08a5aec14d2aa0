"""The reference engine: reverse-mode differentiation of plain NumPy code.

    >>> import numpy as np
    >>> from coursekit.autograd import Tensor, grad
    >>> x, y, z = (Tensor(number, requires_grad=True) for number in (-2.0, 5.0, -4.0))
    >>> f = (x + y) * z                      # forward: every operation is recorded
    >>> f.backward()                         # backward: the chain rule, newest operation first
    >>> float(f.value), float(x.grad), float(y.grad), float(z.grad)
    (-12.0, -4.0, -4.0, 3.0)
    >>> grad(lambda W: np.sum(W * W))(np.array([1.0, -3.0]))
    array([ 2., -6.])

To learn how it works, read the files in this order, each from top to bottom:

1. ``scalar.py``: circuits of single numbers, in pure Python: the whole idea, and nothing else.
2. ``tensor.py``: an array that remembers how it was computed, and the backward pass
   over the record.
3. ``recording.py``: how an operation leaves its record, and what it keeps for the backward pass.
4. ``ops.py``: the table that the backward pass looks things up in.  One row for
   each NumPy function: how to turn the upstream gradient into a gradient for
   each argument.
5. ``function.py``: an operation whose forward and backward you write yourself.

These five are the engine.  ``transforms.py`` has ``grad`` and its relatives, which make of a function
another function, and so can be applied twice.  The other files are more of the same: ``numpy_ops.py`` is the table
for the rest of NumPy, ``_fast.py`` is the recording written out for one array and two, and ``arraylike.py`` lists
the operators and methods of an array.

:mod:`coursekit.tracing` writes the same two passes down: as nodes to look at, and as the program that one would
write by hand.
"""

from typing import TYPE_CHECKING, Any

from coursekit.autograd import numpy_ops as numpy_ops  # loaded for its rows
from coursekit.autograd.function import Function
from coursekit.autograd.ops import log_softmax, logsumexp, softmax
from coursekit.autograd.scalar import Value
from coursekit.autograd.tensor import Tensor, no_grad, stop_gradient
from coursekit.autograd.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

__all__ = [
    "Function",
    "Tensor",
    "Value",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "log_softmax",
    "logsumexp",
    "no_grad",
    "softmax",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Notebooks that are handed in already say `from coursekit.autograd import flat, graph`, as did earlier versions
        # of this course, and must stay gradable.  This is the only import of a higher floor; new code does without.
        if name in ("flat", "graph"):
            from coursekit import tracing

            return getattr(tracing, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

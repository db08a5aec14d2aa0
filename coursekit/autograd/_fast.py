"""The operation of ``recording.py``, written out for one array and for two.

Nearly all calls are of these, and a loop over the arguments would cost more than all the rest.  Each does what
the general one does; where it can be sure that a gradient fits its argument, it does not note shapes and dtypes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from coursekit.autograd.tensor import Like, Node, Tensor, is_recording, tick

if TYPE_CHECKING:
    from coursekit.autograd.recording import Row


def of_one_array(row: Row) -> Callable[..., Any]:
    """Return the operation of a row with one array: its gradient has the shape and dtype of the argument."""
    new, vjps, count, forward, ans_is_read = object.__new__, row.vjps, len(row.options), row.forward, row.ans
    (x_is_read,), (like,) = row.args, row.likes

    def operation(x: Any, *options: Any, **named: Any) -> Any:
        if named or (options and len(options) > count):
            options = row.bind(options, named)
        if type(x) is not Tensor:
            return forward(x, *options)
        source, x = x.node, x.value
        result = new(Tensor)
        result.value = value = forward(x, *options) if options else forward(x)
        if source is None or not is_recording():
            result.node = None
            return result
        result.node = node = new(Node)
        node.order = tick()
        node.vjps = vjps
        node.inputs = (source,)
        node.args = (x if x_is_read else Like(x) if like else None,) + options  # noqa: RUF005 (twice as fast)
        node.ans = value if ans_is_read else None
        node.fits = node.gradient = None
        return result

    return operation


def of_two_arrays(row: Row) -> Callable[..., Any]:
    """Return the operation of a row with two arrays and no options."""
    new, vjps, forward, broadcasts, ans_readers = object.__new__, row.vjps, row.forward, row.broadcasts, row.ans
    x_readers, y_readers = row.args

    def operation(x: Any, y: Any, *options: Any, **named: Any) -> Any:
        if named or options:
            row.bind(options, named)
        active, first, second = 0, None, None
        if type(x) is Tensor:
            if x.node is not None:
                first, active = x.node, 1
            x = x.value
        elif type(y) is not Tensor:
            return forward(x, y)
        elif type(x) is list:
            x = np.asarray(x)
        if type(y) is Tensor:
            if y.node is not None:
                second, active = y.node, active + 2
            y = y.value
        elif type(y) is list:
            y = np.asarray(y)
        result = new(Tensor)
        result.value = value = forward(x, y)
        if not active or not is_recording():
            result.node = None
            return result
        result.node = node = new(Node)
        node.order = tick()
        node.vjps = vjps
        node.inputs = (first, second)
        node.args = (x if active & x_readers else None, y if active & y_readers else None)
        node.ans = value if active & ans_readers else None
        node.fits = node.gradient = None
        shape, dtype = value.shape, value.dtype
        if (first is not None and (x.dtype is not dtype or (broadcasts and x.shape != shape))) or (
            second is not None and (y.dtype is not dtype or (broadcasts and y.shape != shape))
        ):
            node.fits = row.fits(value, (x, y), node.inputs)
        return result

    return operation

"""A gradient checker that names the mistake.

`check_gradient(f, x, gradient)` compares a gradient with the numerical one.  Where they differ, it asks which known
mistake gives just these numbers, and names it.  `check_backward` does the same for the forward and backward of a layer.

Read from the top down:

- ``check.py`` asks the questions in their order: ``stability.py``, then ``entrywise.py`` or ``directions.py``;
- ``shapes.py``, ``kinks.py`` and ``precision.py`` say where a difference is no mistake in the numbers;
- ``diagnose.py`` finds what explains a difference: ``factors.py``, ``faults.py`` (on a ``recording.py`` of the
  function), and what ``context.py`` and ``known_losses.py`` know of the function;
- ``numeric.py`` measures gradients, ``problem.py`` holds what is asked, ``layer.py`` makes a layer of that form;
- ``report.py`` shows the answer.
"""

from coursekit.reporting import Finding

from .check import check_backward, check_gradient
from .numeric import numerical_gradient
from .report import GradientError, GradientReport

__all__ = ["Finding", "GradientError", "GradientReport", "check_backward", "check_gradient", "numerical_gradient"]

"""A gradient checker that names the mistake.

`check_gradient(f, x, gradient)` compares a gradient with the numerical one.  Where they differ it asks
which of the mistakes that people make would give just these numbers, and names it if one does;
`check_backward` does it for the forward and backward of a layer.  From the bottom up: ``numeric.py``
measures gradients, ``faults.py`` backpropagates with one thing done wrong, ``diagnose.py`` finds what explains a
difference, ``check.py`` asks the questions in their order, ``report.py`` tells the answer.
"""

from coursekit.reporting import Finding

from .check import check_backward, check_gradient
from .numeric import numerical_gradient
from .report import GradientError, GradientReport

__all__ = ["Finding", "GradientError", "GradientReport", "check_backward", "check_gradient", "numerical_gradient"]

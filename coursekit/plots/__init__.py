"""Pictures for the notebooks, each with its content in words.

>>> from coursekit.plots import show_hinge_and_softmax
>>> show_hinge_and_softmax()
<Picture: SVM and softmax loss of one example against its lead>

Every function returns a `Picture`: put it on the last line of a cell, or pass
it to ``display``.  Its numbers are in ``.text``; ``.save(path)`` writes it to a
file.

Matplotlib is imported when the first picture is drawn, and without pyplot: no
figure stays open, and nothing is drawn twice.
"""

from __future__ import annotations

from .classifiers import show_decision_regions, show_heatmap, show_hinge_and_softmax
from .curves import describe_losses, show_curves, show_losses, show_schedules
from .functions import show_functions, show_paths
from .images import show_digits, show_templates
from .picture import Picture, figure_html

__all__ = [
    "Picture",
    "describe_losses",
    "figure_html",
    "show_curves",
    "show_decision_regions",
    "show_digits",
    "show_functions",
    "show_heatmap",
    "show_hinge_and_softmax",
    "show_losses",
    "show_paths",
    "show_schedules",
    "show_templates",
]

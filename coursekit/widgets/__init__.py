"""Widgets that are live while the kernel runs, and leave a figure in the notebook.

`LossCurve` draws the loss of a training loop while it runs.

The figure of a widget has an alt text, a caption, and its numbers in words.  All controls work by keyboard.
"""

from .loss_curve import LossCurve

__all__ = ["LossCurve"]

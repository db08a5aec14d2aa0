"""Pictures that live while the kernel runs, and stay when it does not.

`LossCurve` draws the loss of a training loop while it runs.

Every widget here also leaves a figure with alt text and a caption in the
notebook, and says its numbers in words; everything can be done by keyboard.
"""

from .loss_curve import LossCurve

__all__ = ["LossCurve"]

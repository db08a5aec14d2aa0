"""coursekit: what a student of backpropagation imports.

>>> from coursekit import check

`check("NAME", NAME)` tests an exercise of the notebook that it stands in.  The
engine is in :mod:`coursekit.autograd`, the data in :mod:`coursekit.data`, the
pictures in :mod:`coursekit.plots` and :mod:`coursekit.widgets`.
"""

__version__ = "0.1.0"

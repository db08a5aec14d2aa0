"""The one alias for arrays that the whole kit uses."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]  # of any shape and dtype

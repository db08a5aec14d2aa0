"""What each worker needs first: importing this module imports and computes it, once, before workers are forked."""

from . import grade  # noqa: F401
from .wall.kit import kit_of
from .wall.sandbox import font_cache

kit_of({}, ())  # reads the files of coursekit and what they import
font_cache()

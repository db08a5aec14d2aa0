"""Read when something was handed in."""

from __future__ import annotations

import datetime
from pathlib import Path

from .course import quick_nbgrader

TIME = "timestamp.txt"
MAX_READ = 1000
DEFAULTS = (datetime.datetime(2000, 1, 1), datetime.datetime(2001, 2, 2))


def time_handed_in(folder: Path) -> tuple[datetime.datetime | None, list[str]]:
    """Return the time that `timestamp.txt` tells, in UTC; or None, and a note if it tells something else.

    nbgrader stops where it is no date, and takes the seconds since 1970 for a day and a year.
    """
    path = folder / TIME
    if not path.exists() and not path.is_symlink():
        return None, []
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_READ).strip()
        if not path.is_symlink() and len(text.splitlines()) == 1 and _is_complete(text):
            return _parsed(text), []
    except Exception:  # whatever dateutil makes of it
        pass
    return None, [f"`{TIME}` holds no date that can be read, so it is not known when this was handed in."]


def _parsed(text: str) -> datetime.datetime:
    quick_nbgrader()
    from nbgrader.utils import parse_utc

    found: datetime.datetime = parse_utc(text)
    return found


def _is_complete(text: str) -> bool:
    """Return whether a date has a day, a month and a year: dateutil takes from today what is missing."""
    from dateutil import parser

    if text.isdigit():
        return False
    parts = text.split(" ")
    date = " ".join(parts[:2]) if len(parts) == 3 else text  # nbgrader reads the zone
    return len({parser.parse(date, default=default).date() for default in DEFAULTS}) == 1

"""List what was handed in, without opening it or following a link, and only as much as is read of it.

A folder may hold a hundred thousand files, be nested without end, and link to itself.  Of one that holds more than
honest work needs, the notebooks alone count: nothing else is hashed, shown, or lies beside the notebook when it runs.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from coursekit.reporting import printable

MAX_READ = 50 * 2**20  # bytes: no file that is larger goes behind the wall, as a notebook or beside one
MAX_BYTES = 500 * 2**20  # of all files that are not larger than that
MAX_ENTRIES = 10_000  # files and folders
MAX_DEPTH = 40  # folders in each other
MAX_NOTEBOOKS = 20  # of a folder of which nothing else counts


@dataclass(frozen=True)
class Found:
    """What counts of a folder that was handed in.

    Attributes
    ----------
    paths : list of pathlib.Path
        Files, links, pipes and whatever else is no folder, in order.
    too_much : str
        Why nothing but notebooks is among them: a sentence for the student and the instructor; or an empty text.
    """

    paths: list[Path]
    too_much: str = ""


def found_in(folder: Path) -> Found:
    """List what lies in `folder` and the folders in it, the nearest first; links to folders are not followed."""
    paths: list[Path] = []
    left = deque([(folder, 0)])
    seen = total = 0
    while left:
        here, depth = left.popleft()
        inner, others = _listed(here)
        seen += len(inner) + len(others)
        paths += others
        total += sum(_size(path) for path in others[:MAX_ENTRIES])
        left.extend((one, depth + 1) for one in inner)
        if seen > MAX_ENTRIES:
            what = f"more than {MAX_ENTRIES} files and folders"
        elif total > MAX_BYTES:
            what = f"more than {MAX_BYTES >> 20} MB"
        elif depth >= MAX_DEPTH and inner:
            what = f"folders more than {MAX_DEPTH} deep in each other"
        else:
            continue
        return _notebooks_of(paths, f"{what} were handed in, most of it {_most_of_it(folder, paths, here)}")
    return Found(sorted(paths))


def is_ignored(path: Path, patterns: list[str]) -> bool:
    """Return whether a name in the relative `path` matches one of nbgrader's patterns of what to ignore."""
    return any(
        fnmatchcase(name, pattern) and (name[0] != "." or pattern[0] == ".")
        for name in path.parts
        for pattern in patterns
    )


def is_plain(path: Path) -> bool:
    """Return whether `path` is a file, and no link, pipe or device."""
    return path.is_file() and not path.is_symlink()


def _listed(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders in `folder`, and what else is in it."""
    inner: list[Path] = []
    others: list[Path] = []
    try:
        with os.scandir(folder) as listed:
            for entry in listed:
                (inner if entry.is_dir(follow_symlinks=False) else others).append(Path(entry.path))
    except OSError:  # the machine keeps it from being read, and so it cannot count
        pass
    return inner, others


def _size(path: Path) -> int:
    size = path.lstat().st_size
    return size if size <= MAX_READ else 0


def _notebooks_of(paths: list[Path], why: str) -> Found:
    notebooks = sorted(path for path in paths if path.suffix == ".ipynb")[:MAX_NOTEBOOKS]
    sentence = f"{why}: nothing but the notebook was read. Hand in the notebook and the files that it needs, no others."
    return Found(notebooks, sentence)


def _most_of_it(folder: Path, paths: list[Path], deepest: Path) -> str:
    """Say where most of what was found lies, in words that follow "most of it"."""
    below = [path.relative_to(folder).parts for path in [*paths, deepest / "and more"]]
    counts = Counter(parts[0] if len(parts) > 1 else "" for parts in below)
    name = max(counts, key=lambda one: (counts[one], one))
    return f"in the folder {printable(name)[:60]!r}" if name else "beside the notebook"

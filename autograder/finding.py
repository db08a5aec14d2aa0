"""Find a notebook that was handed in under another name, in another place, or packed.

Learning platforms put names and numbers before and behind a file's name, browsers add `(1)` or `.txt`, people zip
folders.  A :class:`~autograder.wall.apart.Helper` looks: nothing is unpacked to the disk, links are not followed, and
what is read is bounded.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from .handed_in import MAX_READ, is_plain

MAX_BYTES = 200 * 2**20  # of all that is looked at, unpacked
MAX_BESIDE = 48 * 2**20  # of the files beside a notebook
MAX_FILES = 2000
MAX_DEPTH = 3  # packages within packages

NOTEBOOK = re.compile(r"\.ipynb(\.txt|\.json|\.gz|\.zip)?$", re.IGNORECASE)
UNKNOWN = (".7z", ".rar", ".zipx")
PACKED = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", *UNKNOWN)
NOT_OURS = {"__MACOSX", "__pycache__"}
COPY = re.compile(r"(\d+)\)?$")
TROUBLES = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, tarfile.TarError)


class Locked(ValueError):
    """A package needs a password."""


@dataclass(frozen=True, eq=False)
class File:
    """A file that was handed in, perhaps in a package.

    Attributes
    ----------
    packages : tuple of str
        The packages that it is in, the outermost first.
    path : PurePosixPath
        Below the folder that was handed in, or in its package.
    content : bytes
    """

    packages: tuple[str, ...]
    path: PurePosixPath
    content: bytes

    def __str__(self) -> str:
        return "/".join((*self.packages, str(self.path)))


@dataclass
class Contents:
    """What lies in a folder that was handed in.

    Attributes
    ----------
    names : list of str
        Of the files in the folder, packages too.
    files : list of File
        These and those in packages.
    closed : dict
        The packages that could not be opened, with the reason.
    left : int
        The bytes that may still be read.
    """

    names: list[str] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    closed: dict[str, str] = field(default_factory=dict)
    left: int = MAX_BYTES

    def beside(self, notebook: File) -> tuple[dict[str, bytes], list[str]]:
        """Return the files beside and below a notebook, by name, and the names of those that are too large."""
        folder = notebook.path.parent
        left, files, large = MAX_BESIDE, {}, []
        for one in self.files:
            if one is notebook or one.packages != notebook.packages or not one.path.is_relative_to(folder):
                continue
            name = str(one.path.relative_to(folder))
            if len(one.content) > left:
                large.append(name)
            else:
                left -= len(one.content)
                files[name] = one.content
        return files, large


# -- looking ----------------------------------------------------------------------------------


def find(folder: Path, paths: Iterable[Path]) -> Contents:
    """Return those of the files `paths` in a folder that are a student's own, and what is in packages among them."""
    found = Contents()
    for path in paths:
        name = PurePosixPath(path.relative_to(folder))
        if is_plain(path) and not any(map(_is_hidden, name.parts)):
            found.names.append(str(name))
            with contextlib.suppress(OSError), open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                _add(found, (), name, file)
    return found


def _add(found: Contents, packages: tuple[str, ...], path: PurePosixPath, file: io.BufferedIOBase) -> None:
    content = file.read(min(MAX_READ, found.left) + 1)
    if len(content) > min(MAX_READ, found.left) or len(found.files) >= MAX_FILES:
        found.closed["/".join((*packages, str(path)))] = "is too large"
        return
    found.left -= len(content)
    if not _is_packed(path, content) or len(packages) >= MAX_DEPTH:
        found.files.append(File(packages, path, content))
        return
    inside = (*packages, str(path))
    if path.suffix.lower() in UNKNOWN:
        found.closed["/".join(inside)] = "is packed in a way that cannot be opened here"
        return
    try:
        for name, member in _members(path, content):
            _add(found, inside, name, member)
    except Locked:
        found.closed["/".join(inside)] = "is locked with a password"
    except TROUBLES as error:
        found.closed["/".join(inside)] = f"cannot be unpacked ({type(error).__name__})"


def _is_packed(path: PurePosixPath, content: bytes) -> bool:
    if path.suffix.lower() in PACKED:
        return True
    return NOTEBOOK.search(path.name) is not None and content.startswith((b"PK\x03\x04", b"\x1f\x8b"))


def _members(path: PurePosixPath, content: bytes) -> Iterator[tuple[PurePosixPath, io.BufferedIOBase]]:
    """Yield the files in a package, by a name that leads nowhere else."""
    if zipfile.is_zipfile(io.BytesIO(content)):
        yield from _zipped(content)
        return
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as package:
            for member in package:
                file = package.extractfile(member) if member.isfile() else None
                if file is not None and (name := _cleaned(member.name)):
                    yield name, file  # type: ignore[misc]
    except tarfile.TarError:
        if not content.startswith(b"\x1f\x8b"):
            raise
        inside = re.sub(r"\.gz$", "", path.name, flags=re.IGNORECASE)
        yield PurePosixPath(inside), gzip.GzipFile(fileobj=io.BytesIO(content))


def _zipped(content: bytes) -> Iterator[tuple[PurePosixPath, io.BufferedIOBase]]:
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        for member in package.infolist():
            if member.is_dir() or stat.S_ISLNK(member.external_attr >> 16):
                continue
            name = member.filename
            if not member.flag_bits & 0x800:  # it is not said to be UTF-8, and most often is
                with contextlib.suppress(UnicodeError):
                    name = name.encode("cp437").decode("utf-8")
            if cleaned := _cleaned(name):
                if member.flag_bits & 1:
                    raise Locked
                with package.open(member) as file:
                    yield cleaned, file  # type: ignore[misc]


def _cleaned(name: str) -> PurePosixPath | None:
    """Return a member's name as a path below the package; None if it leads out of it or belongs to a system."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts or name.startswith(("/", "\\")) or ":" in parts[0] or ".." in parts or any(map(_is_hidden, parts)):
        return None
    return PurePosixPath(*parts)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in NOT_OURS


# -- choosing ---------------------------------------------------------------------------------


def notebooks(found: Contents) -> list[File]:
    """Return what may be a notebook."""
    return [one for one in found.files if NOTEBOOK.search(one.path.name)]


def rank(file: File, name: str, tests: int, held: int) -> tuple[object, ...] | None:
    """Return how well a file fits the notebook `name`, the best being the greatest; None if it does not at all.

    Parameters
    ----------
    file : File
    name : str
    tests, held : int
        How many tests the released notebook has, and how many of them are in the file.
    """
    stem = _folded(NOTEBOOK.sub("", file.path.name))
    wanted = _folded(name)
    is_named = re.search(f"(?<![^\\W_]){re.escape(wanted)}(?![^\\W_])", stem) is not None
    holds = held > 0 and 2 * held >= tests
    if not (is_named or holds):
        return None
    copy = COPY.search(stem.rpartition(wanted)[2] if is_named else stem)
    depth = len(file.packages) + len(file.path.parts)
    return holds, stem == wanted, is_named, held, -depth, int(copy[1][-9:]) if copy else 0, str(file)


def best(files: Sequence[File], name: str, tests: int, held: Mapping[File, int]) -> list[File]:
    """Return the files that fit the notebook `name`, the best first."""
    ranks = {file: rank(file, name, tests, held.get(file, 0)) for file in files}
    fitting = [file for file, one in ranks.items() if one is not None]
    return sorted(fitting, key=lambda file: ranks[file] or (), reverse=True)


def _folded(name: str) -> str:
    """Return a name without what systems change in it."""
    return re.sub(r"[\s_+.-]+", "_", unicodedata.normalize("NFKC", name).casefold())

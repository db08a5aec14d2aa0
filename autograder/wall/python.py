"""Python as it is seen behind the wall: under names that say nothing of the grader's folders.

None of the names lies below /tmp or /home, over which every notebook mounts folders of its own.
"""

from __future__ import annotations

import functools
import re
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import NoWall

USR = Path("/usr")  # the system's own, seen under its own name
BASE = Path("/python")  # the interpreter and its library, where they do not lie in /usr
VENV = Path("/venv")  # the virtual environment, if there is one: its packages, and a link to the interpreter


@dataclass(frozen=True)
class Installed:
    """Where Python lies.

    Attributes
    ----------
    program : Path
        The interpreter, as it is seen.
    folders : dict
        What is bound: the folder out here, and the name under which it is seen.
    links : dict
        Symbolic links to make: name → target.
    settings : str or None
        What `pyvenv.cfg` says, if there is a virtual environment.
    libraries : Path or None
        Where the system's linker finds libpython, if it would look for it under its name out here.
    """

    program: Path
    folders: dict[Path, Path]
    links: dict[Path, Path]
    settings: str | None
    libraries: Path | None

    def seen(self, path: Path) -> Iterator[Path]:
        """Every name under which `path`, out here, is seen."""
        for folder, name in self.folders.items():
            if path.is_relative_to(folder):
                yield name / path.relative_to(folder)

    def packages(self) -> Iterator[Path]:
        """The folders of packages, out here, of every Python that can be seen."""
        for folder in self.folders:
            for kind in (".", "lib", "local/lib"):
                yield from folder.glob(f"{kind}/python*/*-packages")

    def telling(self) -> Iterator[Path]:
        """Files, out here, that are of no use behind the wall and name the grader's folders."""
        for packages in self.packages():
            yield from packages.glob("*.dist-info/direct_url.json")
            for path in packages.glob("*.pth"):
                if re.search(r"^/", path.read_text(errors="replace"), re.MULTILINE):
                    yield path


@functools.cache
def installed() -> Installed:
    """Where this Python lies.

    Raises
    ------
    NoWall
        If the interpreter lies outside its own installation.
    """
    base, prefix = Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve()
    program = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    folders, links = {USR: USR}, {}
    if not base.is_relative_to(USR):
        folders[base] = BASE
    place = next((name / program.relative_to(at) for at, name in folders.items() if program.is_relative_to(at)), None)
    if place is None:
        raise NoWall(f"the interpreter {program} lies outside its installation {base}: make the environment anew")
    settings = None
    if prefix != base:
        folders[prefix / "lib"] = VENV / "lib"
        links[VENV / "lib64"] = Path("lib")
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        for name in ("python", "python3", f"python{version}"):
            links[VENV / "bin" / name] = place
        settings = f"home = {place.parent}\ninclude-system-site-packages = {_system_packages(prefix)}\n"
        place = VENV / "bin" / "python"
    shared = sysconfig.get_config_var("Py_ENABLE_SHARED") and base in folders
    return Installed(place, folders, links, settings, BASE / "lib" if shared else None)


def _system_packages(prefix: Path) -> str:
    """Whether a virtual environment sees the packages of its interpreter: ``"true"`` or ``"false"``."""
    text = (prefix / "pyvenv.cfg").read_text(encoding="utf-8")
    found = re.search(r"^include-system-site-packages\s*=\s*true\s*$", text, re.MULTILINE | re.IGNORECASE)
    return "true" if found else "false"

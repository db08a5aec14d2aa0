"""Pin the newest versions that work together on every supported Python: `make pins`.

pip resolves for the oldest Python. Its pins fit the newer ones, since releases drop old versions of Python and
rarely new ones; a test says which pins do not fit. A package that only a newer Python needs is not pinned.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

OLDEST = "3.11.2"  # Debian 12's own
ROOT = Path(__file__).resolve().parents[1]
RUN, DEV = ROOT / "binder" / "requirements.txt", ROOT / "requirements-dev.txt"


def main() -> None:
    if sys.version_info[:2] != (3, 11):  # pip reads the environment markers of the Python that it runs on
        sys.exit(f"make pins needs Python 3.11 (this is {sys.version.split()[0]}): make pins PYTHON=python3.11")
    run = resolved(".[grader]")
    RUN.write_text("\n".join([*heading(RUN), *run, ""]))
    dev = resolved(".[grader]", "--group", "dev", "--constraint", str(RUN))
    DEV.write_text("\n".join([*heading(DEV), *[pin for pin in dev if pin not in run], ""]))


def resolved(*what: str) -> list[str]:
    """The pins of `what`, which is given as to `pip install`, on the oldest Python."""
    target = ["--python-version", OLDEST, "--only-binary", ":all:", "--target", "build/none"]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", *target]
    done = subprocess.run([*command, "--report", "-", *what], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found = [one["metadata"] for one in json.loads(done.stdout)["install"] if not one["is_direct"]]
    return [f"{one['name']}=={one['version']}" for one in sorted(found, key=lambda one: one["name"].lower())]


def heading(path: Path) -> list[str]:
    """The lines of a requirement file that are no pins."""
    return [line for line in path.read_text().splitlines() if line.startswith(("#", "-r"))]


if __name__ == "__main__":
    main()

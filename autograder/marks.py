"""Mark what honest work does not show, so that an instructor can look at it; a mark is no verdict and costs no point.

A mark says what was seen and not what was meant.  Everything is seen from the trusted side: by the grader when it
reads a notebook and when it drives it, and by the warden of its process.  What a student can write into a mark is
short, and there are few of them, whatever the notebook does.
"""

from __future__ import annotations

from collections.abc import Iterable

from coursekit.reporting import printable

from .results import Mark

TEST_CELLS = "test cells"  # not as they were released
PROTOCOL = "protocol"  # its process sent what the program that runs there never sends
LIMIT = "limit"  # its process had to be ended, or was held at a limit that honest work does not reach
REFUSED = "refused call"  # it made a system call that no exercise needs and that break-outs are made of
KINDS = (TEST_CELLS, PROTOCOL, LIMIT, REFUSED)

MAX_MARKS = 20  # of one notebook
MAX_REASON = 200  # characters
MAX_WHERE = 60


class Marks:
    """The marks of one notebook; the same one seen again is counted."""

    def __init__(self, marks: Iterable[Mark] = ()) -> None:
        self.found: dict[tuple[str, str, str], int] = {}
        for one in marks:
            self.add(one["kind"], one["reason"], one.get("where", ""), one["count"])

    def add(self, kind: str, reason: str, where: str = "", count: int = 1) -> None:
        """Add a mark, as long as there is room."""
        key = (kind, shortened(reason, MAX_REASON), shortened(where, MAX_WHERE))
        if key in self.found or len(self.found) < MAX_MARKS:
            self.found[key] = self.found.get(key, 0) + count

    def list(self) -> list[Mark]:
        """Return the marks in the order in which they were seen first."""
        marks: list[Mark] = []
        for (kind, reason, where), count in self.found.items():
            mark: Mark = {"kind": kind, "reason": reason, "count": count}
            marks.append({**mark, "where": where} if where else mark)
        return marks


def shortened(text: str, most: int) -> str:
    """Return `text` on one line, as a terminal can print it, with at most so many characters."""
    line = " ".join(printable(text[: 4 * most]).split())
    return line if len(line) <= most else line[: most - 1] + "…"

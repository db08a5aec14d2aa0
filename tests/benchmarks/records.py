"""Did a change of the grader change a grade?  Compares the records of two course folders, exercise by exercise.

    python tests/benchmarks/records.py BEFORE AFTER

prints in what they differ: the submissions, the status and score of each, and of each exercise its status, score,
points, findings and the verdict on every case.  Run `AUTOGRADER_SECRET=same make demo` on both sides of a change and
keep the folder `demo-course` of the first.  Without the same secret each side draws cases of its own: numbers in
titles and messages are left out, but the verdict on a case with other numbers may differ by chance.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NUMBER = re.compile(r"[-+−]?\d+(\.\d+)?(e[-+]?\d+)?")
ASKED = ("status", "score", "max", "parts", "findings", "cases")


def main() -> int:
    """Compare the folders; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    arguments = parser.parse_args()
    before, after = records(arguments.before), records(arguments.after)
    found = list(differences(before, after))
    for line in found:
        print(line)
    exercises = sum(len(record["exercises"]) for record in before.values())
    print(f"{len(found) or 'no'} differences in {exercises} exercises of {len(before)} submissions")
    return 1 if found else 0


def records(course: Path) -> dict[str, Any]:
    """Read every record of a course, by assignment, student and notebook."""
    folder = course / ".autograder" / "records"
    paths = sorted(folder.glob("*/*/*/record.json"))
    if not paths:
        raise SystemExit(f"{folder} holds no records: grade the course first, for instance by `make demo`")
    return {str(path.parent.relative_to(folder)): json.loads(path.read_text(encoding="utf-8")) for path in paths}


def differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Say in what the records `after` differ from those `before`."""
    yield from (f"{name}: only before" for name in before.keys() - after.keys())
    yield from (f"{name}: only after" for name in after.keys() - before.keys())
    for name in sorted(before.keys() & after.keys()):
        old, new = before[name], after[name]
        yield from (f"{name}: {what}" for what in _changed(old, new, ("status", "score", "max")))
        if [*old["exercises"]] != [*new["exercises"]]:
            yield f"{name}: exercises {[*old['exercises']]}, now {[*new['exercises']]}"
            continue
        for exercise, result in old["exercises"].items():
            changed = _changed(result, new["exercises"][exercise], ASKED)
            yield from (f"{name}, {exercise}: {what}" for what in changed)


def _changed(old: dict[str, Any], new: dict[str, Any], asked: tuple[str, ...]) -> Iterator[str]:
    for key in asked:
        was, now = _comparable(key, old.get(key)), _comparable(key, new.get(key))
        if was != now:
            pairs = zip(was, now, strict=False) if isinstance(was, list) and isinstance(now, list) else ()
            was, now = next(((one, other) for one, other in pairs if one != other), (was, now))
            yield f"{key} was {was!r}, is {now!r}"


def _comparable(key: str, value: Any) -> Any:
    """What has to be the same of a value: codes, verdicts, and texts but for their numbers."""
    if key == "findings":
        return [(one["code"], _text(one["message"])) for one in value or ()]
    if key == "cases":
        verdicts = ("name", "part", "ok", "code")
        return [(_text(one["case"]), *(one[part] for part in verdicts), _text(one["message"])) for one in value or ()]
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    return NUMBER.sub("#", text)


if __name__ == "__main__":
    sys.exit(main())

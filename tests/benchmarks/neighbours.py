"""How much of a processor is left for a notebook beside one that takes all it can get.

    python tests/benchmarks/neighbours.py

On each processor one honest notebook and one greedy one: `processes` of the greedy ones are busy, in so many sessions
each.  Printed is the share of a processor that the honest ones have had.  Without the wall there is no warden to end
who makes more sessions than are allowed: what would be taken if nobody did.
"""

from __future__ import annotations

import os
import threading

from autograder.wall.box import Box, BoxDied, Limits
from autograder.wall.sandbox import Setup
from autograder.wall.server import start

SECONDS = 4.0
LIMITS = Limits(cell_seconds=30, notebook_seconds=60)
HONEST = f"""
started, end = time.process_time(), time.monotonic() + {SECONDS}
while time.monotonic() < end:
    pass
print((time.process_time() - started) / {SECONDS})
"""
GREEDY = """
import os, time
for session in range({sessions} - 1):  # the first session is the notebook's own
    if os.fork() == 0:
        os.setsid()
        break
for process in range({processes} // {sessions} - 1):
    if os.fork() == 0:
        break
end = time.monotonic() + {seconds}
while time.monotonic() < end:
    pass
if os.getpid() != parent:
    os._exit(0)
"""


def share(setup: Setup, processes: int, sessions: int) -> str:
    """Return the share of a processor that honest notebooks had, and what became of the greedy ones."""
    count = os.cpu_count() or 1
    found, ends = [], []

    def honest() -> None:
        with Box(LIMITS, setup) as box:
            ready.wait()
            (output,) = box.run_cell(0, HONEST)
            found.append(float(output["text"]))

    def greedy() -> None:
        try:
            with Box(LIMITS, setup) as box:
                box.run_cell(0, "import os; parent = os.getpid()")
                ready.wait()
                if processes:
                    code = GREEDY.format(processes=processes, sessions=sessions, seconds=SECONDS + 1)
                    box.run_cell(1, code)
        except BoxDied as died:
            ends.append(died.reason)

    start(setup)  # it ends with the thread that starts it
    ready = threading.Barrier(2 * count)
    threads = [threading.Thread(target=target) for target in [honest, greedy] * count]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = f" ({len(ends)} of {count} {ends[0]})" if ends else ""
    return f"{sum(found) / count:.2f}{told}"


def main() -> None:
    print("| greedy processes | in sessions | behind the wall | without it |\n|---|---|---|---|")
    for processes, sessions in [(0, 1), (1, 1), (100, 1), (100, 4), (100, 50)]:
        shares = [share(Setup(kind), processes, sessions) for kind in ("bwrap", "none")]
        print(f"| {processes} | {sessions} | {shares[0]} | {shares[1]} |", flush=True)


if __name__ == "__main__":
    main()

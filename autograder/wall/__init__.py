"""The wall between a grader and a student's code.

Out here: `sandbox` (what bubblewrap lets be seen), `server` (orders notebooks), `box` (drives one),
`guard` and `outputs` (what is kept of what comes out).  In there: `forkserver` (warm, forks),
`namespaces` (keeps forks apart), `inside` (runs the cells), `stubs` (in place of the gradient checker).
`messages` is the wire between them.
Nothing here is secret: a student may read all of it and gain nothing.
"""

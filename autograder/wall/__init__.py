"""The wall between a grader and a student's code.

The trusted side: `sandbox` (what bubblewrap shows), `server` (has notebooks forked), `box` (drives one),
`guard` and `outputs` (what is kept of what comes out), `fields`, `pages`, `rendering`, `markup` and `pictures` (what a
page shows of it), `apart` (a process for work on a student's bytes).  Behind the wall: `forkserver` (warm, forks),
`namespaces` (keeps forks apart), `inside` (runs the cells), `stubs` (in place of the gradient checker).
`messages` carries what passes between them.
Nothing here is secret: a student may read all of it and gain nothing.
"""

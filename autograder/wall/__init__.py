"""The wall between a grader and a student's code.

`messages` is the wire, `sandbox` the trusted side, `inside` what runs behind the wall,
`absent` what stands in there for the gradient checker.
Nothing here is secret: a student may read all of it and gain nothing.
"""

"""Known mistakes in the iterations of a training program: a `Stepwise` with an argument `num_iters`."""

from autograder.mistakes import misled
from autograder.spec import Mistake


def longer_run(training, code, message, more, *names):
    """Return the results `names` (all if there are none) of a run with `more` iterations than asked for."""
    return misled(code, message, training, lambda args: _longer(args, more), *names)


def other_losses(training, code, message, change, more=0):
    """Put ``change(losses)`` in place of the losses; they are those of a run with `more` iterations than asked for."""
    return Mistake(code, message, lambda right, args: {"losses": change(training(**_longer(args, more))["losses"])})


def _longer(args, more):
    return {**args, "num_iters": args["num_iters"] + more}

"""Known mistakes in the gates of `circuits`: in what they keep, in their output, in their gradients."""

from autograder.mistakes import Stepwise

# -- gates ----------------------------------------------------------------------------------


class Gate:
    """A gate that keeps its inputs; `output` and `gradients` are its local rules."""

    kept = ()

    def forward(self, *inputs):
        self.keep(inputs)
        return self.output(*inputs)

    def backward(self, *upstream):
        return self.gradients(*self.kept, *upstream)

    def keep(self, inputs):
        self.kept = inputs


def _gate(name, output, gradients):
    rules = {"output": staticmethod(output), "gradients": staticmethod(gradients)}
    return Stepwise(type(name, (Gate,), rules), runs=name)


def pick(x, y, dz):
    """Give all of dz to the larger input."""
    return (dz, 0.0) if x >= y else (0.0, dz)


ADD = _gate("AddGate", lambda x, y: x + y, lambda x, y, dz: (dz, dz))
MULTIPLY = _gate("MultiplyGate", lambda x, y: x * y, lambda x, y, dz: (y * dz, x * dz))
MAX = _gate("MaxGate", max, pick)
COPY = _gate("CopyGate", lambda x: (x, x), lambda x, da, db: da + db)


def memory(gate):
    """Return the mistakes in keeping the inputs."""
    return (
        gate.mistake(
            "kept-in-class",
            "What forward keeps is shared by all gates: store it in the object, as self.x, not in the class.",
            keep=lambda self, inputs: setattr(type(self), "kept", inputs),
        ),
        gate.mistake(
            "kept-too-long",
            "A second forward has to replace what the first one has kept.",
            keep=lambda self, inputs: setattr(self, "kept", self.kept or inputs),
        ),
    )


GATE_MISTAKES = {
    "AddGate": (
        ADD.mistake(
            "upstream-ignored",
            "Both are 1: that is the local gradient; multiply it by the upstream gradient dz.",
            gradients=lambda x, y, dz: (1.0, 1.0),
        ),
        ADD.mistake(
            "addition-shares",
            "An add gate does not share dz out: both inputs get all of it.",
            gradients=lambda x, y, dz: (dz / 2, dz / 2),
        ),
        ADD.mistake(
            "addition-scales",
            "An add gate hands dz on as it is, without x or y.",
            gradients=lambda x, y, dz: (x * dz, y * dz),
        ),
        ADD.mistake(
            "rule-of-multiply",
            "This is the rule of the multiply gate; an add gate hands dz to both.",
            gradients=lambda x, y, dz: (y * dz, x * dz),
        ),
        ADD.mistake(
            "one-input-only", "Only one input gets the gradient: dy is dz too.", gradients=lambda x, y, dz: (dz, 0.0)
        ),
        ADD.mistake("scale/double", "Each input gets dz once, not twice.", gradients=lambda x, y, dz: (2 * dz, 2 * dz)),
        ADD.mistake("sign", "The sign is flipped: both slopes are +1.", gradients=lambda x, y, dz: (-dz, -dz)),
        ADD.mistake(
            "rule-of-minus", "dy has the wrong sign: that is the rule for x − y.", gradients=lambda x, y, dz: (dz, -dz)
        ),
        ADD.mistake("gradient-zero", "Both gradients are zero.", gradients=lambda x, y, dz: (0.0, 0.0)),
        ADD.mistake("wrong-operation", "An add gate adds; here x and y are multiplied.", output=lambda x, y: x * y),
    ),
    "MultiplyGate": (
        *memory(MULTIPLY),
        MULTIPLY.mistake(
            "not-swapped",
            "A multiply gate swaps: dx is y · dz, and dy is x · dz.",
            gradients=lambda x, y, dz: (x * dz, y * dz),
        ),
        MULTIPLY.mistake(
            "upstream-ignored",
            "The local gradients alone, y and x: multiply them by the upstream gradient dz.",
            gradients=lambda x, y, dz: (y, x),
        ),
        MULTIPLY.mistake(
            "upstream-added",
            "The upstream gradient is multiplied, not added.",
            gradients=lambda x, y, dz: (y + dz, x + dz),
        ),
        MULTIPLY.mistake(
            "output-for-input",
            "dz is multiplied by the product; it is multiplied by the other input.",
            gradients=lambda x, y, dz: (x * y * dz, x * y * dz),
        ),
        MULTIPLY.mistake(
            "rule-of-add",
            "This is the rule of the add gate; a multiply gate swaps.",
            gradients=lambda x, y, dz: (dz, dz),
        ),
        MULTIPLY.mistake(
            "one-input-only", "Only one input gets a gradient: dy is x · dz.", gradients=lambda x, y, dz: (y * dz, 0.0)
        ),
        MULTIPLY.mistake("sign", "The sign is flipped.", gradients=lambda x, y, dz: (-y * dz, -x * dz)),
        MULTIPLY.mistake("gradient-zero", "Both gradients are zero.", gradients=lambda x, y, dz: (0.0, 0.0)),
        MULTIPLY.mistake(
            "wrong-operation", "A multiply gate multiplies; here x and y are added.", output=lambda x, y: x + y
        ),
    ),
    "MaxGate": (
        *memory(MAX),
        MAX.mistake(
            "tie-both",
            "With equal inputs both get all of dz; together they get it once.",
            gradients=lambda x, y, dz: (dz, dz) if x == y else pick(x, y, dz),
        ),
        MAX.mistake(
            "tie-none",
            "With equal inputs none gets the gradient; dz must go somewhere.",
            gradients=lambda x, y, dz: (0.0, 0.0) if x == y else pick(x, y, dz),
        ),
        MAX.mistake(
            "upstream-ignored",
            "1 and 0 are the local gradients: multiply them by the upstream gradient dz.",
            gradients=lambda x, y, dz: pick(x, y, 1.0),
        ),
        MAX.mistake(
            "smaller-picked",
            "The gradient goes to the smaller input; it goes to the larger one.",
            gradients=lambda x, y, dz: pick(-x, -y, dz),
        ),
        MAX.mistake(
            "rule-of-add", "Both inputs get dz; only the larger one does.", gradients=lambda x, y, dz: (dz, dz)
        ),
        MAX.mistake(
            "value-times-gradient",
            "The larger input gets dz as it is, not times its value.",
            gradients=lambda x, y, dz: pick(x, y, dz * max(x, y)),
        ),
        MAX.mistake(
            "value-for-gradient",
            "The gradient is dz, not the value of the larger input.",
            gradients=lambda x, y, dz: pick(x, y, max(x, y)),
        ),
        MAX.mistake(
            "always-first",
            "It is always x that gets the gradient; the larger input gets it.",
            gradients=lambda x, y, dz: (dz, 0.0),
        ),
        MAX.mistake(
            "sizes-compared",
            "The sizes |x| and |y| are compared: −3 is smaller than 2.",
            gradients=lambda x, y, dz: pick(abs(x), abs(y), dz),
        ),
        MAX.mistake("sign", "The sign is flipped.", gradients=lambda x, y, dz: pick(x, y, -dz)),
        MAX.mistake("gradient-zero", "Both gradients are zero.", gradients=lambda x, y, dz: (0.0, 0.0)),
        MAX.mistake("wrong-operation", "This is the minimum; a max gate gives the larger one.", output=min),
        MAX.mistake(
            "wrong-operation/relu",
            "This is max(0, x, y): two negative numbers have a maximum too.",
            output=lambda x, y: max(0, x, y),
        ),
    ),
    "CopyGate": (
        COPY.mistake(
            "path-missing",
            "Only the first copy is counted: x reaches the output on both ways, so add.",
            gradients=lambda x, da, db: da,
        ),
        COPY.mistake(
            "path-missing/second",
            "Only the second copy is counted (is one overwritten by `=`?): add both.",
            gradients=lambda x, da, db: db,
        ),
        COPY.mistake("averaged", "This is the mean; the two are added.", gradients=lambda x, da, db: (da + db) / 2),
        COPY.mistake("multiplied", "The two are multiplied; add them.", gradients=lambda x, da, db: da * db),
        COPY.mistake("not-collected", "One input, so one gradient: add the two.", gradients=lambda x, da, db: (da, db)),
        COPY.mistake(
            "value-times-gradient",
            "A copy has slope 1: x itself does not come in.",
            gradients=lambda x, da, db: x * (da + db),
        ),
        COPY.mistake(
            "upstream-ignored",
            "This is 1 + 1; the upstream gradients are what is added.",
            gradients=lambda x, da, db: 2.0,
        ),
        COPY.mistake("sign", "The sign is flipped.", gradients=lambda x, da, db: -(da + db)),
        COPY.mistake("rule-of-minus", "The two are subtracted; add them.", gradients=lambda x, da, db: da - db),
        COPY.mistake("larger-picked", "A copy gate does not pick: add both.", gradients=lambda x, da, db: max(da, db)),
        COPY.mistake("one-copy", "Return (x, x), both copies.", output=lambda x: x),
        COPY.mistake("shared-out", "Both copies are x, not half of it.", output=lambda x: (x / 2, x / 2)),
    ),
}

"""Known mistakes in gradient descent and in the backtracking line search."""

import numpy as np

from autograder.mistakes import Stepwise

# -- downhill ------------------------------------------------------------------------------------------


def descend(
    f,
    w0,
    lr,
    tol,
    max_iters,
    *,
    step=lambda w, g, lr: w - lr * g,
    measure=lambda g, lr, values: np.linalg.norm(g),
    further=0,
):
    """Gradient descent as the notebook has it: the last w, and the value before each step.

    It may take `further` steps more than `max_iters`.
    """
    w, values = w0, []
    for _ in range(max_iters + further):
        value, gradient = f(w)
        values.append(value)
        if measure(gradient, lr, values) < tol:
            break
        w = step(w, gradient, lr)
    return w, values


DESCEND = Stepwise(descend, "w", "history")


def of_descent(code, message, change):
    """Change the right results: ``change(w, history, *args)``."""
    return DESCEND.instead(code, message, lambda *args: change(*descend(*args), *args))


def last_change(g, lr, values):
    """By how much the value fell in the last step."""
    return abs(values[-2] - values[-1]) if len(values) > 1 else np.inf


OTHER_NORM = "The stopping rule needs the Euclidean norm of the gradient: the root of the sum of squares."

DESCENT = (
    DESCEND.mistake("sign", "The step goes uphill: subtract lr times the gradient.", step=lambda w, g, lr: w + lr * g),
    DESCEND.mistake("lr-ignored", "The step is the gradient itself: lr is not used.", step=lambda w, g, lr: w - g),
    DESCEND.mistake(
        "gradient-normalised",
        "The gradient is divided by its norm; the step is lr times the gradient as it is.",
        step=lambda w, g, lr: w - lr * g / np.linalg.norm(g),
    ),
    DESCEND.instead(
        "gradient-taken-once",
        "The gradient is computed once; take it anew at each w.",
        lambda f, w0, *rest: descend(lambda w: (f(w)[0], f(w0)[1]), w0, *rest),
    ),
    DESCEND.mistake("no-update", "w stays where it was.", step=lambda w, g, lr: w),
    DESCEND.mistake("step-alone", "This is the step alone: subtract it from w.", step=lambda w, g, lr: -lr * g),
    DESCEND.mistake(
        "tol-squared", "The squared norm is compared with tol; take its root.", measure=lambda g, lr, values: g @ g
    ),
    DESCEND.mistake("other-norm/max", OTHER_NORM, measure=lambda g, lr, values: np.max(np.abs(g))),
    DESCEND.mistake("other-norm/sum", OTHER_NORM, measure=lambda g, lr, values: np.sum(np.abs(g))),
    DESCEND.mistake("other-norm/min", OTHER_NORM, measure=lambda g, lr, values: np.min(np.abs(g))),
    DESCEND.mistake(
        "sum-for-norm",
        "The sum of the entries of the gradient is compared with tol: they cancel; take the norm.",
        measure=lambda g, lr, values: np.sum(g),
    ),
    DESCEND.mistake(
        "step-for-gradient",
        "The length of the step is compared with tol; compare the norm of the gradient.",
        measure=lambda g, lr, values: np.linalg.norm(lr * g),
    ),
    DESCEND.mistake(
        "value-for-gradient",
        "The value of f is compared with tol; compare the norm of the gradient.",
        measure=lambda g, lr, values: values[-1],
    ),
    DESCEND.mistake(
        "change-for-gradient",
        "The change of the value is compared with tol; compare the norm of the gradient.",
        measure=last_change,
    ),
    DESCEND.mistake("tol-ignored", "tol is not used: it goes on to max_iters.", measure=lambda g, lr, values: np.inf),
    DESCEND.instead(
        "tol-reversed",
        "It stops where the gradient is still large.",
        lambda f, w0, lr, tol, max_iters: descend(
            f, w0, lr, -tol, max_iters, measure=lambda g, lr, values: -np.linalg.norm(g)
        ),
    ),
    DESCEND.mistake("off-by-one/more", "There is a step too many: max_iters is the limit.", further=1),
    of_descent(
        "last-update-missing",
        "The returned w is the one from before the last step.",
        lambda w, values, *args: (descend(*args, further=-1)[0], values),
    ),
    DESCEND.mistake("off-by-one/fewer", "There is a step too few.", further=-1),
    of_descent(
        "history-reversed",
        "The history is in the wrong order: the first value comes first.",
        lambda w, values, *args: (w, values[::-1]),
    ),
    of_descent(
        "history-of-norms",
        "The history holds the norms of the gradients; append the values of f.",
        lambda w, values, f, w0, lr, tol, max_iters: (
            w,
            [float(np.linalg.norm(f(descend(f, w0, lr, tol, k)[0])[1])) for k in range(len(values))],
        ),
    ),
    of_descent(
        "history-is-last", "Only the last value comes back: return them all.", lambda w, values, *args: (w, values[-1])
    ),
    of_descent("swapped", "Return (w, history), in this order.", lambda w, values, *args: (values, w)),
)


def search(
    f,
    w,
    direction,
    alpha0=1.0,
    rho=0.5,
    c=1e-4,
    *,
    along=lambda g, d, after: g @ d,
    promised=lambda alpha, alpha0, slope: alpha * slope,
    tries=200,
):
    """The backtracking line search with at most `tries` tries; `along` and `promised` are steps of its condition."""
    value, gradient = f(w)
    alpha = alpha0
    for _ in range(tries):
        new, after = f(w + alpha * direction)
        if new <= value + c * promised(alpha, alpha0, along(gradient, direction, after)):
            break
        alpha *= rho
    return alpha


LINE_SEARCH = Stepwise(search, "alpha")


def other_search(code, message, formula):
    """Put ``formula(f, w, direction, alpha0, rho, c)`` in place of the step length."""

    def with_defaults(f, w, d, alpha0=1.0, rho=0.5, c=1e-4):
        return formula(f, w, d, alpha0, rho, c)

    return LINE_SEARCH.instead(code, message, with_defaults)


SEARCH = (
    other_search(
        "slope-missing",
        "It is enough for this search that f falls; the condition asks for f(w) + c α slope, with the c that is given.",
        lambda f, w, d, alpha0, rho, c: search(f, w, d, alpha0, rho, 0.0),
    ),
    other_search(
        "slope-sign",
        "The slope has the wrong sign: it is negative along a direction that goes down, and is added.",
        lambda f, w, d, alpha0, rho, c: search(f, w, d, alpha0, rho, -c),
    ),
    LINE_SEARCH.mistake(
        "norm-for-slope",
        "The slope along the direction is gradient · direction; −‖gradient‖² is right only for minus the gradient.",
        along=lambda g, d, after: -(g @ g),
    ),
    LINE_SEARCH.mistake(
        "norm-for-slope/direction",
        "The slope along the direction is gradient · direction, not the direction's own length.",
        along=lambda g, d, after: -(d @ d),
    ),
    LINE_SEARCH.mistake(
        "norm-for-slope/root",
        "The slope along the direction is gradient · direction, not the norm of the gradient.",
        along=lambda g, d, after: -np.linalg.norm(g),
    ),
    LINE_SEARCH.mistake(
        "slope-at-the-new-point",
        "The gradient is taken at the new point; the slope in the condition is the one at w.",
        along=lambda g, d, after: after @ d,
    ),
    LINE_SEARCH.mistake(
        "alpha-missing",
        "α is missing from the condition: f(w) + c α slope.",
        promised=lambda alpha, alpha0, slope: slope,
    ),
    LINE_SEARCH.mistake(
        "alpha-stale",
        "The condition keeps the first α: it changes with every try.",
        promised=lambda alpha, alpha0, slope: alpha0 * slope,
    ),
    other_search(
        "rho-ignored",
        "α is always halved here: multiply it by rho.",
        lambda f, w, d, alpha0, rho, c: search(f, w, d, alpha0, 0.5, c),
    ),
    other_search(
        "rho-ignored/complement",
        "α is multiplied by 1 − rho; multiply it by rho.",
        lambda f, w, d, alpha0, rho, c: search(f, w, d, alpha0, 1 - rho, c),
    ),
    other_search(
        "alpha0-ignored",
        "The first try is always 1 here: begin with alpha0.",
        lambda f, w, d, alpha0, rho, c: search(f, w, d, 1.0, rho, c),
    ),
    other_search("no-search", "This is alpha0 itself: it is never shortened.", lambda f, w, d, alpha0, rho, c: alpha0),
    LINE_SEARCH.mistake("if-for-while", "α is shortened once at most: repeat until the condition holds.", tries=1),
    other_search(
        "shortened-once-more",
        "α is shortened once more after it was good enough.",
        lambda f, w, d, alpha0, rho, c: rho * search(f, w, d, alpha0, rho, c),
    ),
    other_search(
        "direction-ignored",
        "The search goes along minus the gradient; go along `direction`.",
        lambda f, w, d, *rest: search(f, w, -f(w)[1], *rest),
    ),
    other_search(
        "sign",
        "It goes against the direction: w + α direction.",
        lambda f, w, d, alpha0, rho, c: search(f, w, -d, alpha0, rho, -c),
    ),
    other_search(
        "point-for-length",
        "This is the new w; return the step length α.",
        lambda f, w, d, *rest: w + search(f, w, d, *rest) * d,
    ),
    other_search(
        "point-for-length/step",
        "This is the step α · direction; return its length α.",
        lambda f, w, d, *rest: search(f, w, d, *rest) * d,
    ),
    other_search(
        "value-for-length",
        "This is the value of f at the new point; return the step length α.",
        lambda f, w, d, *rest: f(w + search(f, w, d, *rest) * d)[0],
    ),
)

"""The grader is right about students: `differentiable_programming`, exercise by exercise."""

from __future__ import annotations

import itertools
import textwrap
from typing import Any

import pytest
from assessed import Assessed

from autograder.wall.box import Box, Limits
from autograder.wall.sandbox import Setup
from coursekit.checks.cases import Expected

ASSESSED = Assessed("differentiable_programming")
STUDENTS = [f"student-{i}" for i in range(3)]

# -- who is right ------------------------------------------------------------------------------

WRITTEN: dict[str, dict[str, str]] = {
    "hvp": {
        "a gradient of a gradient": """
            from coursekit.autograd import grad
            def hvp(f, x, v):
                return grad(lambda x: np.sum(grad(f)(x) * v))(x)
        """,
        "through two backward passes of vjp": """
            from coursekit.autograd import vjp
            def hvp(f, x, v):
                def gradient(x):
                    return vjp(f, x)[1](1.0)[0]
                return vjp(gradient, x)[1](v)[0]
        """,
        "flat, with a dot product": """
            from coursekit.autograd import value_and_grad
            def hvp(f, x, v):
                def slope(flat):
                    value, g = value_and_grad(f)(flat.reshape(np.shape(v)))
                    return np.dot(g.reshape(-1), v.ravel())
                result = value_and_grad(slope)(x.ravel())[1]
                return result.reshape(x.shape)
        """,
    },
    "gradient_penalty": {
        "with hvp": """
            from coursekit.autograd import grad
            def hvp(f, x, v):
                return grad(lambda x: np.sum(grad(f)(x) * v))(x)
            def gradient_penalty(f, w):
                g = grad(f)(w)
                return float(np.sum(g ** 2)), 2.0 * hvp(f, w, g)
        """,
        "differentiated directly": """
            from coursekit.autograd import grad, value_and_grad
            def gradient_penalty(f, w):
                def R(w):
                    g = grad(f)(w)
                    return np.sum(g * g)
                return list(value_and_grad(R)(w))
        """,
        "the norm, squared, as a 0-d array": """
            import numpy
            from coursekit.autograd import grad
            def gradient_penalty(f, w):
                def norm(w):
                    return np.sqrt(np.sum(grad(f)(w) ** 2))
                return numpy.array(norm(w) ** 2), 2 * norm(w) * grad(norm)(w)
        """,
    },
    "momentum_step": {
        "in two lines": """
            def momentum_step(theta, m, grad, lr, mu):
                m = mu * m - lr * grad
                return theta + m, m
        """,
        "on copies": """
            def momentum_step(theta, m, grad, lr, mu):
                velocity, place = m.copy(), theta.copy()
                velocity *= mu
                velocity -= lr * grad
                place += velocity
                return [place, velocity]
        """,
        "entry by entry": """
            def momentum_step(theta, m, grad, lr, mu):
                new_theta, new_m = np.zeros(theta.shape), np.zeros(m.shape)
                for k in np.ndindex(*theta.shape):
                    new_m[k] = mu * m[k] - lr * grad[k]
                    new_theta[k] = theta[k] + new_m[k]
                return new_theta, new_m
        """,
        "the velocity that points uphill, turned at the end": """
            def momentum_step(theta, m, grad, lr, mu):
                uphill = np.add(lr * grad, np.negative(mu * m))
                return np.subtract(theta, uphill).tolist(), (-uphill).tolist()
        """,
    },
    "adversarial_signal": {
        "if it is too long": """
            from coursekit.autograd import grad, log_softmax
            def adversarial_signal(model, x, target, eps, lr, num_iters):
                r = np.zeros(x.shape)
                for _ in range(num_iters):
                    r = r + lr * grad(lambda r: log_softmax(model(x + r))[target])(r)
                    if np.linalg.norm(r) > eps:
                        r = r / np.linalg.norm(r) * eps
                return r
        """,
        "descent on the cross-entropy, by the input": """
            from coursekit.autograd import value_and_grad
            def adversarial_signal(model, x, target, eps, lr, num_iters):
                def loss(z):
                    scores = model(z)
                    shifted = scores - np.max(scores)
                    return np.log(np.sum(np.exp(shifted))) - shifted[target]
                z = x.copy()
                for _ in range(num_iters):
                    z = z - lr * value_and_grad(loss)(z)[1]
                    z = x + (z - x) * min(1, eps / (np.sqrt(np.sum((z - x) ** 2)) + 1e-12))
                return z - x
        """,
        "always of length eps": """
            from coursekit.autograd import grad, softmax
            def adversarial_signal(model, x, target, eps, lr, num_iters):
                slope = grad(lambda r: np.log(softmax(model(x + r))[target]))
                r = 0 * x
                for _ in range(num_iters):
                    r = r + lr * slope(r)
                    r *= eps / np.linalg.norm(r)
                return r
        """,
        "from a random start": """
            from coursekit.autograd import grad, log_softmax
            def adversarial_signal(model, x, target, eps, lr, num_iters):
                r = 1e-3 * np.random.default_rng().standard_normal(x.size)
                for _ in range(num_iters):
                    r = r + lr * grad(lambda r: log_softmax(model(x + r))[target])(r)
                    r = r / max(1, np.linalg.norm(r) / eps)
                return r.tolist()
        """,
    },
    "visualise_unit": {
        "the gradient of all": """
            from coursekit.autograd import grad
            def visualise_unit(model, layer, unit, x0, lr, num_iters, reg):
                x = x0.copy()
                for _ in range(num_iters):
                    x += lr * grad(lambda x: model[:layer + 1](x)[unit] - reg * np.sum(x ** 2))(x)
                return x
        """,
        "the regulariser by hand": """
            from coursekit.autograd import grad
            def visualise_unit(model, layer, unit, x0, lr, num_iters, reg):
                head = model[:layer + 1]
                activation = grad(lambda x: head(x)[unit])
                x = x0
                for _ in range(num_iters):
                    x = x + lr * (activation(x) - 2 * reg * x)
                return x
        """,
        "layer by layer, downhill on its opposite": """
            from coursekit.autograd import value_and_grad
            def visualise_unit(model, layer, unit, x0, lr, num_iters, reg):
                def cost(x):
                    h = x
                    for k in range(layer + 1):
                        h = model[k](h)
                    return reg * np.dot(x, x) - h[unit]
                image = np.array(x0, dtype=float)
                while num_iters:
                    image = image - lr * value_and_grad(cost)(image)[1]
                    num_iters -= 1
                return image.tolist()
        """,
    },
    "match_embedding": {
        "the cosine": """
            from coursekit.autograd import grad
            def match_embedding(encoder, target, x0, lr, num_iters):
                def cosine(x):
                    e = encoder(x)
                    return np.sum(e * target) / (np.sqrt(np.sum(e ** 2)) * np.linalg.norm(target))
                x = x0
                for _ in range(num_iters):
                    x = x + lr * grad(cosine)(x)
                return x
        """,
        "the squared distance of unit vectors": """
            from coursekit.autograd import grad
            def match_embedding(encoder, target, x0, lr, num_iters):
                def unit(e):
                    return e / np.sqrt(np.sum(e ** 2))
                x, goal = x0.copy(), unit(target)
                for _ in range(num_iters):
                    x -= lr * grad(lambda x: np.sum((unit(encoder(x)) - goal) ** 2))(x)
                return x
        """,
        "the distance of unit vectors": """
            from coursekit.autograd import grad
            def match_embedding(encoder, target, x0, lr, num_iters):
                goal = target / np.sqrt(np.dot(target, target))
                def near(x):
                    e = encoder(x)
                    return -np.sqrt(np.sum((e / np.sqrt(np.dot(e, e)) - goal) ** 2))
                for _ in range(num_iters):
                    x0 = x0 + lr * grad(near)(x0)
                return x0.tolist()
        """,
    },
}

# -- who is wrong ------------------------------------------------------------------------------

Wrong = dict[str, tuple[str, str]]


def changed(source: str, **changes: tuple[str, str, str]) -> Wrong:
    """By title: the source with one text replaced by another, and the code of what is wrong then."""
    found: Wrong = {}
    for title, (old, new, code) in changes.items():
        assert old in source, f"{title}: there is no {old!r} to change"
        found[title.replace("_", " ")] = (source.replace(old, new), code)
    return found


def first(name: str, title: str | None = None) -> str:
    ways = WRITTEN[name]
    return textwrap.dedent(ways[title] if title else next(iter(ways.values())))


WRONG: dict[str, Wrong] = {
    "hvp": changed(
        first("hvp"),
        gradient_only=("grad(lambda x: np.sum(grad(f)(x) * v))(x)", "grad(f)(x)", "gradient-only"),
        not_again=("grad(lambda x: np.sum(grad(f)(x) * v))(x)", "grad(f)(x) * v", "not-differentiated-again"),
        v_ignored=("grad(f)(x) * v)", "grad(f)(x))", "v-ignored"),
        v_after=("grad(f)(x) * v))(x)", "grad(f)(x)))(x) * v", "v-after"),
        exchanged=("* v))(x)", "* x))(v)", ""),
        twice=("grad(f)(x) * v", "grad(f)(x) ** 2 * v", "product-of-gradients"),
        unit=("* v)", "* v / np.linalg.norm(v))", "v-normalised"),
        a_whole_v_further=(
            "grad(lambda x: np.sum(grad(f)(x) * v))(x)",
            "grad(f)(x + v) - grad(f)(x)",
            "step-too-large",
        ),
        no_return=("return", "", "returned-none"),
    ),
    "gradient_penalty": {
        **changed(
            first("gradient_penalty"),
            no_two=("2.0 * ", "", "scale"),
            no_hessian=("hvp(f, w, g)", "g", "hessian-missing"),
            gradient_only=("2.0 * hvp(f, w, g)", "g", "gradient-only"),
            exchanged=(
                "float(np.sum(g ** 2)), 2.0 * hvp(f, w, g)",
                "2.0 * hvp(f, w, g), np.sum(g ** 2)",
                "wrong-shape",
            ),
            value=("float(np.sum(g ** 2))", "f(w)", "value-for-R"),
            only_R=(", 2.0 * hvp(f, w, g)", "", "wrong-number-of-values"),
        ),
        **changed(
            first("gradient_penalty", "differentiated directly"),
            norm=("np.sum(g * g)", "np.sqrt(np.sum(g * g))", "norm-not-squared"),
            half=("np.sum(g * g)", "np.sum(g * g) / 2", "half-added"),
            mean=("np.sum(g * g)", "np.mean(g * g)", "mean-for-sum"),
            no_square=("np.sum(g * g)", "np.sum(g)", "square-missing"),
            distance_to_one=("np.sum(g * g)", "(np.sqrt(np.sum(g * g)) - 1) ** 2", "distance-to-one"),
        ),
    },
    "momentum_step": changed(
        first("momentum_step"),
        uphill=("- lr * grad", "+ lr * grad", "sign"),
        turned_round=("mu * m -", "-mu * m -", "sign"),
        subtracted=("theta + m, m", "theta - m, m", "sign"),
        old_velocity=(
            "m = mu * m - lr * grad\n    return theta + m, m",
            "return theta + m, mu * m - lr * grad",
            "old-velocity",
        ),
        none=("mu * m - lr", "-lr", "no-momentum"),
        all_kept=("mu * m", "m", "mu-ignored"),
        always_09=("mu * m", "0.9 * m", "mu-fixed"),
        no_rate=("lr * grad", "grad", "lr-ignored"),
        averaged=("lr * grad", "lr * (1 - mu) * grad", "averaged"),
        rate_at_the_end=(
            "m = mu * m - lr * grad\n    return theta + m, m",
            "m = mu * m + grad\n    return theta - lr * m, m",
            "lr-at-the-end",
        ),
        nesterov=("theta + m, m", "theta + mu * m - lr * grad, m", "nesterov"),
        exchanged=("theta + m, m", "m, theta + m", "swapped"),
        only_theta=("theta + m, m", "theta + m", "wrong-number-of-values"),
    ),
    "adversarial_signal": changed(
        first("adversarial_signal"),
        no_bound=("> eps", "> np.inf", "bound-ignored"),
        each_pixel=(
            "if np.linalg.norm(r) > eps:\n            r = r / np.linalg.norm(r) * eps",
            "r = np.clip(r, -eps, eps)",
            "bound-per-pixel",
        ),
        climbs_p=("log_softmax(model(x + r))", "np.exp(log_softmax(model(x + r)))", "climbs-p"),
        downhill=("r + lr", "r - lr", "sign"),
        away=(
            "+ lr * grad(lambda r: log_softmax(model(x + r))[target])",
            "- lr * grad(lambda r: log_softmax(model(x + r))[int(np.argmax(model(x)))])",
            "untargeted",
        ),
        always_at_x=("[target])(r)", "[target])(0 * r)", "gradient-at-x"),
        x_too=("return r", "return x + r", "input-included"),
        one_step=("range(num_iters)", "range(1)", "one-step"),
        nothing=("range(num_iters)", "range(0)", "no-update"),
        pulled_before_the_step=(
            "        r = r + lr * grad(lambda r: log_softmax(model(x + r))[target])(r)\n"
            "        if np.linalg.norm(r) > eps:\n            r = r / np.linalg.norm(r) * eps\n",
            "        if np.linalg.norm(r) > eps:\n            r = r / np.linalg.norm(r) * eps\n"
            "        r = r + lr * grad(lambda r: log_softmax(model(x + r))[target])(r)\n",
            "bound-ignored",
        ),
    ),
    "visualise_unit": changed(
        first("visualise_unit"),
        downhill=("x += lr", "x -= lr", "sign"),
        outwards=("- reg", "+ reg", "sign"),
        no_regulariser=(" - reg * np.sum(x ** 2)", "", "regularizer-missing"),
        half_of_it=("reg * np.sum", "0.5 * reg * np.sum", "regularizer-scale"),
        norm=("np.sum(x ** 2)", "np.sqrt(np.sum(x ** 2) + 1e-300)", ""),
        all_units=("model[:layer + 1](x)[unit]", "np.sum(model[:layer + 1](x))", "all-units"),
        from_one=("[unit]", "[unit - 1]", "wrong-unit"),
        whole_network=("model[:layer + 1](x)", "model(x)", "whole-network"),
        one_step=("range(num_iters)", "range(1)", "one-step"),
        a_number=("return x", "return float(model[:layer + 1](x)[unit])", "wrong-shape"),
    ),
    "match_embedding": changed(
        first("match_embedding"),
        downhill=("x + lr", "x - lr", "sign"),
        dot_product=(" / (np.sqrt(np.sum(e ** 2)) * np.linalg.norm(target))", "", "not-normalised"),
        length_of_embedding=(
            "(np.sqrt(np.sum(e ** 2)) * np.linalg.norm(target))",
            "np.linalg.norm(target)",
            "not-normalised",
        ),
        length_of_target=(" * np.linalg.norm(target))", ")", "not-normalised"),
        length_squared=("np.sqrt(np.sum(e ** 2))", "np.sum(e ** 2)", "length-squared"),
        length_is_constant=("np.sum(e ** 2)", "np.sum(encoder(x0) ** 2)", ""),
        distance=(
            "np.sum(e * target) / (np.sqrt(np.sum(e ** 2)) * np.linalg.norm(target))",
            "-np.sum((e - target) ** 2)",
            "distance-for-direction",
        ),
        one_step=("range(num_iters)", "range(1)", "one-step"),
        unmoved=("range(num_iters)", "range(0)", "no-update"),
        embedding=("return x", "return encoder(x)", "embedding-for-input"),
    ),
}


@pytest.mark.parametrize(("name", "title"), [(name, title) for name in WRITTEN for title in WRITTEN[name]])
def test_whoever_is_right_gets_every_point_however_it_is_written(name: str, title: str) -> None:
    for student in STUDENTS:
        report = ASSESSED.graded(name, textwrap.dedent(WRITTEN[name][title]), student)
        assert report.passed, f"{student}\n{report.text()}"
        assert report.score == report.points
        assert not report.findings


def test_every_exercise_is_written_in_at_least_three_ways() -> None:
    assert set(WRITTEN) == set(WRONG) == set(ASSESSED.assignment.described)
    assert min(len(ways) for ways in WRITTEN.values()) >= 3


@pytest.mark.parametrize("name", WRONG)
def test_whoever_is_wrong_loses_points_and_is_told_why(name: str) -> None:
    misnamed = []
    for (title, (source, code)), student in itertools.product(WRONG[name].items(), STUDENTS):
        report = ASSESSED.graded(name, source, student)
        assert report.score < report.points, f"{title}, {student}: this earned every point"
        found = [finding.code for finding in report.findings]
        if found[:1] != [code] and (code or found):
            misnamed.append(f"{title}, {student}: {found}, not {code!r}")
    assert len(misnamed) <= 0.1 * len(WRONG[name]) * len(STUDENTS), misnamed


@pytest.mark.parametrize("name", ["adversarial_signal", "visualise_unit", "match_embedding"])
def test_a_third_of_the_way_is_not_enough(name: str) -> None:
    def on_the_way(item: Expected) -> Any:
        start = item.options["start"]
        return start + (item.value - start) / 3

    for student in STUDENTS:
        report = ASSESSED.answers(name, student, on_the_way)
        assert report.score < report.points, student


@pytest.mark.needs("bwrap")
@pytest.mark.parametrize("module", ["coursekit.autograd", "coursekit.autograd.transforms"])
def test_the_engine_s_own_hvp_cannot_be_handed_in_and_hessian_can_be_compared_with(module: str) -> None:
    with Box(Limits(), Setup(withheld=tuple(ASSESSED.assignment.withheld))) as box:
        (error,) = box.run_cell(0, f"from {module} import hvp\nhvp(lambda x: x[0] ** 2, [1.0], [1.0])")
        assert error["evalue"] == (
            "coursekit.autograd.hvp is what you are asked to write here, so it is not there while that is graded"
        )
        code = "import numpy as np\nfrom coursekit.autograd import hessian\n"
        code += "print(hessian(lambda x: x[0] ** 2)(np.ones(1)))"
        assert box.run_cell(1, code)[0]["text"] == "[[2.]]\n"

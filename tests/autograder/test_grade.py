"""A submission earns points for what its functions do, whatever else its cells try."""

import json

import nbformat
import pytest
from nbgrader.utils import determine_grade

from autograder import grade as grading
from autograder.bundle import Bundle
from autograder.errors import Refused
from autograder.grade import MAX_RESTARTS, Submission, grade, refuse
from autograder.wall import box
from autograder.wall.box import Limits
from autograder.wall.sandbox import Setup

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]

SECRET = b"a secret of the course"
LIMITS = Limits(cell_seconds=2, call_seconds=2, notebook_seconds=30)

CHECKS = """
import numpy as np
from autograder.spec import Assignment, Case, Expected, Mistake, call, case
from coursekit.checks.probes import Probe

assignment = Assignment("tiny")

@assignment.exercise(
    "double",
    parts={"numbers": 2, "arrays": 3},
    mistakes=[Mistake("square", "It is squared.", lambda right, args: {"y": args["x"] ** 2})],
)
def double_cases(rng):
    for title in ("one number", "another number"):
        x = float(rng.normal())
        yield case(title, "double", {"x": x}, {"y": 2 * x}, parts="numbers")
    A = rng.normal(size=(2, 3))
    yield case("a matrix", "double", {"x": A}, {"y": 2 * A}, parts="arrays")

@assignment.exercise("total", parts={"value": 4})
def total_cases(rng):
    A = rng.normal(size=(4,))
    yield case("four numbers", "total", {"x": A}, {"sum": float(A.sum())}, parts="value")

@assignment.exercise("slope", parts={"value": 1})
def slope_cases(rng):
    a = rng.normal(size=(3,))
    f, x = Probe("wave", {"a": a}), rng.normal(size=(3,))
    yield case("f at x", "slope", {"f": f, "x": x}, {"value": float(np.sin(np.sum(a * x)))}, parts="value")
"""

RIGHT = {
    "double": "def double(x):\n    return 2 * x",
    "total": "def total(x):\n    return float(sum(x))",
    "slope": "def slope(f, x):\n    return f(x)",
}
POINTS = {"double": 5, "total": 4, "slope": 1}
FULL = {"double": 5.0, "total": 4.0, "slope": 1.0}
NOTHING = dict.fromkeys(POINTS, 0.0)


def cell(code, grade_id, **settings):
    metadata = {
        "grade_id": grade_id,
        "grade": False,
        "solution": True,
        "locked": False,
        "schema_version": 3,
        **settings,
    }
    metadata |= {"task": False}
    return nbformat.v4.new_code_cell(code, id=grade_id.replace("_", "-"), metadata={"nbgrader": metadata})


def notebook(first="", **solutions):
    """Make a notebook with a first cell, and for each exercise a solution cell and its check cell."""
    cells = [nbformat.v4.new_markdown_cell("# Tiny", id="title"), nbformat.v4.new_code_cell(first, id="first")]
    for name, right in RIGHT.items():
        cells.append(cell(solutions.get(name, right), name))
        check = f'check("{name}", {name})'
        cells.append(cell(check, f"check_{name}", grade=True, solution=False, locked=True, points=POINTS[name]))
    nb = nbformat.v4.new_notebook(cells=cells)
    nb.cells[1].source = "import numpy as np\nfrom coursekit import check\n" + first
    return nb


def bundle(checks):
    return Bundle("tiny", {"checks.py": checks}) if checks is not None else None


def graded(nb, limits=LIMITS, setup=None, checks=CHECKS, files=None):
    """Grade a submission; in any case the result is a valid notebook and a record whose scores add up."""
    result = grade(
        Submission("ada", "tiny", "tiny", json.dumps(nb), files or {}), bundle(checks), SECRET, limits, setup
    )
    return sound(result)


def sound(result):
    executed = nbformat.reads(result.content, as_version=4)
    nbformat.validate(executed)
    result.content.encode()
    record = json.loads(json.dumps(result.record, allow_nan=False))
    checked = [item for item in record["exercises"].values() if item["score"] is not None]
    assert record["score"] == sum(item["score"] for item in checked)
    assert record["max"] == sum(item["max"] for item in checked)
    for one in executed.cells:
        name = one.metadata.get("nbgrader", {}).get("grade_id", "").removeprefix("check_")
        if one.metadata.get("nbgrader", {}).get("grade") and name in record["exercises"]:
            kinds = [output.output_type for output in one.outputs]
            failed = record["exercises"][name]["status"] != "passed"
            assert kinds[-3 + (not failed) :] == ["display_data", "execute_result", *["error"] * failed]
            assert kinds[: -2 - failed] in ([], ["stream"])
            assert all(output.get("name") != "stderr" for output in one.outputs)
            # nbgrader reads the same score from the outputs.
            assert determine_grade(one) == (record["exercises"][name]["score"], POINTS[name])
    return result


def scores(result):
    return {name: item["score"] for name, item in result.record["exercises"].items()}


def codes(result, name):
    return [finding["code"] for finding in result.record["exercises"][name]["findings"]]


def message(result, name):
    return result.record["exercises"][name]["findings"][0]["message"]


def outputs(result, grade_id):
    cells = nbformat.reads(result.content, as_version=4).cells
    return next(c.outputs for c in cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


@pytest.fixture
def impatient(monkeypatch):
    """End a process soon that does not stop when its time is over."""
    monkeypatch.setattr(box, "GRACE", 0.5)


# -- what is earned -------------------------------------------------------------------------


def test_what_is_right_earns_all_its_points():
    result = graded(notebook())
    assert scores(result) == FULL
    assert result.record["status"] == "graded"
    assert (result.record["score"], result.record["max"]) == (10, 10)
    assert result.record["lost_cells"] == {}
    shown, value = outputs(result, "check_double")
    assert set(shown.data) == {"text/plain", "text/html"}
    assert value.data == {"text/plain": "5.0"}


def test_what_is_half_right_earns_its_part_and_a_known_mistake_is_named():
    result = graded(notebook(double="def double(x):\n    return 2 * x if isinstance(x, float) else x ** 2"))
    assert scores(result) == FULL | {"double": 2.0}
    (case,) = [case for case in result.record["exercises"]["double"]["cases"] if not case["ok"]]
    assert case["case"] == "a matrix"
    assert outputs(result, "check_double")[-1].ename == "CheckFailed"
    assert codes(graded(notebook(double="def double(x):\n    return x ** 2")), "double") == ["square"]


def test_nearly_right_is_wrong():
    assert scores(graded(notebook(double="def double(x):\n    return 2.001 * x")))["double"] == 0


def test_what_is_not_written_earns_nothing_and_is_no_fault():
    result = graded(notebook(double="def double(x):\n    raise NotImplementedError()"))
    assert scores(result) == FULL | {"double": 0.0}
    assert result.record["exercises"]["double"]["status"] == "not written"


def test_prints_warnings_and_stderr_cost_nothing():
    noisy = "import sys, warnings\ndef double(x):\n    print('hello')\n    print('9.0', file=sys.stderr)\n"
    noisy += "    np.log(np.zeros(2))\n    warnings.warn('careful')\n    return 2 * x"
    result = graded(notebook(double=noisy))
    assert scores(result) == FULL
    stream = outputs(result, "check_double")[0]
    assert (stream.name, "hello" in stream.text) == ("stdout", True)
    assert any("careful" in note for note in result.record["exercises"]["double"]["notes"])


def test_very_much_printed_text_is_cut_and_costs_nothing():
    result = graded(notebook(double="def double(x):\n    print('x' * 3_000_000)\n    return 2 * x"))
    assert scores(result) == FULL
    assert len(outputs(result, "check_double")[0].text) <= 10_000


def test_files_of_the_submission_are_beside_the_notebook():
    result = graded(
        notebook("factor = float(open('factor.txt').read())", double="def double(x):\n    return factor * x"),
        files={"factor.txt": b"2.0"},
    )
    assert scores(result) == FULL


def test_grading_again_gives_the_same_but_for_the_time_it_took():
    nb = notebook("print({'a', 'b', 'c'})", double="def double(x):\n    return x", total="def total(x): 1 / 0")

    def without_seconds(value):
        if isinstance(value, dict):
            return {key: without_seconds(item) for key, item in value.items() if key != "seconds"}
        return [without_seconds(item) for item in value] if isinstance(value, list) else value

    one, two = graded(nb), graded(nb)
    assert without_seconds(one.record) == without_seconds(two.record)
    assert one.cases == two.cases
    assert one.content == two.content


def test_every_student_has_arguments_of_their_own():
    content = json.dumps(notebook())
    ada, ben = (
        grade(Submission(name, "tiny", "tiny", content), bundle(CHECKS), SECRET, LIMITS) for name in ("ada", "ben")
    )
    assert ada.cases != ben.cases
    assert scores(ada) == scores(ben) == FULL


def test_without_a_wall_trusted_samples_get_the_same():
    nb = notebook(double="def double(x):\n    return x ** 2", slope="def slope(f, x):\n    return f(x) + f(2 * x)")
    behind, before = graded(nb), graded(nb, setup=Setup(kind="none"))
    assert scores(behind) == scores(before) == FULL | {"double": 0.0, "slope": 0.0}
    assert codes(behind, "double") == codes(before, "double") == ["square"]


def test_a_notebook_without_checks_is_run():
    result = graded(notebook("1 + 1"), checks=None)
    cells = nbformat.reads(result.content, as_version=4).cells
    assert cells[1].outputs[0].data == {"text/plain": "2"}
    # Without checks.py, a check cell is a test cell as any other, in which the check counts nothing.
    assert (result.record["score"], result.record["max"]) == (0, 10)


def test_a_submission_that_is_refused_scores_zero_with_the_reason():
    nb = notebook()
    result = sound(
        refuse(Submission("ada", "tiny", "tiny", json.dumps(nb)), bundle(CHECKS), SECRET, "it came as a photograph")
    )
    assert scores(result) == NOTHING
    assert result.record["status"] == "refused: it came as a photograph"
    assert "photograph" in message(result, "double")


# -- an exercise that calls an earlier, wrong one ------------------------------------------------

CHAIN = """
from autograder.spec import Assignment, Mistake, case
import numpy as np

assignment = Assignment("tiny")

def double(x):
    return 2 * x

class Box:
    def __init__(self, x):
        self.x = x

@assignment.exercise("double", parts={"value": 5}, reference={"double": double, "Box": Box})
def double_cases(rng):
    x = rng.normal(size=3)
    yield case("3 numbers", "double", {"x": x}, {"result": 2 * x}, parts="value")

@assignment.exercise("slope", parts={"value": 1}, uses=["double"])
def slope_cases(rng):
    x = rng.normal(size=3)
    yield case("3 numbers", "slope", {"x": x}, {"result": 4 * x + 1}, parts="value")
"""
RIGHT_LATER = "def slope(x):\n    return double(x=double(x)) + Box(1).x"
BOX = "\n\nclass Box:\n    def __init__(self, x):\n        self.x = x"


def chained(first, second, **settings):
    return graded(notebook(double=first, slope=second), checks=CHAIN, **settings)


@pytest.mark.parametrize(
    "first", ["def double(x):\n    return x" + BOX, "def double(x):\n    raise KeyError(x)", "this is no code"]
)
def test_an_earlier_mistake_is_not_punished_twice(first):
    result = chained(first, RIGHT_LATER)
    assert (scores(result)["double"], scores(result)["slope"]) == (0, 1)
    assert "checked with a right `double`" in result.record["exercises"]["slope"]["notes"][0]


def test_a_later_mistake_is_not_excused_by_an_earlier_one():
    result = chained("def double(x):\n    return x" + BOX, "def slope(x):\n    return double(x) + 1")
    assert (scores(result)["double"], scores(result)["slope"]) == (0, 0)
    assert "mend that first" in result.record["exercises"]["slope"]["notes"][0]


def test_no_reference_is_ever_in_the_process_whose_outputs_are_kept():
    peek = "def slope(x):\n    kept.append(double)\n    return double(double(x)) + 1\nkept = []"
    nb = notebook(double="def double(x):\n    return x", slope=peek)
    nb["cells"].append(cell("print(double(1.0), {type(one).__name__ for one in kept})", "after"))
    result = graded(nb, checks=CHAIN)
    assert (scores(result)["double"], scores(result)["slope"]) == (0, 1)
    assert outputs(result, "after")[0]["text"] == "1.0 {'function'}\n"


# True in the process in which the right functions answer, and only there.
SECOND = "import os\ndef double(x):\n    raise KeyError(x)\ndef slope(x):\n    y = double(x)\n"


@pytest.mark.parametrize(
    "says",
    [
        "print('STO' + 'LEN')",
        "display('STO' + 'LEN')",
        "raise ValueError('STO' + 'LEN')",
        "import warnings; warnings.warn('STO' + 'LEN')",
        "return type('STO' + 'LEN', (), {})()",
        "return {'STO' + 'LEN': y}",
        "return ['STO' + 'LEN']",
        "raise type('STO' + 'LEN', (Exception,), {})",
        "get_ipython().user_ns['In'] = 1; open('STO' + 'LEN', 'w')",
    ],
)
def test_nothing_that_is_said_beside_right_functions_is_seen(says):
    result = graded(notebook(double="", slope=SECOND + f"    {says}"), checks=CHAIN)
    assert scores(result)["slope"] == 0
    assert "STOLEN" not in result.content
    assert "STOLEN" not in json.dumps(result.record)


@pytest.mark.parametrize("end", ["os._exit(1)", "get_ipython().kill = exit()", "os.kill(os.getpid(), 9)"])
def test_a_process_that_ends_beside_right_functions_changes_nothing(end):
    result = graded(notebook(double="", slope=SECOND + f"    {end}"), checks=CHAIN)
    assert result.record["exercises"]["slope"]["status"] == "error"
    assert result.record["lost_cells"] == {}
    assert "mend that first" in result.record["exercises"]["slope"]["notes"][0]


def test_no_order_of_cells_makes_an_exercise_wrong_before_it_is_checked():
    nb = notebook(double="def double(x):\n    return 2 * x" + BOX, slope=RIGHT_LATER)
    for one in nb.cells[2:4]:  # `double` and its check go to the end
        nb.cells.remove(one)
        nb.cells.append(one)
    result = graded(nb, checks=CHAIN)
    assert (scores(result)["double"], scores(result)["slope"]) == (5, 0)
    assert not any("right `double`" in note for note in result.record["exercises"]["slope"]["notes"])


def test_the_reference_takes_no_arguments_that_would_cost_the_grader_much():
    greedy = "def slope(x):\n    double(np.ones(10**6))\n    return 4 * x + 1"
    result = chained("import numpy as np\ndef double(x):\n    raise ValueError('wrong')", greedy)
    assert (scores(result)["double"], scores(result)["slope"]) == (0, 0)


# -- what earns nothing -----------------------------------------------------------------------

WRONG = "def double(x):\n    return 0 * x"
FIND = """
import gc, os, socket, struct, json
gc.unfreeze()
inside = next(o for o in gc.get_objects() if type(o).__name__ == "Inside")
channel = inside.channel
numbers = [int(n) for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")]
sockets = [n for n in numbers if os.readlink(f"/proc/self/fd/{n}").startswith("socket:")]
def frame(kind, fields):
    text = json.dumps([kind, {"$dict": fields}]).encode()
    os.write(sockets[0], struct.pack("!III", len(text), 0, 0) + text)
"""

ATTACKS = {
    "rebinding check": "check = lambda *args: 5.0",
    "replacing check in the kit": (
        "import coursekit, coursekit.checks as kit\nkit.check = coursekit.check = lambda *args: 5.0\n"
        "kit._examiner = lambda *args: 5.0\nkit.answer_with(lambda *args: 5.0)"
    ),
    "replacing the judge": (
        "from coursekit.checks import judge, compare, report, run\n"
        "judge.examine = lambda *args: 5.0\nreport.Report.score = property(lambda self: 5.0)\n"
        "for name in compare.COMPARISONS: compare.COMPARISONS[name] = lambda *args: compare.OK\n"
        "compare.agrees = lambda *args: True"
    ),
    "replacing numpy's comparisons": (
        "np.allclose = np.array_equal = np.isclose = np.all = lambda *args, **kwargs: True\n"
        "np.testing.assert_allclose = lambda *args, **kwargs: None"
    ),
    "replacing numpy's conversions": "np.asarray = np.array = np.abs = lambda *args, **kwargs: args[0]",
    "replacing builtins": (
        "import builtins\nbuiltins.float = lambda *args: 5.0\nbuiltins.sum = lambda *args: 5.0\n"
        "builtins.all = lambda *args: True\nbuiltins.isinstance = lambda *args: True"
    ),
    "an object equal to everything": (
        "class Equal(float):\n    __eq__ = __le__ = __ge__ = lambda self, other: True\n    __hash__ = float.__hash__\n"
        "    __sub__ = __rsub__ = __abs__ = lambda self, *other: Equal(0)\n"
        "    __array__ = lambda self, *args, **kwargs: np.zeros(())\n"
        "def double(x):\n    return Equal()"
    ),
    "printing and displaying marks": (
        "ip = get_ipython()\n"
        "ip.events.register('pre_run_cell', lambda *args: print(5.0))\n"
        "ip.events.register('post_run_cell', lambda *args: display(5.0))\n"
        "ip.events.register('post_execute', lambda *args: ip.displayhook(5.0))"
    ),
    "a display hook of its own": (
        "import sys\nsys.displayhook = lambda value: print(5.0)\n"
        "get_ipython().displayhook.__class__.__call__ = lambda self, value=None: print(5.0)"
    ),
    "formatters that show marks": (
        "formatter = get_ipython().display_formatter\n"
        "formatter.formatters['text/plain'].for_type(float, lambda *args: '5.0')\n"
        "type(formatter).format = lambda *args, **kwargs: ({'text/plain': '5.0'}, {})"
    ),
    "rewriting the check cell": (
        "get_ipython().input_transformers_post.append(\n"
        "    lambda lines: ['5.0'] if any('check' in line for line in lines) else lines)"
    ),
    "rewriting the tree of the check cell": (
        "import ast\nclass Change(ast.NodeTransformer):\n"
        "    def visit_Call(self, node):\n"
        "        return ast.Constant(5.0) if getattr(node.func, 'id', '') == 'check' else self.generic_visit(node)\n"
        "get_ipython().ast_transformers.append(Change())"
    ),
    "asking for another check in this cell": (
        "asked, other = 'check(\"double\", double)', 'check(\"total\", lambda x: 2 * x)'\n"
        "get_ipython().input_transformers_post.append(lambda lines: [line.replace(asked, other) for line in lines])"
    ),
    "asking with too many functions": (
        "get_ipython().input_transformers_post.append(\n"
        "    lambda lines: [line.replace('double)', 'lambda x: 2 * x, double)') for line in lines])"
    ),
    "asking again with the answer to the first time": (
        "get_ipython().input_transformers_post.append(lambda lines:\n"
        "    lines + ['check(\"double\", lambda x: 2 * x)'] if 'check(\"double' in ''.join(lines) else lines)"
    ),
    "a forged verdict": FIND + "channel.send('verdict', score=5.0); frame('verdict', [['score', 5.0]])",
    "a forged result": FIND + "channel.send('result', returned=0.0, failure=None, arrays={}, notes=[])",
    "a forged end of the check cell": (
        FIND + "get_ipython().events.register('pre_run_cell', lambda *args:\n"
        "    [frame('done', [['number', n]]) for n in range(3, 5)] if inside.cell_is_check else None)"
    ),
    "a forged check of another cell": FIND + "frame('check', [['name', 'double'], ['count', 1]])",
    "a forged verdict inside the check": (
        FIND + "def double(x):\n    frame('verdict', [['score', 5.0]])\n    return 0 * x"
    ),
    "forged outputs inside the check": (
        FIND + "def double(x):\n    channel.send('output', output={'output_type': 'execute_result',\n"
        "        'data': {'text/plain': '5.0'}, 'metadata': {}, 'execution_count': 1})\n    return 0 * x"
    ),
    "answers that are no data": (
        FIND + "def double(x):\n    frame('result', [['returned', {'$probe': ['wave', {'$dict': []}]}],\n"
        "        ['failure', None], ['arrays', {'$dict': []}], ['notes', []], ['lines', None]])\n    return 0 * x"
    ),
    "raw bytes on the socket": FIND + "os.write(sockets[0], b'\\xff' * 1000)",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_earns_nothing(attack):
    code = ATTACKS[attack]
    wrong = "" if "def double" in code else WRONG + "\n"
    result = graded(notebook(double=wrong + code))
    assert scores(result)["double"] == 0
    assert all(score in (0, FULL[name]) for name, score in scores(result).items())


@pytest.mark.parametrize(
    "attack",
    ["rebinding check", "replacing the judge", "replacing numpy's comparisons", "printing and displaying marks"],
)
def test_what_is_right_earns_its_points_beside_an_attack_too(attack):
    assert scores(graded(notebook(ATTACKS[attack]))) == FULL


def test_a_check_outside_its_cell_is_not_answered():
    result = graded(notebook(double=RIGHT["double"] + "\nprint(check('double', double))\n" + WRONG))
    assert scores(result) == FULL | {"double": 0.0}
    assert "counts only in its own cell" in outputs(result, "double")[0].text


def test_the_first_answer_counts():
    sneaky = "calls = []\ndef double(x):\n    calls.append(x)\n    return 0 * x if len(calls) < 4 else 2 * x"
    again = (
        "\nget_ipython().input_transformers_post.append(lambda lines: lines * 2 if 'double\"' in lines[0] else lines)"
    )
    result = graded(notebook(double=sneaky + again))
    assert scores(result) == FULL | {"double": 0.0}


def test_outputs_that_were_handed_in_are_no_outputs():
    nb = notebook(double=WRONG)
    for one in nb.cells[1:]:
        one.outputs = [nbformat.v4.new_output("execute_result", data={"text/plain": "5.0"}, execution_count=1)]
    nb.cells[3].source = ""  # and the check cell is empty
    nb.cells.append(nbformat.v4.new_code_cell("", id="empty", outputs=nb.cells[1].outputs))
    result = graded(nb)
    assert scores(result) == FULL | {"double": 0.0}
    assert codes(result, "double") == ["not-run"]
    cells = nbformat.reads(result.content, as_version=4).cells
    assert [len(cells[number].outputs) for number in (1, -1)] == [0, 0]


def test_a_copy_of_a_check_cell_shows_the_same_score():
    nb = notebook(double=WRONG)
    copy = json.loads(json.dumps(nb.cells[3])) | {"id": "copy"}
    nb.cells.insert(4, nbformat.from_dict(copy))
    assert scores(graded(nb)) == FULL | {"double": 0.0}  # `sound` looks at every one of them


def test_a_check_cell_that_is_no_code_earns_nothing():
    nb = notebook()
    nb.cells[3] = nbformat.v4.new_markdown_cell("5.0", id="note", metadata=nb.cells[3].metadata)
    result = graded(nb)
    assert scores(result).get("double") in (None, 0.0)
    assert result.record["score"] == 5


# -- what goes wrong costs only itself ----------------------------------------------------------


@pytest.mark.parametrize(
    "end", ["raise SystemExit", "exit()", "import sys; sys.exit(0)", "1 / 0", "raise KeyboardInterrupt"]
)
def test_a_cell_that_stops_costs_what_stood_after_it(end):
    result = graded(notebook(double=end + "\n" + RIGHT["double"]))
    assert scores(result) == FULL | {"double": 0.0}
    assert codes(result, "double") == ["not-defined"]


@pytest.mark.parametrize(
    "body",
    ["raise SystemExit", "raise SystemExit(5.0)", "raise KeyboardInterrupt", "raise BaseException('5.0')", "exit()"],
)
def test_a_function_that_stops_the_check_earns_nothing_and_costs_itself(body):
    result = graded(notebook(double=f"def double(x):\n    {body}"))
    assert scores(result) == FULL | {"double": 0.0}


def test_a_syntax_error_is_named_as_the_reason_of_what_is_missing():
    result = graded(notebook(double="def double(x)\n    return 2 * x"))
    assert scores(result) == FULL | {"double": 0.0}
    assert codes(result, "double") == ["not-defined"]
    assert "SyntaxError" in message(result, "double")


def test_a_cell_that_is_missing_is_reported():
    nb = notebook()
    del nb.cells[2]
    result = graded(nb)
    assert scores(result) == FULL | {"double": 0.0}
    assert message(result, "double") == "The cell of double is missing."


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos._exit(0)",
        "import ctypes\nctypes.string_at(0)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    ],
)
def test_a_cell_that_ends_the_process_costs_only_itself(code):
    nb = notebook()
    nb.cells.insert(2, nbformat.v4.new_code_cell("print('before')\nimport sys; sys.stdout.flush()\n" + code, id="end"))
    result = graded(nb)
    assert scores(result) == FULL
    assert set(result.record["lost_cells"]) == {"cell 3"}
    shown = nbformat.reads(result.content, as_version=4).cells[2].outputs
    assert shown[0].text == "before\n"
    assert shown[-1].ename == "NotebookEnded"


@pytest.mark.parametrize("where", ["double", "slope"])
def test_a_process_that_ends_while_it_is_checked_costs_that_check(where):
    code = RIGHT[where].replace("return", "import os; os._exit(1); return")
    result = graded(notebook(**{where: code}))
    assert scores(result) == FULL | {where: 0.0}
    assert codes(result, where) == ["not-run"]
    assert "exit status 1" in message(result, where)


def test_a_check_without_end_is_a_timeout_and_costs_itself():
    result = graded(notebook(double="def double(x):\n    while True:\n        pass"))
    assert scores(result) == FULL | {"double": 0.0}
    assert result.record["exercises"]["double"]["status"] == "timeout"
    assert codes(result, "double") == ["timeout"]


def test_a_check_that_cannot_be_interrupted_is_a_timeout_too(impatient):
    stubborn = "import signal, time\ndef double(x):\n    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})\n"
    result = graded(notebook(double=stubborn + "    time.sleep(1000)"), Limits(1, 1, 30))
    assert scores(result) == FULL | {"double": 0.0}
    assert result.record["exercises"]["double"]["status"] == "timeout"


def test_idling_in_a_check_cell_ends_with_the_time_of_a_cell(impatient):
    idle = "import signal, time\ndef idle(*args):\n    if inside.cell_is_check:\n        time.sleep(1000)\n"
    idle += "get_ipython().events.register('pre_run_cell', idle)\n"
    result = graded(notebook(slope=RIGHT["slope"] + FIND + idle), Limits(1, 1, 25))
    assert scores(result) == FULL | {"slope": 0.0}
    assert result.record["exercises"]["slope"]["status"] == "timeout"


def test_the_time_of_a_notebook_is_counted_over_all_its_processes():
    slow = "import time, os\ntime.sleep(1.5)\nos._exit(0)"
    nb = notebook()
    nb.cells[2:2] = [nbformat.v4.new_code_cell(slow, id=f"slow{number}") for number in range(3)]
    result = graded(nb, Limits(2, 2, 2.5))
    assert scores(result) == NOTHING
    assert result.record["exercises"]["slope"]["status"] == "timeout"
    assert "the time that a whole notebook may take is over" in message(result, "slope")
    assert result.record["seconds"] < 20


def test_after_so_many_restarts_the_rest_is_not_run_and_that_is_the_reason():
    nb = notebook()
    deaths = [nbformat.v4.new_code_cell("import os\nos._exit(7)", id=f"d{n}") for n in range(MAX_RESTARTS + 1)]
    nb.cells[4:4] = deaths  # after the check of double
    result = graded(nb)
    assert scores(result) == NOTHING | {"double": 5.0}
    assert codes(result, "total") == ["not-run"]
    assert "exit status 7; after that, nothing was run any more" in message(result, "total")
    nb.cells.pop(4)
    assert scores(graded(nb)) == FULL


def test_a_result_stranger_than_a_comparison_can_bear_costs_its_exercise(monkeypatch):
    def examine(exercise, run):
        if exercise.name == "double":
            raise TypeError("a comparison was surprised")
        return real(exercise, run)

    real = grading.examine
    monkeypatch.setattr(grading, "examine", examine)
    result = graded(notebook())
    assert scores(result) == FULL | {"double": 0.0}
    assert "could not be judged" in message(result, "double")


STRANGE = [
    "'x' * 10**6",
    "'\\ud800'",
    "['x' * 900_000, 1.0] * 20",
    "[x] * 50",
    "10**300",
    "10**3000",
    "float('nan')",
    "{1: {2: [3]}}",
    "[[1, 2], [3]]",
    "[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]",
    "b'x'",
    "...",
    "object()",
    "lambda: 0",
    "(y for y in [1])",
    "np.ones((2, 3), complex) * 1j",
    "np.array(['a'])",
    "np.zeros(2, dtype=[('a', float)])",
    "np.datetime64('2026-01-01')",
    "np.ma.masked_array([1.0])",
    "np.zeros((0, 3))",
    "np.zeros(2**21)",
    "np.zeros(2**24)",
    "f_that_is_not_defined",
]


@pytest.mark.parametrize("values", [STRANGE[n : n + 3] for n in range(0, len(STRANGE), 3)])
def test_a_strange_result_is_wrong_and_nothing_worse(values):
    one, two, three = values
    double, total, slope = f"def double(x):\n    return {one}", f"def total(x):\n    return {two}", "def slope(f, x):\n"
    result = graded(notebook(double=double, total=total, slope=slope + f"    return {three}"), Limits(10, 10, 60))
    assert scores(result) == NOTHING
    assert result.record["lost_cells"] == {}


# -- arguments that have to stay as they are -------------------------------------------------------

KEPT = """
from autograder.spec import Assignment, Case, Expected, call

assignment = Assignment("tiny")

@assignment.exercise("double", parts={"value": 2, "x untouched": 3})
def double_cases(rng):
    x = rng.normal(size=4)
    untouched = Expected("x after the call", x, "x untouched", compare="unchanged", where="argument 0")
    yield Case("4 numbers", (call("double", {"x": x}, {"value": 2 * x}, also=[untouched]),))
"""
IN_PLACE = "def double(x):\n    x *= 2\n    return x\n"
OUTCOME = "import numpy as np\nfrom coursekit.checks.run import StepOutcome\nStepOutcome.arrays = "
LIES = {
    "nothing": "",
    "says that all is the same": "import coursekit.checks.run as run\nrun._same = run.changed = lambda *args: True\n",
    "says that no array was there": OUTCOME + "property(lambda self: {}, lambda self, value: None)\n",
    "sends something else": OUTCOME + "property(lambda self: {0: np.zeros(4)}, lambda self, value: None)\n",
    "sends no array": OUTCOME + "property(lambda self: {0: 'as it was'}, lambda self, value: None)\n",
}


@pytest.mark.parametrize("lie", LIES)
def test_whether_an_argument_was_changed_is_not_the_students_word(lie):
    result = graded(notebook(double=IN_PLACE + LIES[lie]), checks=KEPT)
    assert scores(result)["double"] == 2
    assert codes(result, "double") == ["input-modified"]


def test_an_argument_that_stayed_as_it_was_earns_its_part():
    assert scores(graded(notebook(), checks=KEPT))["double"] == 5


def test_who_raises_what_is_called_a_timeout_has_an_error():
    body = "def double(x):\n    class Timeout(Exception):\n        pass\n    raise Timeout('not finished')"
    result = graded(notebook(double=body))
    assert result.record["exercises"]["double"]["status"] == "error"


# -- loops over the examples --------------------------------------------------------------------

LOOPS = """
from autograder.spec import Assignment, case

assignment = Assignment("tiny")

@assignment.exercise("double", parts={"value": 1, "vectorised": 2}, no_loop_over=["x"])
def double_cases(rng):
    x = rng.normal(size=(4,))
    yield case("four numbers", "double", {"x": x}, {"y": 2 * x}, parts="value")
"""
LOOP = "def double(x):\n    return np.array([2 * number for number in x])"


def checked_for_loops(double, *others):
    """The graded notebook with one exercise, checked for loops, and `others` as cells before and after it."""
    nb = notebook(double=double)
    cells = [nbformat.v4.new_code_cell(other, id=f"other-{number}") for number, other in enumerate(others)]
    nb.cells = [*nb.cells[:2], *cells[:-1], *nb.cells[2:4], *cells[-1:]]
    next(one for one in nb.cells if one.id == "check-double").metadata.nbgrader.points = 3
    return grade(Submission("ada", "tiny", "tiny", json.dumps(nb)), bundle(LOOPS), SECRET, LIMITS)


def test_a_loop_over_examples_is_found_behind_the_wall_and_its_line_is_shown():
    result = checked_for_loops(LOOP)
    assert (scores(result)["double"], codes(result, "double")) == (1, ["loops-over-examples"])
    assert "double loops over the examples: return np.array([2 * number for number in x])" in result.content
    assert scores(checked_for_loops(RIGHT["double"]))["double"] == 3


def test_a_definition_below_the_check_does_not_hide_the_loop_above_it():
    result = checked_for_loops(LOOP, RIGHT["double"])
    assert (scores(result)["double"], codes(result, "double")) == (1, ["loops-over-examples"])


def test_a_cell_that_is_not_python_hides_no_loop_elsewhere():
    trouble = ["%matplotlib inline", "%%time", "!pip list", "np.dot?", "def broken(:\n    pass", "x = (1,\n"]
    result = checked_for_loops(LOOP, *trouble, "print 'hello'")
    assert (scores(result)["double"], codes(result, "double")) == (1, ["loops-over-examples"])


def test_a_helper_in_another_cell_that_loops_is_found():
    helper = "def each(x):\n    for number in x:\n        yield 2 * number"
    result = checked_for_loops("def double(x):\n    return np.array(list(each(x)))", helper, "")
    assert (scores(result)["double"], codes(result, "double")) == (1, ["loops-over-examples"])


def test_who_takes_the_trace_function_away_earns_no_points_for_vectorising():
    result = checked_for_loops(LOOP.replace("    return", "    sys.settrace(None)\n    return"), "import sys", "")
    assert scores(result)["double"] == 1


def test_counts_of_lines_that_are_no_counts_end_the_notebook():
    finds = "import gc\nchannel = next(one for one in gc.get_objects() if type(one).__name__ == 'Channel')"
    forged = "[['a place', 'a line', 'often']]"
    sends = f"channel.send('result', returned=2 * x, failure=None, arrays={{}}, notes=[], lines={forged})"
    result = checked_for_loops(f"def double(x):\n    {sends}\n    return 2 * x", finds, "")
    assert scores(result)["double"] == 0
    assert "malformed count of lines" in str(result.record["lost_cells"])


def test_a_known_mistake_that_cannot_be_computed_is_the_instructors_and_ends_the_run():
    checks = CHECKS.replace('{"y": args["x"] ** 2}', '{"y": args["no such argument"]}')
    assert scores(graded(notebook(), checks=checks)) == FULL
    with pytest.raises(Refused, match=r"tiny/double: its cases cannot be made: KeyError: 'no such argument'"):
        graded(notebook(double="def double(x):\n    return 3 * x"), checks=checks)

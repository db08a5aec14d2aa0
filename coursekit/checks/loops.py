"""Does a function loop over the examples?  Read from its source, so that the answer is the same every time.

A vectorised loss may loop over classes, of which there are ten, but not over examples,
of which there are many.  Timing would tell the two apart too, but not on a busy machine.
Only loops that are certainly over the rows of the data are reported: ``for i in range(N)``
with ``N = X.shape[0]``, ``for x, t in zip(X, y)``, a comprehension of the same kind, and the
NumPy functions that hide such a loop.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator

Functions = dict[str, ast.FunctionDef]

MAX_VISITS = 200  # of functions that call each other

# Python functions that go through what they are given, one by one.
ITERATORS = {"enumerate", "zip", "list", "tuple", "iter", "reversed", "map", "product"}
ARRAY_ITERATORS = {"nditer", "ndenumerate", "argwhere"}
HIDDEN_LOOPS = {"vectorize", "frompyfunc"}
# What keeps a row for each example where there is one.
CONVERSIONS = {"array", "asarray", "ascontiguousarray", "astype", "copy", "tolist", "zeros_like", "ones_like"}
ELEMENTWISE = {
    *("abs", "absolute", "clip", "exp", "log", "maximum", "minimum", "square", "sqrt"),
    *("where", "add", "subtract", "multiply", "divide"),
}
REDUCTIONS = {"sum", "max", "min", "amax", "amin", "mean", "argmax", "argmin"}


def first_loop_over(code: str, function: str, arguments: Collection[str]) -> str | None:
    """The source line of the first loop over the rows of `arguments` in `function`, or None.

    Parameters
    ----------
    code : str
        Source text in which `function` is defined; functions that it calls are followed
        where they are defined there too.  Text that is not Python, such as ``%timeit`` or a
        cell with a syntax error, is passed over.
    function : str
        The function's name.
    arguments : collection of str
        The names of its arguments that have a row for each example.

    Examples
    --------
    >>> code = '''
    ... def f(W, X):
    ...     n = len(X)
    ...     return sum(X[i] @ W for i in range(n))
    ... '''
    >>> first_loop_over(code, "f", ["X"])
    'return sum(X[i] @ W for i in range(n))'
    >>> first_loop_over("def f(W, X): return [w for w in W]", "f", ["X"]) is None
    True
    """
    functions: Functions = {}
    aliases: dict[str, str] = {}
    for statement in _statements(code):
        if isinstance(statement, ast.FunctionDef):
            functions[statement.name] = statement  # the last definition counts, as in the notebook
            aliases.pop(statement.name, None)
        elif isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name):
            aliases.update({t.id: statement.value.id for t in statement.targets if isinstance(t, ast.Name)})
    found = functions.get(aliases.get(function, function))
    if found is None:
        return None
    try:
        labels = {name for name in arguments if name.islower()}  # matrices have capital letters in this course
        line = _Rows(functions, set(arguments), labels, set(), set()).search(found)
    except RecursionError:  # an expression nested so deeply that nobody has written it by hand
        return None
    return code.splitlines()[line - 1].strip() if line else None


def _statements(code: str) -> Iterator[ast.stmt]:
    """The statements at the left margin, with the lines of `code` where they stand."""
    lines = [re.sub(r"^[%!].*", "", line) for line in code.splitlines()]
    whole = _parsed(lines)
    if whole is not None:
        yield from whole
        return
    # Some statement is broken: parse from each margin to the next, so that only that one is lost.
    starts = [i for i, line in enumerate(lines) if re.match(r"[^\s#)\]}]", line)]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        for statement in _parsed(lines[start:end]) or []:
            yield ast.increment_lineno(statement, start)


def _parsed(lines: list[str]) -> list[ast.stmt] | None:
    try:
        return ast.parse("\n".join(lines)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Rows:
    """Follows which names hold data with a row for each example (`data`), and which hold their number (`counts`).

    `labels` are those names in `data` that hold vectors.
    """

    def __init__(
        self, functions: Functions, data: set[str], labels: set[str], counts: set[str], seen: set[object]
    ) -> None:
        self.functions = dict(functions)
        self.inner: set[str] = set()  # functions defined in the function itself: they see its names
        self.data = data
        self.labels = labels
        self.counts = counts
        self.shapes: set[str] = set()  # names that hold the whole shape
        self.loops: set[str] = set()  # names of functions that hide a loop, such as np.vectorize(f)
        self.seen = seen

    def search(self, function: ast.FunctionDef) -> int | None:
        visit = (function, frozenset(self.data), frozenset(self.counts))
        if visit in self.seen or len(self.seen) > MAX_VISITS:
            return None
        self.seen.add(visit)
        for node in _in_order(function):
            if isinstance(node, ast.FunctionDef):
                self.functions[node.name] = node
                self.inner.add(node.name)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    self._assign(target, node.value)
            elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value:
                self._assign(node.target, node.value)
            if any(self._is_over_rows(expression) for expression in _iterated(node)):
                return node.lineno  # type: ignore[attr-defined, no-any-return]
            if isinstance(node, ast.For):
                self._forget(node.target)
            if isinstance(node, ast.While) and self._is_bounded_by_count(node.test):
                return node.lineno
            if isinstance(node, ast.Call) and (line := self._call(node)) is not None:
                return line
        return None

    # -- what a name holds ------------------------------------------------------------------

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            if isinstance(value, ast.Tuple | ast.List) and len(target.elts) == len(value.elts):
                for one, its in zip(target.elts, value.elts, strict=True):
                    self._assign(one, its)
                return
            self._forget(target)
            if self._is_shape(value) and target.elts and isinstance(target.elts[0], ast.Name):
                self.counts.add(target.elts[0].id)
        elif isinstance(target, ast.Name):
            kinds = (
                (self.counts, self._is_count(value)),
                (self.shapes, self._is_shape(value)),
                (self.data, self._has_rows(value)),
                (self.labels, self._is_vector(value)),
                (self.loops, self._is_hidden_loop(value)),
            )
            self._forget(target)
            for names, is_one in kinds:
                if is_one:
                    names.add(target.id)

    def _forget(self, target: ast.expr) -> None:
        for node in ast.walk(target):
            # `scores[rows, y] = 0` assigns to none of these names.
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                for names in (self.counts, self.shapes, self.data, self.labels, self.loops):
                    names.discard(node.id)

    def _is_shape(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Call):
            return _called(node) == "shape" and bool(node.args) and self._has_rows(node.args[0])
        if isinstance(node, ast.Name):
            return node.id in self.shapes
        return isinstance(node, ast.Attribute) and node.attr == "shape" and self._has_rows(node.value)

    def _is_count(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self.counts
        if isinstance(node, ast.Subscript):
            return self._is_shape(node.value) and _constant(node.slice) == 0
        if isinstance(node, ast.Attribute):
            return node.attr == "size" and self._has_rows(node.value)
        if isinstance(node, ast.BinOp):  # the last but one example, and one past the last
            return isinstance(node.op, ast.Add | ast.Sub) and (self._is_count(node.left) or self._is_count(node.right))
        if not isinstance(node, ast.Call) or not node.args:
            return False
        if _called(node) == "int":
            return self._is_count(node.args[0])
        return _called(node) in {"len", "size"} and self._has_rows(node.args[0])

    def _has_rows(self, node: ast.expr) -> bool:
        """Whether `node` is certainly an array with a row for each example."""
        if isinstance(node, ast.Name):
            return node.id in self.data
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            return self._has_rows(node.left)
        if isinstance(node, ast.BinOp):
            return self._keep_rows([node.left, node.right])
        if isinstance(node, ast.Compare):
            return self._keep_rows([node.left, *node.comparators])
        if isinstance(node, ast.UnaryOp):
            return self._has_rows(node.operand)
        if isinstance(node, ast.Subscript):  # S[:, j] and S[:, np.newaxis] keep the rows
            return isinstance(node.slice, ast.Tuple) and _is_all(node.slice.elts[:1]) and self._has_rows(node.value)
        return isinstance(node, ast.Call) and self._gives_rows(node)

    def _keep_rows(self, nodes: list[ast.expr]) -> bool:
        """Whether elementwise arithmetic with `nodes` has a row for each example.

        A vector of labels alone does not say: ``y == classes[:, np.newaxis]`` has a row for each class.
        """
        return any(self._has_rows(one) for one in nodes if not self._is_vector(one))

    def _is_vector(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Call) and _called(node) in CONVERSIONS:
            return any(self._is_vector(one) for one in _inputs(node)[:1])
        return isinstance(node, ast.Name) and node.id in self.labels

    def _gives_rows(self, node: ast.Call) -> bool:
        name, inputs = _called(node), _inputs(node)
        if name in {"range", "arange"} or name in ITERATORS:
            return self._is_over_rows(node)
        if name in {"zeros", "ones", "empty", "full", "reshape"}:
            shape = node.args[:1]
            first = shape[0].elts[:1] if shape and isinstance(shape[0], ast.Tuple) else shape
            return any(self._is_count(one) or self._is_shape(one) for one in first)
        if name == "dot":  # X.dot(W) and np.dot(X, W)
            return bool(inputs) and self._has_rows(inputs[0])
        if name in REDUCTIONS:
            return bool(inputs) and self._has_rows(inputs[0]) and _axis(node) in (1, -1)
        if name in CONVERSIONS:
            return bool(inputs) and self._has_rows(inputs[0])
        return name in ELEMENTWISE and self._keep_rows(inputs)

    # -- what is gone through ---------------------------------------------------------------

    def _is_over_rows(self, node: ast.expr) -> bool:
        """Whether going through `node` means going through the examples."""
        if not isinstance(node, ast.Call):
            return self._has_rows(node)
        name = _called(node)
        if name in {"range", "arange"}:
            steps = node.args[2] if len(node.args) > 2 else None  # in steps of 100 it goes through chunks
            return (steps is None or _constant(steps) in (1, -1)) and any(self._is_count(one) for one in node.args)
        if name == "ndindex":
            return any(self._is_count(one) or self._is_shape(_unstarred(one)) for one in node.args)
        if name in ARRAY_ITERATORS:
            return any(self._has_rows(one) for one in node.args)
        if name in ITERATORS:
            return any(self._is_over_rows(one) for one in node.args)
        return self._has_rows(node)

    def _is_bounded_by_count(self, test: ast.expr) -> bool:
        if isinstance(test, ast.BoolOp):
            return any(self._is_bounded_by_count(value) for value in test.values)
        return isinstance(test, ast.Compare) and any(self._is_count(side) for side in [test.left, *test.comparators])

    def _is_hidden_loop(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self.loops
        return isinstance(node, ast.Call) and _called(node) in HIDDEN_LOOPS

    def _call(self, node: ast.Call) -> int | None:
        """The line of the loop over rows that the call `node` hides, if it hides one."""
        hidden = (
            (self._is_hidden_loop(node.func) and any(self._has_rows(one) for one in node.args))
            or (_named(node.func, "map") and any(self._is_over_rows(one) for one in node.args[1:]))
            or (
                _called(node) == "apply_along_axis"
                and len(node.args) > 2
                and _constant(node.args[1]) in (1, -1)
                and self._has_rows(node.args[2])
            )
        )
        if hidden:
            return node.lineno
        if not isinstance(node.func, ast.Name) or node.func.id not in self.functions:
            return None
        called = self.functions[node.func.id]
        names = [one.arg for one in called.args.args]
        bound = dict(zip(names, node.args, strict=False)) | {k.arg: k.value for k in node.keywords if k.arg}
        data = {name for name, value in bound.items() if self._has_rows(value)}
        labels = {name for name, value in bound.items() if self._is_vector(value)}
        counts = {name for name, value in bound.items() if self._is_count(value)}
        if node.func.id in self.inner:
            data |= self.data - set(names)
            labels |= self.labels - set(names)
            counts |= self.counts - set(names)
        return _Rows(self.functions, data, labels, counts, self.seen).search(called)


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below `node`, as they stand in the text; what is in an inner function is met when it is called."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.FunctionDef):
            yield from _in_order(child)


def _iterated(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.For):
        return [node.iter]
    if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
        return [generator.iter for generator in node.generators]
    return []


def _called(node: ast.Call) -> str:
    """The last part of the called function's name: `exp` for ``np.exp(...)``."""
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


def _inputs(node: ast.Call) -> list[ast.expr]:
    """The arguments, and before them the object whose method is called."""
    is_method = isinstance(node.func, ast.Attribute) and not _named(node.func.value, "np", "numpy")
    return [node.func.value, *node.args] if is_method else list(node.args)  # type: ignore[attr-defined]


def _axis(node: ast.Call) -> object:
    """The axis along which a NumPy function reduces: by name, or as the last argument by position."""
    given = [keyword.value for keyword in node.keywords if keyword.arg == "axis"] or node.args[-1:]
    return _constant(given[0]) if given else None


def _constant(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return None


def _is_all(elements: list[ast.expr]) -> bool:
    return all(isinstance(e, ast.Slice) and not (e.lower or e.upper or e.step) for e in elements)


def _unstarred(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Starred) else node


def _named(node: ast.AST, *names: str) -> bool:
    return isinstance(node, ast.Name) and node.id in names

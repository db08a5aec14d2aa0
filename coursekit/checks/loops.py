"""Does a function loop over the examples?  Read from its source, so that the answer is the same every time.

A vectorised loss may loop over classes, of which there are ten, but not over examples,
of which there are many.  Timing would tell the two apart too, but not on a busy machine.
Only loops that are certainly over the rows of the data are reported: ``for i in range(N)``
with ``N = X.shape[0]``, ``for x, t in zip(X, y)``, a comprehension of the same kind, and the
NumPy functions that hide such a loop.
"""

from __future__ import annotations

import ast
from collections.abc import Collection

HIDDEN_LOOPS = {"vectorize", "apply_along_axis", "fromiter", "frompyfunc"}
ITERATORS = {"enumerate", "zip", "list", "tuple", "iter", "reversed", "map"}


def first_loop_over(code: str, function: str, arguments: Collection[str]) -> str | None:
    """The source line of the first loop over the rows of `arguments` in `function`, or None.

    Parameters
    ----------
    code : str
        Source text in which `function` is defined; functions that it calls are followed
        where they are defined there too.
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
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return None
    functions: dict[str, ast.FunctionDef] = {}
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            functions[node.name] = node  # the last definition counts, as in the notebook
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            aliases.update({t.id: node.value.id for t in node.targets if isinstance(t, ast.Name)})
    name = function if function in functions else aliases.get(function, function)
    if name not in functions:
        return None
    line = _Rows(functions, set(arguments), set()).search(functions[name])
    return None if line is None else code.splitlines()[line - 1].strip()


class _Rows:
    """Follows which names hold data with a row for each example (`data`), and which hold their number (`counts`)."""

    def __init__(self, functions: dict[str, ast.FunctionDef], data: set[str], seen: set[str]) -> None:
        self.functions = functions
        self.data = set(data)
        self.counts: set[str] = set()
        self.seen = seen

    def search(self, function: ast.FunctionDef) -> int | None:
        if function.name in self.seen:
            return None
        self.seen.add(function.name)
        for node in _in_order(function):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._assign(target, node.value)
            over = _iterated(node)
            if any(self._is_over_rows(expression) for expression in over):
                return node.lineno  # type: ignore[attr-defined, no-any-return]
            if isinstance(node, ast.Call) and (line := self._call(node)) is not None:
                return line
        return None

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, its in zip(target.elts, value.elts, strict=True):
                self._assign(one, its)
        elif isinstance(target, ast.Tuple) and self._is_shape(value):
            if target.elts and isinstance(target.elts[0], ast.Name):
                self.counts.add(target.elts[0].id)
        elif isinstance(target, ast.Name):
            if self._is_count(value):
                self.counts.add(target.id)
            elif _named(value, self.data) or _is_product_of(value, self.data):
                self.data.add(target.id)  # scores = X @ W has a row for each example too

    def _is_shape(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "shape" and _named(node.value, self.data)

    def _is_count(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self.counts
        if isinstance(node, ast.Subscript):
            return self._is_shape(node.value) and isinstance(node.slice, ast.Constant) and node.slice.value == 0
        return (
            isinstance(node, ast.Call)
            and _named(node.func, {"len"})
            and bool(node.args)
            and _named(node.args[0], self.data)
        )

    def _is_over_rows(self, node: ast.expr) -> bool:
        if _named(node, self.data):
            return True
        if not isinstance(node, ast.Call):
            return isinstance(node, ast.Compare) and any(
                self._is_count(side) for side in [node.left, *node.comparators]
            )
        if _named(node.func, {"range"}) or _attribute(node.func, {"arange"}):
            return any(self._is_count(argument) for argument in node.args)
        return _named(node.func, ITERATORS) and any(self._is_over_rows(argument) for argument in node.args)

    def _call(self, node: ast.Call) -> int | None:
        if _attribute(node.func, HIDDEN_LOOPS) or (
            _named(node.func, {"map"}) and any(self._is_over_rows(one) for one in node.args[1:])
        ):
            return node.lineno
        if not isinstance(node.func, ast.Name) or node.func.id not in self.functions:
            return None
        called = self.functions[node.func.id]
        names = [one.arg for one in called.args.args]
        bound = dict(zip(names, node.args, strict=False)) | {k.arg: k.value for k in node.keywords if k.arg}
        inner = _Rows(self.functions, {n for n, value in bound.items() if _named(value, self.data)}, self.seen)
        inner.counts = {n for n, value in bound.items() if self._is_count(value)}
        return inner.search(called)


def _in_order(node: ast.AST) -> list[ast.AST]:
    """All nodes below `node`, as they stand in the text."""
    found = []
    for child in ast.iter_child_nodes(node):
        found.append(child)
        found.extend(_in_order(child))
    return found


def _iterated(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.For):
        return [node.iter]
    if isinstance(node, ast.While):
        return [node.test]
    if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
        return [generator.iter for generator in node.generators]
    return []


def _named(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _attribute(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in names


def _is_product_of(node: ast.expr, data: set[str]) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        return _named(node.left, data)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "dot":
        return False
    return _named(node.func.value, data) or bool(node.args and _named(node.args[0], data))

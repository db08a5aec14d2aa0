"""nbgrader's sanitising steps for a whole class: what was released is read from the gradebook once.

nbgrader's own steps open the gradebook for each submission (`OverwriteKernelspec`, `OverwriteCells`), and check the
schema of the metadata for each cell (`CheckCellMetadata`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, TypeVar

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.nbgraderformat import MetadataValidator, ValidationError
from nbgrader.preprocessors import CheckCellMetadata, NbGraderPreprocessor, OverwriteKernelspec

from .restore import RestoreCells

T = TypeVar("T")


class Released:
    """What the gradebook holds of the released notebooks, read once.

    It answers those questions that nbgrader's sanitising steps ask a `Gradebook`.
    """

    def __init__(self, notebooks: Mapping[str, SimpleNamespace]) -> None:
        self.notebooks = notebooks

    @classmethod
    def read(cls, gradebook: Gradebook, slug: str) -> Released:
        try:
            notebooks = gradebook.find_assignment(slug).notebooks
        except MissingEntry:
            return cls({})
        return cls({notebook.name: cls._copied(notebook) for notebook in notebooks})

    @staticmethod
    def _copied(notebook: Any) -> SimpleNamespace:
        def named(cells: Iterable[Any], *attributes: str) -> list[SimpleNamespace]:
            return [SimpleNamespace(**{name: getattr(cell, name) for name in ("name", *attributes)}) for cell in cells]

        return SimpleNamespace(
            kernelspec=notebook.kernelspec,
            source_cells=named(notebook.source_cells, "cell_type", "locked", "checksum", "source"),
            grade_cells=named(notebook.grade_cells, "max_score"),
            task_cells=named(notebook.task_cells, "max_score"),
            solution_cells=named(notebook.solution_cells),
        )

    def find_notebook(self, name: str, assignment: str) -> SimpleNamespace:
        return entry(self.notebooks, name)


class RestoreReleasedCells(RestoreCells):
    """`RestoreCells`, with the gradebook read already."""

    def __init__(self, released: Released, **settings: Any) -> None:
        super().__init__(**settings)
        self.released = released

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        about = resources["nbgrader"]
        self.restore(nb, self.released.find_notebook(about["notebook"], about["assignment"]), self.handout(resources))
        return nb, resources


class RestoreKernelspec(NbGraderPreprocessor):  # type: ignore[misc]
    """`OverwriteKernelspec`, with the gradebook read already."""

    def __init__(self, released: Released, **settings: Any) -> None:
        super().__init__(**settings)
        self.released = released

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        about = resources["nbgrader"]
        text = self.released.find_notebook(about["notebook"], about["assignment"]).kernelspec
        if kernelspec := json.loads(text) if text else None:
            nb.metadata["kernelspec"] = kernelspec
        return nb, resources


class CheckMetadata(NbGraderPreprocessor):  # type: ignore[misc]
    """`CheckCellMetadata`, which checks once what is the same in the notebooks of the whole class."""

    def __init__(self, released: Released, **settings: Any) -> None:
        super().__init__(**settings)
        self.validator = _Validator()

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        try:
            self.validator.validate_nb(nb)
        except ValidationError as error:
            raise ValidationError("Notebook failed to validate; the nbgrader metadata may be corrupted.") from error
        return nb, resources


class _Validator(MetadataValidator):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.valid: set[bytes] = set()

    def validate_cell(self, cell: Any) -> None:
        metadata = json.dumps([cell.cell_type, cell.metadata.get("nbgrader")], sort_keys=True)
        key = hashlib.sha256(metadata.encode("utf-8", "replace")).digest()
        if key not in self.valid:
            super().validate_cell(cell)
            self.valid.add(key)


FASTER_STEPS = {
    RestoreCells: RestoreReleasedCells,
    OverwriteKernelspec: RestoreKernelspec,
    CheckCellMetadata: CheckMetadata,
}


def entry(found: Mapping[str, T], name: str) -> T:
    """Return what was found under `name`, or raise the error that nbgrader raises."""
    if name not in found:
        raise MissingEntry(f"the gradebook has no entry for {name!r}")
    return found[name]

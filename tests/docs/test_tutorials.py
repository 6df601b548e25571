"""The tutorials run as they stand, each in a folder of its own."""

from __future__ import annotations

import nbformat
import pytest
from paths import ROOT

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))
CELL_SECONDS = 600


def test_tutorials_are_kept_without_outputs():
    assert len(TUTORIALS) == 4
    for path in TUTORIALS:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                assert (cell.outputs, cell.execution_count) == ([], None), path


@pytest.mark.slow
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorials_run(path, tmp_path):
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    results = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any(result.output_type == "execute_result" for result in results)

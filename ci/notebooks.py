"""Make the notebooks of examples/notebooks/ from the scripts beside them: a cell begins at a line `# %%`.

`python ci/notebooks.py` writes them, without outputs; `--check` fails, naming the file, where one is out of date.
"""

import json
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "examples" / "notebooks"


def notebook(script: str) -> str:
    """The notebook as JSON. Cells are numbered, so that equal scripts give equal files."""
    cells = []
    for i, part in enumerate(re.split(r"^# %%", script, flags=re.M)[1:]):
        kind, _, body = part.partition("\n")
        lines = body.strip("\n").splitlines(keepends=True)
        if kind.strip() == "[markdown]":
            text = [re.sub(r"^# ?", "", line) for line in lines]
            cells.append({"cell_type": "markdown", "id": f"cell-{i}", "metadata": {}, "source": text})
        else:
            code = {"execution_count": None, "outputs": [], "source": lines}
            cells.append({"cell_type": "code", "id": f"cell-{i}", "metadata": {}, **code})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for script in sorted(FOLDER.glob("*.py")):
        target, text = script.with_suffix(".ipynb"), notebook(script.read_text())
        if target.exists() and target.read_text() == text:
            continue
        if "--check" in sys.argv:
            sys.exit(f"{target.name} is out of date: run `python ci/notebooks.py`")
        target.write_text(text)
        print(f"wrote {target.relative_to(FOLDER.parents[1])}")

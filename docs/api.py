"""Write the pages of the package, from its docstrings: python docs/api.py FOLDER (needs pdoc)."""

import sys
import warnings
from pathlib import Path

import pdoc

import hourglass

NEEDS_PYARROW = "hourglass.apps.batch.parquet"


def write_pages(folder: Path) -> None:
    """Write a page for each module, and an index, into a folder."""
    # pdoc asks a module's __dict__, where these stand only once somebody has used them.
    vars(hourglass).update({name: getattr(hourglass, name) for name in hourglass.__all__})
    pdoc.render.configure(docformat="google", show_source=False)
    root = Path(hourglass.__file__).parent
    parts = [path.stem for path in sorted(root.iterdir()) if path.stem[0].isalpha()]
    modules = [f"hourglass.{name}" for name in dict.fromkeys(parts) if name != "py"]
    # It needs pyarrow, which may not be here.
    warnings.filterwarnings("ignore", f"Couldn't import {NEEDS_PYARROW}")
    pdoc.pdoc("hourglass", *modules, f"!{NEEDS_PYARROW}", output_directory=folder)


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))

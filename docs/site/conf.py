"""The site: Sphinx reads docs/, with the pages that `pages.py` has made. Built by `ci/docs`, warnings being errors."""

import re
import sys
from pathlib import Path

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

SITE = Path(__file__).resolve().parent
sys.path[:0] = [str(SITE.parents[1]), str(SITE)]

project = "xpnn"
author = "The xpnn developers"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_gallery.gen_gallery"]
exclude_patterns = ["site", "pages/gallery/*.ipynb", "pages/gallery/*.py", "pages/gallery/*.zip"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # pages.py has run them
html_theme = "pydata_sphinx_theme"
html_title = "xpnn"
html_theme_options = {"navigation_depth": 2, "show_nav_level": 1, "show_prev_next": True}
html_show_sourcelink = False
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["site.css"]
nitpicky = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
suppress_warnings = ["config.cache"]  # the gallery's settings hold a function


SHOWN = set()
"""Pictures of examples that have run. `ci/docs` begins with an empty folder."""


def pictures(block, block_vars, gallery_conf):
    """What an example has written into out/ since the block before."""
    from sphinx_gallery.scrapers import figure_rst

    names = []
    for path in sorted(set(Path(block_vars["src_file"]).parent.glob("out/*")) - SHOWN):
        target = Path(next(block_vars["image_path_iterator"])).with_suffix(path.suffix)
        target.write_bytes(path.read_bytes())
        names.append(str(target))
        SHOWN.add(path)
    return figure_rst(names, gallery_conf["src_dir"])


sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "pages/gallery",
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"notebooks",
    "image_scrapers": (pictures,),
    "reset_modules": (),
    "capture_repr": (),
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "within_subsection_order": "FileNameSortKey",
}


def as_rest(app, what, name, obj, options, lines):
    """Docstrings are plain text: their stars and bars are formulas, and what is indented stays as it is."""
    made = []
    for block in "\n".join(lines).split("\n\n"):
        if re.search(r"^ ", block, re.M):
            made += ["::", "", *(f"    {line}" for line in block.splitlines()), ""]
        else:
            parts = re.split(r"(`[^`]+`)", block)
            text = "".join(
                f"`{part}`" if i % 2 else re.sub(r"([*_|\\`])", r"\\\1", part) for i, part in enumerate(parts)
            )
            made += [*re.sub(r"^([-+]|\w+[.)])(?= )", r"\\\1", text, flags=re.M).splitlines(), ""]
    lines[:] = made


def inline(writer, node):
    """A formula in a line."""
    writer.body.append(convert(node.astext()))
    raise SkipNode


def displayed(writer, node):
    """A formula by itself."""
    writer.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>')
    raise SkipNode


def setup(app):
    """Formulas as MathML, which browsers draw without a script from elsewhere; docstrings by `as_rest`."""
    app.add_html_math_renderer("mathml", (inline, None), (displayed, None))
    app.connect("autodoc-process-docstring", as_rest)

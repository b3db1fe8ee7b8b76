"""Sphinx builds the site by `ci/docs`: pages that run, every link and warning an error."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = str(ROOT)  # of the kernel that runs the pages

project = "xpnn"
author = "The xpnn developers"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 60
html_theme = "pydata_sphinx_theme"
html_title = "xpnn"
html_theme_options = {"navigation_depth": 2, "show_prev_next": True}
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # annotations name types of other libraries
autodoc_typehints = "none"

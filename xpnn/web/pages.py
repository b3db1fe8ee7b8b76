"""The pages as text, each one file with its style and scripts inside, and the policy that lets these alone run."""

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpnn.data import TablePreparation
from xpnn.errors import UsageError
from xpnn.interchange.html_export import PAGE, about_of, filled, layers_of, page_of, shows_probabilities
from xpnn.interchange.javascript import script
from xpnn.interchange.trace import program_of
from xpnn.layers.base import is_multiple

if TYPE_CHECKING:
    from xpnn.model import Model

ASSETS = Path(__file__).with_name("assets")
INLINE = re.compile(r"<(script|style)[^>]*>(.*?)</\1>", re.DOTALL)
ALLOWED = (
    "default-src 'none'; img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
TITLES = {"/": "Model", "/runs": "Runs", "/playground": "Playground"}


def links(shown: Sequence[str], here: str) -> str:
    """The links between the pages of a server."""
    if len(shown) < 2:
        return ""
    current = {here: ' aria-current="page"'}
    each = [f'<a href="{path}"{current.get(path, "")}>{TITLES[path]}</a>' for path in shown]
    return f'<nav aria-label="Pages">{"".join(each)}</nav>'


def model_page(model: "Model", name: str, classes: Sequence[str], examples: Any, shown: Sequence[str]) -> str:
    """A page to draw on, or to type numbers into; the answers are the server's.

    What happens inside is computed in the page, where the network can be exported to it.
    """
    shape: Any = model.input_shape
    parts = [list(one) for one in shape] if is_multiple(shape) else [list(shape)]
    on_canvas = len(parts) == 1 and len(parts[0]) == 3 and None not in parts[0]
    several = is_multiple(model.output_shape)
    shares = not several and shows_probabilities(model, None)
    about = about_of(model, name, classes, examples if on_canvas else (), shares)
    about |= {
        "shape": parts[0] if len(parts) == 1 else [],
        "parts": parts,
        "several": several,
        "server": True,
    }
    if isinstance(model.preparation, TablePreparation):
        about["columns"] = [column.name for column in model.preparation.columns]
    more = (ASSETS / "remote.js").read_text(encoding="utf-8")
    return page_of(about, _program(model) or "const layers = [];", more, links(shown, "/"))


def _program(model: "Model") -> str:
    """The network as a script, for what happens inside; "" for one that only the server has."""
    if isinstance(model.preparation, TablePreparation):
        return ""
    try:
        program = program_of(model)
        fits = len(program.inputs) == len(program.outputs) == 1 and program.inputs[0][1] != "int64"
        return script(program, layers_of(model)) if fits else ""
    except UsageError:
        return ""


def runs_page(shown: Sequence[str]) -> str:
    """Trainings watched live, and compared."""
    return _page("runs", "Runs", ("chart", "pictures", "runs"), links(shown, "/runs"))


def playground_page(shown: Sequence[str] = ()) -> str:
    """A small network that trains in the page, on points in the plane. Works offline."""
    names = ("net", "points", "chart", "playground", "steps")
    return _page("playground", "Playground", names, links(shown, "/playground"))


def _page(name: str, title: str, scripts: Sequence[str], nav: str) -> str:
    own = ASSETS / f"{name}.css"
    style = (PAGE / "style.css").read_text(encoding="utf-8") + own.read_text(encoding="utf-8")
    code = "\n".join((ASSETS / f"{one}.js").read_text(encoding="utf-8") for one in scripts)
    parts = {"TITLE": html.escape(title), "LINKS": nav, "STYLE": style, "SCRIPT": code}
    return filled((ASSETS / f"{name}.html").read_text(encoding="utf-8"), parts)


def policy(page: str) -> str:
    """The Content-Security-Policy: the page's own scripts and styles, by their hashes, and requests to the server."""
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in INLINE.findall(page):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    return "; ".join([ALLOWED, *(f"{kind}-src {' '.join(found)}" for kind, found in hashes.items() if found)])

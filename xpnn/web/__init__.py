"""The page that shows a model: its parts, put together by `xpnn.interchange.save_html`."""

from pathlib import Path

FOLDER = Path(__file__).parent


def part(name: str) -> str:
    """The text of one file of the page."""
    return (FOLDER / name).read_text(encoding="utf-8")

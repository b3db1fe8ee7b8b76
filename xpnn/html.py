"""Tables as a notebook shows them. Every cell is escaped: names of classes and paths come from files of others."""

import html
from collections.abc import Sequence

from xpnn.printing import printable


def escaped(text: object) -> str:
    """The text as it may stand in HTML, also between quotes."""
    return html.escape(printable(text), quote=True)


def html_table(
    head: Sequence[object], rows: Sequence[Sequence[object]], title: str = "", note: str = ""
) -> str:
    """A table, with a title above and a note below. What is a number, or begins like one, stands on the right."""
    top = "".join(f"<th>{escaped(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    caption = f"<p><b>{escaped(title)}</b></p>" if title else ""
    return f"{caption}<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>" + "".join(
        f"<p>{escaped(line)}</p>" for line in note.splitlines()
    )


def preformatted(text: str) -> str:
    """Text whose columns stay below each other."""
    return f"<pre>{escaped(text)}</pre>"


def _cell(value: object) -> str:
    text = str(value)
    side = "right" if text[:1].isdigit() or text[:1] in "-+." else "left"
    return f'<td style="text-align: {side}">{escaped(text)}</td>'

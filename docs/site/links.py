"""Follows every link inside the built site: `python docs/site/links.py FOLDER` names those that lead nowhere."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The addresses that a page names, and the places in it that may be named."""

    def __init__(self, text):
        super().__init__()
        self.links, self.places = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note what the tag names."""
        found = dict(attrs)
        self.places |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag not in ("link", "meta"):
            self.links += [found[key] for key in ("href", "src") if found.get(key)]


def broken(folder):
    """(page, link) of every link inside that has no file, or no place in its file."""
    found = sorted(Path(folder).resolve().rglob("*.html"))
    pages = {path: Page(path.read_text()) for path in found if "_static" not in path.parts}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            lost = parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].places
            if not target.exists() or lost:
                yield path.relative_to(Path(folder).resolve()), link


if __name__ == "__main__":
    found = list(broken(sys.argv[1]))
    for page, link in found:
        print(f"{page}: {link} leads nowhere")
    sys.exit(bool(found))

"""Parts of pages that scripts write: each between two marks, so that a script replaces its own part alone."""

END = "<!-- end -->"


def put(page, mark, text):
    """Between `<!-- mark -->` and the next `<!-- end -->`; at the end of a page that has no such mark."""
    begin = f"<!-- {mark} -->"
    whole = page.read_text() if page.exists() else ""
    if begin not in whole:
        whole = f"{whole.rstrip()}\n\n{begin}{END}\n".lstrip()
    before, _, rest = whole.partition(begin)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{END}{after}")

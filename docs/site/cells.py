"""Runs the cells of notebooks in this process: starting a kernel for each page would take longer than the page."""

from base64 import b64encode

import nbformat
from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config


class Kept(DisplayHook):
    """Keeps what the last line of a cell gives, in place of printing it."""

    def write_output_prompt(self):
        """Print nothing before it."""
        self.shell.kept = None

    def write_format_data(self, format_dict, md_dict=None):
        """Keep it in every form that it has: text, table, picture."""
        self.shell.kept = format_dict

    def finish_displayhook(self):
        """Print nothing behind it."""
        self._is_active = False


def run_all(made):
    """Run the notebooks, each in empty names. What fails is named by its page, at the end."""
    settings = Config({"HistoryManager": {"enabled": False}})
    shell, failed = InteractiveShell.instance(config=settings, displayhook_class=Kept), []
    shell.display_formatter.active_types = shell.display_formatter.format_types
    for name, book in made.items():
        shell.user_ns.clear()  # `shell.reset` collects garbage, too, which takes longer than most pages
        shell.init_user_ns()
        for cell in book.cells:
            if cell.cell_type == "code" and (error := run(shell, cell)):
                failed.append(f"{name}: {type(error).__name__}: {error}\n{cell.source}")
                break
    if failed:
        raise SystemExit("\n\n".join(failed))


def run(shell, cell):
    """Run a cell, and keep what it shows. Returns the error that it ends with, if any."""
    shell.kept = None
    with capture_output() as shown:
        result = shell.run_cell(cell.source)
    cell.outputs = (
        [nbformat.v4.new_output("stream", name="stdout", text=shown.stdout)] if shown.stdout else []
    )
    for data in [*(output.data for output in shown.outputs), shell.kept]:
        if data:
            cell.outputs.append(nbformat.v4.new_output("display_data", data=as_text(data)))
    return result.error_in_exec or result.error_before_exec


def as_text(data):
    """Pictures as base64, as notebooks have them."""
    return {
        kind: b64encode(value).decode() if isinstance(value, bytes) else value for kind, value in data.items()
    }

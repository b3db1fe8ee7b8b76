"""First on the path of a process of its own, this hides numba: to load its loops takes longer than most commands."""

import sys

sys.modules["numba"] = None

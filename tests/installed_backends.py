"""The backends whose libraries, and where they need one whose GPU, are here."""

from xpnn.backends import BACKENDS, get_backend
from xpnn.errors import BackendError


def works(name):
    try:
        get_backend(name)
    except BackendError:
        return False
    return True


INSTALLED = [name for name in BACKENDS if works(name)]

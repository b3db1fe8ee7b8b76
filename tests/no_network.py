"""Tests reach no other machine: a connection to one is an error, as is asking for its address."""

import socket
import sys

HERE = {"", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::", socket.gethostname()}


class NetworkError(AssertionError):
    """A test was about to leave this machine."""


def refuse(event, args):
    """An audit hook of Python: what it raises stops the call."""
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host is not None and host not in HERE:
        raise NetworkError(f"{event}: a test asked for {host}")


def stay():
    """From now on, in this process."""
    sys.addaudithook(refuse)

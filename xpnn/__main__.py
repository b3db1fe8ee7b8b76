"""`python -m xpnn` is `xpnn`."""

from xpnn.cli import main

main()

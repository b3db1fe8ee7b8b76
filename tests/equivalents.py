"""Mutants that change nothing that a caller could observe: (file, change): why. See mutants.py.

A test checks that each can be made.
"""

EQUIVALENT = {}

"""NumPy's memory from an allocator that can refuse: the k-th array that is to be made raises MemoryError.

NumPy lets a program put its own functions in place of malloc for the contents of arrays (NEP 49); it is part of its C
interface alone, which is reached here through the table that extension modules use.
"""

import contextlib
import ctypes

import numpy as np

SET_HANDLER, GET_HANDLER = 304, 305
"""Places of PyDataMem_SetHandler and PyDataMem_GetHandler in NumPy's table of functions."""
ALLOCATE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
CLEARED = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
RESIZED = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler, version 1."""

    _fields_ = [
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", ctypes.c_void_p),
        ("malloc", ALLOCATE),
        ("calloc", CLEARED),
        ("realloc", RESIZED),
        ("free", ctypes.c_void_p),
    ]


api = ctypes.pythonapi
api.PyCapsule_GetPointer.restype = ctypes.c_void_p
api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
api.PyCapsule_New.restype = ctypes.py_object
api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


def function(place, *types):
    table = ctypes.cast(
        api.PyCapsule_GetPointer(np._core.multiarray._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p)
    )
    return ctypes.PYFUNCTYPE(*types)(table[place])


set_handler = function(SET_HANDLER, ctypes.py_object, ctypes.py_object)
get_handler = function(GET_HANDLER, ctypes.py_object)


class Allocator:
    """Counts allocations in `count`; the one with the number `fails` gets nothing."""

    def __init__(self):
        self.count, self.fails = 0, None
        before = Handler.from_address(api.PyCapsule_GetPointer(get_handler(), b"mem_handler"))
        # Python functions may be called where memory is asked for, but not where it is given back, with an error set
        self.handler = Handler(
            b"failing",
            1,
            before.context,
            ALLOCATE(lambda context, size: self.ask(before.malloc, context, size)),
            CLEARED(lambda context, n, size: self.ask(before.calloc, context, n, size)),
            RESIZED(lambda context, old, size: self.ask(before.realloc, context, old, size)),
            before.free,
        )
        self.capsule = api.PyCapsule_New(ctypes.addressof(self.handler), b"mem_handler", None)

    def ask(self, f, *args):
        self.count += 1
        return None if self.count == self.fails else f(*args)


ALLOCATOR = Allocator()
"""One for the process: arrays remember who made them for as long as they live."""


@contextlib.contextmanager
def failing(k=None):
    """Inside, the k-th array that NumPy makes raises MemoryError. Gives the allocator, which counts them."""
    ALLOCATOR.count, ALLOCATOR.fails = 0, k
    before = set_handler(ALLOCATOR.capsule)
    try:
        yield ALLOCATOR
    finally:
        ALLOCATOR.fails = None
        set_handler(before)

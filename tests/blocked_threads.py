"""One thread inside, another that wants to enter: finds threads that should wait for each other and do not."""

import threading

PATIENCE = 60
"""Seconds until a test of threads that never meet fails."""


class Watched:
    """A lock that reports when a thread has to wait for it."""

    def __init__(self, lock, met):
        self.lock, self.met = lock, met

    def __enter__(self):
        if not self.lock.acquire(blocking=False):
            self.met.set()
            self.lock.acquire()

    def __exit__(self, *error):
        self.lock.release()


class Inside:
    """What only one thread at a time may be in. The first stays until another has come in too, or waits at a lock."""

    def __init__(self):
        self.met, self.holder, self.together = threading.Event(), None, False
        self.entered = threading.Event()

    def watched(self, lock):
        return Watched(lock, self.met)

    def visit(self, stay=True):
        """Somebody is inside, and may stay there."""
        me = threading.get_ident()
        if self.holder is None and stay:
            self.holder = me
            self.entered.set()
            assert self.met.wait(PATIENCE), "the other thread neither came in nor had to wait"
            self.holder = 0
        elif self.holder not in (None, 0, me):
            self.together = True
            self.met.set()

    def meet(self, first, second):
        """Runs both, each in its thread, the second once the first is inside; and what went wrong in them."""
        errors = []

        def run(f):
            try:
                f()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=run, args=(f,)) for f in (first, second)]
        threads[0].start()
        assert self.entered.wait(PATIENCE), errors
        threads[1].start()
        for thread in threads:
            thread.join(PATIENCE)
        assert errors == []
        assert not self.together

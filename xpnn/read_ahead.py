"""Reading in a thread what will be used next."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Asked = TypeVar("Asked")
Found = TypeVar("Found")


def read_ahead(read: Callable[[Asked], Found], asked: Iterable[Asked], count: int) -> Iterator[Found]:
    """read(one) for each one asked for, in order; a thread is `count` of them ahead.

    What goes wrong in the thread is raised here. The thread ends with the last one, or with the iterator.
    """
    with ThreadPoolExecutor(1, "xpnn-read-ahead") as pool:
        waiting: deque[Future[Found]] = deque()
        for one in asked:
            waiting.append(pool.submit(read, one))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

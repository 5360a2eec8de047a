"""Work on a row of items in threads: in order, and a bounded number of them under way."""

import collections
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from hourglass.utils.errors import UserError

T = TypeVar("T")
R = TypeVar("R")


def count_cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class Pool(ThreadPoolExecutor):
    """Some threads, or one for each core; after Ctrl-C `submit` raises KeyboardInterrupt.

    Raised at any other place it could leave one of the pool's locks held for ever.
    """

    def __init__(self, num_threads: int | None = None) -> None:
        super().__init__(num_threads or count_cores())
        self.is_interrupted = threading.Event()

    def submit(self, function: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """Have a thread call the function; gives a Future."""
        if self.is_interrupted.is_set():
            raise KeyboardInterrupt
        return super().submit(function, *args, **kwargs)


@contextlib.contextmanager
def open_pool(num_threads: int | None = None) -> Iterator[Pool]:
    """A Pool; at the end running jobs are finished, and no new one starts."""
    pool = Pool(num_threads)
    with handle_interrupts(pool.is_interrupted):
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
    if pool.is_interrupted.is_set():  # after the last `submit`
        raise KeyboardInterrupt


@contextlib.contextmanager
def handle_interrupts(event: threading.Event) -> Iterator[None]:
    """Set the event at Ctrl-C; a second Ctrl-C is handled as usual."""
    usual = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if usual is not signal.default_int_handler or not is_main:  # ignored, or not ours to handle
        yield
        return

    def handle(*_: object) -> None:
        event.set()
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def read_ahead(pool: Pool, items: Iterator[T], number: int) -> Iterator[T]:
    """The items of an iterator, in order, `number` of them taken ahead by a pool of one thread."""
    end = object()
    under_way = collections.deque(pool.submit(next, items, end) for _ in range(number))
    while (item := under_way.popleft().result()) is not end:
        under_way.append(pool.submit(next, items, end))
        yield item


def map_ahead(
    pool: Pool, function: Callable[[T], R], items: Iterable[T | UserError], number: int
) -> Iterator[R | UserError]:
    """The results of `function` for the items, in order; at most `number` run at a time.

    A `UserError` that it raises takes the place of the result; one among the items goes through.
    Any other exception ends the row.
    """
    under_way: collections.deque[Future] = collections.deque()
    for item in items:
        under_way.append(pool.submit(attempt, function, item))
        if len(under_way) == number:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def attempt(function: Callable[[T], R], item: T | UserError) -> R | UserError:
    """The result of `function` for an item; a `UserError` that it raises, or that the item is."""
    try:
        return item if isinstance(item, UserError) else function(item)
    except UserError as error:
        return error

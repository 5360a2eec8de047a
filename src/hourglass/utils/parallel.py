"""Work on a row of items in threads: in order, and no more of it under way than is told."""

import collections
import contextlib
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

from hourglass.utils.errors import UserError


class Pool(ThreadPoolExecutor):
    """Some threads, or one for each core; after Ctrl-C `submit` raises KeyboardInterrupt.

    Raised at any other place it could leave one of the pool's locks held for ever.
    """

    def __init__(self, num_threads=None):
        super().__init__(num_threads or count_cores())
        self.is_interrupted = threading.Event()

    def submit(self, function, *arguments):
        """Have a thread call the function; gives a Future."""
        if self.is_interrupted.is_set():
            raise KeyboardInterrupt
        return super().submit(function, *arguments)


def count_cores():
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone
    return len(affinity(0)) if affinity else os.cpu_count()


@contextlib.contextmanager
def open_pool(num_threads=None):
    """A Pool; in the end what is under way is finished, and nothing begun."""
    pool = Pool(num_threads)
    with handle_interrupts(pool.is_interrupted):
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
    if pool.is_interrupted.is_set():  # after the last `submit`
        raise KeyboardInterrupt


@contextlib.contextmanager
def handle_interrupts(event):
    """Set the event at Ctrl-C; the second time it is handled as ever."""
    usual = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if usual is not signal.default_int_handler or not is_main:  # ignored, or not ours to handle
        yield
        return

    def handle(*_):
        event.set()
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def read_ahead(pool, items, number):
    """The items of an iterator, in order, `number` of them taken ahead by a pool of one thread."""
    end = object()
    under_way = collections.deque(pool.submit(next, items, end) for _ in range(number))
    while (item := under_way.popleft().result()) is not end:
        under_way.append(pool.submit(next, items, end))
        yield item


def map_ahead(pool, function, items, number):
    """What `function` gives of each item, in order, at most `number` of them under way.

    A `UserError` that it raises is given in the place of a result, and one among the items goes
    through as it is; any other exception ends the row.
    """

    def attempt(item):
        try:
            return item if isinstance(item, UserError) else function(item)
        except UserError as error:
            return error

    under_way = collections.deque()
    for item in items:
        under_way.append(pool.submit(attempt, item))
        if len(under_way) == number:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()

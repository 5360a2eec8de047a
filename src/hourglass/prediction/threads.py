"""Work on a row of items in threads: in order, and no more of it under way than is told."""

import collections
import contextlib
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

from hourglass.errors import UserError


class Pool(ThreadPoolExecutor):
    """A thread for each core; where Ctrl-C was pressed, `submit` raises KeyboardInterrupt.

    Raised at any other place it could leave one of the pool's locks held for ever.
    """

    def __init__(self):
        super().__init__(os.cpu_count())
        self.is_interrupted = threading.Event()

    def submit(self, function, *arguments):
        """Have a thread call the function; gives a Future."""
        if self.is_interrupted.is_set():
            raise KeyboardInterrupt
        return super().submit(function, *arguments)


@contextlib.contextmanager
def open_pool():
    """A Pool; in the end what is under way is finished, and nothing begun."""
    pool = Pool()
    with _handle_interrupts(pool.is_interrupted):
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
    if pool.is_interrupted.is_set():  # after the last `submit`
        raise KeyboardInterrupt


@contextlib.contextmanager
def _handle_interrupts(event):
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

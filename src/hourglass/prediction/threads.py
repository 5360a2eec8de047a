"""Work on a row of items in threads: in order, and no more of it under way than is told."""

import collections
import contextlib
import os
from concurrent.futures import ThreadPoolExecutor

from hourglass.errors import UserError


@contextlib.contextmanager
def open_pool():
    """A thread for each core; in the end what is under way is finished, and nothing begun."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


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

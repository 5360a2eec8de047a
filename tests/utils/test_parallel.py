import os
import signal
import threading
import time

import pytest

from helpers.imports import MODULES, module_path
from hourglass.utils.errors import UserError
from hourglass.utils.parallel import count_cores, map_ahead, open_pool, read_ahead


def test_results_are_in_order_though_the_first_takes_longest():
    def square(number):
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number * number

    with open_pool() as pool:
        assert list(map_ahead(pool, square, range(50), 8)) == [k * k for k in range(50)]


@pytest.mark.parametrize("number", [1, 4])
def test_no_more_is_taken_than_may_be_under_way(number):
    taken = []

    def items():
        for item in range(40):
            taken.append(item)
            yield item

    with open_pool() as pool:
        for given, _ in enumerate(map_ahead(pool, str, items(), number), start=1):
            assert len(taken) < given + number


def test_a_user_error_takes_its_items_place_and_goes_through():
    def halve(number):
        if number % 2:
            raise UserError(f"{number} is odd")
        return number // 2

    with open_pool() as pool:
        first = map_ahead(pool, halve, [8, 3, 4], 2)
        results = list(map_ahead(pool, halve, first, 2))
    assert (results[0], results[2]) == (2, 1) and str(results[1]) == "3 is odd"


def test_a_defect_ends_the_row_and_nothing_more_is_begun():
    begun, go_on = [], threading.Event()

    def work(number):
        begun.append(number)
        if number == 0:
            raise ZeroDivisionError
        go_on.wait(10)  # all threads are busy, so that the others wait for one

    with pytest.raises(ZeroDivisionError), open_pool() as pool:
        try:
            list(map_ahead(pool, work, range(1000), 1000))
        finally:
            threading.Timer(0.1, go_on.set).start()
    assert len(begun) < 1000


@pytest.mark.parametrize("at", [3, 39])
def test_an_interrupt_comes_between_two_items_or_at_the_end(at):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run where it is ignored
    given = []
    with pytest.raises(KeyboardInterrupt), open_pool() as pool:
        for item in map_ahead(pool, str, range(40), 4):
            given.append(item)
            if len(given) == at:
                os.kill(os.getpid(), signal.SIGINT)
    assert len(given) in (at, 40)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_interrupts_are_ignored_they_stay_so():
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with open_pool() as pool:
            os.kill(os.getpid(), signal.SIGINT)
            assert list(map_ahead(pool, str, range(3), 2)) == ["0", "1", "2"]
    finally:
        signal.signal(signal.SIGINT, usual)


def test_items_are_taken_ahead_in_order_by_another_thread():
    taken, threads = [], set()

    def items():
        for item in range(40):
            taken.append(item)
            threads.add(threading.current_thread())
            yield item

    with open_pool(1) as pool:
        for given, item in enumerate(read_ahead(pool, items(), 5), start=1):
            assert item == given - 1
            assert len(taken) <= given + 5
    assert len(taken) == given == 40
    assert len(threads) == 1 and threading.current_thread() not in threads


def test_what_reading_raises_comes_after_the_items_before_it():
    def items():
        yield from (1, 2)
        raise UserError("torn")

    with open_pool(1) as pool:
        ahead = read_ahead(pool, items(), 4)
        assert [next(ahead), next(ahead)] == [1, 2]
        with pytest.raises(UserError, match="torn"):
            next(ahead)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_fewer_items_than_may_be_ahead(number):
    with open_pool(1) as pool:
        assert list(read_ahead(pool, iter(range(number)), 4)) == list(range(number))


@pytest.mark.parametrize("number", [1, 3])
def test_cores_are_those_that_this_process_may_use(monkeypatch, number):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(number)), raising=False)
    assert count_cores() == number


@pytest.mark.parametrize(("told", "number"), [(6, 6), (None, 1)])
def test_where_there_is_no_affinity_cores_are_those_of_the_machine(monkeypatch, told, number):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: told)
    assert count_cores() == number


def test_cores_are_counted_in_one_place():
    words = ("cpu_count", "sched_getaffinity")
    counting = [m for m in MODULES if any(word in module_path(m).read_text() for word in words)]
    assert counting == ["utils.parallel"]

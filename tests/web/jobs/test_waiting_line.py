"""The queue of visitors."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from atldiff.errors import InputError
from atldiff.web.jobs.waiting_line import MAX_WAITING, Queue


def test_the_queue_is_first_come_first_served_and_tells_place_and_time():
    waiting = Queue()
    with waiting.place() as first, waiting.place() as second:
        first.seconds, second.seconds = 7.0, 5.0
        assert list(first.waiting()) == []
        with waiting.place() as third:
            assert next(third.waiting()) == (2, 12.0)
        turns = second.waiting()
        assert next(turns) == (1, 7.0)
        turns.close()
        assert waiting.before(second) == [first]
    with waiting.place() as alone:
        assert waiting.before(alone) == []


def test_several_have_their_turn_at_once_and_whoever_leaves_lets_the_next_in():
    waiting = Queue(at_once=2)
    with waiting.place() as first, ExitStack() as left, waiting.place() as third:
        second = left.enter_context(waiting.place())
        fourth = left.enter_context(waiting.place())
        assert list(first.waiting()) == list(third.waiting()) == []
        first.seconds, third.seconds, second.seconds = 6.0, 4.0, 8.0
        assert next(second.waiting()) == (1, 5.0) and next(fourth.waiting()) == (2, 9.0)
        left.close()
        assert waiting.before(third) == []


def test_each_step_of_waiting_may_be_taken_by_another_thread():
    waiting = Queue()
    with ThreadPoolExecutor(2) as threads, waiting.place() as first, waiting.place() as second:
        first.seconds = 7.0
        turns = second.waiting()
        assert threads.submit(next, turns).result(5) == (1, 7.0)
        assert threads.submit(waiting.before, first).result(5) == []  # nothing is locked meanwhile
        assert next(turns) == (1, 7.0)


def test_a_full_queue_is_told():
    waiting = Queue()
    with ExitStack() as stack:
        for _ in range(MAX_WAITING + 1):
            stack.enter_context(waiting.place())
        with pytest.raises(InputError, match="Try again"), waiting.place():
            pass
    with waiting.place():
        pass

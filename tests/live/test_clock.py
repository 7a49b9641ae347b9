"""The delay follows the machine, and sound never breaks."""

import sys
import threading

import numpy as np

from atldiff.live.clock import BLOCK, LiveClock


def run(seconds: float, took, quiet=lambda block: block % 50 < 10) -> tuple[LiveClock, list]:
    """Sound arrives in time; frame i is ready `took(i)` seconds after its moment. Pauses come each second."""
    clock, left, ready = LiveClock(), [], set()
    events = sorted((frame / 30 + took(frame), frame) for frame in range(round(30 * seconds)))[::-1]
    for step in range(round(seconds / BLOCK)):
        while events and events[-1][0] <= step * BLOCK:
            frame = events.pop()[1]
            ready.add(frame)
            clock.note_frame(frame, step)
        left.append(clock.next_block(step, quiet(clock.cursor)))
        clock.note_slot(clock.due in ready)
    return clock, left


def test_delay_follows_the_machine_up_and_down():
    for took in (0.25, 0.7):
        clock, _ = run(20, lambda frame, took=took: took)
        assert abs(clock.delay(1000) - took - 0.02) < 0.09
    slow_then_fast, _ = run(60, lambda frame: 0.8 if frame < 900 else 0.3)
    assert slow_then_fast.delay(3000) < 0.45


def test_a_rare_late_frame_does_not_move_the_delay():
    clock, _ = run(20, lambda frame: 1.0 if frame % 50 == 0 else 0.3)
    assert clock.delay(1000) < 0.47


def test_no_block_of_speech_is_lost_said_twice_or_held():
    rng = np.random.default_rng(0)
    times = rng.uniform(0.2, 0.9, 3000)
    _, left = run(40, lambda frame: float(times[frame]))
    said = [block for block in left if block is not None]
    assert said == sorted(set(said))
    assert {block for block in range(said[-1]) if block % 50 >= 10} <= set(said)
    first = next(step for step, block in enumerate(left) if block is not None)
    gaps = [step for step in range(first, len(left)) if left[step] is None]
    before = [next(block for block in left[step::-1] if block is not None) for step in gaps]
    assert all(block % 50 < 10 or block % 50 == 49 for block in before)


def test_a_microphone_that_stops_gives_silence_and_the_sound_after_it_is_whole():
    clock = LiveClock()
    heard = [0] * 30 + list(range(60)) + [60] * 40 + list(range(60, 100))
    left = [block for count in heard if (block := clock.next_block(count, False)) is not None]
    assert left == list(range(len(left))) and len(left) > 60
    assert 0.3 < clock.delay(100) < 0.5  # as at the beginning


def test_without_pauses_a_slow_machine_shows_late_pictures_and_the_sound_goes_on():
    clock, left = run(20, lambda frame: 1.2, quiet=lambda block: False)
    assert 0.35 < clock.delay(1000) < 0.5 and clock.late > 0.9 * clock.slots - 60
    said = [block for block in left if block is not None]
    assert said == list(range(len(said)))


def test_a_machine_that_sends_too_little_sound_does_not_fall_behind_for_ever():
    clock = LiveClock()
    left = [clock.next_block(2 * step, False) for step in range(1_000)]  # every second block's time is missed
    assert clock.delay(2_000) < 1.5
    said = [block for block in left if block is not None]
    assert said == sorted(set(said))


def test_one_thread_notes_pictures_while_another_lets_sound_leave():
    clock, done, wrong = LiveClock(), threading.Event(), []

    def note() -> None:
        frame = 0
        while not done.is_set():
            clock.note_frame(frame, frame)  # old ones are forgotten all the time
            frame += 1

    thread, before = threading.Thread(target=note), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for _ in range(3000):
            wrong += [] if clock.wanted > 0 else [clock.wanted]
    finally:
        sys.setswitchinterval(before)
        done.set()
        thread.join()
    assert wrong == []

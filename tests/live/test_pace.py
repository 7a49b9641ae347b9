"""How many frames a machine makes, on a made-up clock."""

from atldiff.live.pace import STRIDES, Pace

CHUNK = 0.1  # seconds of speech, three frames


def run(pace: Pace, seconds: float, frame: float) -> list[int]:
    """The strides while a thread needs `frame` seconds for a frame; it makes what is newest."""
    now, strides = 0.0, []
    while now < seconds:
        work = frame * 3 / pace.stride
        strides.append(pace.stride)
        pace.note(work, max(CHUNK, work))
        now += max(CHUNK, work)
    return strides


def test_a_machine_in_time_makes_every_frame():
    assert set(run(Pace(), 60, frame=0.029)) == {1}


def test_a_slow_one_makes_as_many_as_it_can_and_does_not_swing():
    for frame, stride in ((0.05, 2), (0.08, 3), (0.15, 6), (1.0, STRIDES[-1])):
        strides = run(Pace(), 60, frame)
        assert set(strides[len(strides) // 3 :]) == {stride}, (frame, strides)


def test_the_first_seconds_of_work_do_not_count():
    pace = Pace()
    assert set(run(pace, 2, frame=0.2)) == {1}
    assert set(run(pace, 30, frame=0.02)) == {1}


def test_all_frames_come_again_some_seconds_after_a_machine_is_free():
    pace = Pace()
    assert run(pace, 20, frame=0.1)[-1] == 4
    strides = run(pace, 40, frame=0.02)
    assert strides[-1] == 1 and strides[40] == 4  # not at once

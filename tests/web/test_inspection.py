"""Looks at photo and recording that overtake each other."""

import threading

import gradio as gr

from atldiff.web.events.inspection import _newest


def test_nothing_is_shown_that_a_later_look_has_overtaken():
    later, looks, shown, note = threading.Event(), [], {}, object()

    def look(name: str) -> dict:
        assert name != "slow" or later.wait(10)
        return {note: name}

    run = _newest(look, note)
    slow = threading.Thread(target=lambda: shown.update(slow=run(looks, "slow")))
    slow.start()
    while not looks:
        pass
    assert run(looks, "good") == {note: "good"}
    later.set()
    slow.join(10)
    assert shown["slow"] == {note: gr.skip()}

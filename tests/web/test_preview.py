"""What the page shows beside the video: notes, progress, the annotated photo, the model card."""

from dataclasses import replace

import numpy as np
import page
import pytest

from atldiff.portrait.portrait import load_portrait
from atldiff.web import texts
from atldiff.web.preview import annotate, describe, face_at, format_time, note, progress


def test_notes_cannot_carry_markup_and_keep_their_punctuation():
    for words in (note(["<img src=x>"]), progress("<script>", 0.5)):
        assert "<img" not in words and "<script" not in words
    assert "the face's own" in note(["the face's own"]) and "role='alert'" in note(["wrong"], "bad")


def test_progress_is_a_progress_bar_to_a_screen_reader():
    running, done = progress("half", 0.5), progress("Done", kind="done")
    assert "role='progressbar'" in running and "aria-valuenow='50'" in running and "width: 50%" in running
    assert "role='status'" in done and "role='alert'" in progress("wrong", kind="bad")


def test_time_is_said_as_people_say_it():
    assert [format_time(s) for s in (0.2, 8.4, 80)] == ["1 s", "8 s", "1 min 20 s"]


def test_faces_of_the_annotated_photo_can_be_clicked():
    portrait = load_portrait(page.EXAMPLES / "drawn.jpg")
    width = portrait.image.shape[1]
    image = np.concatenate([portrait.image, portrait.image], axis=1)
    shift = np.float32([width, 0, width, 0])
    both = replace(portrait, image=image, faces=(portrait.faces[0], portrait.faces[0] + shift))
    picture = annotate(both)
    assert picture.shape == (320, 640, 3)
    x, y = (portrait.landmarks[30] * 320 / width).tolist()
    assert (face_at(both, x, y), face_at(both, x + 320, y), face_at(both, 2, 2)) == (1, 2, None)
    assert describe(both)["faces"][1][0] == pytest.approx(describe(both)["faces"][0][0] + width, abs=0.2)


def test_the_model_card_is_shown_without_a_yaml_header_and_from_its_first_line(tmp_path, monkeypatch):
    card = "# Card\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n---\n\nThe end.\n"
    monkeypatch.setattr(texts, "MODEL_CARD", tmp_path / "card.md")
    for header in ("", "---\nlicense: other\ntags:\n- a---b\n---\n\n"):
        texts.MODEL_CARD.write_text(header + card)
        assert texts.model_card() == card

"""What a browser says that it remembers is checked like any call."""

import pytest

from atldiff.options import DEFAULTS, OPTIONS
from atldiff.web.events import visit


@pytest.fixture
def uploads(tmp_path, monkeypatch):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "face-voice.mp4").write_bytes(b"video")
    monkeypatch.setattr(visit, "get_upload_folder", lambda: str(folder))
    return folder


def test_a_file_comes_back_if_it_was_uploaded_here_and_is_still_there(uploads):
    assert visit._file(str(uploads / "face-voice.mp4"), "video") == str(uploads / "face-voice.mp4")
    for other in (
        "http://localhost/x.png",
        "data:image/png;base64,AAAA",
        "/etc/passwd",
        str(uploads / ".." / "secret"),
        str(uploads / "gone.mp4"),
        5,
        {},
        None,
        "",
    ):
        assert visit._file(other, "video") is None


@pytest.mark.parametrize(
    "wrong", [{"lips": 99}, {"output": "huge"}, {"emotion": ["sad"]}, {"steps": "x"}], ids=str
)
def test_settings_come_back_whole_or_not_at_all(uploads, wrong):
    right = {name: getattr(DEFAULTS, name) for name in OPTIONS} | {"lips": 0.5, "steps": 1, "face": 3}
    assert visit._settings(right | {"a name of yesterday": 1}) == right
    assert visit._settings(right | wrong) == {} == visit._settings(None)
    video = str(uploads / "face-voice.mp4")
    take = visit._take({"video": video, "values": right | {"portrait": "/files/face.png"}})
    assert take.video == video and take.options == right
    assert visit._take({"video": video, "values": right | wrong}) is None
    assert visit._take({"video": "/etc/passwd", "values": right}) is None is visit._take("take")

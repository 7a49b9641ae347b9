"""What functions of the page are called with, and what their errors become; no server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import gradio as gr
import pytest
from gradio.state_holder import SessionState

from atldiff.errors import InputError
from atldiff.web.blocks import Blocks
from atldiff.web.files import locate_file
from atldiff.web.jobs.request import MAX_UPLOAD_BYTES


@pytest.fixture(autouse=True)
def uploads(tmp_path, monkeypatch) -> Path:
    """The folder of uploaded files."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "files"))
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


def call(function: Any, components: tuple[type, ...], values: list) -> Any:
    """What a function of a page gives whose inputs are such components."""
    with Blocks() as demo:
        inputs, output = [kind() for kind in components], gr.JSON()
        gr.Button().click(function, inputs, output)
    (fn,) = demo.fns.values()

    async def run() -> Any:
        return (await demo.process_api(fn, values))["data"][0].model_dump()

    return anyio.run(run)


@pytest.mark.parametrize("kind", [gr.Image, gr.Audio, gr.File, gr.UploadButton])
def test_a_file_comes_as_its_path_and_other_values_as_they_are(uploads, kind):
    (uploads / "a.bin").write_bytes(b"any content")
    values = [{"path": str(uploads / "a.bin")}, "none of the choices"]
    assert call(lambda *given: list(given), (kind, gr.Radio), values) == [str(uploads / "a.bin"), values[1]]
    assert call(lambda *given: list(given), (kind, gr.Slider), [None, "9e9"]) == [None, "9e9"]


@pytest.mark.parametrize(("visibility", "end"), [("private", gr.skip()), ("public", "ab")])
def test_the_pages_generators_end_without_their_last_values(visibility, end):
    """gradio's own would show them again, over what a visitor has done in the meantime."""

    def letters() -> Iterator[str]:
        yield "a"
        yield "ab"

    with Blocks() as demo:
        gr.Button().click(letters, None, gr.Textbox(), api_visibility=visibility)
    (fn,) = demo.fns.values()

    async def run() -> list:
        session, iterator, sent = SessionState(demo), None, []
        for _ in range(3):
            answer = await demo.process_api(fn, [], session, None, iterator, "session", "event")
            iterator = answer["iterator"]
            sent += answer["data"]
        assert not answer["is_generating"]
        return sent

    assert anyio.run(run) == ["a", [["append", [], "b"]], end]


def test_a_file_outside_a_large_one_and_one_that_is_gone_are_refused(uploads, tmp_path):
    (tmp_path / "other.bin").write_bytes(b"not uploaded")
    with (uploads / "large.bin").open("wb") as file:
        file.truncate(MAX_UPLOAD_BYTES + 1)
    cases = {
        tmp_path / "other.bin": "was not uploaded here",
        uploads / ".." / "other.bin": "was not uploaded here",
        uploads / "large.bin": "larger than 20 MB",
        uploads / "gone.bin": "no longer on this server. Upload it again.",
    }
    for path, sentence in cases.items():
        with pytest.raises(gr.Error, match=sentence):
            call(lambda path: path, (gr.File,), [{"path": str(path)}])


def test_a_data_url_is_one_file_with_the_ending_of_its_kind(uploads):
    path = Path(locate_file({"url": "data:application/json;charset=utf-8;base64,e30="}, "landmarks", uploads))
    assert path.name == "landmarks.json" and path.read_text() == "{}" and uploads in path.parents
    assert Path(locate_file("data:;base64,e30=", "landmarks", uploads)).name == "landmarks.bin"
    with pytest.raises(InputError, match="not base64"):
        locate_file("data:image/png;base64", "portrait", uploads)


def test_errors_are_sentences(caplog):
    def fail(error: Exception) -> Any:
        def run(*_: Any) -> None:
            raise error

        return run

    with pytest.raises(gr.Error, match="It is dark. Open the window."):
        call(fail(InputError("It is dark", "Open the window")), (gr.Number,), [1])
    with pytest.raises(gr.Error, match="Something failed on our side") as told:
        call(fail(ZeroDivisionError("secret")), (gr.Number,), [1])
    assert "secret" not in told.value.message and "ZeroDivisionError" in caplog.text
    with pytest.raises(gr.Error, match="too few values"):
        call(fail(ZeroDivisionError()), (gr.Number, gr.Number), [1])

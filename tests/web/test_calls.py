"""Calls of the API written by hand: files as data URLs, and mistakes, each answered in a sentence."""

import base64
import json
from pathlib import Path

import anyio
import httpx
import page
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from atldiff.sequence import LandmarkSequence
from atldiff.web.api import ANIMATE
from atldiff.web.jobs.body_check import MAX_BODY, ReadableBodies
from atldiff.web.jobs.request import MAX_UPLOAD_BYTES

NO_FILE = "portrait is neither a data URL nor an http(s) address. Give it as"
NOT_OURS = "portrait names a file that was not uploaded here. Give it as"
FILE = {"meta": {"_type": "gradio.FileData"}}
RAW = base64.b64encode(b"picture" * 30).decode()
LARGE = "data:image/png;base64," + "A" * (MAX_UPLOAD_BYTES * 4 // 3 + 8)
BAD_FILES = {
    "raw base64": (RAW, NO_FILE),
    "a path as text": ("/etc/passwd", NO_FILE),
    "a file: address as text": ("file:///etc/passwd", NO_FILE),
    "a file: address as url": ({"url": "file:///etc/passwd"}, NO_FILE),
    "a file: address as path": (FILE | {"path": "file:///etc/passwd"}, NOT_OURS),
    "a path": ({"path": "/etc/passwd"}, NOT_OURS),
    "a path of gradio's form": (FILE | {"path": "/etc/passwd"}, NOT_OURS),
    "a path of the examples": (FILE | {"path": str(page.EXAMPLES / "drawn.jpg")}, NOT_OURS),
    "raw base64 as path": ({"path": RAW * 50}, NOT_OURS),
    "a number": (5, "portrait is no file. Give it as"),
    "a list": ([RAW], "portrait is no file. Give it as"),
    "an empty object": ({}, "portrait is no file. Give it as"),
    "nothing": (None, "There is no portrait yet."),
    "no base64": ({"url": "data:image/png;base64,%%%"}, "The data URL of portrait is not base64."),
    "a data URL of text": ("data:image/png,picture", "The data URL of portrait is not base64."),
    "no picture": (
        {"url": f"data:image/png;base64,{RAW}"},
        "portrait.png is not a picture that can be read.",
    ),
    "too large": ({"url": LARGE}, "The file of portrait is larger than 20 MB. Choose a smaller file."),
    "this machine": ({"url": "http://localhost/x.png"}, "The address of portrait cannot be read."),
}


def data_url(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def ask(url: str, path: str, body: object) -> str:
    """What the server says to a call: an error's sentence, or the JSON of its values."""
    door = f"{url}gradio_api/{path}"
    asked = httpx.post(door, json=body, timeout=page.PATIENCE)
    if asked.status_code != 200:
        return f"{asked.status_code} {asked.json()['detail']}"
    with httpx.stream("GET", f"{door}/{asked.json()['event_id']}", timeout=page.PATIENCE) as stream:
        *_, kind, data = [line for line in stream.iter_lines() if line]
    return json.loads(data[6:])["error"] if kind == "event: error" else data[6:]


@pytest.fixture(autouse=True)
def no_traceback(server):
    log = server[1] / "server.log"
    before = log.read_text().count("Traceback")
    yield
    assert log.read_text().count("Traceback") == before


@pytest.mark.parametrize("version", ["call/v2", "call"])
def test_files_as_data_urls_give_a_file_and_a_video(server, tmp_path, version):
    def call(endpoint: str, values: dict) -> list:
        names = dict(page.published(server[0], endpoint))
        in_order = {"data": [values.get(name, default) for name, default in names.items()]}
        body = values if version == "call/v2" else in_order
        return json.loads(ask(server[0], f"{version}/{endpoint}", body))

    photo = data_url(page.photo(tmp_path / "face.png", 200), "image/png")
    voice = data_url(page.recording(tmp_path / "voice.wav", 0.4), "audio/wav")
    files = {"portrait": {"url": photo}, "speech": {"url": voice}}
    saved, _ = call("landmarks", files | {"file_format": "json"})
    (tmp_path / "saved.json").write_bytes(httpx.get(saved["url"]).content)
    assert LandmarkSequence.load(tmp_path / "saved.json").points.shape == (12, 68, 2)
    given = {"landmarks": {"url": data_url(tmp_path / "saved.json", "application/json")}, "steps": 1}
    (video,) = call("animate", files | given)
    (tmp_path / "made.mp4").write_bytes(httpx.get(video["url"]).content)
    found = page.probe(tmp_path / "made.mp4")
    assert found["size"] == (200, 200) and found["frames"] == 12
    given["landmarks"] = photo
    assert "landmarks.png is not a landmark file" in ask(server[0], "call/v2/animate", files | given)


@pytest.mark.parametrize("kind", BAD_FILES)
def test_what_is_no_file_is_refused_in_a_sentence(server, kind):
    value, sentence = BAD_FILES[kind]
    told = ask(server[0], "call/v2/check_portrait", {"portrait": value})
    assert told.startswith(sentence) and "root:" not in told


@pytest.mark.parametrize("kind", ["raw base64", "a path of gradio's form", "a number", "no base64"])
def test_values_in_order_are_judged_alike(server, kind):
    value, sentence = BAD_FILES[kind]
    told = ask(server[0], "call/check_portrait", {"data": [value, 1, "mediapipe"]})
    assert told.startswith(sentence)


@pytest.mark.parametrize("name", ["speech", "landmarks"])
def test_files_of_this_machine_are_refused_for_every_argument(server, tmp_path, name):
    photo = data_url(page.photo(tmp_path / "face.png", 200), "image/png")
    voice = data_url(page.recording(tmp_path / "voice.wav", 0.4), "audio/wav")
    stolen = {"portrait": photo, "speech": voice, name: {"path": str(page.EXAMPLES / "hello_world.flac")}}
    told = ask(server[0], "call/v2/animate", stolen)
    assert told.startswith(f"{name} names a file that was not uploaded here.")


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("call/v2/check_portrait", {}, "400 check_portrait needs portrait. Send"),
        ("call/v2/animate", {"steps": 1}, "400 animate needs portrait and speech. Send"),
        ("call/v2/animate", {"portrait": "x", "speech": "x", "step": 1}, "400 animate has no argument step."),
        ("call/v2/check_portrait", [1], "400 This request cannot be read."),
        ("call/check_portrait", {"data": {"portrait": "x"}}, "400 This request cannot be read."),
        ("call/check_portrait", {}, "400 This request cannot be read."),
        ("call/animate", {"data": [1, 2]}, f"animate takes {len(ANIMATE)} values and this request has 2."),
        ("call/check_portrait", {"data": [1] * 4}, "check_portrait takes 3 values and this request has 4."),
        ("call/v2/animated", {}, "404 There is no endpoint animated. Choose one of animate, landmarks"),
        ("call/animated", {"data": []}, "404 There is no endpoint animated."),
    ],
)
def test_a_call_that_names_nothing_here_is_refused_in_a_sentence(server, path, body, sentence):
    assert ask(server[0], path, body).startswith(sentence)


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b"9" * 9999], ids=["cut", "deep", "digits"])
def test_a_body_that_is_no_json_is_refused_in_a_sentence(server, body):
    for path in ("call/animate", "call/v2/animate"):
        told = httpx.post(f"{server[0]}gradio_api/{path}", content=body, timeout=page.PATIENCE)
        assert told.status_code == 400 and told.json()["detail"].startswith("This request cannot be read.")


def test_of_a_body_without_end_no_more_is_read_than_is_taken():
    chunk, taken, sent = bytes(2**20), [], []

    async def receive() -> dict:
        taken.append(len(chunk))
        return {"type": "http.request", "body": chunk, "more_body": True}

    async def send(message: dict) -> None:
        sent.append(message)

    async def reached(*_) -> None:
        raise AssertionError

    scope = {"type": "http", "method": "POST", "path": "/gradio_api/call/animate", "headers": []}
    anyio.run(ReadableBodies(reached), scope, receive, send)
    assert sent[0]["status"] == 413 and b"larger than 81 MB. Send smaller files." in sent[1]["body"]
    assert sum(taken) <= MAX_BODY + len(chunk)


@pytest.mark.parametrize("kind", ["raw base64", "a path as text", "no base64", "a list", "this machine"])
def test_gradios_client_reads_the_same_sentences(server, kind):
    value, sentence = BAD_FILES[kind]
    client = Client(server[0], verbose=False, httpx_kwargs={"timeout": page.PATIENCE})
    with pytest.raises(AppError) as told:
        client.predict(value, api_name="/check_portrait")
    assert sentence in str(told.value)


AGENTS = (
    ({"portrait": RAW}, NO_FILE),
    ({"portrait": "/etc/passwd"}, NO_FILE),
    ({"portrait": "file:///etc/passwd"}, NO_FILE),
    ({"portrait": "data:image/png,picture"}, "The data URL of portrait is not base64."),
    ({"portrait": f"data:image/png;base64,{RAW}"}, "is not a picture that can be read."),
    ({"portrait": "http://localhost/x.png"}, "The address of portrait cannot be read."),
    ({"portrait": FILE | {"path": str(page.EXAMPLES / "drawn.jpg")}}, "is not of type 'string'"),
    ({"portrait": "x", "fase": 1}, "check_portrait has no argument fase."),
    ({}, "check_portrait needs portrait."),
)


def test_an_agent_reads_the_same_sentences(server):
    streams = pytest.importorskip("mcp.client.streamable_http")
    mcp = pytest.importorskip("mcp")

    async def tell() -> list[str]:
        address = f"{server[0]}gradio_api/mcp/"
        async with (
            streams.streamablehttp_client(address) as (reader, writer, *_),
            mcp.ClientSession(reader, writer) as session,
        ):
            await session.initialize()
            names = [tool.name for tool in (await session.list_tools()).tools]
            tool = next(name for name in names if name.endswith("check_portrait"))
            answers = [await session.call_tool(tool, values) for values, _ in AGENTS]
            assert all(answer.isError for answer in answers)
            return [answer.content[0].text for answer in answers]

    for told, (_, sentence) in zip(anyio.run(tell), AGENTS, strict=True):
        assert sentence in told


def test_the_page_itself_comes_compressed(server):
    answer = httpx.get(server[0], headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < len(answer.content) / 5
    assert "content-encoding" not in httpx.get(server[0], headers={"accept-encoding": "identity"}).headers

"""The page's API over the wire: its endpoints, bad files, many clients at once, cancelling."""

import base64
import json
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import av
import httpx
import numpy as np
import page
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from atldiff.sequence import LandmarkSequence
from atldiff.web import texts

FAST = {"output": "crop", "steps": 1}


@pytest.fixture(scope="module")
def client(server) -> Client:
    return Client(server[0], verbose=False, httpx_kwargs={"timeout": page.PATIENCE})


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> tuple:
    """A small portrait and half a second of speech."""
    folder = tmp_path_factory.mktemp("inputs")
    return (
        handle_file(page.photo(folder / "face.png", 320)),
        handle_file(page.recording(folder / "voice.wav", 0.5)),
    )


def jobs(server) -> list[Path]:
    """Folders of jobs at work."""
    return list(server[1].glob("atldiff-*/job-*"))


def test_endpoints_whose_arguments_may_be_left_out_but_for_files(client):
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {"/animate", "/landmarks", "/check_portrait", "/verify"}
    files = {"/check_portrait": ["portrait"], "/verify": ["file"]}
    for name, endpoint in endpoints.items():
        needed = [p["parameter_name"] for p in endpoint["parameters"] if not p["parameter_has_default"]]
        assert needed == files.get(name, ["portrait", "speech"])
        assert all(p["python_type"]["type"] != "Any" for p in endpoint["parameters"])


def test_check_portrait(client, inputs):
    found, picture = client.predict(inputs[0], api_name="/check_portrait")
    assert found["size"] == [320, 320] and found["face"] == 1 and found["warnings"] == []
    assert np.shape(found["faces"]) == (1, 4) and np.shape(found["landmarks"]) == (68, 2)
    assert Path(picture).stat().st_size > 1000


@pytest.mark.parametrize("kind", ["npz", "json"])
def test_landmarks_go_out_and_come_back(client, inputs, kind):
    saved, preview = client.predict(*inputs, blinks=0, file_format=kind, api_name="/landmarks")
    assert Path(saved).suffix == f".{kind}" and LandmarkSequence.load(saved).points.shape == (15, 68, 2)
    assert page.probe(preview)["frames"] == 15
    video = client.predict(*inputs, landmarks=handle_file(saved), **FAST, api_name="/animate")
    assert page.probe(video)["frames"] == 15


def test_a_table_turns_the_head(client, inputs, tmp_path):
    table = tmp_path / "turns.csv"
    table.write_text("yaw,pitch,roll\n" + "".join(f"{frame / 3:.2f},1,-2\n" for frame in range(40)))
    saved, _ = client.predict(*inputs, poses=handle_file(table), api_name="/landmarks")
    pose = LandmarkSequence.load(saved).pose
    np.testing.assert_allclose(pose[:, :3], [(frame / 3, 1, -2) for frame in range(15)], atol=0.01)
    table.write_text("yaw,pitch\n1,2\n")
    with pytest.raises(AppError, match="does not name roll"):
        client.predict(*inputs, poses=handle_file(table), **FAST, api_name="/animate")


def test_animate_gives_a_marked_video_with_sound(client, inputs):
    found = page.probe(client.predict(*inputs, api_name="/animate"))
    assert found["size"] == (320, 320) and found["frames"] == 15 and found["rate"] == 30
    assert found["codecs"] == ("h264", "aac") and "AI-generated" in found["tags"]["comment"]


def test_a_video_that_was_made_here_is_ours_until_it_is_changed(client, inputs, tmp_path):
    video = client.predict(*inputs, output="photo", steps=1, api_name="/animate")
    verdict = client.predict(handle_file(video), api_name="/verify")
    assert verdict["status"] == 0 and verdict["mark"]["found"] and verdict["tagged"]
    generation = verdict["credentials"]["generation"]
    assert generation["options"]["steps"] == 1
    assert len(generation["photo"]) == len(generation["recording"]) == 64
    content = bytearray(Path(video).read_bytes())
    content[-2000] ^= 1
    (tmp_path / "changed.mp4").write_bytes(content)
    verdict = client.predict(handle_file(tmp_path / "changed.mp4"), api_name="/verify")
    assert verdict["status"] == 1 and "changed" in verdict["sentence"]
    verdict = client.predict(inputs[0], api_name="/verify")
    assert verdict["status"] == 2 and verdict["credentials"]["state"] == "none"


def test_a_badge_is_seen_in_the_corner(client, inputs):
    corners = []
    for badge in (False, True):
        video = client.predict(*inputs, badge=badge, seed=1, api_name="/animate")
        with av.open(video) as made:
            corners.append(next(made.decode(video=0)).to_ndarray(format="rgb24")[-60:, -60:].astype(int))
    assert np.abs(corners[1] - corners[0]).max() > 100


def test_a_second_person_answers(client, inputs, tmp_path):
    answer = handle_file(page.recording(tmp_path / "answer.wav", 0.5, "bilabials"))
    pair = {"answer": answer, "second": inputs[0], "output": "crop"}
    found = page.probe(client.predict(*inputs, **pair, api_name="/animate"))
    assert found["size"] == (256, 128) and found["frames"] == 42  # 0.5 s, a pause of 0.4 s, 0.5 s
    with pytest.raises(AppError, match="shows one face"):
        client.predict(*inputs, answer=answer, api_name="/animate")


def test_a_matte_is_a_webm_with_its_credentials_beside_it(client, server, inputs, tmp_path):
    video = client.predict(*inputs, background="matte", **FAST, api_name="/animate")
    assert Path(video).suffix == ".webm" and page.probe(video)["codecs"][0].startswith(("vp9", "libvpx"))
    content = Path(video).read_bytes()
    kept = server[1].glob("atldiff-*/files/*/*.c2pa")
    beside = next(path for path in kept if path.with_suffix(".webm").read_bytes() == content)
    sidecar = tmp_path / beside.name
    sidecar.write_bytes(httpx.get(f"{server[0]}gradio_api/file={beside}", timeout=page.PATIENCE).content)
    verdict = client.predict(handle_file(video), handle_file(sidecar), api_name="/verify")
    assert verdict["status"] == 0 and verdict["credentials"]["state"] == "intact"
    alone = shutil.copy(video, tmp_path / "alone.webm")  # the server still has the credentials of the first
    verdict = client.predict(handle_file(alone), api_name="/verify")
    assert verdict["status"] == 1 and "which was not given" in verdict["sentence"]


def bad_files(folder: Path) -> dict[str, tuple[Path, Path, str]]:
    """Name: (photo, recording, a word of the sentence)."""
    face, voice = page.photo(folder / "face.png", 320), page.recording(folder / "voice.wav", 0.5)
    empty, text, silent = folder / "empty.jpg", folder / "text.jpg", folder / "silent.wav"
    empty.touch()
    text.write_text("no picture")
    page.soundfile.write(silent, np.zeros(16_000), 16_000)
    broken = folder / "broken.png"
    broken.write_bytes(face.read_bytes()[:400])
    return {
        "no face": (page.landscape(folder / "land.jpg"), voice, "face"),
        "an empty photo": (empty, voice, "empty"),
        "text for a photo": (text, voice, "picture"),
        "a broken photo": (broken, voice, "broken"),
        "sound for a photo": (voice, voice, "picture"),
        "a photo for speech": (face, face, "recording"),
        "empty speech": (face, empty, "empty"),
        "silence": (face, silent, "silent"),
    }


@pytest.mark.parametrize(
    "kind",
    ["no face", "an empty photo", "text for a photo", "a broken photo",
     "sound for a photo", "a photo for speech", "empty speech", "silence"],
)  # fmt: skip
def test_bad_files_are_told_in_a_sentence(client, server, tmp_path, kind):
    photo, voice, word = bad_files(tmp_path)[kind]
    log = server[1] / "server.log"
    before = log.read_text().count("Traceback")
    with pytest.raises(AppError) as told:
        client.predict(handle_file(photo), handle_file(voice), **FAST, api_name="/animate")
    assert word in str(told.value) and str(server[1]) not in str(told.value)
    assert log.read_text().count("Traceback") == before  # a visitor's mistake is none of the server's


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [({"steps": 9}, "steps cannot be 9. Choose a whole number from 1 to 8."),
     ({"steps": 1.5}, "steps cannot be 1.5. Choose a whole number from 1 to 8."),
     ({"steps": "abc"}, "steps cannot be abc. Choose a whole number from 1 to 8."),
     ({"seed": 10**30}, "Choose a whole number from 0 to 2147483647."),
     ({"expression": -1}, "expression cannot be -1. Choose a number from 0 to 2."),
     ({"output": "huge"}, "photo, square, crop, 1:1, 4:5, 9:16, 16:9."),
     ({"background": "red"}, "keep, green"),
     ({"emotion": "hungry"}, "Choose one of automatic"), ({"face": 3}, "Choose from 1 to 1."),
     ({"face": -1}, "Choose a whole number from 1 to 8.")],
    ids=str,
)  # fmt: skip
def test_values_out_of_range_are_refused_with_the_range(client, inputs, argument, sentence):
    with pytest.raises(AppError) as told:
        client.predict(*inputs, **(FAST | argument), api_name="/animate")
    assert sentence in str(told.value)


@pytest.mark.parametrize("path", ["call/animate", "queue/join", "run/predict", "cancel", "mcp/"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
def test_a_body_that_is_no_text_is_refused_in_a_sentence(server, path, kind):
    log = server[1] / "server.log"
    before = log.read_text().count("Traceback")
    about = {"content-type": kind, "accept": "application/json, text/event-stream"}
    for body in (b'{"data": ["\xff"]}', b"\xff\x00{" * 100):
        told = httpx.post(f"{server[0]}gradio_api/{path}", content=body, headers=about, timeout=page.PATIENCE)
        assert told.status_code == 400 and told.json()["detail"].startswith(
            "This request cannot be read. Send"
        )
    assert log.read_text().count("Traceback") == before


def test_a_recording_over_the_limit(client, inputs, tmp_path):
    page.soundfile.write(tmp_path / "long.wav", np.tile(np.sin(np.arange(16_000) / 9), 61), 16_000)
    with pytest.raises(AppError, match="longer than 60 s"):
        client.predict(inputs[0], handle_file(tmp_path / "long.wav"), api_name="/landmarks")


def test_a_hundred_megabytes_are_not_taken_in(client, server, inputs, tmp_path):
    (tmp_path / "large.png").write_bytes(bytes(100 << 20))
    with pytest.raises((AppError, ValueError, httpx.HTTPError)):
        client.predict(handle_file(tmp_path / "large.png"), inputs[1], api_name="/animate")
    assert not any(path.stat().st_size > 50 << 20 for path in server[1].rglob("*") if path.is_file())


@pytest.mark.parametrize("path", ["/etc/passwd", str(page.ROOT / "app.py"), "../../etc/passwd"])
def test_files_of_the_server_cannot_be_named(server, path):
    stolen = {"path": path, "meta": {"_type": "gradio.FileData"}}  # by hand: the client would upload it
    door = f"{server[0]}gradio_api/call/check_portrait"
    event = httpx.post(door, json={"data": [stolen, 1, "mediapipe"]}).json()["event_id"]
    told = httpx.get(f"{door}/{event}", timeout=page.PATIENCE).text
    assert (
        "event: error" in told
        and "was not uploaded here" in told
        and "root:" not in told
        and "landmarks" not in told
    )


def test_the_browser_tells_the_components_apart(client):
    kinds: dict[str, set] = {}
    for component in client.config["components"]:
        kinds.setdefault(component["component_class_id"], set()).add(component["type"])
    assert all(len(types) == 1 for types in kinds.values()), kinds


def test_the_page_carries_the_whole_model_card(client):
    (card,) = [c for c in client.config["components"] if c["props"].get("elem_id") == "model-card"]
    assert card["props"]["value"].strip() == texts.model_card().strip()
    assert card["props"]["value"].startswith("# ")


def test_helpers_cannot_be_called(client):
    config = client.config["dependencies"]
    public = {d["api_name"] for d in config if d["api_visibility"] == "public"}
    assert public == {"animate", "landmarks", "check_portrait", "verify"}


def test_eight_clients_at_once_each_get_their_own_video(server, tmp_path):
    def ask(number: int) -> tuple[dict, int]:
        face = page.photo(tmp_path / f"{number}.png", 200 + 16 * number)
        voice = page.recording(tmp_path / f"{number}.wav", (4 + number) / 30)
        client = Client(server[0], verbose=False)
        return page.probe(client.predict(handle_file(face), handle_file(voice), steps=1, api_name="/animate"))

    with ThreadPoolExecutor(8) as pool:
        videos = list(pool.map(ask, range(8)))
    assert [v["size"][0] for v in videos] == [200 + 16 * n for n in range(8)]
    assert [v["frames"] for v in videos] == [4 + n for n in range(8)]
    assert jobs(server) == []


def test_a_cancelled_job_stops_and_disturbs_nobody(client, server, inputs, tmp_path):
    long = handle_file(page.recording(tmp_path / "long.wav", 4.5))
    other = Client(server[0], verbose=False)
    job = client.submit(inputs[0], long, steps=8, api_name="/animate")
    until(lambda: jobs(server))
    waiting = other.submit(*inputs, **FAST, api_name="/animate")
    job.cancel()
    assert page.probe(waiting.result(timeout=page.PATIENCE))["frames"] == 15
    until(lambda: not jobs(server))
    assert job.done()


def until(holds) -> None:
    end = time.monotonic() + page.PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_an_agent_finds_the_tools_described(server):
    pytest.importorskip("mcp")
    tools = {tool["name"]: tool for tool in httpx.get(f"{server[0]}gradio_api/mcp/schema").json()}
    assert len(tools) == 4
    animate = next(tool for name, tool in tools.items() if name.endswith("animate"))
    assert "consent" in animate["description"]
    schema = json.dumps(animate["inputSchema"])
    assert "photo of one person from the front" in schema and "transparent" in schema


def test_an_agent_makes_a_video(server, tmp_path):
    """A real MCP client: files go in as data URLs, the video comes back as an address, and is ours."""
    streams = pytest.importorskip("mcp.client.streamable_http")
    mcp = pytest.importorskip("mcp")
    face = page.photo(tmp_path / "face.png", 200).read_bytes()
    voice = page.recording(tmp_path / "voice.wav", 0.4).read_bytes()
    given = {
        "portrait": f"data:image/png;base64,{base64.b64encode(face).decode()}",
        "speech": f"data:audio/wav;base64,{base64.b64encode(voice).decode()}",
    }

    async def ask() -> list[str]:
        address = f"{server[0]}gradio_api/mcp/"
        async with (
            streams.streamablehttp_client(address) as (reader, writer, *_),
            mcp.ClientSession(reader, writer) as session,
        ):
            await session.initialize()
            tools = [tool.name for tool in (await session.list_tools()).tools]
            animate, verify = (next(t for t in tools if t.endswith(end)) for end in ("animate", "verify"))
            made = await session.call_tool(animate, {**given, "output": "crop", "steps": 1})
            wrong = await session.call_tool(animate, {**given, "steps": 9})
            address = re.search(r"http\S+\.mp4", texts_of(made)).group()
            async with httpx.AsyncClient(timeout=page.PATIENCE) as web:
                (tmp_path / "made.mp4").write_bytes((await web.get(address)).content)
            video = base64.b64encode((tmp_path / "made.mp4").read_bytes()).decode()
            told = await session.call_tool(verify, {"file": f"data:video/mp4;base64,{video}"})
            foreign = await session.call_tool(verify, {"file": given["portrait"]})
            return [texts_of(answer) for answer in (wrong, told, foreign)]

    refusal, ours, foreign = anyio.run(ask)
    assert "steps cannot be 9" in refusal
    assert page.probe(tmp_path / "made.mp4")["frames"] == 12
    assert "'status': 0" in ours and "this program made it" in ours
    assert "'status': 2" in foreign


def texts_of(answer) -> str:
    """What a tool's answer says in words."""
    return " ".join(getattr(part, "text", "") for part in answer.content)


def test_the_example_in_the_readme(server, tmp_path, monkeypatch):
    code = page.api_example()
    if not code:
        pytest.skip("the README has no section 'API' yet")
    monkeypatch.chdir(page.ROOT)
    short = str(page.recording(tmp_path / "hello.wav", 0.5))
    assert "examples/hello_world.flac" in code
    code = code.replace("http://127.0.0.1:7860/", server[0]).replace("examples/hello_world.flac", short)
    made = {}
    exec(compile(code, "README.md", "exec"), made)
    found = page.probe(made["video"])
    assert found["codecs"] == ("h264", "aac") and found["frames"] == 15

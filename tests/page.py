"""Shared parts of the page's tests: a server of app.py with a small renderer, and small inputs."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import httpx
import soundfile
from PIL import Image

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
HEIC = ROOT / "tests" / "portrait" / "turned.heic"  # drawn.jpg in the format of iPhones
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
PATIENCE = 45  # seconds for an answer on a busy machine
STARTING = 180  # seconds until a server answers


def small_weights(folder: Path) -> Path:
    """Saves the starter with an untrained U-Net of a few channels, which renders the plain warp."""
    from atldiff.config import PRESETS
    from atldiff.pipeline import ATLDiffPipeline
    from atldiff.rendering.diffusion.unet3d import IdentityUNet3DModel

    pipeline = ATLDiffPipeline.from_pretrained()
    unet = replace(PRESETS["starter"].unet, block_out_channels=(8, 8, 16))
    pipeline.register_modules(unet=IdentityUNet3DModel(**asdict(unet)))
    pipeline.save_pretrained(folder)
    return folder


@contextmanager
def small_disk(folder: Path, megabytes: int = 256) -> Iterator[None]:
    """Mounts a disk of its own at a folder, where this process may; its files go with it."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    mounted = shutil.which("mount") and not subprocess.run(mount, capture_output=True).returncode
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def served(
    temp: Path, weights: Path | None = None, threads: int | None = 1, program: Path = ROOT / "app.py"
) -> Iterator[str]:
    """Runs app.py, or a program that runs it, with its files under `temp`; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"TMPDIR": str(temp), "GRADIO_SERVER_PORT": str(port), **QUIET}
    settings["SUPERTONIC_CACHE_DIR"] = str(temp / "voices")  # where no model is
    if threads:
        settings["OMP_NUM_THREADS"] = str(threads)
    if weights:
        settings["ATLDIFF_WEIGHTS"] = str(weights)
    log = temp / "server.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, str(program)],
            cwd=temp,
            env=os.environ | settings,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/", server, log)
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()


@contextmanager
def weak_line(url: str) -> Iterator[tuple[str, Callable[[bool], None]]]:
    """A second address of a server, and what cuts its connections (True) or mends the line (False)."""
    port, cut, ends, changing = urlsplit(url).port, threading.Event(), [], threading.Lock()

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(65536):
                sink.sendall(block)
        end(source)
        end(sink)

    def serve() -> None:
        with suppress(OSError):  # the line itself has ended
            while True:
                near, _ = line.accept()
                with changing:
                    if cut.is_set():
                        near.close()
                        continue
                    pair = near, socket.create_connection(("127.0.0.1", port))
                    ends.extend(pair)
                for way in (pair, pair[::-1]):
                    threading.Thread(target=pump, args=way, daemon=True).start()

    def end(connection: socket.socket) -> None:
        with suppress(OSError):  # it had ended
            connection.shutdown(socket.SHUT_RDWR)

    def switch(off: bool) -> None:
        with changing:
            (cut.set if off else cut.clear)()
            while ends:
                end(ends.pop())

    with socket.create_server(("127.0.0.1", 0)) as line:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{line.getsockname()[1]}/", switch
        switch(True)
        end(line)


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + STARTING
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"no answer from {url}\n{log.read_text()}")


def recording(path: Path, seconds: float, name: str = "hello_world") -> Path:
    """Saves the first seconds of an example's speech."""
    sound, rate = soundfile.read(EXAMPLES / f"{name}.flac")
    soundfile.write(path, sound[int(0.2 * rate) :][: int(seconds * rate)], rate)
    return path


def silent_film(path: Path) -> Path:
    """Saves three grey frames without a sound track."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width = stream.height = 64
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode())
    return path


def photo(path: Path, width: int) -> Path:
    """Saves the drawn portrait at another width, which identifies its video."""
    Image.open(EXAMPLES / "drawn.jpg").resize((width, width), Image.Resampling.LANCZOS).save(path)
    return path


def standing(path: Path, times: int = 4) -> str:
    """Saves a photo of 1200 x 1600 pixels with the drawn portrait, `times` smaller, at the upper middle."""
    picture = Image.new("RGB", (1200, 1600), (150, 150, 145))
    side = 1200 // times
    picture.paste(Image.open(EXAMPLES / "drawn.jpg").resize((side, side)), ((1200 - side) // 2, 150))
    picture.save(path, quality=95)
    return str(path)


def landscape(path: Path) -> Path:
    """Saves a picture of sky over grass, without a person."""
    picture = Image.new("RGB", (640, 400), (120, 170, 230))
    picture.paste((70, 130, 60), (0, 240, 640, 400))
    picture.save(path)
    return path


def probe(path: str | Path) -> dict:
    """Reads size, number of frames, rate, codecs and tags of a video."""
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        found = {
            "size": (video.width, video.height),
            "rate": float(video.average_rate),
            "codecs": (video.codec_context.name, audio.codec_context.name),
            "tags": {key.lower(): value for key, value in container.metadata.items()},
        }
        return found | {"frames": sum(1 for _ in container.decode(video))}


def call(url: str) -> str:
    """The address of the call that makes a video."""
    return f"{url}gradio_api/call/animate"


def uploaded(url: str, *paths: Path) -> list[dict]:
    """Uploads files; returns them as arguments of a call."""
    files = [("files", (path.name, path.read_bytes())) for path in paths]
    names = httpx.post(f"{url}gradio_api/upload", files=files, timeout=60).json()
    return [{"path": name, "meta": {"_type": "gradio.FileData"}} for name in names]


def arguments(url: str, given: dict[str, Any]) -> list:
    """All values of a call, in the order that the server publishes."""
    return [given.get(name, default) for name, default in published(url)]


@cache
def published(url: str, endpoint: str = "animate") -> tuple[tuple[str, Any], ...]:
    """The name and the default of each argument of a call."""
    info = httpx.get(f"{url}gradio_api/info", timeout=60).json()["named_endpoints"][f"/{endpoint}"]
    return tuple((each["parameter_name"], each.get("parameter_default")) for each in info["parameters"])


def answered(url: str, event: str, patience: float = PATIENCE) -> list | str:
    """Waits for a call; returns its values, or its error message."""
    kind = ""
    with httpx.stream("GET", f"{call(url)}/{event}", timeout=patience) as stream:
        for line in stream.iter_lines():
            kind = line[7:] if line.startswith("event: ") else kind
            if line.startswith("data: ") and kind == "complete":
                return json.loads(line[6:])
            if line.startswith("data: ") and kind == "error":
                return f"error {line[6:]}"
    return "no answer"


def api_example() -> str:
    """The Python block under the README's heading "API"."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^## API$.*?```python\n(.*?)```", text, re.S | re.M)
    return found.group(1) if found else ""

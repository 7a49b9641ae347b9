"""Many visitors at once: `python tests/load.py [--clients 1 4 8 32] [--seconds 4] [--small]`.

Starts a server of its own on the loopback address and stops it. Each client sends its own photo (width and
colour) and recording (length), and must get its own video; meanwhile others cancel, vanish or send rubbish.
Prints a table of waits, order and memory. Bounded: every client has one video and a time limit. Leaves with
1 if anything was wrong: another's video, a file left, order, or memory that grew by more than GROWTH.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import av
import httpx
import numpy as np
import page
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from gradio_client.utils import QueueError
from PIL import Image

COLOURS = np.array([(200, 40, 40), (40, 180, 40), (50, 60, 210), (210, 190, 40), (150, 50, 170)])
PATIENCE = 1800  # seconds for one video, with all that wait before it
GROWTH = 256  # MiB that the server may hold after the last crowd more than after the first


@dataclass(frozen=True)
class Visit:
    """One client's visit: when it asked and had its video, times sent away, what is not its own."""

    number: int
    asked: float
    done: float
    refused: int
    wrong: tuple[str, ...]


def visit(url: str, folder: Path, number: int, seconds: float) -> Visit:
    """Asks once with a photo, a recording and settings that no other client has."""
    width, colour = 200 + 4 * number, COLOURS[number % len(COLOURS)]
    photo = np.array(Image.open(page.photo(folder / f"{number}.png", width)))
    photo[: width // 12] = colour  # a stripe above the head, which does not move
    Image.fromarray(photo).save(folder / f"{number}.png")
    voice = page.recording(folder / f"{number}.wav", seconds + number % 5 / 10)
    files = handle_file(folder / f"{number}.png"), handle_file(voice)
    client = Client(url, verbose=False, download_files=str(folder / f"down{number}"))
    asked = time.monotonic()
    video, refused, settings = None, 0, {"steps": 1, "seed": number, "blinks": number % 3}
    while video is None:
        try:
            job = client.submit(*files, **settings, api_name="/animate")
            video = job.result(timeout=PATIENCE)
        except QueueError:
            refused += 1
            assert refused < 100, "the queue stays full"
            time.sleep(3)
    done, found = time.monotonic(), page.probe(video)
    with av.open(str(video)) as container:
        stripe = next(container.decode(video=0)).to_ndarray(format="rgb24")[: width // 16]
    frames, shown = round(30 * (seconds + number % 5 / 10)), stripe.reshape(-1, 3).mean(axis=0)
    wrong = [f"size {found['size']}"] if found["size"] != (width, width) else []
    wrong += [f"{found['frames']} frames"] if found["frames"] != frames else []
    wrong += [f"colour {shown}"] if np.abs(shown - colour).max() > 30 else []
    return Visit(number, asked, done, refused, tuple(wrong))


def disturb(url: str, folder: Path) -> None:
    """A client that cancels, rubbish in five forms, a photo that is none, and one that vanishes."""
    photo, voice = page.photo(folder / "d.png", 320), page.recording(folder / "d.wav", 3)
    client, call = Client(url, verbose=False), f"{url}gradio_api/call/animate"
    leaving = client.submit(handle_file(photo), handle_file(voice), api_name="/animate")
    for rubbish in ({"data": []}, {"data": [1, 2]}, {"data": {"portrait": None}}, {}):
        httpx.post(call, json=rubbish, timeout=60)
    httpx.post(call, content=b"\xff\x00{" * 100, timeout=60)
    leaving.cancel()
    with photo.open("rb") as one, voice.open("rb") as other:
        names = httpx.post(f"{url}gradio_api/upload", files=[("files", one), ("files", other)], timeout=60)
    data = [{"path": name, "meta": {"_type": "gradio.FileData"}} for name in names.json()]
    asked = httpx.post(call, json={"data": data}, timeout=60)
    if asked.status_code == 200:  # else the queue is full
        with httpx.stream("GET", f"{call}/{asked.json()['event_id']}", timeout=60):
            pass  # opened and left
    try:
        rubbish = client.submit(handle_file(voice), handle_file(voice), api_name="/animate")
        raise AssertionError(f"a video of no photo: {rubbish.result(timeout=PATIENCE)}")
    except (AppError, QueueError):
        pass


def crowd(url: str, folder: Path, clients: int, seconds: float) -> list[Visit]:
    """All clients at once, a twentieth of a second apart, with the disturbers among them."""
    with ThreadPoolExecutor(clients + 1) as pool:
        visits, others = [], []
        for number in range(clients):
            visits.append(pool.submit(visit, url, folder, number, seconds))
            if number == clients // 2:
                others.append(pool.submit(disturb, url, folder))
            time.sleep(0.05)
        for each in others:
            each.result()
        return [each.result() for each in visits]


def displaced(visits: list[Visit]) -> int:
    """By how many places the order of the videos differs from the order of asking, at most.

    Those whom a full queue sent away are left out.
    """
    visits = [v for v in visits if not v.refused]
    asked = sorted(visits, key=lambda v: v.asked)
    done = sorted(visits, key=lambda v: v.done)
    return max(abs(asked.index(v) - done.index(v)) for v in visits) if visits else 0


def server_memory() -> float:
    """MiB that the server, a child of this process, holds."""
    for status in Path("/proc").glob("[0-9]*/status"):
        text = status.read_text()
        command = (status.parent / "cmdline").read_bytes()
        if f"PPid:\t{os.getpid()}\n" in text and b"app.py" in command:
            return int(text.split("VmRSS:")[1].split()[0]) / 1024
    raise AssertionError("the server is not there")


def until(holds: Callable[[], bool], patience: float = 60.0) -> bool:
    """Waits for a condition; False if it never comes."""
    end = time.monotonic() + patience
    while not holds() and time.monotonic() < end:
        time.sleep(0.5)
    return holds()


def main() -> None:
    """Serves, lets the crowds in one after the other, and leaves with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description="Load on a server of the page")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 8, 32])
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the recordings")
    parser.add_argument(
        "--small", action="store_true", help="an untrained small network instead of the weights"
    )
    args = parser.parse_args()
    bad, held = False, []
    with tempfile.TemporaryDirectory() as name:
        temp = Path(name)
        weights = page.small_weights() if args.small else None
        with page.served(temp, weights, threads=None) as url:
            print("| clients | first video | last video | videos a minute | out of order by | memory |")
            print("|---|---|---|---|---|---|")
            for clients in args.clients:
                folder = Path(tempfile.mkdtemp(dir=temp, prefix="crowd"))
                visits = crowd(url, folder, clients, args.seconds)
                waits = sorted(v.done - v.asked for v in visits)
                span = max(v.done for v in visits) - min(v.asked for v in visits)
                row = f"| {clients} | {waits[0]:.0f} s | {waits[-1]:.0f} s | {60 * clients / span:.1f} "
                held.append(server_memory())
                print(f"{row}| {displaced(visits)} | {held[-1]:.0f} MiB |", flush=True)
                for wrong in [v for v in visits if v.wrong]:
                    bad = bool(print(f"client {wrong.number}: {', '.join(wrong.wrong)}")) or True
                bad |= displaced(visits) > 2 + clients // 8
                bad |= not until(lambda: not list(temp.glob("atldiff-*/job-*")))
        bad |= held[-1] > held[0] + GROWTH
        bad |= bool(list(temp.glob("atldiff-*")))  # the server is gone, and its files
    sys.exit(bad)


if __name__ == "__main__":
    main()

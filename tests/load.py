"""Many visitors at once: `python tests/load.py [--clients 1 4 8 32] [--seconds 4] [--small]`.

Starts a server of its own on the loopback address and stops it. Each client sends its own photo (width and
colour) and recording (length), and must get its own video; meanwhile others cancel, vanish or send rubbish.
Prints the table of the README: waits, order, memory. Bounded: every client asks once.
"""

import argparse
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
from PIL import Image

COLOURS = np.array([(200, 40, 40), (40, 180, 40), (50, 60, 210), (210, 190, 40), (150, 50, 170)])


@dataclass(frozen=True)
class Visit:
    """One client's visit: when it asked and had its video, and what in that video is not its own."""

    number: int
    asked: float
    done: float
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
    video = client.predict(*files, steps=1, seed=number, blinks=number % 3, api_name="/animate")
    done, found = time.monotonic(), page.probe(video)
    with av.open(str(video)) as container:
        stripe = next(container.decode(video=0)).to_ndarray(format="rgb24")[: width // 16]
    frames, shown = round(30 * (seconds + number % 5 / 10)), stripe.reshape(-1, 3).mean(axis=0)
    wrong = [f"size {found['size']}"] if found["size"] != (width, width) else []
    wrong += [f"{found['frames']} frames"] if found["frames"] != frames else []
    wrong += [f"colour {shown}"] if np.abs(shown - colour).max() > 30 else []
    return Visit(number, asked, done, tuple(wrong))


def disturb(url: str, folder: Path) -> None:
    """A client that cancels, one that vanishes, and one that sends rubbish."""
    files = handle_file(page.photo(folder / "d.png", 320)), handle_file(page.recording(folder / "d.wav", 3))
    Client(url, verbose=False).submit(*files, api_name="/animate").cancel()
    call = f"{url}gradio_api/call/animate"
    for rubbish in ({"data": []}, {"data": [1, 2]}, {"data": {"portrait": None}}, {}):
        httpx.post(call, json=rubbish, timeout=60)
    httpx.post(call, content=b"\xff\x00{" * 100, timeout=60)
    event = httpx.post(call, json={"data": [None, None]}, timeout=60).json()["event_id"]
    with httpx.stream("GET", f"{call}/{event}", timeout=60):
        pass  # opened and left


def crowd(url: str, folder: Path, clients: int, seconds: float) -> list[Visit]:
    """All clients at once, a twentieth of a second apart, with the disturbers among them."""
    with ThreadPoolExecutor(clients + 1) as pool:
        visits = []
        for number in range(clients):
            visits.append(pool.submit(visit, url, folder, number, seconds))
            if number == clients // 2:
                pool.submit(disturb, url, folder)
            time.sleep(0.05)
        return [each.result(timeout=60 + 60 * clients) for each in visits]


def displaced(visits: list[Visit]) -> int:
    """By how many places the order of the videos differs from the order of asking, at most."""
    asked = sorted(visits, key=lambda v: v.asked)
    done = sorted(visits, key=lambda v: v.done)
    return max(abs(asked.index(v) - done.index(v)) for v in visits)


def server_memory() -> float:
    """MiB that the server, a child of this process, holds."""
    for status in Path("/proc").glob("[0-9]*/status"):
        text = status.read_text()
        command = (status.parent / "cmdline").read_bytes()
        if f"PPid:\t{page.os.getpid()}\n" in text and b"app.py" in command:
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
    bad = False
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
                print(f"{row}| {displaced(visits)} | {server_memory():.0f} MiB |", flush=True)
                for wrong in [v for v in visits if v.wrong]:
                    bad = bool(print(f"client {wrong.number}: {', '.join(wrong.wrong)}")) or True
                bad |= not until(lambda: not list(temp.glob("atldiff-*/job-*")))
    sys.exit(bad)


if __name__ == "__main__":
    main()

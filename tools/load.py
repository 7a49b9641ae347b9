"""Many visitors at once: `python tools/load.py [--clients 1 4 8 32 32] [--seconds 4] [--small]`.

- It starts a server on the loopback address, and stops it.
- Each client sends a photo, a recording and settings of its own, and must get its own video, in order.
- Other clients cancel, vanish and send rubbish.
- It prints a table of waits, order and memory.
- Each client makes one video, within a time limit.
- It exits with 1 after any fault: a wrong video, a wrong order, a file that stays, or growing memory.
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
from statistics import median

import av
import httpx
import numpy as np
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from atldiff.media.speech import Speech, load_speech
from atldiff.web.jobs.idle_memory import IDLE

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import page

COLOURS = np.array([(200, 40, 40), (40, 180, 40), (50, 60, 210), (210, 190, 40), (150, 50, 170)])
VOICES = ("hello_world", "busy_line", "italiano", "bilabials", "pause")
PATIENCE = 1800  # seconds for one video, with its wait
GROWTH = 64  # MiB by which a server may grow after the first crowd, for the settings of its visits
APART = 0.05  # seconds between the requests of two clients


@dataclass(frozen=True)
class Visit:
    """One client's visit: times in seconds of request and video, and the video's faults."""

    number: int
    asked: float
    done: float
    wrong: tuple[str, ...]

    @property
    def waited(self) -> float:
        """Seconds from the request to the video."""
        return self.done - self.asked


class Visitor:
    """A client of plain requests, which loads the server more than this machine."""

    def __init__(self, url: str, folder: Path, number: int, seconds: float) -> None:
        """Makes and uploads a photo and a recording that are the client's own."""
        self.url, self.folder, self.number = url, folder, number
        self.width, self.colour = 200 + 4 * number, COLOURS[number % len(COLOURS)]
        self.output = "square" if number % 4 == 3 else "photo"
        photo, voice = folder / f"{number}.png", folder / f"{number}.wav"
        page.recording(voice, seconds - number % 7 / 10, VOICES[number % len(VOICES)])
        picture = np.array(Image.open(page.photo(photo, self.width)))
        picture[: self.width // 12] = self.colour  # a stripe above the head, where nothing moves
        Image.fromarray(picture).save(photo)
        self.portrait, self.speech = page.uploaded(url, photo, voice)
        self.said = load_speech(voice)
        self.event, self.asked = "", 0.0

    def ask(self) -> None:
        """Joins the queue."""
        given = {"portrait": self.portrait, "speech": self.speech, "output": self.output}
        data = page.arguments(self.url, given | {"seed": self.number, "blinks": self.number % 3})
        self.event = httpx.post(page.call(self.url), json={"data": data}, timeout=60).json()["event_id"]
        self.asked = time.monotonic()

    def wait(self) -> Visit:
        """Waits for the video, fetches it and checks its owner."""
        answer = page.answered(self.url, self.event, PATIENCE)
        done = time.monotonic()
        if isinstance(answer, str):
            return Visit(self.number, self.asked, done, (answer,))
        path = self.folder / f"made{self.number}.mp4"
        path.write_bytes(httpx.get(answer[0]["url"], timeout=60).content)
        return Visit(self.number, self.asked, done, tuple(self.strange(path)))

    def strange(self, path: Path) -> list[str]:
        """Lists the properties of a video that differ from this client's."""
        found, side = page.probe(path), 512 if self.output == "square" else self.width
        wrong = [f"size {found['size']}"] if found["size"] != (side, side) else []
        wrong += [f"{found['frames']} frames"] if found["frames"] != self.said.num_frames else []
        with av.open(str(path)) as container:
            stripe = next(container.decode(video=0)).to_ndarray(format="rgb24")[: side // 16]
        shown = stripe.reshape(-1, 3).mean(axis=0)
        if self.output == "photo" and np.abs(shown - self.colour).max() > 30:
            wrong.append(f"colour {shown.round()}")
        alike = np.corrcoef(loudness(load_speech(path), self.said.num_frames), loudness(self.said))[0, 1]
        return [*wrong, f"a voice alike by {alike:.2f}"] if alike < 0.9 else wrong


def loudness(speech: Speech, frames: int | None = None) -> np.ndarray:
    """Root mean square of the sound of each video frame."""
    count = frames or speech.num_frames
    return np.array([part.std() for part in np.array_split(speech.samples, count)])


def disturb(url: str, folder: Path) -> None:
    """Sends a cancelled request, five broken ones, an abandoned one, and a sound in place of a photo."""
    photo, voice = page.photo(folder / "d.png", 320), page.recording(folder / "d.wav", 3)
    client = Client(url, verbose=False)
    leaving = client.submit(handle_file(photo), handle_file(voice), api_name="/animate")
    for rubbish in ({"data": []}, {"data": [1, 2]}, {"data": {"portrait": None}}, {}):
        httpx.post(page.call(url), json=rubbish, timeout=60)
    httpx.post(page.call(url), content=b"\xff\x00{" * 100, timeout=60)
    leaving.cancel()
    portrait, speech = page.uploaded(url, photo, voice)
    data = page.arguments(url, {"portrait": portrait, "speech": speech})
    event = httpx.post(page.call(url), json={"data": data}, timeout=60).json()["event_id"]
    with httpx.stream("GET", f"{page.call(url)}/{event}", timeout=60):
        pass  # the client vanishes
    try:
        client.predict(handle_file(voice), handle_file(voice), api_name="/animate")
        raise AssertionError("a video of no photo")
    except AppError:
        pass


def crowd(url: str, folder: Path, clients: int, seconds: float) -> list[Visit]:
    """Sends all clients' requests in order, and the disturbance in their middle."""
    visitors = [Visitor(url, folder, number, seconds) for number in range(clients)]
    with ThreadPoolExecutor(clients + 1) as pool:
        visits = []
        for visitor in visitors:
            visitor.ask()
            visits.append(pool.submit(visitor.wait))
            if visitor.number == clients // 2:
                other = pool.submit(disturb, url, folder)
            time.sleep(APART)
        other.result()
        return [each.result() for each in visits]


def displaced(visits: list[Visit]) -> int:
    """The largest difference in places between the order of videos and the order of requests."""
    done = [visit.number for visit in sorted(visits, key=lambda visit: visit.done)]
    return max(abs(place - number) for place, number in enumerate(done))


def server_memory() -> float:
    """Memory of the server, a child of this process, MiB."""
    for status in Path("/proc").glob("[0-9]*/status"):
        text = status.read_text()
        command = (status.parent / "cmdline").read_bytes()
        if f"PPid:\t{os.getpid()}\n" in text and b"app.py" in command:
            return int(text.split("VmRSS:")[1].split()[0]) / 1024
    raise AssertionError("the server is not there")


def until(holds: Callable[[], bool], patience: float = 60.0) -> bool:
    """Waits for a condition; False: it does not come within `patience` seconds."""
    end = time.monotonic() + patience
    while not holds() and time.monotonic() < end:
        time.sleep(0.5)
    return holds()


def row(visits: list[Visit], memory: float) -> str:
    """Formats a crowd as a line of the table."""
    waits, span = [v.waited for v in visits], max(v.done for v in visits) - min(v.asked for v in visits)
    times = f"{min(waits):.1f} s | {median(waits):.1f} s | {max(waits):.1f} s"
    pace = 60 * len(visits) / span
    return f"| {len(visits)} | {times} | {pace:.1f} | {displaced(visits)} | {memory:.0f} MiB |"


def main() -> None:
    """Serves the page, sends the crowds one after the other, and exits with 1 after any fault."""
    parser = argparse.ArgumentParser(description="Load on a server of the page")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 8, 32, 32])
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the longest recording")
    parser.add_argument(
        "--small", action="store_true", help="an untrained small network instead of the weights"
    )
    args = parser.parse_args()
    wrong, first = [], 0.0
    with tempfile.TemporaryDirectory() as name:
        temp = Path(name)
        weights = page.small_weights(temp / "weights") if args.small else None
        with page.served(temp, weights, threads=None) as url:
            print("| clients | first video | median | last | videos a minute | out of order by | memory |")
            print("|---|---|---|---|---|---|---|")
            for clients in args.clients:
                folder = Path(tempfile.mkdtemp(dir=temp, prefix="crowd"))
                visits = crowd(url, folder, clients, args.seconds)
                if not until(lambda: not list(temp.glob("atldiff-*/job-*"))):
                    wrong.append("a job's folder was left")
                time.sleep(IDLE + 3)
                memory = server_memory()
                print(row(visits, memory), flush=True)
                wrong += [f"client {v.number} of {clients}: {', '.join(v.wrong)}" for v in visits if v.wrong]
                if displaced(visits) >= max(1, int(os.environ.get("ATLDIFF_REPLICAS", "0"))):
                    wrong.append(f"{clients} clients: an order that is not that of asking")
                first = first or memory
                if memory > first + GROWTH:
                    wrong.append(f"{clients} clients: {memory - first:.0f} MiB more than after the first")
        if list(temp.glob("atldiff-*")):
            wrong.append("files were left when the server was gone")
    sys.exit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main()

"""Makes the page's ready videos, in examples/videos/: `python tools/make_videos.py [--weights W]`.

Each video is the result of `atldiff generate` with default options, for a portrait of at most 512 pixels.
manifest.json lists them as [{"portrait", "recording", "video", "seconds"}, ...], with paths from examples/.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import av
from PIL import Image

from atldiff.loading import load_pipeline
from atldiff.media.video_writer import write_video
from atldiff.provenance.credentials import sign_video

EXAMPLES = Path(__file__).parents[1] / "examples"
VIDEOS = EXAMPLES / "videos"
PAIRS = (
    ("astronaut.jpg", "hello_world.flac"),
    ("mona_lisa.jpg", "pause.flac"),
    ("drawn_man.jpg", "bilabials.flac"),
)
SIZE = 512  # pixels of the longer side
QUALITY = {"preset": "slow", "crf": "27"}  # of H.264; small files, which load with the page


def compress(source: Path, target: Path) -> None:
    """Encodes the picture to a smaller file and copies sound and tags; it plays while it loads."""
    with av.open(str(source)) as large, av.open(str(target), "w", options={"movflags": "faststart"}) as small:
        small.metadata.update(large.metadata)
        picture, sound = large.streams.video[0], large.streams.audio[0]
        video = small.add_stream("libx264", rate=picture.average_rate, options=QUALITY)
        video.width, video.height, video.pix_fmt = picture.width, picture.height, "yuv420p"
        audio = small.add_stream_from_template(sound)
        for packet in large.demux(picture, sound):
            if packet.stream is sound and packet.dts is not None:
                packet.stream = audio
                small.mux(packet)
            elif packet.stream is picture:
                for frame in packet.decode():
                    small.mux(video.encode(frame))
        small.mux(video.encode())


def main() -> None:
    """Makes all videos and the manifest."""
    parser = argparse.ArgumentParser(description="Ready videos of the example pairs")
    parser.add_argument("--weights", help="folder or hub id; left out = embedded")
    weights = parser.parse_args().weights
    pipeline = load_pipeline(weights)
    VIDEOS.mkdir(exist_ok=True)
    entries = []
    for photo, recording in PAIRS:
        image = Image.open(EXAMPLES / photo).convert("RGB")
        image.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
        portrait, speech = pipeline.prepare(image, EXAMPLES / recording)
        video = VIDEOS / f"{Path(photo).stem}.mp4"
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / video.name
            frames = pipeline.render(portrait, pipeline.landmarks(portrait, speech))
            compress(write_video(source, frames, speech), video)
        origin = replace(frames.origin, recording=speech.fingerprint)
        print(
            sign_video(video, video, origin, marked=True), end=""
        )  # what signed before was lost by encoding
        names = {"portrait": photo, "recording": recording, "video": f"videos/{video.name}"}
        entries.append(names | {"seconds": round(speech.seconds, 2)})
        print(f"{video}: {speech.seconds:.1f} s, {video.stat().st_size / 1000:.0f} kB", flush=True)
    (VIDEOS / "manifest.json").write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

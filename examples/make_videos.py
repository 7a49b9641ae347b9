"""Makes the ready videos of the page's examples, in videos/: `python examples/make_videos.py [--weights W]`.

Each is what `atldiff generate` makes of the portrait, at most 512 pixels, and the recording, with the
options as they are left. manifest.json names them: [{"portrait", "recording", "video", "seconds"}, ...],
paths from examples/.
"""

import argparse
import json
import tempfile
from pathlib import Path

import av
from PIL import Image

from atldiff.loading import load_pipeline
from atldiff.media.video_writer import write_video

HERE = Path(__file__).parent
VIDEOS = HERE / "videos"
PAIRS = (
    ("drawn_woman.jpg", "hello_world.flac"),
    ("drawn_man.jpg", "bilabials.flac"),
    ("drawn.jpg", "pause.flac"),
)
SIZE = 512  # pixels of the longer side
QUALITY = {"preset": "slow", "crf": "27"}  # of H.264: these are looked at once, and load with the page


def compress(source: Path, target: Path) -> None:
    """Encodes the picture again, smaller, and copies the sound and the tags; it plays before it is whole."""
    with av.open(str(source)) as whole, av.open(str(target), "w", options={"movflags": "faststart"}) as small:
        small.metadata.update(whole.metadata)
        picture, sound = whole.streams.video[0], whole.streams.audio[0]
        video = small.add_stream("libx264", rate=picture.average_rate, options=QUALITY)
        video.width, video.height, video.pix_fmt = picture.width, picture.height, "yuv420p"
        audio = small.add_stream_from_template(sound)
        for packet in whole.demux(picture, sound):
            if packet.stream is sound and packet.dts is not None:
                packet.stream = audio
                small.mux(packet)
            elif packet.stream is picture:
                for frame in packet.decode():
                    small.mux(video.encode(frame))
        small.mux(video.encode())


def main() -> None:
    """Makes every video and the manifest."""
    parser = argparse.ArgumentParser(description="Ready videos of the example pairs")
    parser.add_argument("--weights", help="folder or hub id; left out = embedded")
    weights = parser.parse_args().weights
    pipeline = load_pipeline(weights)
    VIDEOS.mkdir(exist_ok=True)
    made = []
    for photo, recording in PAIRS:
        image = Image.open(HERE / photo).convert("RGB")
        image.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
        portrait, speech = pipeline.prepare(image, HERE / recording)
        video = VIDEOS / f"{Path(photo).stem}.mp4"
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / video.name
            frames = pipeline.render(portrait, pipeline.landmarks(portrait, speech))
            compress(write_video(whole, frames, speech), video)
        names = {"portrait": photo, "recording": recording, "video": f"videos/{video.name}"}
        made.append(names | {"seconds": round(speech.seconds, 2)})
        print(f"{video}: {speech.seconds:.1f} s, {video.stat().st_size / 1000:.0f} kB", flush=True)
    (VIDEOS / "manifest.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Serves the page, its API and its MCP tools. `python app.py --help` lists the options.

Environment, beside gradio's own variables:

- ATLDIFF_WEIGHTS: folder or hub id of the weights; the embedded starter if it is not set.
- ATLDIFF_AUTH: logins, "name:password,name:password"; everybody may use the page if it is not set.
- ATLDIFF_SIGNING_CERT, ATLDIFF_SIGNING_KEY: PEM text or path of what signs the videos; a key of this
  installation if they are not set.
- ATLDIFF_LABEL: "always" puts the AI badge on every video.
- ATLDIFF_WATERMARK: "trustmark" marks the pictures by TrustMark; our own tile if it is not set.
- ATLDIFF_ENCODER: "h264_nvenc" encodes by an NVIDIA GPU's own encoder; x264 if it is not set.
- ATLDIFF_LIVE: live visits at the same time; 1 if it is not set, 0 = none.
- ATLDIFF_TURN: relays of live visits, "turn:host:port|user|password,..."; none if it is not set.
- ATLDIFF_REPLICAS: number of Ray Serve's workers that make the videos; this process makes them if it is 0.
"""

# ruff: noqa: E402 - spaces must precede every import of CUDA, and gradio reads its folder at import
import spaces  # isort: skip

import atexit
import os
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path

from atldiff.errors import InputError
from atldiff.web import serving
from atldiff.web.jobs import temp_folders as folders

try:  # before anything large is imported
    REPLICAS, PLACES = serving.read_replicas(), serving.read_places()
    LAUNCH = serving.read_launch_options() if __name__ == "__main__" else {}
except InputError as error:
    serving.stop(error)

TEMP = folders.server_folder()  # gone when the server stops
os.environ.setdefault("GRADIO_TEMP_DIR", f"{TEMP.name}/files")  # gradio's copies; jobs have folders beside it

import torch

from atldiff.loading import load_pipeline
from atldiff.media.codecs import codecs
from atldiff.provenance.trustmark import load_trustmark, trustmark_is_chosen

ON_GPU = torch.cuda.is_available()
SOURCE = os.environ.get("ATLDIFF_WEIGHTS"), "cuda" if ON_GPU else "cpu"
try:  # before gradio takes its seconds
    PIPELINE = load_pipeline(*SOURCE)
    codecs(".mp4")  # a GPU's own encoder is missed now, not when a visitor waits
    if trustmark_is_chosen():
        load_trustmark()  # its weights are fetched now, not while a visitor waits
except InputError as error:
    serving.stop(error)

with serving.without_stubs():
    import gradio as gr
from starlette.middleware import Middleware

from atldiff.animation import Animation
from atldiff.media.speech import Speech
from atldiff.options import DEFAULTS, Options
from atldiff.portrait.portrait import Portrait
from atldiff.sequence import LandmarkSequence
from atldiff.web import scripts, texts
from atldiff.web.blocks import Blocks
from atldiff.web.events.connect import connect
from atldiff.web.jobs import request
from atldiff.web.jobs.body_check import ReadableBodies
from atldiff.web.jobs.forecast import Forecast
from atldiff.web.jobs.replicas import Replicas
from atldiff.web.jobs.service import Service
from atldiff.web.layout import lay_out
from atldiff.web.live.panel import SCRIPT as LIVE_SCRIPT
from atldiff.web.live.panel import connect_live
from atldiff.web.live.places import LivePlaces
from atldiff.web.public import CompressedPage, public_routes
from atldiff.web.theme import THEME

try:
    WORKERS = Replicas(REPLICAS, *SOURCE) if REPLICAS else None
except InputError as error:
    serving.stop(error)
STEPS = PIPELINE.preset.steps
KEEP = 3600  # seconds; older files are deleted
IDLE_SLEEP = 0.02  # seconds between two looks into an empty queue; gradio takes 0.001, a tenth of a core
VISITS = 256  # gradio remembers the settings of so many


@spaces.GPU(duration=15)
def predict(portrait: Portrait, speech: Speech, options: Options) -> LandmarkSequence:
    """Predicts the landmarks, on the shared GPU if there is one."""
    return PIPELINE.landmarks(portrait, speech, options)


def gpu_seconds(animation: Animation, folder: Path) -> int:
    """Estimates the seconds for which `make_on_gpu` needs a shared GPU."""
    return request.gpu_seconds(animation, STEPS)


@spaces.GPU(duration=gpu_seconds)
def make_on_gpu(animation: Animation, folder: Path) -> Generator[request.Step, None, None]:
    """Makes the video, on the shared GPU if there is one."""
    yield from request.make(PIPELINE, animation, folder)


def make(animation: Animation, folder: Path) -> Generator[request.Step, None, None]:
    """Makes the video by a worker or in this process; refuses one too long for a shared GPU."""
    if WORKERS:
        yield from WORKERS.make(animation, folder)
        return
    if spaces.config.Config.zero_gpu:
        request.check_gpu_seconds(gpu_seconds(animation, folder))
    yield from make_on_gpu(animation, folder)


SHARED_GPU = spaces.config.Config.zero_gpu  # the networks then run only inside the functions above
FORECAST = Forecast(0.002 if ON_GPU else 0.03, STEPS)
AT_ONCE = REPLICAS or (4 if ON_GPU and not SHARED_GPU else 1)  # parallel videos; a GPU batches their windows
if WORKERS:
    atexit.register(WORKERS.close)
elif AT_ONCE > 1:
    PIPELINE.batch_windows()
RECOGNISE = None if SHARED_GPU else PIPELINE.recognise_emotion
SERVICE = Service(predict, make, RECOGNISE, TEMP.name, FORECAST, AT_ONCE)

LIVE = LivePlaces(None if SHARED_GPU else PIPELINE, PLACES)
atexit.register(LIVE.close)

# Imports at the first photo keep a reference to it. So the first photo is an example, not a visitor's.
PHOTO, RECORDING = str(texts.EXAMPLES[0].portrait), str(texts.EXAMPLES[0].recording)
LOOK = SERVICE.inspect_photo(PHOTO, DEFAULTS.face)
if not SHARED_GPU:
    SERVICE.warm_up(PHOTO, RECORDING)
WORDS, _ = SERVICE.inspect_speech(RECORDING, PHOTO, DEFAULTS)

with Blocks(title=texts.TITLE, delete_cache=(600, KEEP)) as demo:
    page = lay_out(PIPELINE.emotions, STEPS, LOOK, WORDS)
    connect(demo, page, SERVICE, STEPS)
    connect_live(page.live_panel, page.inputs, page.voice, LIVE)
    demo.load(None, js=scripts.LOOP_SILENTLY)
    demo.load(None, js=scripts.TIDY)
    demo.load(None, js=scripts.DRAG)
    demo.load(None, js=LIVE_SCRIPT)

if __name__ == "__main__":
    theme = gr.themes.Soft(primary_hue="orange", font=["system-ui", "sans-serif"]).set(**THEME)
    request.stop_on_sigterm()
    demo.queue(api_open=False, default_concurrency_limit=4)
    demo._queue.sleep_when_free = IDLE_SLEEP
    examples = [str(texts.FOLDER)]  # gradio may serve its files
    app_kwargs = {
        "exception_handlers": {Exception: request.answer_failure, OSError: request.answer_failure},
        "middleware": [Middleware(CompressedPage), Middleware(ReadableBodies)],
        "routes": [*public_routes(), *LIVE.routes],
    }
    css = Path(__file__).parent / "app.css"
    demo.launch(
        theme=theme,
        css_paths=css,
        max_threads=80,
        allowed_paths=examples,
        app_kwargs=app_kwargs,
        state_session_capacity=VISITS,
        max_file_size=request.MAX_UPLOAD,
        mcp_server=find_spec("mcp") is not None,
        run_history=False,  # it keeps portraits in the browser
        footer_links=["api", "settings"],
        **LAUNCH,
    )

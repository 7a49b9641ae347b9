"""The page, its API and its MCP tools: what runs on a GPU, and how it is served.

`python app.py --help` tells how to serve it. Environment: ATLDIFF_WEIGHTS names other weights than the
embedded starter, ATLDIFF_AUTH="name:password,..." asks for a login, ATLDIFF_REPLICAS=2 has that many workers
of Ray Serve make the videos, and all of gradio's own.
"""

# ruff: noqa: E402 - spaces comes before all that could touch CUDA, and gradio reads its folder when imported
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
    REPLICAS = serving.read_replicas()
    LAUNCH = serving.read_launch_options() if __name__ == "__main__" else {}
except InputError as error:
    serving.stop(error)

TEMP = folders.server_folder()  # gone when the server stops
os.environ.setdefault("GRADIO_TEMP_DIR", f"{TEMP.name}/files")  # jobs work beside it: gradio takes copies

import gradio as gr
import torch
from starlette.middleware import Middleware

from atldiff.animation import Animation
from atldiff.loading import load_pipeline
from atldiff.media.speech import Speech
from atldiff.options import DEFAULTS, Options
from atldiff.portrait.portrait import Portrait
from atldiff.sequence import LandmarkSequence
from atldiff.web import scripts, texts
from atldiff.web.blocks import Blocks
from atldiff.web.events import connect
from atldiff.web.jobs import request
from atldiff.web.jobs.body_check import ReadableBodies
from atldiff.web.jobs.forecast import Forecast
from atldiff.web.jobs.replicas import Replicas
from atldiff.web.jobs.service import Service
from atldiff.web.layout import lay_out
from atldiff.web.theme import THEME

ON_GPU = torch.cuda.is_available()
try:
    SOURCE = os.environ.get("ATLDIFF_WEIGHTS"), "cuda" if ON_GPU else "cpu"
    PIPELINE = load_pipeline(*SOURCE)
    WORKERS = Replicas(REPLICAS, *SOURCE) if REPLICAS else None
except InputError as error:
    serving.stop(error)
STEPS = PIPELINE.preset.steps
KEEP = 3600  # seconds; older files are deleted
VISITS = 256  # whose settings gradio remembers, some 90 kB each


@spaces.GPU(duration=15)
def predict(portrait: Portrait, speech: Speech, options: Options) -> LandmarkSequence:
    """The landmarks, on the GPU where it is shared."""
    return PIPELINE.landmarks(portrait, speech, options)


def gpu_seconds(animation: Animation, folder: Path) -> int:
    """How long `make_on_gpu` may hold a shared GPU."""
    return request.gpu_seconds(animation, STEPS)


@spaces.GPU(duration=gpu_seconds)
def make_on_gpu(animation: Animation, folder: Path) -> Generator[request.Step, None, None]:
    """The video, on the GPU where it is shared."""
    yield from request.make(PIPELINE, animation, folder)


def make(animation: Animation, folder: Path) -> Generator[request.Step, None, None]:
    """The video, if a shared GPU could finish it."""
    if WORKERS:
        yield from WORKERS.make(animation, folder)
        return
    if spaces.config.Config.zero_gpu:
        request.check_gpu_seconds(gpu_seconds(animation, folder))
    yield from make_on_gpu(animation, folder)


SHARED_GPU = spaces.config.Config.zero_gpu  # the networks answer only inside the functions above
FORECAST = Forecast(0.002 if ON_GPU else 0.03, STEPS)
AT_ONCE = REPLICAS or (4 if ON_GPU and not SHARED_GPU else 1)  # videos; a GPU batches their windows
if WORKERS:
    atexit.register(WORKERS.close)
elif AT_ONCE > 1:
    PIPELINE.batch_windows()
HEARD = None if SHARED_GPU else PIPELINE.recognise_emotion
SERVICE = Service(predict, make, HEARD, TEMP.name, FORECAST, AT_ONCE)

# What libraries import at the first photo holds on to it: that photo is to be an example, not a visitor's.
SERVICE.inspect_photo(str(texts.EXAMPLES[0].portrait), DEFAULTS.face)
if not SHARED_GPU:
    SERVICE.warm_up(texts.EXAMPLES[0].portrait, texts.EXAMPLES[0].recording)

with Blocks(title=texts.TITLE, delete_cache=(600, KEEP)) as demo:
    connect(lay_out(PIPELINE.emotions, STEPS), SERVICE, STEPS)
    demo.load(None, js=scripts.PLAY_SILENTLY)
    demo.load(None, js=scripts.TIDY)

if __name__ == "__main__":
    theme = gr.themes.Soft(primary_hue="orange", font=["system-ui", "sans-serif"]).set(**THEME)
    request.stop_on_sigterm()
    demo.queue(api_open=False, default_concurrency_limit=4)
    examples = [str(texts.FOLDER)]  # whose files an example's click hands out
    told = {
        "exception_handlers": {Exception: request.answer_failure, OSError: request.answer_failure},
        "middleware": [Middleware(ReadableBodies)],
    }
    css = Path(__file__).parent / "app.css"
    demo.launch(
        theme=theme,
        css_paths=css,
        max_threads=80,
        allowed_paths=examples,
        app_kwargs=told,
        state_session_capacity=VISITS,
        max_file_size=request.MAX_UPLOAD,
        mcp_server=find_spec("mcp") is not None,
        run_history=False,  # it would keep portraits in the browser
        footer_links=["api", "settings"],
        **LAUNCH,
    )

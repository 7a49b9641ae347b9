"""What the server gives to everybody: the page in few bytes, examples, licences and the model card."""

from pathlib import Path

from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from atldiff.config import WEIGHTS

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"
MODEL_CARD = WEIGHTS / "starter" / "MODEL_CARD.md"
PAPERS = {  # name under /about: file
    "licence.txt": ROOT / "LICENSE",
    "weights-licence.txt": MODEL_CARD.parent / "LICENSE.md",
    "examples-licence.txt": EXAMPLES / "LICENSE.md",
    "model-card.txt": MODEL_CARD,
}


def public_routes() -> list[BaseRoute]:
    """The routes /examples/... and /about/..., which need no login."""

    def answer(request: Request) -> FileResponse:
        path = PAPERS[request.url.path.rpartition("/")[2]]
        return FileResponse(path, media_type="text/plain; charset=utf-8")

    routes = [Route(f"/about/{name}", answer) for name in PAPERS]
    return [*routes, Mount("/examples", StaticFiles(directory=EXAMPLES))]


class CompressedPage:
    """ASGI middleware that compresses the page itself to a tenth; gradio sends its scripts compressed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._compressing = app, GZipMiddleware(app, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        is_page = scope["type"] == "http" and scope["path"] == "/"
        await (self._compressing if is_page else self._app)(scope, receive, send)

"""What the server gives to everybody: the page in few bytes, examples, licences and the model card."""

from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from atldiff.config import WEIGHTS
from atldiff.web.scripts import CALM

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
    """ASGI middleware that calms the page itself and compresses it to a tenth.

    Gradio sends its scripts compressed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._compressing = app, GZipMiddleware(CalmPage(app), compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        is_page = scope["type"] == "http" and scope["path"] == "/"
        await (self._compressing if is_page else self._app)(scope, receive, send)


class CalmPage:
    """ASGI middleware that puts `scripts.CALM` first into the page's head; gradio's `head` comes too late."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, and its answer as soon as the head is there."""
        start: list[Message] = []

        async def put_in(message: Message) -> None:
            """Sends a part of the answer; the first one with the script."""
            if message["type"] == "http.response.start":
                start.append(message)
                return
            if start:
                body = message.get("body", b"")
                message["body"] = body.replace(b"<head>", b"<head>" + CALM, 1)
                headers = MutableHeaders(scope=start[0])
                if "content-length" in headers:
                    longer = len(message["body"]) - len(body)
                    headers["content-length"] = str(int(headers["content-length"]) + longer)
                await send(start.pop())
            await send(message)

        await self._app(scope, receive, put_in)

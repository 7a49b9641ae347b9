"""Requests whose body nobody can read, refused in a sentence before FastAPI and MCP stumble over it."""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNREADABLE = (
    "This request cannot be read. Send JSON in UTF-8, as 'Use via API' at the foot of the page describes."
)
_TAKES_FILES = ("/upload", "/component_server", "/process_recording")  # piece by piece, of any bytes


class ReadableBodies:
    """ASGI middleware: a body that is neither files nor UTF-8 is answered with status 400 and a sentence."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands a request on, with its body as it came."""
        kind = dict(scope.get("headers", ())).get(b"content-type", b"")
        if scope["type"] != "http" or scope["method"] != "POST" or _is_upload(scope["path"], kind):
            return await self._app(scope, receive, send)
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        if not _is_text(b"".join(message.get("body", b"") for message in messages)):
            return await JSONResponse({"detail": UNREADABLE}, 400)(scope, receive, send)
        messages.reverse()

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        return await self._app(scope, replay, send)


def _is_upload(path: str, kind: bytes) -> bool:
    return path.rstrip("/").endswith(_TAKES_FILES) and kind.startswith(b"multipart/form-data")


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True

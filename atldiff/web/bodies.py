"""Requests that nobody can carry out, refused in a sentence before FastAPI, gradio and MCP see them."""

import json
import re
from collections.abc import Collection, Mapping

import anyio
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from atldiff.web.request import MAX_UPLOAD_BYTES

UNREADABLE = (
    "This request cannot be read. Send JSON in UTF-8, as 'Use via API' at the foot of the page describes."
)
# Three files in base64, which takes a third more, and all other values.
MAX_BODY = 4 * MAX_UPLOAD_BYTES + 2**20
_TAKES_FILES = ("/upload", "/component_server", "/process_recording")  # piece by piece, of any bytes
_CALL = re.compile(r"/(call|call/v2|run|api)/([^/]+)/?$")
_OF_GRADIO = {"oauth_token"}  # what a body by names may hold beside the arguments

Refusal = tuple[int, str]  # status and sentence


class ReadableBodies:
    """ASGI middleware: refuses a body that is too large or unreadable, and a call that names nothing here.

    Args:
        endpoints: name of each endpoint of the API -> its arguments.
        needed: the arguments that no call may leave out.
    """

    def __init__(
        self, app: ASGIApp, endpoints: Mapping[str, Collection[str]], needed: Collection[str]
    ) -> None:
        self._app, self._endpoints, self._needed = app, endpoints, needed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands a request on, with its body as it came."""
        kind = dict(scope.get("headers", ())).get(b"content-type", b"")
        if scope["type"] != "http" or scope["method"] != "POST" or _is_upload(scope["path"], kind):
            return await self._app(scope, receive, send)
        messages = [await receive()]
        size = len(messages[0].get("body", b""))
        while messages[-1].get("more_body") and size <= MAX_BODY:
            messages.append(await receive())
            size += len(messages[-1].get("body", b""))
        body = b"".join(message.get("body", b"") for message in messages)
        refusal = await anyio.to_thread.run_sync(self._refusal, scope["path"], body)
        if refusal:
            status, sentence = refusal
            return await JSONResponse({"detail": sentence}, status)(scope, receive, send)
        messages.reverse()

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        return await self._app(scope, replay, send)

    def _refusal(self, path: str, body: bytes) -> Refusal | None:
        """What is wrong with a request; None where nothing is."""
        if len(body) > MAX_BODY:
            return 413, f"This request is larger than {MAX_BODY // 2**20} MB. Send smaller files."
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return 400, UNREADABLE
        call = _CALL.search(path)
        return self._bad_call(call[1], call[2], text) if call else None

    def _bad_call(self, way: str, endpoint: str, text: str) -> Refusal | None:
        """What is wrong with a call of the API, by "call" (values in order) or "call/v2" (by name)."""
        if way.startswith("call") and endpoint not in self._endpoints:
            return 404, f"There is no endpoint {endpoint[:40]}. Choose one of {', '.join(self._endpoints)}."
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            return 400, UNREADABLE
        if not isinstance(values, dict) or (way == "call" and not isinstance(values.get("data"), list)):
            return 400, UNREADABLE
        return self._bad_names(endpoint, values) if way == "call/v2" else None

    def _bad_names(self, endpoint: str, values: dict) -> Refusal | None:
        names = self._endpoints[endpoint]
        if unknown := sorted(set(values) - {*names, *_OF_GRADIO}):
            return 400, f"{endpoint} has no argument {unknown[0][:40]}. Its arguments are {', '.join(names)}."
        missing = [name for name in names if name in self._needed and name not in values]
        if missing:
            return 400, f"{endpoint} needs {' and '.join(missing)}. Send each as a file, such as a data URL."
        return None


def _is_upload(path: str, kind: bytes) -> bool:
    return path.rstrip("/").endswith(_TAKES_FILES) and kind.startswith(b"multipart/form-data")

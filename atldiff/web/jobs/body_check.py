"""Refuses impossible requests in one sentence, before FastAPI, gradio and MCP see them."""

import json
import re
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from atldiff.errors import InputError
from atldiff.web.api import ENDPOINTS, FILE_ARGUMENTS, NEEDED
from atldiff.web.files import WEB, decode_data_url, not_a_file_error, run_in_thread
from atldiff.web.jobs.request import MAX_UPLOAD_BYTES, explain

UNREADABLE = (
    "This request cannot be read. Send JSON in UTF-8, as 'Use via API' at the foot of the page describes."
)
# Three files in base64, which is a third larger, and all other values.
MAX_BODY = 4 * MAX_UPLOAD_BYTES + 2**20
_TAKES_FILES = ("/upload", "/component_server", "/process_recording")  # these paths stream any bytes
_CALL = re.compile(r"/(call|call/v2|run|api)/([^/]+)/?$")
_OF_GRADIO = {"oauth_token"}  # gradio's own names in a body of arguments


class ReadableBodies:
    """ASGI middleware that refuses too large or unreadable bodies, and calls with wrong arguments.

    `blocks.Blocks` checks the arguments' values; gradio never passes these requests to it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on with an unchanged body, or answers with a refusal."""
        kind = dict(scope.get("headers", ())).get(b"content-type", b"")
        if scope["type"] != "http" or scope["method"] != "POST" or _is_upload(scope["path"], kind):
            return await self._app(scope, receive, send)
        messages = [await receive()]
        size = len(messages[0].get("body", b""))
        while messages[-1].get("more_body") and size <= MAX_BODY:
            messages.append(await receive())
            size += len(messages[-1].get("body", b""))
        body = b"".join(message.get("body", b"") for message in messages)
        refusal = await run_in_thread(_refusal, scope["path"], body)
        if refusal:
            return await refusal(scope, receive, send)
        messages.reverse()

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        return await self._app(scope, replay, send)


def _refusal(path: str, body: bytes) -> JSONResponse | None:
    """The answer to an impossible request; None for all others."""
    if len(body) > MAX_BODY:
        return _answer(413, f"This request is larger than {MAX_BODY // 2**20} MB. Send smaller files.")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return _answer(400, UNREADABLE)
    if call := _CALL.search(path):
        return _bad_call(call[1], call[2], text)
    return _bad_tool_call(text) if path.rstrip("/").endswith("/mcp") else None


def _answer(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status)


def _bad_call(way: str, endpoint: str, text: str) -> JSONResponse | None:
    """The answer to an impossible call by "call" (values in order) or "call/v2" (by name), or None."""
    if way.startswith("call") and endpoint not in ENDPOINTS:
        choices = ", ".join(ENDPOINTS)
        return _answer(404, f"There is no endpoint {endpoint[:40]}. Choose one of {choices}.")
    values = _parse(text)
    if not isinstance(values, dict) or (way == "call" and not isinstance(values.get("data"), list)):
        return _answer(400, UNREADABLE)
    problem = _bad_names(endpoint, values) if way == "call/v2" else ""
    return _answer(400, problem) if problem else None


def _bad_tool_call(text: str) -> JSONResponse | None:
    """The answer to an impossible call by MCP, or None. It is a tool's error, which an agent reads."""
    message = _parse(text)
    call = message.get("params") if isinstance(message, dict) else None
    if not isinstance(call, dict) or message.get("method") != "tools/call":
        return None
    tool, values = str(call.get("name")), call.get("arguments")
    # On a Space the tool's name begins with the Space's: "space_animate".
    endpoint = next((name for name in ENDPOINTS if tool == name or tool.endswith(f"_{name}")), None)
    if endpoint is None or not isinstance(values, dict):
        return None
    problem = _bad_names(endpoint, values) or _bad_file_texts(values)
    content = [{"type": "text", "text": problem}]
    answer = {"jsonrpc": "2.0", "id": message.get("id"), "result": {"content": content, "isError": True}}
    return JSONResponse(answer) if problem else None


def _parse(text: str) -> Any:
    """Parses JSON; None if the text is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _bad_names(endpoint: str, values: dict[str, Any]) -> str:
    """A sentence on the wrong names of a call's arguments, or ""."""
    names = ENDPOINTS[endpoint]
    if unknown := sorted(set(values) - {*names, *_OF_GRADIO}):
        return f"{endpoint} has no argument {unknown[0][:40]}. Its arguments are {', '.join(names)}."
    missing = [name for name in names if name in NEEDED and name not in values]
    return f"{endpoint} needs {' and '.join(missing)}. Send each as a file or a data URL." if missing else ""


def _bad_file_texts(values: dict[str, Any]) -> str:
    """A sentence on the wrong files that an agent sends as text, or ""."""
    try:
        for name in FILE_ARGUMENTS:
            text = values.get(name)
            if isinstance(text, str) and text.startswith("data:"):
                decode_data_url(text, name)
            elif isinstance(text, str) and not text.startswith(WEB):
                raise not_a_file_error(name)
    except InputError as error:
        return explain(error)
    return ""


def _is_upload(path: str, kind: bytes) -> bool:
    return path.rstrip("/").endswith(_TAKES_FILES) and kind.startswith(b"multipart/form-data")

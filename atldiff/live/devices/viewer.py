"""A page of this machine that shows a live portrait, by WebRTC; for one viewer."""

import asyncio
import base64
import io
import secrets
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from atldiff.errors import InputError
from atldiff.live.visit import Visit

_PAGE = Path(__file__).with_name("viewer.html")


class Viewer:
    """Serves the page. Only who knows its address sees it.

    Args:
        photo: (H, W, 3) uint8, until the first picture comes.
        microphone: the browser's own is heard.
        begin: makes the visit when the page is opened.

    Attributes:
        address: of the page.
        visit: the visit of the page that was opened; None: none yet.
        has_left: set when the page is closed.

    Raises:
        InputError: aiortc or its server is not installed.
    """

    def __init__(self, photo: np.ndarray, microphone: bool, begin: Callable[[], Visit]) -> None:
        if any(find_spec(name) is None for name in ("aiortc", "starlette", "uvicorn")):
            raise InputError("A page needs further packages", "Install them: pip install atldiff[live]")
        self.visit: Visit | None = None
        self.has_left, self._connected = threading.Event(), Future[Visit]()
        self._begin, self._is_taken = begin, False
        page = _PAGE.read_text(encoding="utf-8").replace("MICROPHONE", str(microphone).lower())
        self._page = page.replace("PHOTO", _as_url(photo))
        self.address, self._server = self._serve()

    def wait(self) -> Visit:
        """Waits until the page is connected; gives its visit.

        Raises:
            Exception: it could not be connected.
        """
        return self._connected.result()

    def close(self) -> None:
        """Ends the page."""
        self._server.should_exit = True
        if self.visit is not None:
            self.visit.close()
            self.visit.join(10.0)

    def _serve(self) -> tuple[str, Any]:
        """Starts the server in a thread; gives the page's address, and the server."""
        import uvicorn
        from starlette.applications import Starlette
        from starlette.requests import Request
        from starlette.responses import HTMLResponse, JSONResponse
        from starlette.routing import Route

        async def show(_: Request) -> HTMLResponse:
            return HTMLResponse(self._page)

        async def offer(request: Request) -> JSONResponse:
            try:
                return JSONResponse(await self._connect(await request.json()))
            except Exception as error:  # the viewer reads of any error
                return JSONResponse({"problem": str(error)}, 400)

        path = f"/{secrets.token_urlsafe(8)}"
        routes = [Route(path, show), Route(f"{path}/offer", offer, methods=["POST"])]
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="error"))
        threading.Thread(target=server.run, args=([listener],), daemon=True, name="viewer").start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}{path}", server

    async def _connect(self, offer: dict[str, Any]) -> dict[str, str]:
        """Answers the page's session description.

        Raises:
            InputError: somebody has opened the page before.
        """
        from atldiff.live.peer import connect, peer_loop

        if self._is_taken:
            raise InputError("This page was opened before", "Start the command again")
        self._is_taken = True
        try:
            self.visit = await asyncio.to_thread(self._begin)
            answer = connect(self.visit, offer | {"microphone": True}, self.has_left.set)
            told = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer, peer_loop()))
        except Exception as error:
            self._connected.set_exception(error)
            raise
        self._connected.set_result(self.visit)
        return told


def _as_url(picture: np.ndarray) -> str:
    """A picture (H, W, 3) uint8 as a data URL."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"

"""The places of a machine for live visits, and the route by which a page connects."""

import asyncio
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from starlette.requests import Request as WebRequest
from starlette.responses import JSONResponse
from starlette.routing import Route

from atldiff.errors import InputError
from atldiff.live.film import Film
from atldiff.live.peer import CONNECTING, connect, peer_loop
from atldiff.live.session import LiveSession
from atldiff.live.visit import RATE, Visit
from atldiff.media.speech import Speech
from atldiff.options import OPTIONS, Options
from atldiff.pipeline import ATLDiffPipeline
from atldiff.portrait.portrait import load_portrait
from atldiff.provenance.origin import Origin
from atldiff.web.jobs.request import explain
from atldiff.web.serving import read_relays

PATH = "/live/offer"
_BUSY = "Somebody else is live on this machine"
_GONE = "This live visit is over"
LONGEST_FILM = 600.0  # seconds
_FILMS = 4  # films that nobody has fetched


class LivePlaces:
    """Gives the machine's places to visitors.

    Args:
        pipeline: the networks; None: they may not run in this process.
        places: visits at the same time.
    """

    def __init__(self, pipeline: ATLDiffPipeline | None, places: int = 1) -> None:
        self._pipeline, self._places, self._lock = pipeline, places, threading.Lock()
        self._visits: dict[str, Visit] = {}
        self._waiting: dict[str, float] = {}  # until when a visit waits for its page
        self._films: dict[str, Film] = {}
        self._origins: dict[str, Origin] = {}
        self.routes = [Route(PATH, self._offer, methods=["POST"])]

    def open(self, values: Mapping[str, Any]) -> tuple[str, LiveSession]:
        """Prepares a visit; it waits CONNECTING seconds for its page.

        Args:
            values: the path of the portrait, and options by name.

        Returns:
            The visit's secret name, and its session.

        Raises:
            InputError: no place is free, live is not possible here, or the photo cannot be used.
        """
        if find_spec("aiortc") is None:
            raise InputError("This server has no live portrait", "Install it: pip install atldiff[live]")
        if self._pipeline is None:
            raise InputError("This server's networks run elsewhere", "Use a server of your own to be live")
        token = secrets.token_urlsafe(16)
        self._take(token)
        try:
            if not values.get("portrait"):
                raise InputError("There is no portrait yet", "Upload a photo, or click an example")
            settings = {name: value for name, value in values.items() if name in OPTIONS}
            options = Options(**settings | {"output": "square", "background": "keep"})
            portrait = load_portrait(values["portrait"], options.face, options.detector, zoom=options.zoom)
            session = LiveSession(self._pipeline, portrait, options, mark=False)
            origin = self._pipeline.origin(portrait, options)
            visit = Visit(session)
        except BaseException:
            self.free(token)
            raise
        with self._lock:
            self._visits[token], self._waiting[token] = visit, time.monotonic() + CONNECTING
            self._origins[token] = origin
        return token, session

    def say(self, token: str, speech: Speech) -> None:
        """Lets a visit's portrait speak.

        Raises:
            InputError: the visit is over.
        """
        self._visit(token).say(speech)

    def hush(self, token: str) -> None:
        """Stops what a visit's portrait says."""
        self._visit(token).hush()

    def record(self, token: str) -> None:
        """Films a visit from now on, 10 minutes at most.

        Raises:
            InputError: the visit is over.
        """
        visit, folder = self._visit(token), tempfile.mkdtemp(prefix="live-")
        film = Film(Path(folder) / "live.mp4", RATE, self._origins[token])
        with self._lock:
            self._films[token] = film
            dropped = [self._films.pop(name) for name in [*self._films][:-_FILMS]]
        visit.record(film, LONGEST_FILM)
        for each in dropped:
            _remove(each)

    def has_film(self, token: str) -> bool:
        """Whether a visit is filmed, or was and nobody fetched it."""
        return token in self._films

    @contextmanager
    def film(self, token: str) -> Iterator[Path]:
        """Completes the film of a visit, which may be over; afterwards the file is gone.

        Raises:
            InputError: there is none, or it cannot be written.
        """
        with self._lock:
            film = self._films.pop(token, None)
        if film is None:
            raise InputError("Nothing was recorded", "Go live, then click Record")
        if (visit := self._visits.get(token)) is not None:
            visit.record(None)
        try:
            film.close()
            yield film.path
        finally:
            _remove(film)

    def free(self, token: str) -> None:
        """Frees a visit's place."""
        with self._lock:
            visit = self._visits.pop(token, None)
            self._waiting.pop(token, None)
            self._origins.pop(token, None)
        if visit is not None:
            visit.close()

    def close(self) -> None:
        """Ends all visits, before Python ends under their threads."""
        with self._lock:
            visits = tuple(self._visits.values())
        for token in tuple(self._visits):
            self.free(token)
        for visit in visits:
            visit.join(5.0)
        for film in self._films.values():
            _remove(film)

    def _take(self, token: str) -> None:
        """Takes a place; visits whose page never came lose theirs."""
        now = time.monotonic()
        for name in [name for name, until in tuple(self._waiting.items()) if until < now]:
            self.free(name)
        with self._lock:
            if len(self._waiting.keys() | self._visits.keys()) >= self._places:
                raise InputError(_BUSY, "Try again in a minute, or make a video meanwhile")
            self._waiting[token] = now + 60  # while its photo is read

    def _visit(self, token: str) -> Visit:
        visit = self._visits.get(token)
        if visit is None:
            raise InputError(_GONE, "Click Go live again")
        return visit

    async def _offer(self, request: WebRequest) -> JSONResponse:
        """Answers a page's offer {"token", "sdp", "type"}, or says in {"problem"} why not."""
        try:
            offer = await request.json()
            token = str(offer["token"])
            if offer.get("type") == "bye":
                self.free(token)
                return JSONResponse({})
            visit = self._visit(token)
            with self._lock:
                if self._waiting.pop(token, None) is None:
                    raise InputError(_GONE, "Click Go live again")
            answer = connect(visit, offer, lambda: self.free(token), read_relays())
            connecting = asyncio.run_coroutine_threadsafe(answer, peer_loop())
            return JSONResponse(await asyncio.wrap_future(connecting))
        except (KeyError, TypeError, ValueError) as error:
            known = isinstance(error, InputError)
            text = explain(error) if known else "This request cannot be read. Load the page again."
            return JSONResponse({"problem": text}, 400)
        except Exception as error:  # the visitor reads of any error
            return JSONResponse({"problem": explain(error)}, 500)


def _remove(film: Film) -> None:
    """Removes a film, complete or not."""
    with suppress(Exception):  # one without a frame has no file
        film.close()
    shutil.rmtree(film.path.parent, ignore_errors=True)

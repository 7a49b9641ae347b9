"""Files that the server gives to everybody: examples, licences and the model card."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

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

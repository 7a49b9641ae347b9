"""The page's `gr.Blocks`: one place where every call comes in, from the page, by REST, client or MCP."""

import copy
from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from atldiff.errors import InputError
from atldiff.web.api import ENDPOINTS
from atldiff.web.files import WEB, check_size, locate_file, run_in_thread
from atldiff.web.jobs.request import explain

_FILES = (gr.Image, gr.Audio, gr.File, gr.UploadButton)


class Blocks(gr.Blocks):
    """Takes in a call's values as they came, files as paths, and lets every error out as one sentence.

    Gradio's components judge no value: `Options` does, so that all callers read the same sentence.
    """

    async def process_api(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Runs a function of the page.

        Raises:
            gr.Error: with one sentence for the caller; a user's mistake is no traceback in the log.
        """
        try:
            return await super().process_api(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error(explain(error), print_exception=False) from error

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """The values that a function is called with.

        Raises:
            InputError: too few or too many values, or a file that cannot be used.
        """
        names = ENDPOINTS.get(block_fn.api_name, tuple(block.label or "" for block in block_fn.inputs))
        _check_count(block_fn.api_name, names, len(inputs))
        files = [isinstance(block, _FILES) for block in block_fn.inputs]
        given = [
            await _as_gradio_file(value, name, block) if is_file else value
            for value, name, block, is_file in zip(inputs, names, block_fn.inputs, files, strict=False)
        ]
        unjudged = copy.copy(block_fn)
        unjudged.preprocess = False
        values = await super().preprocess_data(unjudged, given, state, explicit_call)
        return [
            check_size(value["path"], name) if is_file and isinstance(value, Mapping) else value
            for value, name, is_file in zip(values, names, files, strict=True)
        ]


def _check_count(endpoint: str | None, names: tuple[str, ...], count: int) -> None:
    """Raises InputError where a call has not as many values as its function."""
    if endpoint in ENDPOINTS and count != len(names):
        raise InputError(
            f"{endpoint} takes {len(names)} values and this request has {count}",
            f"Send all in this order: {', '.join(names)}; or any by name to /call/v2/{endpoint}",
        )
    if count < len(names):
        raise InputError("This request has too few values", "Load the page again")


async def _as_gradio_file(value: Any, name: str, block: Any) -> dict[str, Any] | None:
    """A file argument as gradio's components take it, the file on this disk."""
    source = await run_in_thread(locate_file, value, name, get_upload_folder())
    if source is None:
        return None
    if source.startswith(WEB):
        source = await _download(source, name, block)
    return {"path": source, "meta": {"_type": "gradio.FileData"}}


async def _download(address: str, name: str, block: Any) -> str:
    """The file at a public address; gradio refuses those of this machine and its network."""
    try:
        path = await block.async_move_resource_to_block_cache(address)
    except Exception as error:  # of gradio, httpx or the disk: whatever it is, there is no file
        raise InputError(
            f"The address of {name} cannot be read", "Give a public http(s) address, or send the file"
        ) from error
    return path

"""The page's `gr.Blocks`, which receives every call from the page, REST, gradio's client or MCP."""

import copy
import os
from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from atldiff.errors import InputError
from atldiff.web.api import ENDPOINTS, describe_parameters
from atldiff.web.files import WEB, check_size, example_at, locate_file, run_in_thread
from atldiff.web.jobs.request import explain

_FILES = (gr.Image, gr.Audio, gr.File, gr.UploadButton, gr.DownloadButton)


class Blocks(gr.Blocks):
    """Passes a call's values on unchanged, files as paths, and turns every error into one sentence.

    Gradio's components check no value. `Options` does, so that all callers read the same sentence.
    """

    async def process_api(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Runs a function of the page.

        Raises:
            gr.Error: one sentence for the caller. A user's mistake leaves no traceback in the log.
        """
        try:
            return await super().process_api(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error(explain(error), print_exception=False) from error

    def get_api_info(self, *args: Any, **kwargs: Any) -> Any:
        """Describes the endpoints, for "Use via API", gradio's clients and MCP."""
        info = super().get_api_info(*args, **kwargs)
        space = os.environ.get("SPACE_HOST")
        address = f"https://{space}" if space else self.share_url or self.local_url or "http://127.0.0.1:7860"
        describe_parameters(info, address)
        return info

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """Prepares the values of a call.

        Raises:
            InputError: there are too few or too many values, or a file cannot be used.
        """
        names = ENDPOINTS.get(block_fn.api_name, tuple(block.label or "" for block in block_fn.inputs))
        _check_count(block_fn.api_name, names, len(inputs))
        files = [isinstance(block, _FILES) for block in block_fn.inputs]
        arguments = [
            await _as_gradio_file(value, name, block) if is_file else value
            for value, name, block, is_file in zip(inputs, names, block_fn.inputs, files, strict=False)
        ]
        plain = copy.copy(block_fn)
        plain.preprocess = False
        values = await super().preprocess_data(plain, arguments, state, explicit_call)
        return [
            check_size(value["path"], name) if is_file and isinstance(value, Mapping) else value
            for value, name, is_file in zip(values, names, files, strict=True)
        ]

    def handle_streaming_diffs(
        self, block_fn: Any, data: list, *args: Any, final: bool, **kwargs: Any
    ) -> list:
        """What a step of a generator sends; the page's own generators end without a word.

        gradio sends the last values once more at the end. A visitor may have changed them in the meantime.
        Clients of the API take the end's values as the answer.
        """
        data = super().handle_streaming_diffs(block_fn, data, *args, final=final, **kwargs)
        return [gr.skip()] * len(data) if final and block_fn.api_visibility == "private" else data


def _check_count(endpoint: str | None, names: tuple[str, ...], count: int) -> None:
    """Raises InputError if a call has a wrong number of values."""
    if endpoint in ENDPOINTS and count != len(names):
        raise InputError(
            f"{endpoint} takes {len(names)} values and this request has {count}",
            f"Send all in this order: {', '.join(names)}; or any by name to /call/v2/{endpoint}",
        )
    if count < len(names):
        raise InputError("This request has too few values", "Load the page again")


async def _as_gradio_file(value: Any, name: str, block: Any) -> dict[str, Any] | None:
    """Converts a file argument to gradio's form, with the file on this disk; None without a file."""
    source = await run_in_thread(locate_file, value, name, get_upload_folder())
    if source is None:
        return None
    if example := example_at(source):
        source = save_file_to_cache(str(example), get_upload_folder())
    elif source.startswith(WEB):
        source = await _download(source, name, block)
    return {"path": source, "meta": {"_type": "gradio.FileData"}}


async def _download(address: str, name: str, block: Any) -> str:
    """Downloads the file at a public address; gradio refuses those of this machine and its network."""
    try:
        path = await block.async_move_resource_to_block_cache(address)
    except Exception as error:  # any error of gradio, httpx or the disk means that there is no file
        raise InputError(
            f"The address of {name} cannot be read", "Give a public http(s) address, or send the file"
        ) from error
    return path

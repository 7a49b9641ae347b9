"""What the page says of its API, and the files that it gives to everybody."""

from collections import Counter

import httpx
import page
import pytest
from gradio_client import Client, handle_file


def info(url: str) -> dict:
    return httpx.get(f"{url}gradio_api/info", timeout=60).json()["named_endpoints"]


def test_the_example_call_of_the_description_runs_as_it_is(server):
    parameters = info(server[0])["/animate"]["parameters"]
    files = {p["parameter_name"]: p["example_input"] for p in parameters if p["example_input"] is not None}
    files = {name: each["url"] for name, each in files.items() if isinstance(each, dict)}
    assert set(files) == {"portrait", "speech"}
    for address in files.values():
        assert httpx.head(address, timeout=page.PATIENCE).status_code == 200  # anybody can look at it
    given = {name: handle_file(address) for name, address in files.items()}
    video = Client(server[0], verbose=False).predict(**given, output="crop", api_name="/animate")
    assert page.probe(video)["frames"] == 147 and "astronaut-hello_world" in video


def test_every_argument_is_told_in_a_sentence(server):
    for endpoint in info(server[0]).values():
        for parameter in endpoint["parameters"]:
            words = parameter["python_type"]["description"]
            assert words[0].isupper() and words.endswith(".") and "FileData" not in words, words
    pytest.importorskip("mcp")
    for tool in httpx.get(f"{server[0]}gradio_api/mcp/schema", timeout=page.PATIENCE).json():
        properties = tool["inputSchema"]["properties"].values()
        assert all(each["description"].endswith(".") for each in properties)
        assert ",," not in tool["description"] and "argument," not in tool["description"]
        assert not any("atldiff-" in str(each.get("default")) for each in properties)  # no file of the server


def test_no_two_listeners_wait_for_their_last_run_on_one_event(server):
    events = Counter(  # gradio would let them call each other without end, see `on_any`
        (component, event)
        for each in httpx.get(f"{server[0]}config", timeout=page.PATIENCE).json()["dependencies"]
        for component, event in each["targets"]
        if each["backend_fn"] and each["trigger_mode"] == "always_last" and event != "then"
    )
    assert events and max(events.values()) == 1


def test_licences_and_card_are_given_and_nothing_else(server):
    papers = {"licence": "Apache License", "weights-licence": "commercial use", "model-card": "# Starter"}
    for name, words in papers.items():
        answer = httpx.get(f"{server[0]}about/{name}.txt", timeout=page.PATIENCE)
        assert words in answer.text and answer.headers["content-type"].startswith("text/plain")
    for path in ("about/app.py", "examples/..%2fapp.py", "examples/%2e%2e/app.py", "examples/"):
        assert "import spaces" not in httpx.get(f"{server[0]}{path}", timeout=page.PATIENCE).text

"""How a server starts: settings that are mistakes stop it before it listens."""

import inspect
import os
import socket
import subprocess
import sys
from pathlib import Path

import gradio as gr
import page
import pytest

from atldiff.errors import InputError
from atldiff.web import serving

STOPPING = (
    ("ATLDIFF_AUTH", "alice;secret", "Entry 1 of ATLDIFF_AUTH is not name:password"),
    ("ATLDIFF_REPLICAS", "two", "ATLDIFF_REPLICAS cannot be 'two'"),
)


@pytest.mark.parametrize(("name", "value", "sentence"), STOPPING, ids=lambda value: str(value)[:20])
def test_a_mistake_in_the_environment_stops_the_server_before_it_listens(tmp_path, name, value, sentence):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {name: value, "TMPDIR": str(tmp_path), "GRADIO_SERVER_PORT": str(port), **page.QUIET}
    done = subprocess.run(
        [sys.executable, str(page.ROOT / "app.py")], cwd=tmp_path, env=os.environ | settings,
        capture_output=True, text=True, timeout=page.STARTING,
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"error: {sentence}: ") and done.stderr.count("\n") == 1
    assert "secret" not in done.stderr and not list(tmp_path.iterdir())
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        pass


@pytest.mark.parametrize(
    "text", ["ann", "ann:", ":", "ann:x,:y", "ann:x, bob : ", ",", "  ", "ann:x;bob:y,eve", "ann:x,ann:y"]
)
def test_logins_that_are_not_all_name_and_password_are_refused(monkeypatch, text):
    monkeypatch.setenv("ATLDIFF_AUTH", text)
    with pytest.raises(InputError, match="ATLDIFF_AUTH"):
        serving.read_logins()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ann:secret,bob", "Entry 2 of ATLDIFF_AUTH is not name:password"),
        (":secret", "Entry 1 of ATLDIFF_AUTH is not name:password"),
        ("", "ATLDIFF_AUTH is set but names nobody"),
    ],
)
def test_the_entry_that_is_no_login_is_named_without_its_password(monkeypatch, text, sentence):
    monkeypatch.setenv("ATLDIFF_AUTH", text)
    with pytest.raises(InputError, match=sentence) as refused:
        serving.read_logins()
    assert "secret" not in str(refused.value)


def test_logins(monkeypatch):
    for text in ("ann:secret,bob:a:b", " ann:secret , bob:a:b,\n"):
        monkeypatch.setenv("ATLDIFF_AUTH", text)
        assert serving.read_logins() == [("ann", "secret"), ("bob", "a:b")]
    monkeypatch.delenv("ATLDIFF_AUTH")
    assert serving.read_logins() is None


@pytest.mark.parametrize("text", ["", "-1", "0.5", "1e2", "1_0", "٣", "+1", "1000", "9" * 5000])
def test_a_number_of_workers_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("ATLDIFF_REPLICAS", text)
    with pytest.raises(InputError, match="whole number from 0 to 999"):
        serving.read_replicas()


def test_the_number_of_workers(monkeypatch):
    monkeypatch.delenv("ATLDIFF_REPLICAS", raising=False)
    assert serving.read_replicas() == 0
    monkeypatch.setenv("ATLDIFF_REPLICAS", " 2 ")
    assert serving.read_replicas() == 2


def test_launch_options(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["app.py", "--host", "0.0.0.0", "--port", "9000", "--share"])
    monkeypatch.setenv("ATLDIFF_AUTH", "ann:secret")
    auth = [("ann", "secret")]
    given = {"server_name": "0.0.0.0", "server_port": 9000, "share": True, "auth": auth}
    assert serving.read_launch_options() == given
    monkeypatch.setattr(sys, "argv", ["app.py"])
    monkeypatch.delenv("ATLDIFF_AUTH")
    # None: gradio's own environment variables decide.
    assert serving.read_launch_options() == dict.fromkeys(given)


def test_while_gradio_is_imported_its_classes_have_no_source_and_all_others_have():
    before = inspect.getfile
    with serving.without_stubs():
        with pytest.raises(OSError):
            inspect.getfile(gr.Button)
        assert inspect.getfile(serving) == serving.__file__ and inspect.getfile(Path)
    assert inspect.getfile is before and inspect.getfile(gr.Button).endswith("button.py")

"""Folders of servers: one for each, swept when its server was killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import page
import pytest

from atldiff.web.jobs.temp_folders import MARK, claim, remove_leftovers

SERVER = """
import sys, tempfile
from atldiff.web.jobs.temp_folders import server_folder
folder = server_folder()
open(f"{folder.name}/portrait.png", "w").close()
tempfile.mkdtemp(prefix="voice-")
print(folder.name, flush=True)
sys.stdin.read()
"""


def started(place: Path) -> tuple[subprocess.Popen, Path]:
    """A process that holds a folder as a server does, until its input is closed, and that folder."""
    command, settings = [sys.executable, "-c", SERVER], os.environ | {"TMPDIR": str(place)}
    pipe = subprocess.PIPE
    server = subprocess.Popen(command, cwd=page.ROOT, env=settings, stdin=pipe, stdout=pipe, text=True)
    return server, Path(server.stdout.readline().strip())


def ended(server: subprocess.Popen) -> None:
    server.communicate(timeout=page.PATIENCE)


def test_what_a_killed_server_left_is_gone_when_the_next_starts_and_those_that_live_keep_theirs(tmp_path):
    living, kept = started(tmp_path)
    killed, left = started(tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert {path.name[:6] for path in left.iterdir()} == {"portra", "voice-", "server"}
    fresh, own = started(tmp_path)
    assert not left.exists() and kept.exists() and own.exists()
    ended(living)
    ended(fresh)
    assert list(tmp_path.iterdir()) == []


def test_only_marked_folders_are_removed(tmp_path):
    other, link, file = (tmp_path / f"atldiff-{name}" for name in ("other", "link", "file"))
    left, elsewhere = tmp_path / "atldiff-left", tmp_path / "elsewhere"
    for folder in (other, left, elsewhere):
        folder.mkdir()
    (other / "thesis.txt").touch()
    file.touch()
    for folder in (left, elsewhere):
        os.close(claim(folder))
    link.symlink_to(elsewhere)
    assert remove_leftovers(tmp_path) == [left]
    assert (other / "thesis.txt").exists() and file.exists() and (elsewhere / MARK).exists()


def test_a_folder_in_use_stays(tmp_path):
    folder = tmp_path / "atldiff-mine"
    folder.mkdir()
    lock = claim(folder)
    assert remove_leftovers(tmp_path) == [] and folder.exists()
    os.close(lock)
    assert remove_leftovers(tmp_path) == [folder]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_another_users_folder_stays(tmp_path):
    folder = tmp_path / "atldiff-theirs"
    folder.mkdir()
    os.close(claim(folder))
    os.chown(folder, 12345, 12345)
    assert remove_leftovers(tmp_path) == []

"""One command at a time writes to a folder, however the one before ended."""

import os
import subprocess
import sys

import pytest
from accelerate.commands.launch import launch_command_parser
from accelerate.utils.launch import prepare_simple_launcher_cmd_env

from atldiff.cli.parser import main
from atldiff.errors import InputError
from atldiff.training.runs.run_folder import LOCK, lock_folder

# Holds a folder, starts a worker that outlives it, as a loader's may for seconds, and waits.
HOLDER = """
import os, sys, time
from pathlib import Path
from atldiff.training.runs.run_folder import lock_folder

with lock_folder(Path(sys.argv[1])):
    worker = os.fork()
    if worker:
        print(worker, flush=True)
    time.sleep(60)
"""


def test_a_folder_in_use_is_refused_until_its_process_is_killed(tmp_path, capsys):
    out = tmp_path / "run"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(out)], stdout=subprocess.PIPE, text=True)
    worker = int(holder.stdout.readline())
    try:
        command = ["prepare", "--data", str(tmp_path / "nothing"), "--out", str(out)]
        assert main(command) == 2
        assert f"Another process ({holder.pid} on " in capsys.readouterr().err
        assert os.listdir(out) == [LOCK]
        holder.kill()
        holder.wait()
        with lock_folder(out):
            assert (out / LOCK).read_text().startswith(f"{os.getpid()} on ")
    finally:
        holder.kill()
        os.kill(worker, 9)
    assert os.listdir(out) == []


def test_other_processes_of_the_same_command_do_not_ask(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with lock_folder(tmp_path):
        assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"), lock_folder(tmp_path / "file" / "run"):
        pass


def test_processes_that_do_not_know_of_each_other_are_refused(tmp_path, monkeypatch, capsys):
    """The environment is that in which `accelerate launch --cpu --num_machines 2` starts them."""
    told = ["--cpu", "--num_machines", "2", "--num_processes", "2", "--machine_rank", "1"]
    told += ["--main_process_ip", "127.0.0.1", "--main_process_port", "29577"]
    told += ["--mixed_precision", "no", "--dynamo_backend", "no", "--num_cpu_threads_per_process", "1"]
    arguments = launch_command_parser().parse_args([*told, "-m", "atldiff"])
    _, environment = prepare_simple_launcher_cmd_env(arguments)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["train", "diffusion", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "error: accelerate launch starts one process a machine here" in error
    assert "Launch with torchrun" in error and not (tmp_path / "run" / "state.pt").exists()


@pytest.mark.parametrize("size", ["WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"])
def test_a_process_that_is_told_its_rank_is_not_alone(monkeypatch, size):
    from atldiff.training.runs.processes import _lacks_rank

    told = {"ACCELERATE_USE_CPU": "True", "MASTER_ADDR": "10.0.0.1"}
    assert _lacks_rank(told) and not _lacks_rank(told | {size: "2"})
    assert not _lacks_rank({"MASTER_ADDR": "10.0.0.1"})  # a script's own habit

"""Processes that begin with what training imports: copies of one that imported it once."""

import multiprocessing
import multiprocessing.forkserver
import os
import socket
from collections.abc import Callable
from functools import cache

PATIENCE = 200  # seconds
IMPORTED = ["atldiff.training.ablations", "atldiff.training.emotion.train", "atldiff.training.data.prepare"]
# What training imports when it is needed.
LAZY = ["torch._dynamo", "torch.utils.tensorboard", "torchdata.stateful_dataloader"]


@cache
def import_once() -> None:
    """Starts the server of processes anew, as tests of `prepare` started it with little imported."""
    multiprocessing.set_forkserver_preload([*IMPORTED, *LAZY])
    multiprocessing.forkserver._forkserver._stop()


def run_processes(count: int, function: Callable, *arguments: object) -> list[int | None]:
    """Runs a function in processes that know of each other as torchrun's do; returns how they ended."""
    import_once()
    context = multiprocessing.get_context("forkserver")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        context.Process(
            target=_run,
            args=(multiprocessing.get_start_method(), rank, count, port, function, *arguments),
        )
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
        process.kill()
        process.join()
    return [process.exitcode for process in processes]


def _run(way: str, rank: int, count: int, port: int, function: Callable, *arguments: object) -> None:
    multiprocessing.set_start_method(way, force=True)  # of its readers, as in a process of torchrun's
    if count > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    function(*arguments)

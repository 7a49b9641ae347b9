"""Threads of a live portrait."""

import threading

import torch


def limit_to_one_thread() -> None:
    """Lets torch compute in this thread alone: windows of three frames are too small to share.

    torch counts its threads for each thread, and for all that begin later; these keep their number.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    restorer = threading.Thread(target=torch.set_num_threads, args=(before,))
    restorer.start()
    restorer.join()

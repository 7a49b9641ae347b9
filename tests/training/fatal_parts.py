"""Workers' jobs that never end well; a worker imports this file alone, in a moment."""

import os
import time
from pathlib import Path

from atldiff.training.data import prepare
from atldiff.training.data.corpora import ClipRecord
from atldiff.training.data.extract import PROTOCOLS, extract
from atldiff.training.data.prepare import make_part


def poisoned_part(clip, config, part):
    """`make_part` in a process that dies when it reads one of the clips."""
    prepare.extract = lambda *job: os.abort() if clip.key == "ben/001" else extract(*job)
    return make_part(clip, config, part)


def endless_part(part):
    """`make_part` of a clip that takes long."""
    prepare.extract = lambda *_: time.sleep(100)
    return make_part(ClipRecord("long", Path("long.mp4"), "anna"), PROTOCOLS["starter"], part)

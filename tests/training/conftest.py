"""Prepared clips of a face, for the tests that train."""

import json

import cv2
import numpy as np
import pytest

from atldiff.landmarks import crop_box, to_crop
from atldiff.portrait.photo import crop_square
from atldiff.portrait.portrait import load_portrait
from atldiff.training.data.extract import STORED_MARGIN, STORED_SIZE
from atldiff.training.data.shards import MANIFEST, write_shard
from atldiff.training.renderer import batches


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    """Readers prepare one batch ahead: runs of a few steps would use none of the others."""
    monkeypatch.setattr(batches, "AHEAD", 1)


@pytest.fixture(scope="session")
def data(tmp_path_factory, portrait_path):
    """Shards: a face opens and closes its mouth for twenty frames; two clips to train, one to validate."""
    folder, shards = tmp_path_factory.mktemp("prepared"), []
    portrait = load_portrait(portrait_path)
    box = crop_box(portrait.landmarks, 1.5 * STORED_MARGIN)
    still = crop_square(portrait.image, box, STORED_SIZE)
    encoded = [cv2.imencode(".jpg", still[..., ::-1])[1]] * 20
    offsets = np.cumsum([0] + [len(e) for e in encoded])
    for number, split in enumerate(("train", "train", "val")):
        points = np.repeat(to_crop(portrait.landmarks, box)[None], 20, axis=0)
        points[:, [56, 57, 58, 65, 66, 67], 1] += 0.02 * np.sin(np.arange(20) + number)[:, None]
        arrays = {"jpeg": np.concatenate(encoded), "offsets": offsets, "landmarks": points}
        arrays |= {"ok": np.ones(20, bool), "samples": np.zeros(0, np.float32)}
        entry = {"stem": f"clip{number}", "identity": "drawn", "split": split, "use": "frames"}
        name = f"{split}-{number:06d}"
        samples, size, _ = write_shard(folder / f"{name}.tar", [(entry, arrays)])
        shards.append({"name": name, "split": split, "samples": samples, "bytes": size})
    (folder / MANIFEST).write_text(json.dumps({"shards": shards}))
    return folder

"""Arrays in a file, and that landmark and emotion training read their corpora from one."""

import tracemalloc

import numpy as np
import pytest
import soundfile
import torch
from training.made_speech import corpus, emotional_speech, networks

from atldiff.errors import InputError
from atldiff.training.data.array_file import ArrayFile
from atldiff.training.emotion.speech import Mels, read_labels, store_emotional_speech
from atldiff.training.landmarks.clips import StoredSpeech, data_key, load_speech_clips, read_speech_clips
from atldiff.training.landmarks.components import fit_components
from atldiff.training.landmarks.encoded import encode_versions, fit_features
from atldiff.training.landmarks.windows import clip_shares, draw_batch


def rows(count):
    rng = np.random.default_rng(0)
    for number in range(count):
        yield {"a": rng.random((number, 3), np.float32), "b": np.array(number), "c": np.arange(4) > number}


def test_rows_come_back_as_they_were_whatever_their_shape(tmp_path):
    written = ArrayFile.write(tmp_path / "rows.bin", rows(5))
    assert len(written) == 5 and len(list(written)) == 5
    for kept in (written, ArrayFile.open_existing(tmp_path / "rows.bin")):
        for wanted, row in zip(rows(5), kept, strict=True):
            for name, array in wanted.items():
                assert row[name].dtype == array.dtype
                np.testing.assert_array_equal(row[name], array)
    assert len(ArrayFile.write(tmp_path / "none.bin", iter(()))) == 0
    assert {file.name for file in tmp_path.iterdir()} == {"rows.bin", "rows.npz", "none.bin", "none.npz"}


def test_what_was_not_written_whole_is_not_there(tmp_path):
    def breaks():
        yield from rows(2)
        raise InputError("The third is broken", "Leave it out")

    with pytest.raises(InputError, match="third"):
        ArrayFile.write(tmp_path / "rows.bin", breaks())
    assert ArrayFile.open_existing(tmp_path / "rows.bin") is None and not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"rows\.bin cannot be written"):
        ArrayFile.write(tmp_path / "nowhere" / "rows.bin", rows(2))


def test_changing_what_was_read_changes_no_file(tmp_path):
    kept = ArrayFile.write(tmp_path / "rows.bin", rows(3))
    torch.from_numpy(kept[2]["a"]).zero_()
    assert kept[2]["a"].any()


def test_stored_speech_is_the_speech(tmp_path):
    corpus(tmp_path)
    clips = load_speech_clips(tmp_path, "train")
    stored = StoredSpeech.store(tmp_path / "clips.bin", read_speech_clips(tmp_path, "train"))
    for clip, again in zip(clips, stored, strict=True):
        assert (clip.stem, clip.speaker) == (again.stem, again.speaker)
        for name in ("samples", "displacements", "identity", "ok"):
            np.testing.assert_array_equal(getattr(clip, name), getattr(again, name))
    assert [clip.stem for clip in load_speech_clips(tmp_path, "train", 2)] == ["clip0", "clip1"]


def test_memory_of_landmark_training_does_not_grow_with_the_corpus(tmp_path):
    """Of arrays; torch's tensors are views of them or of one clip."""
    peaks = []
    for count in (5, 25):
        data = tmp_path / str(count)
        data.mkdir()
        corpus(data, count)
        encoder, generator = networks()
        tracemalloc.start()
        clips = StoredSpeech.store(data / "clips.bin", read_speech_clips(data, "train"))
        key = data_key(encoder, clips)
        fit_features(encoder, clips)
        versions = encode_versions(data, key, encoder, clips, 2, seed=0)
        fit_components(generator, clips)
        shares = clip_shares([clip.speaker for clip in clips], [len(clip.ok) for clip in clips])
        for seed in range(10):
            draw_batch(versions, shares, [0] * len(clips), 4, 60, np.random.default_rng(seed))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    one = sum(array.nbytes for array in vars(clips[0]).values() if isinstance(array, np.ndarray))
    assert peaks[1] - peaks[0] < 3 * one  # the corpora differ by twenty


def test_recordings_are_read_from_their_file(tmp_path):
    (tmp_path / "emotional_speech").mkdir()
    table = ["file,emotion,actor"]
    for number, (emotion, actor) in enumerate((("angry", "01"), ("dull", "01"), ("sad", "19"))):
        wave = 0.1 * np.random.default_rng(number).standard_normal(8000 + 1600 * number)
        rate = 16_000
        if actor == "19":  # in stereo, as some of RAVDESS's, and at its rate
            wave, rate = np.repeat(np.stack([wave, wave], axis=1), 3, axis=0), 48_000
        soundfile.write(tmp_path / "emotional_speech" / f"{number}.wav", wave, rate)
        table.append(f"{number}.wav,{emotion},{actor}")
    (tmp_path / "emotional_speech.csv").write_text("\n".join(table))
    encoder, _ = networks()
    kept = store_emotional_speech(tmp_path, encoder, tmp_path / "mels.bin")
    labels, held_out = read_labels(kept)
    assert [encoder.emotion.names[label] for label in labels] == ["angry", "sad"]
    assert held_out.tolist() == [False, True]
    assert isinstance(kept[0]["mel"], np.memmap) and len(Mels(kept)) == 2
    assert [mel.shape for mel in Mels(kept)] == [(80, 51), (80, 71)]
    (tmp_path / "emotional_speech.csv").write_text("\n".join(table[:2]))
    with pytest.raises(InputError, match="none to validate with"):
        store_emotional_speech(tmp_path, encoder, tmp_path / "mels.bin")


def test_a_clip_is_drawn_by_its_length_and_its_speakers_number_of_clips():
    shares = clip_shares(["a", *["b"] * 16], [100] * 16 + [400])
    np.testing.assert_allclose(shares[[0, 1, 16]], [10, 5, 10])


def test_a_recording_that_cannot_be_read_is_named(tmp_path):
    emotional_speech(tmp_path)
    (tmp_path / "emotional_speech" / "19-angry.wav").write_bytes(b"half a download")
    with pytest.raises(InputError, match="19-angry.wav cannot be read: Fetch it again"):
        store_emotional_speech(tmp_path, networks()[0], tmp_path / "mels.bin")

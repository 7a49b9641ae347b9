"""Corpora with the layouts and names their authors give them -> clip records."""

import pytest

from atldiff.errors import InputError
from atldiff.training.data.corpora import ClipRecord, Skipped, read_corpus, recognise


def make(root, *files, content=b"video"):
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def listed(root, corpus="auto"):
    """(records by key, reasons by file)."""
    found = list(read_corpus(root, corpus))
    records = {item.key: item for item in found if isinstance(item, ClipRecord)}
    skipped = {item.file: item.reason for item in found if isinstance(item, Skipped)}
    assert len(records) + len(skipped) == len(found)
    return records, skipped


def test_crema_d(tmp_path):
    make(tmp_path, "VideoFlash/1001_DFA_ANG_XX.flv", "VideoFlash/1002_IEO_HAP_HI.flv", "VideoFlash/notes.flv")
    make(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav")
    make(tmp_path, "VideoFlash/1003_TIE_SAD_LO.flv", content=b"version https://git-lfs.github.com/spec/v1")
    table = "ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,Caucasian,Not Hispanic\n"
    make(tmp_path, "VideoDemographics.csv", content=table.encode())
    assert recognise(tmp_path) == "crema-d"
    records, skipped = listed(tmp_path)
    first = records["VideoFlash/1001_DFA_ANG_XX"]
    assert (first.identity, first.sentence, first.emotion, first.level) == (
        "1001",
        "Don't forget a jacket",
        "angry",
        "",
    )
    assert first.audio == tmp_path / "AudioWAV/1001_DFA_ANG_XX.wav"
    assert first.details == {"age": "51", "sex": "male"}
    second = records["VideoFlash/1002_IEO_HAP_HI"]
    assert second.audio is None and second.level == "high" and second.details == {}
    assert "Git LFS" in skipped["VideoFlash/1003_TIE_SAD_LO.flv"]
    assert "1001_DFA_ANG_XX" in skipped["VideoFlash/notes.flv"]


def test_mead(tmp_path):
    make(tmp_path, "M003/video/front/happy/level_2/001.mp4", "M003/audio/happy/level_2/001.m4a")
    make(tmp_path, "M003/video/front/happy/level_1/001.mp4", "M003/audio/happy/level_1/001.m4a")
    make(tmp_path, "M003/video/left_30/happy/level_2/001.mp4", "W009/video/front/fear/level_3/002.mp4")
    make(tmp_path, "M003/video/front/sad/level_1/003.mp4.part", "W011/video.tar")
    records, skipped = listed(tmp_path)
    assert set(records) == {f"M003/video/front/happy/level_{n}/001" for n in (1, 2)}
    clip = records["M003/video/front/happy/level_2/001"]
    assert (clip.identity, clip.emotion, clip.level) == ("M003", "happy", "2")
    assert clip.audio == tmp_path / "M003/audio/happy/level_2/001.m4a"
    assert clip.details["sex"] == "male" and clip.details["take"] == "001"
    assert skipped == {
        "M003/video/left_30/happy/level_2/001.mp4": "not the frontal view",
        "W009/video/front/fear/level_3/002.mp4": "its sound is missing",
        "M003/video/front/sad/level_1/003.mp4.part": "its download is not finished",
        "W011/video.tar": "not unpacked",
    }


def test_ravdess(tmp_path):
    make(tmp_path, "Actor_02/01-01-03-02-01-01-02.mp4", "Actor_02/02-01-03-02-01-01-02.mp4")
    make(tmp_path, "Video_Song_Actor_01/Actor_01/01-02-01-01-02-01-01.mp4")
    records, skipped = listed(tmp_path)
    clip = records["Actor_02/01-01-03-02-01-01-02"]
    assert (clip.identity, clip.emotion, clip.level) == ("02", "happy", "strong")
    assert clip.sentence == "Kids are talking by the door" and clip.details["sex"] == "female"
    song = records["Video_Song_Actor_01/Actor_01/01-02-01-01-02-01-01"]
    assert song.details["channel"] == "song" and song.identity == "01"
    assert list(skipped) == ["Actor_02/02-01-03-02-01-01-02.mp4"]


def test_grid(tmp_path):
    make(tmp_path, "s1/bbaf2n.mpg", "s2/video/mpg_6000/swiwzs.mpg", "audio_25k/s1/bbaf2n.wav")
    make(tmp_path, "s1/hello.mpg", "s2/video/mpg_6000/swizzs.mpg")
    records, skipped = listed(tmp_path)
    assert records["s1/bbaf2n"].sentence == "bin blue at f two now"
    assert records["s1/bbaf2n"].audio == tmp_path / "audio_25k/s1/bbaf2n.wav"
    clip = records["s2/video/mpg_6000/swizzs"]
    assert clip.identity == "s2" and clip.sentence == "set white in z zero soon"
    assert set(skipped) == {"s1/hello.mpg", "s2/video/mpg_6000/swiwzs.mpg"}  # no letter w


def test_a_plain_folder(tmp_path):
    make(tmp_path, "anna/day.1/hello.mp4", "anna/day.1/hello.wav", "ben.mov", "readme.txt", ".trash/x.mp4")
    make(tmp_path, "anna/empty.mp4", content=b"")
    (tmp_path / "anna/gone.mp4").symlink_to("not-fetched.mp4")  # as git-annex has it
    records, skipped = listed(tmp_path)
    assert set(records) == {"anna/day_1/hello", "ben"}
    assert records["anna/day_1/hello"].identity == "anna" and records["ben"].identity == "ben"
    assert records["anna/day_1/hello"].audio == tmp_path / "anna/day.1/hello.wav"
    assert skipped.pop("anna/gone.mp4") == "cannot be read (No such file or directory)"
    assert skipped == {"anna/empty.mp4": "is empty (0 bytes)"}


def test_clips_csv(tmp_path):
    make(tmp_path, "clips/a.mp4")
    table = (
        "file,identity,split,kind,use,emotion\nclips/a.mp4,anna,val,silent,frames,\nclips/b.mp4,ben,train,,,"
    )
    make(tmp_path, "clips.csv", content=table.encode())
    records, skipped = listed(tmp_path)
    clip = records["clips/a"]
    assert (clip.identity, clip.split, clip.kind, clip.use, clip.emotion) == (
        "anna",
        "val",
        "silent",
        "frames",
        "",
    )
    assert skipped == {"clips/b.mp4": "does not exist"}


def test_lags_come_from_the_table_beside_clips_csv(tmp_path):
    for name in "abcd":
        make(tmp_path, f"{name}.mp4")
    make(tmp_path, "clips.csv", content=b"file,identity\na.mp4,a\nb.mp4,b\nc.mp4,c\nd.mp4,d\n")
    assert all(record.lag == 0 for record in listed(tmp_path)[0].values())
    make(tmp_path, "clip_sync.csv", content=b"file,lag_ms,sure\na.mp4,-157,1\nb.mp4,300,0\nc.mp4,,\n")
    assert {key: record.lag for key, record in listed(tmp_path)[0].items()} == {
        "a": -0.157, "b": 0, "c": 0, "d": 0,
    }  # fmt: skip
    make(tmp_path, "clip_sync.csv", content=b"file,lag_ms\nb.mp4,300\n")
    assert listed(tmp_path)[0]["b"].lag == 0.3
    make(tmp_path, "clip_sync.csv", content=b"file,lag_ms\nb.mp4,late\n")
    with pytest.raises(InputError, match="milliseconds"):
        listed(tmp_path)


def test_wrong_folders_and_names_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        list(read_corpus(tmp_path / "gone"))
    with pytest.raises(InputError, match="no corpus 'voxceleb'"):
        list(read_corpus(tmp_path, "voxceleb"))
    make(tmp_path, "clips.csv", content=b"path\n")
    with pytest.raises(InputError, match="no column file"):
        list(read_corpus(tmp_path))

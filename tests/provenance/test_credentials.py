"""Content Credentials: what is signed, what is told, and that no video is ever lost."""

import socket
import stat
import time
from datetime import timedelta

import c2pa
import numpy as np
import pytest

from atldiff.errors import InputError
from atldiff.media.speech import load_speech
from atldiff.media.video_reader import read_clip
from atldiff.media.video_writer import encode_video, write_video
from atldiff.provenance import credentials, signing_key
from atldiff.provenance.credentials import read_credentials, sign_video
from atldiff.provenance.origin import Origin, Rendering, fingerprint, hash_weights, name_weights
from atldiff.provenance.signing_key import FILE, SigningKey, find_signing_key, make_signing_key


def frames(count: int = 3, side: int = 64):
    for index in range(count):
        yield np.full((side, side, 3), 60 + 20 * index, np.uint8)


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return make_signing_key()


@pytest.fixture
def operator(key, monkeypatch) -> SigningKey:
    """The key of an operator, as the texts of a Space's secrets."""
    chain = b"".join(key.certificates).decode().replace("\n", "\\n")
    monkeypatch.setenv("ATLDIFF_SIGNING_CERT", chain)
    monkeypatch.setenv("ATLDIFF_SIGNING_KEY", key.key.decode())
    return key


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.webm", "A.MP4"])
def test_every_video_is_signed_and_one_changed_byte_is_told(tmp_path, name):
    origin = Origin("ab", "cd", "starter", "ef", {"seed": 7})
    path = write_video(tmp_path / name, frames(), None, origin=origin)
    found = read_credentials(path)
    assert found.state == "intact" and found.known and not found.expired
    assert found.generator == "atldiff" and "self-signed" in found.signer and found.signed.endswith("Z")
    expected = {"photo": "ab", "recording": "cd", "weights": "starter", "weights_hash": "ef"}
    assert found.generation == expected | {"options": {"seed": 7}}
    assert (tmp_path / "a.c2pa").exists() == (name == "a.webm")
    content = bytearray(path.read_bytes())
    content[-len(content) // 8] ^= 1
    path.write_bytes(content)
    assert read_credentials(path).state == "changed"


def test_signing_is_small_and_keeps_the_video(tmp_path):
    plain, path = tmp_path / "plain.mp4", tmp_path / "a.mp4"
    write_video(path, frames(), None)
    signed = path.read_bytes()
    assert signed.index(b"moov") < signed.index(b"mdat")
    assert len(read_clip(path).frames) == 3
    place = signed.index(b"uuid")
    size = int.from_bytes(signed[place - 4 : place], "big")
    assert size < 5000
    plain.write_bytes(signed[: place - 4] + signed[place - 4 + size :])
    assert read_credentials(plain).state == "none"


def test_what_was_made_is_said(tmp_path):
    manifest = credentials.manifest(Origin(weights="starter"), marked=True)
    actions = manifest["assertions"][0]["data"]["actions"]
    assert [action["action"] for action in actions] == ["c2pa.created", "c2pa.watermarked.unbound"]
    assert actions[0]["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    assert len(credentials.manifest(Origin(), marked=False)["assertions"]) == 1


def test_frames_know_their_origin_and_the_recording_its_file(tmp_path, speech_path):
    speech = load_speech(speech_path).cut(0, 0.1)
    rendering = Rendering(frames(), Origin(photo="ab"))
    found = read_credentials(write_video(tmp_path / "a.mp4", rendering, speech))
    assert found.generation == {"photo": "ab", "recording": fingerprint(speech_path)}


def test_names_and_hashes_of_weights(tmp_path):
    for name in ("b/net.safetensors", "a.safetensors", "config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    lines = "".join(
        f"{fingerprint(tmp_path / name)}  {name}\n" for name in ("a.safetensors", "b/net.safetensors")
    )
    (tmp_path / "lines").write_text(lines)
    assert hash_weights(tmp_path) == fingerprint(tmp_path / "lines")
    assert name_weights("/home/me/starter") == "starter"
    assert name_weights("/c/models--some--one/snapshots/0a1b") == "some/one"


def test_a_video_that_cannot_be_signed_is_whole_and_says_why(tmp_path, operator, monkeypatch):
    monkeypatch.setenv("ATLDIFF_SIGNING_KEY", "/no/such/file")
    for ending in ("mp4", "webm"):
        notes: list[str] = []
        for _ in encode_video(tmp_path / f"a.{ending}", frames(), None, warn=notes.append):
            pass
        assert len(read_clip(tmp_path / f"a.{ending}").frames) == 3
        assert len(notes) == 1 and "no Content Credentials" in notes[0] and "/no/such/file" in notes[0]
        assert read_credentials(tmp_path / f"a.{ending}").state == "none"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "a.webm"]


def test_a_failure_in_the_library_leaves_the_video(tmp_path, monkeypatch, caplog):
    path = write_video(tmp_path / "a.mp4", frames(), None)
    before = path.read_bytes()

    def fail(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(credentials, "read_credentials", fail)
    assert "broken" in sign_video(path, path, Origin(), False)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    write_video(path, frames(), None)
    assert "no Content Credentials: broken" in caplog.text
    monkeypatch.setattr(credentials, "MAX_BYTES", 100)
    assert "more than" in sign_video(path, path, Origin(), False)


def test_the_operators_key_signs_and_is_known_only_where_it_is_set(tmp_path, operator, monkeypatch):
    path = write_video(tmp_path / "a.mp4", frames(), None)
    assert read_credentials(path).known
    for name in ("CERT", "KEY"):
        monkeypatch.delenv(f"ATLDIFF_SIGNING_{name}")
    stranger = read_credentials(path)
    assert stranger.state == "intact" and not stranger.known
    assert read_credentials(path, (operator.certificates[-1],)).known


def test_the_operators_key_may_be_files(tmp_path, operator, monkeypatch):
    (tmp_path / "cert.pem").write_bytes(b"".join(operator.certificates))
    (tmp_path / "key.pem").write_bytes(operator.key)
    monkeypatch.setenv("ATLDIFF_SIGNING_CERT", str(tmp_path / "cert.pem"))
    monkeypatch.setenv("ATLDIFF_SIGNING_KEY", str(tmp_path / "key.pem"))
    assert find_signing_key(create=False).certificates == operator.certificates


@pytest.mark.parametrize("fault", ["part", "other", "rubbish"])
def test_keys_that_cannot_sign(operator, monkeypatch, fault):
    if fault == "part":
        monkeypatch.delenv("ATLDIFF_SIGNING_KEY")
    elif fault == "other":
        monkeypatch.setenv("ATLDIFF_SIGNING_KEY", make_signing_key().key.decode())
    else:
        monkeypatch.setenv(
            "ATLDIFF_SIGNING_CERT", "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----"
        )
    with pytest.raises(InputError, match="ATLDIFF_SIGNING"):
        key = find_signing_key(create=True)
        assert key.algorithm


def test_the_installations_key_is_made_once_and_privately(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert find_signing_key(create=False) is None and not (tmp_path / "data").exists()
    first = find_signing_key(create=True)
    path = signing_key.data_folder() / FILE
    assert first.own and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [FILE]
    assert find_signing_key(create=True).key == first.key
    signing_key._write_once(path, make_signing_key())  # as another process that was a moment later
    assert find_signing_key(create=True).key == first.key


def test_a_certificate_that_expired_does_not_make_the_video_a_changed_one(tmp_path, monkeypatch):
    key = make_signing_key(timedelta(seconds=3))
    end = time.monotonic() + 4
    monkeypatch.setenv("ATLDIFF_SIGNING_CERT", b"".join(key.certificates).decode())
    monkeypatch.setenv("ATLDIFF_SIGNING_KEY", key.key.decode())
    path = write_video(tmp_path / "a.mp4", frames(), None)
    monkeypatch.undo()
    time.sleep(max(0, end - time.monotonic()))
    found = read_credentials(path)
    if found.state == "none":
        pytest.skip("the machine was too slow to sign within the certificate's three seconds")
    assert found.state == "intact" and found.expired and not found.known


@pytest.mark.parametrize("content", [b"", b"text" * 50, bytes(3000), b"\x00\x00\x00\x18ftypisom" + bytes(50)])
def test_files_without_credentials(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    assert read_credentials(tmp_path / "a.mp4").state == "none"


def test_a_video_that_was_cut_off_or_grew_is_told(tmp_path):
    content = write_video(tmp_path / "a.mp4", frames(), None).read_bytes()
    for changed in (content[:300], content[: len(content) // 2], content[:-1], content + b"more"):
        (tmp_path / "b.mp4").write_bytes(changed)
        assert read_credentials(tmp_path / "b.mp4").state in ("changed", "damaged")


def test_no_address_in_a_file_is_asked(tmp_path):
    source, target = write_video(tmp_path / "a.mp4", frames(), None), tmp_path / "b.mp4"
    key = find_signing_key(create=True)
    signer = c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(key.algorithm, b"".join(key.certificates), key.key, None)
    )
    builder = c2pa.Builder(credentials.manifest(Origin(), marked=False))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        builder.set_no_embed()
        builder.set_remote_url(f"http://127.0.0.1:{server.getsockname()[1]}/a.c2pa")
        with source.open("rb") as video, target.open("w+b") as signed:
            builder.sign(signer, "video/mp4", video, signed)
        assert b"http://127.0.0.1" in target.read_bytes()
        assert read_credentials(target).state != "intact"
        with pytest.raises(TimeoutError):
            server.accept()

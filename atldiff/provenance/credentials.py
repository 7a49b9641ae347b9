"""Content Credentials (C2PA): signed words on how a video was made, in the file or beside it.

- Signing writes a second file and reads it back. Whatever fails, the video that was there stays.
- Reading asks no address that a file names.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from atldiff import __version__
from atldiff.provenance.origin import Origin
from atldiff.provenance.signing_key import find_signing_key, known_certificates

NAME = "atldiff"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
GENERATION = "atldiff.generation"  # label of our own assertion
SIDECAR = ".c2pa"  # ending of credentials beside a file that cannot hold them
MAX_BYTES = 512 * 2**20  # of a file that is signed or read; signing needs twice as much memory
_EMBEDDED = {".mp4": "video/mp4", ".mov": "video/quicktime"}
_WITHOUT = ".webm"  # cannot hold credentials
_LARGEST_SIDECAR = 2**20  # bytes
_BESIDE = "application/octet-stream"  # a format that C2PA hashes as plain bytes
_EXPIRED = {"signingCredential.expired", "claimSignature.outsideValidity"}
_UNKNOWN_SIGNER = {"signingCredential.untrusted"}


@dataclass(frozen=True)
class Credentials:
    """The credentials of a file.

    Attributes:
        state: "none", "intact", "changed" since the signing, or "damaged": they cannot be read.
        generator: the program that signed, by its own words.
        signer: name in the certificate, or "".
        known: whether this installation knows the signer: its own, the operator's, or one named as trusted.
        expired: whether the certificate has expired since.
        signed: time of making in ISO 8601, by the signer's words, or "".
        generation: our own words on weights, options and sources.
    """

    state: str = "none"
    generator: str = ""
    signer: str = ""
    known: bool = False
    expired: bool = False
    signed: str = ""
    generation: Mapping[str, Any] = field(default_factory=dict)


def sign_video(part: Path, path: Path, origin: Origin, marked: bool) -> str:
    """Signs a finished video in place of itself; .webm gets a sidecar.

    Args:
        part: the video's file.
        path: what the video will be called; its sidecar stands there.
        origin: what the video was made from.
        marked: whether the pictures carry the watermark.

    Returns:
        "", or a sentence on why there are no credentials; the video is then as it was.
    """
    signed = part.with_name(f".{uuid4().hex[:16]}{part.suffix}")
    try:
        if part.stat().st_size > MAX_BYTES:
            return _unsigned(f"it has more than {MAX_BYTES >> 20} MB")
        if part.suffix.lower() in _EMBEDDED:
            _sign(part, signed, origin, marked)
            signed.replace(part)
        else:
            signed.write_bytes(_sign(part, None, origin, marked))
            signed.replace(path.with_suffix(SIDECAR))
    except Exception as error:  # a video is worth more than its credentials
        return _unsigned(str(error) or type(error).__name__)
    finally:
        with suppress(OSError):
            signed.unlink()
    return ""


def find_sidecar(path: Path) -> Path | None:
    """The file of credentials beside a .webm; None without one, and for every other file."""
    beside = path.with_suffix(SIDECAR)
    return beside if path.suffix.lower() == _WITHOUT and beside.is_file() else None


def read_credentials(path: Path, trusted: tuple[bytes, ...] = (), beside: Path | None = None) -> Credentials:
    """Reads a file's credentials, or those of its sidecar.

    Args:
        path: of a file of any kind, at most MAX_BYTES.
        trusted: PEM of more certificates whose videos count as known.
        beside: the sidecar; None = what `find_sidecar` finds.
    """
    import c2pa

    kind = _EMBEDDED.get(path.suffix.lower())
    beside = beside or find_sidecar(path)
    sidecar = None
    if not kind and beside is not None and beside.stat().st_size <= _LARGEST_SIDECAR:
        sidecar = beside.read_bytes()
    context = _context((*known_certificates(), *trusted))
    try:
        with path.open("rb") as file:
            reader = c2pa.Reader(kind or (_BESIDE if sidecar else None), file, sidecar, context=context)
            with reader:
                return _describe(json.loads(reader.json()))
    except c2pa.C2paError.ManifestNotFound:
        return Credentials()
    except c2pa.C2paError:  # another kind of file, or credentials that are no longer whole
        return Credentials("damaged" if sidecar or _holds_credentials(path) else "none")


def _unsigned(reason: str) -> str:
    return f"The video has no Content Credentials: {reason.rstrip('.')}."


def _sign(source: Path, target: Path | None, origin: Origin, marked: bool) -> bytes:
    """Signs a file into another, or, without one, into the sidecar's bytes, which it returns.

    Raises:
        Exception: of `c2pa`, of the disk, or an InputError on the key.
    """
    import c2pa

    key = find_signing_key(create=True)
    assert key is not None
    chain = b"".join(key.certificates)
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(key.algorithm, chain, key.key, None))
    builder = c2pa.Builder(manifest(origin, marked), context=_context())
    if target is None:
        builder.set_no_embed()
        with source.open("rb") as video, open(os.devnull, "w+b") as nothing:
            return builder.sign(signer, _BESIDE, video, nothing)
    with source.open("rb") as video, target.open("w+b") as signed:
        sealed = builder.sign(signer, _EMBEDDED[source.suffix.lower()], video, signed)
    state = read_credentials(target).state
    assert state == "intact", state
    return sealed


def manifest(origin: Origin, marked: bool) -> dict[str, Any]:
    """What is signed: who made the video, how and when, from what."""
    agent = {"name": NAME, "version": __version__}
    created = {
        "action": "c2pa.created",
        "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "digitalSourceType": SOURCE_TYPE,
        "softwareAgent": agent,
    }
    actions = [created, *([{"action": "c2pa.watermarked.unbound", "softwareAgent": agent}] if marked else [])]
    known = {name: value for name, value in asdict(origin).items() if value}
    assertions = [{"label": "c2pa.actions.v2", "data": {"actions": actions}}]
    assertions += [{"label": GENERATION, "data": known}] if known else []
    return {"claim_generator_info": [agent], "assertions": assertions}


def _context(trusted: tuple[bytes, ...] = ()) -> Any:
    """The library's settings: nothing is fetched; the certificates are those whose signatures are known."""
    import c2pa

    settings: dict[str, Any] = {
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
        "builder": {"thumbnail": {"enabled": False}},
    }
    if trusted:
        settings["trust"] = {"trust_anchors": b"".join(trusted).decode()}
    return c2pa.Context(settings=c2pa.Settings.from_dict(settings))


def _describe(store: Mapping[str, Any]) -> Credentials:
    """Puts the library's answer into our words."""
    active = store["manifests"][store["active_manifest"]]
    results = store.get("validation_results", {}).get("activeManifest", {})
    faults = {each["code"] for each in results.get("failure", ())}
    assertions = {each["label"].split("__")[0]: each.get("data", {}) for each in active["assertions"]}
    actions = assertions.get("c2pa.actions.v2", assertions.get("c2pa.actions", {})).get("actions", [])
    generator = (active.get("claim_generator_info") or [{}])[0]
    signature = active.get("signature_info") or {}
    return Credentials(
        "changed" if faults - _EXPIRED - _UNKNOWN_SIGNER else "intact",
        str(generator.get("name") or active.get("claim_generator") or ""),
        str(signature.get("common_name") or signature.get("issuer") or ""),
        not faults & _UNKNOWN_SIGNER and not faults & _EXPIRED,
        bool(faults & _EXPIRED),
        str(signature.get("time") or next((each["when"] for each in actions if "when" in each), "")),
        assertions.get(GENERATION, {}),
    )


def _holds_credentials(path: Path, reach: int = 2**20) -> bool:
    """Whether a file's first bytes name a store of credentials."""
    with path.open("rb") as file:
        return b"jumdc2pa" in file.read(reach)

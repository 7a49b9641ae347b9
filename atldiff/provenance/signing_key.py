"""The key and the certificate that sign videos: the operator's, or one of this installation.

- The operator's come from the environment: ATLDIFF_SIGNING_CERT and ATLDIFF_SIGNING_KEY, PEM texts or paths.
- Without them a key is made once, at the first signing, in the user's data folder. Nobody vouches for it.
- The key of its root is thrown away, so no second certificate can be made of it.
"""

import os
import re
import secrets
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from atldiff.errors import InputError

FILE = "signing.pem"  # in the data folder: key, certificate, root
YEARS = 30  # until an installation's certificate expires; there is no time stamp to renew it with
_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----\n?", re.DOTALL)


@dataclass(frozen=True, repr=False)
class SigningKey:
    """A private key with its certificates.

    Attributes:
        key: PEM of the private key.
        certificates: PEM of each, the signer's first, its root last.
        own: whether this installation made it.
    """

    key: bytes
    certificates: tuple[bytes, ...]
    own: bool

    @property
    def algorithm(self) -> str:
        """C2PA's name of the signature.

        Raises:
            InputError: the key cannot be read, has no such signature, or is not the certificate's.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization

        try:
            key = serialization.load_pem_private_key(self.key, None)
            certificate = x509.load_pem_x509_certificate(self.certificates[0])
        except (ValueError, TypeError, IndexError) as error:
            raise _key_error("cannot be read") from error
        if key.public_key() != certificate.public_key():
            raise _key_error("do not belong together")
        return _signature_name(key)


def find_signing_key(create: bool) -> SigningKey | None:
    """The operator's key, or this installation's.

    Args:
        create: make a key where there is none.

    Returns:
        The key; None where there is none and none is made.

    Raises:
        InputError: a key cannot be read or written.
    """
    certificates, key = (os.environ.get(f"ATLDIFF_SIGNING_{noun}") for noun in ("CERT", "KEY"))
    try:
        if certificates or key:
            if not (certificates and key):
                raise _key_error("are set only in part")
            return SigningKey(_read_pem(key), _split(_read_pem(certificates)), own=False)
        path = data_folder() / FILE
        if not path.exists():
            if not create:
                return None
            _write_once(path, make_signing_key())
        blocks = _split(path.read_bytes())
        return SigningKey(blocks[0], blocks[1:], own=True)
    except (OSError, RuntimeError, IndexError) as error:
        raise InputError(f"The signing key cannot be read or made ({error})", _REMEDY) from error


def known_certificates() -> tuple[bytes, ...]:
    """PEM of the certificates whose videos are this installation's; makes no key."""
    try:
        key = find_signing_key(create=False)
    except InputError:
        return ()
    return key.certificates if key else ()


def data_folder() -> Path:
    """The folder of this user's atldiff data, which may not exist; XDG_DATA_HOME and the like move it."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "atldiff"
    variable, usual = (
        ("LOCALAPPDATA", "AppData/Local") if os.name == "nt" else ("XDG_DATA_HOME", ".local/share")
    )
    base = os.environ.get(variable)
    return (Path(base) if base else Path.home() / usual) / "atldiff"


def make_signing_key(lifetime: timedelta = timedelta(days=365 * YEARS)) -> SigningKey:
    """Makes a key (ES256) with a certificate of its own root, valid from yesterday on."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, *form)
    return SigningKey(text, _certify(root_key, key, secrets.token_hex(4), lifetime), own=True)


def _certify(root_key: Any, key: Any, name: str, lifetime: timedelta) -> tuple[bytes, bytes]:
    """PEM of the key's certificate and of its root's, as C2PA demands them; both say "self-signed"."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def subject(noun: str) -> x509.Name:
        words = f"atldiff {noun} {name} (self-signed)"
        organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "An installation of atldiff")
        return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, words)])

    def usage(signs: bool) -> x509.KeyUsage:
        off = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment"), False)
        off |= dict.fromkeys(("key_agreement", "encipher_only", "decipher_only"), False)
        return x509.KeyUsage(digital_signature=signs, key_cert_sign=not signs, crl_sign=not signs, **off)

    def build(noun: str, public: Any, *extensions: tuple[x509.ExtensionType, bool]) -> bytes:
        """The PEM of one certificate, signed by the root."""
        start = datetime.now(UTC) - timedelta(days=1)
        builder = x509.CertificateBuilder().subject_name(subject(noun)).issuer_name(subject("root"))
        builder = builder.public_key(public).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(start).not_valid_after(start + timedelta(days=1) + lifetime)
        identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        for extension, critical in (*extensions, (identifier, False)):
            builder = builder.add_extension(extension, critical)
        return builder.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    leaf = (x509.BasicConstraints(False, None), True), (usage(True), True), (purpose, False), (issuer, False)
    root = (x509.BasicConstraints(True, 0), True), (usage(False), True)
    return build("signer", key.public_key(), *leaf), build("root", root_key.public_key(), *root)


def _write_once(path: Path, key: SigningKey) -> None:
    """Writes a key that only this user can read; one that another process wrote meanwhile stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(b"".join((key.key, *key.certificates)))
        with suppress(FileExistsError):
            os.link(part, path)
    finally:
        part.unlink(missing_ok=True)


_REMEDY = "Name a PEM certificate in ATLDIFF_SIGNING_CERT and its key in ATLDIFF_SIGNING_KEY"


def _key_error(fault: str) -> InputError:
    return InputError(f"ATLDIFF_SIGNING_CERT and ATLDIFF_SIGNING_KEY {fault}", _REMEDY)


def _read_pem(value: str) -> bytes:
    r"""PEM from its text, in which "\n" may stand for a line's end, or from the file of that name."""
    text = value.replace("\\n", "\n") if "-----BEGIN" in value else Path(value).read_text(encoding="ascii")
    return text.strip().encode() + b"\n"


def _split(text: bytes) -> tuple[bytes, ...]:
    """The blocks of a PEM text."""
    return tuple(match[0].strip() + b"\n" for match in _PEM.finditer(text))


def _signature_name(key: Any) -> str:
    """C2PA's name of a key's signature.

    Raises:
        InputError: C2PA knows no signature of such a key.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    curves = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in curves:
        return curves[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    raise _key_error("have a kind that C2PA does not sign with")

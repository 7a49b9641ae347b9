"""Is it ours? Reads credentials, watermark and tags of any file, and says so in a sentence.

- Credentials that are intact and of a known key prove where a file comes from, and that it is unchanged.
- The watermark and the tags prove nothing: their key and their words are public.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from atldiff.errors import InputError
from atldiff.media.video_reader import mean_picture, read_clip, read_tags
from atldiff.portrait.photo import open_photo
from atldiff.provenance.credentials import MAX_BYTES, NAME, Credentials, read_credentials
from atldiff.provenance.detector import Trace, find_mark
from atldiff.provenance.trustmark import carries_message, trustmark_is_chosen

OURS, DOUBTFUL, NOTHING = 0, 1, 2  # exit status
TAG = "AI-generated"  # begins the tags of our videos
_PHOTO_SIDE = 2048  # pixels to which a larger photo is reduced


@dataclass(frozen=True)
class Verdict:
    """What a file says about itself.

    Attributes:
        credentials: what its Content Credentials say.
        mark: the trace of the watermark's tile; None if the file shows no picture.
        message: whether TrustMark reads our message; it is searched where the operator chose it.
        tagged: whether its metadata says that it is AI-generated.
        unread: why a part of it was not read, or "".
    """

    credentials: Credentials = field(default_factory=Credentials)
    mark: Trace | None = None
    message: bool = False
    tagged: bool = False
    unread: str = ""

    @property
    def marked(self) -> bool:
        """Whether the watermark is there."""
        return self.message or self.mark is not None and self.mark.found

    @property
    def status(self) -> int:
        """0: ours and unchanged. 1: a mark alone, changed, or of an unknown key. 2: nothing of ours."""
        ours = self.credentials.generator == NAME
        if ours and self.credentials.state == "intact" and self.credentials.known:
            return OURS
        return DOUBTFUL if ours or self.marked or self.tagged else NOTHING

    @property
    def sentence(self) -> str:
        """The verdict in plain words."""
        parts = (_credentials_words(self.credentials), self.unread, self._mark_words())
        return " ".join(part for part in parts if part)

    def _mark_words(self) -> str:
        if self.marked:
            mirrored = ", mirrored" if not self.message and self.mark and self.mark.mirrored else ""
            return f"Its pictures carry this program's mark{mirrored}."
        tags = "Its metadata says that it is AI-generated, in this program's words." if self.tagged else ""
        if self.mark is None:
            return tags or "No picture was found in it."
        return tags or "Its pictures do not carry this program's mark."

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain values for JSON; words of changed credentials are left out."""
        credentials = asdict(self.credentials)
        if self.credentials.state != "intact":
            credentials["generation"] = {}
        mark = None if self.mark is None else asdict(self.mark) | {"found": self.mark.found}
        values = {"status": self.status, "sentence": self.sentence, "credentials": credentials}
        return values | {"mark": mark, "message": self.message, "tagged": self.tagged}


def verify(path: str | Path, trusted: tuple[bytes, ...] = (), sidecar: str | Path | None = None) -> Verdict:
    """Reads what a file says about itself, in bounded time and memory; nothing is fetched.

    Args:
        path: of a video, a photo, or any other file.
        trusted: PEM of certificates whose signatures are known, beside this installation's own.
        sidecar: path of a .webm's credentials; None = the file beside it that ends in .c2pa.

    Raises:
        InputError: there is no such file, it may not be read, or TrustMark is chosen and cannot be had.
    """
    path, beside = Path(path), Path(sidecar) if sidecar else None
    if not path.is_file():
        raise InputError(f"There is no file {path}", "Check its name")
    try:
        size = path.stat().st_size
        small = size <= MAX_BYTES
        credentials = read_credentials(path, trusted, beside) if small and size else Credentials()
    except PermissionError as error:
        raise InputError(f"{path} may not be read", "Change its permissions") from error
    unread = "" if small else f"It has more than {MAX_BYTES >> 20} MB, so its credentials were not read."
    picture = _picture(path)
    mark = None if picture is None else find_mark(picture)
    message = picture is not None and trustmark_is_chosen() and carries_message(_colours(path))
    verdict = Verdict(credentials, mark, message, _is_tagged(path), unread)
    alone = path.suffix.lower() == ".webm" and credentials.state == "none" and verdict.status == DOUBTFUL
    if alone and small:
        return replace(verdict, unread="Those of a .webm are in a .c2pa file beside it, which was not given.")
    return verdict


def _picture(path: Path) -> np.ndarray | None:
    """Grey levels of a photo, or the mean of a video's frames; None without a picture."""
    try:
        return mean_picture(path)
    except InputError:
        pass
    try:
        return open_photo(path, _PHOTO_SIDE) @ np.array((0.299, 0.587, 0.114), np.float32)
    except InputError:
        return None


def _colours(path: Path) -> np.ndarray:
    """A photo, or the first frame of a video, (H, W, 3) uint8."""
    try:
        return read_clip(path, 1).frames[0]
    except InputError:
        return open_photo(path, _PHOTO_SIDE)


def _is_tagged(path: Path) -> bool:
    """Whether a file's metadata begins with our words."""
    try:
        return any(value.startswith(TAG) and "ATL-Diff" in value for value in read_tags(path).values())
    except InputError:
        return False


def _credentials_words(credentials: Credentials) -> str:
    """A sentence on the credentials."""
    if credentials.state == "none":
        return "It has no Content Credentials."
    if credentials.state == "damaged":
        return "It has Content Credentials that can no longer be read: it was cut off or damaged."
    by = f"{credentials.signer or 'an unnamed key'}"
    maker = "this program" if credentials.generator == NAME else credentials.generator or "an unnamed program"
    if credentials.state == "changed":
        return f"It was changed since {by} signed it as made by {maker}."
    day = f" on {credentials.signed[:10]}" if credentials.signed else ""
    words = f"It says that {maker} made it{day}, and is unchanged since {by} signed it."
    if credentials.known:
        return words
    if credentials.expired:
        return f"{words} The certificate was valid when it was signed, and has expired since."
    return f"{words} This installation does not know that key."

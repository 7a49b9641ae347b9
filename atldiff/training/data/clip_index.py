"""The state of each clip of a corpus during `prepare`, in an SQLite file, so that memory stays constant.

- A clip is `new`, then `made` (its samples are written) and `packed` into its shard, or it is `skipped`.
- Only the process that runs `prepare` writes the file; a later run resumes from it.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from atldiff.errors import InputError
from atldiff.training.data.corpora import ClipRecord, Skipped
from atldiff.training.data.splits import SPLITS, clip_split, rank, speaker_splits

_TABLES = """
CREATE TABLE IF NOT EXISTS clips (
    key TEXT PRIMARY KEY, file TEXT, stamp TEXT, record TEXT, identity TEXT, split TEXT, rank INTEGER,
    shard TEXT, state TEXT DEFAULT 'new', samples INTEGER DEFAULT 0, reason TEXT);
CREATE INDEX IF NOT EXISTS by_shard ON clips (shard, state);
CREATE INDEX IF NOT EXISTS by_speaker ON clips (identity, split);
CREATE TABLE IF NOT EXISTS left_out (file TEXT, reason TEXT);
CREATE TABLE IF NOT EXISTS shards (
    name TEXT PRIMARY KEY, split TEXT, clips INTEGER, samples INTEGER, bytes INTEGER, sha256 TEXT);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT);
"""


class ClipIndex:
    """The index file; use it with `with`.

    Raises:
        InputError: the file cannot be opened or written, for example because the disk is full.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._base = sqlite3.connect(path, timeout=0, isolation_level=None)
            self._base.execute("PRAGMA locking_mode = EXCLUSIVE")  # until it is closed
            self._base.executescript(f"BEGIN EXCLUSIVE; {_TABLES} COMMIT;")
        except sqlite3.Error as error:
            raise _unwritable(path, error) from error
        self._path = path
        self._base.create_function("clip_split", 1, clip_split, deterministic=True)

    def __enter__(self) -> "ClipIndex":
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def settle(self, settings: dict) -> None:
        """Stores the settings in the first run and compares them in later ones.

        Raises:
            InputError: the settings differ from those of the first run.
        """
        texts = {name: json.dumps(value) for name, value in settings.items()}
        stored = dict(self._rows("SELECT name, value FROM settings"))
        for name, value in texts.items():
            if stored.setdefault(name, value) != value:
                problem = f"{self._path.parent} was begun with {name} = {stored[name]}, not {value}"
                raise InputError(problem, "Give another --out, or the settings it was begun with")
        self._many("INSERT OR IGNORE INTO settings VALUES (?, ?)", texts.items())

    def plan(self, listing: Iterable[ClipRecord | Skipped], root: Path, rule: str, shard_clips: int) -> None:
        """Takes in a corpus's listing, and gives every new clip its split and its shard.

        Args:
            listing: the corpus's clips and unusable files.
            root: the corpus's folder.
            rule: one of `splits.RULES`, for corpora without splits of their own.
            shard_clips: clips a shard; each shard's clips come from all over the corpus.
        """
        self._do("BEGIN")
        self._do("DELETE FROM left_out")
        for item in listing:
            if isinstance(item, Skipped):
                self._do("INSERT INTO left_out VALUES (?, ?)", item.file, item.reason)
            else:
                self._take(item, item.video.relative_to(root).as_posix())
        if rule == "clips":
            self._do("UPDATE clips SET split = clip_split(key) WHERE split = ''")
        else:
            splits = dict(self._rows("SELECT identity, min(split) FROM clips WHERE split != '' GROUP BY 1"))
            new = [who for (who,) in self._rows("SELECT DISTINCT identity FROM clips WHERE split = ''")]
            places = speaker_splits(new, splits)
            update = "UPDATE clips SET split = ? WHERE split = '' AND identity = ?"
            self._many(update, ((places[who], who) for who in new))
        for split in SPLITS:
            self._number_shards(split, shard_clips)
        self._do("COMMIT")

    def unfinished(self) -> Iterator[tuple[str, list[ClipRecord]]]:
        """(shard, its new clips) of each shard that is not packed, by name."""
        last = ""
        open_shard = """SELECT min(shard) FROM clips WHERE shard > ? AND state IN ('new', 'made')"""
        while (last := next(self._rows(open_shard, last))[0]) is not None:
            query = "SELECT record FROM clips WHERE shard = ? AND state = 'new' ORDER BY rank, key"
            yield last, [_record(text) for (text,) in self._rows(query, last)]

    def record_clip(self, key: str, samples: int, reason: str | None) -> str | None:
        """Notes a clip's number of samples, or the reason why it is skipped.

        Returns:
            The clip's shard if no new clips are left in it, else None.
        """
        state = "made" if reason is None else "skipped"
        self._do(
            "UPDATE clips SET state = ?, samples = ?, reason = ? WHERE key = ?", state, samples, reason, key
        )
        (shard,) = next(self._rows("SELECT shard FROM clips WHERE key = ?", key))
        open_clips = "SELECT count(*) FROM clips WHERE shard = ? AND state = 'new'"
        return None if next(self._rows(open_clips, shard))[0] else shard

    def keys(self, shard: str) -> list[str]:
        """Keys of the clips with samples of a shard, in the shard's order."""
        query = "SELECT key FROM clips WHERE shard = ? AND state IN ('made', 'packed') ORDER BY rank, key"
        return [key for (key,) in self._rows(query, shard)]

    def record_shard(self, shard: str, samples: int, size: int, sha256: str) -> None:
        """Notes a finished shard: number of samples, size in bytes, checksum."""
        split, clips = shard.rsplit("-", 1)[0], len(self.keys(shard))
        self._do("BEGIN")
        self._do(
            "INSERT OR REPLACE INTO shards VALUES (?, ?, ?, ?, ?, ?)",
            *(shard, split, clips, samples, size, sha256),
        )
        self._do("UPDATE clips SET state = 'packed' WHERE shard = ? AND state = 'made'", shard)
        self._do("COMMIT")

    def reopen(self, shard: str) -> None:
        """Makes the clips of a lost shard new again."""
        self._do("BEGIN")
        self._do("DELETE FROM shards WHERE name = ?", shard)
        self._do("UPDATE clips SET state = 'new' WHERE shard = ? AND state = 'packed'", shard)
        self._do("COMMIT")

    def count(self, state: str) -> int:
        """Number of clips in a state."""
        return next(self._rows("SELECT count(*) FROM clips WHERE state = ?", state))[0]

    def count_files(self) -> int:
        """Number of clips of any state and of unusable files."""
        return next(self._rows("SELECT (SELECT count(*) FROM clips) + (SELECT count(*) FROM left_out)"))[0]

    def shards(self) -> list[dict]:
        """The entries of `record_shard`, by name."""
        names = ("name", "split", "clips", "samples", "bytes", "sha256")
        query = f"SELECT {', '.join(names)} FROM shards ORDER BY name"
        return [dict(zip(names, row, strict=True)) for row in self._rows(query)]

    def speakers(self) -> dict[str, int]:
        """Number of speakers in the shards of each split."""
        query = "SELECT split, count(DISTINCT identity) FROM clips WHERE state = 'packed' GROUP BY split"
        return dict(self._rows(query))

    def skipped(self) -> Iterator[tuple[str, str]]:
        """(file, reason) of each clip and file that is left out."""
        query = "SELECT file, reason FROM clips WHERE state = 'skipped' UNION ALL SELECT * FROM left_out"
        return self._rows(f"SELECT * FROM ({query}) ORDER BY 1")

    def _number_shards(self, split: str, shard_clips: int) -> None:
        """Deals the clips without a shard out to new shards, by their ranks."""
        last = next(self._rows("SELECT max(substr(shard, -6) + 0) FROM clips WHERE split = ?", split))[0]
        self._do(
            """UPDATE clips SET shard = dealt.shard FROM (
                SELECT key, printf('%s-%06d', split, ? + (row_number() OVER (ORDER BY rank, key) - 1) / ?)
                AS shard FROM clips WHERE split = ? AND shard IS NULL
            ) AS dealt WHERE clips.key = dealt.key""",
            *(0 if last is None else last + 1, shard_clips, split),
        )

    def _take(self, clip: ClipRecord, file: str) -> None:
        """Adds a clip, or updates it. A skipped clip becomes new again when its files have changed."""
        stamp, text = _stamp(clip), json.dumps(vars(clip), default=str)
        row = next(self._rows("SELECT file, stamp, state FROM clips WHERE key = ?", clip.key), None)
        if row is None:
            self._do(
                "INSERT INTO clips (key, file, stamp, record, identity, split, rank)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                *(clip.key, file, stamp, text, clip.identity, clip.split, rank(clip.key)),
            )
        elif row[0] != file:
            reason = f"its name {clip.key} is that of {row[0]}"
            self._do("INSERT INTO left_out VALUES (?, ?)", file, reason)
        elif row[2] in ("new", "skipped") and (row[2] == "new" or row[1] != stamp):
            again = "shard = CASE state WHEN 'new' THEN shard END, state = 'new', reason = NULL"
            self._do(f"UPDATE clips SET record = ?, stamp = ?, {again} WHERE key = ?", text, stamp, clip.key)

    def _rows(self, query: str, *values: object) -> Iterator[tuple]:
        return iter(self._do(query, *values))

    def _do(self, query: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._base.execute(query, values)
        except sqlite3.OperationalError as error:
            with suppress(sqlite3.Error):
                self._base.execute("ROLLBACK")
            raise _unwritable(self._path, error) from error

    def _many(self, query: str, rows: Iterable[tuple]) -> None:
        for row in rows:
            self._do(query, *row)


def _record(text: str) -> ClipRecord:
    entry = json.loads(text)
    audio = Path(entry.pop("audio")) if entry["audio"] else entry.pop("audio")
    return ClipRecord(video=Path(entry.pop("video")), audio=audio, **entry)


def _stamp(clip: ClipRecord) -> str:
    """Sizes (bytes) and modification times (ns) of a clip's files."""
    stats = [path.stat() for path in (clip.video, clip.audio) if path is not None and path.exists()]
    return " ".join(f"{s.st_size}:{s.st_mtime_ns}" for s in stats)


def _unwritable(path: Path, error: sqlite3.Error) -> InputError:
    return InputError(f"{path} cannot be used ({error})", "Make room, end another run, or give another --out")

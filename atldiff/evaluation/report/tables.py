"""Scores -> means over people with 95 % intervals -> the sections of the report."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from atldiff.evaluation.measures.bootstrap import Estimate, estimate
from atldiff.evaluation.report.reported import COLUMNS, PAPER, TABLE_1, TABLE_2
from atldiff.evaluation.report.systems import count_steps
from atldiff.evaluation.report.takes import PROTOCOLS

TRUTH = "the true clips"
COUNT = "takes"
NETWORKS = {
    "FID": "distance of the frames' features by Inception, lower is better.",
    "FVD": "distance of the videos' features by I3D, lower is better.",
    "identity": "cosine of the faces' embeddings with the first true frame's, higher is better.",
    "LSE-C": "SyncNet's confidence, higher is better; its crops follow our tracker.",
    "LSE-D": "SyncNet's distance at the best offset, lower is better.",
}
# Title of a table -> its columns, keys of `scores.score_video`.
TABLES = {
    "Pictures": ("PSNR", "SSIM", "PSNR face", "SSIM face", "PSNR mouth", "SSIM mouth", *NETWORKS),
    "Landmarks, pixels": ("M-LMD", "LMD", "centred M-LMD", "centred LMD"),
    "Landmarks, % of the distance between the eyes": (
        "M-LMD %",
        "LMD %",
        "centred M-LMD %",
        "centred LMD %",
        "velocity M-LMD",
        "velocity LMD",
    ),
    "Speech": (
        "mouth r",
        "lag",
        "lag deviation",
        "opening ratio",
        "silent lips",
        "bilabials",
        "lip dynamics",
    ),
    "Life and wear": (
        "blinks",
        "brow dynamics",
        "head range",
        "head speed",
        "flicker",
        "sharpness",
        "sharpness drift",
        "mouth contrast",
    ),
}
LEGEND = {
    "PSNR": "dB, higher is better; of the whole frame, or of the boxes round the true face and mouth.",
    "SSIM": "higher is better; 11x11 Gaussian window, sigma 1.5, range 255, mean of the colours.",
    "M-LMD, LMD": "mean distance of the points of mouth and face, by MediaPipe's mesh on both videos.",
    "centred": "the middle of the part is laid onto the true one's first.",
    "velocity": "distance of the motions from frame to frame, % a frame.",
    "mouth r": "correlation of the mouth's opening with the true one.",
    "lag": "frames by which the mouth is late, in takes from 2 s on; deviation: of its seconds' lags.",
    "opening ratio": "deviation of the mouth's opening over the true one's; 1 is best.",
    "silent lips": "change of the opening a frame in silence, % of the distance between the eyes.",
    "bilabials": "share of p, b and m with closed lips (opening up to 0.01).",
    "lip dynamics": "THEval's: deviation of the distances between the lips' points, pixels of 256.",
    "blinks": "a minute.",
    "brow dynamics": "THEval's: change of the distance from brow to eye, % of the eyes' distance a frame.",
    "head range, head speed": "degrees; degrees a second.",
    "flicker": "second difference of the face's luma in time over the true one's; 1 is best.",
    "sharpness": "mean gradient in the face over the true one's; 1 is best. Drift: % a second.",
    "mouth contrast": "deviation of the luma inside the open mouth, levels of 255.",
}
_DIGITS = {"SSIM": 3, "SSIM face": 3, "SSIM mouth": 3, "lag": 1, "lag deviation": 1, "blinks": 1}

Summary = dict[str, dict[str, dict[str, Estimate]]]


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        title: its heading.
        level: of the heading, from 2.
        lines: sentences under it.
        rows: of its table, the head first; none without a table.
    """

    title: str
    level: int = 2
    lines: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    def as_markdown(self) -> str:
        """The section as Markdown."""
        parts = [f"{'#' * self.level} {self.title}", "\n".join(self.lines)]
        if self.rows:
            head, *rows = ("| " + " | ".join(row) + " |" for row in self.rows)
            parts.append("\n".join([head, "|---" * len(self.rows[0]) + "|", *rows]))
        return "\n\n".join(part for part in parts if part)


def summarise(rows: Iterable[dict], seed: int = 0) -> Summary:
    """{protocol: {system: {measure: estimate}}}; the true clips' own values are the system TRUTH.

    Args:
        rows: of `run.evaluate`.
        seed: of the bootstrap.
    """
    table: dict[str, dict[str, list[dict]]] = {}
    for row in rows:
        table.setdefault(row["protocol"], {}).setdefault(row["system"], []).append(row)
    summary = {}
    for protocol, systems in table.items():
        summary[protocol] = {name: _estimates(some, seed, "") for name, some in systems.items()}
        summary[protocol][TRUTH] = _estimates(max(systems.values(), key=len), seed, "true ")
    return summary


def _estimates(rows: Sequence[dict], seed: int, prefix: str) -> dict[str, Estimate]:
    """The estimate of each score whose name begins with `prefix` ("": with no "true ")."""
    people, names = [row["person"] for row in rows], list(rows[0]["scores"])
    names = [name for name in names if name.startswith("true ") == bool(prefix)]
    columns = {name.removeprefix(prefix): [number(row["scores"][name]) for row in rows] for name in names}
    return {name: estimate(column, people, seed) for name, column in columns.items()}


def number(value: float | None) -> float:
    """NaN for JSON's null."""
    return float("nan") if value is None else value


def sections(
    summary: Summary, rows: Sequence[dict], missing: dict[str, str], notes: Sequence[str]
) -> list[Section]:
    """The report without its speed.

    Args:
        summary: of `summarise`.
        rows: of `run.evaluate`.
        missing: measure -> why it is not available.
        notes: what was left out, and why.
    """
    parts = []
    for protocol, systems in summary.items():
        some = [row for row in rows if row["protocol"] == protocol]
        counts = {name: str(sum(row["system"] == name for row in some)) for name in systems}
        takes, people = {row["take"] for row in some}, {row["person"] for row in some}
        counts[TRUTH] = str(len(takes))
        scope = (
            f"{len(takes)} takes of {len(people)} people; of each, all frames but the first, which is given."
        )
        parts.append(Section(PROTOCOLS[protocol].title, 2, (scope,)))
        parts += [_section(title, systems, counts, names, missing) for title, names in TABLES.items()]
        if protocol == "paper":
            parts.append(reported())
    legend = [f"- **{name}**: {text}" for name, text in LEGEND.items()]
    legend += [f"- **{name}**: {text}" for name, text in NETWORKS.items() if name not in missing]
    absent = [f"- **{name}**: not available. {reason}." for name, reason in missing.items()]
    parts.append(Section("Measures", 2, (*legend, *absent)))
    return [*parts, Section("Left out", 2, tuple(f"- {note}" for note in notes or ("Nothing.",)))]


def _section(
    title: str,
    systems: dict[str, dict[str, Estimate]],
    counts: dict[str, str],
    names: Sequence[str],
    missing: dict,
) -> Section:
    """A table of the systems that have one of the measures."""
    cells = {
        system: {name: cell(name, values.get(name)) for name in names} for system, values in systems.items()
    }
    columns = [name for name in names if any(row[name] for row in cells.values())]
    rows = [
        (system, *(row[name] for name in columns), counts[system])
        for system, row in cells.items()
        if any(row[name] for name in columns)
    ]
    absent = ", ".join(name for name in names if name in missing)
    lines = (f"Not available: {absent} (see Measures).",) if absent else ()
    return Section(title, 3, lines, (("", *columns, COUNT), *rows))


def cell(name: str, value: Estimate | None) -> str:
    """A mean with its interval; empty without a value."""
    if value is None or not math.isfinite(value.mean):
        return ""
    digits = _DIGITS.get(name, 2)
    interval = f" ({value.low:.{digits}f} to {value.high:.{digits}f})" if math.isfinite(value.low) else ""
    return f"{value.mean:.{digits}f}{interval}"


def reported() -> Section:
    """The paper's Table 1."""
    rows = [
        (corpus, method, *(f"{value:.3f}" for value in values))
        for corpus, methods in TABLE_1.items()
        for method, values in methods.items()
    ]
    lines = (
        "Other clips, another tracker, perhaps people seen in training: not comparable with the rows above.",
    )
    return Section(f"As reported by {PAPER}, Table 1", 3, lines, (("corpus", "method", *COLUMNS), *rows))


def speed_section(rows: Sequence[dict]) -> Section:
    """Our times beside the paper's Table 2.

    Args:
        rows: of `speed.measure_speed`.
    """
    head = ("", "picture", "seconds for 2 s of speech", "frames a second", "first frame, s", "memory, MiB")
    ours = [
        (
            f"{row['system']}, {count_steps(row['steps'])}",
            row["picture"],
            f"{row['total']:.2f}",
            f"{row['frames'] / row['total']:.1f}",
            f"{row['first_picture']:.2f}",
            f"{row['peak_mib']:.0f}",
        )
        for row in rows
    ]
    theirs = [
        (f"as reported: {name}", f"{rate} frames a second", f"{seconds:.2f}", "", "", "")
        for name, (rate, seconds) in TABLE_2.items()
    ]
    lines = (
        "From files to file, one run, without import and loading; the reported rows are of another machine.",
    )
    return Section("Speed", 2, lines, (head, *ours, *theirs))

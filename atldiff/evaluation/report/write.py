"""Writes report.md, report.json and report.html."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from atldiff.errors import InputError
from atldiff.evaluation.benchmark.compare import machine
from atldiff.evaluation.measures.bootstrap import Estimate
from atldiff.evaluation.measures.networks import frechet_distance
from atldiff.evaluation.pictures import as_json
from atldiff.evaluation.report.page import as_html
from atldiff.evaluation.report.plots import plots
from atldiff.evaluation.report.run import SIDE_BY_SIDE, Results
from atldiff.evaluation.report.tables import Summary, sections, speed_section, summarise

INTRO = "Means of people's means; in brackets the 95 % interval of 2,000 bootstrap draws of people."


def write_report(
    out: Path, results: Results, missing: dict[str, str], seed: int, times: Sequence[dict] | None = None
) -> Path:
    """Writes the report's files into `out`.

    Args:
        results: all scores.
        missing: measure -> why it is not available.
        seed: of the bootstrap.
        times: of `speed.measure_speed`; None: not measured.

    Returns:
        The page's path.

    Raises:
        InputError: there is no score.
    """
    if not results.rows:
        raise InputError("No video could be scored", "See what was left out, above")
    summary = summarise(results.rows, seed)
    add_distances(summary, results.rows)
    parts = sections(summary, results.rows, missing, results.skipped)
    parts += [speed_section(times)] if times else []
    intro = [f"Machine: {machine()}.", INTRO]
    text = "\n\n".join(["# Evaluation", *intro, *(part.as_markdown() for part in parts)])
    (out / "report.md").write_text(text + "\n")
    values = {"machine": machine(), "seed": seed, "not available": missing, "left out": results.skipped}
    values |= {"summary": as_dict(summary), "speed": times or [], "rows": results.rows}
    (out / "report.json").write_text(as_json(values) + "\n")
    videos = sorted(path.relative_to(out).as_posix() for path in out.glob(f"{SIDE_BY_SIDE}/*/*.mp4"))
    page = out / "report.html"
    page.write_text(as_html("Evaluation", intro, parts, plots(summary, results.rows), videos))
    return page


def add_distances(summary: Summary, rows: Sequence[dict]) -> None:
    """Adds FID and FVD, over all frames or videos of a system, to the summary; they have no interval.

    Both are biased upwards by small numbers, FVD most: it counts a take as one.
    """
    for protocol, systems in summary.items():
        for system, values in systems.items():
            some = [row for row in rows if (row["protocol"], row["system"]) == (protocol, system)]
            files = [np.load(row["features"]) for row in some if row["features"]]
            for name in ("FID", "FVD"):
                pair = [[file[key] for file in files if key in file] for key in (name, f"true {name}")]
                if sum(map(len, pair[0])) > 1:
                    distance = frechet_distance(*map(np.concatenate, pair))
                    people = len({row["person"] for row in some})
                    values[name] = Estimate(distance, float("nan"), float("nan"), people)


def as_dict(summary: Summary) -> dict:
    """The summary as nested dictionaries, for JSON."""
    return {
        protocol: {
            system: {name: asdict(e) for name, e in values.items()} for system, values in systems.items()
        }
        for protocol, systems in summary.items()
    }

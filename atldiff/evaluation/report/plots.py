"""The report's plots, as SVG."""

import io
from collections.abc import Sequence

import numpy as np

from atldiff.evaluation.measures.bootstrap import person_means
from atldiff.evaluation.report.tables import Summary, number

BY_PERSON = ("PSNR face", "M-LMD %", "mouth r")
BY_SECOND = ("PSNR face", "sharpness")
_SIZE = (7.0, 3.2)  # inches


def plots(summary: Summary, rows: Sequence[dict]) -> dict[str, str]:
    """Title -> SVG: distributions by person, courses in time, and quality against steps."""
    svg = {}
    for protocol in summary:
        some = [row for row in rows if row["protocol"] == protocol]
        for measure in BY_PERSON:
            svg[f"{protocol}: {measure} by person"] = by_person(some, measure)
        if max(len(row["seconds"][BY_SECOND[0]]) for row in some) > 1:
            for measure in BY_SECOND:
                svg[f"{protocol}: {measure} by second"] = by_second(some, measure)
        steps = {row["steps"] for row in some if row.get("steps")}
        if len(steps) > 1:
            svg[f"{protocol}: PSNR mouth by steps"] = by_steps(summary[protocol], some, "PSNR mouth")
    return svg


def by_person(rows: Sequence[dict], measure: str) -> str:
    """A dot for each person, a line of dots for each system."""
    systems = list(dict.fromkeys(row["system"] for row in rows))
    figure, axes = _axes(len(systems))
    for place, system in enumerate(systems):
        some = [row for row in rows if row["system"] == system]
        means = person_means(
            [number(row["scores"][measure]) for row in some], [row["person"] for row in some]
        )
        values = list(means.values())
        axes.plot(values, [place] * len(values), "o", alpha=0.5)
        if values:
            axes.plot([np.mean(values)], [place], "k|", markersize=16)
    axes.set_yticks(range(len(systems)), systems)
    axes.invert_yaxis()
    axes.set_xlabel(measure)
    return _svg(figure)


def by_second(rows: Sequence[dict], measure: str) -> str:
    """The mean of all takes at each second, a line for each system."""
    figure, axes = _axes()
    for system in dict.fromkeys(row["system"] for row in rows):
        courses = [row["seconds"][measure] for row in rows if row["system"] == system]
        longest = max(map(len, courses))
        table = np.array([[*course, *[np.nan] * (longest - len(course))] for course in courses], float)
        axes.plot(np.arange(longest), np.nanmean(table, axis=0), label=system)
    axes.set_xlabel("second")
    axes.set_ylabel(measure)
    axes.legend(fontsize=7)
    return _svg(figure)


def by_steps(systems: dict, rows: Sequence[dict], measure: str) -> str:
    """The estimate at each number of steps, with its interval, a line for each pipeline and source."""
    figure, axes = _axes()
    lines: dict[str, list[tuple[int, str]]] = {}
    for row in rows:
        if row.get("steps"):
            point = (row["steps"], row["system"])
            points = lines.setdefault(row["family"], [])
            points += [point] if point not in points else []
    for family, points in lines.items():
        estimates = [systems[system][measure] for _, system in sorted(points)]
        steps, means = [count for count, _ in sorted(points)], np.array([e.mean for e in estimates])
        spans = np.abs(np.array([[e.low, e.high] for e in estimates]).T - means)
        axes.errorbar(steps, means, np.nan_to_num(spans), label=family, capsize=3, marker="o")
    axes.set_xlabel("DDIM steps")
    axes.set_ylabel(measure)
    axes.legend(fontsize=7)
    return _svg(figure)


def _axes(lines: int = 0):  # noqa: ANN202 - matplotlib is imported where it draws
    from matplotlib.figure import Figure

    figure = Figure((_SIZE[0], max(_SIZE[1], 0.35 * lines)), layout="constrained")
    return figure, figure.subplots()


def _svg(figure) -> str:  # noqa: ANN001
    """The figure as SVG for a page; the same figure gives the same text."""
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.hashsalt": "atldiff", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()[file.getvalue().index("<svg") :]

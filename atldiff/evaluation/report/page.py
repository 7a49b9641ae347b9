"""The report as one HTML page; its videos lie beside it."""

from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import quote

from atldiff.evaluation.report.tables import Section

_META = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1em 0; }
td, th { border-bottom: 1px solid #ccc; padding: 4px 10px; text-align: right; white-space: nowrap; }
td:first-child, th:first-child { text-align: left; }
figure { margin: 1em 0; } svg, video { max-width: 100%; height: auto; }
"""


def as_html(
    title: str, intro: Sequence[str], parts: Iterable[Section], plots: dict[str, str], videos: Sequence[str]
) -> str:
    """The page.

    Args:
        title: its heading.
        intro: its first sentences.
        parts: the tables.
        plots: title -> SVG.
        videos: addresses of the side-by-side videos, relative to the page.
    """
    body = [f"<h1>{escape(title)}</h1>", *(f"<p>{escape(line)}</p>" for line in intro)]
    body += ["<h2>Side by side</h2>"] if videos else []
    body += [f'<video controls preload="metadata" src="{quote(video)}"></video>' for video in videos]
    body += [_section(part) for part in parts]
    body += ["<h2>Plots</h2>"] if plots else []
    body += [f"<figure><figcaption>{escape(name)}</figcaption>{svg}</figure>" for name, svg in plots.items()]
    head = f"{_META}<title>{escape(title)}</title><style>{_STYLE}</style>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n'


def _section(part: Section) -> str:
    lines = [escape(line.removeprefix("- ").replace("**", "")) for line in part.lines]
    text = "".join(f"<p>{line}</p>" for line in lines)
    if not part.rows:
        return f"<h{part.level}>{escape(part.title)}</h{part.level}>{text}"
    head, *rows = part.rows
    cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    table = f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
    return f"<h{part.level}>{escape(part.title)}</h{part.level}>{text}{table}"

"""One self-contained HTML page: tables, plots, and the frames that went worst."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

import cv2
from ssd_depth_core.evaluation.html_page import html_page
from ssd_depth_core.evaluation.pictures import ShownFrame
from ssd_depth_core.evaluation.plots import colour_scales, plots
from ssd_depth_core.evaluation.record import Evaluation
from ssd_depth_core.evaluation.table import counts, Table, tables

PAGE = 'index.html'
_JPEG_QUALITY = 85
_STYLE = """
th, td { text-align: right; }
th:first-child, td:first-child { text-align: left; }
.plots { display: grid; grid-template-columns: repeat(2, 1fr); gap: 1rem; }
.plots figure:first-child { grid-column: span 2; }
.scales img { width: 60%; background: #fff; }
"""


def write_page(evaluation: Evaluation, shown: Sequence[ShownFrame], out: Path) -> Path:
    """Write the page.

    Args:
        evaluation: The figures.
        shown: Frames to look at.
        out: The folder; exists.

    Returns:
        The page, which needs no other file.
    """
    title = f'Depth: {evaluation.method}, {evaluation.split} split'
    parts = [
        f'<h1>{escape(title)}</h1>',
        f'<p>{escape(counts(evaluation))}</p>',
        f'<p class="note">Data: {escape(evaluation.data)}; truth: {evaluation.options.truth}; '
        f'bootstrap seed {evaluation.options.seed}, {evaluation.options.replicates} draws of '
        f'scenes; code {escape(evaluation.commit)}, {evaluation.date}, '
        f'{escape(evaluation.machine)}.<br><code>{escape(evaluation.command)}</code></p>',
        '<div class="plots">',
        *(_plot(name, svg) for name, svg in plots(evaluation).items()),
        '</div>',
    ]
    for heading, text, table in tables(evaluation):
        parts += [f'<h2>{escape(heading)}</h2>', f'<p>{escape(text)}</p>', _table(table)]
    if evaluation.absent:
        reasons = ''.join(f'<li>{escape(reason)}</li>' for reason in evaluation.absent)
        parts.append(f'<h2>Not measured</h2><ul>{reasons}</ul>')
    if shown:
        parts += [
            '<h2>Worst frames of each condition</h2>',
            '<p>From the left: input; prediction; truth over the input; relative error over the '
            'input.</p>',
            f'<div class="scales">{_image("image/svg+xml", colour_scales().encode(), "colours")}'
            '</div>',
            *map(_frame, shown),
        ]
    page = out / PAGE
    page.write_text(html_page(title, parts, _STYLE))
    return page


def _plot(name: str, svg: str) -> str:
    # As an image rather than inline: the plots' ids would meet each other on one page.
    return _figure('image/svg+xml', svg.encode(), name)


def _frame(frame: ShownFrame) -> str:
    bgr = cv2.cvtColor(frame.drawing, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode('.jpg', bgr, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
    return _figure('image/jpeg', jpeg.tobytes(), frame.caption)


def _figure(kind: str, data: bytes, caption: str) -> str:
    caption = escape(caption)
    return f'<figure>{_image(kind, data, caption)}<figcaption>{caption}</figcaption></figure>'


def _image(kind: str, data: bytes, alt: str) -> str:
    return f'<img alt="{alt}" src="data:{kind};base64,{base64.b64encode(data).decode()}">'


def _table(table: Table) -> str:
    headings, rows = table
    head = ''.join(f'<th>{escape(text)}</th>' for text in headings)
    body = '\n'.join(
        f'<tr>{"".join(f"<td>{escape(str(cell))}</td>" for cell in row)}</tr>' for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>\n{body}</table></div>'

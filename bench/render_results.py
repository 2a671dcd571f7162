"""Render every measured figure, with what made it, as a page of text and one to look at.

    python -m bench.render_results

Reads `docs/results/*.json`, each written by the program that measured, and writes
`docs/results.md` and `docs/results.html`; a test holds both to the JSON.
"""

import argparse
from collections.abc import Iterable, Mapping
from html import escape
import math
from pathlib import Path
import re
import shlex
import sys
from typing import Any

from markdown import markdown
from ssd_depth_core.checks import check_file
from ssd_depth_core.evaluation.html_page import html_page
from ssd_depth_core.records import read_result, Result

DOCS = Path(__file__).parents[1] / 'docs'
_HEADER = """# Results

Written by `python -m bench.render_results` from the JSON files in `results/`, each of which was
written by the command under its table. Edit neither by hand.

The commands need the test environment: `make .venv-test/installed`, then `.venv-test/bin/python`
for `python`. `make bench` runs those of the robot's speed and some others anew.
"""
_TITLE = 'Results of ssd_depth'
_IMAGES = Path('docs/images')
"""Where commands that are run from the repository's root put the plots of documentation."""
_INTERVAL = re.compile(r'\(\S+ to \S+\)')

# Beside the text on a wide screen, the contents stay in sight.
_STYLE = """
body { max-width: 1440px; }
h2 { margin: 0 0 .75rem; font-size: 1.3rem; }
h2 a { color: inherit; text-decoration: none; }
section { margin: 0 0 3rem; padding-top: 1rem; border-top: 1px solid var(--line); }
nav ol { margin: 0; padding-left: 1.6rem; }
main { min-width: 0; }
.wide { max-height: 34rem; overflow: auto; margin-bottom: 1rem; width: fit-content;
  max-width: 100%; }
th { position: sticky; top: 0; z-index: 1; background: var(--ground); }
td:first-child { position: sticky; left: 0; background: var(--ground); }
th:first-child, td:first-child { padding-left: 0; }
td { vertical-align: top; }
td small { display: block; color: var(--faint); }
figure { max-width: 960px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 1rem; margin: 0;
  padding: .6rem .8rem; background: var(--panel); font-size: 13px; }
dt { color: var(--faint); }
dd { margin: 0; min-width: 0; }
main p { max-width: 80ch; }
@media (min-width: 1100px) {
  .sides { display: grid; grid-template-columns: 15rem 1fr; gap: 2.5rem; }
  nav { position: sticky; top: 1rem; align-self: start; max-height: 95vh; overflow-y: auto;
    font-size: 13px; } }
@media print { .wide { max-height: none; } nav { display: none; } }
"""


def render_page(results: Iterable[Result]) -> str:
    """Put results on one Markdown page.

    Args:
        results: In the order of the page.

    Returns:
        The page, ending in a line break.
    """
    return '\n'.join([_HEADER, *map(render_result, results)])


def render_result(result: Result) -> str:
    """Put one result under a heading of its own: table, origin, data, notes.

    Args:
        result: What was measured.

    Returns:
        Markdown, ending in a line break.
    """
    seed = 'no seed' if result.seed is None else f'seed {result.seed}'
    origin = f'commit {result.commit}, {result.date}, {seed}, {result.machine}'
    parts = [
        f'## {result.title}',
        _table_of(result),
        f'`{result.command}`: {origin}.',
        f'Data: {result.data}.',
    ]
    return '\n\n'.join([*parts, *filter(None, [result.notes])]) + '\n'


def render_html(results: Mapping[str, Result], docs: Path) -> str:
    """Put results on one page to look at, from the Markdown of the other: they cannot differ.

    Args:
        results: By the name of the file, in the order of the page.
        docs: Folder where the page shall lie, beside `images`.

    Returns:
        HTML that needs no other file but the plots, ending in a line break.

    Raises:
        FileNotFoundError: If a command drew a plot for the documentation that is not there.
    """
    contents = ''.join(
        f'<li><a href="#{name}">{escape(result.title)}</a></li>\n'
        for name, result in results.items()
    )
    body = [
        f'<h1>{_TITLE}</h1>',
        '<p>Every measured figure, with the command, seed, code and machine that made it. Written '
        'by <code>python -m bench.render_results</code> from the JSON files in '
        '<a href="results/">results</a>, as is <a href="results.md">results.md</a>; edit neither '
        'by hand.</p>',
        f'<div class="sides"><nav><ol>\n{contents}</ol></nav>\n<main>',
        *(_section(name, result, docs) for name, result in results.items()),
        '</main></div>',
    ]
    return html_page(_TITLE, body, _STYLE)


def plots_of(result: Result, docs: Path) -> list[Path]:
    """Find the pictures that a result's command drew for the documentation.

    Args:
        result: Its command names one behind `--plot`, or none.
        docs: Folder that holds `images`.

    Returns:
        That picture, and those beside it whose names continue its own, as
        `gdt_gate_examples.png` does `gdt_gate.png`.

    Raises:
        FileNotFoundError: If the picture that the command names is not there.
    """
    words = shlex.split(result.command)
    if '--plot' not in words:
        return []
    plot = Path(words[words.index('--plot') + 1])
    if plot.parent != _IMAGES:
        return []
    shown = docs / 'images' / plot.name
    check_file(shown, 'plot', f'draw it again with `{result.command}`')
    return [shown, *sorted(shown.parent.glob(f'{plot.stem}_*{plot.suffix}'))]


def render_table(rows: tuple[dict[str, Any], ...]) -> str:
    """Draw a table whose columns are the rows' keys.

    Args:
        rows: At least one; all with the same keys.

    Returns:
        Markdown without a final line break; columns of numbers stand to the right, each with as
        many decimals throughout as its largest number needs for four digits, three at most.
    """
    columns = [(key, [row[key] for row in rows]) for key in rows[0]]
    cells = [[_escape(key), *_column(values)] for key, values in columns]
    ruler = ['---:' if _is_numeric(values) else '---' for _, values in columns]
    heading, *body = zip(*cells, strict=True)
    return '\n'.join(f'| {" | ".join(line)} |' for line in (heading, ruler, *body))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_numeric(values: list[Any]) -> bool:
    return all(value is None or _is_number(value) for value in values)


def _column(values: list[Any]) -> list[str]:
    sizes = [abs(v) for v in values if isinstance(v, float) and math.isfinite(v)]
    digits_before = len(str(int(max(sizes, default=0.0))))
    decimals = min(3, max(0, 4 - digits_before))
    return [
        f'{value:.{decimals}f}' if isinstance(value, float) else _escape(_word(value))
        for value in values
    ]


def _word(value: Any) -> str:
    words = {None: '', True: 'yes', False: 'no'}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def _escape(text: str) -> str:
    return text.replace('|', r'\|').replace('\n', ' ')


def _table_of(result: Result) -> str:
    """Take the result's own table, or draw its rows, the further ones under what they tell."""
    drawn = (f'**{name}**\n\n{render_table(rows)}' for name, rows in result.further.items())
    return result.table or '\n\n'.join([render_table(result.rows), *drawn])


def _section(name: str, result: Result, docs: Path) -> str:
    figures = ''.join(
        f'<figure><a href="images/{plot.name}"><img alt="{escape(result.title)}" '
        f'src="images/{plot.name}"></a><figcaption>{plot.name}, drawn by the command below'
        '</figcaption></figure>\n'
        for plot in plots_of(result, docs)
    )
    origin = {
        'command': f'<code>{escape(result.command)}</code>',
        'data': escape(result.data),
        'seed': 'none' if result.seed is None else str(result.seed),
        'code': f'commit {escape(result.commit)}, {escape(result.date)}',
        'machine': escape(result.machine),
    }
    rows = ''.join(f'<dt>{term}</dt><dd>{words}</dd>\n' for term, words in origin.items())
    return (
        f'<section id="{name}">\n<h2><a href="#{name}">{escape(result.title)}</a></h2>\n'
        f'{figures}{_tables(result)}\n{markdown(result.notes)}\n'
        f'<dl>\n{rows}</dl>\n</section>'
    )


def _tables(result: Result) -> str:
    """Turn a result's Markdown: tables scroll by themselves, intervals step back."""
    html = markdown(_table_of(result), extensions=['tables'])
    html = html.replace('<table>', '<div class="wide"><table>')
    html = html.replace('</table>', '</table></div>')
    return _INTERVAL.sub(r'<small>\g<0></small>', html)


def main(argv: list[str] | None = None) -> int:
    """Write both pages.

    Args:
        argv: Command line without the program's name; None takes that of the process.

    Returns:
        The exit status, 0.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--docs', type=Path, default=DOCS, help='folder with results/')
    docs = parser.parse_args(argv).docs
    results = {path.stem: read_result(path) for path in sorted((docs / 'results').glob('*.json'))}
    pages = {
        docs / 'results.md': render_page(results.values()),
        docs / 'results.html': render_html(results, docs),
    }
    for path, page in pages.items():
        path.write_text(page)
        print(path)
    return 0


if __name__ == '__main__':
    sys.exit(main())

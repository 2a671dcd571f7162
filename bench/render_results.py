"""Render every measured figure, with what made it, as one page.

    python -m bench.render_results

Reads `docs/results/*.json`, each written by the program that measured, and writes
`docs/results.md`; a test holds the two equal.
"""

import argparse
from collections.abc import Iterable
import math
from pathlib import Path
import sys
from typing import Any

from ssd_depth_core.records import read_result, Result

DOCS = Path(__file__).parents[1] / 'docs'
_HEADER = """# Results

Written by `python -m bench.render_results` from the JSON files in `results/`, each of which was
written by the command under its table. Edit neither by hand.
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
        result.table or render_table(result.rows),
        f'`{result.command}`: {origin}.',
        f'Data: {result.data}.',
    ]
    return '\n\n'.join([*parts, *filter(None, [result.notes])]) + '\n'


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


def main(argv: list[str] | None = None) -> int:
    """Write the page.

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
    page = docs / 'results.md'
    page.write_text(render_page(map(read_result, sorted((docs / 'results').glob('*.json')))))
    print(page)
    return 0


if __name__ == '__main__':
    sys.exit(main())

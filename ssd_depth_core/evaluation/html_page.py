"""The frame of the project's HTML pages: one file each, light and dark, without scripts."""

from collections.abc import Iterable
from html import escape

# Pictures keep their white ground in the dark: their labels are black.
_STYLE = """
:root { color-scheme: light dark;
  --ground: #fff; --text: #222; --faint: #5f5f5f; --line: #ddd; --panel: #f5f5f5;
  --link: #0b62a4; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #16181b; --text: #dcdcdc; --faint: #a0a0a0; --line: #383b40; --panel: #202327;
  --link: #7ab8ea; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--ground);
  max-width: 1200px; margin: 2rem auto; padding: 0 1rem; }
a { color: var(--link); }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 2px 10px; border-bottom: 1px solid var(--line); text-align: left;
  white-space: nowrap; }
.wide { overflow-x: auto; }
figure { margin: 0 0 1rem; }
figure img { width: 100%; background: #fff; }
figcaption, .note { color: var(--faint); font-size: 13px; }
code { overflow-wrap: anywhere; }
"""


def html_page(title: str, body: Iterable[str], style: str = '') -> str:
    """Put a page together.

    Args:
        title: Plain text.
        body: HTML, a part a line.
        style: CSS that the page needs besides the shared one.

    Returns:
        The page, ending in a line break.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f'<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n'
        + '\n'.join(body)
        + '\n</html>\n'
    )

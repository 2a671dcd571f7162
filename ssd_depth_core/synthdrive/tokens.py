"""nuScenes' tokens and the chains that they make."""

import hashlib
import itertools
from typing import Any


def token_of(*parts: object) -> str:
    """Make a token.

    Args:
        *parts: What it names; the same parts give the same token.

    Returns:
        The 32 hexadecimal digits that nuScenes' tokens have.
    """
    return hashlib.md5('/'.join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def link(rows: list[dict[str, Any]]) -> None:
    """Chain rows.

    Args:
        rows: In time order; each gets the `prev` and `next` of a chain, '' at its ends.
    """
    for previous, row in itertools.pairwise(rows):
        previous['next'], row['prev'] = row['token'], previous['token']

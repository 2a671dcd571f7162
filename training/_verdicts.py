"""The gate's verdicts on a folder of translated pictures, counted."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from ssd_depth_core.data.manifest import ManifestLine
from ssd_depth_core.gdt.acceptance import rule_of


def verdict_table(lines: Iterable[ManifestLine]) -> str:
    """Count verdicts by condition, and rejections by the rules that were broken.

    Args:
        lines: A manifest.

    Returns:
        Lines to print: a block a condition, the commonest reason first; empty without pictures.
        A picture that breaks several rules counts in each, so that the reasons' numbers may sum to
        more than the rejected.
    """
    by_condition: dict[str, list[ManifestLine]] = defaultdict(list)
    for line in lines:
        by_condition[line.condition].append(line)
    text = []
    for condition, pictures in by_condition.items():
        rejected = [line for line in pictures if not line.accepted]
        accepted = len(pictures) - len(rejected)
        text.append(f'{condition:12} {accepted:9,} accepted, {len(rejected):,} rejected')
        rules = Counter(rule for line in rejected for rule in {*map(rule_of, line.reasons)})
        # Equally common ones by name, as sets have no order.
        for rule, number in sorted(rules.items(), key=lambda item: (-item[1], item[0])):
            text.append(f'{"":12} {number:9,} {rule}')
    return '\n'.join(text)

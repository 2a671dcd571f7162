"""Light and weather: the conditions under which depth has to work, and their names."""

from typing import get_args, Literal

RenderedCondition = Literal['day-clear', 'night', 'day-rain', 'night-rain', 'fog', 'snow']
"""What SynthDrive renders."""
Condition = Literal[RenderedCondition, 'low-sun']
"""What a picture may show; random draws count from a condition's place, so new ones come last."""
RENDERED_CONDITIONS: tuple[RenderedCondition, ...] = get_args(RenderedCondition)
CONDITIONS: tuple[Condition, ...] = get_args(Condition)


def condition_of(description: str) -> RenderedCondition:
    """Tell a nuScenes scene's condition from its description, as md4all and SSD do.

    'night' in it means night, else day; 'rain' means rain, else clear. 'fog' and 'snow', which
    only rendered sets have, come first.

    Args:
        description: In words; upper and lower case count alike.

    Returns:
        The condition.
    """
    words = description.lower()
    # Any 'rain' counts, even in another word: the field's counts rest on it.
    if 'fog' in words:
        return 'fog'
    if 'snow' in words:
        return 'snow'
    if 'night' in words:
        return 'night-rain' if 'rain' in words else 'night'
    return 'day-rain' if 'rain' in words else 'day-clear'

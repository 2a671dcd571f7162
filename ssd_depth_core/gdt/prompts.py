"""Words that lead a translation: a phrase for light and weather, then what the frame shows."""

import numpy as np
from ssd_depth_core.conditions import Condition
from ssd_depth_core.gdt.condition_recipe import ConditionRecipe

PHRASES: dict[Condition, tuple[str, ...]] = {
    'night': ('At night',),
    'day-rain': ('In a rainy day',),
    'night-rain': ('In a rainy night',),
    'fog': ('In a foggy day',),
    'snow': ('In a snowy day',),
    'low-sun': ('In the glare of the low sun',),
}
"""The phrases of SSD's figure; fog is there as an icon only, night-rain and low-sun are not: those
three are worded after it."""


def prompt_of(recipe: ConditionRecipe, caption: str | None, rng: np.random.Generator) -> str:
    """Word a prompt.

    Differs: SSD shows phrase and caption, but not what stands between; here it is a comma.

    Args:
        recipe: Has one or more phrases.
        caption: What the frame shows; None or empty: the phrase stands alone.
        rng: Gives one number, which draws the phrase.

    Returns:
        E.g. `At night, a man crossing the street in front of a building`.

    Raises:
        ValueError: If there is no phrase.
    """
    if not recipe.phrases:
        raise ValueError('phrases must be one or more, got none; see PHRASES in gdt/prompts.py')
    phrase = recipe.phrases[rng.integers(len(recipe.phrases))]
    return f'{phrase}, {caption}' if caption else phrase

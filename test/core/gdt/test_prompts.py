import numpy as np
import pytest
from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.gdt.condition_recipe import ConditionRecipe
from ssd_depth_core.gdt.prompts import PHRASES, prompt_of


def test_papers_phrases_stand_for_their_conditions():
    assert [PHRASES[name] for name in ('night', 'day-rain', 'snow', 'fog')] == [
        ('At night',),
        ('In a rainy day',),
        ('In a snowy day',),
        ('In a foggy day',),
    ]
    assert set(PHRASES) == set(CONDITIONS) - {'day-clear'}


@pytest.mark.parametrize(
    ('caption', 'prompt'),
    [('a man on a street', 'At night, a man on a street'), (None, 'At night'), ('', 'At night')],
)
def test_phrase_stands_before_the_caption(caption, prompt):
    recipe = ConditionRecipe(phrases=('At night',))
    assert prompt_of(recipe, caption, np.random.default_rng(0)) == prompt


def test_phrases_are_drawn_equally_often_by_the_generator():
    recipe = ConditionRecipe(phrases=('a', 'b', 'c'))
    rng = np.random.default_rng(0)
    drawn = [prompt_of(recipe, None, rng) for _ in range(300)]
    assert all(80 < drawn.count(phrase) < 120 for phrase in recipe.phrases)
    again = np.random.default_rng(0)
    assert [prompt_of(recipe, None, again) for _ in range(300)] == drawn


def test_recipe_without_phrases_words_no_prompt():
    with pytest.raises(ValueError, match='phrases must be one or more, got none'):
        prompt_of(ConditionRecipe(), 'a street', np.random.default_rng(0))

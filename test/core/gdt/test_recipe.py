from pathlib import Path

import pytest
from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.config import from_dict, load_yaml, to_dict
from ssd_depth_core.gdt.prompts import PHRASES
from ssd_depth_core.gdt.recipe import ConditionRecipe, TranslateConfig

SHIPPED = {path.stem: path for path in Path(__file__).parents[3].glob('config/gdt/*.yaml')}
TRANSLATIONS = set(CONDITIONS) - {'day-clear'}


def config(**fields):
    values = {
        'translator': 'diffusion',
        'conditions': {'night': {}},
        'depth': {'model': 'somebody/depth'},
        'captioner': {'kind': 'none'},
        **fields,
    }
    return from_dict(TranslateConfig, values, 'test')


@pytest.fixture(params=sorted(SHIPPED))
def shipped(request):
    return load_yaml(TranslateConfig, SHIPPED[request.param])


def test_recipes_are_shipped():
    assert set(SHIPPED) >= {'nuscenes', 'robotcar', 'text_only', 'few_step', 'procedural'}


def test_shipped_recipes_come_back_as_they_are_saved(shipped):
    assert from_dict(TranslateConfig, to_dict(shipped), 'test') == shipped


@pytest.mark.parametrize('name', ['nuscenes', 'robotcar', 'text_only', 'few_step'])
def test_pictures_are_written_as_they_are_diffused(name):
    recipe = load_yaml(TranslateConfig, SHIPPED[name])
    assert recipe.size == recipe.diffusion.size
    assert all(side % 8 == 0 for side in recipe.size)


def test_papers_recipes_follow_the_paper():
    nuscenes, robotcar = (load_yaml(TranslateConfig, SHIPPED[n]) for n in ('nuscenes', 'robotcar'))
    assert set(nuscenes.conditions) == {'night', 'day-rain'}
    assert set(robotcar.conditions) == {'night'}
    for paper in (nuscenes, robotcar):
        for condition, recipe in paper.conditions.items():
            assert recipe.phrases == PHRASES[condition]
            assert recipe.image_prompts is not None
        assert paper.captioner.kind == 'blip2'
        assert paper.depth.tiling == 'p49'
        assert paper.variants == 1
    luminances = [c.conditions['night'].exposure.mean_luminance for c in (nuscenes, robotcar)]
    assert luminances == [0.165, 0.247]


def test_text_only_varies_its_words_and_shows_no_photograph():
    recipes = load_yaml(TranslateConfig, SHIPPED['text_only']).conditions
    assert set(recipes) == TRANSLATIONS
    for condition, recipe in recipes.items():
        assert recipe.phrases[0] == PHRASES[condition][0]
        assert len(set(recipe.phrases)) == len(recipe.phrases) >= 4
        assert recipe.image_prompts is None


def test_procedural_needs_no_download():
    procedural = load_yaml(TranslateConfig, SHIPPED['procedural'])
    assert set(procedural.conditions) == TRANSLATIONS
    assert procedural.captioner.kind == 'none'
    assert (procedural.depth.kind, procedural.depth.model) == ('onnx', None)


def test_phrases_that_are_left_out_are_put_in():
    recipes = config(conditions={'night': {}, 'fog': {'phrases': ['In fog']}}).conditions
    assert recipes['night'] == ConditionRecipe(phrases=('At night',))
    assert recipes['fog'].phrases == ('In fog',)


def test_photographs_need_an_ip_adapter_only_where_they_are_shown():
    shown = {'conditions': {'night': {'image_prompts': 'photographs'}, 'fog': {}}}
    assert config(**shown).conditions['night'].image_prompts == Path('photographs')
    blind = {**shown, 'diffusion': {'ip_adapter': None}}
    assert config(**blind, translator='procedural').translator == 'procedural'
    with pytest.raises(ValueError, match='image_prompts of night need an IP-Adapter; name one in'):
        config(**blind)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'conditions': {}}, 'conditions must be one or more of night, .*, low-sun, got none'),
        ({'conditions': {'day-clear': {}}}, 'conditions must be of night, .*, got day-clear'),
        ({'conditions': {'dusk': {}}}, "must be one of day-clear, .*, got 'dusk'"),
        ({'variants': 0}, 'variants must be >= 1, got 0'),
        ({'batch_size': 0}, 'batch_size must be >= 1, got 0'),
        ({'seed': -1}, 'seed must be >= 0, got -1'),
        ({'size': [0, 16]}, r'size must be \(H, W\) of 1 px and more, or null, got \(0, 16\)'),
        (
            {'translator': 'procedural', 'captioner': {'kind': 'blip2'}},
            'formulas do not read; set captioner.kind to none',
        ),
        ({'translator': 'gan'}, 'translator must be one of diffusion, procedural'),
    ],
)
def test_config_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        config(**fields)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'phrases': ('At night', ' ')}, 'phrases must not be blank'),
        ({'image_prompt_scale': 1.1}, r'image_prompt_scale must be in \[0, 1\], got 1.1'),
        ({'strength': -0.1}, r'strength must be in \[0, 1\], got -0.1'),
        ({'strength': float('nan')}, 'strength must be in'),
    ],
)
def test_recipe_out_of_range_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ConditionRecipe(**fields)

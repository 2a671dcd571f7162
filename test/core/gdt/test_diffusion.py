from dataclasses import replace

import cv2
import numpy as np
import pytest
from ssd_depth_core.gdt.condition_recipe import ConditionRecipe
from ssd_depth_core.gdt.depth_estimator import EstimatedDepth
from ssd_depth_core.gdt.diffusion import DiffusionConfig, DiffusionTranslator
from ssd_depth_core.gdt.translator import Request, Translation
import torch

SIZE = (24, 40)


@pytest.fixture(autouse=True)
def one_thread():
    """Sums over several threads round in another order, and change bytes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def config(tiny_diffusion):
    return DiffusionConfig(
        model=str(tiny_diffusion),
        controlnet=None,
        ip_adapter=None,
        num_inference_steps=2,
        size=(16, 32),
        safety_checker=False,
    )


@pytest.fixture
def with_adapter(config):
    return replace(
        config,
        ip_adapter=config.model,
        ip_adapter_subfolder='ip_adapter',
        ip_adapter_weights='ip_adapter.safetensors',
    )


@pytest.fixture(scope='session')
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('photographs')
    rng = np.random.default_rng(0)
    for name in ('a.png', 'b.png'):
        cv2.imwrite(str(folder / name), rng.integers(0, 256, (20, 30, 3)).astype(np.uint8))
    return folder


def recipe(**fields):
    return ConditionRecipe(phrases=('at night',), **fields)


def request(seed=1, condition='night', size=SIZE, caption='a car', far=0.0):
    inverse_depth = np.linspace(far, 1, size[0] * size[1], dtype=np.float32).reshape(size) ** 2
    return Request(
        picture=np.full((*size, 3), 120, np.uint8),
        depth=EstimatedDepth(inverse_depth, metric=False),
        K=np.eye(3),
        condition=condition,
        caption=caption,
        seed=seed,
    )


def translate(config, *requests, **recipes):
    recipes = {name.replace('_', '-'): value for name, value in recipes.items()}
    return DiffusionTranslator(config, recipes or {'night': recipe()}, 'cpu').translate(requests)


def picture(result):
    assert isinstance(result, Translation), result
    return result.picture


def test_a_seed_gives_the_same_bytes_in_a_new_translator_and_another_seed_others(config):
    first, other = translate(config, request(seed=1), request(seed=2))
    again, _ = translate(config, request(seed=1), request(seed=2))
    assert picture(first).tobytes() == picture(again).tobytes()
    assert picture(first).shape == (*SIZE, 3)
    assert picture(first).std() > 5
    assert (picture(first) != picture(other)).mean() > 0.5
    assert (first.prompt, first.image_prompt) == ('at night, a car', None)


def test_depth_steers(config):
    near = replace(request(), depth=EstimatedDepth(np.ones(SIZE, np.float32), metric=False))
    slope, flat = translate(config, request(), near)
    (same,) = translate(replace(config, controlnet_conditioning_scale=0.0), request())
    (flat_too,) = translate(replace(config, controlnet_conditioning_scale=0.0), near)
    assert (picture(slope) != picture(flat)).mean() > 0.05
    np.testing.assert_array_equal(picture(same), picture(flat_too))


def test_caption_steers(config):
    with_car, alone = translate(config, request(), request(caption=None))
    assert (picture(with_car) != picture(alone)).mean() > 0.01
    assert alone.prompt == 'at night'


def test_a_photograph_steers_as_much_as_the_recipe_says(with_adapter, photographs):
    by_scale = [
        translate(
            with_adapter,
            request(),
            night=recipe(image_prompts=photographs, image_prompt_scale=scale),
        )[0]
        for scale in (0.0, 0.5)
    ]
    without, shown = map(picture, by_scale)
    assert by_scale[1].image_prompt in ('a.png', 'b.png')
    assert (shown != without).mean() > 0.05
    (text_only,) = translate(replace(with_adapter, ip_adapter=None), request())
    np.testing.assert_array_equal(without, picture(text_only))


def test_each_picture_of_a_batch_is_shown_its_own_photograph(with_adapter, photographs):
    requests = [request(seed=seed) for seed in range(3, 9)]
    translator = DiffusionTranslator(
        with_adapter, {'night': recipe(image_prompts=photographs)}, 'cpu'
    )
    together = translator.translate(requests)
    assert {made.image_prompt for made in together} == {'a.png', 'b.png'}
    for single, made in zip(requests, together, strict=True):
        (alone,) = translator.translate([single])
        assert alone.image_prompt == made.image_prompt
        # Not quite the same bytes: other batch sizes round otherwise.
        assert np.abs(picture(alone).astype(int) - picture(made)).max() <= 1


def test_conditions_keep_their_recipes_in_one_batch(with_adapter, photographs):
    recipes = {
        'night': recipe(image_prompts=photographs),
        'fog': ConditionRecipe(phrases=('in fog',)),
    }
    mixed = DiffusionTranslator(with_adapter, recipes, 'cpu').translate(
        [request(condition='night'), request(condition='fog'), request(condition='night')]
    )
    assert [made.prompt for made in mixed] == [
        'at night, a car',
        'in fog, a car',
        'at night, a car',
    ]
    assert [made.image_prompt is None for made in mixed] == [False, True, False]
    (fog,) = translate(
        replace(with_adapter, ip_adapter=None), request(condition='fog'), **{'fog': recipes['fog']}
    )
    np.testing.assert_array_equal(picture(mixed[1]), picture(fog))

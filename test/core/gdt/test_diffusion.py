from dataclasses import replace
import shutil
import sys

import cv2
import numpy as np
import pytest
from ssd_depth_core.gdt.condition_recipe import ConditionRecipe
from ssd_depth_core.gdt.depth_estimator import EstimatedDepth
from ssd_depth_core.gdt.diffusion import DiffusionConfig, DiffusionTranslator
from ssd_depth_core.gdt.diffusion_pipeline import GuidedPipeline, load_pipeline
from ssd_depth_core.gdt.exposure import ExposureConfig
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


def test_the_frame_gets_its_size_back_whatever_size_is_made(config):
    made = translate(replace(config, size=(18, 34)), request(size=(45, 70)), request(size=(9, 17)))
    assert [picture(result).shape for result in made] == [(45, 70, 3), (9, 17, 3)]


def test_a_night_is_darkened_to_the_drawn_luminance(config):
    (bright,) = translate(config, request())
    mean = picture(bright).mean() / 255
    exposure = ExposureConfig(mean_luminance=0.8 * mean, spread=0.0)
    (dark,) = translate(config, request(), night=recipe(exposure=exposure))
    assert picture(dark).mean() / 255 == pytest.approx(0.8 * mean, abs=1e-2)


def test_samplers_differ(config):
    made = [
        picture(translate(replace(config, scheduler=name, num_inference_steps=3), request())[0])
        for name in ('unipc', 'dpmsolver', 'ddim', 'lcm')
    ]
    assert len({pixels.tobytes() for pixels in made}) == 4


@pytest.fixture
def write_lora(config, tmp_path):
    """Write a LoRA of one layer of the UNet, and whatever else is given."""
    from diffusers import UNet2DConditionModel
    from safetensors.torch import save_file

    unet = UNet2DConditionModel.from_pretrained(config.model, subfolder='unet')
    layer = 'mid_block.attentions.0.transformer_blocks.0.attn1.to_v'
    rows, columns = unet.get_submodule(layer).weight.shape
    down, up = torch.eye(2, columns), torch.full((rows, 2), 5.0)

    def write(kohya=False, **others):
        of_unet = {f'unet.{layer}.lora_A.weight': down, f'unet.{layer}.lora_B.weight': up}
        if kohya:
            name = f'lora_unet_{layer.replace(".", "_")}'
            of_unet = {
                f'{name}.lora_down.weight': down,
                f'{name}.lora_up.weight': up,
                f'{name}.alpha': torch.tensor(2.0),
            }
        save_file(of_unet | others, tmp_path / 'pytorch_lora_weights.safetensors')
        return str(tmp_path)

    return write


@pytest.mark.parametrize('kohya', [False, True])
def test_a_few_steps_with_a_lora(with_adapter, photographs, write_lora, kohya):
    pytest.importorskip('peft')
    few = replace(with_adapter, scheduler='lcm', num_inference_steps=1, guidance_scale=1.0)
    recipes = {'night': recipe(image_prompts=photographs)}
    (without,) = translate(few, request(), **recipes)
    lora = write_lora(kohya)
    merged = DiffusionTranslator(replace(few, lora=lora), recipes, 'cpu')
    (made,) = merged.translate([request()])
    assert (picture(made) != picture(without)).mean() > 0.01
    assert merged.models['lora'] == lora


TEXT_LAYER = 'text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer'
KOHYA_TEXT_LAYER = 'lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora'
UNET_LAYER = 'unet.mid_block.attentions.7.transformer_blocks.0.attn1.to_v.lora'


@pytest.mark.parametrize(
    ('kohya', 'names', 'message'),
    [
        (
            False,
            (f'{TEXT_LAYER}.down.weight', f'{TEXT_LAYER}.up.weight'),
            'the UNet alone, got 2 other weights, text_encoder.text_model',
        ),
        (
            True,
            (f'{KOHYA_TEXT_LAYER}_down.weight', f'{KOHYA_TEXT_LAYER}_up.weight'),
            'the UNet alone, got 2 other weights, text_encoder.text_model',
        ),
        (
            False,
            (f'{UNET_LAYER}_A.weight', f'{UNET_LAYER}_B.weight'),
            'has 4 weights, of which the UNet takes 2',
        ),
    ],
)
def test_a_lora_that_is_not_taken_over_whole_is_refused(config, write_lora, kohya, names, message):
    pytest.importorskip('peft')
    down, up = names
    lora = write_lora(kohya, **{down: torch.ones(2, 16), up: torch.ones(16, 2)})
    with pytest.raises(ValueError, match=message):
        load_pipeline(replace(config, lora=lora), torch.device('cpu'))


def test_without_peft_the_command_that_installs_it_is_named(config, monkeypatch):
    monkeypatch.setitem(sys.modules, 'peft', None)
    with pytest.raises(ValueError, match='LoRA a/b needs peft, .*: pip install peft; or set'):
        load_pipeline(replace(config, lora='a/b'), torch.device('cpu'))


def test_a_controlnet_of_its_own_folder(config):
    apart = replace(config, controlnet=f'{config.model}/controlnet')
    translator = DiffusionTranslator(apart, {'night': recipe()}, 'cpu')
    assert translator.models == {'diffusion': config.model, 'controlnet': apart.controlnet}
    np.testing.assert_array_equal(
        picture(translator.translate([request()])[0]), picture(translate(config, request())[0])
    )


def test_switches_that_save_memory(config):
    saving = replace(config, attention_slicing=True, vae_slicing=True, vae_tiling=True)
    pipeline = load_pipeline(saving, torch.device('cpu'))
    assert pipeline.vae.use_slicing
    assert pipeline.vae.use_tiling
    assert all('Sliced' in type(each).__name__ for each in pipeline.unet.attn_processors.values())
    requests = (request(seed=1), request(seed=2))
    for plain, made in zip(
        translate(config, *requests), translate(saving, *requests), strict=True
    ):
        assert np.abs(picture(plain).astype(int) - picture(made)).max() <= 1


def test_a_cpu_computes_in_float32_unless_told(config):
    assert load_pipeline(config, torch.device('cpu')).unet.dtype == torch.float32
    half = replace(config, dtype='bfloat16')
    assert load_pipeline(half, torch.device('cpu')).unet.dtype == torch.bfloat16


@pytest.fixture
def memory_for(monkeypatch):
    """Let a GPU run out of memory above a number of pictures; lists the batches tried."""
    whole = GuidedPipeline.__call__

    def limit(most):
        tried = []

        def call(self, prompt, **kwargs):
            tried.append(len(prompt))
            if len(prompt) > most:
                raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB.')
            return whole(self, prompt, **kwargs)

        monkeypatch.setattr(GuidedPipeline, '__call__', call)
        return tried

    return limit


def test_out_of_memory_halves_the_batch_for_good(config, memory_for):
    requests = [request(seed=seed) for seed in range(5)]
    translator = DiffusionTranslator(config, {'night': recipe()}, 'cpu')
    expected = [
        picture(made).tobytes()
        for part in (requests[:2], requests[2:4], requests[4:])
        for made in translator.translate(part)
    ]
    tried = memory_for(2)
    assert [picture(made).tobytes() for made in translator.translate(requests)] == expected
    assert tried == [5, 2, 2, 1]
    translator.translate(requests[:3])
    assert tried[4:] == [2, 1]


def test_no_memory_for_one_picture_names_the_switches(config, memory_for):
    tried = memory_for(0)
    message = 'diffusion at 16x32 px .* with one picture: .* Set diffusion.cpu_offload'
    with pytest.raises(MemoryError, match=message):
        translate(config, request(), request())
    assert tried == [2, 1]


def test_a_picture_that_is_not_finite_is_a_reason(config, monkeypatch):
    whole = GuidedPipeline.__call__

    def call(self, **kwargs):
        output = whole(self, **kwargs)
        output.images[0, 0, 0, :3] = float('nan')
        return output

    monkeypatch.setattr(GuidedPipeline, '__call__', call)
    broken, made = translate(config, request(), request(seed=2))
    assert broken.startswith('3 of its values are not finite; diffusion.dtype')
    assert isinstance(made, Translation)


@pytest.fixture
def with_checker(config, tmp_path):
    """A pipeline whose checker finds pictures offensive above a cosine."""
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    vision = {
        'hidden_size': 16,
        'intermediate_size': 16,
        'num_attention_heads': 2,
        'num_hidden_layers': 1,
        'image_size': 16,
        'patch_size': 8,
    }

    def make(cosine):
        pipeline = load_pipeline(config, torch.device('cpu'))
        checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=16))
        checker.concept_embeds_weights.data.fill_(cosine)
        checker.special_care_embeds_weights.data.fill_(2.0)
        pipeline.register_modules(
            safety_checker=checker,
            feature_extractor=CLIPImageProcessor(size=16, crop_size=16),
        )
        pipeline.save_pretrained(tmp_path / 'checked')
        return replace(config, model=str(tmp_path / 'checked'), safety_checker=True)

    return make


def test_a_blanked_picture_is_a_reason(with_checker):
    (blanked,) = translate(with_checker(-2.0), request())
    assert blanked == "blanked by the safety checker, with the prompt 'at night, a car'"


def test_a_picture_that_the_checker_passes_is_the_same_as_without(config, with_checker):
    (passed,) = translate(with_checker(2.0), request())
    (unchecked,) = translate(config, request())
    np.testing.assert_array_equal(picture(passed), picture(unchecked))


def test_a_damaged_photograph_is_a_reason_and_the_rest_is_made(with_adapter, tmp_path):
    rng = np.random.default_rng(0)
    for name in ('a.png', 'b.png'):
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (8, 8, 3)).astype(np.uint8))
    translator = DiffusionTranslator(
        with_adapter, {'night': recipe(image_prompts=tmp_path)}, 'cpu'
    )
    requests = [request(seed=seed) for seed in range(5, 8)]
    names = [made.image_prompt for made in translator.translate(requests)]
    assert names == ['b.png', 'a.png', 'b.png']
    (tmp_path / 'a.png').write_bytes(b'cut short')
    first, broken, last = translator.translate(requests)
    assert broken.startswith('image prompt: ')
    assert 'a.png is no picture' in broken
    assert [first.image_prompt, last.image_prompt] == ['b.png', 'b.png']


def test_a_condition_without_recipe_is_named(config):
    with pytest.raises(ValueError, match="'fog' has no recipe; there are night"):
        translate(config, request(condition='fog'))


def test_photographs_need_an_adapter(config, photographs):
    with pytest.raises(ValueError, match='image_prompts of night need an IP-Adapter'):
        translate(config, night=recipe(image_prompts=photographs))


@pytest.mark.parametrize(
    ('part', 'field', 'weights'),
    [
        ('diffusion model', 'model', '*/*.safetensors'),
        ('ControlNet', 'controlnet', '*.safetensors'),
        ('IP-Adapter', 'ip_adapter', 'ip_adapter/*.safetensors'),
        ('LoRA', 'lora', '*.safetensors'),
    ],
)
def test_a_missing_model_is_named_with_the_command_that_fetches_it(
    with_adapter, part, field, weights
):
    if field == 'lora':
        pytest.importorskip('peft')
    lacking = replace(with_adapter, **{field: 'nobody/nothing'})
    with pytest.raises(FileNotFoundError) as raised:
        load_pipeline(lacking, torch.device('cpu'))
    message = str(raised.value)
    assert message.startswith(f'{part} nobody/nothing is not on this machine')
    assert "hf download nobody/nothing --include '*.json'" in message
    assert f"--include '{weights}'" in message


@pytest.mark.parametrize(
    'file',
    [
        'unet/diffusion_pytorch_model.safetensors',
        'text_encoder/model.safetensors',
        'ip_adapter/ip_adapter.safetensors',
        'ip_adapter/image_encoder/config.json',
        'model_index.json',
    ],
)
@pytest.mark.parametrize('fault', ['gone', 'cut short'])
def test_a_folder_that_is_not_whole_is_named(with_adapter, tmp_path, file, fault):
    folder = shutil.copytree(with_adapter.model, tmp_path / 'model')
    data = (folder / file).read_bytes()
    (folder / file).unlink() if fault == 'gone' else (folder / file).write_bytes(data[:100])
    broken = replace(with_adapter, model=str(folder), ip_adapter=str(folder))
    with pytest.raises(FileNotFoundError, match=f'{folder} is not on this machine, or not whole'):
        load_pipeline(broken, torch.device('cpu'))


@pytest.mark.parametrize(
    'file',
    [
        'unet/diffusion_pytorch_model.safetensors',
        'controlnet/diffusion_pytorch_model.safetensors',
        'text_encoder/model.safetensors',
        'ip_adapter/image_encoder/model.safetensors',
        'ip_adapter/ip_adapter.safetensors',
    ],
)
def test_a_weight_that_a_file_lacks_is_named(with_adapter, tmp_path, file):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(with_adapter.model, tmp_path / 'model')
    weights = load_file(folder / file)
    name = max(weights)
    del weights[name]
    save_file(weights, folder / file, metadata={'format': 'pt'})
    broken = replace(with_adapter, model=str(folder), ip_adapter=str(folder))
    lacking = name.removeprefix('ip_adapter.').removeprefix('text_model.')
    with pytest.raises(FileNotFoundError, match=f'not whole: .*{lacking}'):
        load_pipeline(broken, torch.device('cpu'))


def test_models_that_do_not_fit_are_named(config, tmp_path):
    from diffusers import ControlNetModel

    ControlNetModel(
        block_out_channels=(4, 8),
        down_block_types=('DownBlock2D', 'CrossAttnDownBlock2D'),
        layers_per_block=1,
        cross_attention_dim=24,
        norm_num_groups=1,
        attention_head_dim=4,
    ).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match='must have the cross_attention_dim of .* 16, got 24'):
        load_pipeline(replace(config, controlnet=str(tmp_path)), torch.device('cpu'))


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'size': (17, 32)}, 'size must be a multiple of 2 px'),
        ({'safety_checker': True}, 'has no safety checker; set safety_checker to false'),
        ({'cpu_offload': True}, 'cpu_offload moves networks off a GPU, got a CPU'),
    ],
)
def test_what_the_model_or_machine_cannot_do_is_an_error(config, fields, message):
    with pytest.raises(ValueError, match=message):
        load_pipeline(replace(config, **fields), torch.device('cpu'))


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'num_inference_steps': 0}, 'num_inference_steps must be at least 1, got 0'),
        ({'guidance_scale': -1.0}, 'guidance_scale must be >= 0'),
        ({'controlnet_conditioning_scale': float('inf')}, 'finite, got inf'),
        ({'control_guidance_start': 0.5, 'control_guidance_end': 0.5}, '0 <= start < end <= 1'),
        ({'size': (512, 0)}, 'size must be'),
        ({'ip_adapter_weights': 'ip-adapter_sd15.bin'}, 'pickled weights can run code'),
        ({'attention_slicing': True}, 'use cpu_offload or vae_tiling instead'),
    ],
)
def test_impossible_config_is_an_error(fields, message):
    with pytest.raises(ValueError, match=message):
        DiffusionConfig(**fields)

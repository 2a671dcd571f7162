import shutil

import numpy as np
import pytest
from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.gdt.condition_check import BOUNDS, ClipJudge, light_scores, TEXTS


def stripes(dark, bright):
    picture = np.full((8, 8, 3), dark, np.uint8)
    picture[:, ::2] = bright
    return picture


def test_light_is_compared_by_ratios():
    source = stripes((40, 40, 80), (120, 120, 200))
    scores = light_scores(stripes((20, 20, 40), (60, 60, 100)), source)
    assert scores['luminance_ratio'] == pytest.approx(0.5, abs=0.01)
    assert scores['contrast_ratio'] == pytest.approx(0.5, abs=0.02)
    assert scores['chroma_ratio'] == 0.5


def test_a_grey_source_has_no_chroma_to_compare_with():
    scores = light_scores(stripes((10, 20, 30), 40), stripes(30, 60))
    assert [name for name, score in scores.items() if score is None] == ['chroma_ratio']
    assert set(light_scores(stripes(1, 2), stripes(0, 0)).values()) == {None}


def test_bounds_name_scores_that_exist_and_hold_ones_that_can_be():
    known = light_scores(stripes((1, 2, 3), (9, 8, 7)), stripes((1, 2, 3), (9, 8, 7)))
    for bounds in BOUNDS.values():
        assert set(bounds) <= set(known)
        assert all(low < high for low, high in bounds.values())


def test_every_condition_has_a_text():
    assert set(TEXTS) == set(CONDITIONS)


def test_missing_clip_is_named_with_the_command_that_fetches_it(tmp_path):
    with pytest.raises(FileNotFoundError, match='hf download .*condition_check to statistics'):
        ClipJudge('nobody/clip', 'cpu')
    with pytest.raises(FileNotFoundError, match='a whole folder.*condition_check to statistics'):
        ClipJudge(str(tmp_path / 'clip'), 'cpu')


@pytest.fixture(scope='session')
def tiny_clip(tmp_path_factory):
    """Save a CLIP with random weights."""
    import string

    from ssd_depth_core.models.torchvision_cpu import allow_cpu_torchvision
    import torch

    allow_cpu_torchvision()
    from transformers import (
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPProcessor,
        CLIPTokenizer,
    )

    folder = tmp_path_factory.mktemp('clip')
    letters = [*string.ascii_lowercase, *(f'{letter}</w>' for letter in string.ascii_lowercase)]
    words = [*letters, 'lo', '<|startoftext|>', '<|endoftext|>']
    import json

    (folder / 'vocab.json').write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / 'merges.txt').write_text('#version: 0.2\nl o\n')
    tokenizer = CLIPTokenizer(
        vocab=str(folder / 'vocab.json'), merges=str(folder / 'merges.txt'), model_max_length=77
    )
    part = {'hidden_size': 16, 'intermediate_size': 16, 'num_attention_heads': 2}
    part |= {'num_hidden_layers': 1, 'projection_dim': 8}
    config = CLIPConfig(
        text_config={**part, 'vocab_size': len(words), 'eos_token_id': len(words) - 1},
        vision_config={**part, 'image_size': 16, 'patch_size': 8},
        projection_dim=8,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    size = {'height': 16, 'width': 16}
    images = CLIPImageProcessor(size={'shortest_edge': 16}, crop_size=size)
    CLIPProcessor(images, tokenizer).save_pretrained(folder)
    return folder


def test_clip_divides_one_among_all_conditions(tiny_clip):
    judge = ClipJudge(str(tiny_clip), 'cpu')
    picture = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    shares = judge.probabilities([picture] * len(CONDITIONS), CONDITIONS)
    assert sum(shares) == pytest.approx(1.0, abs=1e-5)
    assert len(set(shares)) > 1


def test_weights_that_clip_lacks_are_never_made_up(tiny_clip, tmp_path):
    from safetensors.torch import load_file, save_file

    file = shutil.copytree(tiny_clip, tmp_path / 'clip') / 'model.safetensors'
    weights = load_file(file)
    del weights['visual_projection.weight']
    save_file(weights, file, {'format': 'pt'})
    with pytest.raises(ValueError, match='lacks 1 weights, such as visual_projection.weight'):
        ClipJudge(str(file.parent), 'cpu')


def test_another_kind_of_network_is_no_clip(tmp_path):
    pytest.importorskip('transformers')
    (tmp_path / 'config.json').write_text('{"model_type": "siglip"}')
    with pytest.raises(ValueError, match='clip_model .* must be a CLIP, got siglip'):
        ClipJudge(str(tmp_path), 'cpu')

import shutil

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('transformers')

from ssd_depth_core.gdt.captioner import (  # noqa: E402
    Blip2Captioner,
    CaptionConfig,
    make_captioner,
)

HEIGHT_WIDTH = (20, 30)


@pytest.fixture(scope='module')
def pictures():
    rng = np.random.default_rng(0)
    colours = ((10, 10, 10), (200, 40, 10), (250, 250, 250))
    noise = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    return [*(np.full((*HEIGHT_WIDTH, 3), colour, np.uint8) for colour in colours), noise]


def captioner(folder, **fields):
    config = CaptionConfig(model=str(folder), max_new_tokens=6, **fields)
    return make_captioner(config, 'cpu')


def test_captions_are_words_about_the_picture(tiny_blip2, pictures):
    network = captioner(tiny_blip2)
    captions = network.caption(pictures)
    words = {'a', 'street', 'with', 'car', 'wall', 'tree', 'wet', 'and'}
    assert all(set(caption.split(' ')) <= words for caption in captions)
    assert all(len(caption.split(' ')) <= 6 for caption in captions)
    assert len(set(captions)) == 4
    assert network.models == {'captioner': str(tiny_blip2)}
    assert network.caption([]) == []


def test_neighbours_and_repetition_change_nothing(tiny_blip2, pictures):
    network = captioner(tiny_blip2)
    captions = network.caption(pictures)
    assert network.caption(pictures) == captions
    assert network.caption(pictures[::-1]) == captions[::-1]
    assert [network.caption([picture])[0] for picture in pictures] == captions
    assert captioner(tiny_blip2, batch_size=3).caption(pictures) == captions


def test_beams_find_likelier_words_than_greed(tiny_blip2, pictures):
    greedy = captioner(tiny_blip2, num_beams=1).caption(pictures)
    assert captioner(tiny_blip2).caption(pictures) != greedy


def test_a_network_that_says_nothing_is_no_caption(tiny_blip2, pictures, monkeypatch):
    network = captioner(tiny_blip2)
    start, end = 0, 2
    silence = torch.tensor([[start, end]] * len(pictures))
    monkeypatch.setattr(network._network, 'generate', lambda **_: silence)
    assert network.caption(pictures) == [None] * len(pictures)


def test_batches_that_do_not_fit_are_halved_for_good(tiny_blip2, pictures, monkeypatch, caplog):
    network = captioner(tiny_blip2, batch_size=4)
    captions = network.caption(pictures)
    generate, sizes = network._network.generate, []

    def generate_two(pixel_values, **kwargs):
        sizes.append(len(pixel_values))
        if len(pixel_values) > 2:
            raise torch.OutOfMemoryError
        return generate(pixel_values=pixel_values, **kwargs)

    monkeypatch.setattr(network._network, 'generate', generate_two)
    assert network.caption(pictures) == captions
    assert network.caption(pictures) == captions
    assert sizes == [4, 2, 2, 2, 2]
    assert 'set captioner.batch_size to that' in caplog.text


def test_no_room_for_one_picture_is_a_clear_stop(tiny_blip2, pictures, monkeypatch):
    network = captioner(tiny_blip2)

    def generate(**_):
        raise torch.OutOfMemoryError('full')

    monkeypatch.setattr(network._network, 'generate', generate)
    with pytest.raises(MemoryError, match='with one picture: full Lower captioner.num_beams'):
        network.caption(pictures)


def test_half_precision_is_taken_where_it_is_asked_for(tiny_blip2):
    network = captioner(tiny_blip2, dtype='bfloat16')._network
    assert network.vision_model.embeddings.patch_embedding.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ('kind', 'text', 'captions'),
    [('text', 'a street', ['a street', 'a street']), ('none', None, [None, None])],
)
def test_fixed_captions_need_no_network(kind, text, captions, pictures):
    fixed = make_captioner(CaptionConfig(kind=kind, text=text), 'cpu')
    assert fixed.caption(pictures[:2]) == captions
    assert fixed.models == {}


def test_picture_of_another_kind_is_named(tiny_blip2):
    with pytest.raises(TypeError, match='image must be .* uint8, got float64'):
        captioner(tiny_blip2).caption([np.zeros((*HEIGHT_WIDTH, 3))])


def test_missing_weights_are_named_with_the_command_that_fetches_them():
    message = (
        'captioner somebody/blip2 is not on this machine.*'
        r"`hf download somebody/blip2 --include '\*.json' .*--include '\*.safetensors' --exclude"
    )
    with pytest.raises(FileNotFoundError, match=message):
        Blip2Captioner(CaptionConfig(model='somebody/blip2'), 'cpu')


@pytest.mark.parametrize(
    'name', ['config.json', 'processor_config.json', 'tokenizer.json', 'model.safetensors']
)
def test_folder_that_lacks_a_file_is_named(tiny_blip2, tmp_path, name):
    folder = tmp_path / 'blip2'
    shutil.copytree(tiny_blip2, folder)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match='blip2 is not .*, or not whole.* a whole folder'):
        captioner(folder)


def test_damaged_weights_are_named(tiny_blip2, tmp_path):
    shutil.copytree(tiny_blip2, tmp_path, dirs_exist_ok=True)
    weights = tmp_path / 'model.safetensors'
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(FileNotFoundError, match='not whole'):
        captioner(tmp_path)


def test_weights_that_are_left_out_or_cut_are_never_made_up(tiny_blip2, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_blip2, tmp_path, dirs_exist_ok=True)
    weights = load_file(tmp_path / 'model.safetensors')
    tokens = weights.pop('query_tokens')
    save_file(weights, tmp_path / 'model.safetensors', metadata={'format': 'pt'})
    with pytest.raises(ValueError, match='lacks 1 weights, such as query_tokens'):
        captioner(tmp_path)
    weights['query_tokens'] = tokens[:, :2].clone()
    save_file(weights, tmp_path / 'model.safetensors', metadata={'format': 'pt'})
    with pytest.raises(FileNotFoundError, match='not whole'):
        captioner(tmp_path)


def test_another_kind_of_network_is_refused(tmp_path):
    (tmp_path / 'config.json').write_text('{"model_type": "opt"}')
    with pytest.raises(ValueError, match='must be a BLIP-2, got opt'):
        captioner(tmp_path)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'num_beams': 0}, 'num_beams must be >= 1, got 0'),
        ({'max_new_tokens': 0}, 'max_new_tokens must be >= 1'),
        ({'batch_size': 0}, 'batch_size must be >= 1'),
        ({'kind': 'text'}, 'text must be given where kind is text'),
        ({'kind': 'text', 'text': ' '}, 'text must be given where kind is text'),
        ({'kind': 'none', 'text': 'a street'}, 'and only there; got kind none'),
    ],
)
def test_config_out_of_range_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        CaptionConfig(**fields)

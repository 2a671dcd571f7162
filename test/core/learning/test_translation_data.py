import cv2
import numpy as np
import pytest
from ssd_depth_core.data.rendered import read_frames
from ssd_depth_core.learning.translation_data import (
    control_of,
    EncodedPictures,
    examples_of,
    PictureCrops,
    signed,
    WholePictures,
)
import torch


@pytest.fixture
def frames(rendered_set):
    return read_frames([rendered_set], 'train')


def test_every_picture_of_the_asked_conditions_is_an_example(frames):
    examples = examples_of(frames, ['night', 'day-clear'])
    assert len(examples) == 12
    assert [example.condition for example in examples[:2]] == ['night', 'day-clear']
    with pytest.raises(ValueError, match='no frame shows snow'):
        examples_of(frames, ['night', 'snow'])


def test_signed_pictures_reach_from_minus_one_to_one():
    picture = np.array([[[0, 255, 51]]], np.uint8)
    assert signed(picture)[:, 0, 0].tolist() == pytest.approx([-1, 1, -0.6])


def test_control_is_exact_depth_near_bright_and_dark_where_unknown(frames):
    control = control_of(frames[0], (64, 64))
    assert control.shape == (64, 64, 3)
    assert (control[2:] == 255).all()
    assert (control[:2] == 0).all()  # sky and unknown
    assert control_of(frames[0], (32, 64)).shape == (32, 64, 3)


def test_crops_are_pieces_of_the_picture(rendered_set, frames):
    crops = PictureCrops(examples_of(frames, ['day-clear']), (64, 64), (16, 32))
    assert len(crops) == 6
    first, again = crops[3, 7]['image'], crops[3, 7]['image']
    assert first.shape == (3, 16, 32)
    assert torch.equal(first, again)
    level = cv2.imread(str(rendered_set / 'day-clear' / f'{frames[3].line.id}.jpg')).mean()
    assert first.mean().item() == pytest.approx(level / 127.5 - 1, abs=0.02)


def test_crops_lie_anywhere_and_are_mirrored_half_the_time(frames, monkeypatch):
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None], (64, 64, 3)).copy()
    ramp[..., 0] = np.arange(64)
    monkeypatch.setattr(
        'ssd_depth_core.learning.translation_data.read_image', lambda frame, condition: ramp
    )
    crops = PictureCrops(examples_of(frames, ['night']), (64, 64), (16, 32))
    pieces = [(127.5 * (crops[0, seed]['image'] + 1)).round() for seed in range(400)]
    assert {int(piece[1].min()) for piece in pieces} == set(range(49))  # rows
    assert {int(piece[0].min()) for piece in pieces} == set(range(33))  # columns
    mirrored = np.mean([bool(piece[0, 0, 0] > piece[0, 0, -1]) for piece in pieces])
    assert 0.4 < mirrored < 0.6


def test_whole_pictures_come_at_the_asked_size(frames):
    pictures = WholePictures(examples_of(frames, ['night']), (32, 16))
    assert len(pictures) == 6
    assert pictures[0].shape == (3, 32, 16)


def encoded(frames, prompt_drop):
    return EncodedPictures(
        examples_of(frames, ['night', 'day-clear']),
        torch.arange(12.0)[:, None, None, None].expand(12, 4, 8, 8).half(),
        {'night': torch.tensor([[1, 1], [2, 2]]), 'day-clear': torch.tensor([[3, 3]])},
        torch.tensor([0, 0]),
        (64, 64),
        prompt_drop,
    )


def test_encoded_pictures_come_with_their_depth_and_a_prompt_of_their_condition(frames):
    pictures = encoded(frames, 0)
    sample = pictures[5, 1]
    assert sample['latents'].dtype == torch.float32
    assert (sample['latents'] == 5).all()
    assert sample['control'].shape == (3, 64, 64)
    assert sample['control'].min() == 0
    assert sample['control'].max() == 1
    assert pictures[5, 1]['tokens'].tolist() == [3, 3]  # a day-clear
    assert {pictures[4, seed]['tokens'][0].item() for seed in range(20)} == {1, 2}


def test_a_share_of_prompts_is_dropped(frames):
    pictures = encoded(frames, 0.25)
    dropped = [pictures[1, seed]['tokens'][0].item() == 0 for seed in range(400)]
    assert 0.18 < np.mean(dropped) < 0.32

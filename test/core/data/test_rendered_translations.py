import json

import numpy as np
import pytest

pytest.importorskip('torch')
cv2 = pytest.importorskip('cv2')

from ssd_depth_core.config import to_dict  # noqa: E402
from ssd_depth_core.data.manifest import ManifestLine  # noqa: E402
from ssd_depth_core.data.rendered import (  # noqa: E402
    read_frames,
    read_image,
    RenderedConfig,
    TrainingFrames,
)
from ssd_depth_core.data.rendered_translations import with_translations  # noqa: E402

FOG = 222
"""Grey level of what passes for fog."""


@pytest.fixture
def translated(rendered_set, tmp_path):
    """Pictures of two views as fog, the second rejected, and of one as another night."""
    folder = tmp_path / 'translated'
    made = [('000003', 'fog', True), ('000004', 'fog', False), ('000003', 'night', True)]
    lines = []
    for view, condition, accepted in made:
        path = f'{condition}/{view}-day-clear.png'
        (folder / condition).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / path), np.full((64, 64, 3), FOG, np.uint8))
        line = ManifestLine(
            source_id=f'{view}-day-clear',
            condition=condition,
            path=path,
            translator='procedural',
            seed=0,
            accepted=accepted,
        )
        lines.append(json.dumps(to_dict(line)) + '\n')
    (folder / 'manifest.jsonl').write_text(''.join(lines))
    (folder / 'config.yaml').write_text(f'data:\n  root: {rendered_set}\n')
    return folder


def test_accepted_pictures_join_the_rendered_ones(rendered_set, translated):
    frames = with_translations(read_frames([rendered_set], 'train'), [translated])
    by_id = {frame.line.id: frame for frame in frames}
    assert by_id['000003'].conditions == ('day-clear', 'night', 'fog')
    assert by_id['000004'].conditions == ('day-clear', 'night')
    assert read_image(by_id['000003'], 'fog').mean() == FOG
    # A night that was rendered is better than one that was made of the day.
    assert abs(read_image(by_id['000003'], 'night').mean() - 25) <= 1


def test_one_of_several_is_drawn(rendered_set, translated):
    manifest = translated / 'manifest.jsonl'
    first = json.loads(manifest.read_text().splitlines()[0])
    second = {**first, 'path': 'fog/000003-day-clear@1.png'}
    cv2.imwrite(str(translated / second['path']), np.full((64, 64, 3), 111, np.uint8))
    manifest.write_text(manifest.read_text() + json.dumps(second) + '\n')
    frames = with_translations(read_frames([rendered_set], 'train'), [translated])
    (frame,) = [frame for frame in frames if frame.line.id == '000003']
    drawn = {read_image(frame, 'fog', np.random.default_rng(seed)).mean() for seed in range(20)}
    assert drawn == {FOG, 111}
    assert read_image(frame, 'fog').mean() == FOG


def test_missing_pictures_name_what_makes_them(rendered_set, translated):
    frames = with_translations(read_frames([rendered_set], 'train'), [translated])
    (frame,) = [frame for frame in frames if frame.line.id == '000003']
    (translated / 'fog' / '000003-day-clear.png').unlink()
    with pytest.raises(ValueError, match='missing or damaged; translate again'):
        read_image(frame, 'fog')
    with pytest.raises(ValueError, match='no picture as snow, only day-clear, night, fog'):
        read_image(frame, 'snow')


def test_rejected_pictures_come_where_they_are_asked_for(rendered_set, translated):
    frames = read_frames([rendered_set], 'train')
    frames = with_translations(frames, [translated], only_accepted=False)
    shown = {frame.line.id for frame in frames if 'fog' in frame.conditions}
    assert shown == {'000003', '000004'}


def test_they_are_drawn_as_often_as_their_condition(rendered_set, translated):
    frames = with_translations(read_frames([rendered_set], 'train'), [translated])
    (number,) = [n for n, frame in enumerate(frames) if frame.line.id == '000003']
    config = RenderedConfig(condition_weights={'fog': 1.0})
    dataset = TrainingFrames(frames, config, (64, 64), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    sample = dataset[number, 0]
    assert (sample['depth'][0, 32:] == 13).all()  # exact depth of the view stays
    with pytest.raises(ValueError, match='frame 000000 has only day-clear, night, none with'):
        dataset[0, 0]


def test_pictures_of_other_sets_are_refused(rendered_set, translated, tmp_path):
    frames = read_frames([rendered_set], 'train')
    (translated / 'config.yaml').write_text(f'data:\n  root: {tmp_path / "other"}\n')
    with pytest.raises(ValueError, match='translated from .*other, which is not among'):
        with_translations(frames, [translated])
    (translated / 'config.yaml').write_text('seed: 0\n')
    with pytest.raises(ValueError, match='config.yaml must say data.root'):
        with_translations(frames, [translated])
    (translated / 'config.yaml').unlink()
    with pytest.raises(FileNotFoundError, match='record of a translation'):
        with_translations(frames, [translated])


def test_a_folder_without_a_picture_of_the_views_is_refused(rendered_set, translated):
    frames = read_frames([rendered_set], 'validation')
    with pytest.raises(ValueError, match='hold no picture that the training views lack'):
        with_translations(frames, [translated])
    assert with_translations(frames, []) == frames

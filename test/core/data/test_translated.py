from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch')
cv2 = pytest.importorskip('cv2')

from ssd_depth_core.conditions import CONDITIONS  # noqa: E402
from ssd_depth_core.data.appearances import TranslatedPictures, TwinPictures  # noqa: E402
from ssd_depth_core.data.jitter import JitterConfig  # noqa: E402
from ssd_depth_core.data.manifest import ManifestLine  # noqa: E402
from ssd_depth_core.data.translated import (  # noqa: E402
    NetworkView,
    TranslatedConfig,
    TranslatedDataset,
)
from ssd_depth_core.data.triplets import TripletConfig, TripletDataset  # noqa: E402

PLAIN = TripletConfig(size=(24, 40)).plain()
LEVELS = {'day-clear': 120, 'night': 30, 'day-rain': 60}  # of frame 2


@pytest.fixture
def student(street_set, folder_source):
    """The clear street with its twins as translations."""
    root, lines = street_set
    source = folder_source(root)
    clear = [line for line in lines if line.condition == 'day-clear']

    def make(appearances=None, **config):
        config = TranslatedConfig(**{'triplets': PLAIN, **config})
        twins = appearances or TwinPictures(lines, source)
        return TranslatedDataset(clear, source, twins, config)

    return make


def drawn_conditions(dataset, number=1, count=600):
    names = [CONDITIONS[dataset[number, seed]['condition']] for seed in range(count)]
    return {name: names.count(name) / count for name in names}


def grey(image):
    mean, std = torch.tensor(PLAIN.mean), torch.tensor(PLAIN.std)
    return (255 * (image.mean((1, 2)) * std + mean)).mean().item()


def test_all_appearances_come_equally_often(student):
    shares = drawn_conditions(student(triplets=replace(PLAIN, neighbours=False)), number=2)
    assert shares == pytest.approx(dict.fromkeys(LEVELS, 1 / 3), abs=0.06)


def test_p_clear_is_the_share_of_clear_frames(student):
    config = {'triplets': replace(PLAIN, neighbours=False), 'p_clear': 2 / 3}
    shares = drawn_conditions(student(**config), number=2)
    assert shares == pytest.approx(
        {'day-clear': 2 / 3, 'night': 1 / 6, 'day-rain': 1 / 6}, abs=0.06
    )
    assert drawn_conditions(student(**{**config, 'p_clear': 1.0}), count=20) == {'day-clear': 1}


def test_the_input_is_translated_and_all_else_stays_clear(student):
    dataset = student()
    for seed in range(12):
        sample = dataset[1, seed]  # day-clear-2
        name = CONDITIONS[sample['condition']]
        assert grey(sample['image']) == pytest.approx(LEVELS[name], abs=1.5)
        assert grey(sample['clear_image']) == pytest.approx(120, abs=1)
        assert 255 * sample['target'].mean() == pytest.approx(120, abs=1)
        assert sample['weight'] == 1
        assert sample['weight'].dtype == torch.float32


def test_the_teacher_sees_the_triplet_without_augmentation(street_set, folder_source, student):
    root, lines = street_set
    triplets = replace(PLAIN, jitter=JitterConfig(), flip=1.0, noise=1.0, input_size=(28, 42))
    sample = student(triplets=triplets)[1, 3]
    clear = TripletDataset(lines[:5], folder_source(root), replace(PLAIN, input_size=(28, 42)))
    plain = clear[1, 0]
    assert sample['flip']  # of the student's input, and the teacher's with it
    assert torch.equal(sample['clear_image'], plain['image'].flip(-1))
    for name in ('target', 'sources', 'pose_images', 'K', 'T_source_target', 'distance_m'):
        assert torch.equal(sample[name], plain[name])


def test_the_teacher_may_see_another_size_and_another_normalisation(street_set, folder_source):
    root, lines = street_set
    source = folder_source(root)
    view = NetworkView(size=(14, 28), mean=(0.45,) * 3, std=(0.225,) * 3)
    dataset = TranslatedDataset(
        lines[:5],
        source,
        TwinPictures(lines, source),
        TranslatedConfig(triplets=PLAIN),
        teacher=view,
    )
    sample = dataset[1, 0]
    other = replace(PLAIN, size=(14, 28), mean=view.mean, std=view.std)
    seen = TripletDataset(lines[:5], source, other)[1, 0]
    assert torch.equal(sample['clear_image'], seen['image'])
    assert sample['image'].shape == (3, 24, 40)
    grey_of_frames = 255 * (sample['pose_images'] * 0.225 + 0.45).mean((1, 2, 3))
    assert grey_of_frames.tolist() == pytest.approx([100, 120, 140], abs=1)


def test_segments_of_the_clear_frame_come_along(street_set, folder_source):
    pytest.importorskip('skimage')
    root, lines = street_set
    source = folder_source(root)
    config = TranslatedConfig(triplets=PLAIN)
    dataset = TranslatedDataset(
        lines[:5], source, TwinPictures(lines, source), config, segments=True
    )
    segments = dataset[1, 0]['segments']
    assert (segments.shape, segments.dtype) == ((1, 24, 40), torch.int64)
    assert segments[0, 12, 5] != segments[0, 12, 35]  # the right half is brighter


def test_a_clear_draw_is_the_clear_picture(student):
    sample = student(p_clear=1.0)[1, 0]
    assert torch.equal(sample['image'], sample['clear_image'])


def test_the_gates_score_is_the_weight(student, tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((24, 40, 3), 33, np.uint8))
    line = ManifestLine(
        source_id='day-clear-2',
        condition='fog',
        path='a.png',
        translator='procedural',
        seed=0,
        scores={'trust': 0.25},
        accepted=True,
    )
    pictures = TranslatedPictures(tmp_path, [line], weight_by='trust')
    dataset = student(pictures, conditions=('fog',), p_clear=0.0)
    sample = dataset[1, 0]
    assert (sample['weight'], CONDITIONS[sample['condition']]) == (0.25, 'fog')
    assert grey(sample['image']) == pytest.approx(33, abs=0.1)
    # Another frame was not translated, so it stays clear.
    other = dataset[0, 0]
    assert (other['weight'], CONDITIONS[other['condition']]) == (1, 'day-clear')


def test_a_frame_that_lacks_a_condition_is_drawn_from_the_others(
    street_set, folder_source, student
):
    root, lines = street_set
    source = folder_source(root)
    twins = TwinPictures([line for line in lines if line.id != 'night-2'], source)
    dataset = student(twins, p_clear=0.0, triplets=replace(PLAIN, neighbours=False))
    assert drawn_conditions(dataset, number=2, count=30) == {'day-rain': 1}
    assert set(drawn_conditions(dataset, number=1, count=30)) == {'night', 'day-rain'}


def test_a_condition_without_any_picture_is_refused(student):
    with pytest.raises(ValueError, match='none of 3 frames has a picture as snow; translate'):
        student(conditions=('night', 'snow'))


def test_the_same_draw_is_the_same_sample(student):
    dataset = student(triplets=replace(PLAIN, noise=0.5, flip=0.5, jitter=JitterConfig()))
    for seed in range(5):
        first, again = dataset[1, seed], dataset[1, seed]
        assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_broken_twin_is_skipped_or_named(street_set, folder_source, tmp_path, caplog):
    import shutil

    root, lines = street_set
    root = shutil.copytree(root, tmp_path / 'street')
    (root / 'night' / '2.jpg').unlink()
    source = folder_source(root)
    config = TranslatedConfig(
        conditions=('night',), p_clear=0.0, triplets=replace(PLAIN, on_broken='skip')
    )
    dataset = TranslatedDataset(lines[:5], source, TwinPictures(lines, source), config)
    sample = dataset[1, 0]
    assert sample['num_skipped'] >= 1
    assert sample['number'] != 1
    assert f'skipped frame day-clear-2: picture not found at {root}/night/2.jpg' in caplog.text


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        ({'conditions': ()}, 'conditions must be one or more, each once'),
        ({'conditions': ('night', 'night')}, 'conditions must be one or more, each once'),
        ({'p_clear': 1.5}, r'p_clear must be in \[0, 1\] or null, got 1.5'),
    ],
)
def test_config_refuses_what_makes_no_sense(config, message):
    with pytest.raises(ValueError, match=message):
        TranslatedConfig(**config)

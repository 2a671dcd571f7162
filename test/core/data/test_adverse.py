from dataclasses import replace

import pytest

torch = pytest.importorskip('torch')
cv2 = pytest.importorskip('cv2')

from ssd_depth_core.conditions import CONDITIONS  # noqa: E402
from ssd_depth_core.data.adverse import AdverseConfig, AdverseDataset  # noqa: E402
from ssd_depth_core.data.translated import NetworkView  # noqa: E402
from ssd_depth_core.data.triplets import TripletConfig, TripletDataset  # noqa: E402

NETWORK = NetworkView(size=(24, 40), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
TEACHER = NetworkView(size=(28, 42), mean=(0.45,) * 3, std=(0.225,) * 3)
PLAIN = TripletConfig(neighbours=False).plain()


@pytest.fixture
def adverse(street_set, folder_source):
    root, lines = street_set

    def make(lines=lines, teacher=TEACHER, **config):
        config = AdverseConfig(**{'triplets': PLAIN, **config})
        return AdverseDataset(lines, folder_source(root), config, student=NETWORK, teacher=teacher)

    return make


def seen(lines, root, folder_source, view, name):
    """What a plain set gives of one frame."""
    config = replace(PLAIN, size=view.size, mean=view.mean, std=view.std)
    (line,) = (line for line in lines if line.id == name)
    return TripletDataset([line], folder_source(root), config)[0, 0]['image']


def test_a_quarter_of_the_frames_are_clear_and_all_others_adverse(adverse):
    dataset = adverse()
    assert len(dataset) == 10  # five at night and five in rain; none is night-rain
    drawn = [
        CONDITIONS[dataset[number, seed]['condition']]
        for number in range(10)
        for seed in range(40)
    ]
    shares = {name: drawn.count(name) / len(drawn) for name in set(drawn)}
    assert shares == pytest.approx(
        {'day-clear': 0.25, 'night': 0.375, 'day-rain': 0.375}, abs=0.06
    )


def test_without_clear_frames_each_draw_is_its_own_frame(adverse):
    dataset = adverse(p_clear=0.0, conditions=('day-rain',))
    assert [dataset[number, 7]['number'].item() for number in range(5)] == [0, 1, 2, 3, 4]
    assert {dataset[number, 7]['condition'].item() for number in range(5)} == {
        CONDITIONS.index('day-rain')
    }


def test_every_clear_frame_is_drawn(adverse):
    dataset = adverse(p_clear=0.9)
    levels = {
        round(sample['target'].mean().item(), 2)
        for sample in (dataset[0, seed] for seed in range(60))
        if sample['condition'] == 0
    }
    assert len(levels) == 5


def test_the_frozen_networks_see_the_frame_without_augmentation(
    adverse, street_set, folder_source
):
    root, lines = street_set
    triplets = replace(TripletConfig(neighbours=False), flip=1.0, noise=1.0)
    sample = adverse(p_clear=0.0, triplets=triplets)[2, 5]
    assert sample['flip']
    for key, view in (('plain_image', NETWORK), ('teacher_image', TEACHER)):
        expected = seen(lines, root, folder_source, view, 'night-2')
        assert torch.equal(sample[key], expected.flip(-1))
    assert not torch.allclose(sample['image'], sample['plain_image'], atol=0.05)


def test_without_augmentation_all_networks_see_the_same(adverse):
    sample = adverse(teacher=NETWORK)[0, 1]
    assert torch.equal(sample['image'], sample['plain_image'])
    assert torch.equal(sample['image'], sample['teacher_image'])
    assert sample['image'].shape == (3, *NETWORK.size)


def test_the_seed_alone_decides(adverse):
    dataset = adverse(triplets=TripletConfig(neighbours=False))
    first, again = dataset[3, 11], dataset[3, 11]
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_an_index_without_adverse_frames_is_refused(adverse, street_set):
    clear = [line for line in street_set[1] if line.condition == 'day-clear']
    with pytest.raises(ValueError, match='none of 5 training frames is under night, .*: null'):
        adverse(clear)


def test_an_index_without_clear_frames_is_refused_where_they_are_asked_for(adverse, street_set):
    night = [line for line in street_set[1] if line.condition == 'night']
    with pytest.raises(
        ValueError, match='none of 5 training frames is clear, but p_clear is 0.25'
    ):
        adverse(night)
    assert len(adverse(night, p_clear=0.0)) == 5


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'conditions': ()}, r'conditions must be one or more, .*, got \(\)'),
        ({'conditions': ('night', 'night')}, 'conditions must be one or more, each once'),
        ({'conditions': ('night', 'day-clear')}, 'without day-clear, whose share is p_clear'),
        ({'p_clear': 1.0}, r'p_clear must be in \[0, 1\), got 1.0'),
        ({'triplets': TripletConfig()}, 'triplets.neighbours must be left at False, got True'),
        (
            {'triplets': TripletConfig(neighbours=False, size=(24, 40))},
            r'triplets.size must be left at \(320, 576\), .*; what networks see is theirs',
        ),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        AdverseConfig(**fields)

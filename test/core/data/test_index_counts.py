from dataclasses import replace

import pytest
from ssd_depth_core.data.index import IndexLine, Neighbour
from ssd_depth_core.data.index_counts import (
    Count,
    nuscenes_counts,
    require_paper_options,
    robotcar_counts,
)
from ssd_depth_core.data.nuscenes_index import NuScenesIndexConfig
from ssd_depth_core.data.robotcar_index import RobotCarIndexConfig

EYE = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))
BESIDE = Neighbour(image='b.jpg', timestamp_us=0, T_source_target=EYE)
LINE = IndexLine(
    id='a',
    scene='scene-0061',
    channel='CAM_FRONT',
    condition='day-clear',
    timestamp_us=1,
    image='a.jpg',
    size=(16, 24),
    K=tuple(row[:3] for row in EYE[:3]),
    speed_mps=0.5,
    previous=BESIDE,
    next=BESIDE,
)
NUSCENES = NuScenesIndexConfig(version='v1.0-trainval')


def lines(train=(), validation=(), test=()):
    return {'train': train, 'validation': validation, 'test': test}


def conditions(*names):
    return [replace(LINE, condition=name) for name in names]


def test_both_of_our_training_splits_count_as_the_papers_training():
    unfit = [
        replace(LINE, speed_mps=0.49),
        replace(LINE, previous=None),
        replace(LINE, next=None),
        replace(LINE, previous=None, next=None, speed_mps=None),
        replace(LINE, condition='night'),
    ]
    counts = nuscenes_counts(lines(train=[LINE] * 3, validation=[LINE, *unfit]))
    assert counts[0] == Count(what='train + validation, day-clear, moving', expected=15129, got=4)


def test_night_holds_night_rain():
    test = conditions('day-clear', 'night', 'night-rain', 'night-rain', 'day-rain')
    counts = nuscenes_counts(lines(test=test))
    assert [count.got for count in counts] == [0, 1, 3, 1, 5]
    assert [count.expected for count in counts[1:]] == [4449, 602, 968, 4449 + 602 + 968]


def test_robotcar_counts_what_the_filters_took():
    dropped = {
        'train: static': 5,
        'train: over-exposed': 2,
        'train: exposure jump': 1,
        'train: without both neighbours': 100,
    }
    counts = robotcar_counts(
        lines([LINE] * 4, [LINE], conditions('night', 'night', 'day-clear')), dropped
    )
    assert [(count.expected, count.got) for count in counts] == [
        (17790, 12),
        (16563, 4),
        (702, 1),
        (709, 2),
    ]


def test_papers_options_pass():
    require_paper_options(NUSCENES)
    # These change which of the files are read, not which frames are counted.
    require_paper_options(replace(NUSCENES, on_missing='drop', validation_share=0.5, lidar=False))


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'version': 'v1.0-mini'}, "version to 'v1.0-trainval' .is 'v1.0-mini'."),
        ({'channels': ('CAM_BACK',)}, 'channels to'),
        ({'key_frames_only': False}, 'key_frames_only to True'),
        ({'train_conditions': None}, 'train_conditions to .* .is None.'),
        ({'min_speed_mps': 0.0}, r'min_speed_mps to 0.5 \(is 0.0\)'),
        ({'min_speed_mps': 0.0, 'channels': ('CAM_BACK',)}, 'channels to .*, min_speed_mps to'),
    ],
)
def test_other_options_than_the_papers_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        require_paper_options(replace(NUSCENES, **fields))


def test_robotcar_wants_the_published_lists(tmp_path):
    with pytest.raises(ValueError, match='name them in `split_files`'):
        require_paper_options(RobotCarIndexConfig())
    config = RobotCarIndexConfig(split_files={'train': (tmp_path,)})
    require_paper_options(config)
    with pytest.raises(ValueError, match='drop_static to True'):
        require_paper_options(replace(config, drop_static=False))

from pathlib import Path

import cv2
import numpy as np
import pytest
from ssd_depth_core.conditions import condition_of, CONDITIONS
from ssd_depth_core.config import load_yaml
from ssd_depth_core.data.nuscenes import NuScenes, read_lidar
from ssd_depth_core.exact_depth import decode_exact_depth

from training.render_synthdrive import DESCRIPTIONS, main, RenderConfig

CONFIG = """
seed: 4
duration_s: 0.1
conditions: [day-clear, night]
image_height: 24
image_width: 40
lidar_hz: 10
"""


def test_streets_are_rendered_in_every_condition(tmp_path, capsys):
    config = tmp_path / 'tiny.yaml'
    config.write_text(CONFIG)
    out = tmp_path / 'set'
    assert (
        main(['--config', str(config), '--out', str(out), '--seed', '7', '--device', 'cpu']) == 0
    )
    assert f'2 scenes -> {out}' in capsys.readouterr().out
    data = NuScenes(out)
    day, night = data.scenes
    assert (day.name, night.name) == ('street-0007-day-clear', 'street-0007-night')
    assert 'night' in night.description
    records = data.records(day), data.records(night)
    kinds = [[(r.channel, r.timestamp_us) for r in scene] for scene in records]
    assert kinds[0] == kinds[1]
    assert sorted(channel for channel, _ in kinds[0]) == ['CAM_FRONT', 'LIDAR_TOP']
    for a, b in zip(*records, strict=True):
        np.testing.assert_array_equal(a.T_world_ego, b.T_world_ego)
        if a.modality == 'lidar':
            assert len(read_lidar(a.path)) > 1000
            continue
        depth_a, depth_b = (
            cv2.imread(
                str(out / 'exact_depth' / r.channel / f'{r.path.stem}.png'), cv2.IMREAD_UNCHANGED
            )
            for r in (a, b)
        )
        np.testing.assert_array_equal(depth_a, depth_b)
        assert 1 < np.median(decode_exact_depth(depth_a)) < 60
        # The same street, darker.
        assert cv2.imread(str(b.path)).mean() < 0.7 * cv2.imread(str(a.path)).mean()


def test_descriptions_tell_the_condition_and_only_it():
    for condition, description in DESCRIPTIONS.items():
        assert condition_of(description) == condition
    assert tuple(DESCRIPTIONS) == CONDITIONS


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'num_streets': 0}, 'num_streets must be >= 1'),
        ({'jpeg_quality': 101}, 'jpeg_quality must be in'),
        ({'conditions': ()}, 'one or more, each once'),
        ({'conditions': ('night', 'night')}, 'one or more, each once'),
        ({'duration_s': 0.0}, 'times and rates must be positive'),
    ],
)
def test_config_out_of_range_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        RenderConfig(**{'seed': 0, 'duration_s': 1.0, **fields})


def test_shipped_config_is_valid():
    path = Path(__file__).parents[2] / 'config/data/synthdrive.yaml'
    assert load_yaml(RenderConfig, path).num_streets == 4

import json
import math

import numpy as np
import pytest
from ssd_depth_core.exact_depth import encode_exact_depth

CONDITIONS = ('day-clear', 'night')
K = ((50.0, 0.0, 31.5), (0.0, 50.0, 31.5), (0.0, 0.0, 1.0))


@pytest.fixture(scope='session')
def rendered_set(tmp_path_factory):
    """A training set of 64x64: 6 frames to train on, 2 for validation; only to be read.

    A wall whose colour tells its depth, under one row of sky and one of unknown depth.
    """
    import cv2

    root = tmp_path_factory.mktemp('rendered')
    for name in (*CONDITIONS, 'depth'):
        (root / name).mkdir()
    lines = []
    for number in range(8):
        depth = np.full((64, 64), 4.0 + 3 * number, np.float32)
        depth[0], depth[1] = np.inf, np.nan
        cv2.imwrite(str(root / 'depth' / f'{number:06d}.png'), encode_exact_depth(depth))
        for condition, level in zip(CONDITIONS, (25, 5), strict=True):
            image = np.full((64, 64, 3), level * number + 10, np.uint8)
            cv2.imwrite(str(root / condition / f'{number:06d}.jpg'), image)
        lines.append(
            {
                'schema_version': 1,
                'id': f'{number:06d}',
                'K': K,
                'split': 'validation' if number in (2, 5) else 'train',
                'conditions': CONDITIONS,
            }
        )
    (root / 'frames.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return root


NUSCENES_START_US = 1_600_000_000_000_000
NUSCENES_HZ = {'camera': 12, 'lidar': 20, 'radar': 14}
# Key frames at 2 Hz; the LiDAR's come 20 ms after the cameras'.
NUSCENES_DELAY_US = {'camera': 0, 'lidar': 20_000, 'radar': 5_000}
LOOKS_FORWARD = (0.5, -0.5, 0.5, -0.5)  # optical axes in the car's
UNTURNED = (1.0, 0.0, 0.0, 0.0)


def nuscenes_modality(channel):
    return {'CAM': 'camera', 'LID': 'lidar', 'RAD': 'radar'}[channel[:3]]


@pytest.fixture(scope='session')
def make_nuscenes():
    """Write a nuScenes-format set by hand: a car that drives straight on along the world's x.

    Pictures are 16x24 pixels with a focal length of 20; `scenes` maps a name to a description and
    a speed [m/s].
    """
    import cv2

    picture = cv2.imencode('.jpg', np.full((16, 24, 3), 90, np.uint8))[1].tobytes()
    sweep = np.array(((10, 0, 0, 7, 0), (20, 2, 1, 7, 1)), '<f4').tobytes()

    def make(
        root,
        scenes,
        channels=('CAM_FRONT', 'LIDAR_TOP'),
        version='v1.0-mini',
        seconds=1.25,
        on_disk=('CAM_FRONT', 'LIDAR_TOP'),
    ):
        tables = {name: [] for name in ('scene', 'sample', 'sample_data', 'ego_pose')}
        for folder in ('samples', 'sweeps'):
            for channel in on_disk:
                (root / folder / channel).mkdir(parents=True)
        for scene_number, (scene, (description, speed_mps)) in enumerate(scenes.items()):
            start_us = NUSCENES_START_US + scene_number * 100_000_000
            tables['scene'].append({'token': scene, 'name': scene, 'description': description})
            tables['sample'] += [
                {'token': f'{scene}/{i}', 'scene_token': scene}
                for i in range(math.ceil(2 * seconds))
            ]
            for channel in channels:
                modality = nuscenes_modality(channel)
                hz = NUSCENES_HZ[modality]
                count = int(hz * seconds)
                key_period = hz // 2
                for i in range(count):
                    stamp_us = start_us + NUSCENES_DELAY_US[modality] + round(i * 1e6 / hz)
                    is_key_frame = i % key_period == 0
                    suffix = 'jpg' if modality == 'camera' else 'pcd.bin'
                    filename = (
                        f'{"samples" if is_key_frame else "sweeps"}/{channel}/'
                        f'{scene}__{channel}__{stamp_us}.{suffix}'
                    )
                    token = f'{scene}/{channel}/{i}'
                    tables['sample_data'].append(
                        {
                            'token': token,
                            'sample_token': f'{scene}/{i // key_period}',
                            'ego_pose_token': token,
                            'calibrated_sensor_token': channel,
                            'timestamp': stamp_us,
                            'fileformat': suffix[:3],
                            'is_key_frame': is_key_frame,
                            'height': 16,
                            'width': 24,
                            'filename': filename,
                            'prev': f'{scene}/{channel}/{i - 1}' if i else '',
                            'next': f'{scene}/{channel}/{i + 1}' if i + 1 < count else '',
                        }
                    )
                    x_m = 500.0 + speed_mps * (stamp_us - start_us) * 1e-6
                    tables['ego_pose'].append(
                        {'token': token, 'translation': (x_m, 90.0, 0.0), 'rotation': UNTURNED}
                    )
                    if channel in on_disk:
                        (root / filename).write_bytes(picture if suffix == 'jpg' else sweep)
        mounts = {
            'camera': ((1.7, 0.0, 1.5), LOOKS_FORWARD, ((20, 0, 12), (0, 20, 8), (0, 0, 1))),
            'lidar': ((0.9, 0.0, 1.8), UNTURNED, ()),
            'radar': ((3.4, 0.0, 0.5), UNTURNED, ()),
        }
        tables['sensor'] = [
            {'token': channel, 'channel': channel, 'modality': nuscenes_modality(channel)}
            for channel in channels
        ]
        tables['calibrated_sensor'] = [
            {
                'token': channel,
                'sensor_token': channel,
                **dict(
                    zip(
                        ('translation', 'rotation', 'camera_intrinsic'),
                        mounts[nuscenes_modality(channel)],
                        strict=True,
                    )
                ),
            }
            for channel in channels
        ]
        (root / version).mkdir()
        for name, rows in tables.items():
            (root / version / f'{name}.json').write_text(json.dumps(rows))
        return root

    return make

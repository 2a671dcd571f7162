import json

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

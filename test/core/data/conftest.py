import numpy as np
import pytest
from ssd_depth_core.exact_depth import encode_exact_depth

CONDITIONS = {'day-clear': 1.0, 'night': 0.25, 'day-rain': 0.5}
NUM_FRAMES = 5
SIZE = (48, 80)
K = ((60.0, 0.0, 40.25), (0.0, 60.0, 23.5), (0.0, 0.0, 1.0))
START_US = 1_700_000_000_000_000


def level_of(frame, condition):
    """Mean grey of a picture of the set."""
    return (80 + 20 * frame) * CONDITIONS[condition]


@pytest.fixture(scope='session')
def street_set(tmp_path_factory):
    """A street of 48x80 under three conditions, 5 frames each; only to be read.

    A frame's grey tells its number and condition; its right half is a third brighter. The car
    moves 0.5 m a frame and turns a little. Depth grows by a metre a row, under a row of sky.
    """
    import cv2
    from ssd_depth_core.data.index import IndexLine, Neighbour

    root = tmp_path_factory.mktemp('street')
    lines = []
    depth = np.repeat(np.linspace(50, 3, SIZE[0], dtype=np.float32)[:, None], SIZE[1], axis=1)
    depth[0] = np.inf
    cv2.imwrite(str(root / 'depth.png'), encode_exact_depth(depth))
    for condition in CONDITIONS:
        (root / condition).mkdir()
        for frame in range(NUM_FRAMES):
            image = np.full((*SIZE, 3), level_of(frame, condition) * 6 / 7, np.float32)
            image[:, SIZE[1] // 2 :] *= 4 / 3
            path = root / condition / f'{frame}.jpg'
            cv2.imwrite(str(path), image, (cv2.IMWRITE_JPEG_QUALITY, 95))

    def neighbour(condition, frame, step):
        if not 0 <= frame + step < NUM_FRAMES:
            return None
        c, s = np.cos(0.01 * step), np.sin(0.01 * step)
        T = ((c, 0, s, 0.3 * step), (0, 1, 0, 0.0), (-s, 0, c, -0.4 * step), (0, 0, 0, 1.0))
        return Neighbour(
            image=f'{condition}/{frame + step}.jpg',
            timestamp_us=START_US + 83_333 * (frame + step),
            T_source_target=tuple(tuple(map(float, row)) for row in T),
        )

    for condition in CONDITIONS:
        for frame in range(NUM_FRAMES):
            lines.append(
                IndexLine(
                    id=f'{condition}-{frame}',
                    scene=f'street-0003-{condition}',
                    channel='CAM_FRONT',
                    condition=condition,
                    timestamp_us=START_US + 83_333 * frame,
                    image=f'{condition}/{frame}.jpg',
                    size=SIZE,
                    K=K,
                    speed_mps=6.0,
                    previous=neighbour(condition, frame, -1),
                    next=neighbour(condition, frame, 1),
                    exact_depth='depth.png',
                )
            )
    return root, lines


@pytest.fixture(scope='session')
def folder_source():
    """Make a source of a folder of pictures; its truth is three points."""
    from ssd_depth_core.data.pictures import read_picture

    class FolderSource:
        def __init__(self, root):
            self.root = root

        def read_image(self, frame):
            return read_picture(self.root / frame.image)

        def read_depth(self, line):
            depth = np.full(line.size, np.nan, np.float32)
            depth[4, 6], depth[5, 7], depth[40, 70] = 9.0, 7.0, 3.0
            return depth

    return FolderSource

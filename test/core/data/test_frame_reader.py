import itertools

import numpy as np
import pytest

cv2 = pytest.importorskip('cv2')
pytest.importorskip('PIL')

from ssd_depth_core.data.frame_reader import (  # noqa: E402
    BrokenFrameError,
    FrameReader,
    read_exact_depth,
    reduction_for,
    resize_picture,
    resize_sparse_depth,
)
from ssd_depth_core.data.index import IndexLine  # noqa: E402
from ssd_depth_core.data.nuscenes_source import NuScenesSource  # noqa: E402
from ssd_depth_core.exact_depth import encode_exact_depth  # noqa: E402
from ssd_depth_core.preprocess import resize_intrinsics  # noqa: E402

K = np.array(((630.0, 0.0, 405.3), (0.0, 632.0, 222.9), (0.0, 0.0, 1.0)))
RECORDED = (448, 800)


def frame(path, size=RECORDED):
    return IndexLine(
        id='a',
        scene='s',
        channel='c',
        condition='day-clear',
        timestamp_us=0,
        image=path.name,
        size=size,
        K=tuple(map(tuple, K.tolist())),
        speed_mps=None,
    )


class Source:
    def __init__(self, folder):
        self.folder = folder

    def read_image(self, frame):
        image = cv2.imread(str(self.folder / frame.image), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise ValueError(f'{self.folder / frame.image} is no picture')
        return image

    def read_depth(self, line):
        raise FileNotFoundError('sweep not found at sweep.bin')


class Reducing(NuScenesSource):
    asked = 0

    def read_reduced(self, frame, reduction):
        self.asked = reduction
        return super().read_reduced(frame, reduction)


@pytest.mark.parametrize(
    ('recorded', 'sizes', 'factor'),
    [
        ((900, 1600), ((320, 576),), 2),
        ((900, 1600), ((160, 288),), 4),
        ((900, 1600), ((100, 160),), 4),  # 900 / 8 is not whole
        ((896, 1600), ((100, 160),), 8),
        ((900, 1600), ((320, 576), (518, 784)), 1),
        ((768, 1280), ((320, 544),), 2),
        ((450, 800), ((225, 400),), 2),
        ((450, 800), ((226, 400),), 1),
        ((160, 288), ((320, 576),), 1),
    ],
)
def test_a_picture_is_decoded_no_smaller_than_what_is_made_of_it(recorded, sizes, factor):
    assert reduction_for(recorded, sizes) == factor


# In a grid of directions, each at a depth of its own.
POINTS = np.array(
    [
        (x * (8 + i), y * (8 + i), 8 + i)
        for i, (x, y) in enumerate(itertools.product((-0.5, 0.03, 0.52), (-0.26, 0.02, 0.27)))
    ]
)


def project(K):
    pixels = POINTS @ K.T
    return pixels[:, :2] / pixels[:, 2:]


def draw_points(K, size, radius):
    """Bright, round spots at the projected points."""
    v, u = np.mgrid[: size[0], : size[1]]
    picture = np.zeros(size)
    for x, y in project(K):
        picture += np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * radius**2))
    return np.repeat((255 * picture.clip(0, 1))[..., None], 3, axis=2).astype(np.uint8)


def spot_near(picture, x, y, reach):
    """Centre of brightness around a pixel."""
    left, top = round(x) - reach, round(y) - reach
    patch = picture[top : top + 2 * reach + 1, left : left + 2 * reach + 1, 0].astype(float)
    v, u = np.mgrid[: patch.shape[0], : patch.shape[1]]
    return left + (u * patch).sum() / patch.sum(), top + (v * patch).sum() / patch.sum()


@pytest.fixture(scope='module')
def spots(tmp_path_factory):
    path = tmp_path_factory.mktemp('spots') / 'spots.jpg'
    cv2.imwrite(str(path), draw_points(K, RECORDED, 4.0), (cv2.IMWRITE_JPEG_QUALITY, 95))
    return path


@pytest.mark.parametrize('how', ['area', 'lanczos'])
@pytest.mark.parametrize('size', [(448, 800), (224, 400), (160, 288), (112, 200), (252, 448)])
@pytest.mark.parametrize('source', [Source, Reducing])
def test_points_land_where_the_resized_camera_sees_them(spots, source, size, how):
    (picture,) = FrameReader(source(spots.parent), how).read(frame(spots), RECORDED, size)
    assert picture.shape == (*size, 3)
    for x, y in project(resize_intrinsics(K, RECORDED, size)):
        found = spot_near(picture, x, y, reach=round(16 * size[0] / RECORDED[0]))
        np.testing.assert_allclose(found, (x, y), atol=0.06)


def test_a_reduced_decode_differs_no_more_than_two_ways_of_resizing(tmp_path):
    # Fine and coarse detail up to the finest grid, as a street has.
    rng = np.random.default_rng(0)
    picture = sum(
        cv2.resize(rng.normal(0, s, (448 // s, 800 // s, 3)), (800, 448)) for s in (1, 2, 4, 8, 16)
    )
    picture = np.clip(128 + 3 * picture, 0, 255).astype(np.uint8)
    path = tmp_path / 'a.jpg'
    cv2.imwrite(str(path), picture, (cv2.IMWRITE_JPEG_QUALITY, 95))
    source = Reducing(tmp_path)

    def rms(a, b):
        return np.sqrt(np.mean((a.astype(float) - b) ** 2))

    for size in ((160, 288), (112, 200), (90, 160)):
        (full,) = FrameReader(Source(tmp_path), 'area').read(frame(path), RECORDED, size)
        (fast,) = FrameReader(source, 'area').read(frame(path), RECORDED, size)
        (sharp,) = FrameReader(Source(tmp_path), 'lanczos').read(frame(path), RECORDED, size)
        assert source.asked in (2, 4)
        assert rms(full, fast) < 1.3 * rms(full, sharp)


def test_one_decode_serves_both_sizes(spots):
    source = Reducing(spots.parent)
    small, large, again = FrameReader(source, 'area').read(
        frame(spots), RECORDED, (112, 200), (224, 400), (112, 200)
    )
    assert (small.shape, large.shape) == ((112, 200, 3), (224, 400, 3))
    assert again is small
    assert source.asked == 2


def test_lanczos_does_not_alias():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    middle = resize_picture(stripes, (16, 16), 'lanczos')[4:-4, 4:-4].astype(int)
    assert np.abs(middle - 100).max() <= 8


@pytest.mark.parametrize('source', [Source, Reducing])
def test_a_picture_of_another_size_than_the_index_says_is_named(spots, source):
    line = frame(spots, (896, 1600))
    with pytest.raises(BrokenFrameError, match='spots.jpg must be of 1600x896 .*got 800x448'):
        FrameReader(source(spots.parent), 'area').read(line, line.size, (160, 288))


def test_what_the_source_refuses_is_a_broken_frame(tmp_path):
    reader = FrameReader(Source(tmp_path), 'area')
    with pytest.raises(BrokenFrameError, match='gone.jpg is no picture'):
        reader.read(frame(tmp_path / 'gone.jpg'), RECORDED, (16, 16))
    with pytest.raises(BrokenFrameError, match='sweep not found at sweep.bin'):
        reader.read_lidar_depth(frame(tmp_path / 'gone.jpg'), (16, 16))


def test_sparse_depth_keeps_the_nearest_of_several_points():
    depth = np.full((4, 6), np.nan, np.float32)
    depth[0, 0], depth[1, 1], depth[3, 5] = 9.0, 7.0, 3.0
    small = resize_sparse_depth(depth, (2, 3))
    assert np.isnan(small).sum() == 4
    assert (small[0, 0], small[1, 2]) == (7.0, 3.0)
    assert resize_sparse_depth(depth, (4, 6)) is depth


def test_sparse_depth_lands_where_the_resized_camera_sees_it():
    rng = np.random.default_rng(0)
    size, new = (90, 160), (33, 58)
    for _ in range(50):
        v, u = int(rng.integers(90)), int(rng.integers(160))
        depth = np.full(size, np.nan, np.float32)
        depth[v, u] = 5.0
        ((row,), (column,)) = np.nonzero(np.isfinite(resize_sparse_depth(depth, new)))
        scaled = resize_intrinsics(np.array(((1, 0, u), (0, 1, v), (0, 0, 1.0))), size, new)
        assert abs(column - scaled[0, 2]) <= 0.5
        assert abs(row - scaled[1, 2]) <= 0.5


def test_exact_depth_is_never_a_mean(tmp_path):
    depth = np.full((40, 60), 4.0, np.float32)
    depth[:, 30:], depth[0], depth[1] = 20.0, np.inf, np.nan
    path = tmp_path / 'depth.png'
    cv2.imwrite(str(path), encode_exact_depth(depth))
    small = read_exact_depth(path, (13, 17))
    assert set(np.unique(np.nan_to_num(small, nan=-1, posinf=-2))) <= {-2, -1, 4, 20}
    np.testing.assert_array_equal(read_exact_depth(path, (40, 60)), depth)


def test_exact_depth_that_is_none_is_named(tmp_path):
    path = tmp_path / 'depth.png'
    for content in (None, np.zeros((4, 4), np.uint8)):
        if content is not None:
            cv2.imwrite(str(path), content)
        with pytest.raises(BrokenFrameError, match='depth.png is missing, damaged or not 16 bit'):
            read_exact_depth(path, (4, 4))

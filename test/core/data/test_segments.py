import numpy as np
import pytest

pytest.importorskip('skimage')

from ssd_depth_core.data.segments import segments_of


def test_patches_follow_the_edges_of_the_picture():
    rng = np.random.default_rng(0)
    picture = np.full((60, 90, 3), 60, np.uint8)
    picture[20:50, 30:60] = (200, 180, 40)
    picture += rng.integers(0, 8, picture.shape, dtype=np.uint8)  # noise makes no patch
    segments = segments_of(picture)
    assert segments.shape == (60, 90)
    assert segments.dtype == np.int64
    assert len(np.unique(segments[23:47, 33:57])) == 1
    assert segments[35, 45] != segments[5, 5]
    assert segments[5, 5] == segments[55, 85]
    assert sorted(np.unique(segments)) == list(range(segments.max() + 1))


def test_without_the_library_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'skimage.segmentation', None)
    with pytest.raises(ValueError, match='needs scikit-image; install it with .pip install'):
        segments_of(np.zeros((8, 8, 3), np.uint8))

from dataclasses import replace

import pytest
from ssd_depth_core.data.index import IndexHeader, write_index


@pytest.fixture
def make_index(nuscenes_root, tmp_path):
    """Index the drives' front camera: the same lines train and validate."""

    from ssd_depth_core.data.nuscenes_index import index_nuscenes, NuScenesIndexConfig

    def make(change=lambda line: line, **splits):
        lines, _ = index_nuscenes(
            nuscenes_root,
            NuScenesIndexConfig(
                train_conditions=None, key_frames_only=False, default_split='train', lidar=False
            ),
        )
        frames = [change(line) for line in lines['train']]
        held_out = [replace(line, id=f'held-out-{line.id}') for line in frames[:3]]
        header = IndexHeader(
            format='nuscenes', root=str(nuscenes_root), options={}, kept={}, dropped={}
        )
        write_index(tmp_path / 'index', header, {'train': frames, 'validation': held_out} | splits)
        return tmp_path / 'index'

    return make

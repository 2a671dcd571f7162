from pathlib import Path
import struct

import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from ssd_depth_core.bags import messages
from ssd_depth_core.bags.writer import BagWriter
from ssd_depth_ros.bag_file import open_bag, read_raw, stamp_ns_of

STAMPS = [1_700_000_000_000_000_001 + index for index in range(400)]

ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'


def write(path: Path) -> Path:
    with BagWriter(path) as bag:
        for stamp in STAMPS:
            header = messages.header(stamp, 'camera')
            # Bytes that hardly compress, so that there are several chunks of 1 MB.
            data = b''.join(struct.pack('<I', (stamp * k) % 2**32) for k in range(3, 903))
            bag.write('/image', messages.compressed_image(header, 'jpeg', data), stamp)
    return path


def test_stamps_are_read_from_the_bytes(tmp_path: Path) -> None:
    with open_bag(write(tmp_path / 'a.mcap')) as bag:
        read = [(stamp_ns_of(cdr), time) for _, time, cdr in read_raw(bag, bag.connections)]
        late = list(read_raw(bag, bag.connections, STAMPS[-2]))
        early = list(read_raw(bag, bag.connections, stop_ns=STAMPS[2]))
    assert read == [(stamp, stamp) for stamp in STAMPS]
    assert (len(late), len(early)) == (2, 2)


def test_stamp_of_either_byte_order() -> None:
    assert stamp_ns_of(b'\0\1\0\0' + struct.pack('<iI', 3, 4)) == 3_000_000_004
    assert stamp_ns_of(b'\0\0\0\0' + struct.pack('>iI', 3, 4)) == 3_000_000_004


def test_damage_in_the_middle_names_the_bag(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.mcap')
    content = bytearray(path.read_bytes())
    assert content.count(ZSTD_MAGIC) > 1
    last_chunk = content.rindex(ZSTD_MAGIC)
    content[last_chunk : last_chunk + 16] = bytes(16)
    path.write_bytes(content)

    def read_all() -> list[object]:
        with open_bag(path) as bag:
            return list(read_raw(bag, bag.connections))

    with pytest.raises(ValueError, match=r'a.mcap cannot be read .* is it complete'):
        read_all()


def test_missing_cut_and_empty_bags_are_errors(tmp_path: Path) -> None:
    whole = write(tmp_path / 'whole.mcap').read_bytes()
    (tmp_path / 'cut.mcap').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'folder').mkdir()
    with Writer(tmp_path / 'empty', version=9, storage_plugin=StoragePlugin.MCAP):
        pass
    for name, kind, match in (
        ('none', FileNotFoundError, 'bag not found at .*none'),
        ('cut.mcap', ValueError, r'cut.mcap cannot be read .* is it complete'),
        ('folder', ValueError, r'folder cannot be read .* metadata.yaml'),
        ('empty', ValueError, 'empty holds no message'),
    ):
        with pytest.raises(kind, match=match), open_bag(tmp_path / name):
            pass

import struct

import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from ssd_depth_core.bags import messages
from ssd_depth_core.bags.reader import BagReader
from ssd_depth_core.bags.writer import BagWriter, VOLATILE

STAMPS = [1_700_000_000_000_000_001 + index for index in range(400)]
ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    """Pictures that hardly compress, so that there are several chunks of 1 MB."""
    path = tmp_path_factory.mktemp('bag') / 'whole.mcap'
    with BagWriter(path) as bag:
        for stamp in STAMPS:
            header = messages.header(stamp, 'camera')
            data = b''.join(struct.pack('<I', (stamp * k) % 2**32) for k in range(3, 903))
            bag.write('/image', messages.compressed_image(header, 'jpeg', data), stamp)
            bag.write('/tick', header, stamp)
    return path


def test_messages_and_their_bytes_are_the_same(bag):
    with BagReader(bag) as reader:
        (image,) = (c for c in reader.connections if c.topic == '/image')
        assert image.ext.offered_qos_profiles == [VOLATILE]
        assert (reader.start_ns, reader.stop_ns) == (STAMPS[0], STAMPS[-1] + 1)
        decoded = list(reader.messages(image))
        raw = list(reader.raw_messages([image]))
    assert [time for time, _ in decoded] == STAMPS
    assert [(topic, time) for topic, time, _ in raw] == [('/image', stamp) for stamp in STAMPS]
    for (_, message), (_, stamp, cdr) in zip(decoded, raw, strict=True):
        assert messages.TYPESTORE.serialize_cdr(message, message.__msgtype__) == cdr
        assert messages.cdr_stamp_ns(cdr) == stamp


def test_time_begins_inclusive_and_ends_exclusive(bag):
    with BagReader(bag) as reader:
        late = list(reader.raw_messages(reader.connections, STAMPS[-2]))
        early = list(reader.raw_messages(reader.connections, stop_ns=STAMPS[2]))
    assert sorted((topic, time) for topic, time, _ in late) == [
        (topic, stamp) for topic in ('/image', '/tick') for stamp in STAMPS[-2:]
    ]
    assert {time for _, time, _ in early} == set(STAMPS[:2])


@pytest.mark.parametrize('read', [BagReader.messages, lambda bag, c: bag.raw_messages([c])])
def test_damage_in_the_middle_names_the_bag(tmp_path, bag, read):
    content = bytearray(bag.read_bytes())
    assert content.count(ZSTD_MAGIC) > 1
    last_chunk = content.rindex(ZSTD_MAGIC)
    content[last_chunk : last_chunk + 16] = bytes(16)
    (tmp_path / 'a.mcap').write_bytes(content)
    with (
        BagReader(tmp_path / 'a.mcap') as reader,
        pytest.raises(ValueError, match=r'bag .*a\.mcap cannot be read .* is it complete'),
    ):
        list(read(reader, reader.connections[0]))


def test_what_is_no_whole_bag_is_named(tmp_path, bag):
    whole = bag.read_bytes()
    (tmp_path / 'cut.mcap').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'nothing.mcap').touch()
    (tmp_path / 'old.bag').write_text('#ROSBAG V2.0')
    (tmp_path / 'folder').mkdir()
    with Writer(tmp_path / 'silent', version=9, storage_plugin=StoragePlugin.MCAP):
        pass
    for name, kind, match in (
        ('none', FileNotFoundError, 'bag not found at .*none; give'),
        ('cut.mcap', ValueError, r'cut\.mcap cannot be read .* is it complete'),
        ('nothing.mcap', ValueError, r'nothing\.mcap cannot be read .* is it complete'),
        ('folder', ValueError, r'folder cannot be read .* makes a lost metadata\.yaml'),
        ('old.bag', ValueError, r'old\.bag is of ROS 1; run `rosbags-convert`'),
        ('silent', ValueError, 'bag .*silent holds no message'),
    ):
        with pytest.raises(kind, match=match), BagReader(tmp_path / name):
            pass


def test_bag_without_embedded_definitions_is_read_with_ours(tmp_path):
    """SQLite bags of Humble hold none."""
    import sqlite3

    with Writer(tmp_path / 'old', version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection(
            '/tick', 'std_msgs/msg/Header', typestore=messages.TYPESTORE
        )
        cdr = messages.TYPESTORE.serialize_cdr(messages.header(7, 'car'), 'std_msgs/msg/Header')
        writer.write(connection, 7, cdr)
    with sqlite3.connect(tmp_path / 'old' / 'old.db3') as database:
        database.execute('DELETE FROM message_definitions')
    with BagReader(tmp_path / 'old') as reader:
        ((time, header),) = reader.messages(reader.connections[0])
        ((_, _, read),) = reader.raw_messages(reader.connections)
    assert (time, header.frame_id) == (7, 'car')
    assert read == cdr

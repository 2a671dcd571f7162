import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability, QosReliability
from ssd_depth_core.bags import messages
from ssd_depth_core.bags.writer import BagWriter, LATCHED, VOLATILE

INFO = messages.camera_info(messages.header(7, 'cam'), np.eye(3), (2, 3))
TF = messages.transforms(7, 'base_link', [('cam', np.eye(4))])


def _write(path, **options):
    with BagWriter(path, **options) as bag:
        bag.write('/tf_static', TF, 7)
        bag.write('/cam/camera_info', INFO, 9)


@pytest.mark.parametrize('name', ['drive.mcap', 'drive'])
@pytest.mark.parametrize('version', [8, 9])
@pytest.mark.parametrize('compression', ['zstd', 'none'])
def test_bag_reads_back_with_times_and_qos(tmp_path, name, version, compression):
    path = tmp_path / 'deep' / name
    _write(path, version=version, compression=compression)
    assert path.is_dir() == (name == 'drive')
    assert [entry.name for entry in path.parent.iterdir()] == [name]
    with AnyReader([path]) as bag:
        read = [(c.topic, t, bag.deserialize(raw, c.msgtype)) for c, t, raw in bag.messages()]
        qos = {c.topic: c.ext.offered_qos_profiles for c in bag.connections}
    assert [(topic, time) for topic, time, _ in read] == [
        ('/tf_static', 7),
        ('/cam/camera_info', 9),
    ]
    assert read[0][2].transforms[0].child_frame_id == 'cam'
    np.testing.assert_array_equal(read[1][2].k, np.eye(3).ravel())
    assert qos == {'/tf_static': [LATCHED], '/cam/camera_info': [VOLATILE]}


def test_serialized_messages_are_written_as_they_are(tmp_path):
    cdr = messages.TYPESTORE.serialize_cdr(INFO, INFO.__msgtype__)
    with BagWriter(tmp_path / 'drive.mcap') as bag:
        bag.write_raw('/cam/camera_info', INFO.__msgtype__, cdr, 9)
        bag.write('/cam/camera_info', INFO, 10)
    with AnyReader([tmp_path / 'drive.mcap']) as bag:
        read = [(c.topic, c.msgtype, time, bytes(raw)) for c, time, raw in bag.messages()]
    assert read == [('/cam/camera_info', INFO.__msgtype__, time, bytes(cdr)) for time in (9, 10)]


def test_only_tf_static_is_latched_and_all_are_reliable():
    assert LATCHED.durability == QosDurability.TRANSIENT_LOCAL
    assert VOLATILE.durability == QosDurability.VOLATILE
    assert LATCHED.reliability == VOLATILE.reliability == QosReliability.RELIABLE


@pytest.mark.parametrize('name', ['drive.mcap', 'drive'])
def test_failure_leaves_nothing_behind(tmp_path, name):
    def fail():
        with BagWriter(tmp_path / name) as bag:
            bag.write('/cam/camera_info', INFO, 9)
            raise RuntimeError('the camera fell off')

    with pytest.raises(RuntimeError, match='the camera fell off'):
        fail()
    assert not list(tmp_path.iterdir())


def test_bag_without_a_message_is_an_error(tmp_path):
    with pytest.raises(ValueError, match='no message to write'), BagWriter(tmp_path / 'a.mcap'):
        pass
    assert not list(tmp_path.iterdir())


def test_existing_bag_is_kept(tmp_path):
    _write(tmp_path / 'drive.mcap')
    before = (tmp_path / 'drive.mcap').read_bytes()
    with pytest.raises(FileExistsError, match=r'drive\.mcap exists already; delete it'):
        _write(tmp_path / 'drive.mcap')
    assert (tmp_path / 'drive.mcap').read_bytes() == before

import dataclasses

import numpy as np
import onnx
from onnx import helper, TensorProto
import pytest
from rosbags.highlevel import AnyReader
from ssd_depth_core.bags import messages
from ssd_depth_core.bags.nuscenes_to_bag import convert_scene, Selection
from ssd_depth_core.bags.offline import main, predict_bag
from ssd_depth_core.bags.writer import BagWriter
from ssd_depth_core.checks import sha256_of
from ssd_depth_core.data.nuscenes import NuScenes
from ssd_depth_core.model_spec import ModelSpec, save_spec
from ssd_depth_core.preprocess import resize_intrinsics
from ssd_depth_core.runtime.predictor import DepthPrediction

START_NS = 1_700_000_000_000_000_000
TOPIC = '/cam/image_raw'
K = np.array(((60, 0, 40.25), (0, 60, 23.5), (0, 0, 1)))


class _Predictor:
    """Depth of a quarter of the size whose values tell the pictures and their K apart."""

    def __init__(self, confidence=True):
        self.confidence = confidence
        self.calls = []

    def predict(self, image, K):
        self.calls.append((image, K))
        size = image.shape[0] // 4, image.shape[1] // 4
        depth = np.full(size, image[0, 0, 0] / 10 + K[0, 0], np.float32)
        depth[0, 0] = np.nan
        return DepthPrediction(
            depth=depth,
            confidence=np.full(size, 0.5, np.float32) if self.confidence else None,
            K=resize_intrinsics(K, image.shape[:2], size),
        )


def _raw_image(stamp_ns, value=100, size=(48, 80)):
    return messages.TYPESTORE.types['sensor_msgs/msg/Image'](
        header=messages.header(stamp_ns, 'cam'),
        height=size[0],
        width=size[1],
        encoding='rgb8',
        is_bigendian=0,
        step=3 * size[1],
        data=np.full(3 * size[0] * size[1], value, np.uint8),
    )


def _info(stamp_ns, K=K, size=(48, 80)):
    return messages.camera_info(messages.header(stamp_ns, 'cam'), K, size)


def _bag(path, *items):
    """Write (topic, message) pairs; they are logged 5 ns after their stamp."""
    with BagWriter(path) as bag:
        for topic, message in items:
            bag.write(topic, message, messages.stamp_ns(message) + 5)
    return path


def _read(path):
    with AnyReader([path]) as bag:
        return [(c.topic, t, bag.deserialize(raw, c.msgtype)) for c, t, raw in bag.messages()]


@pytest.fixture(scope='module')
def drive_bag(tmp_path_factory, nuscenes_root):
    """One camera with exact depth, as the demo's bag."""
    path = tmp_path_factory.mktemp('bag') / 'drive.mcap'
    data = NuScenes(nuscenes_root)
    cut = Selection(cameras=('CAM_FRONT',), exact_depth_stride=2)
    convert_scene(data, data.scenes[0], path, cut)
    return path


def test_every_picture_gets_depth_with_its_own_header(tmp_path, drive_bag):
    num_pictures = predict_bag(drive_bag, tmp_path / 'depth.mcap', _Predictor())
    assert num_pictures == 12
    pictures = [
        (time, messages.stamp_ns(message))
        for topic, time, message in _read(drive_bag)
        if topic == '/cam_front/image_rect_color/compressed'
    ]
    read = _read(tmp_path / 'depth.mcap')
    assert {topic for topic, _, _ in read} == {
        '/cam_front/depth/image',
        '/cam_front/depth/camera_info',
        '/cam_front/confidence/image',
    }
    for name in ('depth/image', 'depth/camera_info', 'confidence/image'):
        found = [(t, m) for topic, t, m in read if topic == f'/cam_front/{name}']
        assert [(t, messages.stamp_ns(m)) for t, m in found] == pictures
        assert {m.header.frame_id for _, m in found} == {'cam_front'}
        assert {(m.height, m.width) for _, m in found} == {(12, 20)}


def test_depth_is_what_the_predictor_said(tmp_path):
    bag = _bag(tmp_path / 'in.mcap', ('/cam/camera_info', _info(10)), (TOPIC, _raw_image(10)))
    predictor = _Predictor()
    predict_bag(bag, tmp_path / 'out', predictor)
    ((image, used_K),) = predictor.calls
    assert image.shape == (48, 80, 3)
    assert (image == 100).all()
    np.testing.assert_array_equal(used_K, K)
    read = {topic: (time, message) for topic, time, message in _read(tmp_path / 'out')}
    time, depth = read['/cam/depth/image']
    assert time == 15
    values = depth.data.view(np.float32)
    assert np.isnan(values[0])
    assert (values[1:] == 70).all()  # 100 / 10 + 60
    info = read['/cam/depth/camera_info'][1]
    np.testing.assert_allclose(
        messages.intrinsics(info, (12, 20)), resize_intrinsics(K, (48, 80), (12, 20))
    )
    assert (read['/cam/confidence/image'][1].data.view(np.float32) == 0.5).all()


def test_depth_in_millimetres_without_confidence(tmp_path):
    bag = _bag(tmp_path / 'in.mcap', ('/cam/camera_info', _info(10)), (TOPIC, _raw_image(10, 0)))
    predict_bag(bag, tmp_path / 'out.mcap', _Predictor(confidence=False), encoding='16UC1')
    read = {topic: message for topic, _, message in _read(tmp_path / 'out.mcap')}
    assert set(read) == {'/cam/depth/image', '/cam/depth/camera_info'}
    assert read['/cam/depth/image'].encoding == '16UC1'
    assert set(read['/cam/depth/image'].data.view(np.uint16)) == {0, 60_000}


def test_picture_takes_the_info_of_its_stamp_else_the_newest_earlier_else_the_first(tmp_path):
    infos = [_info(stamp, np.diag((focal, focal, 1.0))) for stamp, focal in ((20, 2), (30, 3))]
    bag = _bag(
        tmp_path / 'in.mcap',
        *((TOPIC, _raw_image(stamp)) for stamp in (10, 20, 25, 30, 35)),
        *(('/cam/camera_info', info) for info in infos),
    )
    predictor = _Predictor()
    predict_bag(bag, tmp_path / 'out.mcap', predictor)
    assert [used_K[0, 0] for _, used_K in predictor.calls] == [2, 2, 2, 3, 3]


def test_several_cameras_need_a_choice(tmp_path):
    bag = _bag(
        tmp_path / 'in.mcap',
        *((f'/{cam}/image_raw', _raw_image(10)) for cam in ('left', 'right')),
        *((f'/{cam}/camera_info', _info(10)) for cam in ('left', 'right')),
    )
    with pytest.raises(
        ValueError, match=r'2 topics with pictures: /left/image_raw, /right/image_'
    ):
        predict_bag(bag, tmp_path / 'out.mcap', _Predictor())
    assert predict_bag(bag, tmp_path / 'out.mcap', _Predictor(), topic='/right/image_raw') == 1
    assert _read(tmp_path / 'out.mcap')[0][0].startswith('/right/')


def test_camera_info_elsewhere_can_be_named(tmp_path):
    bag = _bag(tmp_path / 'in.mcap', (TOPIC, _raw_image(10)), ('/calibration', _info(10)))
    assert predict_bag(bag, tmp_path / 'o', _Predictor(), info_topic='/calibration') == 1


@pytest.mark.parametrize(
    ('items', 'options', 'message'),
    [
        (
            [(TOPIC, _raw_image(10))],
            {},
            r'no camera_info on /cam/camera_info, so the depth of /cam/image_raw .* record it too',
        ),
        (
            [(TOPIC, _raw_image(10)), ('/cam/camera_info', _info(10, size=(96, 160)))],
            {},
            r'/cam/image_raw at 10 ns: camera_info is for 160x96 pixels, .* picture has 80x48',
        ),
        (
            [(TOPIC, _raw_image(10)), ('/cam/camera_info', _info(10, np.zeros((3, 3))))],
            {},
            r'/cam/image_raw at 10 ns: camera_info must have focal lengths > 0',
        ),
        (
            [(TOPIC, _raw_image(10)), ('/cam/camera_info', _info(10))],
            {'topic': '/rear/image_raw'},
            r'no images on /rear/image_raw; it has images on /cam/image_raw',
        ),
        ([('/cam/camera_info', _info(10))], {}, '0 topics with pictures: none; name one'),
        (
            [
                (TOPIC, dataclasses.replace(_raw_image(10), encoding='bayer_rggb8')),
                ('/cam/camera_info', _info(10)),
            ],
            {},
            "/cam/image_raw at 10 ns: image encoding 'bayer_rggb8' is not one of",
        ),
    ],
)
def test_fault_is_named_and_leaves_no_bag(tmp_path, items, options, message):
    bag = _bag(tmp_path / 'in.mcap', *items)
    with pytest.raises(ValueError, match=message):
        predict_bag(bag, tmp_path / 'out.mcap', _Predictor(), **options)
    assert [path.name for path in tmp_path.iterdir()] == ['in.mcap']


@pytest.mark.parametrize('distortion', [0.0, 0.1])
def test_distorted_camera_is_warned_of_once(tmp_path, caplog, distortion):
    infos = [_info(stamp) for stamp in (10, 20)]
    for info in infos:
        info.d[1] = distortion
    bag = _bag(
        tmp_path / 'in.mcap',
        *(('/cam/camera_info', info) for info in infos),
        *((TOPIC, _raw_image(stamp)) for stamp in (10, 20)),
    )
    predict_bag(bag, tmp_path / 'out.mcap', _Predictor())
    warnings = [record.message for record in caplog.records]
    assert len(warnings) == (1 if distortion else 0)
    assert all('camera_info has distortion' in warning for warning in warnings)


def test_truncated_jpeg_in_the_midst_leaves_no_bag(tmp_path, drive_bag):
    items = [(topic, m) for topic, _, m in _read(drive_bag) if not topic.startswith('/tf')]
    pictures = [m for topic, m in items if topic.endswith('image_rect_color/compressed')]
    pictures[5].data = pictures[5].data[:-30]
    bag = _bag(tmp_path / 'in.mcap', *items)
    predictor = _Predictor()
    with pytest.raises(ValueError, match=r'compressed at 1700000000416667000 ns: .* cut short'):
        predict_bag(bag, tmp_path / 'out.mcap', predictor)
    assert len(predictor.calls) == 5
    assert [path.name for path in tmp_path.iterdir()] == ['in.mcap']


def test_missing_bag_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'bag not found at .*none\.mcap; give'):
        predict_bag(tmp_path / 'none.mcap', tmp_path / 'out.mcap', _Predictor())


@pytest.mark.parametrize('keep', [0.0, 0.1, 0.5, 0.99])
def test_truncated_bag_is_named(tmp_path, drive_bag, keep):
    data = drive_bag.read_bytes()
    bag = tmp_path / 'in.mcap'
    bag.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(ValueError, match=r'bag .*in\.mcap cannot be read .* again'):
        predict_bag(bag, tmp_path / 'out.mcap', _Predictor())
    assert [path.name for path in tmp_path.iterdir()] == ['in.mcap']


def test_damage_in_the_midst_of_a_bag_is_named(tmp_path, drive_bag):
    data = bytearray(drive_bag.read_bytes())
    start = data.index(b'\x28\xb5\x2f\xfd')  # of the first zstd frame
    data[start : start + 4] = b'\0\0\0\0'
    bag = tmp_path / 'in.mcap'
    bag.write_bytes(data)
    with pytest.raises(ValueError, match=r'in\.mcap cannot be read \(ZstdError: .* again'):
        predict_bag(bag, tmp_path / 'out.mcap', _Predictor())
    assert [path.name for path in tmp_path.iterdir()] == ['in.mcap']


def test_existing_output_is_kept(tmp_path, drive_bag):
    (tmp_path / 'out.mcap').write_text('precious')
    with pytest.raises(FileExistsError, match=r'out\.mcap exists already'):
        predict_bag(drive_bag, tmp_path / 'out.mcap', _Predictor())
    assert (tmp_path / 'out.mcap').read_text() == 'precious'


@pytest.fixture
def model(tmp_path):
    """A network of 6 x 8 whose inverse depth is the mean of the normalised channels."""
    image = helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 3, 6, 8])
    output = helper.make_tensor_value_info('inverse_depth', TensorProto.FLOAT, [1, 1, 6, 8])
    axes = helper.make_tensor('axes', TensorProto.INT64, [1], [1])
    node = helper.make_node('ReduceMean', ['image', 'axes'], ['inverse_depth'], keepdims=1)
    graph = helper.make_graph([node], 'tiny', [image], [output], [axes])
    opset = [helper.make_opsetid('', 18)]
    path = tmp_path / 'model' / 'tiny.onnx'
    path.parent.mkdir()
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    spec = ModelSpec(
        name='tiny',
        onnx_sha256=sha256_of(path),
        input_height=6,
        input_width=8,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        has_confidence=False,
        canonical_focal_px=60.0,
        training_data='none',
        training_command='none',
        metrics={},
        licence='Apache-2.0',
    )
    save_spec(spec, path)
    return path


def test_command_runs_a_model_over_a_bag(tmp_path, model, capsys):
    bag = _bag(tmp_path / 'in.mcap', ('/cam/camera_info', _info(10)), (TOPIC, _raw_image(10, 51)))
    out = tmp_path / 'out.mcap'
    assert main([str(bag), str(out), '--model', str(model), '--backend', 'onnxruntime']) == 0
    assert f'1 pictures -> {out}' in capsys.readouterr().out
    depth = next(m for topic, _, m in _read(out) if topic == '/cam/depth/image')
    # Focal lengths at 6 x 8 are 6 and 7.5 px; inverse depth is 51 / 255.
    expected = np.sqrt(6 * 7.5) / 60 / 0.2
    np.testing.assert_allclose(depth.data.view(np.float32), expected, rtol=1e-4)


def test_command_ends_with_one_line_on_an_error(tmp_path):
    with pytest.raises(SystemExit) as stopped:
        main(['in.mcap', 'out.mcap', '--model', str(tmp_path / 'none.onnx')])
    assert stopped.value.code.startswith('depth_bag: model not found at')

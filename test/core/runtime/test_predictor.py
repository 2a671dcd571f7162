from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
import tracemalloc

import numpy as np
import onnx
import pytest
from ssd_depth_core.checks import sha256_of
from ssd_depth_core.model_spec import load_spec, save_spec
from ssd_depth_core.runtime import predictor as predictor_module
from ssd_depth_core.runtime.predictor import DepthPredictor, shipped_model

MakeModel = Callable[..., Path]
BACKENDS = ('onnxruntime', 'openvino')
# The tiny network of conftest: inverse depth is red / 255, confidence green / 255; 6 x 8 input,
# canonical focal length 10 px.
K = np.array([[20.0, 0.0, 7.5], [0.0, 20.0, 5.5], [0.0, 0.0, 1.0]])


def picture(red: int, green: int = 0, size: tuple[int, int] = (12, 16)) -> np.ndarray:
    return np.full((*size, 3), (red, green, 0), np.uint8)


@pytest.fixture(params=BACKENDS)
def predictor(request: pytest.FixtureRequest, make_model: MakeModel) -> DepthPredictor:
    return DepthPredictor.load(make_model(), request.param)


def test_depth_and_confidence_have_the_value_computed_by_hand(predictor: DepthPredictor) -> None:
    prediction = predictor.predict(picture(51, 102), K)
    # 51 / 255 = 0.2 1/m; the focal length halves to the canonical 10 px, so 5 m stays 5 m.
    np.testing.assert_allclose(prediction.depth, np.full((6, 8), 5.0), rtol=1e-6)
    np.testing.assert_allclose(prediction.confidence, np.full((6, 8), 0.4), rtol=1e-6)
    assert prediction.depth.dtype == prediction.confidence.dtype == np.float32


def test_double_the_focal_length_means_double_the_depth(predictor: DepthPredictor) -> None:
    near = predictor.predict(picture(51), K).depth
    far = predictor.predict(picture(51), K @ np.diag((2.0, 2.0, 1.0))).depth
    np.testing.assert_allclose(far, 2 * near)


def test_without_k_the_camera_is_the_canonical_one(predictor: DepthPredictor) -> None:
    prediction = predictor.predict(picture(51))
    np.testing.assert_allclose(prediction.depth, 5.0, rtol=1e-6)
    assert prediction.K is None


def test_unequal_focal_lengths_count_by_their_geometric_mean(predictor: DepthPredictor) -> None:
    # At the input size fx = 10 and fy = 40, so f = 20 and depth doubles.
    depth = predictor.predict(picture(51), np.diag((20.0, 80.0, 1.0))).depth
    np.testing.assert_allclose(depth, 10.0, rtol=1e-6)


def test_k_follows_the_resize_by_the_half_pixel_rule(predictor: DepthPredictor) -> None:
    expected = [[10.0, 0.0, 3.5], [0.0, 10.0, 2.5], [0.0, 0.0, 1.0]]
    np.testing.assert_allclose(predictor.predict(picture(51), K).K, expected)


def test_picture_decoded_at_half_size_gives_the_same_depth(predictor: DepthPredictor) -> None:
    half_K = np.array([[10.0, 0.0, 3.5], [0.0, 10.0, 2.5], [0.0, 0.0, 1.0]])
    full = predictor.predict(picture(51), K)
    half = predictor.predict(picture(51, size=(6, 8)), half_K)
    np.testing.assert_allclose(half.depth, full.depth)
    np.testing.assert_allclose(half.K, full.K)


def test_beyond_range_is_nan(predictor: DepthPredictor) -> None:
    image = picture(51, size=(6, 8))
    image[:2, :, 0] = 3  # 1 / (3 / 255) = 85 m canonical, beyond 0.97 * 80 m
    image[2:4, :, 0] = 4  # 63.75 m
    depth = predictor.predict(image).depth
    assert np.isnan(depth[:2]).all()
    np.testing.assert_allclose(depth[2:4], 63.75, rtol=1e-6)


def test_fault_of_the_network_is_an_error_and_not_beyond_range(predictor: DepthPredictor) -> None:
    image = picture(51, size=(6, 8))
    image[:2, :, 0] = 0  # inverse depth 0
    with pytest.raises(ValueError, match='model tiny: inverse_depth .* got 16 of 48 values'):
        predictor.predict(image)
    np.testing.assert_allclose(predictor.predict(picture(51)).depth, 5.0, rtol=1e-6)


def test_refused_pictures_are_counted(predictor: DepthPredictor) -> None:
    predictor.predict(picture(51))
    with pytest.raises(ValueError, match='H, W >= 1'):  # the network never saw this one
        predictor.predict(np.zeros((0, 8, 3), np.uint8))
    assert predictor.num_refused == 0
    for images in ([picture(0)], [picture(51), picture(0), picture(102)]):
        with pytest.raises(ValueError, match='inverse_depth must be finite and > 0'):
            predictor.predict_batch(images)
    assert predictor.num_refused == 1  # of three together nobody knows which


@pytest.mark.parametrize('size', [(3, 4), (6, 8), (7, 31), (60, 80)])
def test_picture_of_any_size_keeps_left_and_right(
    predictor: DepthPredictor, size: tuple[int, int]
) -> None:
    image = picture(51, size=size)
    image[:, size[1] // 2 :, 0] = 102
    depth = predictor.predict(image).depth
    assert depth.shape == (6, 8)
    np.testing.assert_allclose(depth[:, 0], 5.0, rtol=1e-6)
    np.testing.assert_allclose(depth[:, -1], 2.5, rtol=1e-6)


def test_shrinking_averages_over_areas(predictor: DepthPredictor) -> None:
    image = picture(0)
    image[::2, ::2, 0] = 204  # a quarter of the pixels: 51 on average
    np.testing.assert_allclose(predictor.predict(image).depth, 5.0, rtol=1e-6)


def test_batch_of_mixed_sizes_equals_single_predictions(predictor: DepthPredictor) -> None:
    images = [picture(51, 10), picture(102, 20, (5, 9)), picture(25, 30, (30, 40))]
    Ks = [K, None, K]
    batch = predictor.predict_batch(images, Ks)
    for joint, image, intrinsics in zip(batch, images, Ks, strict=True):
        alone = predictor.predict(image, intrinsics)
        np.testing.assert_array_equal(joint.depth, alone.depth)
        np.testing.assert_array_equal(joint.confidence, alone.confidence)


def test_next_call_leaves_earlier_predictions_alone(predictor: DepthPredictor) -> None:
    first = predictor.predict(picture(51, 51))
    predictor.predict(picture(255, 255))
    np.testing.assert_allclose(first.depth, 5.0, rtol=1e-6)
    np.testing.assert_allclose(first.confidence, 0.2, rtol=1e-6)


def test_batch_sizes_may_change_from_call_to_call(predictor: DepthPredictor) -> None:
    for reds in ([51], [102, 51], [51], [51], [25, 51], [5, 51, 102], [102, 25]):
        depths = [p.depth[0, 0] for p in predictor.predict_batch([picture(red) for red in reds])]
        np.testing.assert_allclose(depths, [255 / red for red in reds], rtol=1e-6)


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('number', [1, 3])
def test_later_calls_allocate_what_they_return_and_one_mask(
    make_model: MakeModel, backend: str, number: int
) -> None:
    size = (96, 160)
    path = make_model(size=size, input_height=size[0], input_width=size[1])
    predictor = DepthPredictor.load(path, backend)
    images, Ks = number * [picture(51, 102, (450, 800))], number * [K]
    for _ in range(2):
        predictor.predict_batch(images, Ks)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        predictions = predictor.predict_batch(images, Ks)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    returned = sum(p.depth.nbytes + p.confidence.nbytes for p in predictions)
    assert returned == number * 2 * 4 * 96 * 160
    mask = 96 * 160  # where depth is in range
    # Dataclasses, intrinsics and NumPy's own buffer: 12 kB and little more for each picture.
    assert returned < peak - before < returned + mask + 16_000 + 4_000 * number


def test_empty_batch_gives_nothing(predictor: DepthPredictor) -> None:
    assert predictor.predict_batch([]) == []


def test_warm_up_changes_no_prediction(predictor: DepthPredictor) -> None:
    before = predictor.predict(picture(51)).depth
    predictor.warm_up()
    np.testing.assert_array_equal(predictor.predict(picture(51)).depth, before)


@pytest.mark.parametrize('backend', BACKENDS)
def test_fixed_batch_axis_is_run_picture_by_picture(make_model: MakeModel, backend: str) -> None:
    predictor = DepthPredictor.load(make_model(batch=1), backend)
    depths = [p.depth[0, 0] for p in predictor.predict_batch([picture(51), picture(102)])]
    np.testing.assert_allclose(depths, [5.0, 2.5], rtol=1e-6)


def test_backends_agree_on_noise(make_model: MakeModel) -> None:
    path = make_model()
    image = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    one, other = (DepthPredictor.load(path, name, 1).predict(image, K) for name in BACKENDS)
    np.testing.assert_allclose(one.depth, other.depth, rtol=1e-6)
    np.testing.assert_allclose(one.confidence, other.confidence, rtol=1e-6)


def test_bgr_network_sees_blue_first(make_model: MakeModel) -> None:
    image = np.full((6, 8, 3), (0, 0, 51), np.uint8)
    predictor = DepthPredictor.load(make_model(colour_order='bgr'))
    np.testing.assert_allclose(predictor.predict(image).depth, 5.0, rtol=1e-6)


def test_mean_and_std_are_applied(make_model: MakeModel) -> None:
    path = make_model(mean=(0.1, 0.0, 0.0), std=(0.5, 1.0, 1.0))
    depth = DepthPredictor.load(path).predict(picture(51)).depth
    np.testing.assert_allclose(depth, 5.0, rtol=1e-6)  # (0.2 - 0.1) / 0.5 = 0.2 1/m


def test_network_without_confidence_gives_none(make_model: MakeModel) -> None:
    predictor = DepthPredictor.load(make_model(has_confidence=False))
    assert predictor.predict(picture(51)).confidence is None


def test_auto_takes_openvino_where_it_is_installed(make_model: MakeModel) -> None:
    assert DepthPredictor.load(make_model()).backend_name == 'openvino'


def write_int8(model: Path, out: Path) -> None:
    """Write the network of conftest in steps of 2 / 255, and its spec."""
    network = onnx.load(model)
    graph = network.graph
    node = onnx.helper.make_node
    for name, value in (('scale', np.float32(2 / 255)), ('middle', np.int8(0))):
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(value), name))
    for consumer in graph.node:
        consumer.input[0] = 'dequantized'
    graph.node.insert(0, node('QuantizeLinear', ['image', 'scale', 'middle'], ['quantized']))
    graph.node.insert(
        1, node('DequantizeLinear', ['quantized', 'scale', 'middle'], ['dequantized'])
    )
    onnx.checker.check_model(network)
    onnx.save(network, out)
    save_spec(replace(load_spec(model), name='int8', onnx_sha256=sha256_of(out)), out)


def test_shipped_student_is_int8_where_that_is_faster(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model()
    int8 = model.with_suffix('.int8.onnx')
    monkeypatch.setattr(predictor_module, 'SHIPPED_MODEL', model)
    assert shipped_model('openvino') == shipped_model('onnxruntime') == model
    write_int8(model, int8)
    assert (shipped_model('openvino'), shipped_model('onnxruntime')) == (int8, model)

    assert DepthPredictor.load(backend='onnxruntime').spec.name == 'tiny'
    for backend in ('auto', 'openvino'):
        predictor = DepthPredictor.load(backend=backend)
        assert (predictor.spec.name, predictor.backend_name) == ('int8', 'openvino')
        # 51 is 25.5 steps, which round to the even 26: 52 / 255.
        np.testing.assert_allclose(predictor.predict(picture(51)).depth, 255 / 52, rtol=1e-5)
    # A model that is named is the one that is taken.
    assert DepthPredictor.load(model, 'openvino').spec.name == 'tiny'


def test_device_is_named(predictor: DepthPredictor) -> None:
    assert predictor.device.endswith(' CPU')


def test_bad_input_is_named_and_the_predictor_lives_on(predictor: DepthPredictor) -> None:
    with pytest.raises(TypeError, match='image must be a NumPy array of uint8, got float32'):
        predictor.predict(np.zeros((6, 8, 3), np.float32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r'H, W >= 1, got \(0, 8, 3\)'):
        predictor.predict(np.zeros((0, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r'\(H, W, 3\) RGB with .* got \(6, 8\)'):
        predictor.predict(np.zeros((6, 8), np.uint8))
    with pytest.raises(ValueError, match='focal lengths > 0 px, got fx=0'):
        predictor.predict(picture(51), np.diag((0.0, 20.0, 1.0)))
    with pytest.raises(ValueError, match='K must be finite'):
        predictor.predict(picture(51), np.full((3, 3), np.nan))
    with pytest.raises(ValueError, match='got 1 for 2 images'):
        predictor.predict_batch([picture(51)] * 2, [K])
    np.testing.assert_allclose(predictor.predict(picture(51)).depth, 5.0, rtol=1e-6)


def test_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'model not found at .*none\.onnx; '):
        DepthPredictor.load(tmp_path / 'none.onnx')


def test_model_of_another_spec_is_refused(make_model: MakeModel) -> None:
    with pytest.raises(ValueError, match=r'tiny\.onnx has sha256 .* copy both again'):
        DepthPredictor.load(make_model(onnx_sha256='0' * 64))


@pytest.mark.parametrize('backend', BACKENDS)
def test_truncated_model_is_named(make_model: MakeModel, backend: str) -> None:
    path = make_model()
    whole = sha256_of(path)
    path.write_bytes(path.read_bytes()[:-20])
    spec = path.with_suffix('.json')
    # The sha256 is made to fit, so that the engine itself meets the damage.
    spec.write_text(spec.read_text().replace(whole, sha256_of(path)))
    with pytest.raises(ValueError, match=r'cannot read .*tiny\.onnx .*copy or export it again'):
        DepthPredictor.load(path, backend)


@pytest.mark.parametrize('backend', BACKENDS)
def test_input_size_other_than_the_specs_is_refused(make_model: MakeModel, backend: str) -> None:
    path = make_model(size=(4, 8))
    with pytest.raises(ValueError, match=r'tiny\.onnx: input image must be \(B, 3, 6, 8\)'):
        DepthPredictor.load(path, backend)


def test_missing_output_is_refused(make_model: MakeModel) -> None:
    path = make_model(outputs=('inverse_depth',))
    with pytest.raises(ValueError, match=r"an output confidence .* got \['inverse_depth'\]"):
        DepthPredictor.load(path)


def test_shipped_model_tells_a_depth_for_a_blank_picture() -> None:
    predictor = DepthPredictor.load()
    prediction = predictor.predict(np.full((900, 1600, 3), 128, np.uint8))
    assert prediction.depth.shape == (predictor.spec.input_height, predictor.spec.input_width)
    assert np.nanmin(prediction.depth) > 0

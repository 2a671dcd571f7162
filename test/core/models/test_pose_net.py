import pytest

torch = pytest.importorskip('torch')
timm = pytest.importorskip('timm')
safetensors_torch = pytest.importorskip('safetensors.torch')

from ssd_depth_core.geometry.rigid import invert, transform_from_axis_angle  # noqa: E402
from ssd_depth_core.models.pose_net import PoseNet, PoseNetConfig  # noqa: E402


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return PoseNet(PoseNetConfig()).eval()


@pytest.fixture(scope='module')
def images():
    return torch.randn(2, 3, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def motions(network, before, target, after):
    return network(torch.stack((before, target, after), 1))


def test_motions_are_rigid_and_near_rest_at_first(network, images):
    T = motions(network, *images.unbind(1))
    assert T.shape == (2, 2, 4, 4)
    R = T[..., :3, :3]
    torch.testing.assert_close(R @ R.mT, torch.eye(3).expand_as(R))
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(2, 2))
    assert T[..., 3, :].reshape(-1, 4).tolist() == [[0.0, 0.0, 0.0, 1.0]] * 4
    moved = (T - torch.eye(4)).abs()
    assert 0 < moved.max() < 0.02  # [m] and [rad]


def test_pairs_are_seen_in_the_order_of_time_and_the_first_is_inverted(network, images):
    a, b, c = images.unbind(1)
    T_a_b, T_c_b = motions(network, a, b, c).unbind(1)
    # The pair (a, b), now as target and after: the same motion, seen the other way round.
    _, T_b_a = motions(network, c, a, b).unbind(1)
    torch.testing.assert_close(T_a_b @ T_b_a, torch.eye(4).expand(2, 4, 4))
    assert not torch.allclose(T_a_b, T_b_a, atol=1e-5)
    # The other neighbour is the other pair's alone.
    torch.testing.assert_close(motions(network, c, b, c)[:, 1], T_c_b)


def test_the_motion_is_a_hundredth_of_what_the_decoder_says(network, images):
    said = torch.tensor([0.0, 0.0, 0.0, 10.0, -20.0, 30.0])
    weight, bias = network.decoder[-1].weight.clone(), network.decoder[-1].bias.clone()
    with torch.no_grad():
        network.decoder[-1].weight.zero_()
        network.decoder[-1].bias.copy_(said)
        T = network(images)
        network.decoder[-1].weight.copy_(weight)
        network.decoder[-1].bias.copy_(bias)
    translation = torch.tensor([0.1, -0.2, 0.3])
    torch.testing.assert_close(T[0, :, :3, 3], torch.stack((-translation, translation)))


def test_training_may_start_where_a_car_is_expected_and_count_in_metres():
    config = PoseNetConfig(translation_scale=1.0, expected_translation_m=(0.0, 0.0, -0.5))
    network = PoseNet(config).eval()
    said = torch.tensor([0.0, 0.0, 0.0, 0.1, 0.0, -0.2])
    torch.nn.init.zeros_(network.decoder[-1].weight)
    with torch.no_grad():
        network.decoder[-1].bias.copy_(said)
        T = network(torch.zeros(1, 3, 3, 64, 96))
    # What lay ahead comes nearer: the frame after sees it at less, the frame before at more.
    after = torch.tensor([0.1, 0.0, -0.7])
    torch.testing.assert_close(T[0, :, :3, 3], torch.stack((-after, after)))
    assert 'expected_translation' not in network.state_dict()


def test_it_has_the_parameters_of_the_paper_less_what_it_never_used(network):
    # ResNet-18's 11,689,512 less its classifier, plus three channels more in a 7x7 first layer;
    # the decoder's 1x1, two 3x3, and 6 outputs. The paper's has 12, and reads the first 6.
    encoder = 11_689_512 - (512 * 1000 + 1000) + 3 * 7 * 7 * 64
    decoder = 512 * 256 + 256 + 2 * (9 * 256 * 256 + 256) + 256 * 6 + 6
    assert sum(p.numel() for p in network.encoder.parameters()) == encoder == 11_185_920
    assert sum(p.numel() for p in network.parameters()) == encoder + decoder == 12_498_950


def test_weights_of_one_image_are_shared_out_to_two(tmp_path):
    torch.manual_seed(0)
    one = timm.create_model('resnet18')
    path = tmp_path / 'resnet18.safetensors'
    safetensors_torch.save_file(one.state_dict(), path)
    encoder = PoseNet(PoseNetConfig(encoder_weights=str(path))).eval().encoder
    torch.testing.assert_close(
        encoder.backbone.conv1.weight, torch.cat((one.conv1.weight, one.conv1.weight), 1) / 2
    )
    image = torch.randn(1, 3, 64, 96)
    same = encoder(torch.cat((image, image), 1))[-1]
    torch.testing.assert_close(same, one.eval().forward_features(image), rtol=1e-4, atol=1e-5)


def test_either_source_teaches_the_first_layer(images):
    torch.manual_seed(0)
    network = PoseNet(PoseNetConfig())
    for source in range(2):
        network.zero_grad()
        T = network(images)[:, source]
        (T[:, :3] * torch.randn(3, 4)).sum().backward()
        assert network.encoder.backbone.conv1.weight.grad.abs().sum() > 0
        assert all(p.grad is not None for p in network.parameters())


def test_autocast_keeps_the_pose_in_single_precision(network, images):
    with torch.autocast('cpu', torch.bfloat16), torch.inference_mode():
        T = network(images)
    assert T.dtype == torch.float32
    R = T[..., :3, :3]
    torch.testing.assert_close(R @ R.mT, torch.eye(3).expand_as(R), rtol=0, atol=1e-6)


def test_motion_starts_where_it_is_expected_and_grows_by_its_scale():
    images = torch.rand(2, 3, 3, 64, 64)
    expected = (0.0, 0.1, -0.5)

    def predicted(**changes):
        torch.manual_seed(0)
        with torch.inference_mode():
            return PoseNet(PoseNetConfig(**changes)).eval()(images)

    still, moved = predicted(), predicted(expected_translation_m=expected)
    # The later source: points of the target frame, the earlier one, in the later frame.
    torch.testing.assert_close(
        moved[:, 1, :3, 3], still[:, 1, :3, 3] + torch.tensor(expected), atol=1e-6, rtol=0
    )
    assert (moved[:, 0, 2, 3] > 0.4).all()  # the earlier source sees them farther ahead
    torch.testing.assert_close(moved[..., :3, :3], still[..., :3, :3], atol=1e-6, rtol=0)
    larger = predicted(translation_scale=0.1)
    torch.testing.assert_close(larger[:, 1, :3, 3], 10 * still[:, 1, :3, 3], rtol=1e-4, atol=1e-6)


def test_known_distances_leave_the_direction_to_the_network(network, images):
    distance_m = torch.tensor([[0.5, 2.0], [3.0, 0.0]])
    with torch.inference_mode():
        free, told = network(images), network(images, distance_m=distance_m)
    torch.testing.assert_close(told[..., :3, 3].norm(dim=-1), distance_m)
    direction = free[0, 1, :3, 3] / free[0, 1, :3, 3].norm()
    torch.testing.assert_close(told[0, 1, :3, 3], 2.0 * direction)
    torch.testing.assert_close(told[..., :3, :3], free[..., :3, :3])


def test_known_rotations_leave_the_way_in_time_to_the_network(network, images):
    turns = torch.tensor([[[0.0, 0.1, 0.0], [0.2, 0.0, 0.1]]]).expand(2, -1, -1)
    R = transform_from_axis_angle(turns, torch.zeros_like(turns))[..., :3, :3]
    with torch.inference_mode():
        free, told = network(images), network(images, R)
    torch.testing.assert_close(told[..., :3, :3], R)
    # The network predicts the way from the earlier frame to the later one; of the frame before,
    # it is inverted with the rotation that holds, not with the one that was predicted.
    torch.testing.assert_close(told[:, 1, :3, 3], free[:, 1, :3, 3])
    torch.testing.assert_close(invert(told[:, 0])[:, :3, 3], invert(free[:, 0])[:, :3, 3])

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip('torch')
for name in ('timm', 'onnx', 'onnxscript', 'onnxruntime', 'openvino'):
    pytest.importorskip(name)

from ssd_depth_core.config import load_yaml  # noqa: E402
from ssd_depth_core.export.depth_anything import (  # noqa: E402
    CalibratedDepthNet,
    import_depth_anything,
    ImportConfig,
)
from ssd_depth_core.models.depth_anything import TAPS  # noqa: E402
from ssd_depth_core.models.depth_net import DepthNetConfig  # noqa: E402
from ssd_depth_core.models.dpt_decoder import DptConfig  # noqa: E402
from ssd_depth_core.models.factory import build_depth_net  # noqa: E402

SHIPPED = Path(__file__).parents[3] / 'config' / 'export'
METRIC = ImportConfig(
    name='tiny',
    licence='CC-BY-NC-4.0',
    training_data='nothing',
    model=DepthNetConfig(
        encoder='vit_small_patch14_dinov2',
        encoder_options={'depth': 4, 'embed_dim': 24, 'num_heads': 2},
        decoder='dpt',
        dpt=DptConfig(channels=(4, 6, 8, 10), features=8, batch_norm=False),
        output='sigmoid_depth',
        confidence=False,
        input_height=28,
        input_width=56,
        max_depth_m=80.0,
        canonical_focal_px=54.1,
    ),
)


def relative(**fields) -> ImportConfig:
    given = {'inverse_depth_scale': 0.5, 'inverse_depth_shift': 0.1, **fields}
    return replace(METRIC, model=replace(METRIC.model, output='relu'), **given)


def test_calibration_is_scale_and_shift_within_the_range():
    torch.manual_seed(0)
    network = build_depth_net(relative().model).eval()
    image = torch.randn(2, 3, 28, 56, generator=torch.Generator().manual_seed(0))

    with torch.no_grad():
        network.decoder.head[2].weight.copy_(network.decoder.head[2].weight.abs() * 100)
        raw = network(image).inverse_depth
        shift = -3 * raw.median().item()  # half of what any weights say lies below zero then
        found = CalibratedDepthNet(network, 3.0, shift)(image).inverse_depth

    expected = torch.minimum(
        torch.maximum(3 * raw + shift, raw.new_tensor(1 / 80)), raw.new_tensor(10)
    )
    torch.testing.assert_close(found, expected)
    # The test sees the line between both ends, and the far end.
    assert (found == 1 / 80).any()
    assert ((found > 0.02) & (found < 9)).any()


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: relative(inverse_depth_scale=None), 'no unit: give .* or import a metric'),
        (lambda: relative(inverse_depth_shift=None), 'no unit: give .* fitted to known depths'),
        (lambda: relative(inverse_depth_scale=0.0), 'inverse_depth_scale must be > 0, got 0'),
        (lambda: replace(METRIC, inverse_depth_shift=0.1), 'tiny is metric, leave them out'),
        (lambda: replace(METRIC, tolerance=0.0), 'tolerance must be > 0'),
        (
            lambda: replace(METRIC, model=replace(METRIC.model, output='sigmoid')),
            r'must be sigmoid_depth \(metric\) or relu \(relative\), got sigmoid',
        ),
    ],
)
def test_what_gives_no_metres_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ('name', 'embed_dim', 'features', 'licence'),
    [
        ('metric_small', 384, 64, 'Apache-2.0'),
        ('metric_base', 768, 128, 'CC-BY-NC-4.0'),
        ('metric_large', 1024, 256, 'CC-BY-NC-4.0'),
        ('relative_small', 384, 64, 'Apache-2.0'),
    ],
)
def test_shipped_configs_build_the_published_networks(name, embed_dim, features, licence):
    path = SHIPPED / f'depth_anything_v2_{name}.yaml'
    fit = ('inverse_depth_scale=0.1', 'inverse_depth_shift=0') if 'relative' in name else ()
    config = load_yaml(ImportConfig, path, fit)

    with torch.device('meta'):
        network = build_depth_net(config.model)

    assert network.encoder.backbone.embed_dim == embed_dim
    assert network.encoder.taps == TAPS[len(network.encoder.backbone.blocks)]
    assert network.encoder.backbone.patch_embed.grid_size == (18, 32)
    assert config.model.dpt.features == features
    assert not config.model.dpt.batch_norm
    assert (config.name, config.licence) == (f'depth_anything_v2_{name}', licence)
    # 725.0 px at 375 rows, brought to 252.
    assert config.model.canonical_focal_px == pytest.approx(725.0 * 252 / 375, abs=0.05)


def test_relative_config_as_shipped_asks_for_the_fit():
    with pytest.raises(ValueError, match='no unit: give inverse_depth_scale'):
        load_yaml(ImportConfig, SHIPPED / 'depth_anything_v2_relative_small.yaml')


def test_fault_leaves_no_file(tmp_path):
    torch.save({'some': torch.ones(1)}, tmp_path / 'other.pth')
    out = tmp_path / 'out' / 'a.onnx'

    with pytest.raises(ValueError, match='other.pth for Depth Anything .* another architecture'):
        import_depth_anything(str(tmp_path / 'other.pth'), out, METRIC, 'a command')
    with pytest.raises(FileNotFoundError, match='nothing.pth'):
        import_depth_anything(str(tmp_path / 'nothing.pth'), out, METRIC, 'a command')
    assert not out.parent.exists()

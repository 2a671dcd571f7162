from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch')
for name in ('timm', 'transformers', 'onnxscript', 'onnxruntime', 'openvino', 'nncf'):
    pytest.importorskip(name)

from engine_speed import EAGER, operations, ways  # noqa: E402
from ssd_depth_core.models.depth_net import DepthNetConfig  # noqa: E402
from ssd_depth_core.models.dpt_decoder import DptConfig  # noqa: E402
from ssd_depth_core.models.factory import build_depth_net  # noqa: E402
from torch import nn  # noqa: E402

CONFIG = DepthNetConfig(
    encoder='vit_small_patch14_dinov2',
    encoder_weights=None,
    encoder_options={'depth': 4, 'embed_dim': 24, 'num_heads': 2},
    decoder='dpt',
    dpt=DptConfig(taps=(1, 2, 3, 4), channels=(4, 6, 8, 10), features=8, batch_norm=False),
    input_height=42,
    input_width=70,
    canonical_focal_px=52.5,
)


def test_every_way_runs_the_same_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_depth_net(CONFIG).eval()
    work = ways(network, tmp_path)
    expected = work[EAGER]().inverse_depth.numpy()
    for engine in ('onnxruntime', 'openvino'):
        outputs = {
            kind: work[f'{engine}, {kind}']()['inverse_depth'] for kind in ('float', 'int8')
        }
        np.testing.assert_allclose(outputs['float'], expected, rtol=1e-4)
        np.testing.assert_allclose(outputs['int8'], expected, rtol=0.2)
    assert work['transformers, torch eager']().predicted_depth.shape == (1, 42, 70)


def test_operations_of_attention_count_as_those_of_convolutions_do() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 2, stride=2, bias=False)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            tokens = self.patches(image).flatten(2).transpose(1, 2)[:, None].contiguous()
            return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)

    # Of 5 x 3 patches; queries times keys, and their weights times values.
    convolution, attention = 2 * 15 * 8 * 3 * 2 * 2, 2 * 2 * 15 * 15 * 8
    assert operations(Network().eval(), torch.zeros(1, 3, 6, 10)) == convolution + attention

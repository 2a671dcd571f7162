import math

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('timm')

from ssd_depth_core.learning.calibration import (  # noqa: E402
    calibrate_checkpoint,
    laplace_scale_factor,
)
from ssd_depth_core.learning.checkpoint import (  # noqa: E402
    CheckpointInfo,
    load_checkpoint,
    save_checkpoint,
)
from ssd_depth_core.models.depth_net import DepthNetConfig, DepthOutput  # noqa: E402
from ssd_depth_core.models.factory import build_depth_net  # noqa: E402

MODEL = DepthNetConfig(
    input_height=64, input_width=96, decoder_channels=8, fine_channels=8, canonical_focal_px=50.0
)


class Said(torch.nn.Module):
    """Says 10 m everywhere, with a scale of 0.1."""

    config = MODEL

    def __init__(self):
        super().__init__()
        self.depth = torch.nn.Parameter(torch.tensor(10.0))

    def forward(self, image):
        ones = torch.ones_like(image[:, :1])
        return DepthOutput(ones / self.depth, ones * math.log(0.1))


def frames(*rows):
    """Frames of one row of depths each, seen at the canonical focal length."""
    K = torch.tensor([[50.0, 0, 1], [0, 50.0, 0], [0, 0, 1]])
    return [
        {'image': torch.zeros(3, 1, len(row)), 'depth': torch.tensor(row)[None, None], 'K': K}
        for row in rows
    ]


def test_the_factor_is_the_mean_error_in_scales_image_by_image():
    e = math.e
    # Errors of ln 0.2 and none, and one image of 0.4 whose other pixel is unknown.
    day = frames((10 * e**0.2, 10.0), (10 * e**-0.4, math.nan))
    night = frames((10 * e**0.6, 10 * e**0.6))
    by_day = (0.1 + 0.4) / 2 / 0.1
    assert laplace_scale_factor(Said(), {'day-clear': day}) == pytest.approx(by_day, rel=1e-5)
    both = laplace_scale_factor(Said(), {'day-clear': day, 'night': night})
    assert both == pytest.approx((by_day + 6) / 2, rel=1e-5)


def test_sky_makes_nobody_surer():
    e = math.e
    street = frames((10 * e**0.2, math.inf, math.inf))
    assert laplace_scale_factor(Said(), {'day-clear': street}) == pytest.approx(2, rel=1e-5)


def test_beyond_range_only_the_shortfall_counts():
    far = frames((500.0, 500.0))
    expected = math.log(0.98 * 80 / 10) / 0.1
    assert laplace_scale_factor(Said(), {'day-clear': far}) == pytest.approx(expected, rel=1e-5)


def test_frames_without_truth_are_refused():
    with pytest.raises(ValueError, match='no image of fog has known depth'):
        laplace_scale_factor(Said(), {'fog': frames((math.nan, math.nan))})


@pytest.fixture
def checkpoint(tmp_path):
    def make(**changes):
        torch.manual_seed(0)
        model = DepthNetConfig(
            input_height=64, input_width=96, decoder_channels=8, fine_channels=8, **changes
        )
        info = CheckpointInfo(model=model, step=1, training_command='x', training_data='none')
        save_checkpoint(tmp_path / 'a.safetensors', build_depth_net(model), info)
        return tmp_path / 'a.safetensors'

    return make


def test_a_calibrated_checkpoint_needs_no_more(make_index, checkpoint, tmp_path):
    index, out = make_index(), tmp_path / 'new' / 'b.safetensors'
    options = {'num_frames': 3, 'device': 'cpu'}
    first = calibrate_checkpoint(checkpoint(), index, out, **options)
    before, after = load_checkpoint(checkpoint())[0], load_checkpoint(out)[0]
    assert after.config.confidence_scale == pytest.approx(first, abs=1e-4)
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        said, again = before(image), after(image)
    assert torch.equal(said.inverse_depth, again.inverse_depth)
    wider = (again.log_scale - said.log_scale).mean().item()
    assert wider == pytest.approx(math.log(first), abs=1e-3)
    assert calibrate_checkpoint(out, index, out, **options) == pytest.approx(1, rel=1e-3)
    assert 'measured on' in load_checkpoint(out)[1].training_data


def test_what_has_no_confidence_is_refused(make_index, checkpoint, tmp_path):
    with pytest.raises(ValueError, match='must have a confidence to calibrate'):
        calibrate_checkpoint(
            checkpoint(confidence=False), make_index(), tmp_path / 'b', num_frames=1, device='cpu'
        )
    assert not (tmp_path / 'b').exists()

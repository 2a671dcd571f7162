import numpy as np
import pytest

pytest.importorskip('cv2')
pytest.importorskip('onnxruntime')

from ssd_depth_core.gdt.depth_prior import DepthPriorConfig
from ssd_depth_core.runtime.predictor import DepthPredictor

from training._exported_depth import ExportedDepth

K = np.array(((60.0, 0.0, 39.5), (0.0, 60.0, 23.5), (0.0, 0.0, 1.0)))


def test_the_shipped_student_looks_in_batches_at_the_size_of_the_pictures(monkeypatch):
    estimator = ExportedDepth(DepthPriorConfig(kind='onnx', batch_size=2))
    sizes = []
    predict = DepthPredictor.predict_batch
    monkeypatch.setattr(
        DepthPredictor,
        'predict_batch',
        lambda self, pictures, K: sizes.append(len(pictures)) or predict(self, pictures, K),
    )
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (48, 80, 3), dtype=np.uint8) for _ in range(3)]
    estimates = estimator.estimate(pictures, [K] * 3)
    assert sizes == [2, 1]
    for estimate in estimates:
        assert estimate.metric
        assert estimate.inverse_depth.shape == (48, 80)
        assert np.isfinite(estimate.inverse_depth).all()
        assert np.ptp(estimate.inverse_depth) > 0
    assert list(estimator.models) == ['depth']

import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch')
for name in ('timm', 'transformers', 'onnx', 'onnxscript', 'onnxruntime', 'openvino'):
    pytest.importorskip(name)

from ssd_depth_core.checks import sha256_of  # noqa: E402
from ssd_depth_core.model_spec import load_spec  # noqa: E402
from ssd_depth_core.runtime.predictor import DepthPredictor  # noqa: E402

from training.import_depth_anything import main  # noqa: E402

MODEL = {
    'encoder': 'vit_small_patch14_dinov2',
    'encoder_options': {'depth': 4, 'embed_dim': 24, 'num_heads': 2},
    'decoder': 'dpt',
    'dpt': {'channels': [4, 6, 8, 10], 'features': 8, 'batch_norm': False},
    'confidence': False,
    'input_height': 42,
    'input_width': 70,
    'max_depth_m': 80.0,
    'canonical_focal_px': 81.2,
}
LICENCE = {'name': 'tiny', 'licence': 'CC-BY-NC-4.0', 'training_data': 'random'}


@pytest.fixture(params=['metric', 'relative'])
def kind(request):
    return request.param


@pytest.fixture
def reference(kind, tmp_path):
    import transformers

    torch.manual_seed(4)
    model = transformers.DepthAnythingForDepthEstimation(
        transformers.DepthAnythingConfig(
            backbone_config=transformers.Dinov2Config(
                hidden_size=24,
                num_hidden_layers=4,
                num_attention_heads=2,
                image_size=98,
                patch_size=14,
                out_indices=[1, 2, 3, 4],
                apply_layernorm=True,
                reshape_hidden_states=False,
            ),
            reassemble_hidden_size=24,
            neck_hidden_sizes=[4, 6, 8, 10],
            fusion_hidden_size=8,
            depth_estimation_type=kind,
            max_depth=80 if kind == 'metric' else 1,
        )
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        # Neither relu's zero nor beyond the range, where a predictor says nothing.
        model.head.conv3.weight.mul_(0.3)
        model.head.conv3.bias.fill_(0.5 if kind == 'relative' else -2.0)
    model.save_pretrained(tmp_path / 'hub')
    return model


def test_imported_network_predicts_the_depth_of_transformers(kind, reference, tmp_path, capsys):
    checkpoint, out = tmp_path / 'hub' / 'model.safetensors', tmp_path / 'models' / 'tiny.onnx'
    fit = {'metric': {}, 'relative': {'inverse_depth_scale': 0.01, 'inverse_depth_shift': 0.02}}
    model = MODEL | {'output': {'metric': 'sigmoid_depth', 'relative': 'relu'}[kind]}
    (tmp_path / 'tiny.yaml').write_text(yaml.safe_dump({**LICENCE, **fit[kind], 'model': model}))
    words = ['--config', tmp_path / 'tiny.yaml', '--checkpoint', checkpoint, '--out', out]

    assert main(list(map(str, words))) == 0

    assert f'model: {out}, licence CC-BY-NC-4.0' in capsys.readouterr().out
    spec = load_spec(out)
    assert (spec.name, spec.licence, spec.has_confidence) == ('tiny', 'CC-BY-NC-4.0', False)
    assert (spec.canonical_focal_px, spec.training_steps) == (81.2, None)
    assert spec.training_command.startswith('python -m training.import_depth_anything --config ')
    assert spec.training_config['sha256'] == sha256_of(checkpoint)

    image = np.random.default_rng(0).integers(0, 256, (42, 70, 3), np.uint8)
    K = np.array([[162.4, 0, 35], [0, 162.4, 21], [0, 0, 1]])  # twice the canonical focal length
    depth = DepthPredictor.load(out).predict(image, K).depth

    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = torch.from_numpy(((image / 255 - mean) / std).transpose(2, 0, 1)[None]).float()
    with torch.no_grad():
        expected = reference(pixels).predicted_depth[0].numpy()
    if kind == 'relative':
        expected = 1 / (0.01 * expected + 0.02)
    assert np.isfinite(depth).all()
    assert expected.std() > 0.1
    np.testing.assert_allclose(depth, 2 * expected, rtol=1e-4)


def test_relative_without_a_fit_is_one_named_error(tmp_path):
    config = {**LICENCE, 'model': MODEL | {'output': 'relu'}}
    (tmp_path / 'tiny.yaml').write_text(yaml.safe_dump(config))
    words = ['--config', tmp_path / 'tiny.yaml', '--checkpoint', 'a', '--out', tmp_path / 'a.onnx']

    with pytest.raises(ValueError, match='or import a metric checkpoint'):
        main(list(map(str, words)))

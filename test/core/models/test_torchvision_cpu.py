import subprocess
import sys

import pytest

pytest.importorskip('torch')
pytest.importorskip('timm')


def test_timm_makes_a_network_in_a_fresh_process():
    # A process of its own: in this one, conftest.py has imported torchvision already.
    code = (
        'import ssd_depth_core.models, timm, torch\n'
        "encoder = timm.create_model('mobilenetv4_conv_small', features_only=True)\n"
        'print(*(tuple(x.shape[2:]) for x in encoder(torch.zeros(1, 3, 32, 64))))\n'
    )
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert run.stdout.split('\n')[0] == '(16, 32) (8, 16) (4, 8) (2, 4) (1, 2)'

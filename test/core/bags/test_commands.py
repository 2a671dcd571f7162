import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ('module', 'command'),
    [('offline', 'depth_bag'), ('nuscenes_to_bag', 'depth_convert_nuscenes')],
)
def test_module_runs_as_the_command(module: str, command: str) -> None:
    done = subprocess.run(
        [sys.executable, '-m', f'ssd_depth_core.bags.{module}'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f'usage: {command} ')

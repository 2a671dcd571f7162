"""In processes of their own, since the setting lasts for a process's life."""

import os
from pathlib import Path
import platform
import subprocess
import sys

import pytest

ROOT = Path(__file__).parents[2]
COUNT = """
import resource, sys
import numpy as np
from ssd_depth_ros.memory import keep_large_blocks
if sys.argv[1] == 'keep':
    assert keep_large_blocks()
for round in range(6):
    if round == 1:
        start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.full(8 << 20, 1, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start)
"""


def page_faults(mode):
    result = subprocess.run(
        [sys.executable, '-c', COUNT, mode],
        env=os.environ | {'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return int(result.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='mallopt is of glibc')
def test_second_large_block_costs_no_page_faults():
    # 8 MB are 2048 pages; huge pages make fewer faults of them, but some for each block.
    kept, returned = page_faults('keep'), page_faults('return')
    assert kept < 5
    assert returned >= 5 * 4

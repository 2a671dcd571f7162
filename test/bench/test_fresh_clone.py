import sys

import fresh_clone


def test_only_what_a_newcomer_has_is_inherited(tmp_path, monkeypatch):
    monkeypatch.setenv('AMENT_PREFIX_PATH', '/opt/ros/jazzy')
    code = 'import os, sys; sys.exit(3 if "AMENT_PREFIX_PATH" not in os.environ else 4)'
    status, seconds = fresh_clone.timed([sys.executable, '-S', '-c', code], tmp_path)
    assert status == 3
    assert 0 < seconds < 60

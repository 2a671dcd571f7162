import json

import pytest
from ssd_depth_core.evaluation.record import read_evaluation, read_frames, write_evaluation


def test_what_is_written_is_read_back(tmp_path, evaluation, frames):
    write_evaluation(evaluation, frames, tmp_path)
    assert read_evaluation(tmp_path / 'metrics.json') == read_evaluation(tmp_path) == evaluation
    assert read_frames(tmp_path / 'metrics.json') == read_frames(tmp_path) == frames
    assert evaluation.frames_scored == 4


def test_faulty_files_are_named(tmp_path, evaluation, frames):
    with pytest.raises(
        FileNotFoundError, match='metrics.json; write it with `python -m training.ev'
    ):
        read_evaluation(tmp_path)
    write_evaluation(evaluation, frames, tmp_path)
    values = json.loads((tmp_path / 'metrics.json').read_text())
    (tmp_path / 'metrics.json').write_text(json.dumps(values | {'schema_version': 2}))
    with pytest.raises(ValueError, match='metrics.json: schema_version must be one of 1, got 2'):
        read_evaluation(tmp_path)
    (tmp_path / 'metrics.json').write_text('{')
    with pytest.raises(ValueError, match='metrics.json is no JSON'):
        read_evaluation(tmp_path)
    with (tmp_path / 'frames.jsonl').open('a') as file:
        file.write('{"id": ')
    with pytest.raises(ValueError, match='frames.jsonl:5 is not JSON'):
        read_frames(tmp_path)

import json
from pathlib import Path

import numpy as np
import pytest
from real_data import RealFrame
import real_frames


def frame(dataset: str, channel: str, uv: np.ndarray, truth: np.ndarray) -> RealFrame:
    return RealFrame(
        dataset=dataset,
        channel=channel,
        name=f'{dataset}_{channel}',
        image=np.zeros((40, 80, 3), np.uint8),
        K=np.eye(3),
        uv=uv,
        truth=truth,
        height_m=1.5,
        down_camera=np.array([0.0, 1.0, 0.0]),
    )


def test_sampling_on_the_same_grid_reads_the_pixels() -> None:
    depth = np.random.default_rng(0).uniform(1, 50, (40, 80)).astype(np.float32)
    uv = np.array([[0, 0], [79, 39], [17, 5]], np.float64)
    sampled = real_frames.sample(depth, frame('DDAD', 'a', uv, np.ones(3)))
    np.testing.assert_allclose(sampled, depth[[0, 39, 5], [0, 79, 17]], rtol=1e-5)


def test_sampling_follows_the_half_pixel_rule() -> None:
    # On a grid of half the size, full-size pixel 4.5 lies on the centre of pixel 2.
    inverse = np.tile(np.arange(1, 41, dtype=np.float32), (20, 1)) / 100
    uv = np.array([[4.5, 10], [5.5, 10]])
    sampled = real_frames.sample(1 / inverse, frame('DDAD', 'a', uv, np.ones(2)))
    np.testing.assert_allclose(1 / sampled, [0.03, 0.035], rtol=1e-4)


def test_beyond_range_is_sampled_as_infinitely_far() -> None:
    depth = np.full((40, 80), np.nan, np.float32)
    depth[:, 40:] = 10.0
    uv = np.array([[20.0, 20.0], [39.5, 20.0], [60.0, 20.0]])
    sampled = real_frames.sample(depth, frame('DDAD', 'a', uv, np.ones(3)))
    np.testing.assert_allclose(sampled, [np.nan, 20.0, 10.0], rtol=1e-4)


def test_scores_are_means_over_the_pictures_of_each_group() -> None:
    uv = np.zeros((4, 2))
    frames = [
        frame('nuScenes', 'CAM_FRONT', uv, np.full(4, 10.0)),
        frame('nuScenes', 'CAM_BACK', uv, np.full(4, 20.0)),
    ]
    rows = real_frames.score(frames, {'ten': lambda frame: np.full(4, 10.0)})
    by_key = {(row['data'], row['scaling']): row for row in rows}
    assert len(rows) == 4  # no DDAD pictures, so no DDAD rows
    assert by_key['nuScenes CAM_FRONT', 'metric']['abs_rel'] == 0.0
    both = by_key['nuScenes, 6 cameras', 'metric']
    assert (both['abs_rel'], both['rmse'], both['delta1'], both['n']) == (0.25, 5.0, 0.5, 2)
    assert by_key['nuScenes, 6 cameras', 'median']['abs_rel'] == 0.0


def test_drawing_shows_picture_truth_and_prediction() -> None:
    shown = frame('DDAD', 'a', np.array([[40.0, 20.0]]), np.array([5.0]))
    drawing = real_frames.draw(shown, np.full((20, 40), np.nan, np.float32))
    assert drawing.shape == (360, 3 * 720 + 70, 3)
    assert not drawing[:, :720].any()  # the black picture
    assert drawing[180, 720 + 360].any()  # the one LiDAR return
    assert not drawing[:, 1440:2160].any()  # nothing predicted


def test_absent_pictures_are_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert real_frames.main(['--realdata', str(tmp_path / 'none')]) == 0
    assert capsys.readouterr().out.startswith('skipped: no real pictures at')


REALDATA = Path(__file__).parents[3] / 'shared' / 'realdata'


@pytest.mark.skipif(not REALDATA.is_dir(), reason='the real pictures are not on this machine')
def test_shipped_model_beats_guessing_on_real_front_cameras(tmp_path: Path) -> None:
    written = tmp_path / 'real_frames.json'
    assert real_frames.main(['--realdata', str(REALDATA), '--json', str(written)]) == 0
    rows = json.loads(written.read_text())['rows']
    road = next(row for row in rows if row['method'].startswith('flat road'))
    # The geometry is right if the blind road is: 0.317 was measured by hand-checked projection.
    assert (road['data'], road['scaling']) == ('nuScenes CAM_FRONT', 'metric')
    assert road['abs_rel'] == pytest.approx(0.317, abs=0.005)
    for camera in ('nuScenes CAM_FRONT', 'DDAD front (CAMERA_01)'):
        *guesses, student = [r for r in rows if (r['data'], r['scaling']) == (camera, 'median')]
        assert student['method'].startswith('student')
        assert student['abs_rel'] < min(guess['abs_rel'] for guess in guesses)

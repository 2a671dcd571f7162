"""The demo from bag to report, with the real node as a process and a network that reads red."""

from dataclasses import fields
import json
import os
from pathlib import Path
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

import rclpy
from rosbags.rosbag2 import Reader
from ssd_depth_core.bags import messages as bag_messages
from ssd_depth_core.bags.writer import BagWriter
from ssd_depth_core.exact_depth import encode_exact_depth, MESSAGE_FORMAT
from ssd_depth_core.preprocess import resize_intrinsics
from ssd_depth_ros import demo, demo_session
from ssd_depth_ros.bag_depth import read_depth
from ssd_depth_ros.demo import main, TRUTH, TRUTH_INFO
from ssd_depth_ros.demo_session import CAMERA_INFO, DEPTH, DEPTH_INFO, IMAGE, POINTS, RECORDED
from ssd_depth_ros.evaluation import score_frames
from ssd_depth_ros.report import Report

pytestmark = pytest.mark.ros

START = 1_700_000_000_000_000_000
PERIOD = 1_000_000_000 // 12
NUM_FRAMES = 18
SIZE = (48, 80)
TRUTH_SIZE = (12, 20)
# At the network's half size this is the canonical focal length, so red 51 means 255 / 51 = 5 m.
K = np.array([[100.0, 0.0, 39.5], [0.0, 100.0, 23.5], [0.0, 0.0, 1.0]])
PUBLISHED_M, EXACT_M = 5.0, 6.25
TIMEOUT_S = 90.0


def jpeg() -> bytes:
    red = np.zeros((*SIZE, 3), np.uint8)
    red[..., 2] = 51
    return cv2.imencode('.jpg', red, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()


def write_drive(
    path: Path,
    *,
    picture: bytes | None = None,
    with_truth: bool = True,
    num_frames: int = NUM_FRAMES,
) -> Path:
    """Everything stands at EXACT_M; the network will say PUBLISHED_M."""
    coded = encode_exact_depth(np.full(TRUTH_SIZE, EXACT_M, np.float32))
    png = cv2.imencode('.png', coded)[1].tobytes()
    with BagWriter(path) as bag:
        for index in range(num_frames):
            stamp = START + index * PERIOD
            header = bag_messages.header(stamp, 'cam_front')
            image = bag_messages.compressed_image(header, 'jpeg', picture or jpeg())
            bag.write(CAMERA_INFO, bag_messages.camera_info(header, K, SIZE), stamp)
            bag.write(IMAGE, image, stamp)
            if with_truth:
                truth = bag_messages.compressed_image(header, MESSAGE_FORMAT, png)
                truth_K = resize_intrinsics(K, SIZE, TRUTH_SIZE)
                info = bag_messages.camera_info(header, truth_K, TRUTH_SIZE)
                bag.write(TRUTH_INFO, info, stamp)
                bag.write(TRUTH, truth, stamp)
    return path


def run(*arguments: object) -> 'subprocess.CompletedProcess[str]':
    command = [sys.executable, '-m', 'ssd_depth_ros.demo', *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def test_demo_leaves_report_pictures_and_depth_bag(tmp_path: Path, model: Path) -> None:
    bag, out = write_drive(tmp_path / 'drive.mcap'), tmp_path / 'out'
    done = run('--bag', bag, '--out', out, '--model', model)
    assert done.returncode == 0, done.stderr
    assert f'played {2 * NUM_FRAMES} messages' in done.stdout

    report = json.loads((out / 'report.json').read_text())
    assert list(report) == [field.name for field in fields(Report)]
    assert report['frames_in'] == NUM_FRAMES
    assert report['frames_out'] + report['dropped'] == NUM_FRAMES
    # A busy machine may drop some of the frames, as the node is built to; never most.
    assert report['frames_out'] > NUM_FRAMES / 2
    assert 3.0 < report['rate_hz'] < 13.0
    assert 0.0 < report['age_ms_p50'] <= report['age_ms_p99']
    # JPEG keeps red to one step in 51, that is depth to 2 %.
    assert report['abs_rel'] == pytest.approx((EXACT_M - PUBLISHED_M) / EXACT_M, abs=0.02)
    assert report['rmse'] == pytest.approx(EXACT_M - PUBLISHED_M, abs=0.13)
    assert report['context']['abs_rel_median_scaled'] == pytest.approx(0.0, abs=0.02)
    assert report['context']['frames_scored'] == report['frames_out']
    assert report['context']['model'] == 'tiny'
    assert 10.0 < report['context']['node_rss_mb'] < 600.0
    assert 'CPU' in report['context']['backend']
    assert '| frames_out | ' in (out / 'report.md').read_text()
    assert report['context']['drive'] == 'synthetic: a rendered street'
    assert 'on a synthetic drive' in done.stdout

    with Reader(out / 'depth.mcap') as recorded:
        counts = {c.topic: c.msgcount for c in recorded.connections}
    assert set(counts) == set(RECORDED)
    assert counts[DEPTH] == counts[DEPTH_INFO] == report['frames_out']
    depth = read_depth(out / 'depth.mcap', DEPTH, DEPTH_INFO)
    assert set(depth) <= {START + index * PERIOD for index in range(NUM_FRAMES)}
    for name in ('sheet.png', 'points.png'):
        assert cv2.imread(str(out / name)).std() > 5.0


def test_drive_of_one_frame_is_enough(tmp_path: Path, model: Path) -> None:
    bag, out = write_drive(tmp_path / 'drive.mcap', num_frames=1), tmp_path / 'out'
    done = run('--bag', bag, '--out', out, '--model', model)
    assert done.returncode == 0, done.stderr
    assert '0 of 1 images sent' in done.stdout
    report = json.loads((out / 'report.json').read_text())
    assert (report['frames_in'], report['frames_out'], report['rate_hz']) == (1, 1, 0.0)


@pytest.mark.parametrize(
    ('unmatched', 'heard', 'named'), [([IMAGE], {7: 1}, IMAGE), ([], {6: 1}, '/clock')]
)
def test_session_says_who_has_not_been_found(
    unmatched: list[str], heard: dict[int, int], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_session, 'START_S', 0.05)
    clock: list[int] = []
    player = SimpleNamespace(
        start_ns=7, missing_subscribers=lambda: unmatched, publish_clock=clock.append
    )
    recorder = SimpleNamespace(missing_publishers=lambda _: [], arrivals=lambda _: heard)
    process = SimpleNamespace(check_alive=lambda: None)
    with pytest.raises(TimeoutError, match=f'other end of {named}$'):
        demo_session._wait_for_connections(player, recorder, process)
    assert set(clock) == {7}


@pytest.mark.parametrize('before', [None, 'SUBNET'])
def test_session_speaks_on_this_machine_only_and_leaves_the_environment(
    before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
    if before is None:
        monkeypatch.delenv(name, raising=False)
    else:
        monkeypatch.setenv(name, before)
    seen: list[str | None] = []
    init = rclpy.init

    def spy(**options: object) -> None:
        seen.append(os.environ.get(name))
        init(**options)

    monkeypatch.setattr(rclpy, 'init', spy)
    with demo_session._spun_node(62):
        assert os.environ.get(name) == before
    assert seen == ['LOCALHOST']


@pytest.mark.parametrize(('stamp', 'shown'), [(0, 1), (1, 1), (3, 2), (9, 2)])
def test_cloud_nearest_in_time_is_drawn(tmp_path: Path, stamp: int, shown: int) -> None:
    with BagWriter(tmp_path / 'depth.mcap') as bag:
        for second in (1, 2):
            header = bag_messages.header(second, 'cam_front')
            points = np.full((1, 5), second, np.float32)
            bag.write(POINTS, bag_messages.point_cloud(header, points), second)
    np.testing.assert_array_equal(demo._points(tmp_path / 'depth.mcap', stamp), [[shown] * 3])


def test_every_row_of_the_sheet_says_that_the_street_is_rendered(tmp_path: Path) -> None:
    bag = write_drive(tmp_path / 'drive.mcap', num_frames=2)
    truth = read_depth(bag, TRUTH, TRUTH_INFO)
    instants = demo._instants(bag, score_frames(truth, truth), truth, truth)
    assert [instant.caption.split('    ')[0] for instant in instants] == [
        '0.0 s of a rendered street',
        '0.1 s of a rendered street',
    ]


def test_message_package_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise LookupError('message type a/msg/B is not installed; install the ROS package a')

    monkeypatch.setattr(demo, 'run_demo', fail)
    assert main([]) == 1
    assert capsys.readouterr().err.startswith('depth_demo: message type a/msg/B is not installed')


def test_demo_says_when_the_node_cannot_load_its_model(
    tmp_path: Path, messages: SimpleNamespace
) -> None:
    model = messages.write_model(tmp_path / 'tiny.onnx', confidence=False)
    spec = model.with_suffix('.json')
    spec.write_text(spec.read_text().replace('"has_confidence": false', '"has_confidence": true'))
    bag = write_drive(tmp_path / 'drive.mcap')
    done = run('--bag', bag, '--out', tmp_path / 'out', '--model', model)
    assert done.returncode == 1
    assert 'depth_node could not be configured' in done.stderr
    assert 'confidence' in done.stderr
    assert not (tmp_path / 'out' / 'depth.mcap').exists()


def test_demo_says_when_no_depth_comes(tmp_path: Path, model: Path) -> None:
    bag = write_drive(tmp_path / 'drive.mcap', picture=b'no picture')
    done = run('--bag', bag, '--out', tmp_path / 'out', '--model', model)
    assert done.returncode == 1
    assert f'published no depth for {NUM_FRAMES} images' in done.stderr


def test_demo_names_what_is_missing(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blind = write_drive(tmp_path / 'blind.mcap', with_truth=False)
    for arguments, message in (
        (['--bag', tmp_path / 'none'], f'bag not found at {tmp_path / "none"}'),
        (['--bag', blind], f'has no topic {TRUTH_INFO}'),
        (
            ['--bag', write_drive(tmp_path / 'drive.mcap'), '--model', tmp_path / 'none.onnx'],
            f'model not found at {tmp_path / "none.onnx"}',
        ),
    ):
        assert main([*map(str, arguments), '--out', str(tmp_path / 'out')]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()

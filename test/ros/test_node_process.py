# ruff: noqa: E402  (imports follow importorskip)
from pathlib import Path

import pytest

rclpy = pytest.importorskip('rclpy')

from ssd_depth_ros.node_process import NodeProcess

pytestmark = pytest.mark.ros


def test_node_that_ends_is_reported_with_its_status_and_log(tmp_path: Path) -> None:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=63)
    node = rclpy.create_node('asker', context=context)
    log = tmp_path / 'node.log'
    # depth_replay ends at once where it is given no bag.
    try:
        with (
            NodeProcess('replay', [], {'ROS_DOMAIN_ID': '63'}, log) as process,
            pytest.raises(ChildProcessError, match=r'replay ended with status 2') as error,
        ):
            process.wait_until_active(node, timeout_s=30.0)
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)
    assert str(log) in str(error.value)
    assert 'the following arguments are required: bag' in str(error.value)


def test_node_that_is_not_there_in_time_is_reported(tmp_path: Path, model: Path) -> None:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=64)
    node = rclpy.create_node('asker', context=context)
    try:
        # The node lives in another domain, so it is never heard of.
        ros_args = ['-p', f'model:={model}']
        env = {'ROS_DOMAIN_ID': '65', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
        with NodeProcess('depth_node', ros_args, env, tmp_path / 'node.log') as process:
            with pytest.raises(TimeoutError, match=r'depth_node is not there after 0.5 s'):
                process.wait_until_active(node, timeout_s=0.5)
            assert process.peak_rss_mb() > 5.0
            process.check_alive()
        with pytest.raises(ChildProcessError, match='ended with status'):
            process.check_alive()
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)

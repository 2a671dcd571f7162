"""The ROS 2 side: parameters, messages and timing. Depth itself comes from ssd_depth_core."""

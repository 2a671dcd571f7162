"""Robust monocular depth without ROS: data, networks, training, export and the robot's runtime."""

__version__ = '0.1.0'

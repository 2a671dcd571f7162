"""Bags without ROS: nuScenes to bag, and depth over a bag, off line."""

"""Picture in, metric depth out, on a robot: NumPy, OpenCV and one backend, no torch."""

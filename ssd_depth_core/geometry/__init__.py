"""Cameras, poses and what follows from them."""

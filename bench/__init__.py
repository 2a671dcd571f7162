"""Measured claims, each a command; not installed."""

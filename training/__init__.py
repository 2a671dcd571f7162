"""Stages from a seed or a log to exported weights: `python -m training.<stage>`; not installed."""

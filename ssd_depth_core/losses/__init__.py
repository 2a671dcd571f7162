"""Losses as pure functions, one subject a module."""

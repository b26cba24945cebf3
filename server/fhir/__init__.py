"""The standard as data and pure functions."""

"""Code systems, value sets and concept maps: engine and tables."""

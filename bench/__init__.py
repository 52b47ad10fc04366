"""Measurements: what is fast, against what, on which machine. Nothing here passes or fails."""

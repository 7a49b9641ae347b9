"""Renders frames from landmarks (Sec. 2.2, 2.3)."""

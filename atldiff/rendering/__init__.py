"""From landmarks to frames (Sec. 2.2, 2.3)."""

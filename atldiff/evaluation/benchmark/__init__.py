"""Time and memory, end to end and by stage."""

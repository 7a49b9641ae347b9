"""Benchmarks of time and memory, end to end and by stage."""

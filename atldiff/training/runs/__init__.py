"""Runs: processes, checkpoints, folders and the hub."""

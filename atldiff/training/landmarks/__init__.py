"""Trains the landmark generator."""

"""Measures of finished videos against true ones, as pure functions."""

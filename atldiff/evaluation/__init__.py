"""Measures of what the networks make; nothing here is needed to make a video."""

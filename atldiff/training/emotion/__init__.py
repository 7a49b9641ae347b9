"""Trains the speech encoder's emotion recogniser."""

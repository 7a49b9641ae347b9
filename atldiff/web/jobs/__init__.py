"""Requests of page and API: reading, waiting, making, reporting."""

"""Recordings and videos: reading, voice activity, writing, streaming."""

"""Recordings and videos: decoding, voice activity, speech synthesis, reading and writing."""

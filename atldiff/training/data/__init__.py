"""Corpora and photos -> prepared clips in shards."""

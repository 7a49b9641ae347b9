"""Annex: everything that only trains. The corridor never imports it."""

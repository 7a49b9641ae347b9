"""Requests of page and API: checks, queue, rendering and reports."""

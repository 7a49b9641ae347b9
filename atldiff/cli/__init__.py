"""The command line: its parser, and its commands."""

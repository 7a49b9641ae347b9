"""What the command line asks for and runs."""

"""`python -m atldiff`: the command line."""

import sys

from atldiff.cli.parser import main

if __name__ == "__main__":
    sys.exit(main())

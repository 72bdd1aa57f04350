"""`python -m merv` is `merv`."""

import sys

from merv.runs.cli import main

if __name__ == "__main__":
    sys.exit(main())

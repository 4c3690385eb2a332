"""``python -m pruneflow``."""

import sys

from pruneflow.cli import main

if __name__ == "__main__":
    sys.exit(main())

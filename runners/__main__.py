"""`python -m runners`."""

import sys


def main() -> int:
    """Run the command line."""
    from runners.cli import app

    app()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Run the command line with ``python -m mrspipe``."""

from mrspipe.cli.main import main

if __name__ == "__main__":
    main()

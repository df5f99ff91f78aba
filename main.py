"""Run the downstream, as a site's start script does: ``python3 main.py``."""

from pipeline.cli import main

if __name__ == "__main__":
    main(["serve"])

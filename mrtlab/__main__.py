"""`python -m mrtlab`, which launchers of several processes call."""

from mrtlab.cli import main

if __name__ == "__main__":
    main()

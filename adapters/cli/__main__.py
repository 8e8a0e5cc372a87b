"""`python -m adapters.cli`: the command line without its installed script."""

from adapters.cli import main

main()

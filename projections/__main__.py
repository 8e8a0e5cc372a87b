"""Projection scripts: `python -m projections run_status`, and the like.

Rule: an entry point, and so the one file here that may ask the adapters.
"""

from adapters.cli.built_in_views import main

if __name__ == "__main__":
    main()

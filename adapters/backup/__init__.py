"""A ledger in one file: `writing` makes it, `restoring` puts it into a new home."""

"""One image against known-hash lists, and what keeps a match out of the review queue."""

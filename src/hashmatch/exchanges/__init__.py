"""Exchanges of hashes, fetched into list stores."""

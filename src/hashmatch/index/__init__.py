"""Exact Hamming search: `HashIndex`, its snapshots, tables and files."""

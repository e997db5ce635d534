"""Readers of hash-list formats, one file each; they find rows and decide nothing."""

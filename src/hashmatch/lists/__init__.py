"""Readers of hash-list formats, one file each; they find rows and decide nothing.

`hashmatch.reading` turns their rows into lists; `hashmatch.registry` finds them by name.
"""

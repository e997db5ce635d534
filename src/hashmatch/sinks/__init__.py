"""Sinks for review records, one file each; `hashmatch.registry` finds them by file suffix."""

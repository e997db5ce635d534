"""The nouns of hashmatch: frozen dataclasses and closed enums, one file a family."""

VERSION = "0.1.0"
"""Of hashmatch: what it makes says by which version it was made."""

"""Files that are whole or absent, private where they must be, and mapped where they are large."""

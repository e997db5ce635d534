"""Videos: their frames hashed as vPDQ does, and digests of their files."""

"""The HTTP service: pictures and hashes checked against lists, by programs that hold a token.

`hashmatch.service.server.serve` runs it; ``hashmatch serve`` is its command.
"""

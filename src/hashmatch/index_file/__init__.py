"""The index file: a container of arrays that knows nothing of how an index searches.

`layout` says what each byte is, `writing` puts a file in its place whole, `mapped` opens one.
"""

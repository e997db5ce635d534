"""The list store: a folder of signed, immutable versions of one list, private to its owner.

What it is trusted by: `private` and `whole` are its files, read and written; `manifest` says what a
version is, `signatures` and `keys` who says so, `marks` and `freshness` whether that still holds;
`sealed` and `sealing_keys` encrypt what is on the disk.
"""

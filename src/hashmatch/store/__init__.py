"""The list store: a folder of signed, immutable versions of one list, private to its owner.

`list_store` is what people use, and `watch` what services do. A version is made by `importer` and
`compaction`, and read by `contents` and `stored_list`. What it is trusted by: `manifest` says what
it is, `signing` who says so, `rollback` that it is no older one. `encryption` is at rest.
"""

"""The nouns of hashmatch: frozen dataclasses and closed enums, one file a family.

``enums`` (surfaces, outcomes), ``hashes`` (specs, batches), ``lists`` (hash lists, entries),
``items`` (images and what became of them), ``matches``, ``review`` (the review record).
"""

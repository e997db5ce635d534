"""Sources of images, one file each; `hashmatch.registry` finds them through entry points."""

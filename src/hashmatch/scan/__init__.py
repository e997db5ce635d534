"""All images of a source against known-hash lists: resumable, each with one outcome."""

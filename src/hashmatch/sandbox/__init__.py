"""Untrusted bytes are parsed in processes of their own, closed in, and nowhere else.

``pool`` (what a scan uses), ``lanes`` (which of them work at once), ``lane`` (one worker at a time,
and what is tried when it is lost), ``stalls`` (which worker waits for nothing),
``limits`` (what an item may cost), ``messages`` (all that is said between processes), ``starting``
and ``nursery`` (where workers come from), ``worker`` (what runs in one), ``sandbox`` (what closes
it in: ``landlock``, ``seccomp`` and resource limits).
"""

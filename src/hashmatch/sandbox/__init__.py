"""Untrusted bytes are parsed in processes of their own, confined, and nowhere else.

``pool`` (what a scan uses), ``slot`` (one worker at a time, and what is tried when it is lost),
``limits`` (what an item may cost), ``protocol`` (all that is said between processes),
``fork_client`` and ``fork_server`` (where workers come from), ``worker`` (what runs in one),
``layers`` (what confines it), ``privileges`` (user, capabilities and namespaces), ``confinement``
(resource limits and Landlock) and ``seccomp`` (the system-call filter).
"""

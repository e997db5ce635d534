"""The review page: a small web server for the people who look at matches. Needs extra ``review``.

``server`` binds and starts it, ``app`` puts it together, ``middleware`` checks every request, and
``login``, ``cases`` and ``charts`` answer. ``pictures`` fetches and blurs pictures.
"""

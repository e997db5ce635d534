"""The review page: a small web server for the people who look at matches. Needs extra ``review``.

``serving`` binds and starts it, ``app`` puts it together, ``guard`` stands before every request,
``access``, ``desk``, ``cases`` and ``numbers`` answer, and ``pictures`` fetches what ``covering``
then covers.
"""

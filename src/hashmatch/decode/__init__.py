"""Untrusted bytes to upright RGB pixels, under the decode policy ``rgb/1``.

``inputs`` (what may be passed), ``formats`` (allow-list, limits, opening), ``tolerance`` (damaged
files), ``jpeg`` (the fast decoder), ``modes`` (any pixel layout to RGB), ``policy`` (the order in
which these are applied).
"""

"""Plots, for pages and reports."""

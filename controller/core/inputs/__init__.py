"""Everything that people write: requests, projects, requirements, pod templates, credentials. Pure.

All problems of a text come at once; each names the place, what is wrong, and what is expected.
"""

"""What holds for all tests: hypothesis looks at what comes out, and never at how long it took."""

from hypothesis import settings

settings.register_profile("coachwork", deadline=None)
settings.load_profile("coachwork")

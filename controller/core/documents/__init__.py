"""Everything that Coachwork writes and reads again, now or in another version. Pure."""

"""The pure core: what should be, computed from what is. No I/O, no threads, no clock."""

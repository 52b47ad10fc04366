"""What runs inside stage containers: standard library only, Python 3.8 or later, nothing of ours imported."""

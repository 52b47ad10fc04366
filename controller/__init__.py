"""Coachwork: a Git repository of Python stages as running Kubernetes workloads."""

"""The composition roots: for the pod, and for a project on this machine."""

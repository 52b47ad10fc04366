"""What the page says, as frozen values for its templates. Computes only."""

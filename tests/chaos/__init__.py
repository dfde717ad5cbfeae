"""What becomes of the answers while something else fails: faults, doors, and what is expected of each."""

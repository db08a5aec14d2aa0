"""What instructors run: release, grade behind a wall, give feedback."""

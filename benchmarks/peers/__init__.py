"""What a user could pick instead, each a program for an environment of its own (`make bench-peers`)."""

__all__: list[str] = []

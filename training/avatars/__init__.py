"""Drawn talking avatars: identities, states, the renderer, and motion over time."""

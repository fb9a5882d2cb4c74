"""How any Baton service is run and called: serving, channels, errors, settings, logs, time.

No business noun lives here; the three services build on it and never on each other.
"""

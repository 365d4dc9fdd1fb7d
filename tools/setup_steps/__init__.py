"""Parts of ``tools/setup_env.py``; standard library only, since nothing is installed yet."""


class SetupError(Exception):
    """What the person who called can mend: what was found, what is needed, what to do."""

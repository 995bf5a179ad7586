"""Finds the files that ship with the package: the data catalogue and the recipes."""

from pathlib import Path

__all__ = ["resource_dir"]


def resource_dir(kind: str) -> Path:
    """Return the folder of `kind` ("data" or "recipes"), in a wheel and in a checkout alike.

    A wheel carries the two folders inside the package; a checkout (and an editable install) has them beside it.
    """
    package = Path(__file__).resolve().parent
    installed = package / "_resources" / kind
    return installed if installed.is_dir() else package.parent / kind

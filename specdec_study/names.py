"""Names that may stand in a file system, whatever they are made of."""

import hashlib
import re

MOST_CHARACTERS = 100


def safe_name(text: str) -> str:
    """The text itself if it is harmless; else what is, with a hash that keeps it apart."""
    harmless = re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip(".")[:MOST_CHARACTERS]
    if text and harmless == text:
        return text
    return f"{harmless or 'run'}_{hashlib.sha256(text.encode()).hexdigest()[:6]}"

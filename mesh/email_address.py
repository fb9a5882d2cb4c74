"""Email addresses as they are compared: two ways to write one mailbox are one text."""

import unicodedata

from email_validator import EmailNotValidError, validate_email


def mailbox(address: str) -> str:
    """The mailbox of an address, whatever its letter case, its quotes and the form of its letters.

    The domain is in A-labels, as mail is sent to it. What is no address is compared as it stands, letter case apart.
    """
    try:
        checked = validate_email(address, check_deliverability=False, test_environment=True, allow_quoted_local=True)
    except EmailNotValidError:
        return _folded(address)
    return f"{_folded(checked.local_part)}@{checked.ascii_domain}"


def _folded(text: str) -> str:
    # Letter by letter, because str.lower makes of a sigma one or the other by what stands behind it.
    lower = "".join(map(str.lower, unicodedata.normalize("NFC", text))).replace("\u03c2", "\u03c3")
    return unicodedata.normalize("NFC", lower)

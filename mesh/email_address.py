"""Email addresses as they are compared: two ways to write one mailbox are one text."""

import unicodedata

from email_validator import EmailNotValidError, ValidatedEmail, validate_email


def validated(address: str) -> ValidatedEmail:
    """An address taken apart, as every service takes it: no look-up in the DNS, test domains and quotes allowed.

    Raises:
        EmailNotValidError: it is none; a ValueError.
    """
    return validate_email(address, check_deliverability=False, test_environment=True, allow_quoted_local=True)


def mailbox(address: str) -> str:
    """The mailbox of an address, whatever its letter case, its quotes and the form of its letters.

    The domain is in A-labels, as mail is sent to it. What is no address is compared as it stands, letter case apart.
    """
    try:
        checked = validated(address)
    except EmailNotValidError:
        return _folded(address)
    return f"{_folded(checked.local_part)}@{checked.ascii_domain}"


def _folded(text: str) -> str:
    # Letter by letter, because str.lower makes of a sigma one or the other by what stands behind it.
    lower = "".join(map(str.lower, unicodedata.normalize("NFC", text))).replace("\u03c2", "\u03c3")
    return unicodedata.normalize("NFC", lower)

"""A demonstration: runners sign up in three ways, and a slow, moody mail server shows what each way is worth."""

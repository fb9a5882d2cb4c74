"""The sign-up service: takes registrations for a race and sees that every runner is told.

A registration stands once it is stored, whatever becomes of its confirmation email; what did is part of it.
"""

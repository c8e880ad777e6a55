"""Receive SuperOffice webhooks, prove that they are genuine, and keep them as an audit trail."""

__version__ = "0.1.0"

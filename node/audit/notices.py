"""Notices of alarms by webhook and e-mail, without patient data."""

import smtplib
from email.message import EmailMessage

import httpx
import structlog

from node.settings.audit import AuditSettings

TIMEOUT_SECONDS = 10.0


def notify(settings: AuditSettings, subject: str, text: str) -> None:
    """Post and mail a notice where the settings say so; a failure is logged."""
    log = structlog.get_logger("notices")
    if settings.webhook:
        try:
            httpx.post(
                settings.webhook, json={"subject": subject, "text": text}, timeout=TIMEOUT_SECONDS
            ).raise_for_status()
        except httpx.HTTPError as error:
            log.warning("webhook_failed", error=type(error).__name__)
    if settings.mail_host and settings.mail_to:
        message = EmailMessage()
        message["Subject"], message["From"], message["To"] = subject, settings.mail_from, ", ".join(settings.mail_to)
        message.set_content(text)
        try:
            with smtplib.SMTP(settings.mail_host, timeout=TIMEOUT_SECONDS) as server:
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            log.warning("mail_failed", error=type(error).__name__)

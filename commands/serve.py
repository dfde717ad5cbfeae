"""`pat serve`: the service under settings from the command line."""

from __future__ import annotations

from typing import Any

from commands.arguments import Arguments, command

__all__ = ["add"]

_SETTINGS = {
    "host": "PAT_HOST",
    "port": "PAT_PORT",
    "certificate": "PAT_TLS_CERTIFICATE_FILE",
    "key": "PAT_TLS_KEY_FILE",
    "client_ca": "PAT_TLS_CLIENT_CA_FILE",
}


def add(commands: Any) -> None:
    """Add the command."""
    parser = command(
        commands, "serve", _serve, "Start the service; PAT_ variables are its settings (docs/settings.md)."
    )
    parser.add_argument("--host", metavar="ADDRESS", help="to listen on (PAT_HOST)")
    parser.add_argument("--port", help="to listen on (PAT_PORT)")
    parser.add_argument(
        "--certificate", metavar="FILE", help="PEM, with the chain: speak TLS (PAT_TLS_CERTIFICATE_FILE)"
    )
    parser.add_argument("--key", metavar="FILE", help="the certificate's key, PEM (PAT_TLS_KEY_FILE)")
    parser.add_argument(
        "--client-ca",
        metavar="FILE",
        help="of the certificates that clients must have (PAT_TLS_CLIENT_CA_FILE)",
    )


def _serve(arguments: Arguments) -> None:
    import os

    from serving import start

    flags = {setting: getattr(arguments, name) for name, setting in _SETTINGS.items()}
    start.serve({setting: value for setting, value in flags.items() if value is not None}, os.environ)

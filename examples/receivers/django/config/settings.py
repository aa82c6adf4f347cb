"""As little as a receiver of webhooks needs."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent

# The webhook's secret, or several parted by spaces while one is rotated.
WEBHOOK_SECRETS = os.environ.get("WEBHOOK_SECRET", "").split()
if not WEBHOOK_SECRETS:
    raise ImproperlyConfigured("WEBHOOK_SECRET is not set: put the webhook's secret (whsec_…) into it")

# Nothing here outlives the process that signed it; a site with sessions sets the variable.
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or get_random_secret_key()
DEBUG = False
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost 127.0.0.1").split()

INSTALLED_APPS = ["inbox"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    # It asks every POST for a token, which no webhook has: inbox/views.py exempts its own.
    "django.middleware.csrf.CsrfViewMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE", BASE_DIR / "receiver.db"),
        # The server and the worker are two processes: who writes waits for the other, who reads does not.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode = WAL"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "UTC"
USE_TZ = True

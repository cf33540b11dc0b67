"""What one does once before a Django project is served."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shelf.settings")
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402

call_command("migrate", verbosity=0)
call_command("collectstatic", interactive=False, verbosity=0)
get_user_model().objects.create_superuser("admin", "admin@example.com", "secret")

"""A Django site with a form and password resets, on a free port, which it prints.

Its argument says from which field it takes the host: "host", or "x-forwarded-host".
"""

import sys
import tempfile
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from django.core import mail
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.urls import path

TEMPLATES = {
    "reset.html": "{% csrf_token %}",
    "subject.txt": "reset",
    "mail.txt": "{{ protocol }}://{{ domain }}{% url 'confirm' uidb64=uid token=token %}",
}

folder = tempfile.TemporaryDirectory()
settings.configure(
    SECRET_KEY="not a secret",
    ALLOWED_HOSTS=["shop.test"],
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    USE_X_FORWARDED_HOST=sys.argv[1] == "x-forwarded-host",
    CSRF_COOKIE_SECURE=True,
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder.name + "/site.db"}},
    EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", TEMPLATES)]},
        }
    ],
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import PasswordResetView  # noqa: E402

mail.outbox = []
reset = PasswordResetView.as_view(
    template_name="reset.html", subject_template_name="subject.txt", email_template_name="mail.txt", success_url="/mail"
)
urlpatterns = [
    path("form/", lambda request: HttpResponse(get_token(request) if request.method == "GET" else "saved")),
    path("reset", reset),
    path("mail", lambda request: HttpResponse(mail.outbox[-1].body)),
    path("confirm/<uidb64>/<token>", lambda request, uidb64, token: HttpResponse(), name="confirm"),
]


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


call_command("migrate", verbosity=0)
User.objects.create_user("ann", "ann@shop.test", "secret")
with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet) as server:
    print(server.server_port, flush=True)
    server.serve_forever()

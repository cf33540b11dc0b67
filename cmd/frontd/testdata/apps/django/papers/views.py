import threading

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404

from .models import Paper

_on = threading.Event()


@login_required(login_url="/admin/login/")
def paper(request, pk):
    return FileResponse(get_object_or_404(Paper, pk=pk).file.open(), as_attachment=True)


def stream(request):
    """Gives its second line when another request asks for it."""

    def lines():
        yield "first\n"
        yield "last\n" if _on.wait(60) else "nobody asked\n"

    _on.clear()
    return StreamingHttpResponse(lines(), content_type="text/plain")


def go_on(request):
    _on.set()
    return HttpResponse("going on")


def broken(request):
    raise LookupError("no such shelf")

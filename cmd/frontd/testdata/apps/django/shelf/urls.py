from django.contrib import admin
from django.urls import path

from papers import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("paper/<int:pk>/", views.paper),
    path("stream/", views.stream),
    path("go-on/", views.go_on),
    path("broken/", views.broken),
]

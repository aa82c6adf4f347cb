from django.urls import path

from inbox.views import receive

# The url that is registered has to be the same to the last slash: a redirect is not followed.
urlpatterns = [path("webhooks", receive)]

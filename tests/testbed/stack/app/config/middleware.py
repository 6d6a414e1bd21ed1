from django.conf import settings


def version_header(get_response):
    """Say with every answer which version of the code gave it."""

    def middleware(request):
        response = get_response(request)
        response["X-App-Version"] = settings.VERSION
        return response

    return middleware

"""A middleware that a browser must obey; the live server reads its settings once."""


def strict_policy(get_response):
    """The policy under which the pages must work."""

    def middleware(request):
        response = get_response(request)
        response["Content-Security-Policy"] = "default-src 'self'"
        return response

    return middleware

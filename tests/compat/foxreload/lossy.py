"""A line that loses an answer: the request arrives, what comes back does not."""

from __future__ import annotations

import httpx2


class LossyLine(httpx2.HTTPTransport):
    """Loses the answers to the first ``count`` POSTs."""

    def __init__(self, count: int = 1) -> None:
        super().__init__()
        self.left = count

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = super().handle_request(request)
        if self.left and request.method == "POST":
            self.left -= 1
            answer.read()
            answer.close()
            raise httpx2.ReadTimeout("the answer was lost", request=request)
        return answer

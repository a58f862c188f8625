"""What a process shows the platform that runs it: /metrics, /livez and /readyz over HTTP.

Alive means that the event loop answers. Ready means that nothing troubles the service; otherwise 503 and one line a
reason. Remarks (Kafka is away, but calls go on) are told in either case: they are no reason to take a process out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from services.host.network import PortTaken

Lines = Callable[[], Sequence[str]]


class Exposition:
    """A small HTTP server of three pages; it reads the registry and asks for reasons at each request."""

    def __init__(self, registry: CollectorRegistry, troubles: Lines, remarks: Lines) -> None:
        self._registry = registry
        self._troubles = troubles
        self._remarks = remarks
        self._runner: web.AppRunner | None = None

    async def start(self, listen: str) -> str:
        """Binds `host:port` and returns the address as bound; raises PortTaken."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        host, _, port = listen.rpartition(":")
        try:
            await web.TCPSite(self._runner, host.strip("[]"), int(port), shutdown_timeout=0.5).start()
        except OSError as error:
            await self._runner.cleanup()
            raise PortTaken(f"cannot listen on {listen} for metrics: {error.strerror}; choose another port") from error
        return f"{host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Closes the port. Can be called twice."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        troubles = self._troubles()
        lines = [f"not ready: {each}" for each in troubles] or ["ready"]
        lines += [f"but: {each}" for each in self._remarks()]
        return web.Response(status=503 if troubles else 200, text="\n".join(lines) + "\n")
